"""The order of what happens in one test, and the numbers of its connections.

A completion signal does not say on the wire what it completes. Whether it answers what
the test did last is known from its place in this order, in which what the test does (it
sends a frame, it broadcasts something) and the frames that come are numbered in turn.
"""

import asyncio
import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar


class Timeline:
    """The order of one test: acts of the test, frames that come, limits that pass.

    Attributes:
        last_act: The number of the last act of the test; 0 before the first.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._connections = itertools.count(1)
        self.last_act = 0

    def next(self) -> int:
        """Return the next number; what comes later has a larger one."""
        return next(self._numbers)

    def test_acted(self) -> int:
        """Note that the test acts on an application now; return the number."""
        self.last_act = self.next()
        return self.last_act

    def number_connection(self) -> int:
        """Return the number of a new connection of this test, from 1."""
        return next(self._connections)


class TimelineOfFirstUse:
    """The timeline of the test that first uses it.

    A connection may be made before there is a test, or a loop, that it belongs to.
    """

    def __init__(self) -> None:
        self._timeline: Timeline | None = None

    def get(self) -> Timeline:
        """Return the timeline: :func:`timeline_here`, at the first call."""
        if self._timeline is None:
            self._timeline = timeline_here()
        return self._timeline


_current: ContextVar[Timeline | None] = ContextVar(
    "chanx_testing_timeline", default=None
)
# The timelines of the tests that run now, each begun by its runner.
_running: list[Timeline] = []
# Where no runner says where a test begins, its loop is taken for the test.
_by_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Timeline]" = (
    weakref.WeakKeyDictionary()
)


@contextmanager
def timeline_of_test() -> Iterator[Timeline]:
    """Begin a timeline for the test that runs in the block.

    Yields:
        The timeline; :func:`timeline_here` returns it inside.
    """
    timeline = Timeline()
    _running.append(timeline)
    token = _current.set(timeline)
    try:
        yield timeline
    finally:
        _current.reset(token)
        _running.remove(timeline)


def known_timeline() -> Timeline | None:
    """Return the timeline that this code certainly belongs to, or None.

    It is that of the context, unless the context is older than the test: a loop that
    serves several tests runs in the context of the first. Then it is that of the one
    test that runs, and where several run (in threads of one process), that of the loop.
    """
    timeline = _current.get()
    if timeline is not None and any(timeline is running for running in _running):
        return timeline
    if len(_running) == 1:
        return _running[0]
    try:
        return _by_loop.get(asyncio.get_running_loop())
    except RuntimeError:
        return None


def timeline_here() -> Timeline:
    """Return the timeline of the test that this code belongs to, or begin one.

    Where no runner has begun one, the connections of one event loop share one.
    """
    if (timeline := known_timeline()) is not None:
        return timeline
    timeline = Timeline()
    # Where there is no loop, nothing is connected yet.
    with suppress(RuntimeError):
        _by_loop[asyncio.get_running_loop()] = timeline
    return timeline
