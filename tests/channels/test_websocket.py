"""What the consumer takes from Django and from Channels."""

import logging
from typing import Any, Literal

import pytest
from channels.exceptions import AcceptConnection, DenyConnection
from django.test import override_settings

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from tests.support.raw_client import Client


class Echo(BaseMessage):
    action: Literal["echo"] = "echo"
    payload: Any = None


class Consumer(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def echo(self, message: Echo) -> Echo:
        return message


async def actions(client, *payloads):
    """The actions of what comes back up to the echo of ``"end"``."""
    for payload in (*payloads, "end"):
        await client.send({"action": "echo", "payload": payload})
    seen = []
    while (frame := await client.frame())["payload"] != "end":
        seen.append(frame["action"])
    return seen


async def test_completion_is_switched_off_and_on_again_within_a_connection():
    async with Client(Consumer) as client:
        with override_settings(CHANX={"SEND_COMPLETION": False}):
            assert await actions(client, 1, 2) == ["echo", "echo"]
        assert await actions(client, 1) == ["echo", "complete"]


async def test_the_attribute_wins_over_the_setting():
    class Silent(Consumer):
        send_completion = False

    async with Client(Silent) as client:
        assert await actions(client, 1) == ["echo"]
    assert Silent.resolve_setting("SEND_COMPLETION") is False


@override_settings(CHANX={"SEND_COMPLETION": True})
def test_a_setting_is_resolved_for_a_class():
    assert Consumer.resolve_setting("SEND_COMPLETION") is True
    assert Consumer.resolve_setting("MESSAGE_ACTION_KEY") == "action"


@override_settings(CHANX={"MESSAGE_ACTION_KEY": "type", "CAMELIZE": True})
async def test_the_wire_format_follows_the_settings():
    async with Client(Consumer) as client:
        await client.send({"type": "echo", "payload": {"userName": 1}})
        assert await client.frame() == {"type": "echo", "payload": {"userName": 1}}


@override_settings(CHANX={"MESSAGE_ACTION_KEY": "type"})
def test_a_discriminator_field_of_its_own_wins_over_the_setting():
    class Kinds(Consumer):
        discriminator_field = "kind"

    assert Kinds.resolve_setting("MESSAGE_ACTION_KEY") == "kind"
    assert Consumer.resolve_setting("MESSAGE_ACTION_KEY") == "type"


@override_settings(CHANX={})
async def test_messages_are_logged_unless_switched_off(caplog):
    caplog.set_level(logging.INFO, "chanx_testing.websocket")
    async with Client(Consumer) as client:
        await actions(client)
        with override_settings(CHANX={"LOG_WEBSOCKET_MESSAGE": False}):
            await actions(client)
    assert [r.websocket_direction for r in caplog.records] == ["in", "out"]


@override_settings(CHANX={"LOG_IGNORED_ACTIONS": ["echo"]})
async def test_ignored_actions_follow_the_setting(caplog):
    caplog.set_level(logging.INFO, "chanx_testing.websocket")
    async with Client(Consumer) as client:
        await actions(client)
    assert caplog.records == []


@override_settings(CHANNEL_LAYERS={})
async def test_a_consumer_without_groups_needs_no_channel_layer():
    async with Client(Consumer) as client:
        assert await actions(client, 1) == ["echo", "complete"]


@override_settings(CHANNEL_LAYERS={})
async def test_a_consumer_with_groups_says_which_setting_is_missing():
    class Grouped(Consumer):
        groups = ["everybody"]

    with pytest.raises(RuntimeError, match=r"'default' .*settings\.CHANNEL_LAYERS"):
        await Client(Grouped).start()


@pytest.mark.parametrize(
    ("decision", "event"),
    [(AcceptConnection, "websocket.accept"), (DenyConnection, "websocket.close")],
)
async def test_connect_may_decide_by_the_exceptions_of_channels(decision, event):
    class Deciding(Consumer):
        async def connect(self):
            raise decision

    client = Client(Deciding)
    assert (await client.start())["type"] == event
    await client.stop()
