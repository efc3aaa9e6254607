"""What goes wrong in a conversation, each with the sentence that a test shows.

::

    TimeoutError
    ├── NothingCame              a frame that was waited for does not come
    └── ApplicationHangs         the application goes on where it was to end or to rest
    ConnectionError
    ├── ConnectionRejected       the handshake was refused
    └── ConnectionIsClosed       something was sent on a closed socket
    AssertionError
    ├── UnexpectedFrame          something is there that should not be
    ├── UndeclaredMessage        a frame is not a message that its consumer declares
    ├── IncompleteMessages       the stop action of a collection never came
    └── AuthenticationFailed     the status is not the one that was asserted
    RuntimeError
    ├── ProtocolError            the application broke a rule of ASGI; raised in it
    ├── LifespanError            the application did not start up or shut down
    ├── WrongEventLoop           a communicator was used from a second event loop
    └── NotConnected             something was sent or asserted where nobody is there

Each takes its whole sentence as its only argument and keeps data as attributes. So it
can be pickled, as a parallel test runner does to send it between processes.
"""

import warnings
from types import CodeType
from typing import Any

from chanx_testing.core.idle import Verdict
from chanx_testing.core.trace.showing import show_error


class NothingCame(TimeoutError):
    """A frame was waited for and did not come.

    Attributes:
        verdict: Why the wait ended: a proof that nothing can come, or the deadline with
            what the application was doing; None when the application had ended.
    """

    verdict: Verdict | None = None


class ApplicationHangs(TimeoutError):
    """The application goes on, although it was to end or to come to rest."""


class ConnectionRejected(ConnectionError):
    """The application refused the handshake.

    Attributes:
        code: The close code, or the HTTP status of a denial response.
        reason: The close reason, empty where none was given.
    """

    code: int = 1000
    reason: str = ""


class ConnectionIsClosed(ConnectionError):
    """Something was sent on a socket that is closed.

    Attributes:
        code: The close code.
        reason: The close reason, empty where none was given.
    """

    code: int = 1000
    reason: str = ""


class UnexpectedFrame(AssertionError):
    """Frames came although nothing was to come.

    Attributes:
        frames: The ASGI messages that were found; they are still to be received.
    """

    frames: tuple[dict[str, Any], ...] = ()


class UndeclaredMessage(AssertionError):
    """A frame is not one of the messages that its consumer declares."""


class IncompleteMessages(AssertionError):
    """The stop action of a collection did not come.

    Attributes:
        messages: What was collected until then, as decoded JSON.
    """

    messages: tuple[Any, ...] = ()


class AuthenticationFailed(AssertionError):
    """The authentication status is not the asserted one."""


class ProtocolError(RuntimeError):
    """The application sent what it may not send, or not at that time.

    It is raised in the application, by ``send()``, as a server would raise it.
    """


class LifespanError(RuntimeError):
    """The application's startup or shutdown failed, or ended without an answer."""


class WrongEventLoop(RuntimeError):
    """A communicator was used on another event loop than that of its application."""


class NotConnected(RuntimeError):
    """A frame was sent, waited for or asserted where nobody was connected."""


class LeftoverTaskWarning(RuntimeWarning):
    """Tasks of an application go on after its connection ended.

    It fails the test, unless a filter of the user's says otherwise.
    """


def raise_first(found: list[BaseException]) -> None:
    """Raise the first of several errors; the others become notes on it."""
    if not found:
        return
    first, *others = found
    for other in others:
        first.add_note(f"Also raised: {show_error(other)}")
    raise first


def warn_of_leftovers(test: str, named: list[str], code: CodeType | None) -> None:
    """Warn of tasks that an application has left running.

    Args:
        test: The name of the test.
        named: Where the tasks were.
        code: The code of the test, whose line is named; None where it is not known.

    Raises:
        LeftoverTaskWarning: No filter of the user's says what to do with it.
    """
    with warnings.catch_warnings():
        # Behind all others: any filter that matches is asked before it.
        warnings.simplefilter("error", LeftoverTaskWarning, append=True)
        warnings.warn_explicit(
            f"{test}: the application left tasks running after its connection "
            f"ended; they were cancelled: {'; '.join(named)}. Cancel them in the "
            f"consumer's disconnect().",
            LeftoverTaskWarning,
            "<unknown>" if code is None else code.co_filename,
            0 if code is None else code.co_firstlineno,
        )
