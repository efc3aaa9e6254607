"""Pub/sub listeners of redis.asyncio, where nobody else publishes.

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

from chanx_testing.core.idle import (
    IdleEventLoop,
    no_other_publisher,
    wait_until_idle,
)
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

protocols = pytest.mark.parametrize("protocol", [2, 3])


class Listener:
    """A task that listens, and what it got."""

    def __init__(self, pubsub: Any) -> None:
        self.pubsub = pubsub
        self.got: list[Any] = []
        self.task = asyncio.create_task(self.listen())

    async def listen(self) -> None:
        async for message in self.pubsub.listen():
            if message["type"].endswith("message"):
                self.got.append(message["data"])


@asynccontextmanager
async def listening(
    *channels: str, patterns: tuple[str, ...] = (), **options: Any
) -> AsyncIterator[Listener]:
    async with (
        redis.asyncio.Redis.from_url(URL, **options) as client,
        client.pubsub() as pubsub,
    ):
        if channels:
            await pubsub.subscribe(*channels)
        if patterns:
            await pubsub.psubscribe(*patterns)
        listener = Listener(pubsub)
        try:
            yield listener
        finally:
            listener.task.cancel()
            await asyncio.wait([listener.task])


def new_name() -> str:
    return f"chanx-clients-{uuid.uuid4().hex}"


@protocols
@on_idle_loop
async def test_a_listener_does_not_count_while_nothing_was_published(
    protocol: int,
) -> None:
    name = new_name()
    with no_other_publisher():
        async with listening(name, f"{name}-2", protocol=protocol) as listener:
            with at_once():
                await proof()
            await listener.pubsub.subscribe(f"{name}-3")
            with at_once():
                await proof()
            await listener.pubsub.unsubscribe(f"{name}-3", name)
            await listener.pubsub.ping()
            with at_once():
                await proof()
    # Outside of the block it counts as ever.
    async with listening(name):
        await not_idle("a pub/sub listener of redis, at Listener.listen ")


@protocols
@on_idle_loop
async def test_a_message_counts_until_each_listener_has_it(protocol: int) -> None:
    name = new_name()
    with no_other_publisher():
        async with (
            listening(name, patterns=("chanx-clients-*",), protocol=protocol) as one,
            listening(name, protocol=protocol) as other,
            redis.asyncio.Redis.from_url(URL) as client,
        ):
            assert await client.publish(name, "told") == 3
            with at_once():
                await proof()
            assert one.got == [b"told", b"told"]
            assert other.got == [b"told"]


@on_idle_loop
async def test_messages_from_a_thread_are_counted_too() -> None:
    name = new_name()
    with no_other_publisher(), redis.Redis.from_url(URL) as client:
        async with listening(name) as listener:
            for number in range(20):
                task = asyncio.create_task(
                    asyncio.to_thread(client.publish, name, number)
                )
                await proof()
                assert listener.got.pop() == b"%d" % number
                await task


@on_idle_loop
async def test_a_message_that_does_not_come_keeps_the_deadline() -> None:
    """It went to somebody else."""
    name = new_name()
    with no_other_publisher(), redis.Redis.from_url(URL) as elsewhere:
        other = elsewhere.pubsub()
        other.subscribe(name)
        other.get_message(timeout=1)
        async with listening(name) as listener:
            elsewhere.publish(name, "told")
            await not_idle("1 published messages have not come yet")
            assert listener.got == [b"told"]
        # What was owed to that listener is forgotten with it.
        async with listening(name):
            with at_once():
                await proof()
        other.close()


@pytest.mark.parametrize("kind", ["pipeline", "sync pipeline", "script", "failure"])
@on_idle_loop
async def test_what_may_have_published_keeps_the_deadline(kind: str) -> None:
    name = new_name()
    with no_other_publisher():
        async with (
            listening(name) as listener,
            redis.asyncio.Redis.from_url(URL) as client,
        ):
            await proof()
            if kind == "pipeline":
                await client.pipeline().publish(name, "told").execute()
            elif kind == "sync pipeline":
                with redis.Redis.from_url(URL) as sync:
                    sync.pipeline().publish(name, "told").execute()
            elif kind == "script":
                call = "return redis.call('publish', KEYS[1], 'told')"
                await client.eval(call, 1, name)
            else:
                with pytest.raises(redis.DataError):
                    await client.publish(name, object())  # type: ignore[arg-type]
            await not_idle("may have published something")
            assert listener.got == ([] if kind == "failure" else [b"told"])


@on_idle_loop
async def test_a_listener_of_which_not_all_is_known_keeps_the_deadline() -> None:
    with no_other_publisher():
        async with listening("__keyevent@0__:del"):
            await not_idle("Redis itself publishes")
        async with listening(new_name(), health_check_interval=10):
            await not_idle("health checks of the connection")
        async with listening(new_name()) as listener:
            await listener.pubsub.punsubscribe()
            await not_idle("the answers to PUNSUBSCRIBE are not counted")
    async with listening(name := new_name()), redis.asyncio.Redis.from_url(URL) as one:
        # It has subscribed before the block.
        with no_other_publisher():
            await not_idle("a pub/sub listener of redis")
            await one.publish(name, "told")
            await not_idle("a pub/sub listener of redis")


@on_idle_loop
async def test_a_message_of_somebody_else_fails_the_block() -> None:
    name = new_name()
    message = f"a message came on {name} that this process did not publish"
    with pytest.raises(AssertionError, match=message), no_other_publisher():
        async with listening(name) as listener:
            await proof()
            with redis.Redis.from_url(URL).client() as elsewhere:
                elsewhere.connection.send_command("PUBLISH", name, "told")
                elsewhere.connection.read_response()
            await asyncio.sleep(0.05)
            assert listener.got == [b"told"]
            await not_idle("somebody else publishes")


def test_the_methods_are_put_back() -> None:
    def methods() -> list[Any]:
        return [
            redis.Redis.execute_command,
            redis.client.Pipeline.execute_command,
            redis.asyncio.Redis.execute_command,
            redis.asyncio.client.Pipeline.execute_command,
            redis.asyncio.client.PubSub.execute_command,
            redis.asyncio.client.PubSub.parse_response,
        ]

    before = methods()
    with no_other_publisher(), no_other_publisher():
        counted = methods()
    assert not any(one is other for one, other in zip(before, counted, strict=True))
    assert all(one is other for one, other in zip(before, methods(), strict=True))


@pytest.mark.slow
@protocols
def test_a_message_under_way_is_never_overlooked(protocol: int) -> None:
    async def rounds() -> None:
        chance = random.Random(3)
        names = [new_name() for _ in range(3)]
        sync = redis.Redis.from_url(URL)
        async with (
            listening(*names[:2], protocol=protocol) as one,
            listening(*names[1:], patterns=("chanx-clients-*",)) as other,
            redis.asyncio.Redis.from_url(URL, protocol=protocol) as client,
        ):
            for number in range(300):
                name = chance.choice(names)

                async def publish(name: str = name, number: int = number) -> None:
                    if chance.random() < 0.5:
                        await client.set(name, number, ex=10)
                    if chance.random() < 0.2:
                        await asyncio.to_thread(sync.publish, name, number)
                    else:
                        await client.publish(name, number)

                times = chance.randrange(1, 4)
                tasks = [asyncio.create_task(publish()) for _ in range(times)]
                assert await wait_until_idle(LONG)
                assert all(task.done() for task in tasks)
                # Each name is listened to by a pattern too.
                assert len(one.got) == times * (name in names[:2])
                assert len(other.got) == times * (1 + (name in names[1:]))
                one.got.clear()
                other.got.clear()
        sync.close()

    with (
        fine_switching(),
        no_other_publisher(),
        asyncio.Runner(loop_factory=IdleEventLoop) as runner,
    ):
        runner.run(rounds())
