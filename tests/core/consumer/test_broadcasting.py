"""Messages and events between connections."""

import asyncio
import json
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.consumer.mixin import (
    UnhandledEventError,
    WebsocketConsumerMixin,
)
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.core.observe import reports
from chanx_testing.messages.base import BaseMessage
from tests.support.messages import Degrees
from tests.support.raw_client import Client


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: Any = None


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Any = None


class Notice(BaseMessage):
    action: Literal["notice"] = "notice"
    payload: Any = None


class Crash(BaseMessage):
    action: Literal["crash"] = "crash"


class Unknown(BaseMessage):
    action: Literal["unknown"] = "unknown"


class Room(AsyncJsonWebsocketConsumer):
    send_completion = True
    groups = ["room"]
    emits = [Said]

    @ws_handler
    async def say(self, message: Say) -> None:
        await self.broadcast_message(
            Said(payload=message.payload), exclude_current=message.payload == "others"
        )

    @ws_handler
    async def too_hot(self, message: Degrees) -> None:
        await self.broadcast_message(Degrees(payload=float("inf")))

    @event_handler
    async def on_notice(self, event: Notice) -> Said:
        return Said(payload=event.payload)

    @event_handler
    async def on_crash(self, event: Crash) -> None:
        raise LookupError("the password is hunter2")


class Groupless(AsyncJsonWebsocketConsumer):
    @ws_handler
    async def say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload))


class Layerless(Room):
    channel_layer_alias = "nowhere"


@pytest.fixture
def intercepted():
    """Every broadcast of this process, none of which is sent."""
    broadcasts: list[reports.Broadcast] = []

    def intercept(broadcast):
        broadcasts.append(broadcast)
        return True

    reports.add_interceptor(intercept)
    yield broadcasts
    reports.remove_interceptor(intercept)


class TestBroadcastMessage:
    async def test_without_groups_it_says_what_to_pass(self):
        async with Client(Groupless) as client:
            await client.send({"action": "say"})
            await client.frame()
            error, _ = client.watcher.failures[0]
        assert isinstance(error, ValueError)
        assert "Groupless.broadcast_message() does not know whom to reach" in str(error)
        assert "Pass `groups=`" in str(error)

    async def test_what_is_no_json_fails_where_it_is_sent(self):
        async with Client(Room) as sender, Client(Room) as other:
            await sender.ask({"action": "degrees", "payload": 1})
            assert len(sender.watcher.failures) == 1
            await sender.send({"action": "say"})
            assert [
                frame["action"] for frame in await other.until("group_complete")
            ] == ["said"]

    async def test_each_member_gets_it_and_the_completion(self):
        async with Client(Room) as sender, Client(Room) as other:
            assert await sender.ask({"action": "say", "payload": 1}) == []
            said = [{"action": "said", "payload": 1}]
            assert await sender.until("group_complete") == said
            assert await other.until("group_complete") == said

    async def test_the_sender_may_be_left_out(self):
        async with Client(Room) as sender, Client(Room) as other:
            await sender.ask({"action": "say", "payload": "others"})
            await other.until("group_complete")
            assert sender.watcher.received == []
        assert sender.outbox.empty()

    async def test_the_sender_and_its_receivers_report_it(self):
        async with Client(Room) as sender, Client(Room) as other:
            await sender.ask({"action": "say", "payload": 1})
            await other.until("group_complete")
            (broadcast,) = sender.watcher.sent
            assert broadcast.method == "broadcast_message"
            assert broadcast.consumer is Room
            assert broadcast.message == Said(payload=1)
            assert other.watcher.received == [broadcast.id]

    async def test_each_receiver_puts_it_into_its_own_wire_format(self):
        class Typed(Room):
            discriminator_field = "type"

        async with Client(Room) as sender, Client(Typed) as other:
            await sender.ask({"action": "say", "payload": 1})
            assert (await other.frame()) == {"type": "said", "payload": 1}

    async def test_only_a_message_can_be_sent(self):
        with pytest.raises(TypeError, match="takes a BaseMessage, not dict"):
            await Room().broadcast_message({"action": "said"})

    async def test_one_that_cannot_be_sent_on_does_not_end_the_receiver(self, caplog):
        async with Client(Room) as client:
            content = {"type": "handle_group_message", "message": {"x": float("nan")}}
            await get_channel_layer().group_send("room", content)
            assert await client.until("group_complete") == []
            assert len(client.watcher.failures) == 1
        assert len(caplog.records) == 1


class TestEvents:
    async def test_without_groups_it_says_what_to_pass(self):
        with pytest.raises(
            ValueError,
            match=r"Groupless\.broadcast_event\(\) does not know whom",
        ):
            await Groupless.broadcast_event(Notice())

    async def test_without_a_layer_it_names_the_alias_and_the_setting(self):
        with pytest.raises(RuntimeError) as caught:
            await Layerless.broadcast_event(Notice())
        assert "Layerless needs a channel layer" in str(caught.value)
        assert "alias 'nowhere' (its channel_layer_alias)" in str(caught.value)
        assert "settings.CHANNEL_LAYERS" in str(caught.value)

    async def test_a_connection_that_needs_a_layer_says_so_too(self):
        with pytest.raises(RuntimeError, match="alias 'nowhere'"):
            await Client(Layerless).start()

    async def test_only_a_message_is_an_event(self):
        with pytest.raises(TypeError, match="takes a BaseMessage, not str"):
            await Room.broadcast_event("notice")

    async def test_a_consumer_without_a_framework_says_where_one_is(self):
        class Bare(WebsocketConsumerMixin):
            pass

        with pytest.raises(
            NotImplementedError, match=r"chanx_testing\.channels\.webso"
        ):
            await Bare.broadcast_event(Notice(), "room")

    async def test_each_member_runs_its_handler(self):
        async with Client(Room) as client:
            await Room.broadcast_event(Notice(payload=7))
            assert await client.until("event_complete") == [
                {"action": "said", "payload": 7}
            ]

    @pytest.mark.parametrize(
        "groups", ["room", ["room"], ("room", "empty"), {"room"}, ["room", "room"]]
    )
    async def test_groups_are_a_name_or_names(self, groups):
        async with Client(Room) as client:
            await Room.broadcast_event(Notice(payload=7), groups)
            await Room.broadcast_event(Notice(payload="end"))
            frames = [
                *await client.until("event_complete"),
                *await client.until("event_complete"),
            ]
            assert [frame["payload"] for frame in frames] == [7, "end"]

    async def test_no_groups_are_nobody(self):
        await Room.broadcast_event(Notice(), [])

    async def test_one_connection_may_be_meant(self):
        class Named(Room):
            async def post_authentication(self):
                await self.send_json({"channel": self.channel_name})

        async with Client(Named) as client:
            name = (await client.frame())["channel"]
            await Named.send_event(Notice(payload=7), name)
            assert await client.until("event_complete") == [
                {"action": "said", "payload": 7}
            ]

    async def test_a_handler_that_raises_is_reported_and_logged_and_not_told(
        self, caplog
    ):
        async with Client(Room) as client:
            await Room.broadcast_event(Crash())
            assert await client.until("event_complete") == []
            error, doing = client.watcher.failures[0]
        assert str(error) == "the password is hunter2"
        assert doing == "Room: on_crash() with the event 'crash'"
        assert caplog.records[0].exc_info[0] is LookupError

    async def test_an_event_that_nobody_handles_is_reported_and_logged(self, caplog):
        async with Client(Room) as client:
            await Room.broadcast_event(Unknown())
            assert await client.until("event_complete") == []
            error, _ = client.watcher.failures[0]
        assert isinstance(error, UnhandledEventError)
        assert str(error) == (
            "Room has no @event_handler for the event 'unknown' that was sent to it; "
            "it handles: 'notice', 'crash'."
        )
        assert caplog.records[0].exc_info[0] is UnhandledEventError

    async def test_an_event_that_is_not_valid_is_reported(self):
        async with Client(Room) as client:
            content = {
                "type": "handle_channel_event",
                "event_data": {"action": "crash", "payload": 1},
            }
            content["event_data"]["action"] = []
            await get_channel_layer().group_send("room", content)
            assert await client.until("event_complete") == []
            assert len(client.watcher.failures) == 1

    async def test_no_completion_is_sent_unless_asked_for(self):
        class Silent(Room):
            send_completion = False

        async with Client(Silent) as client:
            await Silent.broadcast_event(Notice(payload=1))
            await Silent.broadcast_event(Notice(payload=2))
            assert [(await client.frame())["payload"] for _ in "ab"] == [1, 2]


class TestSynchronousTwins:
    async def test_on_the_thread_of_a_loop_they_say_what_to_await(self):
        with pytest.raises(
            RuntimeError, match=r"`await Room\.broadcast_event\(\.\.\.\)`"
        ):
            Room.broadcast_event_sync(Notice())
        with pytest.raises(RuntimeError, match=r"`await Room\.send_event\(\.\.\.\)`"):
            Room.send_event_sync(Notice(), "channel")

    async def test_they_work_in_a_thread(self):
        class Named(Room):
            async def post_authentication(self):
                await self.send_json({"channel": self.channel_name})

        async with Client(Named) as client:
            name = (await client.frame())["channel"]
            await sync_to_async(Named.broadcast_event_sync)(Notice(payload=1))
            await sync_to_async(Named.send_event_sync)(Notice(payload=2), name)
            frames = [
                *await client.until("event_complete"),
                *await client.until("event_complete"),
            ]
        assert [frame["payload"] for frame in frames] == [1, 2]

    def test_they_work_without_a_loop(self):
        Room.broadcast_event_sync(Notice())


class TestAnnouncement:
    """Who captures broadcasts sees them, with or without somebody to get them."""

    async def test_a_captured_event_needs_no_groups_and_no_layer(self, intercepted):
        await Groupless.broadcast_event(Notice())
        await Layerless.send_event(Notice(), "channel")
        assert [
            (b.method, b.consumer, b.groups, b.channel_name) for b in intercepted
        ] == [
            ("broadcast_event", Groupless, None, None),
            ("send_event", Layerless, None, "channel"),
        ]

    def test_the_synchronous_twins_are_seen_as_what_they_do(self, intercepted):
        Room.broadcast_event_sync(Notice(), ["a"])
        Room.send_event_sync(Notice(), "channel")
        assert [b.method for b in intercepted] == ["broadcast_event", "send_event"]
        assert intercepted[0].groups == ["a"]

    async def test_a_captured_broadcast_reaches_nobody(self, intercepted):
        async with Client(Room) as client:
            await client.ask({"action": "say", "payload": 1})
        assert client.outbox.empty()
        assert intercepted[0].message == Said(payload=1)

    async def test_a_closed_connection_handles_no_event(self):
        ran = []

        class Closing(Room):
            async def post_authentication(self):
                await self.close()

            @event_handler
            async def on_notice(self, event: Notice) -> None:
                ran.append(event)

        async with Client(Closing) as client:
            assert (await client.event())["type"] == "websocket.close"
            await Closing.broadcast_event(Notice())
            await asyncio.sleep(0)
        assert ran == []


def test_what_travels_is_json():
    """Channel layers in other processes get no Python objects."""

    sent = []

    class Layer:
        async def group_send(self, group, content):
            sent.append(json.dumps(content))

    class Consumer(Room):
        @classmethod
        def get_channel_layer(cls, alias):
            return Layer()

    Consumer.broadcast_event_sync(Notice(payload={"set": {1}}))
    assert json.loads(sent[0])["event_data"] == {
        "action": "notice",
        "payload": {"set": [1]},
    }
