"""Executor jobs: each may come back to the loop until it has ended."""

import asyncio
import concurrent.futures
import multiprocessing
import queue
import threading
import time
from typing import Any

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async

from chanx_testing.core.idle import (
    IdleEventLoop,
    VerdictKind,
    installed,
    wait_until_idle,
)

# -- executor jobs ------------------------------------------------------------------
from chanx_testing.core.idle.sources.jobs import Jobs
from tests.support.idle import JOB, at_once, fine_switching, on_idle_loop, proof


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


@pytest.mark.slow
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


@on_idle_loop
async def test_a_job_is_open_until_its_result_is_there() -> None:
    loop = asyncio.get_running_loop()
    jobs: Jobs = loop.jobs  # type: ignore[attr-defined]
    go = threading.Event()
    assert not jobs.is_open()
    job = loop.run_in_executor(None, go.wait)
    assert jobs.is_open()
    assert jobs.may_end_a_deadlock()
    (phrase,) = jobs.phrases()
    assert phrase.startswith("executor Event.wait ")
    go.set()
    await job
    assert await wait_until_idle(60)
    assert not jobs.is_open()
    assert jobs.phrases() == []


@on_idle_loop
async def test_a_job_that_a_timeout_has_cancelled_is_open_while_it_runs() -> None:
    loop = asyncio.get_running_loop()
    jobs: Jobs = loop.jobs  # type: ignore[attr-defined]
    go = threading.Event()
    job = loop.run_in_executor(None, go.wait)
    job.cancel()
    await asyncio.sleep(0)
    assert job.cancelled()
    assert jobs.is_open()
    go.set()
    assert await wait_until_idle(60)
    assert not jobs.is_open()


@on_idle_loop
async def test_a_job_that_cannot_start_is_not_counted() -> None:
    loop = asyncio.get_running_loop()
    jobs: Jobs = loop.jobs  # type: ignore[attr-defined]
    await loop.shutdown_default_executor()
    try:
        await loop.run_in_executor(None, int)
    except RuntimeError:
        assert not jobs.is_open()
    else:
        raise AssertionError("an executor that is shut down took a job")


@on_idle_loop
async def test_a_job_is_overdue_after_some_time() -> None:
    loop = asyncio.get_running_loop()
    jobs: Jobs = loop.jobs  # type: ignore[attr-defined]
    go = threading.Event()
    job = loop.run_in_executor(None, go.wait)
    assert jobs.overdue(60) == []
    assert "Event.wait has run for 0.0 s" in jobs.overdue(0)
    go.set()
    await job
    assert await wait_until_idle(60)
    assert jobs.overdue(0) == []
