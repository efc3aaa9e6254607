"""A conversation with an application that keeps its clients open between messages.

The tests of a client run where ``CHANX_TEST_REDIS_URL`` or ``CHANX_TEST_POSTGRES_URL``
names its server.
"""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from chanx_testing.core.idle import Deadlock, IdleEventLoop
from chanx_testing.core.idle.waiting import engage
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from tests.support.idle import LONG, at_once, fine_switching

REDIS = os.environ.get("CHANX_TEST_REDIS_URL", "")
POSTGRES = os.environ.get("CHANX_TEST_POSTGRES_URL", "")

Ask = Callable[[float], Awaitable[Any]]
"""Asks the server for something that takes some seconds."""


@asynccontextmanager
async def asking_redis() -> AsyncIterator[Ask]:
    name = f"chanx-clients-{uuid.uuid4().hex}"

    count = "local n = 0 for i = 1, ARGV[1] do n = n + i end return n"

    async def ask(seconds: float) -> None:
        await one.set(name, seconds, ex=60)
        # Redis has no command that takes a time as short as these: it counts.
        await one.eval(count, 0, int(seconds * 20_000_000))
        assert await one.get(name) == str(seconds).encode()

    async with redis.asyncio.Redis.from_url(REDIS) as one:
        yield ask


@asynccontextmanager
async def asking_postgres() -> AsyncIterator[Ask]:
    async def ask(seconds: float) -> None:
        async with pool.acquire() as one, one.transaction():
            await one.execute("SELECT pg_sleep($1)", seconds)
            assert await one.fetchval("SELECT 7") == 7

    async with asyncpg.create_pool(POSTGRES, min_size=1, max_size=3) as pool:
        yield ask


CLIENTS = [
    pytest.param(
        asking_redis,
        id="redis",
        marks=pytest.mark.skipif(
            not REDIS, reason="CHANX_TEST_REDIS_URL names no server"
        ),
    ),
    pytest.param(
        asking_postgres,
        id="asyncpg",
        marks=pytest.mark.skipif(
            not POSTGRES, reason="CHANX_TEST_POSTGRES_URL names no server"
        ),
    ),
]


def application_that_asks(ask: Ask) -> Any:
    """Answer each message when the server has answered, with the same text."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            for seconds in message["text"].split():
                await ask(float(seconds))
            await send({"type": "websocket.send", "text": message["text"]})

    return application


def run(test: Awaitable[None]) -> None:
    with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(test)  # type: ignore[arg-type]


@pytest.mark.parametrize("asking", CLIENTS)
def test_a_minute_of_nothing_beside_an_idle_client(asking: Any) -> None:
    async def test() -> None:
        async with asking() as ask:
            await ask(0.01)
            with at_once():
                async with WebsocketCommunicator(
                    application_that_asks(ask), "/"
                ) as communicator:
                    await communicator.receive_nothing(timeout=10)
                    await communicator.send_to(text_data="0.01")
                    assert await communicator.receive_from() == "0.01"
                    await communicator.receive_nothing(timeout=10)

    run(test())


@pytest.mark.slow
@pytest.mark.parametrize("asking", CLIENTS)
def test_a_frame_that_waits_for_the_server_is_never_overlooked(asking: Any) -> None:
    async def test(communicator: WebsocketCommunicator) -> None:
        chance = random.Random(2)
        async with communicator:
            for _ in range(200):
                delays = chance.choices(
                    [0.0001, 0.001, 0.003], k=chance.randrange(1, 4)
                )
                text = " ".join(map(str, delays))
                await communicator.send_to(text_data=text)
                assert await communicator.wait_until_idle(timeout=LONG)
                assert communicator.output_queue.qsize() == 1
                assert await communicator.receive_from() == text

    async def with_client() -> None:
        async with asking() as ask:
            await test(WebsocketCommunicator(application_that_asks(ask), "/"))

    with fine_switching():
        run(with_client())


@pytest.mark.skipif(not REDIS, reason="CHANX_TEST_REDIS_URL names no server")
def test_an_idle_connection_can_end_no_deadlock() -> None:
    async def test() -> None:
        async with asking_redis() as ask:
            await ask(0.001)
            engage()  # as a connection of ours does
            await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(test())
