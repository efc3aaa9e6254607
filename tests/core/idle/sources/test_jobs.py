"""A job is open until its result has reached the loop."""

import asyncio
import threading

from chanx_testing.core.idle import wait_until_idle
from chanx_testing.core.idle.sources.jobs import Jobs
from tests.core.idle.helpers import on_idle_loop


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
