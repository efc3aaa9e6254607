"""Which threads could still do something to a loop: those with something in hand.

A thread that waits to be handed work, and was handed none, brings nothing. One that was
there before the test, and is still where it was, has its own business, until the test
hands it something: then it is somewhere else. Every other thread counts as busy.
"""

import sys
import threading
import weakref
from types import FrameType
from typing import Any, ClassVar, Final

from chanx_testing.core.idle.clock import Clock
from chanx_testing.core.idle.current_test import running_test
from chanx_testing.core.idle.describe import describe_stack
from chanx_testing.core.idle.sources import (
    bystanders,
    garbage,
    other_loops,
    sleepers,
    submissions,
)
from chanx_testing.core.idle.sources.baseline import Baseline, is_waiting_code
from chanx_testing.core.idle.sources.jobs import Jobs
from chanx_testing.core.idle.sources.parked import (
    NotAPoolThread,
    TimedWait,
    is_parked,
    pool_is_at_work,
    pool_job,
    server_is_idle,
    timed_wait,
)
from chanx_testing.core.idle.sources.promises import MODULES_WITH_THREADS
from chanx_testing.core.thread_frames import collections_held

# The idents of the threads that ever woke an observed loop and may do so again, and of
# those that did so after it was said that nothing comes.
_waking_threads: Final[set[int]] = set()
_distrusted_threads: Final[set[int]] = set()
_of_thread = threading.local()


# The names by which Python code calls native code that waits for others: whoever is in
# one of these may be handed something unseen.
_RECEIVING: Final = frozenset(
    {"accept", "acquire", "get", "join", "poll", "read", "readinto", "readline"}
    | {"recv", "recv_into", "recvfrom", "recvmsg", "select", "wait"}
)
_TAKING: Final = frozenset({"acquire", "get"})


class _Look:
    """One look at all threads.

    Attributes:
        baseline: The threads that were there before the test.
        trusted: The threads that are taken for quiet though it is not proved.
        receiving: Those of them that may be handed something unseen.
        asleep: What the kernel says of those of them that are in native code.
        answering: The threads that do nothing but keep promises.
        sees_all_promises: Whether no loop sleeps whose promises are not known.
    """

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.trusted: set[int] = set()
        self.receiving: set[int] = set()
        self.asleep: dict[int, object] = {}
        self.answering: list[tuple[int, FrameType, str]] = []
        self.sees_all_promises = True


class _WakingThread:
    """Keeps the calling thread among the waking threads for as long as it lives.

    It is held by the thread's local storage, and goes with it: a later thread may have
    the same ident.
    """

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        _waking_threads.add(self._ident)

    # The defaults keep the sets within reach where the interpreter ends and the names
    # of this module are gone already.
    def __del__(
        self,
        _waking_threads: set[int] = _waking_threads,
        _distrusted_threads: set[int] = _distrusted_threads,
    ) -> None:
        _waking_threads.discard(self._ident)
        _distrusted_threads.discard(self._ident)


def note_waking_thread() -> None:
    """Note that the calling thread wakes an observed loop.

    Not a thread that does so in a finalizer, which any thread may have to run.
    """
    if not hasattr(_of_thread, "entry") and not garbage.collector.is_collecting():
        _of_thread.entry = _WakingThread()


def distrust_this_thread() -> None:
    """Count the calling thread from now on wherever it is not proved to be at rest."""
    note_waking_thread()
    _distrusted_threads.add(threading.get_ident())


class Threads:
    """The threads around one loop; a source.

    Args:
        jobs: The jobs that the loop itself has given to threads.

    Attributes:
        until: Up to when it is asked whether a thread may act, in monotonic seconds.
        rank: Tells this loop from another one in :mod:`.other_loops`.
        trusted: The threads that the last look has taken for quiet though it is not
            proved: those from before the test that are where they were, except for
            those that may be handed something unseen.
    """

    # Nothing wakes the loop when a thread parks.
    wakes_the_loop: ClassVar[bool] = False
    is_outside: ClassVar[bool] = False

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.until = 0.0
        self.rank = id(self)
        self.trusted: frozenset[int] = frozenset()
        # Where no runner says when the test began, the loop is taken for its beginning.
        self._own_baseline = Baseline() if running_test() is None else None
        # The waits with a limit that were seen, and the moment before which each of
        # them had not begun.
        self._waits: dict[int, tuple[weakref.ref[Any], float]] = {}
        self._looked_at = 0.0
        # The threads that slept in native code when all was at rest at the last look.
        self._sleepers: dict[int, object] = {}

    @property
    def _baseline(self) -> Baseline:
        test = running_test()
        if test is not None:
            return test.baseline
        if self._own_baseline is None:
            # The loop has outlived the test that it was made in.
            self._own_baseline = Baseline()
        return self._own_baseline

    def is_open(self) -> bool:
        """Return whether a thread could do something to the loop."""
        return bool(self._busy(strict=False))

    def may_end_a_deadlock(self) -> bool:
        """Return whether a thread could do something to the loop, at any time.

        One that is only trusted to be quiet counts here if it has ever woken a loop.
        """
        self.until = float("inf")
        return bool(self._busy(strict=True))

    def phrases(self) -> list[str]:
        """Return every thread that has something in hand, and the place where it is.

        [] while a job runs: the jobs name what its thread does already.
        """
        return [] if self._jobs.is_open() else self._busy(strict=False)

    def at_work(self) -> list[str]:
        """Return every thread that is not parked: it is about to do something."""
        return self.phrases()

    def _busy(self, *, strict: bool) -> list[str]:
        with collections_held():
            return self._look_at_all(strict=strict)

    def _look_at_all(self, *, strict: bool) -> list[str]:
        owner = threading.get_ident()
        before = submissions.latest()
        look = _Look(self._baseline)
        # All threads at one moment, and once more after each was looked at: one that is
        # at rest, and in the same frame both times, was at rest all the while. So none
        # of them can have woken another in between. Looked at one after the other, each
        # might be found at rest while two of them wake each other in turns.
        frames = sys._current_frames()
        frames.pop(owner, None)
        resting: list[tuple[int, FrameType, int]] = []
        busy: list[tuple[int, FrameType, str]] = []
        for ident, frame in frames.items():
            reason = self._in_hand(ident, frame, look)
            if reason is None and strict and ident in look.trusted & _waking_threads:
                reason = ""
            if reason is None:
                resting.append((ident, frame, frame.f_lasti))
            else:
                busy.append((ident, frame, reason))
        if not look.sees_all_promises:
            busy += look.answering
        threads = threading.enumerate()
        # A thread that is being started has no frame yet.
        starting = [
            thread
            for thread in threads
            if thread.ident not in frames and thread.ident != owner
        ]
        if not busy and not starting:
            now = sys._current_frames()
            now.pop(owner, None)
            busy += [
                (ident, frame, "")
                for ident, frame, instruction in resting
                if (now.get(ident) is not frame or frame.f_lasti != instruction)
                # One that has ended does nothing any more.
                and ident in now
            ]
            busy += [(i, frame, "") for i, frame in now.items() if i not in frames]
            before_that = self._sleepers
            self._sleepers = {} if busy else look.asleep
            busy += [
                (ident, frames[ident], "")
                for ident, state in self._sleepers.items()
                if before_that.get(ident) != state
            ]
        self._looked_at = Clock.now()
        self.trusted = frozenset(look.trusted - look.receiving)
        reasons: list[str] = []
        if busy:
            names = {thread.ident: thread.name for thread in threads}
            reasons += [
                f"thread {names.get(ident, ident)} at {describe_stack(frame)}"
                + (f" ({reason})" if reason else "")
                for ident, frame, reason in busy
            ]
        reasons += [f"thread {thread.name} starting" for thread in starting]
        if not reasons and (before is None or submissions.latest() != before):
            reasons.append("a job waits for a thread of its pool")
        return reasons

    def _in_hand(self, ident: int, frame: FrameType, look: _Look) -> str | None:
        """Return what a thread may do up to the moment that is asked for.

        Args:
            ident: Its identity.
            frame: Its innermost frame.
            look: The look at all threads; takes what was not proved.

        Returns:
            None where it does nothing by itself and was handed nothing; otherwise a
            phrase, which may be empty.
        """
        if is_parked(frame):
            self._waits.pop(ident, None)
            return None
        wait = timed_wait(frame)
        if wait is None:
            self._waits.pop(ident, None)
        elif self._earliest_end(ident, frame, wait, look.baseline) > self.until:
            return None
        at_work = pool_is_at_work(frame)
        if at_work is not None:
            return "its pool of processes is at work" if at_work else None
        idle = server_is_idle(frame)
        if idle is not None:
            return None if idle else ""
        known = ident not in _distrusted_threads and look.baseline.knows(ident, frame)
        loop = other_loops.sleeping_loop(frame)
        if loop is not None:
            look.sees_all_promises &= other_loops.is_observed(loop)
            watched = look.baseline.descriptors(ident, frame) if known else frozenset()
            reason = other_loops.may_act(loop, self.until, self.rank, watched)
            if reason is None and watched:
                look.trusted.add(ident)
                look.receiving.add(ident)
            return reason
        begun_in = bystanders.library_begun_in(frame)
        if bystanders.is_bystander(begun_in):
            return None
        if known and self._keeps_to_itself(ident, frame, wait, look):
            look.trusted.add(ident)
            return None
        if begun_in in MODULES_WITH_THREADS:
            # What it has in hand is a promise, of this loop or of another one.
            look.answering.append((ident, frame, ""))
            return None
        return ""

    @staticmethod
    def _keeps_to_itself(
        ident: int, frame: FrameType, wait: TimedWait | None, look: _Look
    ) -> bool:
        """Return whether a thread from before the test goes on as it did then."""
        if _is_at_old_job(frame):
            # For as long as that lasts.
            return True
        if not look.baseline.is_where_it_was(ident, frame):
            return False
        if wait is not None:
            return True
        if is_waiting_code(frame):
            return False
        if not _RECEIVING.isdisjoint(frame.f_code.co_names):
            look.receiving.add(ident)
        native_id = look.baseline.native_id(ident, frame)
        if native_id is None or not sleepers.AVAILABLE:
            # The kernel does not say. Then not one that may take a job from a queue.
            return _TAKING.isdisjoint(frame.f_code.co_names)
        state = sleepers.switches(native_id)
        look.asleep[ident] = (state, frame.f_code, frame.f_lasti)
        return state is not None

    def _earliest_end(
        self, ident: int, frame: FrameType, wait: TimedWait, baseline: Baseline
    ) -> float:
        """Return the moment before which a wait with a limit does not end by itself."""
        entry = self._waits.get(ident)
        if entry is not None and entry[0]() is wait.lock:
            return entry[1] + wait.timeout
        if self._looked_at:
            # It was not in this wait at the last look.
            begun = max(self._looked_at, baseline.taken_at)
        elif baseline.is_where_it_was(ident, frame):
            begun = float("-inf")
        else:
            begun = baseline.taken_at
        self._waits[ident] = (weakref.ref(wait.lock), begun)
        return begun + wait.timeout


def _is_at_old_job(frame: FrameType) -> bool:
    """Return whether a thread of a pool runs a job from before the test."""
    try:
        job = pool_job(frame)
    except NotAPoolThread:
        return False
    return job is not None and not submissions.is_counted(job)
