"""The life of one WebSocket connection: handshake, waits, errors, end.

What a server and an application may say to each other is in the ASGI specification,
"WebSocket", https://asgi.readthedocs.io/en/latest/specs/www.html#websocket
"""

import asyncio
import contextlib
import functools
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, overload

from chanx_testing.core import idle
from chanx_testing.core.client import errors, timeouts
from chanx_testing.core.client.application import (
    ApplicationUnderTest,
    show_error,
    single_callable,
)
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame, FrameQueue
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.lifespan import (
    Lifespan,
    has_lifespan,
    shared_lifespan,
)
from chanx_testing.core.client.rules import EXTENSION as DENIAL
from chanx_testing.core.client.rules import Rules
from chanx_testing.core.client.scope import websocket_scope
from chanx_testing.core.client.timeouts import ONE_SECOND, Deadline, DefaultSeconds
from chanx_testing.core.idle import Verdict, VerdictKind
from chanx_testing.core.observe import ticks, watcher
from chanx_testing.core.transcript import (
    Transcript,
    add_transcript,
    show_path,
)

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

Application = Callable[..., Any]
Headers = Iterable[tuple[bytes, bytes]]
_E = TypeVar("_E", bound=BaseException)
_P = ParamSpec("_P")
_T = TypeVar("_T")

SETTLE_SECONDS: Final = 0.1
"""How long a step may take to rest where an outside descriptor forbids proof."""

UNREAD_FRAMES: Final = 1000
"""After so many frames that nobody has taken an application lets others run."""

ENDLESS: Final = Verdict(
    VerdictKind.DEADLINE, ("the application sends one frame after the other",)
)
"""The verdict where no wait came to its end, because each ended with a frame."""

_kept: ContextVar["list[Connection] | None"] = ContextVar(
    "chanx_testing_kept", default=None
)


@dataclass(frozen=True)
class Closed:
    """How the application closed the connection.

    Attributes:
        code: The close code; 1000 where the application gave none.
        reason: The close reason, empty where none was given.
        accepted: False where the handshake was refused.
        messages: The ASGI messages that came before the close and were not received.
    """

    code: int
    reason: str = ""
    accepted: bool = True
    messages: tuple[AsgiMessage, ...] = ()

    def __str__(self) -> str:
        """Return it as the end of a sentence that begins with "the connection was"."""
        verb = "closed" if self.accepted else "rejected"
        reason = f" ({self.reason!r})" if self.reason else ""
        return f"{verb} by the application with code {self.code}{reason}"


@dataclass
class Link:
    """How far the connection has come."""

    opened: bool = False
    """The client sent its handshake."""
    accepted: bool = False
    """The application accepted it."""
    closed: Closed | None = None
    """The application closed the connection."""
    left: int | None = None
    """The client left, with this code."""
    told: bool = False
    """The application was told of the end."""


class Yielding(Generic[_T]):
    """A property that gives way to an attribute of the same name.

    Subclasses in test suites have attributes of their own, and were written before
    this class had its: ``self.closed = True`` must not be an error there.

    Args:
        getter: What computes the value.
    """

    def __init__(self, getter: Callable[[Any], _T]) -> None:
        self._getter = getter
        self.__doc__ = getter.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> Self | _T:
        """Return the value for ``instance``."""
        return self if instance is None else self._getter(instance)


@contextmanager
def connections_kept() -> Iterator[list["Connection"]]:
    """Hold every connection that starts while the block runs, whoever made it.

    A connection that nobody holds is gone at once, and its application is cancelled
    instead of told of the end. A test case that ends its connections itself needs them.

    Yields:
        The connections, in the order in which they started.
    """
    connections: list[Connection] = []
    token = _kept.set(connections)
    try:
        yield connections
    finally:
        _kept.reset(token)


def weakly(method: Callable[_P, None]) -> Callable[_P, None]:
    """Return a function that calls a bound method for as long as its object lives."""
    reference = weakref.WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if (alive := reference()) is not None:
            alive(*args, **kwargs)

    return call


def disconnect_event(code: int, reason: str) -> AsgiMessage:
    """Return what an application is told when its connection has ended."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def end_was_read(link: Link, queue: "asyncio.Queue[AsgiMessage]") -> bool:
    """Return whether the application knows that its connection has ended.

    The queue itself is a plain one: a failure names what the application waits in, and
    a class of this package is not what anybody looks for there.
    """
    return link.told and queue.empty()


async def send_by_rules(rules: Rules, queue: FrameQueue, message: AsgiMessage) -> None:
    """Be the ``send`` of an application.

    Raises:
        ProtocolError: The application may not send that, or not now.
    """
    rules.check(message)
    await queue.put(message)
    # A server makes an application wait whose client does not read. Here it must at
    # least let the test run, which could not even end it otherwise.
    if queue.qsize() % UNREAD_FRAMES == 0:
        await asyncio.sleep(0)


def raise_first(found: list[BaseException]) -> None:
    """Raise the first of several errors; the others become notes on it."""
    if not found:
        return
    first, *others = found
    for other in others:
        first.add_note(f"Also raised: {show_error(other)}")
    raise first


class Connection:
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

    action_key: str = "action"
    """The key that tells one JSON message from another."""

    def __init__(
        self,
        application: Application,
        path: str,
        headers: Headers | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | int | None = None,
        *,
        lifespan: bool | None = None,
    ) -> None:
        if not isinstance(path, str):
            raise TypeError(f"path must be a str, not {type(path).__name__}: {path!r}.")
        self.application: Application = single_callable(application)
        self.scope: dict[str, Any] = websocket_scope(
            path, headers, subprotocols, spec_version
        )
        self.response_headers: list[tuple[bytes, bytes]] | None = None
        query = self.scope["query_string"].decode("utf-8")
        self.transcript = Transcript(show_path(self.scope["path"], query))
        self.event_loop: asyncio.AbstractEventLoop | None = None
        self.input_queue: asyncio.Queue[AsgiMessage] = asyncio.Queue()
        self.output_queue: FrameQueue = FrameQueue(
            on_put=weakly(self._frame_came), on_get=weakly(self._frame_taken)
        )
        self._link_state = Link()
        self._asgi_rules = Rules()
        self._own_lifespan: Lifespan | None = None
        self._under_test: ApplicationUnderTest | None = None
        self._frame_waiters: set[asyncio.Future[None]] = set()
        self._expected_errors: tuple[type[BaseException], ...] = ()
        self._expectation_met = False
        self._wants_lifespan = lifespan
        self._sent_at = 0

    # Hooks.

    def application_guard(self) -> AbstractContextManager[Any]:
        """Return a context that is open for the whole life of the application."""
        return nullcontext()

    def rejection_hint(self) -> str:
        """Return a sentence on why the application may refuse this handshake, or ''."""
        return ""

    def timeout_scale(self) -> float:
        """Return the factor for time limits that the caller did not choose."""
        return timeouts.environment_scale() or 1.0

    # The application.

    @property
    def future(self) -> "asyncio.Task[Any]":
        """The task of the application; the first look at it starts the application."""
        return self._ensure_started().task

    @Yielding
    def closed(self) -> Closed | None:
        """How the application closed the connection, or None while it has not."""
        return self._link_state.closed

    def expect_errors(self, *types: type[BaseException]) -> None:
        """Expect errors of the application that the test need not receive.

        From now on an exception in a handler, in the application or in a task that it
        started does not fail the test at the end of the connection; that none came
        fails it. One that a verb meets is raised there all the same.

        Args:
            types: The classes of exceptions that are expected; none given: any.

        Raises:
            TypeError: One of them is no class of exceptions.
        """
        for kind in types:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(
                    f"expect_errors() takes classes of exceptions, not {kind!r}."
                )
        self._expected_errors += types or (BaseException,)

    def _unmet_expectation(self) -> list[BaseException]:
        """Return what fails the test if it expected errors and none came."""
        running = self._under_test
        if running is None or not self._expected_errors or self._expectation_met:
            return []
        self._expectation_met = True  # asked once
        came = [failure.error for failure in running.failures]
        if any(
            isinstance(e, self._expected_errors) for e in (*came, running.crash) if e
        ):
            return []
        names = ", ".join(kind.__name__ for kind in self._expected_errors)
        return [
            self._with_transcript(
                AssertionError(
                    f"Expected errors of the application ({names}), but none came. "
                    f"Leave expect_errors() out, or look at what the test sends."
                )
            )
        ]

    def _ensure_started(self) -> ApplicationUnderTest:
        if self._under_test is None:
            self.event_loop = asyncio.get_running_loop()
            self.transcript.restart()
            self._asgi_rules.denial = DENIAL in (self.scope.get("extensions") or {})
            self._under_test = ApplicationUnderTest(
                self.application,
                self.scope,
                self.input_queue.get,
                functools.partial(send_by_rules, self._asgi_rules, self.output_queue),
                guard=self.application_guard(),
                end_was_read=functools.partial(
                    end_was_read, self._link_state, self.input_queue
                ),
                on_end=weakly(self._wake_waiters),
                note=functools.partial(self.transcript.add, "·"),
            )
            if (connections := _kept.get()) is not None:
                connections.append(self)
        return self._under_test

    def _on_own_loop(self, *, to_end: bool = False) -> ApplicationUnderTest:
        """Return the application, started if need be.

        Args:
            to_end: Only to end it, for which it may have ended with its loop.

        Raises:
            WrongEventLoop: It runs on another loop than this one, or ended with it.
        """
        running = self._ensure_started()
        if self.event_loop is not asyncio.get_running_loop() and not (
            running.ended and (to_end or not running.task.cancelled())
        ):
            raise errors.WrongEventLoop(
                f"{self.transcript.name} ({self.transcript.path}) was connected on "
                f"another event loop than the one that runs now, and its application "
                f"lives there. Each async_to_sync() call and each asyncio.run() has a "
                f"loop of its own: write the test as 'async def', or put the whole "
                f"conversation into one async function, for one async_to_sync()."
            )
        return running

    # What the application sends, seen as a server sees it.

    def _frame_came(self, frame: Frame) -> None:
        message = frame.message
        self.transcript.add("←", message)
        link, running = self._link_state, self._under_test
        if frame.type == "websocket.accept":
            link.accepted = True
        elif frame.type == "websocket.close" and link.closed is None:
            link.closed = Closed(
                code=message.get("code") or 1000,
                reason=message.get("reason") or "",
                accepted=link.accepted,
            )
            # A server tells the application of the end also when the application itself
            # brought it about; its code for a refused handshake is 1006.
            if link.accepted:
                self._tell_of_end(link.closed.code, link.closed.reason)
            else:
                self._tell_of_end(1006)
        elif (
            running is not None
            and (failure := running.unanswered_failure())
            and frame.action(self.action_key) == "error"
        ):
            failure.answered = True
            frame.failure = failure
        self._wake_waiters()

    def _frame_taken(self, frame: Frame) -> None:
        if frame.failure is not None:
            frame.failure.seen = True

    def _tell_of_end(self, code: int, reason: str = "") -> None:
        if not self._link_state.told:
            self._link_state.told = True
            self.input_queue.put_nowait(disconnect_event(code, reason))

    # Waiting.

    def _wake_waiters(self) -> None:
        for waiter in self._frame_waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _deadline_after(self, timeout: float | None) -> Deadline:
        if timeout is None or timeouts.debugging():
            return Deadline(None)
        if isinstance(timeout, DefaultSeconds):
            timeout *= self.timeout_scale()
        elif not isinstance(timeout, int | float):
            raise TypeError(
                f"A timeout is a number of seconds or None, not {timeout!r}."
            )
        return Deadline(timeout)

    async def _wait_for_change(self, deadline: Deadline) -> Verdict | None:
        """Wait until a frame comes or the application ends (None), or say why not."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._frame_waiters.add(waiter)
        try:
            return await idle.wait(waiter, deadline.remaining())
        finally:
            self._frame_waiters.discard(waiter)
            deadline.look()

    async def _peek_frame(self, deadline: Deadline) -> Frame | Verdict | None:
        """Return the next frame without taking it.

        Returns:
            The frame; or the verdict on why none comes; or None where the application
            has ended or closed, so that none can.
        """
        self._require_started()
        while (frame := self.output_queue.head) is None:
            if self._on_own_loop().ended or self._link_state.closed is not None:
                return None
            verdict = await self._wait_for_change(deadline)
            if verdict is not None and self.output_queue.head is None:
                return None if self._ensure_started().ended else verdict
        return frame

    def _require_started(self) -> None:
        if self._under_test is None:
            raise errors.NotConnected(
                f"Nothing can come from {self.transcript.path} yet: await connect() "
                f"first, or use 'async with'."
            )

    async def _peek_next(self, deadline: Deadline) -> Frame | Verdict | None:
        """Do what :meth:`_peek_frame` does, for a verb that takes many frames.

        A frame that came after the deadline is left for the next verb: where an
        application sends without end, the verb would have none either.
        """
        found = await self._peek_frame(deadline)
        deadline.look()
        if isinstance(found, Frame) and deadline.is_before(found.tick):
            return ENDLESS
        return found

    async def _let_settle(self, deadline: Deadline) -> None:
        """Let what the last step began come to rest, where rest can be told.

        A timer that is still to fire does not count: an application that sleeps rests.
        """
        loop = asyncio.get_running_loop()
        # The client of an application is no client of the test: whoever waits for that
        # application waits for this one too, and which of two waits is in vain cannot
        # be told from outside.
        if watcher.get() is not None or not idle.is_supported(loop):
            return
        left = deadline.remaining()
        grace = SETTLE_SECONDS if left is None else min(SETTLE_SECONDS, left)
        verdict = await idle.wait(loop.create_future(), grace, horizon=0)
        if verdict is not None and verdict.kind is VerdictKind.DEADLINE:
            # It is at work still. An open descriptor alone would have been QUIET.
            await idle.wait(loop.create_future(), deadline.remaining(), horizon=0)

    async def _cannot_tell(self, verdict: Verdict) -> bool:
        """Return whether a wait was in vain only because rest cannot be proved here."""
        if verdict.kind is VerdictKind.DEADLINE:
            nobody = asyncio.get_running_loop().create_future()
            rest = await idle.wait(nobody, SETTLE_SECONDS, horizon=0)
            return rest is not None and rest.kind is VerdictKind.QUIET
        return verdict.kind is VerdictKind.UNSUPPORTED

    async def wait_until_idle(self, timeout: float | None = ONE_SECOND) -> Verdict:
        """Wait until it is proved that nothing more can come.

        Args:
            timeout: The seconds to wait at most, and how far ahead the proof looks.

        Returns:
            A verdict: true when nothing can happen on this loop before the deadline,
            else false; its ``reasons`` say what is still at work, or why it cannot be
            told.
        """
        return await idle.wait_until_idle(self._deadline_after(timeout).remaining())

    # Errors.

    def _with_transcript(self, error: _E) -> _E:
        """Return ``error`` with the transcript of this connection, to be raised."""
        self.add_transcript(error)
        return error

    def add_transcript(self, error: BaseException) -> None:
        """Add what was said on this connection to ``error``, as a note, once."""
        closing = []
        if self._under_test is not None:
            closing.append(self._under_test.describe())
        if unread := self.output_queue.qsize():
            closing.append(f"{unread} frames not received yet")
        add_transcript(error, self.transcript, self.transcript.render(closing))

    def _raise_crash(self) -> None:
        running = self._under_test
        if running is not None and running.crash is not None:
            self.add_transcript(running.crash)
            running.raise_crash()

    def _nothing_came(
        self, expected: str, deadline: Deadline, verdict: Verdict | None
    ) -> errors.NothingCame:
        """Return the error to raise; raise what the application raised, if it did."""
        self._raise_crash()
        error = errors.NothingCame(
            f"Expected {expected} {deadline}, but {self._why_nothing(verdict)}"
        )
        error.verdict = verdict
        return self._with_transcript(error)

    def _why_nothing(self, verdict: Verdict | None) -> str:
        if self._link_state.closed is not None:
            return f"the connection was {self._link_state.closed}."
        if verdict is None:
            return (
                "the application has ended and sent nothing more. "
                "Look at the transcript below for what it did last."
            )
        if verdict.kind is VerdictKind.IDLE:
            return f"none will come ({verdict})."
        return (
            f"none came in that time ({verdict}). The application lives on; if it "
            f"needs longer, pass a larger timeout=."
        )

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
        raise_first(found)

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
