"""Futures that somebody elsewhere has promised to complete."""

import asyncio
import ctypes
import threading
import time
from concurrent.futures import Future
from typing import Any

import pytest

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle
from chanx_testing.core.idle.sources import natives, parked
from tests.support.idle import (
    at_once,
    engaged_loop,
    on_idle_loop,
    proof,
    run_as_a_new_test,
)


def native_future() -> "asyncio.Future[Any]":
    """Make a future as native code does: no Python frame calls ``create_future``."""
    call = ctypes.pythonapi.PyObject_CallMethod
    call.restype = ctypes.py_object
    call.argtypes = [ctypes.py_object, ctypes.c_char_p, ctypes.c_char_p]
    return call(asyncio.get_running_loop(), b"create_" + b"future", None)  # type: ignore[no-any-return]


@on_idle_loop
async def test_a_future_of_native_code_counts_until_it_is_done() -> None:
    future = native_future()
    verdict = await wait_until_idle(0.02)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "a future of native code, awaited at test_promises.py:" in str(verdict)
    future.set_result(None)
    with at_once():
        await proof()


@on_idle_loop
async def test_one_that_was_dropped_does_not_count() -> None:
    future = native_future()
    assert not await wait_until_idle(0.02)
    del future
    with at_once():
        await proof()


def test_a_future_of_native_code_is_no_deadlock() -> None:
    """Its threads are unknown to Python; it alone shows that something may come."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        future = native_future()
        # Stands for the native thread. It counts as well, so it looks on no longer
        # than it takes the loop to come to rest without it.
        threading.Thread(
            target=lambda: (
                time.sleep(0.05),
                loop.call_soon_threadsafe(future.set_result, "done"),
            )
        ).start()
        return await future  # type: ignore[no-any-return]

    with asyncio.Runner(loop_factory=engaged_loop) as runner:
        assert runner.run(main()) == "done"


def test_a_bystander_may_wait_for_anything() -> None:
    """No connection of ours: the loop ends nothing, whatever it looks like."""

    async def main() -> None:
        # Forever, as far as anybody can see; an alarm from nowhere ends it.
        await asyncio.get_running_loop().create_future()

    loop = IdleEventLoop()
    task = loop.create_task(main())
    stopper = threading.Timer(0.3, loop.call_soon_threadsafe, (task.cancel,))
    stopper.start()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()
    stopper.join()


@on_idle_loop
async def test_a_wrapped_future_counts() -> None:
    work: Future[int] = Future()
    wrapped = asyncio.wrap_future(work)
    verdict = await wait_until_idle(0.02)
    assert not verdict
    assert "the future of work elsewhere, awaited at test_promises.py:" in str(verdict)
    work.set_result(1)
    assert await wrapped == 1
    with at_once():
        await proof()


@on_idle_loop
async def test_a_job_of_the_loop_is_named_once() -> None:
    job = asyncio.get_running_loop().run_in_executor(None, time.sleep, 0.1)
    verdict = await wait_until_idle(0.02)
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith("executor ")
    await job


@on_idle_loop
async def test_futures_of_python_code_do_not_count() -> None:
    future = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(asyncio.Event().wait())
    with at_once():
        await proof()
    assert not future.done()
    waiting.cancel()


@on_idle_loop
async def test_thousands_of_done_ones_are_forgotten() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleEventLoop)
    for _ in range(2000):
        native_future().set_result(None)
    assert len(loop.promises._pending) < 100


def test_native_threads_count_after_one_has_come_uncalled_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nearly every process has some that never reach a loop."""
    source = natives.Natives()
    assert not source.is_open()
    monkeypatch.setattr(natives, "_has_come", True)
    monkeypatch.setattr(natives, "_TASKS", "/nowhere")
    assert source.is_open()
    assert source.phrases() == [
        "native threads, one of which has reached an event loop before"
    ]

    async def main() -> None:
        assert not await wait_until_idle(0.02)

    run_as_a_new_test(main())


def test_the_private_details_of_asyncio_are_there() -> None:
    assert parked.WRAP_FUTURE is not None
    assert parked.RUN_IN_EXECUTOR is not None
