"""Threads that ``threading`` does not know: those of ``_thread``, as execnet starts."""

import _thread
import asyncio
import os
import threading

import pytest

from chanx_testing.core import idle
from tests.support.idle import run_as_a_new_test, until_it_waits


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    os.close(writer)


def start_reader(reader):
    """Start a nameless thread that blocks in ``read`` until the pipe is closed."""
    running = threading.Event()

    def read():
        running.set()
        os.read(reader, 1)
        os.close(reader)

    ident = _thread.start_new_thread(read, ())
    assert running.wait(5)
    until_it_waits(ident)


def run(main):
    return run_as_a_new_test(main())


def test_one_from_before_the_test_has_its_own_business(pipe):
    start_reader(pipe[0])

    async def main():
        return await idle.wait_until_idle(5)

    assert run(main)


def test_one_that_the_test_starts_is_busy(pipe):
    async def main():
        start_reader(pipe[0])
        return await idle.wait_until_idle(0.05)

    verdict = run(main)
    assert not verdict
    assert any("test_threads_nameless.py" in reason for reason in verdict.reasons)


def test_one_from_before_that_reaches_into_the_loop_is_busy(pipe):
    go = threading.Event()
    reader, _ = pipe

    async def main():
        loop = asyncio.get_running_loop()
        loops.append(loop)
        go.set()
        await reached.wait()
        return await idle.wait_until_idle(0.05)

    loops = []
    reached = asyncio.Event()
    running = threading.Event()

    def feed():
        running.set()
        go.wait()
        loops[0].call_soon_threadsafe(reached.set)
        os.read(reader, 1)
        os.close(reader)

    _thread.start_new_thread(feed, ())
    assert running.wait(5)
    assert not run(main)
