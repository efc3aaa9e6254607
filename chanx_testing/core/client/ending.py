"""The end of a test that used a connection: what failed, and nobody has seen.

A test that disconnects hears of what its application raised. Not every test does, and
not everything that an application begins has failed by then: here is kept, from the
first connection of a test on, what its end has to look at. It is part of the timeline
of the test, for whoever runs tests to ask.
"""

import asyncio
import contextlib
import dataclasses
import weakref
from types import CodeType
from typing import Any, Final

from chanx_testing.core.client.ending_tasks import end_tasks
from chanx_testing.core.client.errors import (
    LeftoverTaskWarning,
    raise_first,
    warn_of_leftovers,
)
from chanx_testing.core.client.last_frames import handled
from chanx_testing.core.client.watcher import Watcher, watcher_in
from chanx_testing.core.idle import crashes
from chanx_testing.core.idle.crashes import Crash
from chanx_testing.core.idle.describe import describe_task, is_of_a_package
from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.trace.showing import show_error
from chanx_testing.core.trace.timeline import (
    Timeline,
    running_timeline,
    running_timelines,
    timeline_here,
)

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

CANCELLED_SECONDS: Final = 0.1
"""How long the end of a test waits for an application that was dropped."""


class EndOfTest:
    """What the end of one test looks at.

    A crash is one of this test where it was begun by an application, or by a lifespan,
    that the test has started. Where that is not known it has to come from a loop on
    which the test has started one, or from a thread that was started since then; and
    what was begun before is not the test's.

    Nothing here holds a communicator or a task: what a test drops is gone.

    Args:
        has_end: Whether somebody will ask at the end of the test.

    Attributes:
        closed: Whether the test has ended.
    """

    def __init__(self, *, has_end: bool) -> None:
        self._has_end = has_end
        self.closed = False
        self._watchers: list[Watcher] = []
        self._loops: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        # What came from nobody that is known, and not told yet.
        self._elsewhere: list[Crash] = []
        # What somebody may still ask for.
        self._handed_over: list[Crash] = []
        self._told: list[BaseException] = []
        # The tasks that were left behind when a loop had run last, and where they were.
        self._left: dict[asyncio.Task[Any], str] = {}
        # Where those were that went on until their loop was closed.
        self._ended_with_loop: list[str] = []
        # The applications that the test has not ended, once it is over.
        self._going_on: set[asyncio.Task[Any] | None] = set()
        # Whether a loop runs once more, for what the test has sent last.
        self._handling = False
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(crashes.told_to(weakref.ref(self)))
        self._mark = crashes.mark()
        # Where nobody ends the test, its loop does, which holds this.
        weakref.finalize(self, self._stack.close).atexit = False

    # What begins in the test.

    def add(self, watcher: Watcher) -> None:
        """Note an application, or a lifespan, that is about to start on this loop."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            self._loops.add(loop)
            # Without an end, the note would hold the loop forever.
            if self._has_end and not isinstance(loop, IdleEventLoop):
                self._stack.enter_context(crashes.reports_noted(loop))

    def crashed(self, crash: Crash) -> bool:
        """Take a crash; see :class:`~chanx_testing.core.idle.crashes.Listener`."""
        watcher = watcher_in(crash.contexts)
        if crash.asked is not None:
            if not self._is_ours(crash, watcher):
                return False
            self._handed_over.append(crash)
            return True
        if watcher is not None:
            # It knows whose it is, also when its test has ended.
            watcher.crashed_beside(crash)
            return True
        if not self._is_ours(crash, None):
            return False
        self._elsewhere.append(crash)
        return True

    def run_ended(self, loop: asyncio.AbstractEventLoop, *, closing: bool) -> None:
        """See what goes on; see :class:`~chanx_testing.core.idle.crashes.Listener`."""
        if loop not in self._loops:
            return
        if not closing:
            self._let_last_frames_be_handled(loop)
        for task, where in tuple(self._left.items()):
            if task.done():
                del self._left[task]
                if closing:
                    self._ended_with_loop.append(where)
        for task in self._leftover_tasks():
            self._left.setdefault(task, describe_task(task))

    def _let_last_frames_be_handled(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._handling or not isinstance(loop, IdleEventLoop) or loop.is_closed():
            return
        if not any(task.get_loop() is loop for task in self.going_on()):
            return
        self._handling = True
        try:
            loop.run_until_complete(handled())
        finally:
            self._handling = False

    def _leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that go on after the applications that started them.

        Not those of packages: what a channel layer or a pool of connections keeps
        running serves other connections as well.
        """
        tasks = [task for each in self._watchers if each.over for task in each.tasks()]
        return [task for task in tasks if not is_of_a_package(task)]

    def _is_ours(self, crash: Crash, watcher: Watcher | None) -> bool:
        if watcher is not None:
            return watcher in self._watchers
        is_new = crash.mark is None or crash.mark >= self._mark
        return is_new and (crash.loop is None or crash.loop in self._loops)

    # What is left.

    def unseen_elsewhere(self) -> list[BaseException]:
        """Take what came beside all connections, and none of them expects."""
        found, self._elsewhere = self._elsewhere, []
        return [crash.error for crash in found if self._is_unseen(crash)]

    def unseen(self, *, last: bool = False) -> list[BaseException]:
        """Take all that nobody has seen.

        Args:
            last: Whether nothing of the test runs any more. If not, what the test has
                made itself, and holds, may still be asked, and expected errors come.
        """
        handed_over, self._handed_over = self._handed_over, []
        not_asked = [
            dataclasses.replace(crash, asked=None)
            for crash in handed_over
            if crash.asked is not None and not crash.asked()
        ]
        for loop in self._loops:
            # Told here, and not by the first wait of the next test as well.
            if isinstance(loop, IdleEventLoop):
                loop.monitor.errors.clear()
        for crash in [*self._held_crashes(last=last), *not_asked]:
            self.crashed(crash)
        found: list[BaseException] = []
        for watcher in self._watchers:
            failures = watcher.failures
            errors = failures.unseen(watcher.failed_tasks())
            if failures.transcript is None:
                errors = self.unexpected(errors)
            if last or watcher.over or watcher.dropped:
                unmet = failures.unmet_expectation()
                errors += [] if unmet is None else [unmet]
            for error in errors:
                failures.add_transcript(error)
            found += errors
        found += self.unseen_elsewhere()
        return found

    def _held_crashes(self, *, last: bool) -> list[Crash]:
        """Take the crashes of tasks and futures that somebody still holds."""

        def is_wanted(crash: Crash) -> bool:
            watcher = watcher_in(crash.contexts)
            if watcher is None and not last:
                return False
            return self._is_ours(crash, watcher)

        found: list[Crash] = []
        for loop in self._loops:
            if isinstance(loop, IdleEventLoop):
                found += loop.futures_created.take_crashes(loop, is_wanted)
                found += loop.tasks_created.take_crashes(loop, is_wanted)
        return found

    def _is_unseen(self, crash: Crash) -> bool:
        error = crash.error
        if any(error is told for told in self._told):
            return False
        self._told.append(error)
        error.add_note(f"Raised in {crash.place}.")
        return bool(self.unexpected([error]))

    def unexpected(self, errors: list[BaseException]) -> list[BaseException]:
        """Return what came beside all connections, and none of them expects.

        A lifespan cannot say what it expects, nor what comes from nobody knows where:
        what one connection expects counts.
        """
        return [
            error
            for error in errors
            if not any(watcher.failures.expects(error) for watcher in self._watchers)
        ]

    # The end.

    def end(
        self,
        headline: BaseException | None,
        test: str,
        code: CodeType | None,
        *,
        last: bool,
    ) -> None:
        """Fail the test with what nobody has seen, as the timeline says it."""
        named, self._ended_with_loop = self._ended_with_loop, []
        for loop in tuple(self._loops):
            if not (loop.is_closed() or loop.is_running() or _in_a_loop()):
                named += self._end_tasks(loop)
        found = self.unseen(last=last)
        if named:
            try:
                warn_of_leftovers(test, named, code)
            except LeftoverTaskWarning as warning:
                found.append(warning)
        if headline is None:
            raise_first(found)
            return
        for error in found:
            if not _is_in(error, headline):
                headline.add_note(f"Also raised: {show_error(error)}")

    def close(self) -> None:
        """Look at nothing more: the test has ended.

        A connection of a fixture may go on, and is to hear of what fails meanwhile.
        """
        self.closed = True
        self._loops.clear()
        self._elsewhere.clear()
        for task in self.going_on():
            self._going_on.add(task)
            task.add_done_callback(self._application_ended)
        self._application_ended()

    def forget_what_nobody_asks(self) -> None:
        """Keep only what goes on, where nobody will ask at the end of the test.

        An error that was raised holds the loop, by its traceback; the loop holds the
        timeline, and that holds this.
        """
        if not self._has_end:
            self._told.clear()
            self._watchers = [each for each in self._watchers if not each.has_ended]

    def going_on(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks of the applications that have not ended."""
        tasks = [watcher.task for watcher in self._watchers]
        return [
            task
            for task in tasks
            if task is not None and not task.done() and not task.get_loop().is_closed()
        ]

    def _application_ended(self, task: "asyncio.Task[Any] | None" = None) -> None:
        self._going_on.discard(task)
        if not self._going_on:
            self._stack.close()

    def _end_tasks(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        """Let applications that were dropped end, and end what others left behind.

        Returns:
            Where the latter were.
        """
        dropped = [
            task
            for each in self._watchers
            if each.dropped and (task := each.task) is not None and not task.done()
        ]
        if dropped := [task for task in dropped if task.get_loop() is loop]:
            loop.run_until_complete(_wait_for(dropped))
        leftover = [task for task in self._leftover_tasks() if task.get_loop() is loop]
        named = sorted(map(describe_task, leftover))
        if leftover:
            loop.run_until_complete(end_tasks(leftover))
        return named


def _in_a_loop() -> bool:
    """Return whether a loop runs in this thread, as where pytest was called in one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _wait_for(tasks: "list[asyncio.Task[Any]]") -> None:
    await asyncio.wait(tasks, timeout=CANCELLED_SECONDS)


def _is_in(error: BaseException, headline: BaseException) -> bool:
    if isinstance(headline, BaseExceptionGroup):
        return any(_is_in(error, each) for each in headline.exceptions)
    return error is headline


def ending_here() -> EndOfTest:
    """Return the end of the test that this code belongs to, which uses a connection."""
    timeline, has_end = _timeline()
    if not isinstance(timeline.ending, EndOfTest):
        timeline.ending = EndOfTest(has_end=has_end)
    return timeline.ending


def known_ending() -> EndOfTest | None:
    """Return the same, or None where the test has used no connection yet."""
    ending = _timeline()[0].ending
    return ending if isinstance(ending, EndOfTest) else None


def unseen_beside() -> list[BaseException]:
    """Take what came beside all connections, at the end of one of them."""
    ending = known_ending()
    if ending is None:
        return []
    found = ending.unseen_elsewhere()
    ending.forget_what_nobody_asks()
    return found


def _timeline() -> tuple[Timeline, bool]:
    """Return the timeline of this code, and whether somebody will end it."""
    if (timeline := running_timeline()) is not None:
        return timeline, True
    if running := running_timelines():
        return running[-1], True
    return timeline_here(), False
