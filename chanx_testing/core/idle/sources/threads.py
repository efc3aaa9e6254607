"""Which threads could still do something to a loop."""

import sys
import threading
import weakref
from types import FrameType
from typing import ClassVar, Final

from chanx_testing.core.idle.describe import describe_stack
from chanx_testing.core.idle.sources import garbage, submissions
from chanx_testing.core.idle.sources.jobs import Jobs
from chanx_testing.core.idle.sources.parked import NotAPoolThread, is_parked, pool_job

# Threads that ever woke an observed loop may do so again: remembered while they live,
# by ident. Idents are used again by later threads.
feeders: Final[set[int]] = set()
_marks = threading.local()


class _Mark:
    """Dies with the thread whose local storage holds it."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        feeders.add(self._ident)

    def __del__(self, _feeders: set[int] = feeders) -> None:
        _feeders.discard(self._ident)


def feeds() -> None:
    """Note that the calling thread reaches into an observed loop."""
    if not hasattr(_marks, "mark") and not garbage.collector.is_collecting():
        _marks.mark = _Mark()


class Threads:
    """The threads around one loop, counted from the loop's creation; a source.

    A thread that was busy before that, and never feeds a loop, is an outsider: it has
    its own business. Parked threads are not: a pool's thread waits for anybody's job.

    Args:
        jobs: The jobs that the loop itself has given to threads.
    """

    # Threads do not say when they park.
    wakes_the_loop: ClassVar[bool] = False
    is_outside: ClassVar[bool] = False

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._creator = threading.get_ident()
        self._outsiders: dict[int, weakref.ref[threading.Thread]] = {}
        # Threads that `threading` does not know, as execnet has them (pytest-xdist):
        # recognised by their outermost frames.
        self._nameless: dict[int, FrameType] = {}
        frames = sys._current_frames()
        # A frame that holds itself would keep its callers, and the loop, alive.
        del frames[self._creator]
        for thread in threading.enumerate():
            ident = thread.ident
            if ident is None or ident == self._creator:
                continue
            frame = frames.get(ident)
            if frame is not None and not is_parked(frame):
                self._outsiders[ident] = weakref.ref(thread)
        known = {thread.ident for thread in threading.enumerate()}
        for ident, frame in frames.items():
            if ident not in known and not is_parked(frame):
                self._nameless[ident] = _outermost(frame)

    def is_open(self) -> bool:
        """Return whether a thread could still do something to the loop."""
        return bool(self._busy(strict=False))

    def may_end_a_deadlock(self) -> bool:
        """Return whether one could that has its own business, too."""
        return bool(self._busy(strict=True))

    def phrases(self) -> list[str]:
        """Return every thread that is not parked, with the place where it is.

        None while a job runs: that is the job's thread, and the jobs name it already.
        """
        return [] if self._jobs.is_open() else self._busy(strict=False)

    def _busy(self, *, strict: bool) -> list[str]:
        """Return the threads that are not parked.

        Args:
            strict: Count outsiders too, except for those that are known to run tests.
        """
        owner = threading.get_ident()
        before = submissions.mark()
        # One snapshot: a thread parked in it, and still in that same wait when it is
        # looked at below, was parked at the moment of the snapshot together with all
        # the others, so none of them can have woken another.
        frames = sys._current_frames()
        frames.pop(owner, None)
        suspects: list[tuple[int, FrameType]] = []
        for ident, frame in frames.items():
            if is_parked(frame):
                # It waits to be fed, so from now on what feeds it counts.
                self._outsiders.pop(ident, None)
                self._nameless.pop(ident, None)
            elif not self._is_outsider(ident, frame) or (
                strict and not _is_bystander(frame)
            ):
                suspects.append((ident, frame))
        # A thread in the middle of starting has no frame yet.
        starting = [
            thread
            for thread in threading.enumerate()
            if thread.ident not in frames and thread.ident != owner
        ]
        reasons: list[str] = []
        if suspects:
            names = {thread.ident: thread.name for thread in threading.enumerate()}
            reasons += [
                f"thread {names.get(ident, ident)} at {describe_stack(frame)}"
                for ident, frame in suspects
            ]
        reasons += [f"thread {thread.name} starting" for thread in starting]
        if not reasons and (before is None or submissions.mark() != before):
            reasons.append("a job waits for a thread of its pool")
        return reasons

    def _is_outsider(self, ident: int, frame: FrameType) -> bool:
        if ident in feeders:
            return False
        if (root := self._nameless.get(ident)) is not None:
            return _outermost(frame) is root
        known = self._outsiders.get(ident)
        if known is None:
            return False
        thread = known()
        if thread is not None and thread.is_alive() and _minds_its_own(frame):
            return True
        # The ident belongs to another thread by now, or the thread to a pool that has
        # taken up a job of the test.
        self._outsiders.pop(ident, None)
        return False


def _is_bystander(frame: FrameType) -> bool:
    """Whether a thread is one of pytest-xdist, which reaches into no test's loop."""
    module = _outermost(frame).f_globals.get("__name__", "")
    return isinstance(module, str) and module.startswith("execnet.")


def _outermost(frame: FrameType) -> FrameType:
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _minds_its_own(frame: FrameType) -> bool:
    """Whether a thread that was busy before the loop may still be at the same.

    A pool's thread may have ended its job since, or be about to: it is taken for busy
    with its own only while it runs a job that was submitted outside a loop's run.
    """
    try:
        job = pool_job(frame)
    except NotAPoolThread:
        return True
    return job is not None and not submissions.is_watched(job)
