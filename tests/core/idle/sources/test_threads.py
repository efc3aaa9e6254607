"""Threads: a busy one may feed the loop, a parked one waits for an order."""

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio.to_thread
import pytest

from chanx_testing.core.idle import (
    IdleEventLoop,
    VerdictKind,
    WrongVerdict,
    wait_until_idle,
)
from chanx_testing.core.idle.current_test import new_test
from tests.support.idle import (
    JOB,
    LONG,
    at_once,
    fine_switching,
    on_idle_loop,
    proof,
    run_as_a_new_test,
    until_it_waits,
)


@pytest.fixture(params=["queue", "polled queue", "simple queue"])
def poller(
    request: pytest.FixtureRequest,
) -> Iterator["queue.Queue[Callable[[], object] | None]"]:
    """A module-level worker: it waits at a queue, and does what it finds there."""
    simple = request.param == "simple queue"
    timeout = 0.01 if request.param == "polled queue" else None
    orders: Any = queue.SimpleQueue() if simple else queue.Queue()

    def run() -> None:
        while True:
            try:
                order = orders.get(timeout=timeout)
            except queue.Empty:
                continue
            if order is None:
                return
            order()

    thread = threading.Thread(target=run, name="poller", daemon=True)
    thread.start()
    until_it_waits(thread)
    yield orders
    orders.put(None)
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


def test_a_worker_from_before_the_test_that_was_handed_nothing_does_not_count(
    poller: "queue.Queue[Callable[[], object] | None]",
) -> None:
    async def main() -> None:
        for _ in range(20):
            with at_once():
                await proof()

    run_as_a_new_test(main())


def test_a_worker_from_before_the_test_counts_while_it_has_something_in_hand(
    poller: "queue.Queue[Callable[[], object] | None]",
) -> None:
    """The first time and every other time alike, whatever other tests have done."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            seen: list[str] = []

            def answer(seen: list[str] = seen) -> None:
                time.sleep(0.02)
                loop.call_soon_threadsafe(seen.append, "answer")

            poller.put(answer)
            await proof()
            assert seen == ["answer"]
            with at_once():
                await proof()

    for _ in range(2):
        run_as_a_new_test(main())


def test_an_order_to_a_polling_worker_is_never_missed(
    poller: "queue.Queue[Callable[[], object] | None]",
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with fine_switching():
            for _ in range(300):
                seen: list[str] = []
                poller.put(partial(loop.call_soon_threadsafe, seen.append, "answer"))
                await proof()
                assert seen == ["answer"]

    run_as_a_new_test(main())


def test_what_a_worker_was_handed_before_the_loop_belongs_to_the_test(
    poller: "queue.Queue[Callable[[], object] | None]",
) -> None:
    """As in a ``setUp`` that is not async."""
    loops: list[asyncio.AbstractEventLoop] = []
    seen: list[str] = []

    def answer() -> None:
        time.sleep(JOB)
        loops[0].call_soon_threadsafe(seen.append, "answer")

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        await proof()
        assert seen == ["answer"]

    with new_test():
        poller.put(answer)
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())


def test_a_job_from_before_the_loop_belongs_to_the_test() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    seen: list[str] = []

    def answer() -> None:
        time.sleep(JOB)
        loops[0].call_soon_threadsafe(seen.append, "answer")

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        await proof()
        assert seen == ["answer"]

    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with new_test():
            pool.submit(answer)
            with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
                runner.run(main())


def test_a_wait_with_a_limit_is_a_timer() -> None:
    """It ends by itself no sooner than its limit after the test began."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        timer = threading.Timer(0.3, loop.call_soon_threadsafe, (seen.append, "timer"))
        timer.start()
        with at_once():
            assert await wait_until_idle(0.1)
        assert not seen
        assert await wait_until_idle(LONG)
        assert seen == ["timer"]

    run_as_a_new_test(main())


def test_a_thread_that_acts_by_itself_after_a_verdict_fails_the_test() -> None:
    """It is from before the test, so it was trusted; from then on it is not."""
    loops: list[asyncio.AbstractEventLoop] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.05):
            for loop in tuple(loops):
                loop.call_soon_threadsafe(int)

    thread = threading.Thread(target=run, name="ticker")
    thread.start()
    until_it_waits(thread)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        assert await wait_until_idle(LONG)
        try:
            await asyncio.sleep(0.2)
            with pytest.raises(WrongVerdict, match="thread ticker reached") as caught:
                await wait_until_idle(LONG)
        finally:
            loops.clear()
        assert "run test_threads.py:" in str(caught.value)

    async def again() -> None:
        began = time.monotonic()
        await wait_until_idle(0.2)
        # A tick is 0.05 s long: none can come in what is left.
        assert time.monotonic() - began > 0.14

    try:
        run_as_a_new_test(main())
        run_as_a_new_test(again())
    finally:
        stop.set()
        thread.join()


def test_what_the_test_sets_off_after_a_verdict_is_no_contradiction(
    poller: "queue.Queue[Callable[[], object] | None]",
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(50):
            seen: list[str] = []
            assert await wait_until_idle(LONG)
            poller.put(partial(loop.call_soon_threadsafe, seen.append, "answer"))
            await wait_until_idle(LONG)
            assert seen == ["answer"]

    run_as_a_new_test(main())


def test_a_thread_that_waits_for_the_end_of_another_has_nothing_in_hand() -> None:
    async def main() -> None:
        orders: queue.Queue[None] = queue.Queue()
        worker = threading.Thread(target=orders.get)
        worker.start()
        joiner = threading.Thread(target=worker.join)
        joiner.start()
        with at_once():
            await proof()
        orders.put(None)
        await proof()
        assert not joiner.is_alive()

    run_as_a_new_test(main())


@on_idle_loop
async def test_the_end_of_a_thread_that_another_waits_for_is_never_missed() -> None:
    """Between its last instruction and the notice of its end it is nowhere."""
    loop = asyncio.get_running_loop()
    with fine_switching():
        for _ in range(1000):
            seen: list[str] = []
            worker = threading.Thread(target=int)
            worker.start()

            def join(worker: threading.Thread = worker, seen: Any = seen) -> None:
                worker.join()
                loop.call_soon_threadsafe(seen.append, "ended")

            threading.Thread(target=join).start()
            await proof()
            assert seen == ["ended"]


@on_idle_loop
async def test_a_busy_thread_is_named_with_its_place() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            time.sleep(0.001)

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
