"""Event loops of other threads: at rest, or with something in hand."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chanx_testing.core.idle import IdleEventLoop, wait_until_idle
from chanx_testing.core.idle.sources import other_loops, parked
from tests.support.idle import (
    JOB,
    LONG,
    at_once,
    fine_switching,
    on_idle_loop,
    proof,
    run_as_a_new_test,
)

LOOPS = pytest.mark.parametrize(
    "make", [asyncio.SelectorEventLoop, IdleEventLoop], ids=["stock", "observed"]
)


@contextmanager
def background_loop(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[asyncio.AbstractEventLoop]:
    """Run a loop in a thread, as a module does that offers async work to sync code."""
    loop = make()
    thread = threading.Thread(target=loop.run_forever, name="background", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    until_it_sleeps(thread)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def until_it_sleeps(thread: threading.Thread) -> None:
    """Return when the thread is in the ``select`` of its loop."""
    import sys

    while True:
        frame = sys._current_frames()[thread.ident or 0]
        if other_loops.sleeping_loop(frame) is not None:
            return
        time.sleep(0.001)


@LOOPS
def test_one_that_was_handed_nothing_does_not_count(make: Any) -> None:
    async def main() -> None:
        for _ in range(20):
            with at_once():
                await proof()

    with background_loop(make):
        run_as_a_new_test(main())


@LOOPS
@pytest.mark.parametrize("pause", [0, 0.02])
def test_a_coroutine_that_was_handed_over_counts_until_it_has_answered(
    make: Any, pause: float
) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        for _ in range(20):
            seen: list[str] = []

            async def answer(seen: list[str] = seen) -> None:
                await asyncio.sleep(pause)
                here.call_soon_threadsafe(seen.append, "answer")

            asyncio.run_coroutine_threadsafe(answer(), there)
            await proof()
            assert seen == ["answer"]

    with background_loop(make) as there:
        run_as_a_new_test(main())


@LOOPS
def test_what_is_handed_over_is_never_missed(make: Any) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        with fine_switching():
            for _ in range(300):
                seen: list[str] = []
                there.call_soon_threadsafe(
                    here.call_soon_threadsafe, seen.append, "answer"
                )
                await proof()
                assert seen == ["answer"]

    with background_loop(make) as there:
        run_as_a_new_test(main())


@LOOPS
def test_a_loop_that_the_test_has_started_rests_as_well(make: Any) -> None:
    async def main() -> None:
        with background_loop(make), at_once():
            await proof()

    run_as_a_new_test(main())


@LOOPS
def test_a_timer_of_the_other_loop_counts(make: Any) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        seen: list[str] = []
        there.call_soon_threadsafe(
            there.call_later, JOB, here.call_soon_threadsafe, seen.append, "timer"
        )
        await proof()
        assert seen == ["timer"]
        # One that is later than the deadline does not.
        there.call_soon_threadsafe(there.call_later, 60, print)
        with at_once():
            await proof()

    with background_loop(make) as there:
        run_as_a_new_test(main())


def test_work_of_the_other_loop_counts() -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        seen: list[str] = []

        async def work() -> None:
            await asyncio.to_thread(time.sleep, JOB)
            here.call_soon_threadsafe(seen.append, "answer")

        asyncio.run_coroutine_threadsafe(work(), there)
        await proof()
        assert seen == ["answer"]

    with background_loop(IdleEventLoop) as there:
        run_as_a_new_test(main())


def test_a_wrapped_future_counts_until_it_is_done() -> None:
    """Somebody waits for the other loop: what that waits for may come from anywhere."""

    async def main() -> None:
        gate = asyncio.Event()
        seen: list[bool] = []

        async def wait_for_it() -> None:
            future = asyncio.run_coroutine_threadsafe(gate.wait(), there)
            seen.append(await asyncio.wrap_future(future))

        task = asyncio.create_task(wait_for_it())
        verdict = await wait_until_idle(0.02)
        assert not verdict
        assert "the future of work elsewhere" in str(verdict)
        there.call_soon_threadsafe(gate.set)
        await proof()
        assert seen == [True]
        await task

    with background_loop(asyncio.SelectorEventLoop) as there:
        run_as_a_new_test(main())


def test_several_loops_do_not_wait_for_each_other() -> None:
    """Each is in a wait of its own, and none of them brings another anything."""
    taken: list[float] = []
    meet = threading.Barrier(4)

    async def main() -> None:
        for _ in range(10):
            meet.wait()
            began = time.monotonic()
            await wait_until_idle(LONG)
            taken.append(time.monotonic() - began)

    def run() -> None:
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(taken) < LONG / 2


def test_what_one_of_several_loops_does_after_its_wait_reaches_the_others() -> None:
    """Of all waits the one that ends first is released, in whichever loop it is."""
    loops: list[asyncio.AbstractEventLoop] = []
    meet = threading.Barrier(2)
    seen: list[str] = []

    async def early() -> None:
        loops.append(asyncio.get_running_loop())
        meet.wait()
        assert await wait_until_idle(LONG)
        loops[-1 if loops[0] is asyncio.get_running_loop() else 0].call_soon_threadsafe(
            seen.append, "early"
        )

    async def late() -> None:
        loops.append(asyncio.get_running_loop())
        meet.wait()
        verdict = await wait_until_idle(2 * LONG)
        assert verdict
        assert seen == ["early"]

    def run(main: Callable[[], Any]) -> None:
        try:
            with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
                runner.run(main())
        except BaseException as error:
            errors.append(error)

    errors: list[BaseException] = []
    for _ in range(20):
        loops.clear()
        seen.clear()
        threads = [threading.Thread(target=run, args=(each,)) for each in (early, late)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors


@on_idle_loop
async def test_a_loop_that_cannot_be_read_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with background_loop(asyncio.SelectorEventLoop):
        with at_once():
            await proof()
        monkeypatch.setattr(parked, "ready_callbacks", lambda _: None)
        monkeypatch.setattr(other_loops, "ready_callbacks", lambda _: None)
        verdict = await wait_until_idle(0.02)
        assert not verdict
        monkeypatch.undo()


def test_the_private_details_of_asyncio_are_there() -> None:
    loop = asyncio.SelectorEventLoop()
    try:
        assert parked.RUN_ONCE is not None
        assert parked.ready_callbacks(loop) == 0
        assert other_loops._next_timer(loop) == float("inf")
        loop.call_later(5, print)
        assert 4 < other_loops._next_timer(loop) - time.monotonic() < 6
        # The wake-up pipe.
        assert [key.fd for key in other_loops._keys(loop)] == [loop._ssock.fileno()]
    finally:
        loop.close()


async def test_a_later_task_is_never_taken_for_an_earlier_one() -> None:
    """Its coroutine may have the same address, and wait at the same instruction."""
    earlier: set[object] = set()
    for _ in range(50):
        task = asyncio.create_task(asyncio.sleep(LONG))
        await asyncio.sleep(0)
        place = other_loops._place_of(task)
        assert place not in earlier
        earlier.add(place)
        task.cancel()
        await asyncio.wait([task])
        del task
