"""What a message looks like on the wire, and as which type it is read."""

from types import SimpleNamespace
from typing import Literal

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter

from chanx_testing.core.client.communicator import (
    WebsocketCommunicator as AnyCommunicator,
)
from chanx_testing.core.client.errors import UndeclaredMessage
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.client.language import Language
from chanx_testing.core.settings import SETTINGS
from chanx_testing.messages.base import BaseMessage
from tests.support import apps


class Plain(BaseModel):
    text: str


async def test_any_model_can_be_sent_and_decoded():
    connection = AnyCommunicator(apps.echo, "/ws/", message_types=[Plain])
    async with connection:
        await connection.send_message(Plain(text="hello"))
        assert await connection.receive_message() == Plain(text="hello")


async def test_the_root_of_a_model_may_be_a_list():
    class Numbers(RootModel[list[int]]):
        pass

    connection = AnyCommunicator(apps.echo, "/ws/", message_types=[Numbers])
    async with connection:
        await connection.send_message(Numbers([1, 2]))
        assert await connection.receive_message() == Numbers([1, 2])


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: str


class Speaker:
    """A consumer that declares its messages, and keeps its settings as attributes."""

    outgoing_message_adapter = TypeAdapter(Said)
    outgoing_actions = frozenset({"said"})
    discriminator_field = "type"
    camelize = True
    send_completion = True


def frame(text):
    return Frame({"type": "websocket.send", "text": text}, 1)


class Handle:
    """As much of a communicator as a language asks."""

    def __init__(self, consumer):
        self.consumer = consumer
        self.action_key = getattr(consumer, "discriminator_field", "action")

    def resolve_setting(self, name):
        attribute = SETTINGS[name].attribute
        return getattr(self.consumer, attribute, SETTINGS[name].default)


def language_of(consumer=None, message_types=None):
    handle = Handle(consumer)
    return Language(lambda: handle, message_types)


class TestHandle:
    def test_is_asked_each_time(self):
        handle = Handle(Speaker)
        language = Language(lambda: handle)
        assert language.action_of({"kind": "no", "type": "said"}) == "said"
        handle.action_key = "kind"
        assert language.action_of({"kind": "said", "type": "no"}) == "said"

    def test_may_be_gone(self):
        language = Language(lambda: None)
        assert language.consumer is None
        assert language.action_key == "action"
        assert language.setting("SEND_COMPLETION") is False
        assert language.is_error(frame('{"action": "error"}'))


class TestMessages:
    def test_travel_with_the_keys_of_the_wire(self):
        language = language_of(Speaker)
        content = language.encode(Said(payload="hello"))
        assert content == {"type": "said", "payload": "hello"}
        assert language.decode(content) == Said(payload="hello")

    def test_need_not_be_objects(self):
        language = language_of(None, [RootModel[list[int]]])
        assert language.encode(RootModel([1, 2])) == [1, 2]
        assert language.decode([1, 2]).root == [1, 2]

    def test_that_are_not_declared_are_an_error(self):
        with pytest.raises(UndeclaredMessage, match=r"Speaker declares \(actions said"):
            language_of(Speaker).decode({"type": "shouted"})

    def test_of_unknown_types_are_an_error(self):
        with pytest.raises(TypeError, match="behind /ws/ is not known"):
            language_of().require_types("/ws/")
        with pytest.raises(TypeError, match="SimpleNamespace declares no messages"):
            consumer = SimpleNamespace(__name__="SimpleNamespace")
            language_of(consumer).require_types("/ws/")


class TestSignals:
    @pytest.mark.parametrize("action", ["complete", "group_complete", "event_complete"])
    def test_of_a_consumer_that_declares_messages(self, action):
        assert language_of(Speaker).is_completion(frame(f'{{"type": "{action}"}}'))
        assert not language_of().is_completion(frame(f'{{"action": "{action}"}}'))

    @pytest.mark.parametrize("text", ['{"type": []}', '{"type": {}}', "[1]", "no json"])
    def test_anything_else_is_none(self, text):
        language = language_of(Speaker)
        assert not language.is_completion(frame(text))
        assert not language.is_error(frame(text))
        assert not language.is_authentication(frame(text))
        assert not language.note_completion(frame(text).content)

    def test_that_came_are_expected_again(self):
        language = language_of()
        assert not language.sends_completion()
        assert language.note_completion({"action": "complete"})
        assert language.sends_completion()

    def test_are_expected_of_a_consumer_that_is_set_so(self):
        assert language_of(Speaker).sends_completion()
