"""Event loops of other threads: each is at rest or it is not, and that can be read.

A thread that runs an asyncio loop sleeps in the ``select`` of that loop. What it has in
hand is what the loop has: callbacks that are ready, which is where a coroutine or a
call from another thread arrives, timers, and descriptors.
"""

import asyncio
import os
import selectors
import weakref
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from chanx_testing.core.idle.clock import Clock
from chanx_testing.core.idle.sources.parked import RUN_ONCE, ready_callbacks

# Where a thread is that sleeps in a loop's select: in the standard library's selector,
# called by an observed loop's monitor or by asyncio itself.
_SELECTING = ("selectors", "chanx_testing.core.idle.")

Descriptor = tuple[int, int, int]


@runtime_checkable
class Observed(Protocol):
    """The monitor of a loop that can be asked more than asyncio says."""

    def acts_before(
        self, until: float, rank: int, trusted: frozenset[Descriptor]
    ) -> str | None:
        """Return what the loop, in whose select its thread sleeps, may do.

        Args:
            until: Up to when, in monotonic seconds.
            rank: Tells two loops apart whose waits end at the same moment.
            trusted: The descriptors that do not count.
        """


def is_observed(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether more is known of a loop than asyncio says."""
    return _monitor(loop) is not None


def _monitor(loop: asyncio.AbstractEventLoop) -> Observed | None:
    monitor = getattr(loop, "monitor", None)
    return monitor if isinstance(monitor, Observed) else None


def sleeping_loop(frame: FrameType) -> asyncio.AbstractEventLoop | None:
    """Return the loop in whose ``select`` a thread is, if it is in one.

    Args:
        frame: The innermost frame of the thread.
    """
    link: FrameType | None = frame
    for _ in range(6):
        if link is None or RUN_ONCE is None:
            return None
        if link.f_code is RUN_ONCE:
            loop = link.f_locals.get("self")
            inside = link is not frame
            return loop if inside and isinstance(loop, asyncio.BaseEventLoop) else None
        if not str(link.f_globals.get("__name__")).startswith(_SELECTING):
            return None
        link = link.f_back
    return None


def watched_descriptors(frame: FrameType) -> frozenset[Descriptor]:
    """Return what the loop watches in whose select a thread is; else nothing."""
    loop = sleeping_loop(frame)
    return frozenset() if loop is None else frozenset(map(identify, _keys(loop)))


TaskPlace = tuple["weakref.ref[asyncio.Task[Any]]", tuple[tuple[int, int], ...]]
"""A task, and where it waits: each coroutine on the way there, with its instruction.

The task itself, held weakly: a later one may have a coroutine of the same identity.
"""


def waiting_tasks(frame: FrameType) -> frozenset[TaskPlace]:
    """Return where the tasks wait of the loop in whose select a thread is.

    A task that a loop was handed, or one of its own that has been woken and waits
    elsewhere, waits for something that it was not waiting for before.
    """
    loop = sleeping_loop(frame)
    return frozenset() if loop is None else tasks_of(loop)


def tasks_of(loop: asyncio.AbstractEventLoop) -> frozenset[TaskPlace]:
    """Return where the tasks of a loop wait that is at rest."""
    return frozenset(_place_of(task) for task in asyncio.all_tasks(loop))


def _place_of(task: "asyncio.Task[Any]") -> TaskPlace:
    place: list[tuple[int, int]] = []
    link: Any = task.get_coro()
    while link is not None and len(place) < 100:
        inner = getattr(link, "cr_frame", None) or getattr(link, "gi_frame", None)
        place.append((id(link), -1 if inner is None else inner.f_lasti))
        link = getattr(link, "cr_await", None) or getattr(link, "gi_yieldfrom", None)
    return weakref.ref(task), tuple(place)


def identify(key: selectors.SelectorKey) -> Descriptor:
    """Return what a watched descriptor stands for: its number and its file."""
    try:
        status = os.fstat(key.fd)
    except OSError:
        return key.fd, 0, 0
    return key.fd, status.st_dev, status.st_ino


def may_act(
    loop: asyncio.AbstractEventLoop,
    until: float,
    rank: int,
    trusted: frozenset[Descriptor],
) -> str | None:
    """Return what a loop may do, in whose select a thread is; None for nothing.

    Args:
        loop: The loop.
        until: Up to when, in monotonic seconds.
        rank: Tells two observed loops apart whose waits end at the same moment.
        trusted: The descriptors that it has watched since before the test.
    """
    if ready_callbacks(loop) != 0:
        # Also where it cannot be read.
        return "its event loop has callbacks to run"
    monitor = _monitor(loop)
    if monitor is not None:
        return monitor.acts_before(until, rank, trusted)
    when = _next_timer(loop)
    if when is None or when <= until:
        return "its event loop has a timer"
    own = getattr(getattr(loop, "_ssock", None), "fileno", int)()
    for key in _keys(loop):
        if key.fd != own and identify(key) not in trusted:
            return f"its event loop watches descriptor {key.fd}"
    return None


def _next_timer(loop: asyncio.AbstractEventLoop) -> float | None:
    """Return when the next timer of a loop is due, on our clock; None if unknown."""
    scheduled: Any = getattr(loop, "_scheduled", None)
    if not isinstance(scheduled, list):
        return None
    live = [handle.when() for handle in scheduled if not handle.cancelled()]
    if not live:
        return float("inf")
    # The clocks of two loops may differ, where one of them is a tool's.
    return float(min(live) - loop.time() + Clock.now())


def _keys(loop: asyncio.AbstractEventLoop) -> list[selectors.SelectorKey]:
    selector: Any = getattr(loop, "_selector", None)
    mapping = selector.get_map() if hasattr(selector, "get_map") else None
    return [] if mapping is None else list(mapping.values())
