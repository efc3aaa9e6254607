"""From marked methods to the tables of a class, and what cannot work."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from chanx_testing.core.consumer.handlers import collect
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import CompleteMessage, ErrorMessage, PongMessage
from tests.support.messages import Notice


class Chat(BaseMessage):
    action: Literal["chat"] = "chat"
    payload: str


class LoudChat(Chat):
    volume: int


class PingMixin:
    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


def test_two_handlers_for_one_action_are_refused_and_both_places_named():
    class Consumer(PingMixin):
        @ws_handler
        async def other_ping(self, message: PingMessage) -> None: ...

    with pytest.raises(TypeError) as caught:
        collect(Consumer)

    problem = str(caught.value)
    assert "Consumer has two @ws_handlers for the action 'ping'" in problem
    assert "test_handlers.PingMixin.handle_ping (" in problem
    assert "Consumer.other_ping (" in problem
    assert problem.count("test_handlers.py:") == 2
    assert "Remove one, or give its message another action." in problem


def test_two_messages_of_one_action_in_two_handlers_are_refused():
    class Consumer:
        @ws_handler
        async def quiet(self, message: Chat) -> None: ...

        @ws_handler
        async def loud(self, message: LoudChat) -> None: ...

    with pytest.raises(TypeError, match="two @ws_handlers for the action 'chat'"):
        collect(Consumer)


def test_a_name_that_never_comes_to_exist_is_refused():
    class Consumer:
        @ws_handler
        async def handle(self, message: "Nowhere") -> None: ...  # noqa: F821

    with pytest.raises(TypeError) as caught:
        collect(Consumer)

    assert "Consumer.handle (" in str(caught.value)
    assert "'Nowhere' is not defined" in str(caught.value)
    assert "@ws_handler(input_type=...)" in str(caught.value)


def test_a_result_that_never_comes_to_exist_is_refused():
    class Consumer:
        @ws_handler
        async def handle(self, message: Chat) -> "Nowhere": ...  # noqa: F821

    with pytest.raises(TypeError, match=r"@ws_handler\(output_type=\.\.\.\)"):
        collect(Consumer)


def test_emits_that_are_no_messages_are_refused():
    class Consumer:
        emits = [dict]

    with pytest.raises(TypeError, match=r"Consumer\.emits holds <class 'dict'>"):
        collect(Consumer)


def test_an_override_that_is_a_plain_function_is_refused():
    class Consumer(PingMixin):
        def handle_ping(self, message): ...

    with pytest.raises(TypeError, match=r"Consumer\.handle_ping .* plain function"):
        collect(Consumer)


def test_a_class_without_handlers_takes_nothing():
    tables = collect(type("Consumer", (), {}))
    assert tables.incoming_message_adapter is None
    assert tables.incoming_event_adapter is None
    assert tables.messages == tables.events == {}


def test_a_class_without_handlers_sends_the_standard_messages():
    tables = collect(type("Consumer", (), {}))
    assert tables.outgoing_actions == {
        "authentication",
        "complete",
        "error",
        "event_complete",
        "group_complete",
        "pong",
    }
    read = tables.outgoing_message_adapter.validate_python({"action": "complete"})
    assert read == CompleteMessage()


def test_handlers_of_a_mixin_work():
    class Consumer(PingMixin):
        @ws_handler
        async def handle_chat(self, message: Chat) -> Chat: ...

    tables = collect(Consumer)
    assert {action: route.method for action, route in tables.messages.items()} == {
        "ping": "handle_ping",
        "chat": "handle_chat",
    }
    read = tables.incoming_message_adapter.validate_python
    assert read({"action": "chat", "payload": "x"}) == Chat(payload="x")
    assert read({"action": "ping"}) == PingMessage()


def test_a_decorated_override_registers_once():
    class Consumer(PingMixin):
        @ws_handler
        async def handle_ping(self, message: PingMessage) -> Notice: ...

    tables = collect(Consumer)
    assert list(tables.messages) == ["ping"]
    assert "notice" in tables.outgoing_actions


def test_an_undecorated_override_stays_a_handler():
    class Consumer(PingMixin):
        async def handle_ping(self, message):
            return await super().handle_ping(message)

    tables = collect(Consumer)
    assert tables.messages["ping"].method == "handle_ping"


def test_an_undecorated_override_may_narrow_its_types():
    class Base:
        @ws_handler
        async def handle(self, message: Chat) -> None: ...

    class Consumer(Base):
        async def handle(self, message: LoudChat) -> Notice: ...

    tables = collect(Consumer)
    read = tables.messages["chat"].validate({**LoudChat(payload="", volume=3).__dict__})
    assert isinstance(read, LoudChat)
    assert "notice" in tables.outgoing_actions


def test_the_nearest_override_counts():
    class Left(PingMixin):
        async def handle_ping(self, message): ...

    class Right(PingMixin):
        @event_handler
        async def handle_ping(self, message: PingMessage) -> None: ...

    class Consumer(Right, Left):
        pass

    tables = collect(Consumer)
    assert list(tables.events) == ["ping"]
    assert tables.messages == {}


def test_none_takes_a_handler_away():
    class Consumer(PingMixin):
        handle_ping = None

    assert collect(Consumer).messages == {}


def test_a_second_name_for_a_handler_is_no_second_handler():
    class Consumer(PingMixin):
        handle_heartbeat = PingMixin.handle_ping

    assert list(collect(Consumer).messages) == ["ping"]


def test_messages_and_events_have_tables_of_their_own():
    class Consumer:
        @ws_handler
        async def say(self, message: Chat) -> None: ...

        @event_handler
        async def said(self, event: Chat) -> Notice: ...

    tables = collect(Consumer)
    assert tables.messages["chat"].method == "say"
    assert tables.events["chat"].method == "said"
    assert "notice" in tables.outgoing_actions


def test_names_defined_after_the_method_are_found_when_the_class_is_made():
    class Mixin:
        @ws_handler
        async def handle(self, message: "Late") -> "Late": ...

    class Late(BaseMessage):
        action: Literal["late"] = "late"

    assert list(collect(type("Consumer", (Mixin,), {})).messages) == ["late"]


def test_one_handler_may_take_several_actions():
    class Move(BaseMessage):
        action: Literal["up", "down"]

    class Consumer:
        @ws_handler
        async def handle(self, message: Move | Chat) -> None: ...

    tables = collect(Consumer)
    assert list(tables.messages) == ["up", "down", "chat"]
    read = tables.incoming_message_adapter.validate_python({"action": "down"})
    assert read == Move(action="down")


def test_one_handler_may_take_several_messages_of_one_action():
    class Consumer:
        @ws_handler
        async def handle(self, message: Chat | LoudChat) -> None: ...

    validate = collect(Consumer).messages["chat"].validate
    assert type(validate({"action": "chat", "payload": "x"})) is Chat
    loud = {"action": "chat", "payload": "x", "volume": 3}
    assert type(validate(loud)) is LoudChat


def test_emits_are_merged_over_all_bases():
    class Mixin:
        emits = [Notice]

    class Consumer(Mixin):
        emits = (Chat,)

    assert {"notice", "chat"} <= collect(Consumer).outgoing_actions


class TestTwoOutgoingTypesOfOneAction:
    """They are told apart by what they hold, and never break the import."""

    class Joined(BaseMessage):
        action: Literal["presence"] = "presence"
        payload: int

    class Left(BaseMessage):
        action: Literal["presence"] = "presence"
        payload: str

    def test_each_is_read_as_itself(self):
        tables = collect(type("Consumer", (), {"emits": [self.Joined, self.Left]}))
        read = tables.outgoing_message_adapter.validate_python
        assert type(read({"action": "presence", "payload": 3})) is self.Joined
        assert type(read({"action": "presence", "payload": "x"})) is self.Left
        assert type(read({"action": "pong"})) is PongMessage

    def test_an_error_of_the_application_comes_before_ours(self):
        class Details(BaseModel):
            code: int

        class AppError(BaseMessage):
            action: Literal["error"] = "error"
            payload: Details

        tables = collect(type("Consumer", (), {"emits": [AppError]}))
        read = tables.outgoing_message_adapter.validate_python
        assert type(read({"action": "error", "payload": {"code": 3}})) is AppError
        assert type(read({"action": "error", "payload": [{"loc": []}]})) is ErrorMessage

    def test_a_subclass_of_ours_is_read_where_it_fits(self):
        class AppError(ErrorMessage):
            payload: dict[str, Any]

        tables = collect(type("Consumer", (), {"emits": [AppError, ErrorMessage]}))
        read = tables.outgoing_message_adapter.validate_python
        assert type(read({"action": "error", "payload": {"detail": "x"}})) is AppError
