"""An application under test: an ASGI application in memory, in a task of its own."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from typing import Any, Final, Protocol, cast

from asgiref.compatibility import guarantee_single_callable

from chanx_testing.core.client.failures import Failures, says_client_left
from chanx_testing.core.client.frame_queue import AsgiMessage
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.idle.describe import describe_task
from chanx_testing.core.idle.tasks import failed_tasks, tasks_created_by
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast
from chanx_testing.core.trace.showing import show_error

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

Application = Callable[..., Any]
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]


class Peer(Protocol):
    """What is at the other end of a connection.

    :class:`ApplicationUnderTest` is an application in memory. A socket to a server, in
    an object with the same methods, may take its place: no connection asks which it
    has.

    It has to see to this:

    - What ends it is reported by ``failures.crashed()``, also a ``SystemExit``, which
      must not leave its task.
    - What runs for it in this process runs in a context in which
      :data:`~chanx_testing.core.observe.reports.watcher` is a :class:`Watcher`.
    - ``receive``, ``send``, ``end_was_read`` and ``guard`` are held for as long as it
      runs, and not as attributes: otherwise a connection that has ended stays until a
      garbage collection.

    Attributes:
        application: The ASGI application, where there is one in this process, otherwise
            None.
        task: The task that is done when the other end is. :meth:`start` makes it.
    """

    application: Application
    task: "asyncio.Task[Any]"

    def start(
        self,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        *,
        guard: AbstractContextManager[Any],
        failures: Failures,
        note: Callable[[str], None],
        end_was_read: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        """Begin the conversation, on the running loop.

        Args:
            scope: The scope of the handshake.
            receive: Returns the next ASGI message of the client.
            send: Takes an ASGI message for the client.
            guard: A context that is to be open for the whole conversation. The peer
                enters it, in the context in which it runs.
            failures: Takes what goes wrong.
            note: Called with a sentence on each event beside the wire.
            end_was_read: Returns whether the other end knows that the client has left.
            on_end: Called when the other end has ended, and the task is done.
        """

    def describe(self) -> str:
        """Return a sentence on what it is doing now."""

    def stop(self) -> None:
        """Cancel it, from any thread; do not wait for it."""

    async def cancel(self) -> bool:
        """Cancel it, wait for its end, and return whether it let itself be cancelled.

        If it did not, it was ended by force.
        """

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that it started and that go on without it."""

    def failed_tasks(self) -> list[tuple[str, BaseException]]:
        """Return the tasks that it started and that failed with nobody waiting.

        Returns:
            The name of the coroutine and what it raised, for each.
        """


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


CANCELLATIONS: Final = 10
"""How many times to cancel a task that swallows its cancellation."""


async def end_tasks(tasks: Collection["asyncio.Task[Any]"]) -> bool:
    """Cancel tasks, again where they go on, and then end them by force.

    ``asyncio.run()`` cancels the tasks that it knows of and waits until they are done:
    one that swallows every cancellation would never let it end.

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
        # A coroutine that is closed may raise anything. If it awaits again instead,
        # Python raises a RuntimeError.
        with suppress(Exception):
            coroutine.close()
        task.cancel()
    done, going_on = await asyncio.wait(going_on, timeout=1 / CANCELLATIONS)
    for task in done:
        if not task.cancelled():
            task.exception()
    for task in going_on:
        # A task that awaits even now is taken out of asyncio's list of tasks, or
        # asyncio.run() would wait for it forever. The function is private, and the same
        # in 3.11 to 3.14; where it is missing, nothing can be done.
        unregister = getattr(asyncio, "_unregister_task", None)
        if unregister is not None:
            unregister(task)
    return False


class Watcher:
    """The :class:`~chanx_testing.core.observe.reports.Watcher` of one application.

    The context of the application names it, and every task and timer that the
    application makes holds a copy of that context, for longer than the application
    lives. So it holds only what it writes to, never the application.
    """

    def __init__(self, failures: Failures, note: Callable[[str], None]) -> None:
        self._failures = failures
        self._note = note

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Note that a handler raised ``error``."""
        doing = conceal_text(doing)
        self._failures.handler_failed(
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


class ApplicationUnderTest:
    """Runs one ASGI application; a :class:`Peer`.

    Args:
        application: The ASGI application, called once, by :meth:`start`.
    """

    task: "asyncio.Task[Any]"

    def __init__(self, application: Any) -> None:
        self.application: Application = single_callable(application)
        self._cancelled = False

    def start(
        self,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        *,
        guard: AbstractContextManager[Any],
        failures: Failures,
        note: Callable[[str], None],
        end_was_read: Callable[[], bool],
        on_end: Callable[[], None],
    ) -> None:
        """Run the application in a task; see :meth:`Peer.start`."""
        self._failures = failures
        self._note = note
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        # A context of its own, as a server gives to each connection: what the test set
        # in its context variables must not reach the application.
        context = Context()
        self._watcher = Watcher(failures, note)
        context.run(reports.watcher.set, self._watcher)
        self.task = self._loop.create_task(
            self._run(scope, receive, send, guard, end_was_read), context=context
        )
        self.task.add_done_callback(self._ended)

    async def _run(
        self,
        scope: dict[str, Any],
        receive: Receive,
        send: Send,
        guard: AbstractContextManager[Any],
        end_was_read: Callable[[], bool],
    ) -> Any:
        # The connection is held by the arguments of this call alone, and so only while
        # the application runs. As an attribute of the peer, which the connection holds,
        # it would be in a cycle, and stay in memory until a garbage collection.
        try:
            with guard:
                return await self.application(scope, receive, send)
        except (asyncio.CancelledError, KeyboardInterrupt):
            raise
        except SystemExit as error:
            self._crashed(error)
            # A task that raises SystemExit ends its loop at once, with the test in it.
            raise RuntimeError("The application raised SystemExit.") from error
        except BaseException as error:
            if self._cancelled and isinstance(error, GeneratorExit):
                raise
            if end_was_read() and says_client_left(error):
                # An endpoint that reads in a loop ends like this.
                return None
            # Noted, and raised as well: then asyncio still reports that it was never
            # retrieved, where no verb of a communicator ever hands it to the test.
            self._crashed(error)
            raise

    def _crashed(self, error: BaseException) -> None:
        self._failures.crashed(error, self._retrieve)

    def _retrieve(self) -> None:
        if self.task.done() and not self.task.cancelled():
            self.task.exception()

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if self._failures.crash is not None:
            self._note(f"application raised {show_error(self._failures.crash)}")
        elif task.cancelled():
            self._note("application was cancelled")
        else:
            self._note("application ended")
        self._on_end()

    def describe(self) -> str:
        """Return a sentence on what the application is doing now."""
        if not self.task.done():
            return f"application: waiting in {describe_task(self.task)}"
        if self._failures.crash is not None:
            return f"application: raised {type(self._failures.crash).__name__}"
        return (
            "application: cancelled" if self.task.cancelled() else "application: ended"
        )

    def stop(self) -> None:
        """Cancel the application, from any thread; do not wait for it."""
        # The loop may be closed already; then nothing is left to cancel.
        with suppress(RuntimeError):
            if _running_loop() is self._loop:
                self.task.cancel()
            else:
                self._loop.call_soon_threadsafe(self.task.cancel)

    async def cancel(self) -> bool:
        """Cancel the application, as :func:`end_tasks` does.

        Returns:
            Whether it let itself be cancelled. If not, it was ended by force.
        """
        self._cancelled = True
        return await end_tasks([self.task])

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that the application started and that go on without it."""
        return [
            task
            for task in tasks_created_by(self._loop, reports.watcher, self._watcher)
            if task is not self.task and not task.done()
        ]

    def failed_tasks(self) -> list[tuple[str, BaseException]]:
        """Return the tasks of the application that failed with nobody waiting."""
        return failed_tasks(self._loop, reports.watcher, self._watcher)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
