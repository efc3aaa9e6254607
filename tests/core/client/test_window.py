"""The default window of ``receive_nothing()`` goes on while the application works.

The window is 0.1 s, and a second at most. Each application here works for longer than
the window, and answers then.
"""

import asyncio
import socket
import sys
import threading
import time
import warnings
from contextlib import contextmanager

import anyio.to_thread
import pytest

from chanx_testing.core.client import errors
from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.client.window import Window
from chanx_testing.core.idle import Verdict, VerdictKind
from tests.support import apps
from tests.support.consumer import Consumer

WORK = 0.3


@contextmanager
def takes(at_least, less_than):
    began = time.perf_counter()
    yield
    taken = time.perf_counter() - began
    assert at_least <= taken < less_than, f"took {taken:.3f} s"


async def a_job():
    await asyncio.to_thread(time.sleep, WORK)


async def a_chain_of_jobs():
    for _ in range(6):
        await asyncio.to_thread(time.sleep, WORK / 6)


async def a_job_of_anyio():
    await anyio.to_thread.run_sync(time.sleep, WORK)


async def a_thread():
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def work():
        time.sleep(WORK)
        loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=work)
    thread.start()
    await done.wait()
    thread.join()


async def a_runnable_task():
    end = time.perf_counter() + WORK
    while time.perf_counter() < end:  # noqa: ASYNC110 - work in small steps
        await asyncio.sleep(0)


async def a_child_process():
    code = f"import time; time.sleep({WORK})"
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await child.wait()


ALL = [
    a_job,
    a_chain_of_jobs,
    a_job_of_anyio,
    a_thread,
    a_runnable_task,
    a_child_process,
]


def answering_after(work):
    """An application that works when a frame comes, and answers then."""

    async def application(scope, receive, send):
        await apps.accept(receive, send)
        while (await receive())["type"] == "websocket.receive":
            await work()
            await apps.send_json(send, {"done": work.__name__})

    return application


@contextmanager
def open_socket():
    """A descriptor of the loop that keeps every wait from a proof."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        loop.add_reader(ours, int)
        yield
        loop.remove_reader(ours)


@pytest.fixture
def client():
    return lambda work: WebsocketCommunicator(answering_after(work), "/ws/")


@pytest.mark.parametrize("work", ALL)
async def test_the_default_window_sees_what_comes_of_the_work(client, work):
    async with client(work) as connection:
        await connection.send_to("go")
        with pytest.raises(errors.UnexpectedFrame, match=work.__name__):
            await connection.receive_nothing()
        await connection.receive_json()


@pytest.mark.parametrize("work", ALL)
async def test_also_where_nothing_can_be_proved(client, work):
    async with client(work) as connection:
        with open_socket():
            await connection.send_to("go")
            with pytest.raises(errors.UnexpectedFrame, match=work.__name__):
                await connection.receive_nothing()
        await connection.receive_json()


async def test_it_ends_with_the_work(client):
    """And not after a second."""

    async def works_in_silence(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        await a_job()
        await receive()

    async with WebsocketCommunicator(works_in_silence, "/ws/") as connection:
        with open_socket():
            await connection.send_to("go")
            with takes(WORK - 0.05, 0.9):
                assert await connection.receive_nothing()


@pytest.mark.parametrize("work", [a_job, a_runnable_task])
async def test_a_window_that_was_chosen_stays_as_it_is(client, work):
    async with client(work) as connection:
        await connection.send_to("go")
        with takes(0.02, WORK):
            assert await connection.receive_nothing(timeout=0.02)
        await connection.receive_json()


async def test_what_may_never_come_does_not_stretch_it(client):
    async with client(a_job) as connection:
        timer = asyncio.get_running_loop().call_later(0.5, int)
        with open_socket(), takes(0.1, 0.9):
            assert await connection.receive_nothing()
        timer.cancel()


async def test_completion_signals_end_neither_the_window_nor_its_stretch():
    async def completing(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        for _ in range(30):
            await asyncio.to_thread(time.sleep, WORK / 30)
            await apps.send_json(send, {"action": "complete"})
        await apps.send_json(send, {"action": "last"})
        await receive()

    async with WebsocketCommunicator(
        completing, "/ws/", consumer=Consumer
    ) as connection:
        await connection.send_to("go")
        with pytest.raises(errors.UnexpectedFrame, match="last"):
            await connection.receive_nothing()


async def test_work_that_goes_on_after_a_second_is_named(client, monkeypatch):
    # A tenth of all that follows: of the second, and of the window.
    monkeypatch.setenv("CHANX_TEST_TIMEOUT_SCALE", "0.1")
    async with client(a_job) as connection:
        await connection.send_to("go")
        with pytest.warns(UserWarning, match="still at work") as caught:
            assert await connection.receive_nothing()
        (warning,) = caught
        assert "receive_nothing() on ws#1 (/ws/)" in str(warning.message)
        assert "executor sleep " in str(warning.message)
        assert "pass timeout=" in str(warning.message)
        assert warning.filename == __file__
        await connection.receive_json(timeout=5)


async def test_a_proof_warns_of_nothing(client):
    async with client(a_job) as connection:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert await connection.receive_nothing()


class TestWindow:
    """What each look at the application leads to."""

    WORK = Verdict(VerdictKind.DEADLINE, ("a job",), ("a job",))
    REST = Verdict(VerdictKind.DEADLINE, ("a descriptor",))

    def window(self):
        return Window(Deadline(0.1), Deadline(1))

    async def test_a_proof_ends_it(self):
        assert not self.window().goes_on(Verdict(VerdictKind.IDLE))

    async def test_a_loop_that_cannot_be_seen_ends_it(self):
        assert not self.window().goes_on(Verdict(VerdictKind.UNSUPPORTED))

    async def test_rest_is_looked_at_twice(self):
        """A thread may have handed something over just before the first look."""
        window = self.window()
        assert window.goes_on(self.REST)
        assert window.deadline.remaining() == 0
        assert not window.goes_on(self.REST)
        assert window.unfinished == ()

    async def test_work_that_is_taken_up_again_begins_anew(self):
        window = self.window()
        for verdict in (self.WORK, self.REST, self.WORK, self.REST):
            assert window.goes_on(verdict)
        assert not window.goes_on(self.REST)

    async def test_it_ends_at_the_latest_end_and_names_the_work(self):
        window = Window(Deadline(0), Deadline(0))
        assert not window.goes_on(self.WORK)
        assert window.unfinished == ("a job",)

    async def test_one_that_was_chosen_ends(self):
        window = Window(Deadline(0.1))
        assert not window.goes_on(self.WORK)
        assert window.unfinished == ()
