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

# The idents of the threads that ever woke an observed loop and may do so again.
_waking_threads: Final[set[int]] = set()
_of_thread = threading.local()


class _WakingThread:
    """Keeps the calling thread among the waking threads for as long as it lives.

    It is held by the thread's local storage, and goes with it: a later thread may have
    the same ident.
    """

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        _waking_threads.add(self._ident)

    # The default keeps the set within reach where the interpreter ends and the names of
    # this module are gone already.
    def __del__(self, _waking_threads: set[int] = _waking_threads) -> None:
        _waking_threads.discard(self._ident)


def note_waking_thread() -> None:
    """Note that the calling thread wakes an observed loop.

    Not a thread that does so in a finalizer, which any thread may have to run.
    """
    if not hasattr(_of_thread, "entry") and not garbage.collector.is_collecting():
        _of_thread.entry = _WakingThread()


class Threads:
    """The threads around one loop, counted from the loop's creation; a source.

    A thread that was busy before that, and has never woken a loop, is an outsider: what
    it does is not the loop's concern. One that was parked is not an outsider: a thread
    of a pool takes the job of anybody.

    Args:
        jobs: The jobs that the loop itself has given to threads.
    """

    # Nothing wakes the loop when a thread parks.
    wakes_the_loop: ClassVar[bool] = False
    is_outside: ClassVar[bool] = False

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._creator = threading.get_ident()
        self._outsiders: dict[int, weakref.ref[threading.Thread]] = {}
        # Threads that `threading` does not know, such as those of execnet, by which
        # pytest-xdist talks: recognised by their outermost frames.
        self._nameless: dict[int, FrameType] = {}
        frames = sys._current_frames()
        # This very frame would hold itself by its variable, and so keep its callers and
        # the loop in memory until a garbage collection.
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
        """Return whether a thread could do something to the loop, an outsider too."""
        return bool(self._busy(strict=True))

    def phrases(self) -> list[str]:
        """Return every thread that is not parked, with the place where it is.

        [] while a job runs: the jobs name what its thread does already.
        """
        return [] if self._jobs.is_open() else self._busy(strict=False)

    def at_work(self) -> list[str]:
        """Return every thread that is not parked: it is about to do something."""
        return self.phrases()

    def _busy(self, *, strict: bool) -> list[str]:
        """Return the threads that are not parked.

        Args:
            strict: Count outsiders too, except for those that are known to run tests.
        """
        owner = threading.get_ident()
        before = submissions.latest()
        # One snapshot of all: a thread that is parked in it, and still in that same
        # wait when it is looked at below, was parked at the moment of the snapshot, as
        # the others were. So none of them can have woken another. Looked at one after
        # the other, each might be found parked while two of them wake each other in
        # turns.
        frames = sys._current_frames()
        frames.pop(owner, None)
        suspects: list[tuple[int, FrameType]] = []
        for ident, frame in frames.items():
            if is_parked(frame):
                # It waits to be handed work, which from now on may be the test's.
                self._outsiders.pop(ident, None)
                self._nameless.pop(ident, None)
            elif not self._is_outsider(ident, frame) or (
                strict and not _is_bystander(frame)
            ):
                suspects.append((ident, frame))
        # A thread that is being started has no frame yet.
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
        if not reasons and (before is None or submissions.latest() != before):
            reasons.append("a job waits for a thread of its pool")
        return reasons

    def _is_outsider(self, ident: int, frame: FrameType) -> bool:
        if ident in _waking_threads:
            return False
        if (root := self._nameless.get(ident)) is not None:
            return _outermost(frame) is root
        known = self._outsiders.get(ident)
        if known is None:
            return False
        thread = known()
        if thread is not None and thread.is_alive() and _is_at_old_job(frame):
            return True
        # By now the ident belongs to another thread, or the thread, of a pool, has
        # taken up a job of the test.
        self._outsiders.pop(ident, None)
        return False


def _is_bystander(frame: FrameType) -> bool:
    """Return whether a thread is one of pytest-xdist, which wakes no test's loop."""
    module = _outermost(frame).f_globals.get("__name__", "")
    return isinstance(module, str) and module.startswith("execnet.")


def _outermost(frame: FrameType) -> FrameType:
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_at_old_job(frame: FrameType) -> bool:
    """Return whether a thread that was busy before the loop still does the same work.

    A thread of a pool may have ended its job since, or be about to end it. Its work is
    taken for the old one only while it runs a job that was submitted while no observed
    loop ran.
    """
    try:
        job = pool_job(frame)
    except NotAPoolThread:
        return True
    return job is not None and not submissions.is_counted(job)
