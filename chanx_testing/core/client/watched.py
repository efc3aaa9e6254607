"""An application that a test talks to and watches: waits, and why nothing came.

A wait watches the application as well as the queue: it ends with a frame, with the end
of the application, or with a verdict on why neither comes.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, ParamSpec, TypeVar

from chanx_testing.core import idle
from chanx_testing.core.client import errors, timeouts
from chanx_testing.core.client.application import (
    ApplicationUnderTest,
    single_callable,
)
from chanx_testing.core.client.binding import Yielding, weakly
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame, FrameQueue
from chanx_testing.core.client.lifespan import (
    Lifespan,
)
from chanx_testing.core.client.link import (
    Closed,
    Link,
    disconnect_event,
    end_was_read,
    send_by_rules,
)
from chanx_testing.core.client.rules import EXTENSION as DENIAL
from chanx_testing.core.client.rules import Rules
from chanx_testing.core.client.scope import websocket_scope
from chanx_testing.core.client.timeouts import ONE_SECOND, Deadline, DefaultSeconds
from chanx_testing.core.idle import Verdict, VerdictKind
from chanx_testing.core.observe.reports import watcher
from chanx_testing.core.trace.showing import show_path
from chanx_testing.core.trace.transcript import Transcript, add_transcript

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

Application = Callable[..., Any]
Headers = Iterable[tuple[bytes, bytes]]
_E = TypeVar("_E", bound=BaseException)
_P = ParamSpec("_P")
_T = TypeVar("_T")

SETTLE_SECONDS: Final = 0.1
"""How long a step may take to rest where an outside descriptor forbids proof."""

ENDLESS: Final = Verdict(
    VerdictKind.DEADLINE, ("the application sends one frame after the other",)
)
"""The verdict where no wait came to its end, because each ended with a frame."""

kept: ContextVar["list[Any] | None"] = ContextVar("chanx_testing_kept", default=None)


class Watched:
    """One end of a WebSocket, with the application at the other.

    Arguments and attributes are those of
    :class:`~chanx_testing.core.client.connection.Connection`, which adds the verbs.
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
        came = [running.crash, *(failure.error for failure in running.failures)]
        if any(isinstance(error, self._expected_errors) for error in came):
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
            if (connections := kept.get()) is not None:
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
