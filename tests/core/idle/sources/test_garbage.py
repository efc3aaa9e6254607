"""Finalizers: a collection before the verdict makes what is due happen first."""

import asyncio
import gc
import time
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from chanx_testing.core.idle import IdleEventLoop, wait_until_idle
from chanx_testing.core.idle.sources import garbage
from chanx_testing.core.idle.waiting import engage
from tests.support.idle import LONG, engaged_loop, on_idle_loop, proof


class Cycle:
    """Something that only the collector can free."""

    def __init__(self, content: object) -> None:
        self.content = content
        self.me = self


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    assert gc.isenabled()
    gc.collect()


@on_idle_loop
async def test_a_dropped_async_generator_is_closed_before_the_verdict() -> None:
    closed: list[bool] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    cycle = Cycle(numbers())
    assert await anext(cycle.content) == 1  # type: ignore[call-overload]
    del cycle
    await proof()
    assert closed


@on_idle_loop
async def test_a_dropped_communicator_ends_its_application_before_the_verdict() -> None:
    cancelled: list[bool] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    communicator = ApplicationCommunicator(application, {"type": "websocket"})
    _ = communicator.future
    await asyncio.sleep(0)
    cycle = Cycle(communicator)
    del communicator, cycle
    await proof()
    assert cancelled


@on_idle_loop
async def test_no_collection_to_see_whether_the_loop_has_settled() -> None:
    freed: list[bool] = []
    cycle = Cycle(None)
    weakref.finalize(cycle, freed.append, True)
    del cycle
    assert await wait_until_idle(LONG, horizon=0)
    assert not freed
    assert await wait_until_idle(LONG)
    assert freed


def test_the_collector_stays_off_where_it_is_off() -> None:
    freed: list[bool] = []

    async def main() -> None:
        cycle = Cycle(None)
        weakref.finalize(cycle, freed.append, True)
        del cycle
        await proof()
        assert not freed

    gc.disable()
    try:
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
    finally:
        gc.enable()


def test_older_objects_are_out_of_the_way_while_the_loop_runs_only() -> None:
    before = gc.get_freeze_count()

    async def main() -> int:
        await proof()
        return gc.get_freeze_count()

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        assert runner.run(main()) > 10_000
    assert gc.get_freeze_count() <= before


def test_what_the_user_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()

        async def main() -> None:
            await proof()

        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
        assert gc.get_freeze_count() > frozen - 1000
    finally:
        gc.unfreeze()


def test_a_run_that_uses_no_connection_of_ours_freezes_nothing() -> None:
    before = gc.get_freeze_count()

    async def main() -> int:
        await asyncio.sleep(0)
        return gc.get_freeze_count()

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        assert runner.run(main()) == before


def test_young_garbage_of_an_earlier_test_is_not_made_old() -> None:
    """Otherwise a weakly connected receiver of that test would go on receiving."""
    receiver = Cycle(None)
    gone = weakref.ref(receiver)
    del receiver

    async def main() -> None:
        engage()

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())
    gc.collect(1)
    assert gone() is None


def test_what_the_test_has_dropped_is_gone_with_its_run() -> None:
    """The collections before the verdicts have made old objects of it."""
    gone: list[weakref.ref[Cycle]] = []

    async def main() -> None:
        engage()
        cycle = Cycle(None)
        gone.append(weakref.ref(cycle))
        for _ in range(3):
            await proof()

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())
    gc.collect(0)
    assert gone[0]() is None


@pytest.mark.slow
def test_the_heap_does_not_grow_for_ever() -> None:
    """Freezing hides growth from the collector, so full collections are ours to run."""
    alive: weakref.WeakSet[Cycle] = weakref.WeakSet()

    async def main() -> None:
        engage()
        for _ in range(2000):
            alive.add(Cycle([None] * 10))

    most = 0
    for _ in range(100):
        asyncio.Runner(loop_factory=IdleEventLoop)
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())
        most = max(most, len(alive))
    assert most < 150_000


@on_idle_loop
async def test_a_collection_sees_the_test_only_and_is_cheap() -> None:
    await proof()
    start = time.perf_counter()
    for _ in range(100):
        await proof()
    assert (time.perf_counter() - start) / 100 < 0.005


def test_a_finalizer_may_run_a_loop_while_another_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[bool] = []
    freeze = garbage.collector.freeze

    async def inner() -> None:
        ran.append(True)

    def freeze_with_a_finalizer() -> None:
        if not ran:
            with asyncio.Runner(loop_factory=engaged_loop) as runner:
                ran.append(False)
                runner.run(inner())
        freeze()

    monkeypatch.setattr(garbage.collector, "freeze", freeze_with_a_finalizer)
    with asyncio.Runner(loop_factory=engaged_loop) as runner:
        runner.run(inner())
    assert ran == [False, True, True]
