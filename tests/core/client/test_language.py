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


class TestSettings:
    def test_the_consumer_decides(self):
        assert Language(Speaker).setting("MESSAGE_ACTION_KEY") == "type"
        assert Language(Speaker).action_key == "type"

    def test_a_consumer_of_this_package_is_asked(self):
        consumer = SimpleNamespace(resolve_setting=lambda name: f"{name} resolved")
        assert Language(consumer).setting("CAMELIZE") == "CAMELIZE resolved"

    def test_otherwise_the_framework_decides(self):
        language = Language(None, framework_setting=lambda name: f"{name} of it")
        assert language.setting("CAMELIZE") == "CAMELIZE of it"

    def test_otherwise_the_default(self):
        assert Language().setting("SEND_COMPLETION") is False
        assert Language().action_key == "action"

    def test_a_key_of_the_communicator_wins(self):
        language = Language(Speaker)
        language.own_action_key = "kind"
        assert language.action_of({"kind": "said", "type": "no"}) == "said"


class TestMessages:
    def test_travel_with_the_keys_of_the_wire(self):
        language = Language(Speaker)
        content = language.encode(Said(payload="hello"))
        assert content == {"type": "said", "payload": "hello"}
        assert language.decode(content) == Said(payload="hello")

    def test_need_not_be_objects(self):
        language = Language(None, [RootModel[list[int]]])
        assert language.encode(RootModel([1, 2])) == [1, 2]
        assert language.decode([1, 2]).root == [1, 2]

    def test_that_are_not_declared_are_an_error(self):
        with pytest.raises(UndeclaredMessage, match=r"Speaker declares \(actions said"):
            Language(Speaker).decode({"type": "shouted"})

    def test_of_unknown_types_are_an_error(self):
        with pytest.raises(TypeError, match="behind /ws/ is not known"):
            Language().require_types("/ws/")
        with pytest.raises(TypeError, match="SimpleNamespace declares no messages"):
            consumer = SimpleNamespace(__name__="SimpleNamespace")
            Language(consumer).require_types("/ws/")


class TestSignals:
    @pytest.mark.parametrize("action", ["complete", "group_complete", "event_complete"])
    def test_of_a_consumer_that_declares_messages(self, action):
        assert Language(Speaker).is_completion(frame(f'{{"type": "{action}"}}'))
        assert not Language().is_completion(frame(f'{{"action": "{action}"}}'))

    @pytest.mark.parametrize("text", ['{"type": []}', '{"type": {}}', "[1]", "no json"])
    def test_anything_else_is_none(self, text):
        language = Language(Speaker)
        assert not language.is_completion(frame(text))
        assert not language.is_error(frame(text))
        assert not language.is_authentication(frame(text))
        assert not language.note_completion(frame(text).content)

    def test_that_came_are_expected_again(self):
        language = Language()
        assert not language.sends_completion()
        assert language.note_completion({"action": "complete"})
        assert language.sends_completion()

    def test_are_expected_of_a_consumer_that_is_set_so(self):
        assert Language(Speaker).sends_completion()
