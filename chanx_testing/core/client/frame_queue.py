"""The frames that the test has not taken yet, and the wait for more.

Every verb that waits for something waits here: for a frame, for the end of the
application, or for the verdict that neither can come.
"""

import asyncio
import bisect
import json
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Any, Final

from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.idle import Verdict, VerdictKind
from chanx_testing.core.idle.waiting import wait
from chanx_testing.core.trace.timeline import next_number

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

AsgiMessage = dict[str, Any]

_SENDING = ("the application sends one frame after the other",)
NEVER_STOPS_SENDING: Final = Verdict(VerdictKind.DEADLINE, _SENDING, _SENDING)
"""The verdict on an application that never stops sending."""


class Frame:
    """One ASGI message of the application, with its place in the order of the test.

    Attributes:
        message: The message itself, as the application sent it.
        number: Its place, see :class:`~chanx_testing.core.trace.timeline.Timeline`.
        reported: Whether the consumer says beside the wire what it does. If not, the
            two below say nothing.
        handling: What the consumer was handling when it sent the frame; None where it
            was handling nothing.
        signal: Whether it is a completion signal.
    """

    def __init__(self, message: AsgiMessage, number: int) -> None:
        self.message = message
        self.number = number
        self.reported = False
        self.handling: object | None = None
        self.signal = False

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
        """Return the value of ``key`` in a frame that is a JSON object, or None."""
        return self.content.get(key) if isinstance(self.content, dict) else None


class _Taker:
    """A verb that waits for a frame in order to take it.

    Attributes:
        future: Completed when there is something to look at.
        asked: The verb's place in the order of the test.
        wants: Returns whether it takes a frame; None where it takes any.
        promised: Whether a frame is kept for it: it was woken and has not run yet.
    """

    __slots__ = ("asked", "future", "promised", "wants")

    def __init__(
        self,
        future: "asyncio.Future[None]",
        asked: int,
        wants: Callable[[Frame], bool] | None,
    ) -> None:
        self.future = future
        self.asked = asked
        self.wants = wants
        self.promised = False


def _place(taker: _Taker) -> int:
    return taker.asked


def _nobody(frame: Frame) -> None:
    pass


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class FrameQueue(asyncio.Queue[AsgiMessage]):
    """An ``asyncio.Queue`` of ASGI messages that can be looked at without taking.

    It replaces the three methods that ``asyncio.Queue`` keeps for subclasses, as
    ``asyncio.PriorityQueue`` does. Whoever takes a frame, through a verb of the
    communicator or directly from here, has received it.

    Several verbs may wait at once. Frames go to them in the order in which they asked:
    a frame that comes is promised to the one that asked first, which is woken, and no
    other verb is given that frame until it has run. A woken verb runs only in a later
    step of the loop: without the promise, a verb that asks in between would take the
    frame, and the one that asked first would wait on. (Who calls :meth:`get` directly
    stands outside this order.)

    Args:
        on_put: Called with each frame that comes, before a verb runs that was woken.
        on_get: Called with each frame that is taken.
    """

    def __init__(
        self, on_put: Callable[[Frame], None], on_get: Callable[[Frame], None]
    ) -> None:
        self._on_put = on_put
        self._on_get = on_get
        # Verbs that only look, and those that take, in the order in which they asked.
        self._onlookers: set[asyncio.Future[None]] = set()
        self._takers: list[_Taker] = []
        # How many frames are kept for takers that were woken and have not run yet.
        self._promised = 0
        super().__init__()

    def _init(self, maxsize: int) -> None:
        self._queue: deque[Frame] = deque()

    def _put(self, item: AsgiMessage) -> None:
        frame = Frame(item, next_number())
        self._queue.append(frame)
        if self._takers:
            self._promise()
        for onlooker in self._onlookers:
            _wake(onlooker)
        self._on_put(frame)

    def _get(self) -> AsgiMessage:
        frame = self._queue.popleft()
        self._on_get(frame)
        return frame.message

    def forget_owner(self) -> None:
        """Call nobody any more: whoever owns the queue is about to go.

        The owner and the queue hold each other. Without this it would take a garbage
        collection to be rid of both.
        """
        self._on_put = self._on_get = _nobody

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames that are to be taken, oldest first."""
        return tuple(self._queue)

    @property
    def free(self) -> Frame | None:
        """The frame that a verb which asks now may take, or None.

        It is None also where every frame is kept for a verb that asked earlier.
        """
        return self._queue[0] if len(self._queue) > self._promised else None

    def bring_forward(self, frame: Frame) -> None:
        """Put a frame before the others, for the verb that takes it in its next step.

        Whoever collects the answers to one message leaves the others where they are.
        """
        if self._queue[0] is not frame:
            self._queue.remove(frame)
            self._queue.appendleft(frame)

    def _promise(self) -> None:
        """Keep the frames that are free for the verbs that wait, first come first."""
        free = len(self._queue) - self._promised
        for taker in self._takers:
            if free <= 0:
                return
            if not taker.future.done() and (
                taker.wants is None or any(map(taker.wants, self._queue))
            ):
                taker.promised = True
                self._promised += 1
                free -= 1
                _wake(taker.future)

    def wake_all(self) -> None:
        """Have every verb that waits look again: no more frames may come."""
        for onlooker in self._onlookers:
            _wake(onlooker)
        for taker in self._takers:
            _wake(taker.future)

    # The wait. Nowhere else in this package does a verb wait for an application.

    async def change(self, deadline: Deadline) -> Verdict | None:
        """Wait until there is something new to look at, for a verb that takes nothing.

        Returns:
            None where a frame has come or the application has ended, otherwise the
            verdict on why neither did.
        """
        onlooker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._onlookers.add(onlooker)
        try:
            verdict = await wait(onlooker, deadline.remaining())
        finally:
            self._onlookers.discard(onlooker)
            over = deadline.look()
        # Each frame ends a wait before its verdict, so an application that never stops
        # sending would keep the verb that calls this forever.
        return NEVER_STOPS_SENDING if verdict is None and over else verdict

    async def arrival(
        self, deadline: Deadline, wants: Callable[[Frame], bool] | None = None
    ) -> Verdict | None:
        """Wait for the next frame, for a verb that takes it in its next step.

        Args:
            deadline: That of the verb.
            wants: Returns whether the verb takes a frame; None: it takes any.

        Returns:
            What :meth:`change` returns. The verb has to look again even then: the
            application may have ended, or the frame may have been taken directly from
            the queue.
        """
        loop = asyncio.get_running_loop()
        taker = _Taker(loop.create_future(), deadline.asked, wants)
        # A verb keeps its place while it takes many frames. So one that waits for its
        # second frame stands before verbs that asked after its first.
        bisect.insort(self._takers, taker, key=_place)
        try:
            verdict = await wait(taker.future, deadline.remaining())
        except BaseException:
            self._leave(taker)
            # Its frame is for the next verb, before one that asks only now can take it.
            # (A loop that is closed wakes nobody; its coroutines end when collected.)
            if not loop.is_closed():
                self._promise()
            raise
        self._leave(taker)
        over = deadline.look()
        if verdict is not None:
            self._promise()
        elif self._takers:
            # The verb takes its frame as soon as it returns from here, before the
            # callback. If it leaves the frame, that is for the next verb, which would
            # otherwise wait with a frame in the queue.
            loop.call_soon(self._promise)
        return NEVER_STOPS_SENDING if verdict is None and over else verdict

    def _leave(self, taker: _Taker) -> None:
        self._takers.remove(taker)
        self._promised -= taker.promised

    def in_time(self, frame: Frame, deadline: Deadline) -> bool:
        """Return whether a frame came before a verb's time was over.

        A verb that takes many frames leaves one that came later to the next verb:
        otherwise it would never end where an application never stops sending.
        """
        return not deadline.was_over_at(frame.number)
