"""Connections of aiohttp's client: who would notice what comes over them."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
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
async def session(url: str, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(**options)
    async with aiohttp.ClientSession(url, connector=connector) as one:
        yield one


async def text_of(one: aiohttp.ClientSession, path: str) -> str:
    async with one.get(path) as response:
        return await response.text()


@on_idle_loop
async def test_a_connection_that_is_kept_alive_does_not_count(server: str) -> None:
    async with session(server) as one:
        assert await text_of(one, "/") == "hello"
        with at_once():
            await proof()
        await asyncio.gather(*[text_of(one, "/") for _ in range(5)])
        with at_once():
            await proof()
        verdict = await wait_until_idle(LONG, horizon=0)
        assert verdict.kind is VerdictKind.IDLE


@on_idle_loop
async def test_a_connection_with_tls_does_not_count_either(
    secure_server: Secure,
) -> None:
    async with session(secure_server.url, ssl=secure_server.context) as one:
        assert await text_of(one, "/") == "hello"
        with at_once():
            await proof()
        task = asyncio.create_task(text_of(one, "/after/0.15"))
        await asyncio.sleep(0.02)
        await not_idle("(aiohttp: a response, at text_of test_aiohttp.py:")
        await proof()
        assert task.result() == "late"


@on_idle_loop
async def test_a_response_may_bring_something(server: str) -> None:
    async with session(server) as one:
        task = asyncio.create_task(text_of(one, "/after/0.15"))
        await asyncio.sleep(0.02)
        await not_idle("(aiohttp: a response, at text_of test_aiohttp.py:")
        assert not task.done()
        await proof()
        assert task.result() == "late"


@on_idle_loop
async def test_the_rest_of_a_response_counts_if_nobody_reads_it(server: str) -> None:
    """Its end gives the connection back, and here a task waits for one."""
    async with session(server, limit=1) as one:
        response = await one.get("/drip/0.02")
        waiting = asyncio.create_task(text_of(one, "/"))
        await not_idle("(aiohttp: the rest of a response)")
        await proof()
        assert waiting.result() == "hello"
        assert await response.text() == "0123456789"


@on_idle_loop
async def test_a_websocket_may_bring_something_at_any_time(server: str) -> None:
    async with session(server) as one, one.ws_connect("/push") as socket:
        got: list[str] = []

        async def receive() -> None:
            got.append((await socket.receive()).data)

        task = asyncio.create_task(receive())
        await socket.send_str("0.15")
        await not_idle("(aiohttp: a WebSocket)")
        assert got == []
        await wait_until_idle(0.3)
        assert got == ["pushed"]
        await task


@on_idle_loop
async def test_a_connection_that_the_server_closes_reaches_nobody(server: str) -> None:
    async with session(server) as one:
        assert await text_of(one, "/hang-up") == "bye"
        with at_once():
            await proof()
        await asyncio.sleep(0.1)
        with at_once():
            await proof()
        assert await text_of(one, "/") == "hello"


def test_an_answer_under_way_is_never_overlooked(server: str) -> None:
    """The verdict comes after what the answer makes the application do."""

    async def rounds() -> None:
        chance = random.Random(1)
        paths = ["/", "/", "/after/0.0002", "/after/0.002", "/drip/0.0001"]
        async with session(server, limit=2) as one:
            for _ in range(200):
                tasks = [
                    asyncio.create_task(text_of(one, chance.choice(paths)))
                    for _ in range(3)
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
