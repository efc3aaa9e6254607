"""Channel layers on a real Redis: both of channels_redis.

They run where ``CHANX_TEST_REDIS_URL`` names a server.
"""

import os
import subprocess
import sys
import uuid

import pytest
from channels.layers import get_channel_layer
from django.test import override_settings

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.constants import EVENT_ACTION_COMPLETE, GROUP_ACTION_COMPLETE
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.core.idle import VerdictKind
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.cases import passes
from tests.support.messages import Say

URL = os.environ.get("CHANX_TEST_REDIS_URL")


LAYERS = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}


pytestmark = [
    pytest.mark.skipif(URL is None, reason="CHANX_TEST_REDIS_URL names no server"),
    pytest.mark.django_db(transaction=True),
]


class RoomConsumer(AsyncJsonWebsocketConsumer):
    groups = ["room"]
    send_completion = True

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=Say)
    async def say(self, message: Say) -> None:
        await self.broadcast_message(message)

    @event_handler
    async def told(self, event: Say) -> Say:
        return event


class QuietConsumer(RoomConsumer):
    send_completion = False


class Case(WebsocketTestCase):
    __test__ = False
    router = RoomConsumer.as_asgi()
    consumer = RoomConsumer
    ws_path = "/ws/"

    async def connect(self, **options):
        communicator = self.create_communicator(**options)
        assert await communicator.connect() == (True, None)
        return communicator


@pytest.fixture(params=sorted(LAYERS))
def layers(request):
    """Settings for one layer, with keys that no other test shares."""
    config = {"hosts": [URL], "prefix": f"chanx-{uuid.uuid4().hex}"}
    return {"default": {"BACKEND": LAYERS[request.param], "CONFIG": config}}


@pytest.fixture
def run(layers):
    def run(case, **chanx):
        with override_settings(CHANNEL_LAYERS=layers, CHANX=chanx):
            passes(case)

    return run


def test_waits_end_by_proof_although_a_socket_is_open(run):
    class Proving(Case):
        async def test(self):
            comm = await self.connect()
            await comm.send_message(PingMessage())
            assert await comm.receive_all_messages() == [PongMessage()]
            verdict = await comm.wait_until_idle(timeout=3)
            assert verdict, verdict
            for _ in range(20):
                await comm.receive_nothing(timeout=3)

    run(Proving)


def test_a_group_message_reaches_every_member(run):
    class Talking(Case):
        async def test(self):
            first, second = await self.connect(), await self.connect()
            await first.send_message(Say(payload="hello"))
            for comm in (first, second):
                messages = await comm.receive_all_messages(GROUP_ACTION_COMPLETE)
                assert messages == [Say(payload="hello")]
                assert await comm.receive_all_json() in (
                    [],
                    [{"action": "complete", "payload": None}],
                )

    run(Talking)


def test_a_broadcast_right_after_connect_is_not_lost(run):
    class Prompt(Case):
        async def test(self):
            comm = await self.connect()
            await RoomConsumer.broadcast_event(Say(payload="at once"))
            assert await comm.receive_all_messages(EVENT_ACTION_COMPLETE) == [
                Say(payload="at once")
            ]

    run(Prompt)


def test_a_message_under_way_is_waited_for(run):
    class Quiet(Case):
        consumer = QuietConsumer
        router = QuietConsumer.as_asgi()

        async def test(self):
            first, second = await self.connect(), await self.connect()
            for number in range(100):
                await first.send_message(Say(payload=str(number)))
                for comm in (first, second):
                    assert await comm.receive_all_messages(timeout=5) == [
                        Say(payload=str(number))
                    ]

    run(Quiet)


@pytest.mark.slow
def test_messages_of_other_processes_are_waited_for_where_the_layer_is_shared(
    run, layers
):
    script = f"""
import asyncio
from django.conf import settings
settings.configure(CHANNEL_LAYERS={layers!r})
from channels.layers import get_channel_layer

async def main():
    layer = get_channel_layer()
    await layer.group_send("room", {{"type": "tell.everybody"}})

asyncio.run(main())
"""

    class Shared(Case):
        class Telling(QuietConsumer):
            async def tell_everybody(self, event):
                await self.send_message(Say(payload="from afar"))

        consumer = Telling
        router = Telling.as_asgi()

        async def test(self):
            comm = await self.connect()
            # Not asyncio's own: a child of the loop would be waited for by itself.
            command = [sys.executable, "-c", script]
            process = subprocess.Popen(command)  # noqa: ASYNC220 - returns at once
            message = await comm.receive_message(timeout=20)
            assert message == Say(payload="from afar")
            assert process.wait() == 0
            verdict = await comm.wait_until_idle(timeout=0.05)
            assert verdict.kind is VerdictKind.DEADLINE
            assert any("other processes" in reason for reason in verdict.reasons)

    run(Shared, TEST_LAYER_SHARED=True)


def test_the_layer_has_its_own_methods_again_after_the_test(run, layers):
    seen = []

    class Looking(Case):
        async def test(self):
            await self.connect()
            layer = get_channel_layer()
            seen.append((layer, "group_send" in vars(layer)))

    run(Looking)
    ((layer, watched),) = seen
    assert watched
    assert not set(vars(layer)) & {"send", "receive", "group_send", "group_add"}
