"""The timers of a loop, and whose they are.

asyncio keeps its timers to itself, so they are noted in ``call_at``: when each fires,
what it calls and where it was set. A timer has fired if it is earlier than the earliest
one that asyncio still waits for.
"""

import asyncio
import heapq
import itertools
import sys
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from chanx_testing.core.idle.describe import caller_place
from chanx_testing.core.idle.sources.limits import Wait, limit_of

_in_background: ContextVar[bool] = ContextVar("chanx_testing_background", default=False)

_background_tasks: "weakref.WeakSet[asyncio.Task[Any]]" = weakref.WeakSet()

# asyncio gives the time until a timer, when - now. That plus now is not exactly `when`,
# but differs from it by some units in the last place.
_TOLERANCE = 1e-9


@contextmanager
def background() -> Iterator[None]:
    """Leave the timers that are set inside out of every proof.

    For heartbeats and other work that repeats forever. It follows the context: timers
    of tasks that are created inside are left out too, wherever they are set.
    """
    token = _in_background.set(True)
    try:
        yield
    finally:
        _in_background.reset(token)


def put_in_background(task: "asyncio.Task[Any]") -> None:
    """Leave the timers that a task sets from now on out of every proof.

    For a task that was created before it was known to be background work.
    """
    _background_tasks.add(task)


def _is_background_task() -> bool:
    if not _background_tasks:
        return False
    try:
        return asyncio.current_task() in _background_tasks
    except RuntimeError:
        return False  # the loop does not run yet


class Timer:
    """One call of ``call_at``.

    Attributes:
        when: The moment at which it fires, in seconds of the loop's clock.
        place: Where it was set.
        in_background: Whether it was set in :func:`background`.
        limit: What it would do, where it only cancels.
    """

    __slots__ = ("_handle", "in_background", "limit", "place", "when")

    def __init__(
        self, handle: asyncio.TimerHandle, when: float, callback: object
    ) -> None:
        # Weak: what a timer would call must not live longer because it is noted here.
        self._handle = weakref.ref(handle)
        self.when = when
        self.place = caller_place(sys._getframe(2))
        self.in_background = _in_background.get() or _is_background_task()
        self.limit = limit_of(callback)

    @property
    def is_live(self) -> bool:
        """Whether it will fire, and does not belong to background work."""
        handle = self._handle()
        return not (handle is None or handle.cancelled() or self.in_background)

    def waits_ended(self, waits: Collection[Wait]) -> "set[asyncio.Future[Any]]":
        """Return the futures of the waits that it ends, if it does nothing else."""
        handle = self._handle()
        if self.limit is None or handle is None:
            return set()
        return self.limit.waits_ended(waits, handle)

    def is_event(self, waits: Collection[Wait]) -> bool:
        """Return whether it may bring something that a wait would miss."""
        return self.is_live and not self.waits_ended(waits)


class Timers:
    """The timers of one loop that have not fired."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._limit = 128

    def add(self, handle: asyncio.TimerHandle, callback: object) -> None:
        """Note a timer, in the thread and context that set it."""
        if len(self._heap) > self._limit:
            # A test that cancels thousands of far timers must not keep them all.
            self._heap = [entry for entry in self._heap if entry[2].is_live]
            heapq.heapify(self._heap)
            self._limit = max(128, 2 * len(self._heap))
        when = handle.when()
        timer = Timer(handle, when, callback)
        heapq.heappush(self._heap, (when, next(self._numbers), timer))

    def forget_before(self, due: float | None) -> None:
        """Drop the timers that have fired.

        Args:
            due: The moment of the earliest timer that the loop still waits for; None if
                it waits for none.
        """
        heap = self._heap
        if due is None:
            heap.clear()
            return
        while heap and (heap[0][0] < due - _TOLERANCE or not heap[0][2].is_live):
            heapq.heappop(heap)

    def next(self, waits: Collection[Wait]) -> Timer | None:
        """Return the earliest live timer that does more than to end waits.

        Args:
            waits: All waits of the loop.
        """
        if not self._heap:
            return None
        # Nearly always the first one counts; otherwise all are looked at, as a heap is
        # not sorted.
        first = self._heap[0][2]
        if first.is_event(waits):
            return first
        events = [entry for entry in self._heap if entry[2].is_event(waits)]
        return min(events)[2] if events else None

    def limits(self, waits: Collection[Wait]) -> "dict[asyncio.Future[Any], float]":
        """Return when a limit ends each wait, for the waits that have one.

        Args:
            waits: All waits of the loop.
        """
        found: dict[asyncio.Future[Any], float] = {}
        for when, _, timer in self._heap:
            if timer.limit is not None and timer.is_live:
                for future in timer.waits_ended(waits):
                    found[future] = min(when, found.get(future, when))
        return found
