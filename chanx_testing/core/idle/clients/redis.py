"""What a task that reads from a connection of redis.asyncio waits for, in words.

Its connections are asyncio's streams, see ``streams``: who waits is known from there.
"""

from collections.abc import Iterable
from types import FrameType

_PACKAGE = "redis.asyncio."


def purpose(frames: Iterable[FrameType]) -> str | None:
    """Return what a task waits for.

    Args:
        frames: Its frames, the outermost first.

    Returns:
        A part of a sentence; None where no frame is redis.asyncio's.
    """
    found = None
    for frame in frames:
        receiver = type(frame.f_locals.get("self"))
        if receiver.__module__.startswith(_PACKAGE):
            if receiver.__qualname__ == "PubSub":
                return "a pub/sub listener of redis"
            found = "an answer of redis"
    return found
