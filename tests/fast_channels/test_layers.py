"""Layers that live as long as a test."""

import asyncio
import threading

import pytest
from fast_channels.consumer import AsyncWebsocketConsumer
from fast_channels.exceptions import ChannelFull
from fast_channels.layers import InMemoryChannelLayer, channel_layers
from fastapi import FastAPI

from chanx_testing.core.decorators import event_handler
from chanx_testing.core.idle import new_event_loop
from chanx_testing.fast_channels.layers import in_memory_layers
from chanx_testing.fast_channels.testing import WebsocketCommunicator
from chanx_testing.fast_channels.websocket import AsyncJsonWebsocketConsumer
from tests.support.http import http_get
from tests.support.messages import Notice


class NoticeConsumer(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "notices"
    groups = ["everybody"]
    send_completion = True

    @event_handler
    async def notice(self, event: Notice) -> Notice:
        return event


class ForgetfulConsumer(AsyncWebsocketConsumer):
    """Leaves its group only if it is told of the end, as most consumers."""

    channel_layer_alias = "notices"
    groups = ["everybody"]

    async def notice(self, message):
        await self.send(text_data=message["text"])


@pytest.fixture(autouse=True)
def registry():
    before = dict(channel_layers._layers)
    yield
    assert channel_layers._layers == before


def test_a_layer_is_registered_for_a_block():
    with in_memory_layers("notices") as layers:
        assert channel_layers["notices"] is layers["notices"]
    assert "notices" not in channel_layers


def test_the_layer_from_before_comes_back():
    former = InMemoryChannelLayer()
    with in_memory_layers("notices"):
        channel_layers.register("notices", former)
        with in_memory_layers("notices"):
            assert channel_layers["notices"] is not former
        assert channel_layers["notices"] is former
        with pytest.raises(LookupError), in_memory_layers("notices"):
            raise LookupError
        assert channel_layers["notices"] is former


def test_all_that_are_registered_are_replaced():
    with in_memory_layers("a", "b") as former:
        with in_memory_layers() as layers:
            assert {"a", "b"} <= set(layers)
            assert layers["a"] is not layers["b"]
            assert layers["a"] is not former["a"]
        assert channel_layers["a"] is former["a"]


async def test_a_broadcast_arrives():
    with in_memory_layers("notices"):
        async with WebsocketCommunicator(NoticeConsumer, "/") as comm:
            await NoticeConsumer.broadcast_event(Notice(payload="hi"))
            messages = await comm.receive_all_messages("event_complete")
    assert messages == [Notice(payload="hi")]


# Threads and loops.


def in_a_thread(coroutine):
    """Run a coroutine on a loop of its own in another thread; awaits its end."""
    return asyncio.to_thread(asyncio.run, coroutine)


async def test_a_synchronous_endpoint_of_fastapi_broadcasts():
    app = FastAPI()
    app.router.add_websocket_route("/ws", NoticeConsumer.as_asgi())

    @app.get("/announce")
    def announce(text: str):
        NoticeConsumer.broadcast_event_sync(Notice(payload=text))

    with in_memory_layers("notices"):
        async with WebsocketCommunicator(app, "/ws") as comm:
            assert await http_get(app, "/announce", query=b"text=hi") == 200
            assert await comm.receive_all_messages("event_complete") == [
                Notice(payload="hi")
            ]


async def test_messages_from_another_loop_arrive_in_their_order():
    async def several():
        for number in range(5):
            await NoticeConsumer.broadcast_event(Notice(payload=str(number)))

    with in_memory_layers("notices"):
        async with WebsocketCommunicator(NoticeConsumer, "/") as comm:
            await in_a_thread(several())
            frames = await comm.receive_all_json()
    said = [frame["payload"] for frame in frames if frame["action"] == "notice"]
    assert said == ["0", "1", "2", "3", "4"]


async def test_a_message_is_copied_before_another_loop_takes_it():
    async def change():
        message = {"type": "notice", "text": "hi"}
        await layers["notices"].send("here", message)
        message["text"] = "bye"

    with in_memory_layers("notices") as layers:
        waiting = asyncio.create_task(layers["notices"].receive("here"))
        await asyncio.sleep(0)
        # This loop is held up until the other one is through.
        thread = threading.Thread(target=asyncio.run, args=(change(),))
        thread.start()
        thread.join()
        assert (await waiting)["text"] == "hi"


async def test_a_channel_that_is_full_says_so_to_another_loop():
    with in_memory_layers("notices") as layers:
        layer = layers["notices"]
        layer.capacity = 1
        name = await layer.new_channel()
        await in_a_thread(layer.send(name, {"text": "first"}))
        with pytest.raises(ChannelFull):
            await in_a_thread(layer.send(name, {"text": "second"}))
        assert (await layer.receive(name))["text"] == "first"
        assert layer.channels == {}


async def test_a_channel_that_is_full_says_so_on_its_own_loop():
    with in_memory_layers("notices") as layers:
        layer = layers["notices"]
        layer.capacity = 1
        name = await layer.new_channel()
        await layer.group_add("everybody", name)
        await layer.send(name, {})
        with pytest.raises(ChannelFull):
            await layer.send(name, {})
        await layer.group_send("everybody", {})


async def test_the_names_of_groups_are_checked():
    with in_memory_layers("notices") as layers, pytest.raises(TypeError):
        await layers["notices"].group_send("every body", {})


# From one test to the next.


async def leave_open(consumer, kept):
    """Connect, and end the test with no goodbye."""
    comm = WebsocketCommunicator(consumer, "/")
    kept.append(comm)
    await comm.connect()


def run_as_a_test(coroutine):
    """Run on a loop of its own; what still runs at the end is cancelled."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(coroutine)


def test_a_foreign_consumer_stays_in_its_groups_when_its_test_just_ends():
    with in_memory_layers("notices") as layers:
        run_as_a_test(leave_open(ForgetfulConsumer, []))
        assert layers["notices"].groups["everybody"]


def test_what_a_test_leaves_behind_is_not_there_in_the_next():
    for _ in range(2):
        with in_memory_layers("notices") as layers:
            assert layers["notices"].groups == layers["notices"].channels == {}
            run_as_a_test(leave_open(ForgetfulConsumer, []))


def test_our_consumer_leaves_its_groups_when_its_test_just_ends():
    with in_memory_layers("notices") as layers:
        run_as_a_test(leave_open(NoticeConsumer, []))
        assert layers["notices"].groups == layers["notices"].channels == {}
