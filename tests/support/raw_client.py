"""The smallest client there is: a task that runs an application, and two queues.

It knows nothing of what it tests. Unlike a server it answers no pings, drops nothing,
and lets an application send after it has closed.
"""

import asyncio
import json
import math
from typing import Any

from chanx_testing.core.observe import reports


class Watcher:
    """Remembers what the application reports."""

    def __init__(self) -> None:
        self.failures: list[tuple[Exception, str]] = []
        self.sent: list[reports.Broadcast] = []
        self.received: list[int] = []

    def handler_failed(self, error: Exception, doing: str) -> None:
        self.failures.append((error, doing))

    def broadcast_sent(self, broadcast: reports.Broadcast) -> None:
        self.sent.append(broadcast)

    def broadcast_received(self, broadcast_id: int) -> None:
        self.received.append(broadcast_id)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def finite_float(digits: str) -> float:
    number = float(digits)
    assert math.isfinite(number), digits
    return number


class Client:
    """One connection to ``consumer``; use it with ``async with``."""

    def __init__(self, consumer: Any, **scope: Any) -> None:
        self.application = consumer.as_asgi()
        self.scope = {"type": "websocket", "path": "/ws/", **scope}
        self.watcher = Watcher()
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        reports.watcher.set(self.watcher)
        await self.application(self.scope, self.inbox.get, self.outbox.put)

    async def start(self) -> dict[str, Any]:
        """Send the handshake and return the answer to it."""
        self.task = asyncio.create_task(self.run())
        await self.inbox.put({"type": "websocket.connect"})
        return await self.event()

    async def event(self) -> dict[str, Any]:
        """Return what comes next, or raise what ended the application."""
        getter = asyncio.create_task(self.outbox.get())
        async with asyncio.timeout(5):
            await asyncio.wait({getter, self.task}, return_when="FIRST_COMPLETED")
        if getter.done():
            return getter.result()
        getter.cancel()
        self.task.result()
        raise AssertionError("The application ended and sent nothing.")

    async def frame(self) -> Any:
        """Return the content of the next frame, as strictly as a browser reads it."""
        event = await self.event()
        assert event["type"] == "websocket.send", event
        content = json.loads(
            event["text"], parse_constant=refuse, parse_float=finite_float
        )
        json.dumps(content, ensure_ascii=False).encode()
        return content

    async def until(self, action: str, key: str = "action") -> list[Any]:
        """Return the frames before the first one with ``action``, and drop that one."""
        frames = []
        while (frame := await self.frame())[key] != action:
            frames.append(frame)
        return frames

    async def send(self, content: Any) -> None:
        """Send text as it is, bytes as a binary frame, anything else as JSON."""
        event = {"type": "websocket.receive"}
        if isinstance(content, bytes):
            await self.inbox.put({**event, "bytes": content})
        else:
            text = content if isinstance(content, str) else json.dumps(content)
            await self.inbox.put({**event, "text": text})

    async def ask(self, content: Any) -> list[Any]:
        """Send one frame and return what comes before its completion."""
        await self.send(content)
        return await self.until("complete")

    async def stop(self, code: int = 1000) -> None:
        """Disconnect, and raise what the application raises."""
        await self.inbox.put({"type": "websocket.disconnect", "code": code})
        async with asyncio.timeout(5):
            await self.task

    async def __aenter__(self) -> "Client":
        accepted = await self.start()
        assert accepted["type"] == "websocket.accept", accepted
        return self

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        if error is None and not self.task.done():
            await self.stop()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
