"""Threads in native code: the kernel says whether they were handed something."""

import queue
import threading
from collections.abc import Iterator

import pytest

from chanx_testing.core.idle.sources import sleepers
from tests.support.idle import until_it_waits

pytestmark = pytest.mark.skipif(not sleepers.AVAILABLE, reason="/proc of Linux")


@pytest.fixture
def worker() -> Iterator[tuple[threading.Thread, "queue.SimpleQueue[bool]"]]:
    orders: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def run() -> None:
        while orders.get():
            pass

    thread = threading.Thread(target=run)
    thread.start()
    until_it_waits(thread)
    yield thread, orders
    orders.put(False)
    thread.join()


def state(thread: threading.Thread) -> object:
    assert thread.native_id is not None
    return sleepers.switches(thread.native_id)


def test_one_that_was_handed_nothing_stays_as_it_was(
    worker: tuple[threading.Thread, "queue.SimpleQueue[bool]"],
) -> None:
    thread, _ = worker
    while state(thread) is None:
        pass  # on its way to sleep
    assert {state(thread) for _ in range(100)} == {state(thread)}


def test_one_that_was_handed_something_never_looks_as_before(
    worker: tuple[threading.Thread, "queue.SimpleQueue[bool]"],
) -> None:
    """From the moment of ``put`` on: it can run, or has run."""
    thread, orders = worker
    for _ in range(300):
        until_it_waits(thread)
        while (before := state(thread)) is None:
            pass  # on its way to sleep
        orders.put(True)
        assert state(thread) != before


def test_one_that_runs_has_no_state() -> None:
    assert sleepers.switches(threading.get_native_id()) is None


def test_one_that_has_ended_has_no_state() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert thread.native_id is not None
    assert sleepers.switches(thread.native_id) is None
