"""The life of one WebSocket connection: handshake, waits, errors, end.

What a server and an application may say to each other is in the ASGI specification,
"WebSocket", https://asgi.readthedocs.io/en/latest/specs/www.html#websocket
"""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from chanx_testing.core.client import errors
from chanx_testing.core.client.application import (
    ApplicationUnderTest,
)
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.lifespan import (
    Lifespan,
    has_lifespan,
    shared_lifespan,
)
from chanx_testing.core.client.link import Closed, disconnect_event
from chanx_testing.core.client.timeouts import ONE_SECOND, Deadline
from chanx_testing.core.client.watched import ENDLESS, Watched, kept
from chanx_testing.core.observe.reports import ticks
from chanx_testing.core.trace.showing import show_error

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


@contextmanager
def connections_kept() -> Iterator[list["Connection"]]:
    """Hold every connection that starts while the block runs, whoever made it.

    A connection that nobody holds is gone at once, and its application is cancelled
    instead of told of the end. A test case that ends its connections itself needs them.

    Yields:
        The connections, in the order in which they started.
    """
    connections: list[Connection] = []
    token = kept.set(connections)
    try:
        yield connections
    finally:
        kept.reset(token)


class Connection(Watched):
    """A WebSocket client of an ASGI application that runs beside it, in the same loop.

    It may be made anywhere, also where no loop runs. The application starts with the
    first verb that needs it; until then :attr:`scope` may be changed. From then on the
    connection belongs to that event loop.

    Args:
        application: The ASGI application.
        path: The path, with the query string; a full ``ws://`` URL is taken as well.
        headers: Pairs of name (lower case) and value, both bytes.
        subprotocols: The subprotocols that the client offers.
        spec_version: The version of the ASGI WebSocket specification for the scope.
        lifespan: Whether the application is started up before the connection and shut
            down after it. None: where it is known to have a lifespan; see
            :func:`~chanx_testing.core.client.lifespan.has_lifespan`. Inside a block of
            :func:`~chanx_testing.core.client.lifespan.lifespan` it never is.

    Attributes:
        scope: The ASGI connection scope, live until the application starts.
        input_queue: The ASGI messages that the application has not read yet.
        output_queue: The ASGI messages that the test has not received yet.
        response_headers: The headers of the accepted handshake; None before it.
        transcript: What was said, for failures.
        event_loop: The loop that the application runs on; None until it starts.

    Raises:
        TypeError: ``path`` is not a string.
    """

    # Verbs: raw ASGI.

    async def send_input(self, message: AsgiMessage) -> None:
        """Give one ASGI message to the application; it starts if it has not yet.

        Args:
            message: A dict with a ``type``.

        Raises:
            Exception: What the application raised, if it has crashed.
            WrongEventLoop: The application runs on another loop.
        """
        if self._on_own_loop().ended:
            self._raise_crash()
        self.transcript.add("→", message)
        ticks.stimulate()
        self._sent_at = ticks.last_stimulus
        if message.get("type") == "websocket.disconnect":
            self._link_state.told = True
        await self.input_queue.put(message)

    async def receive_output(self, timeout: float | None = ONE_SECOND) -> AsgiMessage:
        """Take the next ASGI message of the application.

        A timeout leaves the application alive. Cancelling is safe: no message is lost.

        Args:
            timeout: Seconds; None for no limit.

        Returns:
            The message as the application sent it.

        Raises:
            NothingCame: A ``TimeoutError``: none came in time, or none can come.
            Exception: What the application raised, once its messages are taken.
        """
        return await self._take_frame(self._deadline_after(timeout), "a frame")

    async def _take_frame(self, deadline: Deadline, expected: str) -> AsgiMessage:
        found = await self._peek_frame(deadline)
        if isinstance(found, Frame):
            return self.output_queue.get_nowait()
        raise self._nothing_came(expected, deadline, found)

    # Verbs: the connection.

    async def connect(self, timeout: float | None = ONE_SECOND) -> Handshake:
        """Open the connection and let the application come to rest.

        An application with a lifespan is started up first.

        Args:
            timeout: Seconds for the answer; None for no limit.

        Returns:
            A pair: ``(True, subprotocol or None)`` when accepted; ``(False, code)``
            when rejected, with the close code or the HTTP status of a denial response.
            It knows the headers, status and body of the answer too; see
            :class:`~chanx_testing.core.client.handshake.Handshake`.

        Raises:
            NothingCame: A ``TimeoutError``: no answer in time, or none can come.
            ProtocolError: The application sent something else than an answer.
            AssertionError: It chose a subprotocol that is none of those offered.
            LifespanError: The application failed its startup.
            RuntimeError: The connection was opened before.
            Exception: What the application raised.
        """
        if self._link_state.opened:
            raise RuntimeError(
                f"connect() was called twice on {self.transcript.name} "
                f"({self.transcript.path}). A communicator is one connection: make "
                f"another one for a second."
            )
        self._link_state.opened = True
        deadline = self._deadline_after(timeout)
        await self._start_lifespan()
        await self.send_input({"type": "websocket.connect"})
        found = await self._peek_frame(deadline)
        if not isinstance(found, Frame):
            raise self._nothing_came(
                "the application to accept or close the connection", deadline, found
            )
        answer = await self.receive_output(deadline.remaining())
        handshake = await self._read_handshake(answer, deadline)
        await self._let_settle(deadline)
        return handshake

    async def _start_lifespan(self) -> None:
        shared = shared_lifespan(self.application)
        if shared is not None:
            self.scope["state"] = {**shared.state, **self.scope.get("state", {})}
            return
        wanted = self._wants_lifespan
        if wanted is None:
            wanted = has_lifespan(self.application)
        if wanted:
            lifespan = Lifespan(self.application)
            await lifespan.startup()
            self._own_lifespan = lifespan
            self.scope["state"] = {**lifespan.state, **self.scope.get("state", {})}

    async def _stop_lifespan(self) -> None:
        lifespan, self._own_lifespan = self._own_lifespan, None
        if lifespan is not None:
            await lifespan.shutdown()

    async def _read_handshake(
        self, answer: AsgiMessage, deadline: Deadline
    ) -> Handshake:
        headers = list(answer.get("headers") or [])
        match answer["type"]:
            case "websocket.accept":
                self.response_headers = headers
                chosen, offered = answer.get("subprotocol"), self.scope["subprotocols"]
                if chosen is not None and offered and chosen not in offered:
                    raise self._with_transcript(
                        AssertionError(
                            f"Expected the application to choose a subprotocol that "
                            f"the client offers ({', '.join(offered)}), but it chose "
                            f"{chosen!r}: a browser fails such a connection (RFC 6455, "
                            f"section 4.1)."
                        )
                    )
                return Handshake.accept(chosen, headers)
            case "websocket.close":
                code = answer.get("code") or 1000
                return Handshake.refuse(code, answer.get("reason") or "")
        body, more = b"", True
        while more:
            part = await self._take_frame(deadline, "the body of the denial response")
            body += part.get("body") or b""
            more = bool(part.get("more_body"))
        handshake = Handshake.deny(answer["status"], headers, body)
        self._link_state.closed = Closed(code=handshake.status, accepted=False)
        self._tell_of_end(1006)
        return handshake

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectionRejected: The handshake was refused.
        """
        try:
            await self.connect()
        except BaseException as failure:
            await self._leave_after(failure)
            raise
        # Not what connect() gave: a subclass may have it return what it likes.
        if not self._link_state.accepted:
            closed = self._link_state.closed or Closed(code=1000, accepted=False)
            error = errors.ConnectionRejected(
                f"Expected the connection to {self.transcript.path} to be accepted, "
                f"but it was {closed}. "
                f"To test a rejection use "
                f"'accepted, code = await communicator.connect()'. "
                f"{self.rejection_hint()}".rstrip()
            )
            error.code, error.reason = closed.code, closed.reason
            self.add_transcript(error)
            await self._leave_after(error)
            raise error
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect; a failure of the block stays the headline."""
        if exc is None:
            await self.disconnect()
            return
        self.add_transcript(exc)
        await self._leave_after(exc)

    async def _leave_after(self, headline: BaseException) -> None:
        """Disconnect after a failure, which stays the headline."""
        try:
            await self.disconnect()
        except asyncio.CancelledError:
            raise
        # Whatever the application raised, SystemExit too, comes out of disconnect().
        except BaseException as error:
            if error is not headline:
                headline.add_note(
                    f"While {self.transcript.name} was disconnected afterwards: "
                    f"{show_error(error)}"
                )

    async def disconnect(
        self,
        code: int = 1000,
        timeout: float | None = ONE_SECOND,
        *,
        reason: str = "",
    ) -> None:
        """Leave, let the application end, and raise what nobody has seen yet.

        Works in every state, and any number of times: before the connection was opened
        and after the application has ended there is nothing to do but to report.

        Args:
            code: The close code that the application is told.
            timeout: Seconds for the application to end; None for no limit.
            reason: The close reason that the application is told.

        Raises:
            ApplicationHangs: A ``TimeoutError``: it did not end; it is cancelled then.
            Exception: What the application raised and no verb has raised before: in
                itself, in a handler whose error frame the test did not receive, or in a
                task that it started.
            AssertionError: :meth:`expect_errors` was called and none came.
        """
        found: list[BaseException] = []
        if self._under_test is not None:
            running = self._on_own_loop(to_end=True)
            if not running.ended:
                try:
                    await self._leave_and_end(
                        running, self._deadline_after(timeout), code, reason
                    )
                except Exception as error:
                    found.append(error)
            found += [error for error in self.unseen_errors() if error not in found]
            found += self._unmet_expectation()
        try:
            await self._stop_lifespan()
        except Exception as error:
            found.append(error)
        errors.raise_first(found)

    async def _leave_and_end(
        self, running: ApplicationUnderTest, deadline: Deadline, code: int, reason: str
    ) -> None:
        if not self._link_state.told:
            self._link_state.left = code
            await self.send_input(disconnect_event(code, reason))
        await self._wait_for_end(running, deadline)

    async def _wait_for_end(
        self, running: ApplicationUnderTest, deadline: Deadline
    ) -> None:
        while not running.ended:
            verdict = await self._wait_for_change(deadline)
            if verdict is None and deadline.over:
                verdict = ENDLESS
            if verdict is not None and not running.ended:
                error = errors.ApplicationHangs(
                    f"Expected the application to end {deadline} after the disconnect, "
                    f"but it goes on ({verdict}; {running.describe()}). Let it return "
                    f"when it receives websocket.disconnect."
                )
                self.add_transcript(error)
                if not await running.cancel():
                    error.add_note(
                        "It does not end when it is cancelled either: somewhere it "
                        "catches CancelledError and does not raise it again."
                    )
                raise error
        await self._let_settle(deadline)

    def unseen_errors(self) -> list[BaseException]:
        """Take the errors of the application that the test has not seen.

        Returns:
            The exceptions, most important first, each with the transcript; those that
            :meth:`expect_errors` lets pass are left out. A second call returns only
            what came since.
        """
        if self._under_test is None:
            return []
        unseen = self._under_test.unseen_errors()
        found = [
            error for error in unseen if not isinstance(error, self._expected_errors)
        ]
        self._expectation_met |= len(found) < len(unseen)
        for error in found:
            self.add_transcript(error)
        return found

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that the application started and that outlive it."""
        return self._under_test.leftover_tasks() if self._under_test is not None else []

    async def wait(self, timeout: float | None = ONE_SECOND) -> None:
        """Let the application finish what it is at.

        Returns when the application has ended or is proved to be at rest; where rest
        cannot be proved, when the time is over.

        Args:
            timeout: Seconds; None for no limit.

        Raises:
            ApplicationHangs: A ``TimeoutError``: it is still at work; it goes on.
            Exception: What the application raised.
        """
        running = self._on_own_loop()
        deadline = self._deadline_after(timeout)
        while not running.ended:
            verdict = await self._wait_for_change(deadline)
            if verdict is None and deadline.over:
                verdict = ENDLESS
            if verdict or (verdict is not None and await self._cannot_tell(verdict)):
                return
            if verdict is not None and not running.ended:
                raise self._with_transcript(
                    errors.ApplicationHangs(
                        f"Expected the application to end or to come to rest "
                        f"{deadline}, but it goes on ({verdict})."
                    )
                )
        self._raise_crash()

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application where it runs.

        Args:
            exceptions: Raise what it raised, where it has ended.
        """
        if self._under_test is None:
            return
        if not self._under_test.ended:
            self._under_test.task.cancel()
        elif exceptions:
            self._raise_crash()

    def __del__(self) -> None:
        """Cancel the application of a connection that nobody holds any more."""
        running = getattr(self, "_under_test", None)
        if running is not None and not running.ended:
            # The loop may be closed already; then nothing is left to cancel. And the
            # garbage may be collected in a thread, which must not touch the loop.
            with contextlib.suppress(RuntimeError):
                if asyncio._get_running_loop() is running.loop:
                    running.task.cancel()
                else:
                    running.loop.call_soon_threadsafe(running.task.cancel)
