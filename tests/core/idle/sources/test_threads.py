"""Threads: a busy one may feed the loop, a parked one waits for an order."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import pytest

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle
from tests.support.idle import JOB, at_once, fine_switching, on_idle_loop, proof


@pytest.fixture
def busy_outsider() -> Iterator[threading.Thread]:
    """A daemon thread from before the loop that never rests and feeds nobody."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.01):
            pass

    thread = threading.Thread(target=run, name="outsider", daemon=True)
    thread.start()
    yield thread
    stop.set()
    thread.join()


@on_idle_loop
async def test_an_anyio_worker_counts_while_it_works_and_not_after() -> None:
    task = asyncio.create_task(anyio.to_thread.run_sync(time.sleep, JOB))
    await proof()
    assert task.done()
    for _ in range(20):
        with at_once():
            await proof()
        task = asyncio.create_task(anyio.to_thread.run_sync(time.sleep, 0.001))
        await proof()
        assert task.done()


@on_idle_loop
async def test_a_thread_that_feeds_the_loop_counts() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    def run() -> None:
        time.sleep(JOB)
        loop.call_soon_threadsafe(seen.append, "fed")

    thread = threading.Thread(target=run)
    thread.start()
    await proof()
    assert seen == ["fed"]
    thread.join()


@on_idle_loop
async def test_a_thread_timer_counts() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []
    timer = threading.Timer(JOB, loop.call_soon_threadsafe, (seen.append, "fed"))
    timer.start()
    await proof()
    assert seen == ["fed"]
    timer.join()


def test_a_busy_thread_from_before_the_loop_does_not_count(
    busy_outsider: threading.Thread,
) -> None:
    async def main() -> None:
        with at_once():
            await proof()

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())


def test_a_thread_from_before_the_loop_counts_once_it_has_fed_one() -> None:
    orders: queue.Queue[tuple[asyncio.AbstractEventLoop, Any] | None] = queue.Queue()

    def run() -> None:
        # Never parked where it can be seen: a wait with a limit may end by itself.
        while True:
            try:
                order = orders.get(timeout=0.01)
            except queue.Empty:
                continue
            if order is None:
                return
            loop, callback = order
            loop.call_soon_threadsafe(callback)

    thread = threading.Thread(target=run, name="feeder")
    thread.start()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        fed = asyncio.Event()
        orders.put((loop, fed.set))
        await fed.wait()
        verdict = await wait_until_idle(0.02)
        assert verdict.kind is VerdictKind.DEADLINE
        assert "thread feeder at" in str(verdict)

    try:
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
    finally:
        orders.put(None)
        thread.join()


@on_idle_loop
async def test_a_busy_thread_is_named_with_its_place() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.wait(0.001):
            pass

    thread = threading.Thread(target=spin, name="spinner")
    thread.start()
    verdict = await wait_until_idle(0.03)
    stop.set()
    thread.join()
    assert verdict.kind is VerdictKind.DEADLINE
    assert "thread spinner at " in str(verdict)
    assert "spin test_threads.py:" in str(verdict)


@on_idle_loop
async def test_a_parked_thread_of_the_test_does_not_count() -> None:
    orders: queue.Queue[None] = queue.Queue()
    thread = threading.Thread(target=orders.get)
    thread.start()
    with at_once():
        await proof()
    orders.put(None)
    await proof()
    thread.join()


@on_idle_loop
async def test_an_order_to_a_parked_thread_is_never_missed() -> None:
    """A notified thread is still inside ``wait`` until it runs."""
    loop = asyncio.get_running_loop()
    orders: queue.Queue[list[str] | None] = queue.Queue()

    def run() -> None:
        while (seen := orders.get()) is not None:
            loop.call_soon_threadsafe(seen.append, "fed")

    thread = threading.Thread(target=run)
    thread.start()
    with fine_switching():
        for _ in range(300):
            seen: list[str] = []
            orders.put(seen)
            await proof()
            assert seen == ["fed"]
    orders.put(None)
    thread.join()


@on_idle_loop
async def test_a_thread_handing_on_to_another_is_never_missed() -> None:
    loop = asyncio.get_running_loop()
    first: queue.Queue[list[str] | None] = queue.Queue()
    second: queue.Queue[list[str] | None] = queue.Queue()

    def hands_on() -> None:
        while (seen := first.get()) is not None:
            second.put(seen)

    def feeds() -> None:
        while (seen := second.get()) is not None:
            loop.call_soon_threadsafe(seen.append, "fed")

    threads = [threading.Thread(target=target) for target in (hands_on, feeds)]
    for thread in threads:
        thread.start()
    with fine_switching():
        for _ in range(300):
            seen: list[str] = []
            first.put(seen)
            await proof()
            assert seen == ["fed"]
    first.put(None)
    second.put(None)
    for thread in threads:
        thread.join()


@on_idle_loop
async def test_a_second_loop_in_a_thread_counts() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    async def other() -> None:
        await asyncio.sleep(JOB)
        loop.call_soon_threadsafe(seen.append, "fed")

    thread = threading.Thread(target=asyncio.run, args=(other(),))
    thread.start()
    await proof()
    assert seen == ["fed"]
    thread.join()


def test_threads_are_looked_at_under_a_tracer() -> None:
    """Debuggers and coverage trace; another thread's variables are then copied."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            task = asyncio.ensure_future(loop.run_in_executor(None, time.sleep, 0.001))
            await proof()
            assert task.done()

    before = sys.gettrace()

    def tracer(*_: object) -> object:
        return tracer

    threading.settrace(tracer)  # type: ignore[arg-type]
    sys.settrace(tracer)  # type: ignore[arg-type]
    try:
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
    finally:
        sys.settrace(before)
        threading.settrace(None)  # type: ignore[arg-type]
