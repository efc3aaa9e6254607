"""Marking handlers, and what is refused as one."""

import functools
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async

from chanx_testing.core.consumer.marks import marks_of
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import ErrorMessage, PongMessage


class Chat(BaseMessage):
    action: Literal["chat"] = "chat"


def mark(handler, kind="ws_handler"):
    return marks_of(handler)[kind]


def test_a_plain_function_is_refused():
    with pytest.raises(TypeError) as caught:

        @ws_handler
        def handle_chat(self, message: Chat) -> None: ...

    assert "handle_chat (" in str(caught.value)
    assert "test_decorators.py:" in str(caught.value)
    assert "is a plain function, and a @ws_handler is awaited" in str(caught.value)
    assert "write `async def handle_chat`" in str(caught.value)


def test_a_message_without_a_type_is_refused():
    with pytest.raises(TypeError) as caught:

        @event_handler
        async def handle_chat(self, message): ...

    assert "has no message type" in str(caught.value)
    assert "`async def handle_chat(self, message: ChatMessage)`" in str(caught.value)
    assert "`@event_handler(input_type=ChatMessage)`" in str(caught.value)


def test_a_type_that_is_no_message_is_refused():
    with pytest.raises(TypeError, match="has no message type"):

        @ws_handler
        async def handle_chat(self, message: dict) -> None: ...


def test_an_input_type_that_is_no_message_is_refused():
    with pytest.raises(TypeError, match=r"input_type=<class 'dict'>, which is not a"):

        @ws_handler(input_type=dict)
        async def handle_chat(self, message) -> None: ...


def test_an_output_type_that_is_no_message_is_refused():
    with pytest.raises(TypeError, match=r"output_type=<class 'int'>, which is not a"):

        @ws_handler(output_type=[PongMessage, int])
        async def handle_chat(self, message: Chat) -> None: ...


def test_a_message_without_an_action_of_its_own_is_refused():
    with pytest.raises(TypeError, match="BaseMessage, which has no action of its own"):

        @ws_handler
        async def handle_any(self, message: BaseMessage) -> None: ...


@pytest.mark.parametrize("parameters", ["self", "self, a: Chat, b: Chat", ""])
def test_a_handler_that_does_not_take_one_message_is_refused(parameters):
    namespace: dict[str, Any] = {"Chat": Chat}
    exec(f"async def handle({parameters}): ...", namespace)
    with pytest.raises(TypeError, match="cannot be called with one message"):
        ws_handler(input_type=Chat)(namespace["handle"])


def test_what_is_no_function_is_refused():
    with pytest.raises(TypeError, match="A handler is an `async def`"):
        ws_handler(42)


def test_the_function_itself_comes_back():
    async def handle_chat(self, message: Chat) -> None: ...

    assert ws_handler(handle_chat) is handle_chat
    assert ws_handler()(handle_chat) is handle_chat


def test_types_come_from_the_annotations():
    @ws_handler
    async def handle(self, message: Chat | PingMessage) -> PongMessage | None: ...

    assert mark(handle).inputs == (Chat, PingMessage)
    assert mark(handle).outputs == (PongMessage,)


def test_types_that_are_given_win():
    @ws_handler(input_type=PingMessage, output_type=[PongMessage, ErrorMessage])
    async def handle(self, message: BaseMessage) -> Any: ...

    assert mark(handle).inputs == (PingMessage,)
    assert mark(handle).outputs == (PongMessage, ErrorMessage)


def test_a_union_may_be_given():
    @event_handler(input_type=Chat | PingMessage, output_type=Chat | PongMessage)
    async def handle(self, event): ...

    assert mark(handle, "event_handler").inputs == (Chat, PingMessage)
    assert mark(handle, "event_handler").outputs == (Chat, PongMessage)


def test_a_mere_base_as_a_result_says_nothing():
    @ws_handler
    async def handle(self, message: Chat) -> BaseMessage: ...

    assert mark(handle).outputs == ()


def test_an_async_generator_is_a_handler():
    @ws_handler
    async def handle(self, message: Chat) -> AsyncIterator[PongMessage | ErrorMessage]:
        yield PongMessage()

    assert mark(handle).outputs == (PongMessage, ErrorMessage)


def test_string_annotations_find_the_names_of_the_surrounding_function():
    class Local(BaseMessage):
        action: Literal["local"] = "local"

    @ws_handler
    async def handle(self, message: "Local") -> "list[Local]": ...

    assert mark(handle).inputs == (Local,)
    assert mark(handle).outputs == (Local,)


def test_what_is_not_defined_yet_is_left_for_later():
    @ws_handler
    async def handle(self, message: "Later") -> "PongMessage": ...  # noqa: F821

    assert mark(handle).inputs is None


def test_a_decorated_coroutine_function_is_a_handler():
    def logged(function):
        @functools.wraps(function)
        async def wrapper(*args):
            return await function(*args)

        return wrapper

    @ws_handler
    @logged
    async def handle(self, message: Chat) -> None: ...

    assert mark(handle).inputs == (Chat,)


def test_a_function_that_runs_in_a_thread_is_a_handler():
    @ws_handler
    @sync_to_async
    def handle(self, message: Chat) -> PongMessage: ...

    assert mark(handle).inputs == (Chat,)
    assert mark(handle).outputs == (PongMessage,)


def test_one_method_may_handle_messages_and_events():
    @ws_handler
    @event_handler
    async def handle(self, message: Chat) -> None: ...

    assert set(marks_of(handle)) == {"ws_handler", "event_handler"}


def test_documentation_is_kept():
    @ws_handler(action="say", description="Long", summary="Short", tags=["chat"])
    async def handle(self, message: Chat) -> None: ...

    kept = mark(handle)
    assert (kept.action, kept.description, kept.summary, kept.tags) == (
        "say",
        "Long",
        "Short",
        ["chat"],
    )
