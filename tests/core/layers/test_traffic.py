"""What goes over a channel layer is counted where it is given and taken."""

import asyncio
from collections import defaultdict

import pytest

from chanx_testing.core.idle import wait_until_idle
from chanx_testing.core.layers.traffic import (
    COUNTED_METHODS,
    Traffic,
    _accounts,
    traffic_watched,
)
from chanx_testing.core.observe import reports


class Layer:
    """A channel layer of queues; ``gate`` holds every operation up while it is shut."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.gate.set()
        self.queues = defaultdict(asyncio.Queue)
        self.groups = defaultdict(set)
        self.numbers = iter(range(100))
        self.error = ValueError()

    async def new_channel(self, prefix="specific"):
        await self.gate.wait()
        return f"{prefix}!{next(self.numbers)}"

    async def send(self, channel, message):
        await self.gate.wait()
        if message is None:
            raise self.error
        await self.queues[channel].put(message)

    async def receive(self, channel):
        return await self.queues[channel].get()

    async def group_add(self, group, channel):
        await self.gate.wait()
        self.groups[group].add(channel)

    async def group_discard(self, group, channel):
        await self.gate.wait()
        self.groups[group].discard(channel)

    async def group_send(self, group, message):
        await self.gate.wait()
        for channel in tuple(self.groups[group]):
            await self.send(channel, message)


@pytest.fixture
async def layer():
    return Layer()


@pytest.fixture
def traffic(layer, monkeypatch):
    """The account of the layer, while it is watched."""
    made = []

    class Known(Traffic):
        def __init__(self, layer):
            super().__init__(layer)
            made.append(self)

    monkeypatch.setattr("chanx_testing.core.layers.traffic.Traffic", Known)
    with traffic_watched([layer]):
        yield made[0]


async def test_an_operation_is_under_way_until_it_is_answered(layer, traffic):
    layer.gate.clear()
    task = asyncio.create_task(layer.group_add("room", "specific!0"))
    assert await wait_until_idle()
    assert traffic.under_way() == ["group_add() on Layer"]
    layer.gate.set()
    await task
    assert traffic.under_way() == []


async def test_a_message_is_under_way_until_its_receiver_has_it(layer, traffic):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "hello"})
    receiver = asyncio.create_task(layer.receive(channel))
    # The task has not run yet: nobody receives, so nothing can come of the message.
    assert traffic.under_way() == []
    layer_queue, layer.queues[channel] = layer.queues[channel], asyncio.Queue()
    assert await wait_until_idle()
    assert traffic.under_way() == ["a message on its way over Layer"]
    layer.queues[channel]._queue.clear()
    receiver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiver
    assert layer_queue.qsize() == 1


async def test_a_received_message_is_counted_off(layer, traffic):
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    await layer.send(channel, {"type": "hello"})
    assert await receiver == {"type": "hello"}
    again = asyncio.create_task(layer.receive(channel))
    assert await wait_until_idle()
    assert traffic.under_way() == []
    again.cancel()


class ChannelFull(Exception):
    """As layers raise it."""


@pytest.mark.parametrize("refusal", [ChannelFull, AssertionError, TypeError])
async def test_a_message_that_was_refused_is_not_waited_for(layer, traffic, refusal):
    layer.error = refusal()
    channel = await layer.new_channel()
    with pytest.raises(refusal):
        await layer.send(channel, None)
    receiver = asyncio.create_task(layer.receive(channel))
    assert await wait_until_idle()
    assert traffic.under_way() == []
    receiver.cancel()


@pytest.mark.parametrize("method", ["send", "group_send"])
async def test_a_message_that_failed_on_its_way_may_come(layer, traffic, method):
    layer.error = ConnectionError()
    channel = await layer.new_channel()
    await layer.group_add(channel, channel)
    with pytest.raises(ConnectionError):
        await getattr(layer, method)(channel, None)
    receiver = asyncio.create_task(layer.receive(channel))
    assert await wait_until_idle()
    assert traffic.under_way() == [
        "a message on its way over Layer, perhaps: its sending was broken off"
    ]
    receiver.cancel()


async def test_who_joins_during_a_broadcast_may_get_it(layer, traffic):
    """A layer that is not known may bring messages in another order: no marker."""
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    layer.gate.clear()
    sending = asyncio.create_task(layer.group_send("room", {"type": "hello"}))
    joining = asyncio.create_task(layer.group_add("room", channel))
    await asyncio.sleep(0)
    layer.gate.set()
    await asyncio.gather(sending, joining)
    for _ in range(2):
        assert await wait_until_idle()
        assert traffic.under_way() == ["a message on its way over Layer, perhaps"]
    assert not receiver.done()
    receiver.cancel()


async def test_what_happened_while_nobody_watched_is_not_known(layer):
    with traffic_watched([layer]):
        channel = await layer.new_channel()
    await layer.send(channel, {"type": "hello"})
    with traffic_watched([layer]):
        assert await layer.receive(channel) == {"type": "hello"}
        receiver = asyncio.create_task(layer.receive(channel))
        assert await wait_until_idle()
        assert _accounts[layer].under_way() == [
            "a receiver of unknown messages on Layer"
        ]
        receiver.cancel()


async def test_a_channel_of_unknown_origin_may_bring_anything(layer, traffic):
    receiver = asyncio.create_task(layer.receive("somebody-elses"))
    assert await wait_until_idle()
    assert traffic.under_way() == ["a receiver of unknown messages on Layer"]
    receiver.cancel()


async def test_a_shared_layer_may_bring_anything(layer, traffic):
    channel = await layer.new_channel()
    receiver = asyncio.create_task(layer.receive(channel))
    assert await wait_until_idle()
    traffic.shared = True
    assert traffic.under_way() == ["messages of other processes over Layer"]
    receiver.cancel()


async def test_a_lost_cancellation_is_repeated(layer):
    losses = []

    async def receive(channel):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if losses:
                    raise
                losses.append("the first cancellation")

    layer.receive = receive
    with traffic_watched([layer]):
        receiver = asyncio.create_task(layer.receive("channel"))
        assert await wait_until_idle()
        receiver.cancel()
        await asyncio.wait([receiver])
    assert losses
    assert receiver.cancelled()


async def test_what_the_layer_starts_is_no_work_of_the_application(layer):
    seen = []

    async def send(channel, message):
        seen.append(reports.watcher.get())

    layer.send = send
    token = reports.watcher.set("somebody")
    try:
        with traffic_watched([layer]):
            await layer.send("channel", {})
        assert reports.watcher.get() == "somebody"
    finally:
        reports.watcher.reset(token)
    assert seen == [None]


async def test_the_layer_has_the_identical_methods_again(layer):
    async def send(channel, message):
        pass

    layer.send = send
    first, second = traffic_watched([layer]), traffic_watched([layer])
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert layer.send is not send
    second.__exit__(None, None, None)
    assert layer.send is send
    assert set(vars(layer)) & set(COUNTED_METHODS) == {"send"}


async def test_a_layer_that_answers_for_its_methods_itself_is_left_alone(layer):
    class Stubborn(Layer):
        def __getattribute__(self, name):
            if name == "send":
                return super().__getattribute__("original")
            return super().__getattribute__(name)

        async def original(self, channel, message):
            return "sent"

    stubborn = Stubborn()
    with traffic_watched([stubborn]):
        assert await stubborn.send("channel", {}) == "sent"
        assert not set(vars(stubborn)) & set(COUNTED_METHODS)
