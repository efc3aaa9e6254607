"""What the consumer takes from fast-channels."""

import logging
from typing import Any, Literal

import pytest
from fast_channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.core.settings import SETTINGS
from chanx_testing.core.testing import capture_broadcast_events
from chanx_testing.fast_channels.layers import in_memory_layers
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage


class Notice(BaseMessage):
    action: Literal["notice"] = "notice"
    payload: Any = None


class PingConsumer(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


class NoticeConsumer(PingConsumer):
    channel_layer_alias = "notices"
    groups = ["everybody"]
    send_completion = True

    @ws_handler
    async def say(self, message: Notice) -> None:
        await self.broadcast_message(message, exclude_current=True)

    @event_handler
    async def notice(self, event: Notice) -> Notice:
        return event


def client(consumer):
    return WebsocketCommunicator(consumer.as_asgi(), "/ws")


# Settings.


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_not_set_has_its_default(name):
    assert PingConsumer.resolve_setting(name) == SETTINGS[name].default


async def test_attributes_are_the_settings():
    class Camel(NoticeConsumer):
        groups = ()
        channel_layer_alias = None
        camelize = True
        discriminator_field = "type"

    async with client(Camel) as comm:
        await comm.send_json({"type": "ping"})
        assert [frame["type"] for frame in await comm.receive_all_json()] == [
            "pong",
            "complete",
        ]


async def test_messages_are_logged_where_it_is_asked_for(caplog):
    class Loud(PingConsumer):
        log_websocket_message = True

    caplog.set_level(logging.INFO, "chanx_testing.websocket")
    for consumer, logged in ((PingConsumer, []), (Loud, ["ping", "pong"])):
        caplog.clear()
        async with client(consumer) as comm:
            await comm.send_message(PingMessage())
            await comm.receive_message()
        assert [record.websocket_action for record in caplog.records] == logged


# The handshake.


@pytest.mark.parametrize(
    ("exception", "accepted"), [(AcceptConnection, True), (DenyConnection, False)]
)
async def test_the_exceptions_of_fast_channels_decide(exception, accepted):
    class Deciding(PingConsumer):
        async def connect(self):
            raise exception

    comm = client(Deciding)
    assert (await comm.connect()).accepted is accepted
    await comm.disconnect()


async def test_a_connection_that_is_not_answered_is_an_error():
    class Silent(PingConsumer):
        async def connect(self):
            pass

    with pytest.raises(RuntimeError, match="neither accepted nor closed"):
        await client(Silent).connect()


async def test_a_handler_may_stop_the_consumer():
    class Stopping(PingConsumer):
        @ws_handler
        async def stop(self, message: Notice) -> None:
            raise StopConsumer

    async with client(Stopping) as comm:
        await comm.send_message(Notice())
        await comm.receive_nothing()
        assert comm.future.done()


# The close.


async def test_close_after_a_message_has_the_usual_code():
    class Closing(PingConsumer):
        @ws_handler
        async def stop(self, message: Notice) -> None:
            await self.send_json({"action": "pong"}, close=True)

    async with client(Closing) as comm:
        await comm.send_message(Notice())
        closed = await comm.assert_closed(1000)
        assert len(closed.messages) == 1


async def test_close_has_its_code_and_reason():
    class Closing(PingConsumer):
        @ws_handler
        async def stop(self, message: Notice) -> None:
            await self.close(4001, "enough")

    async with client(Closing) as comm:
        await comm.send_message(Notice())
        await comm.assert_closed(4001, "enough")


async def test_the_consumer_is_told_how_the_client_left():
    seen = []

    class Curious(PingConsumer):
        async def disconnect(self, code):
            seen.append(code)

    comm = client(Curious)
    await comm.connect()
    await comm.disconnect(4002)
    assert seen == [4002]


async def test_a_binary_frame_is_answered():
    async with client(PingConsumer) as comm:
        await comm.send_bytes(b"\x00")
        assert (await comm.receive_message()).action == "error"


# The layer.


async def test_groups_without_an_alias_say_what_to_set():
    class Groups(NoticeConsumer):
        channel_layer_alias = None

    expected = (
        "Groups needs a channel layer for its groups and events, and it names none: "
        "set its channel_layer_alias to the alias of a layer that is registered with "
        "register_channel_layer() of fast_channels.layers."
    )
    with pytest.raises(RuntimeError) as caught:
        await client(Groups).connect()
    assert str(caught.value) == expected
    with pytest.raises(RuntimeError) as caught:
        await Groups.broadcast_event(Notice())
    assert str(caught.value) == expected


async def test_groups_without_a_layer_say_what_to_register():
    with in_memory_layers("others"), pytest.raises(RuntimeError) as caught:
        await client(NoticeConsumer).connect()
    message = str(caught.value)
    assert "none is registered under 'notices' (its channel_layer_alias)" in message
    assert "'others'" in message
    assert "register_channel_layer('notices', ...) of fast_channels.layers" in message


async def test_without_groups_no_layer_is_needed():
    async with client(PingConsumer) as comm:
        await comm.send_message(PingMessage())
        assert await comm.receive_all_messages() == [PongMessage()]


async def test_a_message_is_broadcast():
    with in_memory_layers("notices"):
        async with client(NoticeConsumer) as comm, client(NoticeConsumer) as other:
            await comm.send_message(Notice(payload="hi"))
            assert await other.receive_all_messages("group_complete") == [
                Notice(payload="hi")
            ]
            assert await comm.receive_all_messages() == []


async def test_an_event_is_broadcast_and_sent():
    with in_memory_layers("notices") as layers:
        async with client(NoticeConsumer) as comm:
            await NoticeConsumer.broadcast_event(Notice(payload="to all"))
            assert await comm.receive_all_messages("event_complete") == [
                Notice(payload="to all")
            ]
            (name,) = layers["notices"].groups["everybody"]
            await NoticeConsumer.send_event(Notice(payload="to one"), name)
            assert await comm.receive_all_messages("event_complete") == [
                Notice(payload="to one")
            ]
        assert layers["notices"].groups == {}


async def test_broadcasts_are_captured_without_a_layer():
    with capture_broadcast_events(NoticeConsumer) as captured:
        await NoticeConsumer.broadcast_event(Notice(), groups=["users"])
    assert [item["groups"] for item in captured] == [["users"]]


def test_a_broadcast_from_synchronous_code():
    with in_memory_layers("notices") as layers:
        layers["notices"].groups["everybody"] = {"specific.inmemory!a": 0}
        NoticeConsumer.broadcast_event_sync(Notice())
        assert layers["notices"].channels["specific.inmemory!a"].qsize() == 1


async def test_an_exception_in_a_handler_fails_the_test():
    class Failing(PingConsumer):
        @ws_handler
        async def fail(self, message: Notice) -> None:
            raise LookupError("no such room")

    with pytest.raises(LookupError, match="no such room"):
        async with client(Failing) as comm:
            await comm.send_message(Notice())
