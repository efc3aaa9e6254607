"""The wait: what ends it, what counts as coming, who is released when."""

import asyncio
import time

import pytest

from chanx_testing.core.idle import (
    IdleEventLoop,
    Verdict,
    VerdictKind,
    is_supported,
    wait,
    wait_until_idle,
)
from tests.support.idle import LONG, at_once, on_idle_loop, proof


def new_waiter() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


@on_idle_loop
async def test_nothing_to_come_is_idle_at_once() -> None:
    with at_once():
        verdict = await wait_until_idle(LONG)
    assert verdict.kind is VerdictKind.IDLE
    assert str(verdict) == "idle: 1 task blocked; no timer"


@on_idle_loop
async def test_the_loop_is_supported() -> None:
    assert is_supported(asyncio.get_running_loop())


@on_idle_loop
async def test_a_completed_waiter_ends_the_wait_with_none() -> None:
    waiter = new_waiter()
    asyncio.get_running_loop().call_soon(waiter.set_result, None)
    assert await wait(waiter, LONG) is None


@on_idle_loop
async def test_a_waiter_completed_by_a_timer_is_waited_for() -> None:
    waiter = new_waiter()
    asyncio.get_running_loop().call_later(0.05, waiter.set_result, None)
    assert await wait(waiter, LONG) is None


@on_idle_loop
async def test_a_failed_waiter_raises_its_exception() -> None:
    waiter = new_waiter()
    asyncio.get_running_loop().call_soon(waiter.set_exception, ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await wait(waiter, LONG)


@on_idle_loop
async def test_without_a_deadline_for_ever_is_the_horizon() -> None:
    with at_once():
        assert await wait_until_idle(None)


@on_idle_loop
async def test_a_timer_within_the_deadline_is_waited_for() -> None:
    fired: list[float] = []
    loop = asyncio.get_running_loop()
    loop.call_later(0.05, lambda: fired.append(loop.time()))
    assert await proof()
    assert fired


@on_idle_loop
async def test_a_timer_after_the_deadline_does_not_count() -> None:
    timer = asyncio.get_running_loop().call_later(2 * LONG, print)
    with at_once():
        verdict = await wait_until_idle(LONG)
    assert verdict
    assert "next timer in" in str(verdict)
    timer.cancel()


@on_idle_loop
async def test_the_deadline_names_the_timer_that_is_to_come() -> None:
    timer = asyncio.get_running_loop().call_later(0.06, int)
    verdict = await wait_until_idle(0.02, horizon=0.1)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "timer in 0.0" in str(verdict)
    assert "set at test_waiting.py:" in str(verdict)
    timer.cancel()


@on_idle_loop
async def test_the_deadline_names_no_timer_that_comes_later() -> None:
    loop = asyncio.get_running_loop()
    timer = loop.call_later(0.5, int)
    job = loop.run_in_executor(None, time.sleep, 0.1)
    verdict = await wait_until_idle(0.02)
    assert verdict.kind is VerdictKind.DEADLINE
    (reason,) = verdict.reasons
    assert reason.startswith("executor sleep ")
    timer.cancel()
    await job


@on_idle_loop
async def test_the_deadline_names_no_timer_that_has_fired() -> None:
    """A loop without rest never waits for a timer, and runs it all the same."""

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - a loop without rest is what it is about
            await asyncio.sleep(0)

    fired: list[bool] = []
    asyncio.get_running_loop().call_later(0.01, fired.append, True)
    task = asyncio.create_task(spin())
    verdict = await wait_until_idle(0.03)
    assert fired
    (reason,) = verdict.reasons
    assert reason.startswith("callbacks are always ready")
    task.cancel()


@on_idle_loop
async def test_a_chain_of_timers_is_followed_to_its_end() -> None:
    steps = 0

    async def chain() -> None:
        nonlocal steps
        for _ in range(10):
            await asyncio.sleep(0.005)
            steps += 1

    task = asyncio.create_task(chain())
    await proof()
    assert steps == 10
    assert task.done()


@pytest.mark.parametrize("early", [0.0, 1e-6])
@on_idle_loop
async def test_a_timer_at_the_deadline_may_come_before_it(early: float) -> None:
    loop = asyncio.get_running_loop()
    fired: list[bool] = []
    when = loop.time() + 0.05
    loop.call_at(when - early, fired.append, True)
    waiter = new_waiter()
    monitor = loop.monitor  # type: ignore[attr-defined]
    entry = monitor.add(waiter, 0, None)
    entry.deadline = when
    await waiter
    assert fired
    assert entry.verdict is not None


@on_idle_loop
async def test_a_settled_loop_does_not_wait_for_timers() -> None:
    timer = asyncio.get_running_loop().call_later(0.5, print)
    with at_once():
        verdict = await wait_until_idle(LONG, horizon=0)
    assert verdict
    timer.cancel()


@on_idle_loop
async def test_a_settled_loop_has_run_what_was_ready() -> None:
    steps: list[int] = []

    async def work() -> None:
        for step in range(50):
            await asyncio.sleep(0)
            steps.append(step)

    task = asyncio.create_task(work())
    assert await wait_until_idle(LONG, horizon=0)
    assert len(steps) == 50
    await task


@on_idle_loop
async def test_a_horizon_looks_that_many_seconds_ahead() -> None:
    loop = asyncio.get_running_loop()
    fired: list[bool] = []
    loop.call_later(0.05, fired.append, True)
    timer = loop.call_later(1.0, fired.append, True)
    with at_once():
        assert await wait_until_idle(LONG, horizon=0.2)
    assert fired == [True]
    timer.cancel()


@on_idle_loop
async def test_a_spinner_honours_the_deadline_and_is_named() -> None:
    async def spin() -> None:
        while True:  # noqa: ASYNC110 - a loop without rest is what it is about
            await asyncio.sleep(0)

    task = asyncio.create_task(spin())
    before = time.perf_counter()
    verdict = await wait_until_idle(0.05)
    assert 0.04 < time.perf_counter() - before < 1
    assert verdict.kind is VerdictKind.DEADLINE
    assert "callbacks are always ready" in str(verdict)
    assert "spin test_waiting.py:" in str(verdict)
    task.cancel()


@on_idle_loop
async def test_a_timeout_of_nothing_is_proved_too() -> None:
    assert await wait_until_idle(0)


@on_idle_loop
async def test_waiters_are_released_one_at_a_time() -> None:
    """What the first does after its release reaches the second."""
    frames: asyncio.Queue[str] = asyncio.Queue()
    second_waiter = new_waiter()

    async def first() -> Verdict:
        verdict = await wait_until_idle(LONG)
        frames.put_nowait("from the first")
        second_waiter.set_result(None)
        return verdict

    async def second() -> tuple[Verdict | None, int]:
        verdict = await wait(second_waiter, LONG)
        return verdict, frames.qsize()

    async with asyncio.TaskGroup() as group:
        one = group.create_task(first())
        two = group.create_task(second())
    assert one.result()
    assert two.result() == (None, 1)


@on_idle_loop
async def test_waiters_are_released_in_the_order_they_came() -> None:
    order: list[int] = []

    async def waits(number: int) -> None:
        assert await wait_until_idle(LONG)
        order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(waits(number))
    assert order == [0, 1, 2, 3, 4]


@on_idle_loop
async def test_the_callers_own_timeout_is_no_event() -> None:
    with at_once():
        async with asyncio.timeout(2.0):
            assert await wait_until_idle(LONG)


@on_idle_loop
async def test_the_callers_own_wait_for_is_no_event() -> None:
    with at_once():
        assert await asyncio.wait_for(wait_until_idle(LONG), 2.0)


@on_idle_loop
async def test_nested_limits_of_the_caller_are_no_events() -> None:
    with at_once():
        async with asyncio.timeout(2.0), asyncio.timeout(1.9):
            assert await asyncio.wait_for(wait_until_idle(LONG), 1.8)


@on_idle_loop
async def test_the_timeout_of_another_task_is_an_event() -> None:
    done: list[bool] = []

    async def other() -> None:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.Event().wait()
        except TimeoutError:
            done.append(True)

    task = asyncio.create_task(other())
    await proof()
    assert done
    await task


@on_idle_loop
async def test_a_timeout_moved_by_another_task_still_belongs_to_its_own() -> None:
    """Its end cancels the other task, which may then do anything."""
    done: list[bool] = []
    entered: asyncio.Queue[asyncio.Timeout] = asyncio.Queue()

    async def other() -> None:
        try:
            async with asyncio.timeout(None) as limit:
                entered.put_nowait(limit)
                await asyncio.Event().wait()
        except TimeoutError:
            done.append(True)

    task = asyncio.create_task(other())
    limit = await entered.get()
    limit.reschedule(asyncio.get_running_loop().time() + 0.05)
    await proof()
    assert done
    await task


@on_idle_loop
async def test_the_wait_can_be_cancelled() -> None:
    loop = asyncio.get_running_loop()
    sleeper = asyncio.create_task(asyncio.sleep(60))
    task = asyncio.create_task(wait_until_idle(100))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert loop.monitor.waiters == []  # type: ignore[attr-defined]
    sleeper.cancel()


@on_idle_loop
async def test_a_timeout_around_the_wait_ends_it() -> None:
    sleeper = asyncio.create_task(asyncio.sleep(60))
    before = time.perf_counter()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await wait_until_idle(100)
    assert time.perf_counter() - before < 1
    sleeper.cancel()


@on_idle_loop
async def test_a_failing_sibling_ends_the_wait() -> None:
    async def fails() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("sibling")

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_until_idle(100))
            group.create_task(fails())

    with pytest.raises(ExceptionGroup) as caught:
        await both()
    assert caught.group_contains(ValueError, match="sibling")


def test_debug_mode_changes_nothing() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, int)
        await proof()
        assert await loop.run_in_executor(None, int) == 0
        await proof()

    with asyncio.Runner(loop_factory=IdleEventLoop, debug=True) as runner:
        runner.run(main())


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 and later"
)
@on_idle_loop
async def test_eager_tasks() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    steps: list[str] = []

    async def work() -> None:
        steps.append("eager")
        await asyncio.sleep(0.01)
        steps.append("later")

    task = asyncio.create_task(work())
    assert steps == ["eager"]
    await proof()
    assert steps == ["eager", "later"]
    await task


@on_idle_loop
async def test_an_error_in_the_judge_leaves_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    monitor = loop.monitor  # type: ignore[attr-defined]

    def broken(*_: object) -> bool:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(monitor, "_candidate", broken)
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "internal error, please report it: ZeroDivisionError: oh" in str(verdict)


def test_a_frozen_clock_neither_hangs_nor_deceives() -> None:
    freezegun = pytest.importorskip("freezegun")

    async def main() -> None:
        done: list[bool] = []
        with freezegun.freeze_time("2020-01-01"):
            asyncio.get_running_loop().call_later(0.05, done.append, True)
            await asyncio.sleep(0.01)
            await proof()
        assert done

    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(main())


@on_idle_loop
async def test_twenty_negative_waits_cost_milliseconds() -> None:
    with at_once():
        for _ in range(20):
            assert await wait_until_idle(0.5)


class TestSeveralWaits:
    """What one waiter does after its deadline may reach another."""

    async def test_the_one_that_ends_first_is_released_first(self) -> None:
        loop = asyncio.get_running_loop()
        arrival: asyncio.Future[None] = loop.create_future()

        async def asks_for_nothing_and_then_acts() -> None:
            assert await wait_until_idle(0.02)
            arrival.set_result(None)

        acting = asyncio.create_task(asks_for_nothing_and_then_acts())
        assert await wait(arrival, 30) is None
        await acting

    async def test_also_where_the_other_one_asked_before(self) -> None:
        loop = asyncio.get_running_loop()
        arrival: asyncio.Future[None] = loop.create_future()
        waiting = asyncio.create_task(wait(arrival, 30))
        await asyncio.sleep(0)
        assert await wait_until_idle(0.02)
        arrival.set_result(None)
        assert await waiting is None
