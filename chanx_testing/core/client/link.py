"""How far a connection has come, and what its two ends tell each other of it."""

import asyncio
from dataclasses import dataclass
from typing import Final

from chanx_testing.core.client.frame_queue import AsgiMessage, FrameQueue
from chanx_testing.core.client.rules import Rules

UNREAD_FRAMES: Final = 1000
"""After so many frames that nobody has taken an application lets others run."""


@dataclass(frozen=True)
class Closed:
    """How the application closed the connection.

    Attributes:
        code: The close code; 1000 where the application gave none.
        reason: The close reason, empty where none was given.
        accepted: False where the handshake was refused.
        messages: The ASGI messages that came before the close and were not received.
    """

    code: int
    reason: str = ""
    accepted: bool = True
    messages: tuple[AsgiMessage, ...] = ()

    def __str__(self) -> str:
        """Return it as the end of a sentence that begins with "the connection was"."""
        verb = "closed" if self.accepted else "rejected"
        reason = f" ({self.reason!r})" if self.reason else ""
        return f"{verb} by the application with code {self.code}{reason}"


@dataclass
class Link:
    """How far the connection has come."""

    opened: bool = False
    """The client sent its handshake."""
    accepted: bool = False
    """The application accepted it."""
    closed: Closed | None = None
    """The application closed the connection."""
    left: int | None = None
    """The client left, with this code."""
    told: bool = False
    """The application was told of the end."""


def disconnect_event(code: int, reason: str) -> AsgiMessage:
    """Return what an application is told when its connection has ended."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def end_was_read(link: Link, queue: "asyncio.Queue[AsgiMessage]") -> bool:
    """Return whether the application knows that its connection has ended.

    The queue itself is a plain one: a failure names what the application waits in, and
    a class of this package is not what anybody looks for there.
    """
    return link.told and queue.empty()


async def send_by_rules(rules: Rules, queue: FrameQueue, message: AsgiMessage) -> None:
    """Be the ``send`` of an application.

    Raises:
        ProtocolError: The application may not send that, or not now.
    """
    rules.check(message)
    await queue.put(message)
    # A server makes an application wait whose client does not read. Here it must at
    # least let the test run, which could not even end it otherwise.
    if queue.qsize() % UNREAD_FRAMES == 0:
        await asyncio.sleep(0)
