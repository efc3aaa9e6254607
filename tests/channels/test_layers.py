"""The channel layers of a project, while a test is connected."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer as StockConsumer
from channels.layers import get_channel_layer

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.constants import EVENT_ACTION_COMPLETE
from chanx_testing.core.decorators import event_handler
from tests.support.absent import run_code
from tests.support.cases import passes
from tests.support.idle import fine_switching
from tests.support.messages import Notice

pytestmark = pytest.mark.django_db(transaction=True)


class NoticeConsumer(AsyncJsonWebsocketConsumer):
    groups = ["everybody"]

    @event_handler
    async def notice(self, event: Notice) -> Notice:
        return event


class ForeignConsumer(StockConsumer):
    """A consumer that knows nothing of this package."""

    groups = ["everybody"]

    async def notice(self, message):
        await self.send_json({"text": message["text"]})


def in_a_thread(function, *args):
    threading.Thread(target=function, args=args).start()


def held_up_by_a_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


def in_a_pool(function, *args):
    with ThreadPoolExecutor() as pool:
        pool.submit(function, *args)


WAYS = {
    "a thread": in_a_thread,
    "a thread that the test waits for": held_up_by_a_thread,
    "a pool": in_a_pool,
    "to_thread": asyncio.to_thread,
    "sync_to_async": lambda function, *args: sync_to_async(function)(*args),
    "sync_to_async on any thread": lambda function, *args: sync_to_async(
        function, thread_sensitive=False
    )(*args),
}


async def begun(way, function, *args):
    started = WAYS[way](function, *args)
    if started is not None:
        await started


class Case(WebsocketTestCase):
    __test__ = False
    router = NoticeConsumer.as_asgi()
    consumer = NoticeConsumer
    ws_path = "/ws/"


def the_notice_arrives(way, rounds):
    class Telling(Case):
        async def test(self):
            comm = self.auth_communicator
            await comm.connect()
            for number in range(rounds):
                notice = Notice(payload=str(number))
                await begun(way, NoticeConsumer.broadcast_event_sync, notice)
                messages = await comm.receive_all_messages(EVENT_ACTION_COMPLETE)
                assert messages == [notice]

    passes(Telling)


def the_group_message_arrives(way, rounds):
    class Telling(Case):
        router = ForeignConsumer.as_asgi()

        async def test(self):
            layer = get_channel_layer()
            comms = [self.create_communicator(consumer=None) for _ in range(2)]
            for comm in comms:
                await comm.connect()
            for number in range(rounds):
                message = {"type": "notice", "text": f"{number}"}

                # Made in the thread: one that is made here would post to this loop with
                # older versions of asgiref, and wait forever where it is held up.
                def send(*args):
                    async_to_sync(layer.group_send)(*args)

                await begun(way, send, "everybody", message)
                for comm in comms:
                    assert await comm.receive_json(timeout=5) == {"text": f"{number}"}
                    await comm.receive_nothing(timeout=5)

    passes(Telling)


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_broadcasts_an_event(way):
    the_notice_arrives(way, rounds=5)


@pytest.mark.parametrize("way", WAYS)
def test_a_thread_sends_to_a_group(way):
    the_group_message_arrives(way, rounds=5)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_thread_broadcasts_an_event_every_time(way):
    with fine_switching():
        the_notice_arrives(way, rounds=1000)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_thread_sends_to_a_group_every_time(way):
    with fine_switching():
        the_group_message_arrives(way, rounds=1000)


def test_a_layer_is_its_own_where_nobody_connects():
    class Looking(Case):
        async def test(self):
            layer = get_channel_layer()
            assert not set(vars(layer)) & {"send", "receive", "group_send"}
            await self.auth_communicator.connect()
            assert set(vars(layer)) >= {"send", "receive", "group_send"}
            await self.auth_communicator.disconnect()
            assert not set(vars(layer)) & {"send", "receive", "group_send"}

    passes(Looking)


@pytest.mark.slow
def test_no_package_of_a_layer_is_imported_within_the_time_limit_of_connect():
    run = run_code(
        (),
        dedent("""
        import asyncio, sys
        from django.conf import settings
        settings.configure(
            CHANNEL_LAYERS={
                "default": {
                    "BACKEND": "channels_redis.core.RedisChannelLayer",
                    "CONFIG": {"hosts": ["redis://127.0.0.1:1"]},
                }
            }
        )
        import django
        django.setup()
        from chanx_testing.channels.testing import WebsocketCommunicator
        from chanx_testing.core.client import frame_communicator
        from chanx_testing.core.idle import new_event_loop

        async def application(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept"})
            await receive()

        original = frame_communicator.deadline_after
        loaded = []

        def deadline_after(*args):
            loaded.append(set(sys.modules))
            return original(*args)

        frame_communicator.deadline_after = deadline_after

        async def main():
            assert "channels_redis" not in sys.modules
            communicator = WebsocketCommunicator(application, "/")
            await communicator.connect()
            late = set(sys.modules) - loaded[0]
            await communicator.disconnect()
            assert "channels_redis.core" in loaded[0]
            assert late == set(), late

        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
        """),
    )
    assert run.returncode == 0, run.stderr
