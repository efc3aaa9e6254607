"""Limits around random trees of tasks: a claim holds, and waits alone take no time."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio._backends._asyncio  # not while a limit runs
import pytest

from chanx_testing.core.idle import IdleEventLoop, wait_until_idle
from tests.support.idle import at_once

# When a limit comes, in seconds. A wait looks six times as far.
THAT_COME = (0.03, 0.031, 0.05)
THAT_DO_NOT_COME = (3, 3.001, 5)

NODES = ("gather", "group", "task", "wait_for", "anyio", "limit")
# A wait in the body of a group: what its task does when its limit has ended the wait,
# and so the end of the group, is done by the test.
ONLY_WAITS = (*NODES, "body")
MIXED = (*NODES, "shield", "wait")

Child = Callable[[], Coroutine[Any, Any, None]]


class Tree:
    """Runs a random tree whose leaves wait, or are the application's."""

    def __init__(
        self,
        seed: int,
        nodes: tuple[str, ...],
        limits: tuple[float, ...],
        applications: int,
    ) -> None:
        self.random = random.Random(seed)
        self.nodes = nodes
        self.limits = limits
        self.applications = applications
        # The spans of time for which a verdict claimed that nothing happens.
        self.claims: list[tuple[float, float]] = []
        # When an application began to wait, and when it was cancelled and acted.
        self.acts: list[tuple[float, float]] = []
        # An application that nobody cancelled any more.
        self.left: list[asyncio.Task[Any]] = []

    async def run(self, depth: int = 3) -> None:
        kind = self.random.choice(self.nodes)
        if depth == 0:
            await self.leaf()
            return
        children = [partial(self.run, depth - 1)] * self.random.randint(1, 3)
        await getattr(self, f"under_{kind}")(children)

    async def leaf(self) -> None:
        now = asyncio.get_running_loop().time
        if self.applications and self.random.random() < 0.3:
            self.applications -= 1
            began = now()
            try:
                await asyncio.Event().wait()
            finally:
                self.acts.append((began, now()))
            return
        horizon = 6 * self.limits[-1] * self.random.uniform(0.9, 1.1)
        deadline = now() + horizon
        if await wait_until_idle(horizon):
            self.claims.append((now(), deadline))

    async def under_gather(self, children: list[Child]) -> None:
        await asyncio.gather(*(child() for child in children))

    async def under_group(self, children: list[Child]) -> None:
        async with asyncio.TaskGroup() as group:
            for child in children:
                group.create_task(child())

    async def under_body(self, children: list[Child]) -> None:
        async with asyncio.TaskGroup() as group:
            for child in children[1:]:
                group.create_task(child())
            await children[0]()

    async def under_task(self, children: list[Child]) -> None:
        for child in children:
            await asyncio.create_task(child())

    async def under_wait_for(self, children: list[Child]) -> None:
        limit = self.random.choice(self.limits)
        await asyncio.wait_for(self.under_group(children), limit)

    async def under_limit(self, children: list[Child]) -> None:
        async with asyncio.timeout(self.random.choice(self.limits)):
            await self.under_gather(children)

    async def under_anyio(self, children: list[Child]) -> None:
        with anyio.fail_after(self.random.choice(self.limits)):
            async with anyio.create_task_group() as group:
                for child in children:
                    group.start_soon(child)

    async def under_shield(self, children: list[Child]) -> None:
        task = asyncio.create_task(self.under_gather(children))
        self.left.append(task)
        await asyncio.shield(task)

    async def under_wait(self, children: list[Child]) -> None:
        tasks = [asyncio.create_task(child()) for child in children]
        self.left += tasks
        await asyncio.wait(tasks)

    async def main(self) -> None:
        with suppress(TimeoutError, ExceptionGroup):
            async with asyncio.timeout(2 * self.limits[-1]):
                await self.run()
        acts = list(self.acts)  # not those of the end
        for task in self.left:
            task.cancel()
        await asyncio.gather(*self.left, return_exceptions=True)
        self.acts = acts


@pytest.mark.parametrize("seed", range(30))
def test_waits_alone_take_no_time(seed: int) -> None:
    tree = Tree(seed, ONLY_WAITS, THAT_DO_NOT_COME, 0)
    with at_once(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        # No limit comes: TimeoutError would fail the test.
        runner.run(tree.run())
    assert tree.claims


@pytest.mark.parametrize("seed", range(30))
def test_no_claim_covers_what_a_limit_makes_an_application_do(seed: int) -> None:
    tree = Tree(seed, MIXED, THAT_COME, 2)
    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(tree.main())
    for began, act in tree.acts:
        # What the test started after the claim is its own doing.
        claims = [claim for claim in tree.claims if began <= claim[0]]
        assert not [claim for claim in claims if claim[0] < act < claim[1]]
