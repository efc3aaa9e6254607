"""A WebSocket client that speaks frames: the verbs of ``channels.testing``.

Verbs call other verbs, which a subclass may have overridden, and the public methods of
the connection, never private ones.
"""

import asyncio
import json
import warnings
import weakref
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final, Self

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from chanx_testing.core import idle
from chanx_testing.core.client import errors, timeouts
from chanx_testing.core.client.application import (
    Application,
    ApplicationUnderTest,
    Peer,
)
from chanx_testing.core.client.assertions import (
    close_comes,
    data_of,
    still_at_work,
    unexpected,
    what_comes,
)
from chanx_testing.core.client.connection import Connection, disconnect_event
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame, FrameQueue
from chanx_testing.core.client.handshake import Closed, Handshake
from chanx_testing.core.client.language import Language
from chanx_testing.core.client.overridable import overridable_property
from chanx_testing.core.client.scope import websocket_scope
from chanx_testing.core.client.teardown import leave_after, note_started
from chanx_testing.core.client.timeouts import (
    ANSWER_SECONDS,
    QUIET_SECONDS,
    DefaultSeconds,
    deadline_after,
)
from chanx_testing.core.client.window import Window
from chanx_testing.core.hiding.handshake import remember_secrets_of
from chanx_testing.core.idle import Verdict
from chanx_testing.core.idle.waiting import engage
from chanx_testing.core.trace.showing import show_text
from chanx_testing.core.trace.transcript import Transcript
from chanx_testing.core.unawaited import (
    await_overrides,
    must_await,
    watch_test_of_unittest,
)

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

Headers = Iterable[tuple[bytes, bytes]]

# Made once: json.dumps() would make one for each message.
_ENCODER: Final = json.JSONEncoder(default=to_jsonable_python)


class FrameCommunicator:
    """A WebSocket client of an ASGI application that runs beside it, in the same loop.

    It may be made anywhere, also where no loop runs. The application starts with the
    first verb that needs it; until then :attr:`scope` may be changed. From then on the
    connection belongs to the event loop of that verb.

    Subclasses in test suites have attributes of their own, also private ones, whose
    names this class must not take. So it has one private attribute, and no private
    method.

    Args:
        application: The ASGI application.
        path: The path, with the query string; a full ``ws://`` URL is taken as well.
        headers: Pairs of name (lower case) and value, both bytes.
        subprotocols: The subprotocols that the client offers.
        spec_version: The version of the ASGI WebSocket specification for the scope.
        lifespan: Whether the application is started up before the connection and shut
            down after it. None: where it is known to have a lifespan; see
            :func:`~chanx_testing.core.client.lifespan.has_lifespan`. Inside a block of
            :func:`~chanx_testing.core.client.lifespan.lifespan` the block does so
            instead.
        message_types: Message classes to decode with.
        peer: What is at the other end. None: ``application``, in memory.

    Raises:
        TypeError: ``path`` is not a string, or the headers are not pairs of bytes.
    """

    receive_nothing_raises: bool = True
    """Whether :meth:`receive_nothing` fails where something is there. A subclass may
    set it to False to get a bool instead, as from ``channels.testing``."""

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Make the object, in a test that is one of ours from before it."""
        # Objects from before that are frozen, and no collection would find one. The
        # communicator itself must be found if it is dropped in a cycle.
        engage()
        return super().__new__(cls)

    def __init__(
        self,
        application: Application,
        path: str,
        headers: Headers | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | int | None = None,
        *,
        lifespan: bool | None = None,
        message_types: Iterable[type[BaseModel]] | None = None,
        peer: Peer | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"path must be a str, not {type(path).__name__}.")
        watch_test_of_unittest()
        if peer is None:
            peer = ApplicationUnderTest(application)
        self.application: Application = peer.application
        self.scope: dict[str, Any] = websocket_scope(
            path, headers, subprotocols, spec_version
        )
        remember_secrets_of(self.scope)
        handle = weakref.ref(self)
        language = Language(handle, message_types)
        self._chanx = Connection(handle, peer, self.scope, language, lifespan=lifespan)
        self.input_queue: asyncio.Queue[AsgiMessage] = self._chanx.input_queue
        self.output_queue: FrameQueue = self._chanx.output_queue

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A verb that a subclass overrides is a verb.
        await_overrides(cls)

    # Hooks.

    def application_guard(self) -> AbstractContextManager[Any]:
        """Return a context that is open for the whole life of the application.

        It must not hold the communicator.
        """
        return nullcontext()

    def rejection_hint(self) -> str:
        """Return a sentence on why the application may refuse this handshake, or ''."""
        return ""

    def timeout_scale(self) -> float:
        """Return the factor for time limits that the caller did not choose."""
        return timeouts.environment_scale() or 1.0

    # Attributes.

    @property
    def future(self) -> "asyncio.Task[Any]":
        """The task of the application; the first look at it starts the application."""
        return running(self).peer.task

    @overridable_property
    def transcript(self) -> Transcript:
        """What was said, for failures to show."""
        return self._chanx.transcript

    @overridable_property
    def response_headers(self) -> list[tuple[bytes, bytes]] | None:
        """The headers of the accepted handshake; None before it."""
        return self._chanx.response_headers

    @overridable_property
    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop that the application runs on; None until it starts."""
        return self._chanx.event_loop

    @overridable_property
    def closed(self) -> Closed | None:
        """How the application closed the connection, or None while it has not."""
        return self._chanx.closed

    # Verbs: raw ASGI.

    @must_await
    async def send_input(self, message: AsgiMessage) -> None:
        """Give one ASGI message to the application; it starts if it has not yet.

        Args:
            message: A dict with a ``type``.

        Raises:
            Exception: What the application raised, if it has crashed.
            WrongEventLoop: The application runs on another loop.
        """
        await running(self).send(message)

    @must_await
    async def receive_output(
        self, timeout: float | None = ANSWER_SECONDS
    ) -> AsgiMessage:
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
        connection = self._chanx
        deadline = deadline_after(timeout, self.timeout_scale)
        return await connection.take(deadline, "a frame")

    # Verbs: the connection.

    @must_await
    async def connect(self, timeout: float | None = ANSWER_SECONDS) -> Handshake:
        """Open the connection and let the application come to rest.

        An application with a lifespan is started up first.

        Args:
            timeout: Seconds for the answer; None for no limit.

        Returns:
            A pair: ``(True, subprotocol or None)`` when accepted; ``(False, code)``
            when rejected, with the close code or the HTTP status of a denial response.
            It also has the headers, status and body of the answer; see
            :class:`~chanx_testing.core.testing.Handshake`.

        Raises:
            NothingCame: A ``TimeoutError``: no answer in time, or none can come.
            ProtocolError: The application sent something other than an answer.
            AssertionError: It chose a subprotocol that was not offered.
            LifespanError: The application failed its startup.
            RuntimeError: The connection was opened before.
            Exception: What the application raised.
        """
        connection = prepared(self)
        connection.open()
        await connection.lifespan.start(self.application, connection.scope)
        # What the application needs is made here, with all the packages that it
        # imports: the time limit is for the application alone.
        running(self)
        deadline = deadline_after(timeout, self.timeout_scale)
        await self.send_input({"type": "websocket.connect"})
        found = await connection.peek(deadline)
        if not isinstance(found, Frame):
            raise connection.nothing_came(
                "the application to accept or close the connection", deadline, found
            )
        answer = await self.receive_output(deadline.remaining())
        handshake = await connection.read_handshake(answer, deadline)
        await connection.settle(deadline)
        return handshake

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectionRejected: The handshake was refused.
        """
        try:
            await self.connect()
        except BaseException as failure:
            await leave_after(self, self._chanx.transcript.name, failure)
            raise
        connection = self._chanx
        # Not what connect() returned: in a subclass that may be anything.
        if not connection.accepted:
            closed = connection.closed or Closed(code=1000, accepted=False)
            error = errors.ConnectionRejected(
                f"Expected the connection to {connection.transcript.path} to be "
                f"accepted, but it was {closed}. "
                f"To test a rejection use "
                f"'accepted, code = await communicator.connect()'. "
                f"{self.rejection_hint()}".rstrip()
            )
            error.code, error.reason = closed.code, closed.reason
            connection.add_transcript(error)
            await leave_after(self, self._chanx.transcript.name, error)
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
        self._chanx.add_transcript(exc)
        await leave_after(self, self._chanx.transcript.name, exc)

    @must_await
    async def disconnect(
        self,
        code: int = 1000,
        timeout: float | None = ANSWER_SECONDS,
        *,
        reason: str = "",
    ) -> None:
        """Leave, let the application end, and raise what nobody has seen yet.

        Works in every state, and any number of times. Before the connection was opened,
        and after the application has ended, it only raises what is left to raise.

        Args:
            code: The close code that the application receives.
            timeout: Seconds for the application to end; None for no limit.
            reason: The close reason that the application receives.

        Raises:
            ApplicationHangs: A ``TimeoutError``: it did not end; it is cancelled then.
            Exception: What the application raised and no verb has raised before: what
                ended it, what a handler raised whose error frame the test did not
                receive, or what a task raised that it started.
            AssertionError: :meth:`expect_errors` was called and none came.
        """
        connection = self._chanx
        found: list[BaseException] = []
        if connection.started:
            connection.require_own_loop(to_end=True)
            if not connection.ended:
                try:
                    deadline = deadline_after(timeout, self.timeout_scale)
                    if not connection.disconnect_sent:
                        connection.left = code
                        await self.send_input(disconnect_event(code, reason))
                    await connection.wait_for_end(deadline)
                except Exception as error:
                    found.append(error)
            found += [error for error in self.unseen_errors() if error not in found]
        try:
            await connection.lifespan.stop()
        except Exception as error:
            found.append(error)
        # Last: what failed in a lifespan may be what was expected.
        found += connection.unmet_expectation()
        errors.raise_first(found)

    @must_await
    async def wait(self, timeout: float | None = ANSWER_SECONDS) -> None:
        """Let the application finish what it is doing.

        Returns when the application has ended or is proved to be at rest; where rest
        cannot be proved, when the time is over.

        Args:
            timeout: Seconds; None for no limit.

        Raises:
            ApplicationHangs: A ``TimeoutError``: it is still working; it is not
                cancelled.
            Exception: What the application raised.
        """
        connection = running(self)
        deadline = deadline_after(timeout, self.timeout_scale)
        while not connection.ended:
            verdict = await connection.output_queue.change(deadline)
            if verdict is None:
                continue
            if verdict or await connection.cannot_prove_rest(verdict):
                return
            if not connection.ended:
                raise connection.with_transcript(
                    errors.ApplicationHangs(
                        f"Expected the application to end or to come to rest "
                        f"{deadline}, but it goes on ({verdict})."
                    )
                )
        connection.raise_crash()

    @must_await
    async def wait_until_idle(self, timeout: float | None = ANSWER_SECONDS) -> Verdict:
        """Wait until it is proved that nothing more can come.

        Args:
            timeout: The seconds to wait at most, and how far ahead the proof looks.

        Returns:
            A verdict: true when nothing can happen on this loop before the deadline,
            otherwise false; its ``reasons`` say what could still happen, or why nothing
            can be proved.
        """
        deadline = deadline_after(timeout, self.timeout_scale)
        return await idle.wait_until_idle(deadline.remaining())

    def stop(self, exceptions: bool = True) -> None:
        """Cancel the application where it runs.

        Args:
            exceptions: Whether to raise what the application raised, if it has ended.
        """
        connection = self._chanx
        if not connection.started:
            return
        if not connection.ended:
            connection.peer.stop()
        elif exceptions:
            connection.raise_crash()

    def __del__(self) -> None:
        """Cancel the application of a communicator that nobody holds any more."""
        # It is missing where the constructor has failed.
        connection = vars(self).get("_chanx")
        if connection is not None:
            connection.abandon()

    # Verbs: frames of data.

    @must_await
    async def send_to(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Send one frame, of text or of bytes; it may be empty.

        A real client does not know of a close that it has not received yet. So a frame
        that is sent before the test receives the close is dropped.

        Raises:
            ValueError: Neither or both were given.
            TypeError: The data is not of its type.
            NotConnected: The handshake has not been sent yet.
            ConnectionIsClosed: The test has received the close, or has left itself.
            Exception: What the application raised, if it has crashed.
        """
        if (text_data is None) == (bytes_data is None):
            raise ValueError("Give send_to() either text_data or bytes_data, not both.")
        if text_data is not None and not isinstance(text_data, str):
            raise TypeError(f"text_data must be a str, not {type(text_data).__name__}.")
        if bytes_data is not None and not isinstance(bytes_data, bytes):
            raise TypeError(
                f"bytes_data must be bytes, not {type(bytes_data).__name__}."
            )
        connection = self._chanx
        connection.require_open()
        message: AsgiMessage = {"type": "websocket.receive"}
        if text_data is not None:
            message["text"] = text_data
        else:
            message["bytes"] = bytes_data
        if not connection.drops(message):
            await self.send_input(message)

    @must_await
    async def send_bytes(self, data: bytes) -> None:
        """Send one binary frame; see :meth:`send_to`."""
        await self.send_to(bytes_data=data)

    @must_await
    async def send_json_to(self, data: Any) -> None:
        """Send ``data`` as JSON in a text frame.

        Pydantic writes what JSON has no type for: UUID, datetime, Decimal, Enum,
        models.

        Raises:
            TypeError: The data cannot be written as JSON.
        """
        await self.send_to(text_data=_ENCODER.encode(data))

    @must_await
    async def receive_from(self, timeout: float | None = ANSWER_SECONDS) -> str | bytes:
        """Take the next frame of data.

        Returns:
            A str or bytes, as the application sent it.

        Raises:
            AssertionError: The application closed the connection instead, or sent a
                frame that is not exactly one of text and bytes.
        """
        message = await self.receive_output(timeout)
        try:
            return data_of(message)
        except AssertionError as error:
            self._chanx.add_transcript(error)
            raise

    @must_await
    async def receive_json_from(self, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Take the next frame, which must be text, and decode it as JSON.

        Raises:
            AssertionError: It is not text, or not JSON.
        """
        payload = await self.receive_from(timeout)
        connection = self._chanx
        if not isinstance(payload, str):
            raise connection.with_transcript(
                AssertionError(
                    f"Expected a text frame with JSON, but got {len(payload)} bytes."
                )
            )
        try:
            return json.loads(payload)
        except (ValueError, RecursionError) as error:
            failure = AssertionError(
                f"Expected JSON in the frame, but {error}: {show_text(payload)}"
            )
            connection.add_transcript(failure)
            raise failure from error

    @must_await
    async def receive_nothing(
        self,
        timeout: float | None = QUIET_SECONDS,
        interval: float = 0.01,
    ) -> bool:
        """Assert that nothing comes; nothing is taken.

        Ends as soon as it is proved that nothing can come. Completion signals do not
        count; a close by the application does.

        The default window goes on, for up to a second, while work of the application is
        under way that must end, such as a job in a thread. Where it still goes on then,
        a ``UserWarning`` says so, and which.

        Args:
            timeout: The seconds in which nothing may come. Given, they are not
                stretched.
            interval: Accepted for code that passes it; there is no polling.

        Returns:
            True. False where something is there, if :attr:`receive_nothing_raises` is
            False.

        Raises:
            UnexpectedFrame: An ``AssertionError``: something is there.
            NotConnected: The connection was never opened, or was refused. (If
                :attr:`receive_nothing_raises` is False: it was never opened.)
            Exception: What the application raised, if it has ended with it.
        """
        connection = self._chanx
        deadline = deadline_after(timeout, self.timeout_scale)
        longest = None
        if isinstance(timeout, DefaultSeconds):
            longest = deadline_after(ANSWER_SECONDS, self.timeout_scale)
        window = Window(deadline, longest)
        found = await what_comes(connection, window)
        if self.receive_nothing_raises:
            if found:
                raise unexpected(connection, found)
            connection.require_connected()
        if window.unfinished:
            warnings.warn(still_at_work(connection, window), stacklevel=2)
        return not found

    @must_await
    async def assert_closed(
        self,
        code: int | None = None,
        reason: str | None = None,
        timeout: float | None = ANSWER_SECONDS,
    ) -> Closed:
        """Assert that the application closes the connection; take what came before.

        Args:
            code: The close code it must have; None for any.
            reason: The close reason it must have; None for any.
            timeout: Seconds to wait for the close.

        Returns:
            The close, with the messages that came before it and were not received.

        Raises:
            AssertionError: It does not close it, or with another code or reason.
            Exception: What the application raised instead.
        """
        connection = self._chanx
        deadline = deadline_after(timeout, self.timeout_scale)
        return await close_comes(connection, deadline, code, reason)

    # What a test, and whoever runs it, may ask.

    def expect_errors(self, *types: type[BaseException]) -> None:
        """Expect errors of the application that the test need not receive.

        From now on an exception in a handler, in the application or in a task that it
        started no longer fails the test; the test fails if none occurs. A verb that
        runs into one still raises it.

        Args:
            types: The classes of exceptions that are expected; none given: any.

        Raises:
            TypeError: One of them is not a class of exceptions.
        """
        self._chanx.failures.expect(types)

    def unseen_errors(self) -> list[BaseException]:
        """Take the errors of the application that the test has not seen.

        Returns:
            The exceptions, most important first, each with the transcript; those that
            :meth:`expect_errors` lets pass are left out. A second call returns only
            what came since.
        """
        return self._chanx.unseen_errors()

    def leftover_tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that the application started and that outlive it."""
        connection = self._chanx
        return connection.peer.leftover_tasks() if connection.started else []

    def add_transcript(self, error: BaseException) -> None:
        """Add what was said on this connection to ``error``, as a note, once."""
        self._chanx.transcribe(error)


# What the verbs share. These are functions, as a subclass may have the name of a method
# for something of its own.


def prepared(communicator: FrameCommunicator) -> Connection:
    """Return the connection of a communicator, which is about to start.

    Until then the test may change the scope, and the application too.
    """
    connection = communicator._chanx
    if not connection.started:
        connection.scope = communicator.scope
        connection.peer.application = communicator.application
    return connection


def running(communicator: FrameCommunicator) -> Connection:
    """Return the connection of a communicator, its application started on this loop.

    Raises:
        WrongEventLoop: The application runs on another loop.
    """
    connection = prepared(communicator)
    if not connection.started:
        connection.start(communicator.application_guard())
        note_started(communicator)
    connection.require_own_loop()
    return connection
