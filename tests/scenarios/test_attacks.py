"""Applications and tests that make a communicator hang, lie or fail at random."""

import asyncio
import gc
import itertools
import json
import threading
from contextlib import suppress

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.client.errors import ApplicationHangs, IncompleteMessages
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.incoming import PingMessage
from tests.support import apps
from tests.support.cases import failure

DEEP = "[" * 100_000 + "]" * 100_000


async def flood(scope, receive, send):
    """Accept, and send one frame in each pass of the loop, forever."""
    await apps.accept(receive, send)
    while True:
        await apps.send_json(send, "again")
        await asyncio.sleep(0)


async def deaf(scope, receive, send):
    """Accept, and go on whatever happens."""
    await apps.accept(receive, send)
    while True:
        with suppress(asyncio.CancelledError):
            await receive()


def raising(error):
    """Make an application that raises ``error`` when a frame comes."""

    async def application(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        raise error

    return application


async def connected(application):
    communicator = WebsocketCommunicator(application, "/")
    # An application that never rests takes the whole time to connect.
    await communicator.connect(timeout=0.1)
    return communicator


def finishes(scenario, seconds=20):
    """Run ``scenario`` on a loop of its own, and return whether that loop ended."""
    thread = threading.Thread(target=asyncio.run, args=(scenario(),), daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


class TestEndlessFrames:
    """No verb may wait longer than it was told, however many frames come."""

    @pytest.fixture
    async def communicator(self):
        communicator = await connected(flood)
        yield communicator
        with pytest.raises(ApplicationHangs):
            await communicator.disconnect(timeout=0.02)

    async def test_a_collection_of_json_ends(self, communicator):
        async with asyncio.timeout(20):
            assert await communicator.receive_all_json(timeout=0.02)

    async def test_a_collection_of_messages_ends(self, communicator):
        class Anything:
            @staticmethod
            def validate_python(content):
                return content

        communicator._chanx.language._given = Anything
        async with asyncio.timeout(20):
            with pytest.raises(IncompleteMessages, match="one frame after the other"):
                await communicator.receive_all_messages("over", timeout=0.02)

    async def test_a_wait_for_the_close_ends(self, communicator):
        async with asyncio.timeout(20):
            with pytest.raises(AssertionError, match="one frame after the other"):
                await communicator.assert_closed(timeout=0.02)

    async def test_a_wait_for_rest_ends(self, communicator):
        async with asyncio.timeout(20):
            with pytest.raises(ApplicationHangs, match="one frame after the other"):
                await communicator.wait(timeout=0.02)

    async def test_a_disconnect_ends(self):
        communicator = await connected(flood)
        async with asyncio.timeout(20):
            with pytest.raises(ApplicationHangs, match="one frame after the other"):
                await communicator.disconnect(timeout=0.02)

    async def test_frames_that_came_in_time_are_all_given(self):
        contents = [{"number": number} for number in range(1000)]
        async with WebsocketCommunicator(apps.answering(*contents), "/") as client:
            await client.send_to("go")
            await client.wait()
            assert await client.receive_all_json(timeout=0) == contents

    async def test_an_application_that_never_waits_lets_the_test_run(self):
        async def torrent(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            while True:
                await apps.send_json(send, "again")

        communicator = await connected(torrent)
        await communicator.send_to("go")
        assert await communicator.receive_json_from() == "again"
        with pytest.raises(ApplicationHangs):
            await communicator.disconnect(timeout=0.02)
        assert communicator.future.cancelled()


class TestCompletionsOfSeveralClients:
    class Quiet(AsyncJsonWebsocketConsumer):
        send_completion = True

        @ws_handler
        async def ping(self, message: PingMessage) -> None:
            """Answer with nothing but the signal of completion."""

    def client(self):
        return WebsocketCommunicator(self.Quiet.as_asgi(), "/", consumer=self.Quiet)

    async def test_what_another_client_did_since_makes_none_of_them_stale(self):
        async with self.client() as one, self.client() as other:
            await one.send_message(PingMessage())
            await other.send_message(PingMessage())
            assert await other.receive_all_messages() == []
            await other.send_message(PingMessage())
            assert await one.receive_all_messages() == []
            assert await other.receive_all_messages() == []

    async def test_one_signal_is_given_once(self):
        async with self.client() as one, self.client() as other:
            await one.send_message(PingMessage())
            await other.send_message(PingMessage())
            assert await one.receive_all_messages() == []
            with pytest.raises(IncompleteMessages):
                await one.receive_all_messages()

    async def test_one_of_an_earlier_message_does_not_do_for_a_later_one(self):
        class Once(self.Quiet):
            @ws_handler
            async def ping(self, message: PingMessage) -> None:
                if self.scope.setdefault("pinged", False):
                    await asyncio.Event().wait()
                self.scope["pinged"] = True

        communicator = WebsocketCommunicator(Once.as_asgi(), "/", consumer=Once)
        await communicator.connect()
        await communicator.send_message(PingMessage())
        await communicator.wait()
        await communicator.send_message(PingMessage())
        with pytest.raises(IncompleteMessages):
            await communicator.receive_all_messages()
        communicator.stop()


class TestCancellationThatIsSwallowed:
    @pytest.mark.slow
    async def test_the_application_is_ended_all_the_same(self):
        communicator = await connected(deaf)
        with pytest.raises(ApplicationHangs) as raised:
            await communicator.disconnect(timeout=0)
        assert "catches CancelledError" in "\n".join(raised.value.__notes__)
        assert communicator.future.done()
        await communicator.disconnect()

    @pytest.mark.slow
    def test_the_loop_of_the_test_ends(self):
        async def scenario():
            communicator = await connected(deaf)
            with pytest.raises(ApplicationHangs):
                await communicator.disconnect(timeout=0)

        assert finishes(scenario)

    async def test_one_that_is_swallowed_once_is_followed_by_another(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

        communicator = await connected(application)
        with pytest.raises(ApplicationHangs) as raised:
            await communicator.disconnect(timeout=0)
        assert communicator.future.cancelled()
        assert "catches CancelledError" not in "\n".join(raised.value.__notes__)

    @pytest.mark.slow
    @pytest.mark.django_db(transaction=True)
    def test_a_task_that_is_left_does_not_keep_the_test_from_ending(self):
        async def leaving(scope, receive, send):
            await apps.accept(receive, send)

            async def go_on():
                for _ in itertools.count():
                    with suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()

            scope["task"] = asyncio.create_task(go_on())
            await receive()

        class Case(WebsocketTestCase):
            ws_path = "/"
            router = staticmethod(leaving)

            async def test(self):
                await self.communicator.connect()

        assert "left tasks running" in failure(Case)


class TestExceptionsThatAreNotErrors:
    @pytest.mark.parametrize("error", [SystemExit("bye"), GeneratorExit("gone")])
    async def test_come_out_of_the_verb_that_meets_them(self, error):
        communicator = await connected(raising(error))
        await communicator.send_to("go")
        with pytest.raises(type(error), match=str(error)):
            await communicator.receive_from()
        await communicator.disconnect()

    @pytest.mark.parametrize("error", [SystemExit("bye"), GeneratorExit("gone")])
    async def test_come_out_of_disconnect_where_nobody_has_met_them(self, error):
        communicator = await connected(raising(error))
        await communicator.send_to("go")
        await communicator.wait_until_idle()
        with pytest.raises(type(error), match=str(error)):
            await communicator.disconnect()

    async def test_are_a_note_on_the_failure_of_the_test(self):
        with pytest.raises(LookupError) as raised:
            async with WebsocketCommunicator(raising(SystemExit("bye")), "/") as client:
                await client.send_to("go")
                raise LookupError("the test failed")
        assert any("SystemExit: bye" in note for note in raised.value.__notes__)

    @pytest.mark.django_db(transaction=True)
    def test_do_not_keep_other_connections_of_a_test_case_open(self):
        left = []

        class Leaving(AsyncWebsocketConsumer):
            async def disconnect(self, code):
                left.append(code)

        class Case(WebsocketTestCase):
            async def test(self):
                for application in (raising(SystemExit("bye")), Leaving.as_asgi()):
                    client = self.create_communicator(router=application, ws_path="/")
                    await client.connect()
                    await client.send_to("go")

        assert "SystemExit: bye" in failure(Case)
        assert left == [1000]


class TestExceptionsThatCannotBeShown:
    class Mute(Exception):
        def __str__(self):
            raise ZeroDivisionError

    async def test_come_out_of_the_verb_that_meets_them(self):
        communicator = await connected(raising(self.Mute()))
        await communicator.send_to("go")
        with pytest.raises(self.Mute) as raised:
            await communicator.receive_from()
        shown = "Mute (its text raises ZeroDivisionError)"
        assert any(shown in note for note in raised.value.__notes__)
        await communicator.disconnect()

    async def test_do_not_take_the_place_of_the_failure_of_the_test(self):
        with pytest.raises(LookupError) as raised:
            async with WebsocketCommunicator(raising(self.Mute()), "/") as client:
                await client.send_to("go")
                raise LookupError
        assert any("Mute" in note for note in raised.value.__notes__)


class TestLifespan:
    async def test_a_block_may_end_in_another_task_than_it_began_in(self):
        async def application(scope, receive, send):
            for phase in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{phase}"
                await send({"type": f"lifespan.{phase}.complete"})

        block = lifespan(application)
        await asyncio.create_task(block.__aenter__())
        await asyncio.create_task(block.__aexit__(None, None, None))


class TestBackgroundTasks:
    async def test_an_error_is_raised_once(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)

            async def fail():
                raise LookupError("in the background")

            scope["task"] = asyncio.create_task(fail())
            while (await receive())["type"] != "websocket.disconnect":
                pass

        communicator = await connected(application)
        with pytest.raises(LookupError) as raised:
            await communicator.disconnect()
        await communicator.disconnect()
        told = [note for note in raised.value.__notes__ if "left behind" in note]
        assert len(told) == 1
        communicator.scope["task"].exception()

    async def test_a_frame_after_the_close_is_an_error(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            closed = asyncio.Event()

            async def say():
                await closed.wait()
                await apps.send_json(send, "too late")

            scope["task"] = asyncio.create_task(say())
            await send({"type": "websocket.close"})
            closed.set()
            await receive()

        communicator = await connected(application)
        await communicator.assert_closed()
        with pytest.raises(RuntimeError, match="nothing may follow a close"):
            await communicator.disconnect()
        communicator.scope["task"].exception()

    async def test_an_error_after_the_close_is_not_lost(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            await send({"type": "websocket.close", "code": 4000})
            raise LookupError("after the close")

        communicator = await connected(application)
        await communicator.send_to("go")
        await communicator.assert_closed(4000)
        with pytest.raises(LookupError, match="after the close"):
            await communicator.disconnect()


class TestNeglect:
    async def test_an_application_that_never_ran_leaves_no_warning(self):
        communicator = WebsocketCommunicator(apps.silent, "/")
        communicator.future.cancel()
        await asyncio.sleep(0)
        assert communicator.future.cancelled()
        del communicator
        gc.collect()

    async def test_a_collection_in_a_thread_does_not_touch_the_loop(self):
        loop = asyncio.get_running_loop()
        communicator = await connected(apps.silent)
        task = communicator.future
        communicator.itself = communicator
        gc.disable()
        try:
            del communicator
            await loop.run_in_executor(None, gc.collect)
        finally:
            gc.enable()
        await asyncio.wait([task])
        async with WebsocketCommunicator(apps.silent, "/") as other:
            assert await other.receive_nothing()


class TestContents:
    async def test_json_that_is_nested_too_deeply_is_named(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await send({"type": "websocket.send", "text": DEEP})
            await receive()

        async with WebsocketCommunicator(application, "/") as client:
            with pytest.raises(AssertionError, match="Expected JSON"):
                await client.receive_json_from()

    async def test_a_huge_frame_passes_and_a_failure_shows_its_beginning(self):
        text = json.dumps("x" * 20_000_000)
        async with WebsocketCommunicator(apps.echo, "/") as client:
            await client.send_to(text)
            with pytest.raises(AssertionError) as raised:
                await client.receive_nothing()
            assert len(str(raised.value) + "".join(raised.value.__notes__)) < 5000
            assert await client.receive_from() == text

    async def test_ten_thousand_frames_keep_their_order(self):
        async with WebsocketCommunicator(apps.echo, "/") as client:
            for number in range(10_000):
                await client.send_json_to(number)
            assert await client.receive_all_json(timeout=None) == list(range(10_000))


class TestNesting:
    async def test_an_application_may_be_a_client_of_another(self):
        async def relay(scope, receive, send):
            await apps.accept(receive, send)
            async with WebsocketCommunicator(apps.echo, "/inner/") as inner:
                while (message := await receive())["type"] == "websocket.receive":
                    await inner.send_to(message["text"])
                    text = await inner.receive_from()
                    await send({"type": "websocket.send", "text": f"relayed {text}"})

        async with WebsocketCommunicator(relay, "/") as outer:
            await outer.send_to("hello")
            assert await outer.receive_from() == "relayed hello"

    async def test_a_crash_of_the_inner_application_is_one_of_the_outer(self):
        async def relay(scope, receive, send):
            await apps.accept(receive, send)
            async with WebsocketCommunicator(apps.crash_after_accept, "/in/") as inner:
                await receive()
                await inner.send_to("go")
                await inner.receive_from()

        outer = await connected(relay)
        await outer.send_to("go")
        with pytest.raises(LookupError, match="no such room"):
            await outer.receive_from()


class TestCancelledReceives:
    async def test_a_task_group_that_fails_midway_loses_no_frame(self):
        communicator = await connected(apps.echo)
        got = []
        first = asyncio.Event()

        async def take():
            got.append(await communicator.receive_json_from(timeout=None))
            first.set()

        async def send_and_fail():
            for number in range(3):
                await communicator.send_json_to(number)
            await first.wait()
            raise LookupError

        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for _ in range(10):
                    group.create_task(take())
                group.create_task(send_and_fail())
        got += await communicator.receive_all_json()
        assert sorted(got) == [0, 1, 2]
        await communicator.disconnect()

    async def test_a_timeout_around_everything_ends_everything(self):
        async def busy(scope, receive, send):
            await apps.accept(receive, send)
            asyncio.get_running_loop().call_later(60, print)
            await receive()

        with pytest.raises(TimeoutError) as raised:
            async with (
                asyncio.timeout(0.02),
                WebsocketCommunicator(busy, "/") as client,
            ):
                await client.receive_from(timeout=None)
        assert str(raised.value) == ""
        assert client.future.done()
        assert not client.future.cancelled()
        assert asyncio.current_task().cancelling() == 0
