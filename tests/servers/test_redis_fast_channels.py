"""Channel layers of fast-channels on a real Redis: both kinds.

They run where ``CHANX_TEST_REDIS_URL`` names a server.
"""

import os
import uuid

import pytest
from fast_channels.layers import channel_layers
from fast_channels.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer

from chanx_testing.constants import GROUP_ACTION_COMPLETE
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.core.idle import VerdictKind
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from tests.support.messages import Say

URL = os.environ.get("CHANX_TEST_REDIS_URL")


ALIAS = "redis-under-test"


pytestmark = pytest.mark.skipif(
    URL is None, reason="CHANX_TEST_REDIS_URL names no server"
)


class RoomConsumer(AsyncJsonWebsocketConsumer):
    channel_layer_alias = ALIAS
    groups = ["room"]
    send_completion = True

    @ws_handler(output_type=Say)
    async def say(self, message: Say) -> None:
        await self.broadcast_message(message)

    @event_handler
    async def told(self, event: Say) -> Say:
        return event


def registered(kind):
    layer = kind(hosts=[URL], prefix=f"chanx-{uuid.uuid4().hex}")
    channel_layers.register(ALIAS, layer)
    return layer


@pytest.fixture(params=[RedisChannelLayer, RedisPubSubChannelLayer])
def any_layer(request):
    yield registered(request.param)
    channel_layers.unregister(ALIAS)


@pytest.fixture
def layer():
    yield registered(RedisChannelLayer)
    channel_layers.unregister(ALIAS)


@pytest.fixture
def pubsub_layer():
    yield registered(RedisPubSubChannelLayer)
    channel_layers.unregister(ALIAS)


def client(kind=WebsocketCommunicator):
    return kind(RoomConsumer.as_asgi(), "/ws/", consumer=RoomConsumer)


async def test_waits_end_by_proof_although_a_socket_is_open(layer):
    async with client() as comm:
        verdict = await comm.wait_until_idle(timeout=3)
        assert verdict, verdict


async def test_a_group_message_reaches_every_member(any_layer):
    async with client() as first, client() as second:
        await first.send_message(Say(payload="hello"))
        for comm in (first, second):
            messages = await comm.receive_all_messages(GROUP_ACTION_COMPLETE)
            assert messages == [Say(payload="hello")]


async def test_a_shared_layer_is_never_quiet(layer):
    class Shared(WebsocketCommunicator):
        layer_shared = True

    async with client(Shared) as comm:
        verdict = await comm.wait_until_idle(timeout=0.05)
        assert verdict.kind is VerdictKind.DEADLINE
        assert any("other processes" in reason for reason in verdict.reasons)


async def test_a_layer_whose_methods_cannot_be_counted_keeps_the_deadline(
    pubsub_layer,
):
    async with client() as comm:
        # Before its first look at Redis, after 0.1 s, the layer would notice nothing.
        verdict = await comm.wait_until_idle(timeout=0.3)
        assert verdict.kind is VerdictKind.DEADLINE
        assert any("a pub/sub listener" in reason for reason in verdict.reasons)
        assert "send" not in vars(pubsub_layer)
