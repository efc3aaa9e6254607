"""What an application reports, and what becomes of it after its connection."""

import asyncio
import weakref
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Any

from chanx_testing.core.client.failures import Failures
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.idle.crashes import Crash
from chanx_testing.core.idle.tasks import failed_tasks, tasks_created_by
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast
from chanx_testing.core.trace.showing import show_error


class Watcher:
    """The :class:`~chanx_testing.core.observe.reports.Watcher` of one application.

    The context of the application names it, and every task and timer that the
    application makes holds a copy of that context, for longer than the application
    lives. So it holds only what it writes to, never the application.

    Args:
        failures: Takes what goes wrong.
        note: Called with a sentence on each event beside the wire.

    Attributes:
        failures: Takes what goes wrong.
        dropped: Whether the test has dropped the application instead of ending it.
        over: Whether the application has ended otherwise.
    """

    def __init__(self, failures: Failures, note: Callable[[str], None]) -> None:
        self.failures = failures
        self._note = note
        self._loop = weakref.ref(asyncio.get_running_loop())
        self._task: weakref.ref[asyncio.Task[Any]] | None = None
        self.dropped = False
        self.over = False

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Note that a handler raised ``error``."""
        doing = conceal_text(doing)
        self.failures.handler_failed(
            error, doing, says_answer=reports.answering.get() is error
        )
        self._note(f"while {doing}: {show_error(error)}")

    def broadcast_sent(self, broadcast: Broadcast) -> None:
        """Note a broadcast of the application."""
        to = broadcast.channel_name or broadcast.groups
        where = "its own groups" if to is None else conceal_text(repr(to))
        self._note(
            f"{broadcast.consumer.__name__}.{broadcast.method}"
            f"({type(broadcast.message).__name__}) to {where} "
            f"[broadcast {broadcast.id}]"
        )

    def broadcast_received(self, broadcast_id: int) -> None:
        """Note that a broadcast reached this connection."""
        self._note(f"[broadcast {broadcast_id}] arrived")

    # What becomes of it, for the end of the test.

    def crashed_beside(self, crash: Crash) -> None:
        """Note that something failed which the application had begun."""
        if self.failures.crashed_beside(crash.error, crash.place):
            self._note(f"in {crash.place}: {show_error(crash.error)}")

    @property
    def task(self) -> "asyncio.Task[Any] | None":
        """The task of the application; None where it is gone."""
        return None if self._task is None else self._task()

    @property
    def has_ended(self) -> bool:
        """Whether there was a task of the application, and it is done."""
        task = self.task
        return self._task is not None and (task is None or task.done())

    def began(self, task: "asyncio.Task[Any]") -> None:
        """Note the task of the application, which is held weakly."""
        self._task = weakref.ref(task)

    def ended(self) -> None:
        """Note that the application has ended."""
        self.over = not self.dropped

    def tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks of the application that go on, with its own."""
        loop = self._loop()
        if loop is None:
            return []
        created = tasks_created_by(loop, reports.watcher, self)
        return [task for task in created if not task.done()]

    def failed_tasks(self) -> list[tuple[str, BaseException]]:
        """Return the tasks of the application that failed with nobody waiting."""
        loop = self._loop()
        return [] if loop is None else failed_tasks(loop, reports.watcher, self)


def watcher_in(contexts: Iterable[Context]) -> Watcher | None:
    """Return the watcher of the first context that has one."""
    for context in contexts:
        if (found := context.get(reports.watcher)) is not None:
            return found if isinstance(found, Watcher) else None
    return None
