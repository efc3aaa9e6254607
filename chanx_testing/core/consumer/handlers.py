"""The tables and adapters of a consumer class, built from its marked methods.

They are built once, when the class is made: what cannot work raises ``TypeError``
there, and a message costs one dictionary lookup.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter

from chanx_testing.core.consumer.marks import (
    HandlerKind,
    Mark,
    function_of,
    make_mark,
    marks_of,
    names_at_call,
)
from chanx_testing.messages.base import BaseMessage, actions_of
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
    PongMessage,
)

__all__ = ["HandlerRoute", "Tables", "collect"]

STANDARD_OUTPUTS: tuple[type[BaseMessage], ...] = (
    AuthenticationMessage,
    ErrorMessage,
    PongMessage,
    CompleteMessage,
    GroupCompleteMessage,
    EventCompleteMessage,
)
"""What every consumer may send."""


@dataclass(frozen=True, slots=True)
class HandlerRoute:
    """The handler for the messages of one action.

    Attributes:
        method: The name of the handler, looked up on the instance at each call.
        validate: Makes a message of its content; raises pydantic's ``ValidationError``.
    """

    method: str
    validate: Callable[[Any], BaseMessage]


@dataclass(frozen=True, slots=True)
class Tables:
    """What a consumer class can take and send.

    Attributes:
        messages: The handlers of the client's messages by action.
        events: The handlers of events by action.
        incoming_message_adapter: Reads any message a client may send; None if none.
        incoming_event_adapter: Reads any event the class handles; None if none.
        outgoing_message_adapter: Reads any message the class may send.
        outgoing_actions: The actions of the messages the class may send.
    """

    messages: dict[str, HandlerRoute]
    events: dict[str, HandlerRoute]
    incoming_message_adapter: TypeAdapter[Any] | None
    incoming_event_adapter: TypeAdapter[Any] | None
    outgoing_message_adapter: TypeAdapter[Any]
    outgoing_actions: frozenset[str]


def collect(consumer: type) -> Tables:
    """Return the tables of ``consumer``, its bases and mixins included.

    Raises:
        TypeError: Two handlers take one action, a handler has no message type, an
            annotation cannot be resolved, or ``emits`` holds something that is not a
            message.
    """
    handlers = list(_handlers(consumer))
    messages = _by_action(consumer, "ws_handler", handlers)
    events = _by_action(consumer, "event_handler", handlers)
    outputs = [
        message_type for _, mark in handlers for message_type in mark.outputs or ()
    ]
    outputs += _emits(consumer)
    own = _types_by_action(outputs)
    return Tables(
        messages=_routes(messages),
        events=_routes(events),
        incoming_message_adapter=_adapter(
            {action: _union(types) for action, (*_, types) in messages.items()}
        ),
        incoming_event_adapter=_adapter(
            {action: _union(types) for action, (*_, types) in events.items()}
        ),
        outgoing_message_adapter=_outgoing_adapter(own),
        outgoing_actions=frozenset(own).union(
            *(actions_of(standard) for standard in STANDARD_OUTPUTS)
        ),
    )


def _handlers(consumer: type) -> Iterable[tuple[str, Mark]]:
    """Yield (method name, mark) for each handler, those of the bases first."""
    names = dict.fromkeys(
        name
        for owner in reversed(consumer.__mro__)
        for name, value in vars(owner).items()
        if marks_of(value)
    )
    seen: set[int] = set()
    for name in names:
        definitions = [
            vars(owner)[name] for owner in consumer.__mro__ if name in vars(owner)
        ]
        current = definitions[0]
        if not callable(current) or id(current) in seen:
            # `handle_chat = None` removes the handler; `other = handle_chat` is the
            # same handler under a second name.
            continue
        seen.add(id(current))
        marks = marks_of(current)
        if not marks:
            overridden = next(filter(marks_of, definitions))
            marks = {
                kind: _override(consumer, current, mark)
                for kind, mark in marks_of(overridden).items()
            }
        for mark in marks.values():
            _resolve(consumer, mark)
            yield name, mark


def _override(consumer: type, handler: Callable[..., Any], overridden: Mark) -> Mark:
    """Return the mark of a method that overrides a handler without a decorator.

    Its own annotations count if they name messages; otherwise those of the method that
    it overrides count.
    """
    _resolve(consumer, overridden)
    mark = make_mark(overridden.kind, handler)
    # With outputs given, resolve() reads the annotation of the message alone.
    own = make_mark(overridden.kind, handler, outputs=())
    try:
        own.resolve(names_at_call(function_of(handler)))
    except (NameError, TypeError):
        mark.inputs = overridden.inputs
    else:
        mark.inputs = own.inputs
    if "return" not in function_of(handler).__annotations__:
        mark.outputs = overridden.outputs
    return mark


def _resolve(consumer: type, mark: Mark) -> None:
    if mark.inputs is not None and mark.outputs is not None:
        return
    names = {
        **names_at_call(function_of(mark.handler)),
        consumer.__name__: consumer,
    }
    try:
        mark.resolve(names)
    except NameError as error:
        missing = "input_type" if mark.inputs is None else "output_type"
        raise TypeError(
            f"{mark.place} has an annotation that cannot be resolved where "
            f"{consumer.__qualname__} is made ({error}): import its types at run time, "
            f"or write `@{mark.kind}({missing}=...)`."
        ) from error


# Of one action: the name of the method, its mark, the types of its messages.
_Found = tuple[str, Mark, list[type[BaseMessage]]]


def _by_action(
    consumer: type, kind: HandlerKind, handlers: list[tuple[str, Mark]]
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    for name, mark in handlers:
        if mark.kind != kind:
            continue
        for action, types in _types_by_action(mark.inputs or ()).items():
            if action in found:
                raise TypeError(
                    f"{consumer.__module__}.{consumer.__qualname__} has two "
                    f"@{kind}s for the action {action!r}: {found[action][1].place} and "
                    f"{mark.place}. Remove one, or give its message another action."
                )
            found[action] = (name, mark, types)
    return found


def _routes(found: dict[str, _Found]) -> dict[str, HandlerRoute]:
    return {
        action: HandlerRoute(
            name,
            types[0].model_validate
            if len(types) == 1
            else TypeAdapter(_union(types)).validate_python,
        )
        for action, (name, _, types) in found.items()
    }


def _emits(consumer: type) -> list[type[BaseMessage]]:
    emits: list[type[BaseMessage]] = []
    for owner in consumer.__mro__:
        for message_type in vars(owner).get("emits", ()):
            if not (
                isinstance(message_type, type)
                and issubclass(message_type, BaseMessage)
                and actions_of(message_type)
            ):
                raise TypeError(
                    f"{owner.__module__}.{owner.__qualname__}.emits holds "
                    f"{message_type!r}: list the messages that it sends outside its "
                    "handlers, each with a Literal action."
                )
            emits.append(message_type)
    return emits


def _types_by_action(
    types: Iterable[type[BaseMessage]],
) -> dict[str, list[type[BaseMessage]]]:
    """Return the types of each action, each once, in the order given."""
    groups: dict[str, list[type[BaseMessage]]] = {}
    for message_type in dict.fromkeys(types):
        for action in actions_of(message_type):
            groups.setdefault(action, []).append(message_type)
    return groups


def _union(types: list[Any]) -> Any:
    return reduce(or_, types)


def _outgoing_adapter(own: dict[str, list[type[BaseMessage]]]) -> TypeAdapter[Any]:
    choices = {action: _union(types) for action, types in own.items()}
    for standard in STANDARD_OUTPUTS:
        for action in actions_of(standard):
            if action not in own:
                choices[action] = standard
            elif standard not in own[action]:
                # The consumer's own type for the action comes first. The standard one
                # may come too: an `ErrorMessage` answers a bad frame in any case.
                choices[action] = Annotated[
                    choices[action] | standard, Field(union_mode="left_to_right")
                ]
    adapter = _adapter(choices)
    assert adapter is not None
    return adapter


def _adapter(choices: dict[str, Any]) -> TypeAdapter[Any] | None:
    """Return one adapter for all actions, None if there are none."""
    if not choices:
        return None
    if all(isinstance(choice, type) for choice in choices.values()):
        types = list(dict.fromkeys(choices.values()))
        if len(types) == 1:
            return TypeAdapter(types[0])
        union: Any = Annotated[_union(types), Field(discriminator="action")]
        return TypeAdapter(union)
    # Several types share an action: pydantic needs a function to find the right ones.
    tagged = [Annotated[choice, Tag(action)] for action, choice in choices.items()]
    if len(tagged) == 1:
        return TypeAdapter(next(iter(choices.values())))
    union = Annotated[_union(tagged), Discriminator(_action_in)]
    return TypeAdapter(union)


def _action_in(content: Any) -> Any:
    action = (
        content.get("action")
        if isinstance(content, dict)
        else getattr(content, "action", None)
    )
    return getattr(action, "value", action)
