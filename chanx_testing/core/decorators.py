"""Decorators for the methods of a consumer that handle messages and events.

They return the function that they are given, with a mark on it; see
:mod:`chanx_testing.core.consumer.marks`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar, overload

from chanx_testing.core.consumer.marks import (
    HandlerKind,
    MessageTypes,
    add_mark,
    function_of,
    given_types,
    make_mark,
    names_at_call,
)

__all__ = ["MessageTypes", "event_handler", "ws_handler"]

HandlerT = TypeVar(
    "HandlerT", bound=Callable[..., Awaitable[Any]] | Callable[..., AsyncIterator[Any]]
)


@overload
def ws_handler(func: HandlerT, /) -> HandlerT: ...


@overload
def ws_handler(
    *,
    action: str | None = None,
    input_type: MessageTypes | None = None,
    output_type: MessageTypes | None = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Sequence[str] | None = None,
) -> Callable[[HandlerT], HandlerT]: ...


def ws_handler(
    func: HandlerT | None = None,
    /,
    *,
    action: str | None = None,
    input_type: MessageTypes | None = None,
    output_type: MessageTypes | None = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Sequence[str] | None = None,
) -> HandlerT | Callable[[HandlerT], HandlerT]:
    """Make a method the handler of messages of the client.

    It gets the validated message. What it returns is sent to the client: None, a
    message, or a list or tuple of messages; an async generator sends what it yields, as
    it yields it. Use it bare, or called with arguments.

    Args:
        func: The method, when used bare.
        action: Kept as documentation, as the name of the operation. Which messages
            come here depends on their type alone.
        input_type: The messages it takes: a type, a union, or a list. Left out, the
            annotation of its parameter says so.
        output_type: The messages it sends, in the same form. Left out, the return
            annotation says so. Name here what it broadcasts, too.
        description: Kept as documentation.
        summary: Kept as documentation.
        tags: Kept as documentation.

    Returns:
        The method itself.

    Raises:
        TypeError: The method is not an ``async def``, or does not take exactly one
            message; or a type is missing, or is not a message with an action of its
            own. Types that are not defined yet are looked up once more when the class
            is made.
    """
    return _decorate(
        func,
        "ws_handler",
        input_type,
        output_type,
        action=action,
        description=description,
        summary=summary,
        tags=tags,
    )


@overload
def event_handler(func: HandlerT, /) -> HandlerT: ...


@overload
def event_handler(
    *,
    action: str | None = None,
    input_type: MessageTypes | None = None,
    output_type: MessageTypes | None = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Sequence[str] | None = None,
) -> Callable[[HandlerT], HandlerT]: ...


def event_handler(
    func: HandlerT | None = None,
    /,
    *,
    action: str | None = None,
    input_type: MessageTypes | None = None,
    output_type: MessageTypes | None = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Sequence[str] | None = None,
) -> HandlerT | Callable[[HandlerT], HandlerT]:
    """Make a method the handler of events that come through the channel layer.

    Arguments, results and errors are those of :func:`ws_handler`; what the method
    returns is sent to the client of the connection that received the event.
    """
    return _decorate(
        func,
        "event_handler",
        input_type,
        output_type,
        action=action,
        description=description,
        summary=summary,
        tags=tags,
    )


def _decorate(
    func: HandlerT | None,
    kind: HandlerKind,
    input_type: MessageTypes | None,
    output_type: MessageTypes | None,
    **documentation: Any,
) -> HandlerT | Callable[[HandlerT], HandlerT]:
    def decorate(handler: HandlerT) -> HandlerT:
        mark = make_mark(kind, handler, **documentation)
        if input_type is not None:
            mark.inputs = mark.check_inputs(given_types(mark, "input_type", input_type))
        if output_type is not None:
            mark.outputs = tuple(given_types(mark, "output_type", output_type))
        # What is defined later in the module is looked up when the class is made.
        with suppress(NameError):
            mark.resolve(names_at_call(function_of(handler)))
        add_mark(handler, mark)
        return handler

    return decorate if func is None else decorate(func)
