"""The marks that decorators leave on handlers, and the message types in them.

What the marks mean for a class is worked out when the class is made, in
:mod:`chanx_testing.core.consumer.handlers`.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType, FunctionType, UnionType
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_type_hints

from asgiref.sync import iscoroutinefunction

from chanx_testing.messages.base import BaseMessage, actions_of

HandlerKind = Literal["ws_handler", "event_handler"]

MessageTypes: TypeAlias = type[BaseMessage] | UnionType | Sequence[type[BaseMessage]]
"""A message type, a union of them, or a list or tuple of them."""

_MARKS = "__chanx_testing_handler__"


@dataclass(slots=True)
class Mark:
    """What a decorator says about a handler.

    Attributes:
        kind: Which decorator it was.
        handler: The function that was decorated.
        inputs: The message types that it takes; None until its annotation is resolved.
        outputs: The message types that it sends; None until its annotation is resolved.
        action: Documentation: a name for the operation.
        description: Documentation: what it does, at length.
        summary: Documentation: what it does, in short.
        tags: Documentation: what it belongs to.
    """

    kind: HandlerKind
    handler: Callable[..., Any]
    inputs: tuple[type[BaseMessage], ...] | None = None
    outputs: tuple[type[BaseMessage], ...] | None = None
    action: str | None = None
    description: str | None = None
    summary: str | None = None
    tags: Sequence[str] | None = None

    @property
    def place(self) -> str:
        """Where the handler is written: its full name, file and line."""
        function = function_of(self.handler)
        code = function.__code__
        return (
            f"{function.__module__}.{function.__qualname__} "
            f"({code.co_filename}:{code.co_firstlineno})"
        )

    def resolve(self, names: Mapping[str, Any]) -> None:
        """Read the types that were not given from the annotations of the handler.

        Args:
            names: What annotations may use besides the globals of the module.

        Raises:
            NameError: An annotation names something that does not exist yet.
            TypeError: The message has no annotation, or one that does not name a
                message.
        """
        function = function_of(self.handler)
        if self.inputs is None:
            parameter = _message_parameter(self)
            annotation = parameter.annotation
            if annotation is not parameter.empty:
                annotation = _evaluate(annotation, function, names)
                self.inputs = self.check_inputs(message_types(annotation))
            else:
                self.check_inputs([])
        if self.outputs is None:
            annotation = function.__annotations__.get("return")
            resolved = message_types(_evaluate(annotation, function, names))
            # A class without an action, as in `-> BaseMessage`, does not say what is
            # sent.
            self.outputs = tuple(kind for kind in resolved if actions_of(kind))

    def check_inputs(
        self, inputs: list[type[BaseMessage]]
    ) -> tuple[type[BaseMessage], ...]:
        """Return ``inputs`` as the message types that the handler takes.

        Raises:
            TypeError: There is no type, or one of them has no action of its own.
        """
        name = function_of(self.handler).__name__
        remedy = (
            f"annotate the message, as in `async def {name}(self, message: "
            f"ChatMessage)`, or write `@{self.kind}(input_type=ChatMessage)`"
        )
        if not inputs:
            raise TypeError(f"{self.place} has no message type: {remedy}.")
        for message_type in inputs:
            if not actions_of(message_type):
                raise TypeError(
                    f"{self.place} takes {message_type.__qualname__}, which has no "
                    f"action of its own: name messages whose action is a Literal."
                )
        return tuple(inputs)


def marks_of(value: object) -> dict[HandlerKind, Mark]:
    """Return the marks on a class attribute, {} if it is not a handler."""
    marks = getattr(value, _MARKS, None)
    return marks if isinstance(marks, dict) else {}


def add_mark(handler: object, mark: Mark) -> None:
    """Put ``mark`` on ``handler``, beside a mark of the other kind."""
    setattr(handler, _MARKS, {**marks_of(handler), mark.kind: mark})


def make_mark(kind: HandlerKind, handler: Callable[..., Any], **known: Any) -> Mark:
    """Return a mark for ``handler``.

    Raises:
        TypeError: The handler is not an ``async def``, or does not take exactly one
            message.
    """
    mark = Mark(kind, handler, **known)
    function = function_of(handler)
    if not (
        iscoroutinefunction(handler)
        or iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
    ):
        raise TypeError(
            f"{mark.place} is a plain function, and a @{kind} is awaited: write "
            f"`async def {function.__name__}`."
        )
    try:
        inspect.signature(function).bind("self", "message")
    except TypeError:
        raise TypeError(
            f"{mark.place} cannot be called with one message: write "
            f"`async def {function.__name__}(self, message: ChatMessage)`."
        ) from None
    return mark


def function_of(handler: Callable[..., Any]) -> FunctionType:
    """Return the function inside the decorators of ``handler``.

    Raises:
        TypeError: There is no function inside.
    """
    function: Any = handler
    while not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        # `sync_to_async` keeps what it wraps in `func`, all others in `__wrapped__`.
        inner = getattr(function, "__wrapped__", None) or getattr(
            function, "func", None
        )
        if inner is None:
            raise TypeError(
                f"A handler is an `async def` of a consumer class, not {handler!r}."
            )
        function = inner
    return function


def names_at_call(function: FunctionType) -> dict[str, Any]:
    """Return the local names of the callers that run in the module of ``function``.

    A class that is made inside a function, with messages that are made there too, has
    string annotations whose names are nowhere else.
    """
    names: dict[str, Any] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals is function.__globals__ and (
            frame.f_locals is not frame.f_globals
        ):
            for name, value in frame.f_locals.items():
                names.setdefault(name, value)  # the innermost caller wins
        frame = frame.f_back
    return names


def message_types(annotation: Any) -> list[type[BaseMessage]]:
    """Return the message types that ``annotation`` is made of, each once, in order.

    It may be a type, a union, a list or tuple of types, or any generic of them, such as
    ``AsyncIterator[A | B]``.
    """
    found: list[type[BaseMessage]] = []
    pending: list[Any] = [annotation]
    while pending:
        current = pending.pop(0)
        if isinstance(current, type) and issubclass(current, BaseMessage):
            if current not in found:
                found.append(current)
        elif isinstance(current, list | tuple):
            pending[:0] = current
        elif isinstance(current, TypeVar):
            pending[:0] = [*current.__constraints__, current.__bound__]
        elif (alias := getattr(current, "__value__", None)) is not None:
            pending.insert(0, alias)
        else:
            pending[:0] = get_args(current)
    return found


def given_types(mark: Mark, argument: str, value: Any) -> list[type[BaseMessage]]:
    """Return the message types that an argument of a decorator names.

    Raises:
        TypeError: The argument names something that is not a message.
    """
    members = value if isinstance(value, list | tuple) else get_args(value) or (value,)
    for member in members:
        if member is not type(None) and not message_types(member):
            raise TypeError(
                f"{mark.place} has {argument}={member!r}, which is not a message: pass "
                "a subclass of BaseMessage, a union of them, or a list of them."
            )
    return message_types(value)


def _message_parameter(mark: Mark) -> inspect.Parameter:
    parameters = list(inspect.signature(function_of(mark.handler)).parameters.values())
    # `(self, message)`, or `(self, *messages)`, which binds as well.
    return parameters[min(1, len(parameters) - 1)]


def _evaluate(annotation: Any, function: FunctionType, names: Mapping[str, Any]) -> Any:
    # get_type_hints() reads the annotations of an object, not a single annotation.
    class Holder:
        pass

    Holder.__annotations__ = {"it": annotation}
    Holder.__module__ = function.__module__
    try:
        hints = get_type_hints(Holder, function.__globals__, dict(names))
    except (AttributeError, TypeError) as error:
        # Such as `messages.Chat`, while that module is only half imported.
        raise NameError(str(error)) from error
    return hints["it"]
