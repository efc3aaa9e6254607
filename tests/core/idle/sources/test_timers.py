"""Timers: which of them count, and for how long."""

import asyncio

from chanx_testing.core.idle import background, wait_until_idle
from tests.support.idle import LONG, at_once, on_idle_loop, proof


@on_idle_loop
async def test_finished_and_cancelled_timers_are_no_events() -> None:
    async def quick() -> None:
        await asyncio.sleep(0)

    for _ in range(30):
        await asyncio.wait_for(quick(), 2.0)
    sleeper = asyncio.create_task(asyncio.sleep(100))
    with at_once():
        assert await wait_until_idle(LONG)
    sleeper.cancel()


@on_idle_loop
async def test_thousands_of_cancelled_timers_are_forgotten() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(5000):
        loop.call_later(60, print).cancel()
    assert len(loop.monitor.timers._heap) < 1000  # type: ignore[attr-defined]
    with at_once():
        assert await wait_until_idle(LONG)


@on_idle_loop
async def test_background_timers_do_not_count() -> None:
    beats = 0

    async def heartbeat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    with background():
        task = asyncio.create_task(heartbeat())
    with at_once():
        for _ in range(20):
            assert await wait_until_idle(LONG)
    # It goes on beating while the loop has other things to wait for.
    await asyncio.sleep(0.05)
    assert beats
    task.cancel()


@on_idle_loop
async def test_what_a_background_timer_starts_counts() -> None:
    done: list[bool] = []

    async def work() -> None:
        with background():
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        done.append(True)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    await proof()
    assert done
    await task
