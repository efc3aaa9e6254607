"""ASGI without a framework: a demultiplexer of Channels consumers."""

import asyncio
import json
from typing import Any, Literal

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from pydantic import BaseModel

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.core.client.errors import UnexpectedFrame


class Streamed(BaseModel):
    stream: Literal["count", "chat"]
    payload: Any


class CountConsumer(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(len(content))


class ChatConsumer(AsyncJsonWebsocketConsumer):
    groups = ["chat"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        event = {"type": "chat.said", "text": content}
        await self.channel_layer.group_send("chat", event)

    async def chat_said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["text"])


class Demultiplexer:
    """Runs several consumers behind one connection, each in a task of its own.

    A frame ``{"stream": ..., "payload": ...}`` goes to the consumer of that stream,
    and what a consumer sends comes back in the same envelope.
    """

    ended: list[str] = []

    def __init__(self, **consumers: Any) -> None:
        self.consumers = consumers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        if scope["query_string"] == b"banned":
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
        inboxes = {name: asyncio.Queue() for name in self.consumers}
        async with asyncio.TaskGroup() as group:
            for name, consumer in self.consumers.items():
                inboxes[name].put_nowait({"type": "websocket.connect"})
                group.create_task(
                    self.run(
                        name, consumer(scope, inboxes[name].get, self.to(send, name))
                    )
                )
            while (event := await receive())["type"] == "websocket.receive":
                frame = json.loads(event["text"])
                text = json.dumps(frame["payload"])
                inboxes[frame["stream"]].put_nowait(
                    {"type": "websocket.receive", "text": text}
                )
            for inbox in inboxes.values():
                inbox.put_nowait(event)

    async def run(self, name: str, consumer: Any) -> None:
        await consumer
        self.ended.append(name)

    def to(self, send: Any, name: str) -> Any:
        async def send_from_stream(event: dict[str, Any]) -> None:
            if event["type"] == "websocket.send":
                payload = json.loads(event["text"])
                text = json.dumps({"stream": name, "payload": payload})
                await send({"type": "websocket.send", "text": text})

        return send_from_stream


application = Demultiplexer(count=CountConsumer.as_asgi(), chat=ChatConsumer.as_asgi())


def connection(path: str = "/", **options: Any) -> WebsocketCommunicator:
    return WebsocketCommunicator(application, path, **options)


async def test_handshake_is_accepted() -> None:
    async with connection() as communicator:
        assert communicator.closed is None


async def test_handshake_is_rejected_with_its_code() -> None:
    assert await connection("/?banned").connect() == (False, 4403)


async def test_frames_go_through_the_stream() -> None:
    async with connection() as communicator:
        await communicator.send_json({"stream": "count", "payload": "abc"})
        await communicator.send_json({"stream": "chat", "payload": "hello"})
        frames = await communicator.receive_all_json()
        assert {frame["stream"]: frame["payload"] for frame in frames} == {
            "count": 3,
            "chat": "hello",
        }


async def test_typed_messages_by_message_types() -> None:
    async with connection(message_types=[Streamed]) as communicator:
        await communicator.send_message(Streamed(stream="count", payload="abc"))
        expected = Streamed(stream="count", payload=3)
        assert await communicator.receive_message() == expected


async def test_groups_between_two_clients() -> None:
    async with connection() as ann, connection() as bob:
        await ann.send_json({"stream": "chat", "payload": "hello"})
        assert (await bob.receive_json())["payload"] == "hello"
        assert (await ann.receive_json())["payload"] == "hello"


async def test_crash_in_one_of_the_consumers_surfaces() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.send_json({"stream": "count", "payload": 1})
    with pytest.raises(ExceptionGroup) as caught:
        await communicator.receive_json()
    assert caught.group_contains(TypeError, match="has no len")


async def test_crash_of_the_application_itself_surfaces() -> None:
    communicator = connection()
    await communicator.connect()
    await communicator.send_to(text_data="no JSON")
    with pytest.raises(ExceptionGroup) as caught:
        await communicator.receive_json()
    assert caught.group_contains(json.JSONDecodeError)


async def test_cleanup_of_every_consumer_runs_on_disconnect() -> None:
    Demultiplexer.ended.clear()
    await get_channel_layer().flush()
    async with connection():
        pass
    assert sorted(Demultiplexer.ended) == ["chat", "count"]
    assert get_channel_layer().groups == {}


async def test_nothing_more_is_proved() -> None:
    async with connection() as communicator:
        assert await communicator.receive_nothing()
        verdict = await communicator.wait_until_idle()
        assert verdict, verdict


async def test_nothing_more_is_refuted() -> None:
    async with connection() as communicator:
        await communicator.send_json({"stream": "count", "payload": "abc"})
        with pytest.raises(UnexpectedFrame, match="count"):
            await communicator.receive_nothing()
