"""What went wrong in an application, what was expected, and what the test has seen."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.trace.transcript import Transcript


@dataclass(eq=False)
class HandlerFailure:
    """An exception that a consumer caught, logged and answered.

    Attributes:
        error: The exception.
        doing: What the consumer was doing, for a person to read.
        says_answer: Whether it is known of each error frame if it answers this.
        answered: Whether an error frame has reported it to the client.
        seen: Whether the test received that frame.
    """

    error: Exception
    doing: str
    says_answer: bool = False
    answered: bool = False
    seen: bool = False


def says_client_left(error: BaseException) -> bool:
    """Return whether an exception only reports that the client disconnected.

    Starlette and Litestar raise a ``WebSocketDisconnect`` where an endpoint still reads
    after the end, and the endpoint need not catch it. Neither is imported here, so the
    exception is recognised by its name. A task group wraps it into an exception group.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(map(says_client_left, error.exceptions))
    return any(base.__name__ == "WebSocketDisconnect" for base in type(error).__mro__)


class Failures:
    """The account of one application: what it raised, and whether the test knows.

    There are three kinds: what ended the application (the crash), what a handler raised
    and the consumer answered, and what a task raised that nobody waited for. Each has
    to reach the test once: by a verb that raises it, by the error frame that the test
    receives, or at the end of the connection.

    Attributes:
        crash: What ended the application, or None.
        transcript: What was said on its connection, for errors; None where it has none.
    """

    def __init__(self) -> None:
        self.transcript: Transcript | None = None
        self.crash: BaseException | None = None
        self._crash_seen = False
        self._retrieve: Callable[[], object] | None = None
        self._was_retrieved: Callable[[], bool] | None = None
        # Whether asyncio has reported that nobody waited for the crash.
        self._crash_reported = False
        self._handlers: list[HandlerFailure] = []
        # The failure that each error frame answers, until the test takes the frame.
        self._answers: dict[Frame, HandlerFailure] = {}
        # What failed in tasks and was handed out already: they are named again each
        # time.
        self._background: list[BaseException] = []
        # What failed beside the application, each with what raised it.
        self._beside: list[tuple[str, BaseException]] = []
        self._expected: tuple[type[BaseException], ...] = ()
        # Whether an expected failure came, or the test has heard that none did.
        self._met = False

    def crashed(
        self,
        error: BaseException,
        retrieve: Callable[[], object],
        was_retrieved: Callable[[], bool] | None = None,
    ) -> None:
        """Note what ended the application.

        Args:
            error: What it raised.
            retrieve: Called when the test sees it, so that asyncio does not report an
                exception that was never retrieved.
            was_retrieved: Returns whether somebody else has taken it, such as a test
                that awaits the task of the application.
        """
        self.crash = error
        self._retrieve = retrieve
        self._was_retrieved = was_retrieved

    def handler_failed(
        self, error: Exception, doing: str, *, says_answer: bool = False
    ) -> None:
        """Note that a handler raised ``error`` while ``doing``.

        Args:
            error: What it raised.
            doing: What the consumer was doing, for a person to read.
            says_answer: Whether the consumer says beside the wire which frame answers
                it. If not, the next error frame does that nobody says anything of.
        """
        self._handlers.append(HandlerFailure(error, doing, says_answer))

    def crashed_beside(self, error: BaseException, place: str) -> bool:
        """Note an exception of what the application began and nobody waits for.

        Args:
            error: The exception.
            place: What raised it, for a person to read.

        Returns:
            Whether it is new.
        """
        self._crash_reported |= self._is_crash(error)
        if self._is_known(error):
            return False
        self._beside.append((place, error))
        return True

    # What the test sees.

    @property
    def unanswered(self) -> bool:
        """Whether a handler failed and no error frame has answered it yet."""
        # Asked for each frame: nearly always there is nothing to look at.
        return bool(self._handlers) and any(
            not failure.answered for failure in self._handlers
        )

    def error_frame_came(
        self, frame: Frame, answering: Exception | None = None
    ) -> None:
        """Note that the application sent an error frame, which may answer a failure.

        Args:
            frame: The frame.
            answering: What it answers, as the consumer says. None: the oldest failure
                without an answer of which no consumer says more, if any. A frame that
                the client sent may be wrong, and what answers it answers no failure.
        """
        for failure in self._handlers:
            if failure.answered:
                continue
            # By identity: exceptions may have an equality of their own.
            if (
                not failure.says_answer
                if answering is None
                else failure.error is answering
            ):
                failure.answered = True
                self._answers[frame] = failure
                return

    def frame_taken(self, frame: Frame) -> None:
        """Note that the test received a frame, and saw the failure that it answers."""
        if (failure := self._answers.pop(frame, None)) is not None:
            failure.seen = True

    def frame_passed_over(self, frame: Frame) -> None:
        """Note that a verb takes a frame which it does not give to the test."""
        self._answers.pop(frame, None)

    def raise_crash(self) -> None:
        """Raise what ended the application, if anything did; the test has seen it."""
        if self.crash is not None:
            self._see_crash()
            raise self.crash

    def _see_crash(self) -> None:
        self._crash_seen = True
        if self._retrieve is not None:
            self._retrieve()
        # They hold the peer, which holds this.
        self._retrieve = self._was_retrieved = None

    # What the test expects.

    def expect(self, types: tuple[type[BaseException], ...]) -> None:
        """Expect failures of these types, of all types if none is given.

        Raises:
            TypeError: One of them is not a class of exceptions.
        """
        for kind in types:
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                raise TypeError(
                    f"expect_errors() takes classes of exceptions, not {kind!r}."
                )
        self._expected += types or (BaseException,)

    def expects(self, error: BaseException) -> bool:
        """Return whether an error that came beside all connections is expected here."""
        expected = isinstance(error, self._expected)
        self._met |= expected
        return expected

    def unmet_expectation(self) -> AssertionError | None:
        """Return, once, what fails a test that expects failures and sees none come."""
        if not self._expected or self._met:
            return None
        self._met = True
        came = [self.crash, *(failure.error for failure in self._handlers)]
        if any(isinstance(error, self._expected) for error in came):
            return None
        names = ", ".join(kind.__name__ for kind in self._expected)
        return AssertionError(
            f"Expected errors of the application ({names}), but none came. "
            f"Leave expect_errors() out, or look at what the test sends."
        )

    # What is left at the end.

    def add_transcript(self, error: BaseException) -> None:
        """Add to ``error`` what was said on the connection, where there is one."""
        if self.transcript is not None:
            self.transcript.add_to(error)

    def unseen(
        self, background: Iterable[tuple[str, BaseException]]
    ) -> list[BaseException]:
        """Take what the test has neither seen nor expected, most important first.

        Args:
            background: The names of tasks that failed with nobody waiting for them, and
                what they raised. Those of an earlier call may be among them.

        Returns:
            The exceptions. A second call returns only what came since.
        """
        unseen = [
            *self._unseen_crash(),
            *self._unseen_handlers(),
            *self._unseen_background(background),
        ]
        # isinstance(error, ()) is false: without expectations all are found.
        found = [error for error in unseen if not isinstance(error, self._expected)]
        self._met |= len(found) < len(unseen)
        return found

    def _unseen_crash(self) -> Iterable[BaseException]:
        if self.crash is None or self._crash_seen:
            return
        retrieved = self._was_retrieved is not None and self._was_retrieved()
        self._see_crash()
        # At its end, asyncio.run() retrieves exceptions in order to report them.
        if self._crash_reported or not retrieved:
            yield self.crash

    def _unseen_handlers(self) -> Iterable[BaseException]:
        for failure in self._handlers:
            if not failure.seen:
                failure.seen = True
                failure.error.add_note(
                    f"Raised while {failure.doing}. The consumer caught it and went "
                    f"on; the test neither received the error frame nor said that it "
                    f"expects errors (communicator.expect_errors())."
                )
                yield failure.error

    def _unseen_background(
        self, background: Iterable[tuple[str, BaseException]]
    ) -> Iterable[BaseException]:
        lost = [(f"{name}, a task that was left behind", e) for name, e in background]
        for place, error in [*lost, *self._beside]:
            if not self._is_known(error):
                self._background.append(error)
                error.add_note(f"Raised in {place}.")
                yield error

    def _is_known(self, error: BaseException) -> bool:
        """Return whether an exception that comes beside came in another way, too."""
        known = [*(failure.error for failure in self._handlers), *self._background]
        return self._is_crash(error) or any(error is each for each in known)

    def _is_crash(self, error: BaseException) -> bool:
        # The task of the application raises it, too; of SystemExit it is the cause.
        crash = self.crash
        return crash is not None and (error is crash or error.__cause__ is crash)
