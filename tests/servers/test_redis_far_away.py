"""The account of a layer on Redis is right while members come and go.

Redis is some milliseconds away here, so that commands meet on their way. What a proof
claims is checked by one more message, which comes after all that was sent before it.

They run where ``CHANX_TEST_REDIS_URL`` names a server.
"""

import asyncio
import importlib
import os
import uuid
from unittest import mock
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from freezegun import freeze_time

from chanx_testing.core.idle import wait_until_idle
from chanx_testing.core.layers.traffic import traffic_watched
from tests.support.idle import LONG, at_once
from tests.support.slow_proxy import far_away

URL = os.environ.get("CHANX_TEST_REDIS_URL")

pytestmark = [
    pytest.mark.skipif(URL is None, reason="CHANX_TEST_REDIS_URL names no server"),
    # The proxy is an interpreter of its own.
    pytest.mark.slow,
]

QUEUES = ["channels_redis.core", "fast_channels.layers.redis.core"]
PUBSUB = ["channels_redis.pubsub", "fast_channels.layers.redis.pubsub"]


@pytest.fixture(scope="module", params=[0.001, 0.004], ids=["1 ms", "4 ms"])
def delay(request):
    return request.param


@pytest.fixture(scope="module")
def far_url(delay):
    near = urlsplit(URL)
    with far_away(near.hostname, near.port or 6379, delay) as port:
        yield near._replace(netloc=f"127.0.0.1:{port}").geturl()


@pytest.fixture
def make_layer(far_url):
    """Return a function that makes a layer; its sockets are closed with the loop."""

    def make(module, prefix=None, **options):
        kind = "RedisPubSubChannelLayer" if module in PUBSUB else "RedisChannelLayer"
        layer_class = getattr(importlib.import_module(module), kind)
        prefix = prefix or uuid.uuid4().hex
        return layer_class(hosts=[far_url], prefix=prefix, **options)

    return make


class Reader:
    """Receives on a new channel, all the time."""

    @classmethod
    async def of(cls, layer):
        self = cls()
        self.layer = layer
        self.channel = await layer.new_channel()
        self.seen = []
        self.task = asyncio.create_task(self._read())
        return self

    async def _read(self):
        while True:
            self.seen.append(await self.layer.receive(self.channel))

    async def proves_that_nothing_comes(self):
        """Ask for a proof, and see that it is true."""
        with at_once():
            verdict = await wait_until_idle(LONG)
        assert verdict, verdict
        number = len(self.seen)
        await self.layer.send(self.channel, {"type": "last"})
        while {"type": "last"} not in self.seen[number:]:
            await wait_until_idle(LONG)
        assert self.seen[number:] == [{"type": "last"}]

    async def leave(self):
        self.task.cancel()
        await asyncio.wait([self.task])


@pytest.fixture
async def reader(make_layer, request):
    layer = make_layer(request.param)
    with traffic_watched([layer]):
        reader = await Reader.of(layer)
        # Connections are open from now on, and commands really meet.
        await asyncio.gather(*(layer.group_discard("x", reader.channel),) * 3)
        yield reader
        await reader.leave()


each_layer = pytest.mark.parametrize("reader", QUEUES + PUBSUB, indirect=True)
each_queue = pytest.mark.parametrize("reader", QUEUES, indirect=True)

# How long after a broadcast began a member joins or leaves, in delays: from before the
# server has its first command until after it has its last.
MOMENTS = range(0, 14, 2)


async def meeting(reader, change, group, moment, delay):
    """Broadcast, and change the membership a moment later."""
    layer = reader.layer
    sending = asyncio.create_task(layer.group_send(group, {"type": "all"}))
    await asyncio.sleep(moment * delay / 2)
    await change(group, reader.channel)
    await sending


@each_layer
async def test_a_member_joins_during_a_broadcast(reader, delay):
    for moment in MOMENTS:
        group = f"group-{moment}"
        await meeting(reader, reader.layer.group_add, group, moment, delay)
        await reader.proves_that_nothing_comes()
        # The account is not below zero: the next message is seen.
        number = len(reader.seen)
        await reader.layer.group_send(group, {"type": "next"})
        assert await wait_until_idle(LONG)
        assert reader.seen[number:] == [{"type": "next"}]


@each_layer
async def test_a_member_leaves_during_a_broadcast(reader, delay):
    for moment in MOMENTS:
        group = f"group-{moment}"
        await reader.layer.group_add(group, reader.channel)
        await meeting(reader, reader.layer.group_discard, group, moment, delay)
        await reader.proves_that_nothing_comes()


@each_layer
async def test_a_member_joins_and_leaves_at_the_same_time(reader):
    layer = reader.layer
    await asyncio.gather(
        layer.group_add("group", reader.channel),
        layer.group_discard("group", reader.channel),
    )
    await layer.group_send("group", {"type": "all"})
    await reader.proves_that_nothing_comes()


@pytest.mark.parametrize("reader", PUBSUB, indirect=True)
async def test_a_member_joins_while_a_message_is_on_its_way(reader):
    """The server has handed it on, and whoever is a member when it comes gets it."""
    layer = reader.layer
    other = await layer.new_channel()
    await layer.group_add("group", other)
    await layer.group_send("group", {"type": "all"})
    await layer.group_add("group", reader.channel)
    await reader.proves_that_nothing_comes()


@each_layer
async def test_a_message_that_was_refused_is_not_waited_for(reader):
    with pytest.raises(TypeError):
        await reader.layer.send(reader.channel, {"type": object()})
    await reader.proves_that_nothing_comes()


@each_layer
async def test_a_message_whose_sending_was_broken_off_may_come(reader, delay):
    sending = asyncio.create_task(reader.layer.send(reader.channel, {"type": "off"}))
    await asyncio.sleep(1.5 * delay)
    while not sending.done():
        # A client that reads an answer may lose one cancellation.
        sending.cancel()
        await asyncio.sleep(0)
    assert sending.cancelled()
    verdict = await wait_until_idle(0.05)
    assert not verdict
    assert any("broken off" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("module", QUEUES)
async def test_a_full_channel_drops_messages_and_the_proof_comes(make_layer, module):
    layer = make_layer(module, capacity=2)
    with traffic_watched([layer]):
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        for _ in range(4):
            await layer.group_send("group", {"type": "all"})
        seen = []

        async def read():
            while True:
                seen.append(await layer.receive(channel))

        reading = asyncio.create_task(read())
        with at_once():
            assert await wait_until_idle(LONG)
        assert len(seen) == 2
        reading.cancel()
        await asyncio.wait([reading])


@each_queue
async def test_while_the_time_stands_still_a_marker_says_nothing(reader, delay):
    """Messages that are kept on the server are ordered by their time."""
    with freeze_time("2026-01-01"):
        await meeting(reader, reader.layer.group_add, "group", 0, delay)
        verdict = await wait_until_idle(0.05)
        assert not verdict
        assert any(reason.endswith("perhaps") for reason in verdict.reasons)
    await reader.layer.send(reader.channel, {"type": "next"})
    await reader.proves_that_nothing_comes()


# Connections.


@each_queue
async def test_a_command_of_the_application_is_waited_for(reader):
    answers = []

    async def ask():
        answers.append(await reader.layer.connection(0).get("nothing"))

    for _ in range(3):
        asking = asyncio.create_task(ask())
        assert await wait_until_idle(LONG)
        assert asking.done()
    assert answers == [None, None, None]
    await reader.proves_that_nothing_comes()


@each_queue
async def test_a_command_that_blocks_may_bring_something(reader):
    client = reader.layer.connection(0)
    key = f"{reader.layer.prefix}-jobs"
    waiting = asyncio.create_task(client.blpop(key))
    await asyncio.sleep(0)
    verdict = await wait_until_idle(0.05)
    assert not verdict
    assert any("application's own" in reason for reason in verdict.reasons)
    await client.rpush(key, "job")
    assert await wait_until_idle(LONG)
    assert waiting.result() == (key.encode(), b"job")


@each_queue
async def test_a_group_that_the_application_changes_itself(reader):
    """Who joins by a command of the application's own is no member that is counted."""
    layer = reader.layer
    await layer.connection(0).zadd(layer._group_key("group"), {reader.channel: 4e9})
    await layer.group_send("group", {"type": "all"})
    assert await wait_until_idle(LONG)
    assert reader.seen == [{"type": "all"}]
    await reader.proves_that_nothing_comes()


@pytest.mark.parametrize("module", QUEUES + PUBSUB)
async def test_a_socket_from_before_the_connection_is_accounted(make_layer, module):
    layer = make_layer(module)
    early = await layer.new_channel()
    await layer.group_add("group", early)
    with traffic_watched([layer]):
        reader = await Reader.of(layer)
        await layer.group_add("group", reader.channel)
        await reader.proves_that_nothing_comes()
        await layer.group_send("group", {"type": "all"})
        assert await wait_until_idle(LONG)
        assert {"type": "all"} in reader.seen
        await reader.leave()


@pytest.mark.parametrize("module", QUEUES)
async def test_a_command_from_before_the_connection_is_waited_for(make_layer, module):
    layer = make_layer(module)
    key = f"{layer.prefix}-jobs"
    waiting = asyncio.create_task(layer.connection(0).blpop(key))
    await layer.connection(0).ping()
    with traffic_watched([layer]):
        assert not await wait_until_idle(0.05)
        await layer.connection(0).rpush(key, "job")
        assert await wait_until_idle(LONG)
        assert waiting.result() == (key.encode(), b"job")


@pytest.mark.parametrize("module", QUEUES)
async def test_the_pools_are_as_they_were_afterwards(make_layer, module):
    layer = make_layer(module)
    with traffic_watched([layer]):
        client = layer.connection(0)
        await client.ping()
        assert "release" in vars(client.connection_pool)
    assert not {"release", "get_connection"} & set(vars(client.connection_pool))
    assert "connection" not in vars(layer)


@pytest.mark.parametrize("module", QUEUES + PUBSUB)
async def test_two_layers_may_have_one_prefix(make_layer, module):
    """As where two aliases name one server."""
    prefix = uuid.uuid4().hex
    layer, other = make_layer(module, prefix), make_layer(module, prefix)
    with traffic_watched([layer, other]):
        reader = await Reader.of(layer)
        await layer.group_add("group", reader.channel)
        for number in range(3):
            await other.group_send("group", {"type": "all"})
            assert await wait_until_idle(LONG)
            assert len(reader.seen) == number + 1
        await reader.leave()


@pytest.mark.parametrize("module", QUEUES)
async def test_a_mock_is_never_called_with_a_marker(make_layer, module):
    layer = make_layer(module)
    layer.send = mock.AsyncMock()
    sent = layer.send
    with traffic_watched([layer]):
        reader = await Reader.of(layer)
        await asyncio.gather(
            layer.group_send("group", {"type": "all"}),
            layer.group_add("group", reader.channel),
        )
        assert not await wait_until_idle(0.1)
        await reader.leave()
    sent.assert_not_called()


@pytest.mark.parametrize("module", QUEUES + PUBSUB)
async def test_a_thread_broadcasts(make_layer, module):
    layer = make_layer(module)
    with traffic_watched([layer]):
        reader = await Reader.of(layer)
        await layer.group_add("group", reader.channel)
        send = async_to_sync(layer.group_send)
        await asyncio.to_thread(send, "group", {"type": "all"})
        assert await wait_until_idle(LONG)
        assert reader.seen == [{"type": "all"}]
        await reader.leave()
