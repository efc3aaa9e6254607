"""Any thread may use an in-memory channel layer while a test is connected."""

import asyncio
import threading

import channels.exceptions
import channels.layers
import fast_channels.exceptions
import fast_channels.layers
import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core.idle import Deadlock, new_event_loop, wait_until_idle
from chanx_testing.core.idle.waiting import engage
from chanx_testing.core.layers.handover import GUARDED_METHODS, handed_over
from tests.support.idle import LONG, at_once, fine_switching

KINDS = {
    "channels": (channels.layers.InMemoryChannelLayer, channels.exceptions.ChannelFull),
    "fast": (
        fast_channels.layers.InMemoryChannelLayer,
        fast_channels.exceptions.ChannelFull,
    ),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def layer(kind):
    layer_class, full = kind
    layer = layer_class()
    with handed_over(layer, full):
        yield layer


@pytest.fixture
def switching():
    with fine_switching():
        yield


def in_a_thread(function, *args):
    """Call a function in a thread, and hold up this thread until it has returned."""
    raised = []

    def run():
        try:
            function(*args)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def from_a_thread(method, *args):
    """Call a coroutine function by ``async_to_sync`` in a thread, and wait for it.

    The wrapper is made there as well: made here, it would call this thread's loop,
    which is held up.
    """
    in_a_thread(lambda: async_to_sync(method)(*args))


async def member(layer, group="room"):
    """Return a channel in a group, and a task that waits for a message on it."""
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    receiver = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    return channel, receiver


WAYS = {
    "a thread": from_a_thread,
    "a loop of a thread": lambda send, *args: in_a_thread(
        lambda: asyncio.run(send(*args))
    ),
}


@pytest.mark.parametrize("way", sorted(WAYS))
async def test_what_a_thread_broadcasts_arrives(layer, way):
    _, receiver = await member(layer)
    WAYS[way](layer.group_send, "room", {"type": "hello"})
    assert not receiver.done()
    with at_once():
        assert await wait_until_idle(LONG)
    assert receiver.result() == {"type": "hello"}


async def test_a_wait_goes_on_until_the_thread_has_broadcast(layer):
    _, receiver = await member(layer)
    go = threading.Event()

    def work():
        go.wait()
        async_to_sync(layer.group_send)("room", {"type": "hello"})

    working = asyncio.ensure_future(asyncio.to_thread(work))
    asyncio.get_running_loop().call_later(0.01, go.set)
    assert await wait_until_idle(LONG)
    assert receiver.result() == {"type": "hello"}
    await working


async def test_messages_come_in_the_order_in_which_they_were_sent(layer):
    channel, receiver = await member(layer)
    from_a_thread(layer.send, channel, {"number": 0})
    from_a_thread(layer.send, channel, {"number": 1})
    # The two are on their way to this loop, which has not run since.
    await layer.send(channel, {"number": 2})
    received = [await receiver] + [await layer.receive(channel) for _ in range(2)]
    assert [message["number"] for message in received] == [0, 1, 2]
    assert layer.channels == {}


async def test_a_message_that_nobody_waits_for_yet_is_kept(layer):
    channel = await layer.new_channel()
    from_a_thread(layer.send, channel, {"type": "hello"})
    assert await layer.receive(channel) == {"type": "hello"}


async def test_a_message_is_the_one_that_was_sent(layer):
    channel, receiver = await member(layer)
    message = {"names": ["one"]}
    from_a_thread(layer.send, channel, message)
    message["names"].append("two")
    assert await receiver == {"names": ["one"]}


async def test_a_full_channel_says_so_to_the_thread(layer, kind):
    _, full = kind
    layer.capacity = 2
    channel, receiver = await member(layer)
    for number in range(2):
        from_a_thread(layer.send, channel, {"number": number})
    with pytest.raises(full):
        from_a_thread(layer.send, channel, {"number": 2})
    # A group passes over a member that has no room.
    from_a_thread(layer.group_send, "room", {"number": 3})
    assert await receiver == {"number": 0}
    assert await layer.receive(channel) == {"number": 1}
    assert layer.channels == {}


@pytest.mark.parametrize("message", ["text", {"__asgi_channel__": "other"}])
async def test_what_the_layer_does_not_send_is_refused_in_the_thread(layer, message):
    channel, receiver = await member(layer)
    with pytest.raises(AssertionError):
        from_a_thread(layer.send, channel, message)
    receiver.cancel()


async def test_a_thread_that_joins_a_group_is_a_member_at_once(layer):
    channel = await layer.new_channel()
    from_a_thread(layer.group_add, "room", channel)
    await layer.group_send("room", {"type": "hello"})
    assert await layer.receive(channel) == {"type": "hello"}
    from_a_thread(layer.group_discard, "room", channel)
    assert layer.groups == {}


async def test_a_layer_that_is_emptied_forgets_what_was_on_its_way(layer):
    channel, receiver = await member(layer)
    from_a_thread(layer.send, channel, {"type": "hello"})
    await layer.flush()
    with at_once():
        assert await wait_until_idle(LONG)
    assert not receiver.done()
    receiver.cancel()


def test_a_reader_whose_loop_was_closed_is_gone(layer):
    loop = new_event_loop()
    channel, receiver = loop.run_until_complete(member(layer))
    loop.close()
    async_to_sync(layer.send)(channel, {"type": "hello"})
    assert asyncio.run(layer.receive(channel)) == {"type": "hello"}
    # What is left of the first reader, or the collector would complain of it.
    receiver._log_destroy_pending = False
    with pytest.raises(RuntimeError, match="closed"):
        receiver.get_coro().close()


async def test_a_receiver_that_is_cancelled_leaves_nothing(layer):
    channel, receiver = await member(layer)
    receiver.cancel()
    await asyncio.wait([receiver])
    assert receiver.cancelled()
    from_a_thread(layer.send, channel, {"type": "hello"})
    assert layer.channels[channel].qsize() == 1


def test_a_receiver_that_waits_can_be_told_from_one_that_runs(layer):
    """Otherwise a loop with a receiver would never be found at rest."""

    async def forever():
        engage()
        await layer.receive("nobody")

    with pytest.raises(Deadlock), asyncio.Runner(loop_factory=new_event_loop) as run:
        run.run(forever())


@pytest.mark.usefixtures("switching")
async def test_many_threads_join_leave_and_broadcast(layer):
    """Nothing is lost, doubled or brought out of order, and nobody sees a half."""
    threads, rounds = 4, 50
    layer.capacity = 2 * threads * rounds
    channel, receiver = await member(layer)
    failures = []

    def work(name):
        async def talk():
            for number in range(rounds):
                other = await layer.new_channel()
                await layer.group_add(f"group-{name}-{number}", other)
                await layer.group_add("room", other)
                await layer.send(channel, {"name": name, "number": number})
                await layer.group_discard("room", other)
                await layer.group_send("room", {"name": "all"})
                await layer.group_discard(f"group-{name}-{number}", other)

        try:
            async_to_sync(talk)()
        except Exception as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(name,)) for name in range(threads)]
    for worker in workers:
        worker.start()
    seen = {name: [] for name in range(threads)}
    while sum(map(len, seen.values())) < threads * rounds:
        message = await asyncio.wait_for(receiver, LONG)
        if message["name"] != "all":
            seen[message["name"]].append(message["number"])
        receiver = asyncio.create_task(layer.receive(channel))
        await layer.group_add("own", channel)
        await layer.group_discard("own", channel)
    for worker in workers:
        await asyncio.to_thread(worker.join)
    receiver.cancel()
    assert failures == []
    assert seen == {name: list(range(rounds)) for name in range(threads)}
    assert list(layer.groups) == ["room"]


def test_the_layer_has_the_identical_methods_again(kind):
    layer_class, full = kind
    layer = layer_class()
    first, second = handed_over(layer, full), handed_over(layer, full)
    first.__enter__()
    second.__enter__()
    assert set(GUARDED_METHODS) <= set(vars(layer))
    first.__exit__(None, None, None)
    assert "send" in vars(layer)
    second.__exit__(None, None, None)
    assert not set(GUARDED_METHODS) & set(vars(layer))
