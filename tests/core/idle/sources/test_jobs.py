"""Executor jobs, threads, children, signals: what wakes a loop from outside."""

import asyncio
import concurrent.futures
import gc
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio.to_thread
import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from chanx_testing.core.idle import (
    IdleEventLoop,
    UnsafeLoopAccess,
    VerdictKind,
    installed,
    wait,
    wait_until_idle,
)
from tests.support.idle import LONG, at_once, fine_switching, on_idle_loop, proof

JOB = 0.1  # seconds; long enough to be missed by a wrong verdict


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


# -- executor jobs ------------------------------------------------------------------


@on_idle_loop
async def test_a_job_whose_future_was_cancelled_counts_until_it_ends() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    def job() -> None:
        time.sleep(JOB)
        loop.call_soon_threadsafe(seen.append, "fed")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(loop.run_in_executor(None, job), 0.02)
    await proof()
    assert seen == ["fed"]


def test_a_cancelled_job_of_an_executor_with_hidden_threads_counts() -> None:
    """Its thread is nobody's business; only the job's own future tells."""
    orders: queue.Queue[concurrent.futures.Future[None] | None] = queue.Queue()

    class Elsewhere(concurrent.futures.Executor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            future: concurrent.futures.Future[None] = concurrent.futures.Future()
            future.set_running_or_notify_cancel()
            orders.put(future)
            return future

    def run() -> None:
        while True:
            try:
                future = orders.get(timeout=0.001)
            except queue.Empty:
                continue
            if future is None:
                return
            time.sleep(JOB)
            future.set_result(None)
            return  # it has fed the loop by that, and would count from now on

    thread = threading.Thread(target=run)
    thread.start()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = time.perf_counter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(Elsewhere(), int), 0.01)
        await proof()
        assert time.perf_counter() - before > JOB - 0.01

    try:
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
    finally:
        orders.put(None)
        thread.join()


@on_idle_loop
async def test_a_trivial_job_is_never_missed_nor_waited_for_too_long() -> None:
    loop = asyncio.get_running_loop()

    async def work() -> int:
        return await loop.run_in_executor(None, int)

    with fine_switching():
        for _ in range(500):
            task = asyncio.create_task(work())
            await proof()
            assert task.done()


@on_idle_loop
async def test_a_job_started_before_the_first_wait_counts() -> None:
    future = asyncio.get_running_loop().run_in_executor(None, time.sleep, JOB)
    await asyncio.sleep(0)
    await proof()
    assert future.done()


@on_idle_loop
async def test_the_deadline_names_the_job_and_never_evaluates_it() -> None:
    class Trap:
        def __repr__(self) -> str:
            raise AssertionError("evaluated")

        def save_message(self, *_: object) -> None:
            time.sleep(JOB)

    future = asyncio.create_task(sync_to_async(Trap().save_message)(Trap()))
    verdict = await wait_until_idle(0.02)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "executor Trap.save_message " in str(verdict)
    assert str(verdict).endswith(" ms")
    await future


@on_idle_loop
async def test_a_queued_job_that_is_cancelled_no_longer_counts() -> None:
    loop = asyncio.get_running_loop()
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = loop.run_in_executor(pool, gate.wait)
        second = loop.run_in_executor(pool, time.sleep, 10)
        await asyncio.sleep(0)
        second.cancel()
        loop.call_later(0.02, gate.set)
        await proof()
        assert first.done()
        # The thread takes the cancelled item from its queue before it exits.
        await proof()


@on_idle_loop
async def test_a_job_that_fails_counts_until_it_has() -> None:
    def job() -> None:
        time.sleep(0.02)
        raise ValueError("job")

    future = asyncio.get_running_loop().run_in_executor(None, job)
    await proof()
    with pytest.raises(ValueError, match="job"):
        future.result()


@on_idle_loop
async def test_a_refused_job_does_not_count() -> None:
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop().run_in_executor(pool, int)
    with at_once():
        await proof()


@on_idle_loop
async def test_the_users_default_executor_is_used() -> None:
    loop = asyncio.get_running_loop()
    with concurrent.futures.ThreadPoolExecutor(thread_name_prefix="own") as pool:
        loop.set_default_executor(pool)
        name = await loop.run_in_executor(None, lambda: threading.current_thread().name)
        assert name.startswith("own")


def test_shutting_the_loop_down_joins_a_busy_worker() -> None:
    done: list[bool] = []

    def job() -> None:
        time.sleep(0.05)
        done.append(True)

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, job)

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())
    assert done
    assert not [t for t in threading.enumerate() if t.name.startswith("asyncio")]


def test_no_job_after_the_shutdown() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            loop.run_in_executor(None, int)

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())


@on_idle_loop
async def test_a_job_submitted_past_the_loop_counts() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []

    def job() -> None:
        time.sleep(0.05)
        loop.call_soon_threadsafe(seen.append, "fed")

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(job)
        await proof()
        assert seen == ["fed"]
        with at_once():
            await proof()  # its thread is parked now


def test_a_job_submitted_to_a_pool_that_is_older_than_the_loop_counts() -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(time.sleep, [0.01, 0.01]))

        async def main() -> None:
            loop = asyncio.get_running_loop()
            with fine_switching():
                for _ in range(300):
                    seen: list[str] = []
                    pool.submit(loop.call_soon_threadsafe, seen.append, "fed")
                    await proof()
                    assert seen == ["fed"]

        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())


def test_a_job_taken_up_by_a_thread_that_was_busy_before_the_loop_counts() -> None:
    gate = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        older = pool.submit(lambda: [gate.wait(0.001) for _ in range(100)])

        async def main() -> None:
            loop = asyncio.get_running_loop()
            with at_once():
                await proof()  # the older job is its own business
            assert not older.done()
            seen: list[str] = []

            def job() -> None:
                time.sleep(0.05)
                loop.call_soon_threadsafe(seen.append, "fed")

            pool.submit(job)
            await proof()
            assert seen == ["fed"]

        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())


def test_a_process_pool_counts_while_it_works() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        pool.submit(int).result()

        async def main() -> None:
            with at_once():
                await proof()
            future = asyncio.get_running_loop().run_in_executor(pool, time.sleep, JOB)
            await proof()
            assert future.done()
            raw = pool.submit(time.sleep, JOB)
            await proof()
            assert raw.done()
            with at_once():
                await proof()

        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())


# -- asgiref -------------------------------------------------------------------------


def test_jobs_on_the_callers_thread_count() -> None:
    """``async_to_sync`` parks the main thread, where jobs then run."""
    names: list[str] = []

    def job() -> None:
        time.sleep(0.02)
        names.append(threading.current_thread().name)

    async def main() -> None:
        for expected in range(1, 4):
            task = asyncio.create_task(sync_to_async(job)())
            await proof()
            assert len(names) == expected
            assert task.done()
            with at_once():
                await proof()

    with installed():
        async_to_sync(main)()
    assert set(names) == {threading.current_thread().name}


@on_idle_loop
async def test_a_job_that_calls_back_into_the_loop_counts() -> None:
    done: list[str] = []

    async def inner() -> None:
        await asyncio.sleep(0.02)
        done.append("inner")

    def job() -> None:
        async_to_sync(inner)()
        time.sleep(0.02)
        done.append("outer")

    task = asyncio.create_task(sync_to_async(job, thread_sensitive=False)())
    await proof()
    assert done == ["inner", "outer"]
    await task


@on_idle_loop
async def test_leaving_a_thread_sensitive_context_counts() -> None:
    done: list[bool] = []

    async def work() -> None:
        async with ThreadSensitiveContext():
            await sync_to_async(int)()
        done.append(True)

    for expected in range(1, 21):
        task = asyncio.create_task(work())
        await proof()
        assert len(done) == expected
        await task


@on_idle_loop
async def test_a_loop_of_its_own_in_another_thread_counts() -> None:
    done: list[bool] = []

    async def inner() -> None:
        await asyncio.sleep(0.05)
        done.append(True)

    def job() -> None:
        async_to_sync(inner, force_new_loop=True)()

    with installed():
        task = asyncio.create_task(sync_to_async(job, thread_sensitive=False)())
        await proof()
    assert done
    await task


# -- threads -------------------------------------------------------------------------


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
    assert "spin test_jobs.py:" in str(verdict)


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


@on_idle_loop
async def test_a_queue_written_from_another_threads_loop_is_an_error() -> None:
    frames: asyncio.Queue[str] = asyncio.Queue()
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reports.append(context["message"])
    )

    async def receive() -> str:
        return await frames.get()

    receiver = asyncio.create_task(receive())
    await asyncio.sleep(0)

    async def other() -> None:
        await asyncio.sleep(0.02)
        frames.put_nowait("unsafe")

    thread = threading.Thread(target=asyncio.run, args=(other(),), name="other-loop")
    thread.start()
    with at_once(), pytest.raises(UnsafeLoopAccess, match="thread other-loop"):
        await wait_until_idle(LONG)
    thread.join()
    # The frame has its effect all the same, so that the test can end.
    assert await receiver == "unsafe"
    assert "thread other-loop" in reports[0]
    assert "test_jobs.py:" in reports[0]


@on_idle_loop
async def test_unsafe_access_before_a_wait_fails_the_next_one() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    thread = threading.Thread(target=loop.call_soon, args=(int,), name="unsafe")
    thread.start()
    thread.join()
    await asyncio.sleep(0.01)
    with pytest.raises(UnsafeLoopAccess, match="thread unsafe"):
        await wait(loop.create_future(), LONG)
    await proof()


@on_idle_loop
async def test_a_timer_set_by_another_thread_is_unsafe_access() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    thread = threading.Thread(target=loop.call_later, args=(0.01, int), name="unsafe")
    thread.start()
    with pytest.raises(UnsafeLoopAccess, match="thread unsafe"):
        await wait_until_idle(LONG)
    thread.join()


@pytest.mark.parametrize("in_cycle", [False, True])
@on_idle_loop
async def test_a_finalizer_in_another_thread_is_no_unsafe_access(
    in_cycle: bool,
) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    waiter = asyncio.ensure_future(asyncio.wait([future]))
    await asyncio.sleep(0)

    class Finalized:
        me: object = None

        def __del__(self) -> None:
            future.cancel()

    box = [Finalized()]
    if in_cycle:
        box[0].me = box[0]

    def drop() -> None:
        box.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    await proof()
    assert future.cancelled()
    assert waiter.done()
    thread.join()


def test_unsafe_access_in_debug_mode_neither_hangs_nor_is_lost() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        future: asyncio.Future[None] = loop.create_future()
        receiver = asyncio.ensure_future(asyncio.wait_for(future, None))
        await asyncio.sleep(0)
        thread = threading.Thread(target=future.set_result, args=(None,))
        thread.start()
        with pytest.raises(UnsafeLoopAccess):
            await wait_until_idle(LONG)
        thread.join()
        await receiver

    with asyncio.Runner(loop_factory=IdleEventLoop, debug=True) as runner:
        runner.run(main())


# -- children and signals ------------------------------------------------------------


@pytest.mark.parametrize("pipe", [None, asyncio.subprocess.PIPE])
@on_idle_loop
async def test_a_child_process_counts_until_its_exit_is_known(pipe: int | None) -> None:
    child = await asyncio.create_subprocess_exec("sleep", "0.1", stdout=pipe)
    exited = asyncio.create_task(child.wait())
    await proof()
    assert exited.done()
    with at_once():
        await proof()


@on_idle_loop
async def test_a_child_process_is_named() -> None:
    child = await asyncio.create_subprocess_shell("sleep 5")
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert f"child process {child.pid}" in str(verdict)
    child.kill()
    await child.wait()


@on_idle_loop
async def test_a_signal_handler_counts_while_it_is_set() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "signal")
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    verdict = await wait_until_idle(0.2)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "signal handler SIGUSR1" in str(verdict)
    assert seen == ["signal"]
    timer.join()
    assert loop.remove_signal_handler(signal.SIGUSR1)
    with at_once():
        await proof()


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
