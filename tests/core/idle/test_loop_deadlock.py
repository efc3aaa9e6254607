"""A run whose main task can never wake again ends at once, and says where it waits."""

import asyncio
import contextlib
import pickle
import signal
import threading
import time
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core.idle import (
    Deadlock,
    IdleEventLoop,
    background,
    installed,
    wait_until_idle,
)
from chanx_testing.core.idle.waiting import engage
from tests.support.idle import at_once, engaged_loop


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=engaged_loop) as runner:
        return runner.run(main)


async def waits_for_ever() -> None:
    engage()  # as a test does that starts a connection
    await asyncio.Queue[None]().get()


def test_a_wait_that_can_never_end_fails_at_once() -> None:
    with at_once(), pytest.raises(Deadlock) as caught:
        run(waits_for_ever())
    text = str(caught.value)
    assert text.startswith("this await can never end")
    assert "blocked: waits_for_ever test_loop_deadlock.py:" in text
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


def test_each_task_is_named() -> None:
    async def consumer() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        tasks = [asyncio.create_task(consumer()) for _ in range(2)]
        await asyncio.gather(*tasks)

    with pytest.raises(Deadlock) as caught:
        run(main())
    assert [task.split()[0] for task in caught.value.tasks] == [
        "consumer",
        "consumer",
        "main",
    ]


def test_the_loop_can_be_used_again() -> None:
    async def fine() -> int:
        return 1

    with asyncio.Runner(loop_factory=engaged_loop) as runner:
        with pytest.raises(Deadlock):
            runner.run(waits_for_ever())
        assert runner.run(fine()) == 1


def test_cleanup_runs_and_may_use_the_loop() -> None:
    cleaned: list[bool] = []

    async def main() -> None:
        try:
            await waits_for_ever()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append(True)

    with pytest.raises(Deadlock):
        run(main())
    assert cleaned


def test_a_cleanup_that_waits_for_ever_too_is_given_up() -> None:
    async def main() -> None:
        while True:
            try:
                await waits_for_ever()
            except asyncio.CancelledError:
                if cancelled.done():
                    raise

    loop = engaged_loop()
    cancelled: asyncio.Future[None] = loop.create_future()
    task = loop.create_task(main())
    with at_once(), pytest.raises(Deadlock):
        loop.run_until_complete(task)
    cancelled.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_a_swallowed_deadlock_still_fails() -> None:
    async def main() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await waits_for_ever()

    with pytest.raises(Deadlock):
        run(main())


def test_a_bare_coroutine_or_future_is_watched_too() -> None:
    loop = engaged_loop()
    with pytest.raises(Deadlock):
        loop.run_until_complete(waits_for_ever())
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_under_async_to_sync() -> None:
    with installed(), at_once(), pytest.raises(Deadlock):
        async_to_sync(waits_for_ever)()


def test_a_job_is_no_deadlock() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()

        def job() -> None:
            time.sleep(0.05)
            loop.call_soon_threadsafe(future.set_result, 1)

        loop.run_in_executor(None, job)
        return await future

    assert run(main()) == 1


def test_a_thread_is_no_deadlock() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        timer = threading.Timer(0.05, loop.call_soon_threadsafe)
        timer.args = (future.set_result, 1)  # type: ignore[assignment]
        timer.start()
        return await future

    assert run(main()) == 1


def test_a_busy_thread_from_before_the_loop_is_no_deadlock() -> None:
    """It has fed no loop so far; it may still do so."""
    ready = threading.Event()
    target: list[Any] = []

    def feeder() -> None:
        while not ready.wait(0.01):
            pass
        time.sleep(0.05)
        loop, future = target
        loop.call_soon_threadsafe(future.set_result, 1)

    thread = threading.Thread(target=feeder)
    thread.start()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        target.extend([loop, future])
        ready.set()
        return await future

    assert run(main()) == 1
    thread.join()


def test_a_thread_that_parks_later_leaves_a_deadlock() -> None:
    stop = threading.Event()

    async def main() -> None:
        thread = threading.Thread(target=lambda: (time.sleep(0.05), stop.wait()))
        thread.start()
        await waits_for_ever()

    with at_once(), pytest.raises(Deadlock):
        run(main())
    stop.set()


def test_a_timer_is_no_deadlock() -> None:
    async def main() -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        with background():
            asyncio.get_running_loop().call_later(0.02, future.set_result, "timer")
        return await future

    assert run(main()) == "timer"


def test_a_timeout_of_the_test_is_no_deadlock() -> None:
    async def main() -> None:
        async with asyncio.timeout(0.02):
            await waits_for_ever()

    with pytest.raises(TimeoutError):
        run(main())


def test_a_child_process_is_no_deadlock() -> None:
    async def main() -> int:
        child = await asyncio.create_subprocess_exec("true")
        return await child.wait()

    assert run(main()) == 0


def test_a_signal_handler_is_no_deadlock() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()

        def handler(*_: object) -> None:
            loop.call_soon_threadsafe(future.set_result, "alarm")

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            return await future
        finally:
            signal.signal(signal.SIGALRM, before)

    assert run(main()) == "alarm"


def test_a_wait_that_is_pending_gets_its_verdict_and_no_deadlock() -> None:
    async def main() -> None:
        assert await wait_until_idle(None)

    run(main())


def test_a_loop_that_runs_for_ever_is_left_alone() -> None:
    """A server in a thread waits to be fed; nobody calls that a deadlock."""
    loop = engaged_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    time.sleep(0.05)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_it_can_be_switched_off() -> None:
    class Patient(IdleEventLoop):
        detect_deadlocks = False

    async def main() -> None:
        await waits_for_ever()

    loop = Patient()
    task = loop.create_task(main())
    stopper = threading.Timer(0.05, loop.call_soon_threadsafe, (task.cancel,))
    # Started by the loop's own thread but from before its run: it is known to the
    # loop, and switched off means that nobody looks.
    stopper.start()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_another_failure_of_the_run_names_the_deadlock_first() -> None:
    async def main() -> None:
        try:
            await waits_for_ever()
        finally:
            raise ValueError("in cleanup")

    with pytest.raises(Deadlock) as caught:
        run(main())
    assert isinstance(caught.value.__cause__, ValueError)


def test_it_pickles() -> None:
    error = pickle.loads(pickle.dumps(Deadlock(["main test.py:1"])))
    assert error.tasks == ("main test.py:1",)
    assert "blocked: main test.py:1" in str(error)
