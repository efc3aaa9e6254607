"""Whose task is it, and did somebody look at its failure?"""

import asyncio
import gc
import sys
from contextvars import Context, ContextVar
from typing import Any

import pytest

from chanx_testing.core.idle.tasks import failed_tasks, tasks_created_by
from tests.support.idle import on_idle_loop

owner: ContextVar[str] = ContextVar("owner")


async def nap() -> None:
    await asyncio.sleep(0.01)


async def fails() -> None:
    raise ValueError("nobody looks")


def created(value: str) -> set[Any]:
    return set(tasks_created_by(asyncio.get_running_loop(), owner, value))


@on_idle_loop
async def test_tasks_are_found_by_the_context_of_their_creator() -> None:
    owner.set("a")
    one = asyncio.create_task(nap())
    owner.set("b")
    two = asyncio.create_task(nap())
    assert created("a") == {one}
    assert created("b") == {two}
    assert created("c") == set()
    await asyncio.gather(one, two)


@on_idle_loop
async def test_tasks_of_tasks_and_groups_are_found() -> None:
    found: list[int] = []

    async def parent() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(nap())
            group.create_task(nap())
            found.append(len(created("p")))

    token = owner.set("p")
    task = asyncio.create_task(parent())
    owner.reset(token)
    await task
    assert found == [3]


@on_idle_loop
async def test_a_context_that_was_given_counts() -> None:
    context = Context()
    context.run(owner.set, "given")
    task = asyncio.create_task(nap(), context=context)
    assert created("given") == {task}
    await task


@on_idle_loop
async def test_a_context_that_says_nothing_leaves_it_to_the_creator() -> None:
    owner.set("creator")
    given, other = Context(), Context()
    other.run(owner.set, "given")
    own = asyncio.create_task(nap(), context=given)
    foreign = asyncio.create_task(nap(), context=other)
    assert created("creator") == {own}
    assert created("given") == {foreign}
    await asyncio.gather(own, foreign)


@on_idle_loop
async def test_what_the_task_sets_itself_does_not_count() -> None:
    async def sets() -> None:
        owner.set("mine")
        await nap()

    task = asyncio.create_task(sets())
    await asyncio.sleep(0)
    assert created("mine") == set()
    await task


@on_idle_loop
async def test_a_task_factory_of_the_user_is_respected() -> None:
    loop = asyncio.get_running_loop()

    def factory(loop: Any, coro: Any, **kwargs: Any) -> Any:
        return asyncio.Task(coro, loop=loop, **kwargs)

    loop.set_task_factory(factory)
    owner.set("factory")
    task = asyncio.create_task(nap())
    assert created("factory") == {task}
    await task


@on_idle_loop
async def test_finished_tasks_are_not_kept_alive() -> None:
    owner.set("short")
    await asyncio.create_task(nap())
    await asyncio.sleep(0)  # the callback that is running holds the task
    gc.collect()
    assert created("short") == set()


@on_idle_loop
async def test_a_failure_that_nobody_looked_at_is_found_while_the_task_lives() -> None:
    owner.set("x")
    task = asyncio.create_task(fails())
    await asyncio.sleep(0.001)
    loop = asyncio.get_running_loop()
    ((name, error),) = failed_tasks(loop, owner, "x")
    assert name == "fails"
    assert isinstance(error, ValueError)
    assert failed_tasks(loop, owner, "y") == []
    with pytest.raises(ValueError, match="nobody looks"):
        await task
    assert failed_tasks(loop, owner, "x") == []


@on_idle_loop
async def test_a_cancelled_task_is_no_failure() -> None:
    owner.set("x")
    task = asyncio.create_task(nap())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0.001)
    assert failed_tasks(asyncio.get_running_loop(), owner, "x") == []
    assert task.cancelled()


def test_on_a_foreign_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        owner.set("x")
        task = asyncio.create_task(nap())
        await asyncio.sleep(0)
        found = [t for t in tasks_created_by(loop, owner, "x") if t is task]
        assert found == ([task] if sys.version_info >= (3, 12) else [])
        assert failed_tasks(loop, owner, "x") == []
        await task

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())


@on_idle_loop
async def test_equality_of_the_users_classes_is_not_asked() -> None:
    class Trap:
        def __eq__(self, other: object) -> bool:
            raise AssertionError("evaluated")

        __hash__ = None  # type: ignore[assignment]

    var: ContextVar[Any] = ContextVar("var")
    value = Trap()
    var.set(value)
    task = asyncio.create_task(nap())
    loop = asyncio.get_running_loop()
    assert tasks_created_by(loop, var, value) == [task]
    assert tasks_created_by(loop, var, Trap()) == []
    await task
