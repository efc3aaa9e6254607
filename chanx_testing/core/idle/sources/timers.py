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
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from chanx_testing.core.idle.describe import caller_place
from chanx_testing.core.idle.sources.parked import (
    guards,
    is_wait_for_timer,
    task_of_timeout,
)

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
        guarded: The task that it would cancel, if that is all it does.
        guarding: The task whose ``wait_for`` it would end, on Python 3.11.
    """

    __slots__ = ("_handle", "guarded", "guarding", "in_background", "place", "when")

    def __init__(
        self, handle: asyncio.TimerHandle, when: float, callback: object
    ) -> None:
        # Weak: what a timer would call must not live longer because it is noted here.
        self._handle = weakref.ref(handle)
        self.when = when
        self.place = caller_place(sys._getframe(2))
        self.in_background = _in_background.get() or _is_background_task()
        # Weak: a cancelled timer stays in the heap for a while, and must not keep a
        # finished task in memory.
        self.guarded: weakref.ref[asyncio.Task[Any]] | None = None
        self.guarding: weakref.ref[asyncio.Task[Any]] | None = None
        if (task := task_of_timeout(callback)) is not None:
            self.guarded = weakref.ref(task)
        elif is_wait_for_timer(callback):
            current = asyncio.current_task()
            self.guarding = None if current is None else weakref.ref(current)

    @property
    def handle(self) -> asyncio.TimerHandle | None:
        """What ``call_at`` returned; None when asyncio has forgotten it."""
        return self._handle()

    @property
    def is_live(self) -> bool:
        """Whether it may still fire."""
        handle = self._handle()
        return handle is not None and not handle.cancelled()

    def is_own_limit_of(self, task: "asyncio.Task[Any] | None") -> bool:
        """Return whether all it does is to end what ``task`` waits for.

        Otherwise a test that puts ``asyncio.timeout(5)`` around a wait would have to
        wait five seconds for every proof.
        """
        if task is None:
            return False
        if self.guarded is not None:
            limited = self.guarded()
            return limited is task or (limited is not None and guards(limited, task))
        if self.guarding is not None:
            outer = self.guarding()
            return outer is not None and guards(outer, task, self.handle)
        return False


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

    def next(self, task: "asyncio.Task[Any] | None") -> Timer | None:
        """Return the earliest live timer that counts for a wait in ``task``."""
        if not self._heap:
            return None
        # Nearly always the first one counts; otherwise all are looked at, as a heap is
        # not sorted.
        first = self._heap[0][2]
        if self._counts(first, task):
            return first
        live = [entry for entry in self._heap if self._counts(entry[2], task)]
        return min(live)[2] if live else None

    def _counts(self, timer: Timer, task: "asyncio.Task[Any] | None") -> bool:
        return timer.is_live and not (
            timer.in_background or timer.is_own_limit_of(task)
        )
