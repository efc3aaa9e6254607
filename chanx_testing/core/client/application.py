"""An application under test: an ASGI application in memory, in a task of its own."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from typing import Any, Protocol, cast

from asgiref.compatibility import guarantee_single_callable

from chanx_testing.core import idle
from chanx_testing.core.client.ending import ending_here
from chanx_testing.core.client.ending_tasks import end_tasks
from chanx_testing.core.client.failures import Failures, says_client_left
from chanx_testing.core.client.frame_queue import AsgiMessage
from chanx_testing.core.client.last_frames import cancel_when_handled
from chanx_testing.core.client.watcher import Watcher
from chanx_testing.core.idle.describe import describe_task
from chanx_testing.core.idle.sources.parked import was_retrieved
from chanx_testing.core.observe import reports
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

    def note_use(self) -> None:
        """Note that a test uses it; it may be a later one than that which started it.

        What fails from now on is to fail that test.
        """

    def describe(self) -> str:
        """Return a sentence on what it is doing now."""

    def stop(self) -> None:
        """Cancel it, from any thread; do not wait for it."""

    def abandon(self) -> None:
        """End it when it has handled what it was sent; nobody holds the client now."""

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
        self._ending = ending_here()
        self._ending.add(self._watcher)
        self.task = self._loop.create_task(
            self._run(scope, receive, send, guard, end_was_read), context=context
        )
        self._watcher.began(self.task)
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
        except KeyboardInterrupt:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # As an error of its own: a test that is raised this would be cancelled.
            ended = RuntimeError(
                "The application ended with a CancelledError, but nobody has cancelled "
                "it: what it awaited was cancelled, and it did not catch that."
            )
            self._crashed(ended)
            raise ended from error
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
        self._failures.crashed(error, self._retrieve, self._was_retrieved)

    def _retrieve(self) -> None:
        if self.task.done() and not self.task.cancelled():
            self.task.exception()

    def _was_retrieved(self) -> bool:
        return was_retrieved(self.task)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._watcher.ended()
        if self._failures.crash is not None:
            self._note(f"application raised {show_error(self._failures.crash)}")
        elif task.cancelled():
            self._note("application was cancelled")
        else:
            self._note("application ended")
        self._on_end()

    def note_use(self) -> None:
        """Note that the test which runs now uses the application."""
        if self._ending.closed:
            self._ending = ending_here()
            self._ending.add(self._watcher)

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
        self._end_by(lambda task: task.cancel())

    def abandon(self) -> None:
        """End the application; see :meth:`Peer.abandon`. From any thread."""
        self._end_by(_cancel_when_handled)

    def _end_by(self, end: "Callable[[asyncio.Task[Any]], object]") -> None:
        self._watcher.dropped = True
        # The loop may be closed already; then nothing is left to cancel.
        with suppress(RuntimeError):
            if _running_loop() is self._loop:
                end(self.task)
            else:
                self._loop.call_soon_threadsafe(end, self.task)

    async def cancel(self) -> bool:
        """Cancel the application, as :func:`end_tasks` does.

        Returns:
            Whether it let itself be cancelled. If not, it was ended by force.
        """
        self._cancelled = True
        return await end_tasks([self.task])

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that the application started and that go on without it."""
        return [task for task in self._watcher.tasks() if task is not self.task]

    def failed_tasks(self) -> list[tuple[str, BaseException]]:
        """Return the tasks of the application that failed with nobody waiting."""
        return self._watcher.failed_tasks()


def _cancel_when_handled(task: "asyncio.Task[Any]") -> None:
    loop = task.get_loop()
    # Where it is being cancelled already, the loop is at its end.
    if idle.is_supported(loop) and not (task.done() or task.cancelling()):
        # In a context of its own: it is no task of the test or of an application.
        loop.create_task(cancel_when_handled(task), context=Context())
    else:
        task.cancel()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
