"""Connections of httpx: it stops the reading of a connection that nobody reads."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle
from tests.support.idle import (
    LONG,
    at_once,
    fine_switching,
    not_idle,
    on_idle_loop,
    proof,
)
from tests.support.outside import Secure

pytestmark = pytest.mark.slow


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, **options) as one:
        yield one


@on_idle_loop
async def test_a_connection_that_is_kept_alive_does_not_count(server: str) -> None:
    async with client(server) as one:
        assert (await one.get("/")).text == "hello"
        with at_once():
            await proof()
        await asyncio.gather(*[one.get("/") for _ in range(5)])
        with at_once():
            await proof()
        verdict = await wait_until_idle(LONG, horizon=0)
        assert verdict.kind is VerdictKind.IDLE


@on_idle_loop
async def test_a_connection_with_tls_does_not_count_either(
    secure_server: Secure,
) -> None:
    async with client(secure_server.url, verify=secure_server.context) as one:
        assert (await one.get("/")).text == "hello"
        with at_once():
            await proof()
        task = asyncio.create_task(one.get("/after/0.15"))
        await asyncio.sleep(0.02)
        await not_idle("descriptor tcp 127.0.0.1:")
        await proof()
        assert task.result().text == "late"


@on_idle_loop
async def test_a_response_may_bring_something(server: str) -> None:
    async with client(server) as one:
        task = asyncio.create_task(one.get("/after/0.15"))
        await asyncio.sleep(0.02)
        await not_idle("descriptor tcp 127.0.0.1:")
        assert not task.done()
        await proof()
        assert task.result().text == "late"


@on_idle_loop
async def test_a_stream_that_nobody_reads_does_not_count(server: str) -> None:
    """Nothing is read before somebody asks for it, not even the end."""
    async with client(server) as one, one.stream("GET", "/drip/0.01") as response:
        with at_once():
            await proof()
        assert await response.aread() == b"0123456789"


@on_idle_loop
async def test_a_connection_that_the_server_closes_reaches_nobody(server: str) -> None:
    async with client(server) as one:
        assert (await one.get("/hang-up")).text == "bye"
        with at_once():
            await proof()
        await asyncio.sleep(0.1)
        with at_once():
            await proof()
        assert (await one.get("/")).text == "hello"


def test_an_answer_under_way_is_never_overlooked(server: str) -> None:
    """The verdict comes after what the answer makes the application do."""

    async def rounds() -> None:
        chance = random.Random(1)
        paths = ["/", "/", "/after/0.0002", "/after/0.002", "/drip/0.0001"]
        limits = httpx.Limits(max_connections=2)
        async with client(server, limits=limits) as one:
            for _ in range(200):
                tasks = [
                    asyncio.create_task(one.get(chance.choice(paths))) for _ in range(3)
                ]
                if chance.random() < 0.2:
                    # A response that is given up closes its connection.
                    await asyncio.sleep(chance.choice([0, 0.0005, 0.002]))
                    tasks.pop().cancel()
                assert await wait_until_idle(LONG)
                assert all(task.done() for task in tasks)
                await asyncio.gather(*tasks)

    with fine_switching(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(rounds())
