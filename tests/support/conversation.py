"""One conversation with everything that can go wrong in it, to be repeated.

Two clients of a consumer that reads the database on the main thread, sends to the group
from a thread, spawns a task, and answers. Nothing in it waits for a time.
"""

import asyncio
import json
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator
from django.contrib.auth import get_user_model

from chanx_testing.core.idle import wait_until_idle

LIMIT = 30.0  # seconds; a verdict that takes this long has missed the proof


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.room: str = self.scope["room"]
        self.spawned: set[asyncio.Task[None]] = set()
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        counts = [await self.count() for _ in range(3)]
        await sync_to_async(self.tell, thread_sensitive=False)(text_data)
        task = asyncio.create_task(self.send(json.dumps(["spawned", counts])))
        self.spawned.add(task)
        task.add_done_callback(self.spawned.discard)
        await asyncio.get_running_loop().run_in_executor(None, int)
        await self.send(json.dumps(["answer", text_data]))

    @database_sync_to_async
    def count(self) -> int:
        return get_user_model().objects.count()

    def tell(self, text: str) -> None:
        layer = get_channel_layer()
        async_to_sync(layer.group_send)(self.room, {"type": "told", "text": text})

    async def told(self, event: dict[str, Any]) -> None:
        await self.send(json.dumps(["told", event["text"]]))


class Client:
    """The least of a client: it reads frames when the loop is idle."""

    def __init__(self, room: str) -> None:
        scope = {"type": "websocket", "path": "/", "headers": [], "room": room}
        self.app = ApplicationCommunicator(ChatConsumer.as_asgi(), scope)
        # Made here, in the test's own context: database jobs find the thread by it.
        self.task = asyncio.create_task(
            self.app.application(
                scope, self.app.input_queue.get, self.app.output_queue.put
            )
        )

    async def send(self, message: dict[str, Any]) -> None:
        await self.app.input_queue.put(message)

    def frames(self) -> list[Any]:
        found = []
        while not self.app.output_queue.empty():
            frame = self.app.output_queue.get_nowait()
            text = frame.get("text")
            found.append(frame["type"] if text is None else json.loads(text)[0])
        return found


async def settled(**kwargs: Any) -> None:
    verdict = await wait_until_idle(LIMIT, **kwargs)
    assert verdict, str(verdict)


async def converse(number: int, messages: int = 3) -> None:
    """Connect two clients, exchange messages, disconnect; check at every verdict."""
    room = f"room{number}"
    one, two = Client(room), Client(room)
    for client in (one, two):
        await client.send({"type": "websocket.connect"})
    await settled(horizon=0 if number % 2 else None)
    assert one.frames() == two.frames() == ["websocket.accept"]
    for message in range(messages):
        await one.send({"type": "websocket.receive", "text": str(message)})
        await settled(horizon=None if message % 2 else 0)
        assert sorted(one.frames()) == ["answer", "spawned", "told"]
        assert two.frames() == ["told"]
        await settled()
        assert one.frames() == two.frames() == []
    for client in (one, two):
        await client.send({"type": "websocket.disconnect", "code": 1000})
    await settled()
    for client in (one, two):
        assert client.task.done()
        await client.task
