"""Limits around waits: which of them count as timers of the application.

Each limit here is shorter than the waits inside it. So a wait that takes it for an
event lasts until it has fired, and fails then.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

from chanx_testing.core.idle import VerdictKind, wait_until_idle
from chanx_testing.core.idle.sources import limits
from tests.support.idle import LONG, at_once, on_idle_loop

LIMIT = LONG - 1
# Of a limit that a test lets come.
SHORT = 0.05


async def is_idle() -> None:
    assert await wait_until_idle(LONG)


# Limits of the test: the ways to put one around several waits.


async def around_a_gather() -> None:
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(is_idle(), is_idle())


async def around_nested_gathers() -> None:
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(is_idle(), asyncio.gather(is_idle(), is_idle()))


async def around_a_group() -> None:
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        group.create_task(is_idle())
        group.create_task(is_idle())


async def around_a_group_that_waits_itself() -> None:
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        group.create_task(is_idle())
        await is_idle()


async def around_a_group_in_a_group() -> None:
    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(is_idle())
            await asyncio.gather(is_idle(), is_idle())

    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        group.create_task(inner())
        group.create_task(is_idle())


async def around_a_task() -> None:
    task = asyncio.create_task(is_idle())
    async with asyncio.timeout(LIMIT):
        await task


async def around_a_limit_in_a_task() -> None:
    async def inner() -> None:
        async with asyncio.timeout(LIMIT - 0.5):
            await asyncio.gather(is_idle(), is_idle())

    async with asyncio.timeout(LIMIT):
        await asyncio.create_task(inner())


async def by_wait_for_around_a_gather() -> None:
    await asyncio.wait_for(asyncio.gather(is_idle(), is_idle()), LIMIT)


async def by_wait_for_around_a_function() -> None:
    await asyncio.wait_for(around_a_group(), LIMIT)


async def by_wait_for_in_a_gather() -> None:
    async def inner() -> None:
        await asyncio.wait_for(is_idle(), LONG + 1)

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(inner(), inner())


async def by_anyio_around_a_group() -> None:
    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as group:
            group.start_soon(is_idle)
            group.start_soon(is_idle)


async def by_anyio_around_nested_scopes() -> None:
    async def inner() -> None:
        with anyio.move_on_after(LIMIT - 0.5):
            async with anyio.create_task_group() as group:
                group.start_soon(is_idle)
                group.start_soon(around_a_gather)

    with anyio.fail_after(LIMIT):
        async with anyio.create_task_group() as group:
            group.start_soon(inner)
            await is_idle()


async def by_anyio_set_later() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(is_idle)
        group.start_soon(is_idle)
        group.cancel_scope.deadline = anyio.current_time() + LIMIT


async def by_asyncio_around_a_group_of_anyio() -> None:
    async with asyncio.timeout(LIMIT), anyio.create_task_group() as group:
        group.start_soon(is_idle)
        group.start_soon(is_idle)


async def by_anyio_around_a_group_of_asyncio() -> None:
    with anyio.fail_after(LIMIT):
        async with asyncio.TaskGroup() as group:
            group.create_task(is_idle())
            group.create_task(is_idle())


async def around_waits_of_which_one_is_over() -> None:
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(asyncio.sleep(0.01), is_idle(), is_idle())


@pytest.mark.parametrize(
    "limited",
    [
        around_a_gather,
        around_nested_gathers,
        around_a_group,
        around_a_group_that_waits_itself,
        around_a_group_in_a_group,
        around_a_task,
        around_a_limit_in_a_task,
        by_wait_for_around_a_gather,
        by_wait_for_around_a_function,
        by_wait_for_in_a_gather,
        by_anyio_around_a_group,
        by_anyio_around_nested_scopes,
        by_anyio_set_later,
        by_asyncio_around_a_group_of_anyio,
        by_anyio_around_a_group_of_asyncio,
        around_waits_of_which_one_is_over,
    ],
)
@on_idle_loop
async def test_a_limit_around_waits_is_no_event(
    limited: Callable[[], Awaitable[None]],
) -> None:
    with at_once():
        await limited()


# Limits that count: what they cancel may act, or goes on.


class Application:
    """Acts when it is cancelled."""

    def __init__(self) -> None:
        self.acted = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.acted = True


async def gather_with(application: Application, wait: Awaitable[Any]) -> None:
    async with asyncio.timeout(SHORT):
        await asyncio.gather(application.run(), wait)


async def group_with(application: Application, wait: Awaitable[Any]) -> None:
    async with asyncio.timeout(SHORT), asyncio.TaskGroup() as group:
        group.create_task(application.run())
        group.create_task(to_coroutine(wait))


async def group_of_anyio_with(application: Application, wait: Awaitable[Any]) -> None:
    with anyio.fail_after(SHORT):
        async with anyio.create_task_group() as group:
            group.start_soon(application.run)
            group.start_soon(to_coroutine, wait)


async def task_in_a_group_with(application: Application, wait: Awaitable[Any]) -> None:
    async def inner() -> None:
        await asyncio.gather(to_coroutine(wait), asyncio.create_task(application.run()))

    async with asyncio.timeout(SHORT), asyncio.TaskGroup() as group:
        group.create_task(inner())


async def wait_for_with(application: Application, wait: Awaitable[Any]) -> None:
    await asyncio.wait_for(asyncio.gather(application.run(), wait), SHORT)


async def to_coroutine(wait: Awaitable[Any]) -> Any:
    return await wait


@pytest.mark.parametrize(
    "limited",
    [
        gather_with,
        group_with,
        group_of_anyio_with,
        task_in_a_group_with,
        wait_for_with,
    ],
)
@on_idle_loop
async def test_a_limit_counts_that_cancels_the_application_too(
    limited: Callable[[Application, Awaitable[Any]], Awaitable[None]],
) -> None:
    application = Application()
    verdicts: list[Any] = []

    async def wait() -> None:
        verdicts.append(await wait_until_idle(LONG))

    with at_once(), pytest.raises(TimeoutError):
        await limited(application, wait())
    assert application.acted
    # The wait was cancelled: it claimed nothing of what came then.
    assert verdicts == []


async def shielded(wait: "asyncio.Task[Any]") -> None:
    await asyncio.shield(wait)


async def waited_for(wait: "asyncio.Task[Any]") -> None:
    await asyncio.wait([wait])


async def as_completed(wait: "asyncio.Task[Any]") -> None:
    for future in asyncio.as_completed([wait]):
        await future


async def one_after_the_other(wait: "asyncio.Task[Any]") -> None:
    await asyncio.create_task(wait_until_idle(LONG))
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "hidden", [shielded, waited_for, as_completed, one_after_the_other]
)
@on_idle_loop
async def test_a_limit_counts_that_leaves_the_wait(
    hidden: Callable[["asyncio.Task[Any]"], Awaitable[None]],
) -> None:
    """The task around it goes on before the wait has ended, and may act."""
    acted: list[float] = []
    loop = asyncio.get_running_loop()

    async def limited() -> None:
        try:
            async with asyncio.timeout(SHORT):
                await hidden(waiting)
        except TimeoutError:
            acted.append(loop.time())

    waiting = asyncio.create_task(wait_until_idle(LONG))
    await asyncio.sleep(0)
    outer = asyncio.create_task(limited())
    with at_once():
        assert await waiting
    assert acted
    await outer


@on_idle_loop
async def test_waits_with_a_limit_are_released_first() -> None:
    """What a task does after its limit may reach a wait that ends later."""
    acted: list[bool] = []

    async def other() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(SHORT):
                await asyncio.gather(wait_until_idle(2 * LONG), wait_until_idle(None))
        acted.append(True)

    task = asyncio.create_task(other())
    await asyncio.sleep(0)
    with at_once():
        assert await wait_until_idle(LONG)
    assert acted
    await task


@on_idle_loop
async def test_a_group_that_cancels_already_does_not_do_so_again() -> None:
    """A limit around it leaves a task that has outlived its cancellation."""
    acted: list[bool] = []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert await wait_until_idle(LONG)

    async def fails() -> None:
        raise ValueError

    with pytest.raises((ExceptionGroup, TimeoutError)):
        async with asyncio.timeout(SHORT):
            async with asyncio.TaskGroup() as group:
                group.create_task(stubborn())
                group.create_task(fails())
    assert not acted


@on_idle_loop
async def test_the_application_s_timers_count_inside_a_limit() -> None:
    fired: list[bool] = []
    asyncio.get_running_loop().call_later(SHORT, fired.append, True)
    await around_a_gather()
    assert fired


@on_idle_loop
async def test_a_limit_that_comes_ends_its_waits() -> None:
    timer = asyncio.get_running_loop().call_later(LONG - 1, int)
    with at_once(), pytest.raises(TimeoutError):
        async with asyncio.timeout(SHORT):
            await asyncio.gather(is_idle(), is_idle())
    timer.cancel()


# The details that this reads.


def test_every_detail_is_there() -> None:
    assert limits.RELEASE_WAITER is not None
    assert limits.GATHERING is not None
    assert (limits.WAIT_FOR is not None) == (sys.version_info < (3, 12))


@pytest.mark.parametrize("name", ["GATHERING", "GROUP_EXIT"])
@on_idle_loop
async def test_a_detail_that_is_gone_makes_a_wait_longer(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, name, None)
    monkeypatch.setattr(sys.modules[__name__], "LIMIT", SHORT)
    around = around_a_gather if name == "GATHERING" else around_a_group
    with pytest.raises(TimeoutError):
        await around()


@on_idle_loop
async def test_the_verdict_names_a_limit_that_counts() -> None:
    loop = asyncio.get_running_loop()

    async def other() -> None:
        async with asyncio.timeout(2 * SHORT):
            await asyncio.Event().wait()

    task = loop.create_task(other())
    await asyncio.sleep(0)
    verdict = await wait_until_idle(SHORT, horizon=2 * SHORT)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "set at test_limits.py:" in str(verdict)
    task.cancel()
