"""Jobs that are handed to a thread pool past the loop."""

import asyncio
import concurrent.futures
import threading
import time

from chanx_testing.core.idle import IdleEventLoop
from tests.support.idle import (
    at_once,
    fine_switching,
    on_idle_loop,
    proof,
    run_as_a_new_test,
)


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


def test_a_job_taken_up_by_a_thread_that_was_busy_before_the_test_counts() -> None:
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

        run_as_a_new_test(main())
