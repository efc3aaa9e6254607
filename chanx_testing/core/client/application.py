"""An application under test: its task, what it raised, what it left behind."""

import asyncio
import inspect
import weakref
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, cast

from asgiref.compatibility import guarantee_single_callable

from chanx_testing.core.idle import describe_task, failed_tasks, tasks_created_by
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast
from chanx_testing.core.trace.showing import show_error

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


def single_callable(application: Any) -> Callable[..., Awaitable[Any]]:
    """Return an application as a callable of scope, receive and send.

    A class may be an application too: a consumer stands for its ``as_asgi()``, and one
    whose instances are awaited, as Starlette's ``WebSocketEndpoint``, is called as it
    is. Applications of ASGI 2 are called twice.
    """
    if inspect.isclass(application):
        if hasattr(application, "as_asgi"):
            application = application.as_asgi()
        elif hasattr(application, "__await__"):
            return cast("Callable[..., Awaitable[Any]]", application)
    single: Callable[..., Awaitable[Any]] = guarantee_single_callable(application)  # type: ignore[no-untyped-call]
    return single


def says_client_left(error: BaseException) -> bool:
    """Return whether an exception says no more than that the client has left.

    Starlette and Litestar raise a ``WebSocketDisconnect`` where an endpoint reads on
    after the end, and an endpoint may let it pass: neither is imported here, so it is
    known by its name. A task group wraps it into an exception group.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(says_client_left, error.exceptions))
    return any(base.__name__ == "WebSocketDisconnect" for base in type(error).__mro__)


CANCELLATIONS: Final = 10
"""How often an application is cancelled that catches its cancellation and goes on."""


async def end_tasks(tasks: Collection["asyncio.Task[Any]"]) -> bool:
    """Cancel tasks, again where they go on, and then end them by force.

    ``asyncio.run()`` cancels the tasks that it knows of and waits until they are done:
    one that catches every cancellation would never let it end.

    Returns:
        Whether all let themselves be cancelled, within a second.
    """
    going_on = set(tasks)
    for _ in range(CANCELLATIONS):
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=1 / CANCELLATIONS)
        if not going_on:
            return True
    for task in going_on:
        coroutine = task.get_coro()
        assert coroutine is not None
        # It may raise anything, or await on: then Python says so with a RuntimeError.
        with suppress(Exception):
            coroutine.close()
        task.cancel()
    done, going_on = await asyncio.wait(going_on, timeout=1 / CANCELLATIONS)
    for task in done:
        if not task.cancelled():
            task.exception()
    for task in going_on:
        asyncio._unregister_task(task)
    return False


@dataclass
class HandlerFailure:
    """An exception that a consumer caught, logged and answered.

    Attributes:
        error: The exception.
        doing: What the consumer was doing, for a person to read.
        answered: Whether an error frame told the client of it.
        seen: Whether the test received that frame.
    """

    error: Exception
    doing: str
    answered: bool = False
    seen: bool = False


class Watch:
    """The :class:`~chanx_testing.core.observe.reports.Watcher` of one application.

    Contexts that name it outlive the application, in whatever holds a task or a timer;
    so it does not hold the application.
    """

    def __init__(self, application: "ApplicationUnderTest") -> None:
        self._application = weakref.ref(application)

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Note that a handler raised ``error``."""
        if (application := self._application()) is not None:
            application.failures.append(HandlerFailure(error, doing))
            application.note(f"while {doing}: {show_error(error)}")

    def broadcast_sent(self, broadcast: Broadcast) -> None:
        """Note a broadcast of the application."""
        if (application := self._application()) is not None:
            to = broadcast.channel_name or broadcast.groups
            where = "its own groups" if to is None else repr(to)
            application.note(
                f"{broadcast.consumer.__name__}.{broadcast.method}"
                f"({type(broadcast.message).__name__}) to {where} "
                f"[broadcast {broadcast.id}]"
            )

    def broadcast_received(self, broadcast_id: int) -> None:
        """Note that a broadcast reached this connection."""
        if (application := self._application()) is not None:
            application.note(f"[broadcast {broadcast_id}] arrived")


class ApplicationUnderTest:
    """Runs one ASGI application and keeps what it raises until the test has seen it.

    It holds nothing of the connection that it belongs to: a connection that the test
    drops must be gone at once, and take the application with it.

    Args:
        application: The ASGI application, called once.
        scope: Its scope.
        receive: What it reads from.
        send: What it writes to.
        guard: A context that is open for the whole life of the application.
        end_was_read: Tells whether it has read that the connection has ended.
        on_end: Called when the application has ended.
        note: Called with a sentence on each event beside the wire.
    """

    def __init__(
        self,
        application: Callable[..., Awaitable[Any]],
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
        *,
        guard: AbstractContextManager[Any],
        end_was_read: Callable[[], bool],
        on_end: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._on_end = on_end
        self._end_was_read = end_was_read
        self.note = note
        self.crash: BaseException | None = None
        self.crash_seen = False
        self.failures: list[HandlerFailure] = []
        self._given: list[BaseException] = []
        self._cancelled = False
        self.loop = asyncio.get_running_loop()
        # A context of its own, as a server gives to each connection: what the test set
        # in its context variables must not reach the application.
        context = Context()
        self._watch = Watch(self)
        context.run(reports.watcher.set, self._watch)
        self.task: asyncio.Task[Any] = self.loop.create_task(
            self._run(application, scope, receive, send, guard), context=context
        )
        self.task.add_done_callback(self._ended)

    async def _run(
        self,
        application: Callable[..., Awaitable[Any]],
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
        guard: AbstractContextManager[Any],
    ) -> Any:
        try:
            with guard:
                return await application(scope, receive, send)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except SystemExit as error:
            self.crash = error
            # Out of a task it would end the loop at once, under the hands of the test.
            raise RuntimeError("The application raised SystemExit.") from error
        except BaseException as error:
            if self._cancelled and isinstance(error, GeneratorExit):
                raise
            if self._end_was_read() and says_client_left(error):
                # How an endpoint ends that reads until there is nothing more to read.
                return None
            # Read from here, so that asyncio still says "never retrieved" where no verb
            # of a communicator ever hands it to the test.
            self.crash = error
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if self.crash is not None:
            self.note(f"application raised {show_error(self.crash)}")
        elif task.cancelled():
            self.note("application was cancelled")
        else:
            self.note("application ended")
        self._on_end()

    @property
    def ended(self) -> bool:
        """Whether the application's task is over, for whatever reason."""
        return self.task.done()

    def raise_crash(self) -> None:
        """Raise what the application raised, if it did; the test has seen it then."""
        if self.crash is not None:
            self.crash_seen = True
            # Without this asyncio would complain that nobody looked.
            if self.task.done() and not self.task.cancelled():
                self.task.exception()
            raise self.crash

    def unanswered_failure(self) -> HandlerFailure | None:
        """Return the failure that the next error frame tells of, or None."""
        return next((item for item in self.failures if not item.answered), None)

    def unseen_errors(self) -> list[BaseException]:
        """Take what went wrong and was not shown to the test, most important first.

        That is: what the application raised, what its handlers raised, what tasks
        raised that it started and did not wait for. Each is given once.
        """
        errors: list[BaseException] = []
        if self.crash is not None and not self.crash_seen:
            self.crash_seen = True
            if self.task.done() and not self.task.cancelled():
                self.task.exception()
            errors.append(self.crash)
        for failure in self.failures:
            if not failure.seen:
                failure.seen = True
                failure.error.add_note(
                    f"Raised while {failure.doing}. The consumer caught it and went "
                    f"on; the test neither received the error frame nor said that it "
                    f"expects errors (communicator.expect_errors())."
                )
                errors.append(failure.error)
        for name, error in failed_tasks(self.loop, reports.watcher, self._watch):
            if any(error is known for known in self._given):
                continue
            self._given.append(error)
            error.add_note(
                f"Raised in {name}, a task that the application left behind."
            )
            errors.append(error)
        return errors

    def leftover_tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that the application started and that go on without it."""
        return [
            task
            for task in tasks_created_by(self.loop, reports.watcher, self._watch)
            if task is not self.task and not task.done()
        ]

    def describe(self) -> str:
        """Return a sentence on what the application is doing now."""
        if not self.ended:
            return f"application: waiting in {describe_task(self.task)}"
        if self.crash is not None:
            return f"application: raised {type(self.crash).__name__}"
        return (
            "application: cancelled" if self.task.cancelled() else "application: ended"
        )

    async def cancel(self) -> bool:
        """Cancel the application, as :func:`end_tasks` does.

        Returns:
            Whether it let itself be cancelled. If not, it was ended by force.
        """
        self._cancelled = True
        return await end_tasks([self.task])
