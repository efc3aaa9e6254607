"""The core of a consumer is the same over Channels and over fast-channels."""

import pytest
from channels.layers import get_channel_layer as channels_layer
from fast_channels.consumer import AsyncJsonWebsocketConsumer as FastConsumer
from fast_channels.exceptions import StopConsumer
from fast_channels.layers import InMemoryChannelLayer, channel_layers
from fast_channels.layers import get_channel_layer as fast_layer

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.consumer.mixin import WebsocketConsumerMixin
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.messages import Notice
from tests.support.raw_client import Client


class FastBase(WebsocketConsumerMixin, FastConsumer):
    """The few lines that a framework needs."""

    channel_layer_alias = "default"
    passing_exceptions = (StopConsumer,)

    @classmethod
    def get_channel_layer(cls, alias):
        return fast_layer(alias) if alias else None


@pytest.fixture(params=[AsyncJsonWebsocketConsumer, FastBase])
def consumer(request):
    class Consumer(request.param):
        send_completion = True
        groups = ["everybody"]

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

        @ws_handler
        async def say(self, message: Notice) -> None:
            await self.broadcast_message(message)

        @event_handler
        async def notice(self, event: Notice) -> Notice:
            return event

    before = channel_layers.get("default")
    channel_layers.register("default", InMemoryChannelLayer())
    yield Consumer
    channel_layers.unregister("default")
    if before is not None:
        channel_layers.register("default", before)


async def test_a_message_is_handled(consumer):
    async with Client(consumer) as client:
        assert await client.ask({"action": "ping"}) == [
            {"action": "pong", "payload": None}
        ]
        assert (await client.ask("{"))[0]["action"] == "error"


async def test_a_message_is_broadcast(consumer):
    async with Client(consumer) as client, Client(consumer) as other:
        await client.ask({"action": "notice", "payload": "hi"})
        assert await other.until("group_complete") == [
            {"action": "notice", "payload": "hi"}
        ]


async def test_an_event_is_handled(consumer):
    async with Client(consumer) as client:
        await consumer.broadcast_event(Notice(payload="hi"))
        assert await client.until("event_complete") == [
            {"action": "notice", "payload": "hi"}
        ]


async def test_the_groups_are_left(consumer):
    layers = {AsyncJsonWebsocketConsumer: channels_layer, FastBase: fast_layer}
    layer = layers[consumer.__base__]("default")
    async with Client(consumer):
        assert len(layer.groups["everybody"]) == 1
    assert "everybody" not in layer.groups


async def test_a_layer_that_is_not_there_is_named():
    class Layerless(FastBase):
        channel_layer_alias = None

    with pytest.raises(RuntimeError, match=r"alias None .* register a channel layer"):
        await Layerless.broadcast_event(Notice(payload=""), "everybody")


async def test_without_groups_no_layer_is_needed():
    class Layerless(FastBase):
        channel_layer_alias = None
        send_completion = True

        @ws_handler
        async def ping(self, message: PingMessage) -> PongMessage:
            return PongMessage()

    async with Client(Layerless) as client:
        assert await client.ask({"action": "ping"})
