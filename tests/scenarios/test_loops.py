"""Event loops, clean-up in every order, and a clock that stands still."""

import asyncio
import gc
import itertools
import warnings

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.core.client.errors import WrongEventLoop
from chanx_testing.core.unawaited import calls_of_test
from tests.support import apps


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


class Greeter(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.send_json("hello")


class TestLoops:
    def test_one_scenario_in_one_loop(self):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")

        async def scenario():
            await communicator.connect()
            await communicator.send_json_to("hello")
            answer = await communicator.receive_json_from()
            await communicator.disconnect()
            return answer

        assert async_to_sync(scenario)() == "hello"

    def test_each_call_in_a_loop_of_its_own_gets_what_is_there(self):
        communicator = WebsocketCommunicator(Greeter.as_asgi(), "/")
        assert async_to_sync(communicator.connect)() == (True, None)
        assert async_to_sync(communicator.receive_json_from)() == "hello"
        async_to_sync(communicator.disconnect)()

    def test_a_rejection_is_one_call(self):
        communicator = WebsocketCommunicator(apps.rejecting(4003), "/")
        assert async_to_sync(communicator.connect)() == (False, 4003)
        async_to_sync(communicator.disconnect)()

    @pytest.mark.parametrize(
        ("verb", "args"),
        [
            ("send_json_to", ["hello"]),
            ("send_input", [{"type": "websocket.receive", "text": "hello"}]),
            ("receive_json_from", []),
            ("receive_nothing", []),
            ("wait", []),
        ],
    )
    def test_a_verb_that_needs_the_first_loop_says_so(self, verb, args):
        """With Channels' communicator this is a CancelledError."""
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        async_to_sync(communicator.connect)()
        with pytest.raises(WrongEventLoop, match="loop of its own"):
            async_to_sync(getattr(communicator, verb))(*args)
        async_to_sync(communicator.disconnect)()

    def test_a_loop_that_goes_on_is_told_from_another_one(self):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        with asyncio.Runner() as first, asyncio.Runner() as second:
            first.run(communicator.connect())
            with pytest.raises(WrongEventLoop, match="loop of its own"):
                second.run(communicator.receive_json_from())
            first.run(communicator.disconnect())

    def test_one_runner_for_many_calls(self):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        with asyncio.Runner() as runner:
            runner.run(communicator.connect())
            runner.run(communicator.send_json_to("hello"))
            assert runner.run(communicator.receive_json_from()) == "hello"
            runner.run(communicator.disconnect())


def clean(scenario):
    """Run ``scenario`` and a garbage collection with every warning an error."""
    reports = []

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda loop, context: reports.append(context)
        )
        await scenario()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        gc.collect()
    assert reports == []


class TestCleanup:
    """In every order, under warnings as errors, without a word from asyncio."""

    def test_never_disconnected(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.connect()

        clean(scenario)

    def test_never_connected(self):
        async def scenario():
            WebsocketCommunicator(Echo.as_asgi(), "/")

        clean(scenario)

    def test_disconnected_without_connect(self):
        async def scenario():
            await WebsocketCommunicator(Echo.as_asgi(), "/").disconnect()

        clean(scenario)

    def test_disconnected_after_a_rejection(self):
        async def scenario():
            communicator = WebsocketCommunicator(apps.rejecting(4001), "/")
            await communicator.connect()
            await communicator.disconnect()

        clean(scenario)

    def test_disconnected_after_wait(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.connect()
            await communicator.wait()
            await communicator.disconnect()

        clean(scenario)

    def test_disconnected_twice(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.connect()
            await communicator.disconnect()
            await communicator.disconnect()

        clean(scenario)

    def test_disconnected_by_two_tasks_at_once(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.connect()
            await asyncio.gather(communicator.disconnect(), communicator.disconnect())

        clean(scenario)

    def test_disconnected_after_its_close_was_received(self):
        async def scenario():
            communicator = WebsocketCommunicator(apps.closing(4000), "/")
            await communicator.connect()
            await communicator.receive_output()
            await communicator.disconnect()

        clean(scenario)

    def test_stopped(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.connect()
            communicator.stop(exceptions=False)
            communicator.stop()

        clean(scenario)

    def test_dropped_in_a_cycle(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            communicator.itself = communicator
            await communicator.connect()
            del communicator
            gc.collect()
            await asyncio.sleep(0)

        clean(scenario)

    def test_dropped_before_the_application_ran(self):
        async def scenario():
            communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await communicator.send_input({"type": "websocket.connect"})

        clean(scenario)

    def test_connected_after_its_loop_is_gone_elsewhere(self):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        clean(communicator.connect)
        clean(communicator.disconnect)

    def test_disconnect_that_is_not_awaited_is_a_failure_without_a_warning(self):
        def scenario(communicator):
            communicator.disconnect()

        with calls_of_test() as calls, warnings.catch_warnings():
            warnings.simplefilter("error")
            scenario(WebsocketCommunicator(Echo.as_asgi(), "/"))
            assert "disconnect() in " in str(calls.take_dropped())
            gc.collect()


class TestFrozenTime:
    """Under freezegun ``time.monotonic()`` stands still, or jumps."""

    @pytest.fixture
    def frozen(self):
        freezegun = pytest.importorskip("freezegun")
        with freezegun.freeze_time("2024-01-01") as clock:
            yield clock

    async def test_frames_that_are_there_are_returned(self, frozen):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        assert (await communicator.connect())[0]
        await communicator.send_json_to("hello")
        assert await communicator.receive_json_from() == "hello"
        await communicator.disconnect()

    async def test_nothing_is_told_at_once(self, frozen):
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        await communicator.connect()
        assert await communicator.receive_nothing()
        with pytest.raises(TimeoutError):
            await communicator.receive_json_from()
        await communicator.disconnect()

    async def test_timeouts_pass_where_something_is_at_work(self, frozen):
        async def busy(scope, receive, send):
            await apps.accept(receive, send)
            for _ in itertools.count():
                await asyncio.sleep(0)

        communicator = WebsocketCommunicator(busy, "/")
        await communicator.connect(timeout=0.02)
        with pytest.raises(TimeoutError):
            await communicator.receive_json_from(timeout=0.02)
        with pytest.raises(TimeoutError):
            await communicator.disconnect(timeout=0.02)

    async def test_a_clock_that_jumps_ends_no_wait(self, frozen):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            frozen.tick(3600)
            await asyncio.sleep(0)
            await apps.send_json(send, "an hour later")
            await receive()

        communicator = WebsocketCommunicator(application, "/")
        await communicator.connect()
        await communicator.send_to("go")
        assert await communicator.receive_json_from(timeout=5) == "an hour later"
        await communicator.disconnect()

    async def test_time_may_freeze_in_the_middle(self):
        freezegun = pytest.importorskip("freezegun")
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        await communicator.connect()
        with freezegun.freeze_time("2001-01-01"):
            await communicator.send_json_to("hello")
            assert await communicator.receive_json_from() == "hello"
            assert await communicator.receive_nothing()
        await communicator.send_json_to("again")
        assert await communicator.receive_json_from() == "again"
        await communicator.disconnect()
