"""``receive_nothing`` as an assertion, as a pause and as a question."""

import asyncio

import pytest

from chanx_testing.channels.testing import WebsocketCommunicator
from tests.support import apps


class Asking(WebsocketCommunicator):
    """What a suite that asks has in its own module."""

    receive_nothing_raises = False


async def connected(cls, application):
    communicator = cls(application, "/")
    await communicator.connect()
    return communicator


class TestAsAnAssertion:
    async def test_holds_by_position_and_by_keyword(self):
        communicator = await connected(WebsocketCommunicator, apps.silent)
        assert await communicator.receive_nothing()
        assert await communicator.receive_nothing() is True
        assert await communicator.receive_nothing(0.1, 0.01) is True
        assert await communicator.receive_nothing(timeout=0.1, interval=0.01) is True
        await communicator.disconnect()

    async def test_takes_an_interval_longer_than_the_timeout(self):
        communicator = await connected(WebsocketCommunicator, apps.silent)
        assert await communicator.receive_nothing(0.01, interval=1) is True
        await communicator.disconnect()

    async def test_fails_also_where_its_result_is_not_looked_at(self):
        communicator = await connected(WebsocketCommunicator, apps.echo)
        await communicator.send_to("hello")
        with pytest.raises(AssertionError, match="hello"):
            await communicator.receive_nothing()
        assert await communicator.receive_from() == "hello"
        await communicator.disconnect()


class TestAsAPause:
    async def test_lets_side_effects_happen(self):
        rows = []

        async def storing(scope, receive, send):
            await apps.accept(receive, send)
            while (message := await receive())["type"] == "websocket.receive":
                await asyncio.sleep(0.02)
                rows.append(message["text"])

        communicator = await connected(WebsocketCommunicator, storing)
        await communicator.send_to("row")
        await communicator.receive_nothing(timeout=30)
        assert rows == ["row"]
        await communicator.disconnect()


class TestAsAQuestion:
    async def test_false_where_something_is_there(self):
        communicator = await connected(Asking, apps.echo)
        await communicator.send_to("hello")
        assert await communicator.receive_nothing() is False
        assert await communicator.receive_from() == "hello"
        assert await communicator.receive_nothing() is True
        await communicator.disconnect()

    async def test_empties_the_queue_in_a_loop(self):
        communicator = await connected(Asking, apps.answering(1, 2, 3))
        await communicator.send_to("go")
        taken = []
        while not await communicator.receive_nothing():
            taken.append((await communicator.receive_output())["text"])
        assert taken == ["1", "2", "3"]
        await communicator.disconnect()

    async def test_asks_again_and_again_without_taking(self):
        communicator = await connected(Asking, apps.echo)
        await communicator.send_to("hello")
        for _ in range(5):
            assert await communicator.receive_nothing() is False
        assert communicator.output_queue.qsize() == 1
        await communicator.disconnect()

    async def test_a_crash_is_raised_all_the_same(self):
        communicator = await connected(Asking, apps.crash_after_accept)
        await communicator.send_to("go")
        with pytest.raises(LookupError):
            await communicator.receive_nothing()
