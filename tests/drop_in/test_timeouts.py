"""Timeouts and what comes after them; which exception comes from where."""

import asyncio
import socket

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from chanx_testing.channels.testing import WebsocketCommunicator
from tests.support import apps

# Set off by a wait of this length only if the machine is very slow.
SOON = 0.02


class Chat(AsyncJsonWebsocketConsumer):
    """Answers in time, late, never, or with an exception."""

    async def receive_json(self, content, **kwargs):
        match content:
            case "echo":
                await self.send_json("echo")
            case "late":
                await asyncio.sleep(SOON * 5)
                await self.send_json("late")
            case "fail":
                raise LookupError("no such room")


@pytest.fixture
async def communicator():
    communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
    assert await communicator.connect() == (True, None)
    yield communicator
    await communicator.disconnect()


class TestLifeAfterATimeout:
    async def test_goes_on(self, communicator):
        with pytest.raises(asyncio.TimeoutError):
            await communicator.receive_json_from()
        await communicator.send_json_to("echo")
        assert await communicator.receive_json_from() == "echo"

    async def test_goes_on_where_the_answer_is_on_its_way(self, communicator):
        await communicator.send_json_to("late")
        with pytest.raises(asyncio.TimeoutError):
            await communicator.receive_json_from(SOON)
        assert await communicator.receive_json_from(30) == "late"

    async def test_ends_in_a_disconnect_that_raises_nothing(self):
        left = []

        class Leaving(Chat):
            async def disconnect(self, code):
                left.append(code)

        communicator = WebsocketCommunicator(Leaving.as_asgi(), "/")
        try:
            await communicator.connect()
            with pytest.raises(asyncio.TimeoutError):
                await communicator.receive_json_from(timeout=SOON)
        finally:
            await communicator.disconnect()
        assert left == [1000]

    async def test_goes_on_after_every_verb_that_can_time_out(self, communicator):
        for receive in (
            communicator.receive_output,
            communicator.receive_from,
            communicator.receive_json_from,
        ):
            with pytest.raises(asyncio.TimeoutError):
                await receive(SOON)
        assert not communicator.future.done()

    async def test_a_handshake_that_takes_too_long_may_be_awaited_further(self):
        class Slow(Chat):
            async def connect(self):
                await asyncio.sleep(SOON * 5)
                await self.accept()

        communicator = WebsocketCommunicator(Slow.as_asgi(), "/")
        with pytest.raises(asyncio.TimeoutError):
            await communicator.connect(SOON)
        accept = await communicator.receive_output(30)
        assert accept["type"] == "websocket.accept"
        await communicator.disconnect()


class TestWait:
    async def test_lets_the_application_finish_what_it_is_at(self):
        done = []

        class Worker(Chat):
            async def receive_json(self, content, **kwargs):
                await asyncio.sleep(SOON)
                done.append(content)

        communicator = WebsocketCommunicator(Worker.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_json_to("work")
        assert await communicator.wait(30) is None
        assert done == ["work"]
        assert not communicator.future.done()
        await communicator.disconnect()

    async def test_is_silent_where_the_application_waits_for_more(self, communicator):
        assert await communicator.wait() is None
        assert await communicator.wait(timeout=0.5) is None

    async def test_raises_what_the_application_raised(self, communicator):
        await communicator.send_json_to("fail")
        with pytest.raises(LookupError, match="no such room"):
            await communicator.wait()

    async def test_is_followed_by_a_disconnect(self):
        communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_input({"type": "websocket.disconnect", "code": 1001})
        await communicator.wait()
        assert communicator.future.done()
        await communicator.disconnect()

    @pytest.mark.filterwarnings(
        "ignore::chanx_testing.core.idle.UnsupportedLoopWarning"
    )
    def test_is_silent_on_a_loop_that_cannot_be_observed(self):
        """The time over is no fault of the application, where rest cannot be told."""

        class Loop(asyncio.SelectorEventLoop):
            pass

        async def scenario():
            communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
            await communicator.connect()
            assert await communicator.wait(SOON) is None
            assert not communicator.future.done()
            await communicator.disconnect()

        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(scenario())

    async def test_is_silent_where_something_outside_may_still_write(
        self, communicator
    ):
        """As a connection to Redis, which a channel layer keeps open."""
        reading, writing = socket.socketpair()
        asyncio.get_running_loop().add_reader(reading, print)
        try:
            assert await communicator.wait(SOON) is None
        finally:
            asyncio.get_running_loop().remove_reader(reading)
            reading.close()
            writing.close()


class TestWaitFor:
    async def test_around_a_receive_cancels_the_receive_alone(self, communicator):
        for _ in range(10):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(
                    communicator.receive_json_from(timeout=10), SOON / 10
                )
        await communicator.send_json_to("echo")
        assert await communicator.receive_json_from() == "echo"

    async def test_around_a_receive_loses_no_frame(self, communicator):
        received = []
        for _ in range(20):
            await communicator.send_json_to("echo")
            receive = asyncio.ensure_future(communicator.receive_json_from(timeout=10))
            for _ in range(len(received) % 4):
                await asyncio.sleep(0)
            receive.cancel()
            try:
                received.append(await receive)
            except asyncio.CancelledError:
                received.append(await communicator.receive_json_from())
        assert received == ["echo"] * 20
        assert await communicator.receive_nothing()

    async def test_around_a_whole_conversation_still_disconnects(self):
        communicator = WebsocketCommunicator(Chat.as_asgi(), "/")

        async def converse():
            await communicator.connect()
            await communicator.send_json_to("late")
            await communicator.receive_json_from(timeout=10)

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(converse(), SOON)
        await communicator.disconnect()


class TestTypesOfExceptions:
    """The application's own exceptions come out with their type and message."""

    async def test_connect(self):
        class Refusing(Chat):
            async def connect(self):
                raise LookupError("no such room")

        communicator = WebsocketCommunicator(Refusing.as_asgi(), "/")
        with pytest.raises(LookupError, match=r"^no such room"):
            await communicator.connect()

    @pytest.mark.parametrize(
        "verb", ["receive_output", "receive_from", "receive_json_from", "wait"]
    )
    async def test_verbs_that_wait(self, verb):
        communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_json_to("fail")
        with pytest.raises(LookupError, match=r"^no such room"):
            await getattr(communicator, verb)()

    async def test_send(self):
        communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_json_to("fail")
        await communicator.wait_until_idle()
        with pytest.raises(LookupError, match=r"^no such room"):
            await communicator.send_json_to("echo")

    async def test_receive_nothing(self):
        communicator = WebsocketCommunicator(Chat.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_json_to("fail")
        with pytest.raises(LookupError, match=r"^no such room"):
            await communicator.receive_nothing()

    async def test_a_route_that_is_missing(self):
        from channels.routing import URLRouter

        communicator = WebsocketCommunicator(URLRouter([]), "/nowhere/")
        with pytest.raises(ValueError, match="No route found for path 'nowhere/'"):
            await communicator.connect()

    async def test_a_timeout_is_an_asyncio_timeout(self):
        communicator = WebsocketCommunicator(apps.never_answer, "/")
        with pytest.raises(asyncio.TimeoutError):
            await communicator.connect(timeout=SOON)
        communicator.stop()
