"""Judge, at each point where the loop would sleep, whether anything can still come.

The proof, at an entry to ``select`` with time to wait. The last step costs least and is
looked at first; the others are taken in this order:

1. No source is open: no executor job, no child process, no signal handler, no outside
   descriptor, no future that was promised elsewhere, no thread with something in hand.
2. The ready queue is empty, which is why asyncio has time to wait, and ``select(0)``
   finds nothing. A thread wakes the loop before it parks, and a job's result is queued
   before the job stops counting: what ended between the two steps shows here.
3. A garbage collection has run and the second step still holds.
4. The earliest timer that counts for a waiter is later than its horizon.

Then one waiter is released, the one that would end first, and the others are judged
again after it has run: what it does may reach them.

Prior art: Trio's ``wait_all_tasks_blocked`` asks whether any task can run, and Go's
``testing/synctest`` whether all goroutines are durably blocked. Neither has to ask who
else could wake the loop, as asyncio has: there, threads and other code may at any time.
https://trio.readthedocs.io/en/stable/reference-testing.html#inter-task-ordering
https://pkg.go.dev/testing/synctest
"""

import asyncio
import math
import threading
import weakref
from collections.abc import Sequence
from types import FrameType
from typing import Any

from chanx_testing.core.idle import handovers
from chanx_testing.core.idle.clock import Clock, LoopClock
from chanx_testing.core.idle.current_test import Engagement
from chanx_testing.core.idle.describe import (
    describe_stack,
    describe_task,
    task_is_runnable,
)
from chanx_testing.core.idle.selector import Events, Select
from chanx_testing.core.idle.sources import garbage
from chanx_testing.core.idle.sources.descriptors import Descriptors
from chanx_testing.core.idle.sources.other_loops import Descriptor
from chanx_testing.core.idle.sources.source import Source
from chanx_testing.core.idle.sources.threads import Threads
from chanx_testing.core.idle.sources.timers import Timers
from chanx_testing.core.idle.verdict import Verdict, VerdictKind, WrongVerdict

# A waiter whose time is over gives the loop some more passes, so that a timer due at
# the same moment, and the task that it wakes, still come before the verdict.
_GRACE_PASSES = 3
# Nothing wakes the loop when a thread parks: the threads are looked at again after
# these pauses, in seconds.
_PAUSES = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002)
# How long, in seconds, a loop with outside descriptors must have had nothing to run to
# be called quiet at the end of a wait for it to settle.
_REST = 0.005
# Below this the system's select would round up to a millisecond.
_SHORTEST_SELECT = 0.001


def _internal_error(error: Exception) -> str:
    return f"internal error, please report it: {type(error).__name__}: {error}"


class Waiter:
    """One pending ``wait``."""

    __slots__ = ("deadline", "future", "grace", "horizon", "task", "verdict")

    def __init__(
        self,
        future: "asyncio.Future[None]",
        task: "asyncio.Task[Any] | None",
        deadline: float,
        horizon: float | None,
    ) -> None:
        self.future = future
        self.task = task
        self.deadline = deadline
        self.horizon = horizon
        self.grace = _GRACE_PASSES
        self.verdict: Verdict | None = None

    def limit(self, now: float) -> float:
        """Return the moment before which nothing may happen."""
        return self.deadline if self.horizon is None else now + self.horizon


class Claim:
    """What an IDLE verdict has said, until it can no longer be wrong.

    Attributes:
        made_at: When, in monotonic seconds.
        until: Up to when nothing comes.
        trusted: The threads that were taken for quiet though it is not proved.
        handed_over: What had been handed over by then, see :mod:`.handovers`.
    """

    __slots__ = ("handed_over", "made_at", "trusted", "until")

    def __init__(self, made_at: float, until: float, trusted: frozenset[int]) -> None:
        self.made_at = made_at
        self.until = until
        self.trusted = trusted
        self.handed_over = handovers.latest()
        handovers.trust(trusted)

    def holds(self, now: float) -> bool:
        """Return whether it still says something: the test has set nothing off."""
        return now < self.until and self.handed_over == handovers.latest()


class Monitor:
    """What is known of one loop, and the waits on it; used on the loop's thread.

    Args:
        loop: The loop.
        clock: What its clock said last.
        engagement: Whether the test that runs now uses the loop.
        sources: Everything that may wake it, except its timers and other threads.
        threads: The other threads.
        collects_garbage: Whether a collection comes before a verdict.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: LoopClock,
        engagement: Engagement,
        sources: Sequence[Source],
        threads: Threads,
        *,
        collects_garbage: bool,
    ) -> None:
        # Weak: in a cycle with its monitor, a closed loop would stay in memory until a
        # garbage collection finds it.
        self._loop_ref = weakref.ref(loop)
        self._clock = clock
        self._engagement = engagement
        self._threads = threads
        self._sources = (*sources, threads)
        self._waking = [each for each in self._sources if each.wakes_the_loop]
        self._silent = [each for each in self._sources if not each.wakes_the_loop]
        self._collects_garbage = collects_garbage
        self.timers = Timers()
        self.waiters: list[Waiter] = []
        # Counts what was scheduled on the loop: a change while the loop sleeps means
        # that a finalizer, a signal handler or a stray thread has scheduled something.
        self.activity = 0
        self.errors: list[Exception] = []
        self.main: asyncio.Future[Any] | None = None
        self.deadlock: tuple[str, ...] | None = None
        self.cancels = 0
        self.failure: str | None = None
        self._busy_at = 0.0  # when callbacks were last ready while somebody waited
        # Whether the loop's thread sleeps, for the monitors of other loops.
        self._sleeping = False
        self._claim: Claim | None = None

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop_ref()
        assert loop is not None
        return loop

    # Waiting.

    def add(
        self,
        future: "asyncio.Future[None]",
        timeout: float | None,
        horizon: float | None,
    ) -> Waiter:
        """Register a wait that begins now."""
        deadline = math.inf if timeout is None else self._loop.time() + timeout
        waiter = Waiter(future, asyncio.current_task(), deadline, horizon)
        self.waiters.append(waiter)
        return waiter

    def remove(self, waiter: Waiter) -> None:
        """Forget a wait; do nothing if it was released."""
        if waiter in self.waiters:
            self.waiters.remove(waiter)

    def _release(self, waiter: Waiter, verdict: Verdict) -> None:
        self.waiters.remove(waiter)
        if not waiter.future.done():
            waiter.verdict = verdict
            waiter.future.set_result(None)

    def report(self, error: Exception) -> None:
        """Hand an error of the loop to the first waiter, or keep it for the next.

        Where no wait follows, the end of the test raises it.
        """
        self._loop.call_exception_handler({"message": str(error), "exception": error})
        for waiter in self.waiters:
            if not waiter.future.done():
                self.waiters.remove(waiter)
                waiter.future.set_exception(error)
                return
        self.errors.append(error)

    # Claims.

    def wrong_claim(self, ident: int, frame: FrameType) -> WrongVerdict | None:
        """Return the error if a thread that reaches the loop contradicts a verdict.

        Called in that thread.

        Args:
            ident: The identity of the thread.
            frame: Where it is.
        """
        claim = self._claim
        now = Clock.now()
        if claim is None or ident not in claim.trusted or not claim.holds(now):
            return None
        self._claim = None
        name = threading.current_thread().name
        return WrongVerdict(name, describe_stack(frame), now - claim.made_at)

    def acts_before(
        self, until: float, rank: int, trusted: frozenset[Descriptor]
    ) -> str | None:
        """Return what may happen on this loop, for the monitor of another thread's.

        See :class:`~chanx_testing.core.idle.sources.other_loops.Observed`.
        """
        if not self._sleeping:
            return "its event loop is running"
        for waiter in tuple(self.waiters):
            # Of several loops, the one goes first whose wait ends first.
            mine = (waiter.deadline, self._threads.rank)
            if waiter.future.done() or waiter.horizon == 0 or mine < (until, rank):
                return "a wait on its event loop may end first"
        timer = self.timers.next(tuple(self.waiters))
        if timer is not None and timer.when <= until:
            return f"its event loop has a timer set at {timer.place}"
        for source in self._waking:
            if isinstance(source, Descriptors):
                phrases = source.beyond(trusted)
            else:
                phrases = source.phrases() if source.is_open() else []
            if phrases:
                return f"its event loop waits: {phrases[0]}"
        return None

    def _sleep(self, select: Select, timeout: float | None) -> Events:
        self._sleeping = True
        try:
            return select(timeout)
        finally:
            self._sleeping = False

    # The selector's side.

    def select(self, raw: Select, timeout: float | None) -> Events:
        """Do what the loop's ``select(timeout)`` does, and judge if there is time.

        Args:
            raw: The selector's own ``select``.
            timeout: Seconds until the next timer; None without one; 0 or less while
                callbacks are ready.
        """
        if timeout is not None and timeout <= 0:
            events = raw(timeout)
            if self.waiters:
                # An application that never lets the loop sleep, with sleep(0) in an
                # endless loop, must not keep a wait from ending.
                self._busy_at = Clock.now()
                self._serve_deadlines(running=True)
            return events
        if self.failure is None:
            try:
                if self.waiters:
                    return self._judge(raw, timeout)
                if (
                    timeout is None
                    and self.main is not None
                    and self._engagement.is_on()
                ):
                    return self._watch_for_deadlock(raw)
            except Exception as error:
                # Raised from here it would end the whole loop. So the judge is switched
                # off for this loop, and its waits last to their deadlines.
                self.failure = _internal_error(error)
        if self.waiters:
            if self._serve_deadlines():
                return []
            timeout = self._until_deadline(timeout)
        return self._sleep(raw, timeout)

    def _judge(self, raw: Select, timeout: float | None) -> Events:
        # The timer's own moment: asyncio took `timeout` from the time that it read
        # last. Counted from now, `due` would be later than the timer that it stands
        # for.
        due = None if timeout is None else self._clock.last + timeout
        self.timers.forget_before(due)
        pauses = iter(_PAUSES)
        collected = False
        while True:
            activity = self.activity
            pause: float | None = None
            now = Clock.now()
            candidate = self._candidate(now)
            if candidate is not None and not _any_open(self._waking):
                self._threads.until = candidate.limit(now)
                # An open source that wakes the loop ends the sleep below by itself; for
                # a silent one the loop has to look again.
                if _any_open(self._silent):
                    pause = next(pauses, _PAUSES[-1])
                else:
                    # After the sources, never before: a thread that wakes the loop and
                    # then parks, between the two looks, is found here by its wake-up,
                    # and would otherwise be found by neither.
                    events = raw(0)
                    if events or self.activity != activity:
                        return events
                    # Not for a wait that the loop settles: that claims nothing of what
                    # comes later, and a collection costs more than all the rest.
                    if (
                        self._collects_garbage
                        and candidate.horizon != 0
                        and not collected
                    ):
                        garbage.collect()
                        collected = True
                        # A finalizer may have started anything: begin again.
                        if self.activity != activity:
                            return []
                        continue
                    if candidate.horizon != 0:
                        self._make_claim(now, candidate.limit(now))
                    self._release(candidate, self._idle(candidate))
                    return []
            if self._serve_deadlines():
                return []
            # What comes during the sleep may leave new garbage.
            collected = False
            now = Clock.now()
            block = None if due is None else max(0.0, due - now)
            block = self._until_deadline(block, now)
            if pause is not None and (block is None or pause < block):
                if pause < _SHORTEST_SELECT:
                    self._sleep(_pause, pause)
                    block = 0
                else:
                    block = pause
            events = self._sleep(raw, block)
            if events or self.activity != activity:
                return events
            if due is not None and Clock.now() >= due:
                return []

    def _make_claim(self, now: float, until: float) -> None:
        # What does not rest on trust cannot be contradicted by a thread.
        trusted = self._threads.trusted
        if trusted:
            self._claim = Claim(now, until, trusted)

    def _candidate(self, now: float) -> Waiter | None:
        """Return the waiter that ends first, if no timer fires before its horizon.

        A wait for the loop to settle ends before every other. Nothing is proved for the
        others yet: what the first one does after its wait may reach them.
        """
        pending = [waiter for waiter in self.waiters if not waiter.future.done()]
        if not pending:
            return None
        # A limit that the test has put around a wait is one more deadline of it.
        limits = self.timers.limits(pending) if len(pending) > 1 else {}

        def end(waiter: Waiter) -> tuple[bool, float]:
            limit = limits.get(waiter.future, math.inf)
            return waiter.horizon != 0, min(waiter.deadline, limit)

        first = min(pending, key=end)
        if first.horizon == 0:
            return first
        timer = self.timers.next(pending)
        # A timer at the very moment of the horizon may fire before the waiter runs.
        return first if timer is None or timer.when > first.limit(now) else None

    def _serve_deadlines(self, *, running: bool = False) -> bool:
        """Release the first waiter whose time is over.

        Args:
            running: Whether callbacks are ready, so that the loop is not at rest.

        Returns:
            True if the loop should make another pass now.
        """
        now = Clock.now()
        for waiter in self.waiters:
            if now < waiter.deadline or waiter.future.done():
                continue
            if waiter.grace:
                waiter.grace -= 1
                return True
            try:
                verdict = self._explain(waiter, running=running)
            except Exception as error:
                verdict = Verdict(VerdictKind.DEADLINE, (_internal_error(error),))
            self._release(waiter, verdict)
            return True
        return False

    def _until_deadline(
        self, block: float | None, now: float | None = None
    ) -> float | None:
        now = Clock.now() if now is None else now
        for waiter in self.waiters:
            if waiter.deadline != math.inf:
                left = max(0.0, waiter.deadline - now)
                block = left if block is None else min(block, left)
        return block

    # Verdicts.

    def _explain(self, waiter: Waiter, *, running: bool) -> Verdict:
        """Return the verdict at a deadline, with what could still happen."""
        now = Clock.now()
        inside: list[str] = []
        outside: list[str] = []
        self._threads.until = waiter.limit(now)
        at_work: list[str] = []
        if self.failure is not None:
            inside.append(self.failure)
        for source in self._sources:
            phrases = source.phrases()
            (outside if source.is_outside else inside).extend(phrases)
            if phrases:
                at_work += source.at_work()
        if running:
            tasks = [t for t in asyncio.all_tasks(self._loop) if task_is_runnable(t)]
            names = ", ".join(sorted(describe_task(task) for task in tasks)[:3])
            inside.append("callbacks are always ready" + (f": {names}" * bool(names)))
            at_work.append(inside[-1])
        # One that is due has fired, or fires before anybody is told this.
        self.timers.forget_before(now)
        timer = self.timers.next(self.waiters)
        # What comes after the horizon is not what kept the wait from its proof.
        if timer is not None and now < timer.when <= waiter.limit(now):
            inside.append(
                f"timer in {max(0.0, timer.when - now):.3g} s set at {timer.place}"
            )
        rests = waiter.horizon == 0 and now - self._busy_at >= _REST
        quiet = bool(outside) and not inside and rests
        kind = VerdictKind.QUIET if quiet else VerdictKind.DEADLINE
        reasons = (*inside, *outside)
        reasons = reasons or ("became idle only at the deadline",)
        return Verdict(kind, reasons, tuple(at_work))

    def _idle(self, waiter: Waiter) -> Verdict:
        number = len(asyncio.all_tasks(self._loop))
        timer = self.timers.next(self.waiters)
        when = "no timer"
        if timer is not None:
            when = f"next timer in {max(0.0, timer.when - Clock.now()):.3g} s"
        tasks = "1 task" if number == 1 else f"{number} tasks"
        return Verdict(VerdictKind.IDLE, (f"{tasks} blocked", when))

    # Deadlock.

    def _watch_for_deadlock(self, raw: Select) -> Events:
        """Sleep without a limit, and end the run if nothing can ever wake the loop.

        Prior art: Go's runtime, with "all goroutines are asleep - deadlock!".
        """
        self.timers.forget_before(None)
        pause = 0.002
        while True:
            activity = self.activity
            if self.main is None or self.main.done() or _any_open(self._waking):
                return self._sleep(raw, None)
            stuck = not self._may_be_woken()
            if stuck:
                # The same order as for a verdict: sources, descriptors, garbage. Then
                # the sources and the descriptors again, since a finalizer may have
                # started a thread.
                events = raw(0)
                if events or self.activity != activity:
                    return events
                garbage.collect()
                if self.activity != activity:
                    return []
                stuck = not self._may_be_woken()
            events = self._sleep(raw, 0 if stuck else pause)
            if events or self.activity != activity:
                return events
            if stuck:
                self._break_deadlock()
                return []
            # A thread that ends without a word would leave the loop asleep: look again,
            # less and less often, since a deadlock is in no hurry.
            pause = min(1.0, pause * 2)

    def _may_be_woken(self) -> bool:
        return any(source.may_end_a_deadlock() for source in self._sources)

    def _break_deadlock(self) -> None:
        main = self.main
        assert main is not None
        if self.deadlock is None:
            tasks = asyncio.all_tasks(self._loop)
            self.deadlock = tuple(sorted(describe_task(task) for task in tasks))
        self.cancels += 1
        if self.cancels > 3 or not isinstance(main, asyncio.Task):
            # Its cleanup waits forever each time, or it is not a task that could be
            # cancelled: stop the loop under it.
            self._loop.stop()
        else:
            main.cancel("deadlock")


def _pause(seconds: float | None) -> Events:
    Clock.sleep(seconds or 0)
    return []


def _any_open(sources: Sequence[Source]) -> bool:
    # A loop, not any(): a generator costs a tenth of a whole verdict.
    for source in sources:  # noqa: SIM110
        if source.is_open():
            return True
    return False
