"""A queue that can be looked at without taking."""

import asyncio

import pytest

from chanx_testing.core.client.frame_queue import Frame, FrameQueue

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
    assert queue.head is None
    queue.put_nowait(TEXT)
    assert queue.head.message is TEXT
    assert [frame.message for frame in queue.frames] == [TEXT]
    assert queue.qsize() == 1


def test_tells_of_what_comes_and_goes(queue, events):
    queue.put_nowait(TEXT)
    queue.get_nowait()
    assert events == [("put", TEXT), ("get", TEXT)]


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
    assert Frame(message).action("action") == action


def test_frames_are_numbered_in_their_order():
    assert Frame(TEXT).tick < Frame(TEXT).tick
