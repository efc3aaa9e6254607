"""The frames that an application sent and the test has not taken yet."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from chanx_testing.core.observe.reports import ticks

if TYPE_CHECKING:
    from chanx_testing.core.client.application import HandlerFailure

AsgiMessage = dict[str, Any]


class Frame:
    """One ASGI message of the application, with its place in the order of the test.

    Attributes:
        message: The message itself, as the application sent it.
        tick: Its number in :data:`chanx_testing.core.observe.reports.ticks`.
        failure: What went wrong in a handler, where this frame tells the client of it.
    """

    def __init__(self, message: AsgiMessage) -> None:
        self.message = message
        self.tick = ticks.next()
        self.failure: HandlerFailure | None = None

    @property
    def type(self) -> str:
        """The ASGI type, for example ``websocket.send``."""
        return str(self.message.get("type"))

    @cached_property
    def content(self) -> Any:
        """The decoded JSON of a text frame; None for everything else."""
        text = self.message.get("text") if self.type == "websocket.send" else None
        if not isinstance(text, str):
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None

    def action(self, key: str) -> Any:
        """Return the value of ``key`` where the frame is a JSON object, else None."""
        return self.content.get(key) if isinstance(self.content, dict) else None


class FrameQueue(asyncio.Queue[AsgiMessage]):
    """An ``asyncio.Queue`` of ASGI messages that can be looked at without taking.

    It replaces the three methods that ``asyncio.Queue`` keeps for subclasses, as
    ``asyncio.PriorityQueue`` does. Whoever takes a frame, through a verb of the
    communicator or straight from here, has received it.

    Args:
        on_put: Called with each frame that comes.
        on_get: Called with each frame that is taken.
    """

    def __init__(
        self, on_put: Callable[[Frame], None], on_get: Callable[[Frame], None]
    ) -> None:
        self._on_put = on_put
        self._on_get = on_get
        super().__init__()

    def _init(self, maxsize: int) -> None:
        self._queue: deque[Frame] = deque()

    def _put(self, item: AsgiMessage) -> None:
        frame = Frame(item)
        self._queue.append(frame)
        self._on_put(frame)

    def _get(self) -> AsgiMessage:
        frame = self._queue.popleft()
        self._on_get(frame)
        return frame.message

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What waits to be taken, oldest first."""
        return tuple(self._queue)

    @property
    def head(self) -> Frame | None:
        """The frame that is taken next, or None."""
        return self._queue[0] if self._queue else None
