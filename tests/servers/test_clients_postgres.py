"""Waits beside asyncpg: who would notice what PostgreSQL sends.

They run where ``CHANX_TEST_POSTGRES_URL`` names a server.
"""

import asyncio
import os
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle
from tests.support.idle import (
    LONG,
    at_once,
    fine_switching,
    not_idle,
    on_idle_loop,
    proof,
)

URL = os.environ.get("CHANX_TEST_POSTGRES_URL", "")

pytestmark = pytest.mark.skipif(
    not URL, reason="CHANX_TEST_POSTGRES_URL names no server"
)


@asynccontextmanager
async def connected() -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(URL)
    try:
        yield connection
    finally:
        await connection.close()


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])


@on_idle_loop
async def test_an_idle_connection_does_not_count() -> None:
    async with connected() as one:
        with at_once():
            await proof()
        assert await one.fetchval("SELECT 1") == 1
        with at_once():
            await proof()
        # Nor does one inside a transaction, between two queries.
        async with one.transaction():
            await one.execute("SELECT 1")
            with at_once():
                await proof()
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await one.execute("no SQL")
        with at_once():
            await proof()


@on_idle_loop
async def test_a_settled_loop_with_an_idle_connection_is_idle() -> None:
    async with connected():
        verdict = await wait_until_idle(LONG, horizon=0)
        assert verdict.kind is VerdictKind.IDLE


@on_idle_loop
async def test_the_connections_of_a_pool_do_not_count() -> None:
    async with asyncpg.create_pool(URL, min_size=2, max_size=3) as pool:
        await asyncio.gather(*[pool.fetchval("SELECT 1") for _ in range(6)])
        with at_once():
            await proof()
        async with pool.acquire() as one:
            assert await one.fetchval("SELECT 1") == 1
            with at_once():
                await proof()


@on_idle_loop
async def test_the_connections_of_sqlalchemy_do_not_count() -> None:
    engine = create_async_engine(URL.replace("postgres://", "postgresql+asyncpg://", 1))
    try:
        async with engine.begin() as one:
            assert (await one.execute(text("SELECT 1"))).scalar() == 1
            with at_once():
                await proof()
        with at_once():
            await proof()
        async with engine.connect() as one:
            task = asyncio.create_task(one.execute(text("SELECT pg_sleep(0.2)")))
            await asyncio.sleep(0.05)
            await not_idle("asyncpg: the answer to a query, at ")
            await proof()
            assert task.done()
            await task
    finally:
        await engine.dispose()


@on_idle_loop
async def test_a_query_may_bring_something() -> None:
    async with connected() as one:
        task = asyncio.create_task(one.fetch("SELECT pg_sleep(0.15)"))
        await asyncio.sleep(0)
        await not_idle("(asyncpg: the answer to a query, at ")
        assert not task.done()
        await proof()
        assert task.done()


@on_idle_loop
async def test_a_query_that_is_cancelled_counts_until_the_server_has_stopped() -> None:
    async with connected() as one:
        task = asyncio.create_task(one.execute("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        await ended(task)
        await proof()
        assert await one.fetchval("SELECT 1") == 1


@on_idle_loop
async def test_a_copy_counts_while_rows_may_come() -> None:
    async with connected() as one:
        rows: list[bytes] = []

        async def take(data: bytes) -> None:
            rows.append(data)

        query = "SELECT n, pg_sleep(0.02) FROM generate_series(1, 10) AS n"
        task = asyncio.create_task(one.copy_from_query(query, output=take))
        await asyncio.sleep(0.05)
        await not_idle("asyncpg: the answer to a query")
        await proof()
        assert task.done()
        assert len(b"".join(rows).splitlines()) == 10


@on_idle_loop
async def test_a_listener_may_get_a_notification_at_any_time() -> None:
    channel = f"chanx_{uuid.uuid4().hex}"
    async with connected() as one, connected() as other:
        got: list[str] = []

        def note(connection: Any, pid: int, channel: str, payload: str) -> None:
            got.append(payload)

        await one.add_listener(channel, note)
        await not_idle("(asyncpg: notifications (LISTEN))")
        await other.execute(f"SELECT pg_notify('{channel}', 'told')")
        await wait_until_idle(0.2)
        assert got == ["told"]
        await one.remove_listener(channel, note)
        with at_once():
            await proof()


@on_idle_loop
async def test_a_notification_that_nobody_listens_to_does_not_count() -> None:
    channel = f"chanx_{uuid.uuid4().hex}"
    async with connected() as one, connected() as other:
        await one.execute(f"LISTEN {channel}")
        with at_once():
            await proof()
        await other.execute(f"NOTIFY {channel}")
        with at_once():
            await proof()


@on_idle_loop
async def test_other_listeners_may_be_called_at_any_time() -> None:
    def note(*args: Any) -> None:
        pass

    async with connected() as one:
        one.add_log_listener(note)
        await not_idle("asyncpg: log messages")
        one.remove_log_listener(note)
        one.add_termination_listener(note)
        await not_idle("asyncpg: the end of the connection")
        one.remove_termination_listener(note)
        with at_once():
            await proof()


@on_idle_loop
async def test_the_end_of_a_connection_that_others_wait_for_counts() -> None:
    """A pool hands its place to the next one when the server closes it."""
    async with asyncpg.create_pool(URL, min_size=1, max_size=1) as pool:
        got: list[int] = []

        async def use() -> None:
            async with pool.acquire() as one:
                got.append(await one.fetchval("SELECT 1"))

        async with connected() as elsewhere:
            one = await pool.acquire()
            pid = one.get_server_pid()
            task = asyncio.create_task(use())
            await asyncio.sleep(0)
            await not_idle("asyncpg: a task waits for a connection, at ")
            await elsewhere.execute(f"SELECT pg_terminate_backend({pid})")
            await asyncio.wait([task], timeout=LONG)
            assert got == [1]


@on_idle_loop
async def test_a_class_of_the_users_is_not_known() -> None:
    class Mine(asyncpg.Connection):
        pass

    one = await asyncpg.connect(URL, connection_class=Mine)
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "(" not in str(verdict)
    await one.close()


@pytest.mark.slow
def test_an_answer_under_way_is_never_overlooked() -> None:
    """The verdict comes after what the answer makes the application do."""

    async def rounds() -> None:
        chance = random.Random(1)
        channel = f"chanx_{uuid.uuid4().hex}"
        async with asyncpg.create_pool(URL, min_size=1, max_size=2) as pool:
            for number in range(300):

                async def ask(number: int = number) -> None:
                    delay = chance.choice([0, 0, 0.0001, 0.001, 0.003])
                    async with pool.acquire() as one, one.transaction():
                        await one.fetch("SELECT pg_sleep($1)", delay)
                        await one.execute(f"NOTIFY {channel}")
                        await one.fetch("SELECT generate_series(1, $1)", number)

                tasks = [asyncio.create_task(ask()) for _ in range(3)]
                if chance.random() < 0.2:
                    # Its query is cancelled on the server, by a connection of its own.
                    await asyncio.sleep(chance.choice([0, 0.0005, 0.002]))
                    await ended(tasks.pop())
                assert await wait_until_idle(LONG)
                assert all(task.done() for task in tasks)
                await asyncio.gather(*tasks)

    with fine_switching(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        runner.run(rounds())
