"""A queue that can be looked at without taking."""

import asyncio
import json
from contextlib import nullcontext
from typing import Literal

import pytest

from chanx_testing.core.client.application import ApplicationUnderTest
from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_queue import Frame, FrameQueue
from chanx_testing.core.client.language import Language
from chanx_testing.core.client.scope import websocket_scope
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.messages.base import BaseMessage
from tests.support import apps


class Count(BaseMessage):
    action: Literal["count"] = "count"
    payload: int


TEXT = {"type": "websocket.send", "text": '{"action": "ping"}'}


@pytest.fixture
def events():
    return []


@pytest.fixture
def queue(events):
    return FrameQueue(
        on_put=lambda frame: events.append(("put", frame.message)),
        on_get=lambda frame: events.append(("get", frame.message)),
    )


def test_is_a_queue_of_messages(queue):
    queue.put_nowait(TEXT)
    assert (queue.qsize(), queue.empty()) == (1, False)
    assert queue.get_nowait() is TEXT
    assert queue.empty()
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


def test_shows_what_lies_in_it(queue):
    assert queue.free is None
    queue.put_nowait(TEXT)
    assert queue.free.message is TEXT
    assert [frame.message for frame in queue.frames] == [TEXT]
    assert queue.qsize() == 1


def test_a_frame_may_be_brought_forward(queue):
    for number in range(3):
        queue.put_nowait({"n": number})
    queue.bring_forward(queue.frames[0])
    queue.bring_forward(queue.frames[2])
    assert [queue.get_nowait()["n"] for _ in range(3)] == [2, 0, 1]


def test_reports_what_comes_and_goes(queue, events):
    queue.put_nowait(TEXT)
    queue.get_nowait()
    assert events == [("put", TEXT), ("get", TEXT)]


def test_reports_nothing_when_its_owner_has_gone(queue, events):
    queue.forget_owner()
    queue.put_nowait(TEXT)
    assert queue.get_nowait() is TEXT
    assert events == []


async def test_serves_who_waits(queue):
    async with asyncio.TaskGroup() as group:
        task = group.create_task(queue.get())
        await queue.put(TEXT)
    assert task.result() is TEXT


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (TEXT, "ping"),
        ({"type": "websocket.send", "text": "[1]"}, None),
        ({"type": "websocket.send", "text": "no json"}, None),
        ({"type": "websocket.send", "bytes": b"{}"}, None),
        ({"type": "websocket.close", "text": '{"action": "ping"}'}, None),
        ({"type": "websocket.send", "text": "[" * 100_000}, None),
    ],
)
def test_a_frame_knows_its_action(message, action):
    assert Frame(message, 1).action("action") == action


def test_frames_are_numbered_in_their_order(queue):
    queue.put_nowait(TEXT)
    queue.put_nowait(TEXT)
    first, second = queue.frames
    assert first.number < second.number


def nobody():
    """Stand for a reference to a communicator that is gone."""
    return


class TestOrder:
    """Frames go to the verbs that wait in the order in which those asked."""

    @pytest.fixture
    async def connection(self):
        connection = Connection(
            nobody,
            ApplicationUnderTest(apps.silent),
            websocket_scope("/", None, None, None),
            Language(nobody),
        )
        connection.start(nullcontext())
        yield connection
        connection.abandon()

    async def taken(self, connection, order, name):
        deadline = Deadline(None)
        message = await connection.take(deadline, "a frame")
        order.append((name, message["n"]))

    async def turn(self):
        """Let every task run that is ready."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def test_many_that_wait(self, connection):
        order = []
        async with asyncio.TaskGroup() as group:
            for name in range(8):
                group.create_task(self.taken(connection, order, name))
            await self.turn()
            for number in range(8):
                connection.output_queue.put_nowait({"n": number})
        assert order == [(number, number) for number in range(8)]

    async def test_one_that_comes_later_does_not_overtake_one_that_was_woken(
        self, connection
    ):
        order = []
        async with asyncio.TaskGroup() as group:
            group.create_task(self.taken(connection, order, "first"))
            await self.turn()
            # The second task is ready before the first has run with its frame.
            group.create_task(self.taken(connection, order, "second"))
            connection.output_queue.put_nowait({"n": 1})
            await asyncio.sleep(0)
            connection.output_queue.put_nowait({"n": 2})
        assert order == [("first", 1), ("second", 2)]

    async def test_a_frame_of_one_that_was_cancelled_goes_to_the_next(self, connection):
        order = []
        first = asyncio.create_task(self.taken(connection, order, "first"))
        second = asyncio.create_task(self.taken(connection, order, "second"))
        await self.turn()
        connection.output_queue.put_nowait({"n": 1})
        first.cancel()
        await asyncio.wait([first, second])
        assert first.cancelled()
        assert order == [("second", 1)]

    async def test_a_frame_of_one_that_was_cancelled_is_not_for_one_that_asks_only_now(
        self, connection
    ):
        order = []
        first = asyncio.create_task(self.taken(connection, order, "first"))
        second = asyncio.create_task(self.taken(connection, order, "second"))
        await self.turn()
        connection.output_queue.put_nowait({"n": 1})
        first.cancel()
        late = asyncio.create_task(self.taken(connection, order, "late"))
        await asyncio.sleep(0)
        connection.output_queue.put_nowait({"n": 2})
        await asyncio.wait([first, second, late])
        assert order == [("second", 1), ("late", 2)]

    async def test_a_verb_keeps_its_place_for_its_second_frame(self):
        """Two wait; a signal comes first, which the first of them passes over."""
        received = []

        async def receive(name):
            message = await communicator.receive_message()
            received.append((name, message.payload))

        async with WebsocketCommunicator(
            apps.silent, "/", message_types=[Count]
        ) as communicator:
            tasks = [asyncio.create_task(receive(name)) for name in "ab"]
            await self.turn()
            queue = communicator.output_queue
            queue.put_nowait(
                {"type": "websocket.send", "text": '{"action":"complete"}'}
            )
            await self.turn()
            for number in (1, 2):
                text = json.dumps({"action": "count", "payload": number})
                queue.put_nowait({"type": "websocket.send", "text": text})
            await asyncio.gather(*tasks)
        assert received == [("a", 1), ("b", 2)]

    async def test_a_close_ends_the_waits_of_all(self):
        """One verb takes it, and for the others nothing can come any more."""

        async def closing(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            await send({"type": "websocket.close", "code": 4000})
            # Nothing is proved about it: the close alone ends the waits.
            await asyncio.sleep(3600)

        communicator = WebsocketCommunicator(closing, "/")
        await communicator.connect()
        receives = [
            asyncio.create_task(communicator.receive_output(None)) for _ in range(3)
        ]
        await self.turn()
        await communicator.send_to("go")
        await asyncio.wait(receives, timeout=10)
        assert receives[0].result() == {"type": "websocket.close", "code": 4000}
        for receive in receives[1:]:
            assert "closed by the application" in str(receive.exception())
        communicator.stop()
        await communicator.disconnect()

    async def test_a_frame_that_is_left_goes_to_the_next(self, connection):
        order = []
        # A timer of somebody: nothing is proved, so only the frame can end the wait.
        timer = asyncio.get_running_loop().call_later(3600, int)

        async def looks_and_leaves():
            await connection.peek(Deadline(None))

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(looks_and_leaves())
            await self.turn()
            group.create_task(self.taken(connection, order, "second"))
            await self.turn()
            connection.output_queue.put_nowait({"n": 1})
        timer.cancel()
        assert order == [("second", 1)]

    async def test_one_that_wants_no_such_frame_is_not_woken(self, connection):
        """Otherwise it and another one would wake each other for it, for ever."""
        queue = connection.output_queue
        deadlines = [Deadline(None), Deadline(None)]
        picky = [
            asyncio.create_task(
                queue.arrival(deadline, lambda frame, n=n: frame.message == {"n": n})
            )
            for n, deadline in enumerate(deadlines)
        ]
        await self.turn()
        queue.put_nowait({"n": 7})
        queue.put_nowait({"n": 1})
        assert await picky[1] is None
        assert not picky[0].done()
        queue.put_nowait({"n": 0})
        assert await picky[0] is None

    async def test_one_that_only_looks_is_woken_too(self, connection):
        order = []
        watching = asyncio.create_task(connection.output_queue.change(Deadline(None)))
        taking = asyncio.create_task(self.taken(connection, order, "first"))
        await self.turn()
        connection.output_queue.put_nowait({"n": 1})
        await asyncio.wait([watching, taking])
        assert watching.result() is None
        assert order == [("first", 1)]

    async def test_one_that_takes_from_the_queue_itself_leaves_the_others_waiting(
        self, connection
    ):
        order = []
        task = asyncio.create_task(self.taken(connection, order, "first"))
        await self.turn()
        connection.output_queue.put_nowait({"n": 1})
        assert connection.output_queue.get_nowait() == {"n": 1}
        await self.turn()
        assert not task.done()
        connection.output_queue.put_nowait({"n": 2})
        await task
        assert order == [("first", 2)]

    async def test_typed_verbs_that_skip_completions_keep_their_place(self):
        """Each answer is followed by a signal, which the first verb takes as well."""
        received = []

        async def receive(name):
            message = await communicator.receive_message()
            received.append((name, message.payload))

        async with WebsocketCommunicator(
            apps.completing, "/", message_types=[Count]
        ) as communicator:
            tasks = [asyncio.create_task(receive(name)) for name in range(6)]
            await self.turn()
            await communicator.send_to("6")
            await asyncio.gather(*tasks)
        assert received == [(number, number) for number in range(6)]


@pytest.mark.parametrize(
    "verb", ["receive_json_from", "receive_from", "receive_output"]
)
async def test_gathered_receives_get_the_frames_in_order(verb):
    async with WebsocketCommunicator(apps.echo, "/") as communicator:
        receives = [
            asyncio.ensure_future(getattr(communicator, verb)()) for _ in range(8)
        ]
        await asyncio.sleep(0)
        for number in range(8):
            await communicator.send_json_to(number)
        frames = await asyncio.gather(*receives)
    numbers = [
        json.loads(frame["text"]) if isinstance(frame, dict) else int(frame)
        for frame in frames
    ]
    assert numbers == list(range(8))
