"""What may be a message, and what is refused as one."""

import abc
import enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import pytest
from pydantic import Field, PydanticUserError

from chanx_testing.messages.base import BaseMessage, action_of, actions_of

T = TypeVar("T")


def test_a_message_without_an_action_is_refused_with_the_line_to_write():
    with pytest.raises(TypeError) as caught:

        class UserTypingMessage(BaseMessage):
            payload: str

    assert "UserTypingMessage does not say which action it is" in str(caught.value)
    assert 'action: Literal["user_typing"] = "user_typing"' in str(caught.value)


@pytest.mark.parametrize("annotation", [str, Any, Literal["chat"] | None])
def test_an_action_that_is_no_literal_is_refused(annotation):
    with pytest.raises(TypeError, match=r"Chat .*Literal\[\"chat\"\] = \"chat\""):

        class Chat(BaseMessage):
            action: annotation


def test_an_action_without_annotation_is_refused():
    with pytest.raises((TypeError, PydanticUserError), match="action"):

        class Chat(BaseMessage):
            action = "chat"


def test_an_action_that_is_no_text_is_refused():
    with pytest.raises(TypeError, match="has the action 1, which is not text"):

        class Chat(BaseMessage):
            action: Literal[1]


def test_an_action_whose_annotation_names_nothing_is_refused():
    with pytest.raises(TypeError, match="where a Literal is needed"):

        class Chat(BaseMessage):
            action: "Missing"  # noqa: F821


def test_a_message_has_the_action_that_its_literal_names():
    class Chat(BaseMessage):
        action: Literal["chat"] = "chat"
        payload: str

    assert Chat(payload="hi").model_dump() == {"action": "chat", "payload": "hi"}
    assert actions_of(Chat) == ("chat",)


def test_the_literal_may_be_annotated_further():
    class Chat(BaseMessage):
        action: Annotated[Literal["chat"], Field(description="A line")] = "chat"

    assert actions_of(Chat) == ("chat",)


class TestMessage(BaseMessage):
    """Collected as a class of tests, it would be a warning, and so an error here."""

    action: Literal["test"] = "test"


def test_a_message_may_be_called_test():
    assert TestMessage().model_dump() == {"action": "test", "payload": None}


def test_a_payload_need_not_be_declared():
    class Start(BaseMessage):
        action: Literal["start"] = "start"

    assert Start().payload is None
    assert Start(payload={"any": "thing"}).payload == {"any": "thing"}


def test_one_message_may_have_several_actions():
    class Move(BaseMessage):
        action: Literal["up", "down"]

    assert actions_of(Move) == ("up", "down")


def test_an_action_may_be_a_member_of_an_enum():
    class Kind(enum.StrEnum):
        CHAT = "chat"

    class Chat(BaseMessage):
        action: Literal[Kind.CHAT] = Kind.CHAT

    assert actions_of(Chat) == ("chat",)
    assert Chat.model_validate({"action": "chat"}).action is Kind.CHAT
    assert repr(action_of(Chat())) == "'chat'"


def test_a_member_of_an_enum_that_is_no_text_is_refused():
    """Nothing could read it back from JSON."""

    class Kind(enum.Enum):
        CHAT = "chat"

    with pytest.raises(TypeError, match="make the enum a StrEnum"):

        class Chat(BaseMessage):
            action: Literal[Kind.CHAT] = Kind.CHAT


def test_a_subclass_of_a_message_inherits_its_action():
    class Chat(BaseMessage):
        action: Literal["chat"] = "chat"
        payload: Any

    class LoudChat(Chat):
        payload: str

    assert actions_of(LoudChat) == ("chat",)


def test_an_abstract_base_needs_no_action_and_its_subclasses_do():
    class Stamped(BaseMessage, abc.ABC):
        stamp: int = 0

    class Chat(Stamped):
        action: Literal["chat"] = "chat"

    assert actions_of(Stamped) == ()
    assert Chat().stamp == 0
    with pytest.raises(TypeError, match="does not say which action"):

        class Nameless(Stamped):
            pass


def test_a_generic_base_needs_no_action_until_it_is_closed():
    class Envelope(BaseMessage, Generic[T]):
        payload: T

    class Number(Envelope[int]):
        action: Literal["number"] = "number"

    assert Number(payload=1).payload == 1
    assert actions_of(Envelope[int]) == ()
    with pytest.raises(TypeError, match="does not say which action"):

        class Nameless(Envelope[int]):
            pass


def test_a_generic_message_is_a_message_with_any_parameter():
    class Reply(BaseMessage, Generic[T]):
        action: Literal["reply"] = "reply"
        payload: T

    assert actions_of(Reply[int]) == ("reply",)


def test_the_action_itself_may_be_the_parameter():
    class Command(BaseMessage, Generic[T]):
        action: T

    assert actions_of(Command[Literal["stop"]]) == ("stop",)
