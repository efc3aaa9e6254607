"""Waits beside redis.asyncio: who would notice what Redis sends.

They run where ``CHANX_TEST_REDIS_URL`` names a server.
"""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
import redis.asyncio

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle
from tests.support.idle import (
    LONG,
    at_once,
    fine_switching,
    not_idle,
    on_idle_loop,
    proof,
)

URL = os.environ.get("CHANX_TEST_REDIS_URL", "")

pytestmark = pytest.mark.skipif(not URL, reason="CHANX_TEST_REDIS_URL names no server")

# The oldest protocol has no pushes; the newest has them on every connection.
protocols = pytest.mark.parametrize("protocol", [2, 3])


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.Redis.from_url(URL, **options) as one:
        await one.ping()
        yield one


def new_name() -> str:
    return f"chanx-clients-{uuid.uuid4().hex}"


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


@protocols
@on_idle_loop
async def test_an_idle_connection_does_not_count(protocol: int) -> None:
    async with client(protocol=protocol) as one:
        with at_once():
            await proof()
        await asyncio.gather(*[one.ping() for _ in range(5)])
        with at_once():
            await proof()


@on_idle_loop
async def test_a_settled_loop_with_an_idle_connection_is_idle() -> None:
    async with client():
        verdict = await wait_until_idle(LONG, horizon=0)
        assert verdict.kind is VerdictKind.IDLE


@on_idle_loop
async def test_a_blocking_command_may_bring_something() -> None:
    name = new_name()
    async with client() as one, client() as other:
        task = asyncio.create_task(one.blpop([name], timeout=0))
        await asyncio.sleep(0)
        await not_idle("(an answer of redis, at ")
        await other.rpush(name, "value")
        assert (await task)[1] == b"value"
        await proof()


@protocols
@on_idle_loop
async def test_a_pubsub_listener_may_get_a_message_at_any_time(protocol: int) -> None:
    name = new_name()
    async with client(protocol=protocol) as one, one.pubsub() as pubsub:
        await pubsub.subscribe(name)
        got: list[Any] = []

        async def listen() -> None:
            async for message in pubsub.listen():
                got.append(message["data"])  # noqa: PERF401 - each as it comes

        task = asyncio.create_task(listen())
        await not_idle("a pub/sub listener of redis, at listen test_clients_redis.py:")
        assert got == [1]
        with redis.Redis.from_url(URL) as elsewhere:
            elsewhere.publish(name, "told")
        await wait_until_idle(0.2)
        assert got == [1, b"told"]
        await cancelled(task)


@protocols
@on_idle_loop
async def test_a_subscription_that_nobody_listens_to_does_not_count(
    protocol: int,
) -> None:
    """What comes stays in the buffer of the connection."""
    name = new_name()
    async with client(protocol=protocol) as one, one.pubsub() as pubsub:
        await pubsub.subscribe(name)
        assert (await pubsub.get_message(timeout=1))["type"] == "subscribe"
        with at_once():
            await proof()
        with redis.Redis.from_url(URL) as elsewhere:
            elsewhere.publish(name, "told")
        with at_once():
            await proof()
        assert (await pubsub.get_message(timeout=1))["data"] == b"told"


@on_idle_loop
async def test_a_listener_that_polls_is_a_timer() -> None:
    async with client() as one, one.pubsub() as pubsub:
        await pubsub.subscribe(new_name())

        async def poll() -> None:
            while True:
                await pubsub.get_message(timeout=0.01)

        task = asyncio.create_task(poll())
        assert not await wait_until_idle(0.1)
        await cancelled(task)


@on_idle_loop
async def test_pushes_of_tracking_reach_nobody_on_an_idle_connection() -> None:
    """The client handles them when it reads the answer to its next command."""
    name = new_name()
    async with client(protocol=3, single_connection_client=True) as one:
        pushed: list[Any] = []

        async def note(message: Any) -> None:
            pushed.append(message)

        connection = one.connection
        assert connection is not None
        connection._parser.set_invalidation_push_handler(note)
        await one.execute_command("CLIENT", "TRACKING", "ON")
        await one.get(name)
        with at_once():
            await proof()
        with redis.Redis.from_url(URL) as elsewhere:
            elsewhere.set(name, "changed", ex=10)
        await asyncio.sleep(0.05)
        assert pushed == []
        with at_once():
            await proof()
        await one.ping()
        assert len(pushed) == 1


@on_idle_loop
async def test_pushes_of_tracking_may_come_where_a_task_reads_them() -> None:
    name = new_name()
    async with client(protocol=3, single_connection_client=True) as one:
        pushed: list[Any] = []

        async def note(message: Any) -> None:
            pushed.append(message)

        connection = one.connection
        assert connection is not None
        connection._parser.set_invalidation_push_handler(note)
        await one.execute_command("CLIENT", "TRACKING", "ON")
        await one.get(name)
        task = asyncio.create_task(connection.read_response(push_request=True))
        await not_idle("an answer of redis, at ")
        with redis.Redis.from_url(URL) as elsewhere:
            elsewhere.set(name, "changed", ex=10)
        await wait_until_idle(0.2)
        assert len(pushed) == 1
        await cancelled(task)


@on_idle_loop
async def test_a_connection_that_redis_closes_reaches_nobody() -> None:
    async with client(single_connection_client=True) as one:
        number = await one.client_id()
        with redis.Redis.from_url(URL) as elsewhere:
            elsewhere.client_kill_filter(_id=str(number))
        with at_once():
            await proof()


@pytest.mark.slow
@protocols
def test_an_answer_under_way_is_never_overlooked(protocol: int) -> None:
    """The verdict comes after what the answer makes the application do."""
    name = new_name()
    script = "local n = 0 for i = 1, ARGV[1] do n = n + i end return n"

    async def rounds() -> None:
        chance = random.Random(1)
        async with client(protocol=protocol) as one, client() as other:
            for number in range(300):
                sent: list[int] = []

                async def ask(number: int = number, sent: list[int] = sent) -> None:
                    if chance.random() < 0.5:
                        await one.blpop([name], timeout=1)
                    else:
                        await one.eval(script, 0, chance.randrange(20_000))
                        await one.ping()
                    sent.append(number)

                async def answer() -> None:
                    await other.eval(script, 0, chance.randrange(20_000))
                    await other.rpush(name, "value")

                tasks = [asyncio.create_task(ask()), asyncio.create_task(answer())]
                # Most of the rounds wait for this; a limit of the client is no proof.
                while not (verdict := await wait_until_idle(0.5)):
                    assert not sent or tasks[0].done(), str(verdict)
                assert sent == [number]
                await asyncio.gather(*tasks)
                await other.delete(name)

    with fine_switching(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(rounds())
