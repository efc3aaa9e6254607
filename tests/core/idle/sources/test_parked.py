"""The private details that parking is read from: each fails here when it changes."""

import asyncio
import concurrent.futures
import multiprocessing
import queue
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chanx_testing.core.idle.sources import parked
from tests.support.idle import on_idle_loop


def frame_of(thread: threading.Thread) -> Any:
    assert thread.ident is not None
    return sys._current_frames()[thread.ident]


def settles(thread: threading.Thread, expected: bool) -> bool:
    """Threads reach their places in their own time."""
    for _ in range(2000):
        if parked.is_parked(frame_of(thread)) is expected:
            return True
        threading.Event().wait(0.001)
    return False


def test_every_detail_is_there() -> None:
    assert parked.WORKER is not None
    assert parked.CONDITION_WAIT is not None
    assert parked.JOIN is not None
    assert ("block" in parked.JOIN.co_varnames) is (sys.version_info < (3, 13))
    import concurrent.futures.process  # noqa: F401 - looked up when it is there

    assert parked._manager_code() is not None


@pytest.fixture
def worker() -> Iterator[tuple[ThreadPoolExecutor, threading.Thread]]:
    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(threading.current_thread).result()
        yield pool, thread


def test_a_pools_thread(worker: tuple[ThreadPoolExecutor, threading.Thread]) -> None:
    pool, thread = worker
    assert settles(thread, True)
    gate = threading.Event()
    pool.submit(gate.wait, 5)
    assert settles(thread, False)
    gate.set()
    assert settles(thread, True)


def test_a_queue_and_an_event() -> None:
    orders: queue.Queue[None] = queue.Queue()
    stop = threading.Event()
    threads = [threading.Thread(target=target) for target in (orders.get, stop.wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        assert settles(thread, True)
    orders.put(None)
    stop.set()
    for thread in threads:
        thread.join()


def test_a_thread_that_was_notified_is_not_parked() -> None:
    condition = threading.Condition()

    def waits() -> None:
        with condition:
            condition.wait()

    thread = threading.Thread(target=waits)
    thread.start()
    assert settles(thread, True)
    with condition:
        condition.notify()
        # It is still inside wait(): the lock of the condition is held here.
        assert not parked.is_parked(frame_of(thread))
    thread.join()


def test_a_wait_with_a_limit_ends_by_itself() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, args=(5,))
    thread.start()
    for _ in range(50):
        assert not parked.is_parked(frame_of(thread))
        time.sleep(0.001)
    stop.set()
    thread.join()


def test_a_thread_that_waits_for_the_end_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = threading.Event()
    worker = threading.Thread(target=stop.wait)
    worker.start()
    joiner = threading.Thread(target=worker.join)
    joiner.start()
    assert settles(joiner, True)
    # As it is for a moment after the last instruction of the worker.
    others = [thread for thread in threading.enumerate() if thread is not worker]
    with monkeypatch.context() as patch:
        patch.setattr(threading, "enumerate", lambda: others)
        assert not parked.is_parked(frame_of(joiner))
    stop.set()
    joiner.join()


@pytest.mark.slow
def test_a_process_pools_manager() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(int).result() == 0
        manager = next(
            t for t in threading.enumerate() if "ExecutorManager" in type(t).__name__
        )
        assert settles(manager, True)
        future = pool.submit(time.sleep, 0.2)
        assert not parked.is_parked(frame_of(manager))
        future.result()
        assert settles(manager, True)


@pytest.mark.parametrize("name", ["WORKER", "CONDITION_WAIT"])
def test_a_detail_that_is_gone_means_busy(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    worker: tuple[ThreadPoolExecutor, threading.Thread],
) -> None:
    stop = threading.Event()
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    thread = worker[1] if name == "WORKER" else waiting
    assert settles(thread, True)
    monkeypatch.setattr(parked, name, None)
    assert not parked.is_parked(frame_of(thread))
    stop.set()
    waiting.join()


def test_variables_that_are_gone_mean_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def other() -> Any:
        return sys._getframe()

    frame = other()
    for name in ("WORKER", "CONDITION_WAIT"):
        monkeypatch.setattr(parked, name, frame.f_code)
        assert not parked.is_parked(frame)


@on_idle_loop
async def test_an_exception_is_looked_at_without_retrieving_it() -> None:
    async def fails() -> None:
        raise ValueError("x")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0.001)
    assert isinstance(parked.exception_not_retrieved(task), ValueError)
    assert isinstance(parked.exception_not_retrieved(task), ValueError)
    assert task.exception() is not None
    assert parked.exception_not_retrieved(task) is None
