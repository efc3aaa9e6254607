"""A WebSocket connection as its client has it: its state, and what goes over it.

What a server and an application may send to each other is in the ASGI specification,
"WebSocket", https://asgi.readthedocs.io/en/latest/specs/www.html#websocket

A communicator *has* a connection. The connection and its parts never hold the
communicator: only the test does. So one that the test drops is collected at once, and
its application is cancelled.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Final, TypeVar

from chanx_testing.core import idle
from chanx_testing.core.client import errors
from chanx_testing.core.client.acts import broadcasts_are_acts
from chanx_testing.core.client.application import Peer
from chanx_testing.core.client.ending import unseen_beside
from chanx_testing.core.client.failures import Failures
from chanx_testing.core.client.frame_queue import (
    NEVER_STOPS_SENDING,
    AsgiMessage,
    Frame,
    FrameQueue,
)
from chanx_testing.core.client.handshake import Closed, Handshake
from chanx_testing.core.client.language import Language
from chanx_testing.core.client.lifespan import ConnectionLifespan
from chanx_testing.core.client.rules import EXTENSION as DENIAL
from chanx_testing.core.client.rules import Rules, State
from chanx_testing.core.client.steps import Steps
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.hiding.handshake import conceal_subprotocol
from chanx_testing.core.idle import Verdict, VerdictKind
from chanx_testing.core.idle.crashes import reports_noted
from chanx_testing.core.idle.handovers import note_act
from chanx_testing.core.idle.waiting import engage
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import watcher
from chanx_testing.core.trace.showing import show_message, show_subprotocols
from chanx_testing.core.trace.timeline import Timeline, timeline_here
from chanx_testing.core.trace.transcript import Transcript

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

_E = TypeVar("_E", bound=BaseException)

SETTLE_SECONDS: Final = 0.1
"""How long, in seconds, to wait for rest where an open descriptor prevents a proof."""

UNREAD_FRAMES: Final = 1000
"""Each time so many frames more are unread, an application lets other tasks run."""

REFUSED: Final = 1006
"""The close code that a server reports to an application that refused a handshake."""


def disconnect_event(code: int, reason: str) -> AsgiMessage:
    """Return the message that an application gets when its connection has ended."""
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


class Connection:
    """One connection of one communicator.

    Args:
        handle: Returns the communicator, or None when it is gone: a weak reference.
        peer: What is at the other end.
        scope: The ASGI scope of the handshake.
        language: How the messages of the consumer look.
        lifespan: Whether the application is started up before the connection and shut
            down after it. None: where it is known to have a lifespan.

    Attributes:
        input_queue: The ASGI messages that the application has not read yet.
        output_queue: The frames that the test has not received yet.
        lifespan: The startup and the shutdown of the application.
        failures: What went wrong, and what the test has seen of it.
        steps: What the client asked, and what the consumer says that it answers.
        transcript: What was said, for failures.
        response_headers: The headers of the accepted handshake; None before it.
        started: Whether the application was started.
        event_loop: The loop that the application runs on; None until it starts.
        opened: Whether the client has begun to open the connection.
        accepted: Whether the application accepted it.
        closed: How the application closed the connection; None while it has not.
        close_received: Whether the test knows that, as it has received the close.
        left: The code with which the client left; None while it has not.
        disconnect_sent: Whether the application was sent a ``websocket.disconnect``.
        sent_at: When the client last sent something, in the order of the test.
    """

    def __init__(
        self,
        handle: Callable[[], Any],
        peer: Peer,
        scope: dict[str, Any],
        language: Language,
        *,
        lifespan: bool | None = None,
    ) -> None:
        self._handle = handle
        self.peer = peer
        self.scope = scope
        self.language = language
        self.lifespan = ConnectionLifespan(lifespan)
        self.failures = Failures()
        query = scope["query_string"].decode("utf-8")
        self.transcript = Transcript(scope["path"], query)
        self.transcript.offered = scope["subprotocols"]
        self.failures.transcript = self.transcript
        self.input_queue: asyncio.Queue[AsgiMessage] = asyncio.Queue()
        self.output_queue = FrameQueue(
            on_put=self._frame_came, on_get=self._frame_taken
        )
        self.steps = Steps(self.output_queue)
        self.response_headers: list[tuple[bytes, bytes]] | None = None
        self.started = False
        self.event_loop: asyncio.AbstractEventLoop | None = None
        self.opened = False
        self.accepted = False
        self.closed: Closed | None = None
        self.close_received = False
        self.left: int | None = None
        self.disconnect_sent = False
        self.sent_at = 0
        self._rules = Rules()

    # The application.

    @property
    def ended(self) -> bool:
        """Whether the application has ended, for whatever reason."""
        return self.started and self.peer.task.done()

    def start(self, guard: AbstractContextManager[Any]) -> None:
        """Start the application.

        Args:
            guard: The context that is open for the whole life of the application. The
                peer enters it, in the context of the application.
        """
        self._rules.denial = DENIAL in (self.scope.get("extensions") or {})
        self.transcript.offered = self.scope.get("subprotocols") or ()
        self.event_loop = asyncio.get_running_loop()
        engage()
        note_act()
        self.transcript.begin()
        self.peer.start(
            self.scope,
            self.input_queue.get,
            self._send_by_rules,
            guard=_in_conversation(guard, timeline_here(), self.event_loop, self.steps),
            failures=self.failures,
            note=self.transcript.note,
            end_was_read=self._end_was_read,
            on_end=self.output_queue.wake_all,
        )
        self.started = True

    def require_started(self) -> None:
        """Make sure that there is an application from which something may come.

        Raises:
            NotConnected: It was never started.
        """
        if not self.started:
            raise errors.NotConnected(
                f"Nothing can come from {self.transcript.path} yet: await connect() "
                f"first, or use 'async with'."
            )

    def require_connected(self) -> None:
        """Make sure that the client was connected, before anything is asserted of it.

        Nothing comes where nobody is connected, and that says nothing. A test that
        speaks ASGI itself, and has not called ``connect()``, knows how far the
        handshake is.

        Raises:
            NotConnected: The connection was never opened, or was refused.
            Exception: What the application raised instead of an answer.
        """
        self.require_started()
        if self.accepted:
            return
        self.raise_crash()
        if self.closed is not None:
            why = f"the connection was {self.closed}"
        elif self._rules.state is not State.CONNECTING:
            why = "the application refused the handshake"
        elif self.ended:
            why = "the application ended without an answer to the handshake"
        elif self.opened:
            why = "the application has not answered the handshake"
        elif self.sent_at:
            return
        else:
            why = "await connect() first, or use 'async with'"
        raise self.with_transcript(
            errors.NotConnected(
                f"Nobody is connected to {self.transcript.path}: {why}. Nothing can be "
                f"asserted of what comes there."
            )
        )

    def require_own_loop(self, *, to_end: bool = False) -> None:
        """Make sure that the application, which was started, runs on this loop.

        One that has ended by itself may be asked from any loop for what it sent.

        Args:
            to_end: Whether it is only to end. Then it may also have been cancelled,
                with its loop.

        Raises:
            WrongEventLoop: It runs on another loop than this one, or was cancelled
                there.
        """
        if self.event_loop is asyncio.get_running_loop():
            return
        if self.ended and (to_end or not self.peer.task.cancelled()):
            return
        raise errors.WrongEventLoop(
            f"{self.transcript.name} ({self.transcript.path}) was connected on "
            f"another event loop than the one that runs now, and its application "
            f"lives there. Each async_to_sync() call and each asyncio.run() has a "
            f"loop of its own: write the test as 'async def', or put the whole "
            f"conversation into one async function, for one async_to_sync()."
        )

    async def _send_by_rules(self, message: AsgiMessage) -> None:
        """Take a message from the application; it calls this as its ``send``.

        Raises:
            ProtocolError: The application may not send that, or not now.
        """
        self._rules.check(message)
        self.output_queue.put_nowait(message)
        # A server lets an application wait while its client does not read. Here it must
        # at least let the test run, which otherwise could not even end it.
        if self.output_queue.qsize() % UNREAD_FRAMES == 0:
            await asyncio.sleep(0)

    def _end_was_read(self) -> bool:
        """Return whether the application knows that its connection has ended."""
        return self.disconnect_sent and self.input_queue.empty()

    def _frame_came(self, frame: Frame) -> None:
        """Note a frame of the application, and do what a server does then."""
        message = frame.message
        self.steps.mark(frame)
        self.transcript.add("←", message)
        if frame.type == "websocket.accept":
            self.accepted = True
        elif frame.type == "websocket.close" and self.closed is None:
            self.closed = Closed(
                code=message.get("code") or 1000,
                reason=message.get("reason") or "",
                accepted=self.accepted,
            )
            # A server sends the disconnect also to an application that has closed the
            # connection itself.
            if self.accepted:
                self._send_disconnect(self.closed.code, self.closed.reason)
            else:
                self._send_disconnect(REFUSED)
            # One verb takes the close; no other has anything more to wait for.
            self.output_queue.wake_all()
        elif self.failures.unanswered and self.language.is_error(frame):
            self.failures.error_frame_came(frame, reports.answering.get())

    def _frame_taken(self, frame: Frame) -> None:
        """Note that the test has received a frame."""
        if frame.type == "websocket.close":
            self.close_received = True
        self.failures.frame_taken(frame)
        self.steps.frame_taken(frame)
        if not frame.reported and self.language.completes_frame(frame):
            self.steps.completed += 1

    def _send_disconnect(self, code: int, reason: str = "") -> None:
        if not self.disconnect_sent:
            self.disconnect_sent = True
            self.input_queue.put_nowait(disconnect_event(code, reason))

    # The handshake.

    def open(self) -> None:
        """Note that the client opens the connection.

        Raises:
            RuntimeError: It was opened before.
        """
        if self.opened:
            raise RuntimeError(
                f"connect() was called twice on {self.transcript.name} "
                f"({self.transcript.path}). A communicator is one connection: make "
                f"another one for a second."
            )
        self.opened = True

    async def read_handshake(
        self, answer: AsgiMessage, deadline: Deadline
    ) -> Handshake:
        """Return the answer to the handshake.

        Args:
            answer: The first message of the application.
            deadline: For the rest of a denial response.

        Raises:
            AssertionError: It chose a subprotocol that the client did not offer.
        """
        headers = list(answer.get("headers") or [])
        match answer["type"]:
            case "websocket.accept":
                self.response_headers = headers
                chosen, offered = answer.get("subprotocol"), self.scope["subprotocols"]
                if chosen is not None and offered and chosen not in offered:
                    raise self.with_transcript(
                        AssertionError(
                            f"Expected the application to choose a subprotocol that "
                            f"the client offers ({show_subprotocols(offered)}), but it "
                            f"chose {conceal_subprotocol(chosen, offered)!r}: a "
                            f"browser fails such a connection (RFC 6455, section 4.1)."
                        )
                    )
                return Handshake.accept(chosen, headers, offered)
            case "websocket.close":
                code = answer.get("code") or 1000
                return Handshake.refuse(code, answer.get("reason") or "")
        body, more = b"", True
        while more:
            part = await self.take(deadline, "the body of the denial response")
            body += part.get("body") or b""
            more = bool(part.get("more_body"))
        handshake = Handshake.deny(answer["status"], headers, body)
        self.closed = Closed(code=handshake.status, accepted=False)
        self.close_received = True
        self._send_disconnect(REFUSED)
        self.output_queue.wake_all()
        return handshake

    # What goes to the application, and what comes from it.

    async def send(self, message: AsgiMessage) -> None:
        """Give one ASGI message to the application.

        Raises:
            Exception: What the application raised, if it has ended with it.
        """
        if self.ended:
            self.raise_crash()
        self.peer.note_use()
        self.transcript.add("→", message)
        note_act()
        self.sent_at = timeline_here().test_acted()
        if message.get("type") == "websocket.disconnect":
            self.disconnect_sent = True
        elif message.get("type") == "websocket.receive":
            self.steps.frame_sent(message)
        self.input_queue.put_nowait(message)

    def require_open(self) -> None:
        """Make sure that a frame of data can be sent.

        A close that the test has not received yet does not keep it from sending; see
        :meth:`drops`.

        Raises:
            NotConnected: The handshake was not sent yet.
            ConnectionIsClosed: The connection has ended, by either side.
            Exception: What the application raised, if it has crashed.
        """
        if not self.opened:
            raise errors.NotConnected(
                f"Nothing can be sent on {self.transcript.path} yet: await connect() "
                f"first, or use 'async with'."
            )
        self.raise_crash()
        if self.closed is not None and not self.close_received and self.left is None:
            return
        if self.started and self.closed is None and self.left is None:
            self.require_own_loop()
        if (ended := self.how_ended()) is None:
            return
        how, code, reason = ended
        error = errors.ConnectionIsClosed(
            f"Nothing can be sent on {self.transcript.path}: the connection was {how}."
        )
        error.code, error.reason = code, reason
        raise self.with_transcript(error)

    def how_ended(self) -> tuple[str, int, str] | None:
        """Return how the connection ended, by either side; None while it has not.

        Returns:
            The end of a sentence that begins with "the connection was", the code and
            the reason.
        """
        if self.closed is not None:
            return str(self.closed), self.closed.code, self.closed.reason
        if self.left is not None:
            return f"left by the test with code {self.left}", self.left, ""
        if self.ended:
            return "ended: the application has returned", 1006, ""
        return None

    def drops(self, message: AsgiMessage) -> bool:
        """Return whether a frame is lost, as the application has closed already.

        A client learns of a close when it receives it. What it sends until then reaches
        nobody, and is not an error. The transcript says so.
        """
        if self.closed is None:
            return False
        self.transcript.note(
            f"not delivered: {show_message(message)} (the application had closed the "
            f"connection, and the test had not received the close)"
        )
        return True

    async def peek(self, deadline: Deadline) -> Frame | Verdict | None:
        """Return the next frame, for a verb that takes it in its next step.

        Returns:
            The frame; or the verdict on why none comes; or None where the application
            has ended or closed, so that none can.
        """
        self.require_started()
        self.peer.note_use()
        while (frame := self.output_queue.free) is None:
            self.require_own_loop()
            if self.ended or self.closed is not None:
                return None
            verdict = await self.output_queue.arrival(deadline)
            if verdict is not None and self.output_queue.free is None:
                return None if self.ended else verdict
        return frame

    async def peek_in_time(self, deadline: Deadline) -> Frame | Verdict | None:
        """Do what :meth:`peek` does, for a verb that takes many frames.

        A frame that came after the deadline is left for the next verb. Otherwise the
        verb would not end where the application never stops sending.
        """
        found = await self.peek(deadline)
        if isinstance(found, Frame) and not self.output_queue.in_time(found, deadline):
            return NEVER_STOPS_SENDING
        return found

    async def progress(
        self, deadline: Deadline, wants: Callable[[Frame], bool]
    ) -> Verdict | None:
        """Wait until a frame comes or a step is done, for a verb that takes frames.

        Frames may be there already, which this verb leaves to others.

        Args:
            deadline: That of the verb.
            wants: Returns whether the verb takes a frame.

        Returns:
            None where there may be something new to look at; otherwise the verdict on
            why there is not.
        """
        self.require_own_loop()
        self.steps.collecting += 1
        try:
            return await self.output_queue.arrival(deadline, wants)
        finally:
            self.steps.collecting -= 1

    async def take(self, deadline: Deadline, expected: str) -> AsgiMessage:
        """Take the next frame.

        Args:
            deadline: That of the verb.
            expected: What is waited for, for the error.

        Raises:
            NothingCame: None came in time, or none can come.
            Exception: What the application raised, once its frames are taken.
        """
        found = await self.peek(deadline)
        if isinstance(found, Frame):
            return self.output_queue.get_nowait()
        raise self.nothing_came(expected, deadline, found)

    def decode(self, content: Any) -> Any:
        """Return the typed message of a decoded frame; see :meth:`Language.decode`."""
        try:
            return self.language.decode(content)
        except errors.UndeclaredMessage as failure:
            self.add_transcript(failure)
            raise

    # Rest.

    async def settle(self, deadline: Deadline) -> None:
        """Let what the last step began come to rest, where rest can be proved.

        A timer that is still to fire does not count: an application that sleeps rests.
        """
        loop = asyncio.get_running_loop()
        # An application may be a client itself, of another application. Whoever waits
        # for the first one waits for this client as well, and nothing shows which of
        # the two waits is to end.
        if watcher.get() is not None or not idle.is_supported(loop):
            return
        left = deadline.remaining()
        grace = SETTLE_SECONDS if left is None else min(SETTLE_SECONDS, left)
        verdict = await idle.wait_until_idle(grace, horizon=0)
        if verdict.kind is VerdictKind.DEADLINE:
            # It still works; with only an open descriptor it would have been QUIET.
            await idle.wait_until_idle(deadline.remaining(), horizon=0)

    async def cannot_prove_rest(self, verdict: Verdict) -> bool:
        """Return whether a wait failed only because this loop cannot prove idleness."""
        if verdict.kind is VerdictKind.DEADLINE:
            rest = await idle.wait_until_idle(SETTLE_SECONDS, horizon=0)
            return rest.kind is VerdictKind.QUIET
        return verdict.kind is VerdictKind.UNSUPPORTED

    # The end.

    async def wait_for_end(self, deadline: Deadline) -> None:
        """Wait until the application has ended, which was sent the disconnect.

        Raises:
            ApplicationHangs: It goes on; it is cancelled then.
        """
        while not self.ended:
            verdict = await self.output_queue.change(deadline)
            if verdict is not None and not self.ended:
                error = errors.ApplicationHangs(
                    f"Expected the application to end {deadline} after the disconnect, "
                    f"but it goes on ({verdict}; {self.peer.describe()}). Let it "
                    f"return when it receives websocket.disconnect."
                )
                self.add_transcript(error)
                if not await self.peer.cancel():
                    error.add_note(
                        "It does not end when it is cancelled either: somewhere it "
                        "catches CancelledError and does not raise it again."
                    )
                raise error
        await self.settle(deadline)

    def abandon(self) -> None:
        """End the application of a client that nobody holds any more.

        It handles first what it was sent: a crash then fails the test all the same.
        A finalizer calls it, in any thread, and perhaps after the loop was closed.
        """
        self.output_queue.forget_owner()
        if self.started and not self.ended:
            self.peer.abandon()

    def unseen_errors(self) -> list[BaseException]:
        """Take what went wrong and was not seen; see :meth:`Failures.unseen`.

        What came beside all connections of the test is among it: each may have begun
        it, and the first one that ends tells.
        """
        if not self.started:
            return []
        found = self.failures.unseen(self.peer.failed_tasks())
        found += unseen_beside()
        for error in found:
            self.add_transcript(error)
        return found

    def unmet_expectation(self) -> list[BaseException]:
        """Return what fails a test that expected errors of which none came."""
        unmet = self.failures.unmet_expectation() if self.started else None
        return [] if unmet is None else [self.with_transcript(unmet)]

    # Errors.

    def with_transcript(self, error: _E) -> _E:
        """Return ``error`` with the transcript of this connection, to be raised."""
        self.add_transcript(error)
        return error

    def add_transcript(self, error: BaseException) -> None:
        """Have the communicator add what was said to ``error``."""
        handle = self._handle()
        if handle is None:
            self.transcribe(error)
        else:
            handle.add_transcript(error)

    def transcribe(self, error: BaseException) -> None:
        """Add what was said on this connection to ``error``, as a note, once."""
        closing = []
        if self.started:
            closing.append(self.peer.describe())
        if unread := self.output_queue.qsize():
            frames = "1 frame" if unread == 1 else f"{unread} frames"
            closing.append(f"{frames} not received yet")
        self.transcript.add_to(error, closing)

    def raise_crash(self) -> None:
        """Raise what ended the application, if anything did."""
        if self.failures.crash is not None:
            self.add_transcript(self.failures.crash)
            self.failures.raise_crash()

    def nothing_came(
        self, expected: str, deadline: Deadline, verdict: Verdict | None
    ) -> errors.NothingCame:
        """Return the error to raise; raise what the application raised, if it did.

        Args:
            expected: What was waited for.
            deadline: That of the verb.
            verdict: Why it did not come; None where the application has ended.
        """
        self.raise_crash()
        error = errors.NothingCame(
            f"Expected {expected} {deadline}, but {self.why_nothing(verdict)}"
        )
        error.verdict = verdict
        return self.with_transcript(error)

    def why_nothing(self, verdict: Verdict | None) -> str:
        """Return why nothing came, as the end of a sentence."""
        if self.closed is not None:
            return f"the connection was {self.closed}."
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


@contextmanager
def _in_conversation(
    guard: AbstractContextManager[Any],
    timeline: Timeline,
    loop: asyncio.AbstractEventLoop,
    steps: Steps,
) -> Iterator[None]:
    """Have what the application does reported, while ``guard`` is open."""
    # In the context of the application, in which the peer enters this.
    token = reports.conversation.set(steps)
    noted = nullcontext() if idle.is_supported(loop) else reports_noted(loop)
    try:
        with guard, broadcasts_are_acts(timeline), noted:
            yield
    finally:
        steps.end()
        # A coroutine that is closed by a collection of garbage ends in another context.
        with suppress(ValueError):
            reports.conversation.reset(token)
