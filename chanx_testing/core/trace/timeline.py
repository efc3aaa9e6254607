"""The order of what happens in one test, and the numbers of its connections.

A completion signal does not say on the wire what it completes. Whether it answers what
the test did last is known from its place in this order, in which what the test does (it
sends a frame, it broadcasts something) and the frames that come are numbered in turn.
"""

import asyncio
import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import CodeType
from typing import Protocol

# One count for the process: a number says nothing but what came later, also where a
# connection outlives the test that it was made in.
_numbers = itertools.count(1)
# The last act of the tests that have ended. A connection may be older than the test
# that uses it, and with it the frames that are there.
_last_act_before = 0


def next_number() -> int:
    """Return the next number of the order; what comes later has a larger one."""
    return next(_numbers)


class Ending(Protocol):
    """What the end of a test looks at."""

    def end(
        self,
        headline: BaseException | None,
        test: str,
        code: CodeType | None,
        *,
        last: bool,
    ) -> None:
        """Fail the test with what nobody has seen; no loop of it runs now.

        Args:
            headline: What the test has failed with. It gets a note on each instead.
            test: The name of the test.
            code: The code of the test, where it is known.
            last: Whether nothing of the test runs any more.

        Raises:
            BaseException: What was found, if the test has not failed.
        """

    def close(self) -> None:
        """Look at nothing more."""


class Timeline:
    """The order of one test, as far as it is the test's own.

    Attributes:
        last_act: The number of the last act of the test, or of a test before it.
        ending: What the end of the test looks at; None where it has used no connection.
    """

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.last_act = _last_act_before
        self._connections = itertools.count(1)

    def test_acted(self) -> int:
        """Note that the test acts on an application now; return the number."""
        self.last_act = next_number()
        return self.last_act

    def number_connection(self) -> int:
        """Return the number of a new connection of this test, from 1."""
        return next(self._connections)


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
    global _last_act_before
    timeline = Timeline()
    _running.append(timeline)
    token = _current.set(timeline)
    try:
        yield timeline
    finally:
        _current.reset(token)
        _running.remove(timeline)
        _last_act_before = max(_last_act_before, timeline.last_act)
        if timeline.ending is not None:
            timeline.ending.close()


def running_timeline() -> Timeline | None:
    """Return the timeline of the test that this code certainly belongs to, or None.

    The context says it, unless it is older than the test: a loop that serves several
    tests runs in the context of the first. Then the one test that runs is meant.
    """
    timeline = _current.get()
    if timeline is not None and timeline in _running:
        return timeline
    return _running[0] if len(_running) == 1 else None


def running_timelines() -> tuple[Timeline, ...]:
    """Return the timelines of all tests that run now, as their runners say."""
    return tuple(_running)


def timeline_here() -> Timeline:
    """Return the timeline of the test that this code belongs to, a new one if need be.

    Where no runner has begun one, the connections of one event loop share one.
    """
    if (timeline := running_timeline()) is not None:
        return timeline
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return Timeline()
    timeline = _by_loop.get(loop)
    if timeline is None:
        timeline = _by_loop[loop] = Timeline()
    return timeline
