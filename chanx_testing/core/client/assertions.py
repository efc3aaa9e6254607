"""What is asserted of frames: data of one kind, nothing at all, the close."""

from dataclasses import replace

from chanx_testing.core.client import errors
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame
from chanx_testing.core.client.handshake import Closed
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.client.window import Window
from chanx_testing.core.idle import Verdict
from chanx_testing.core.trace.showing import show_message

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


def data_of(message: AsgiMessage) -> str | bytes:
    """Return the data of a message of the application.

    Raises:
        AssertionError: It is not a frame of data, or not exactly one of text and bytes.
    """
    kind = message.get("type")
    if kind != "websocket.send":
        # The very text of channels.testing: suites match it.
        error = AssertionError(f"Expected type 'websocket.send', but was '{kind}'")
        if len(message) > 1:
            error.add_note(f"The message was {show_message(message)}.")
        raise error
    text, data = message.get("text"), message.get("bytes")
    if (text is None) == (data is None):
        raise AssertionError(
            "Expected exactly one of 'text' and 'bytes' in the frame of the "
            f"application, but it has {'neither' if text is None else 'both'}."
        )
    if isinstance(text, str):
        return text
    if isinstance(data, bytes):
        return data
    kind, seen = ("text", text) if data is None else ("bytes", data)
    raise AssertionError(
        f"Expected the {kind} of the frame to be "
        f"{'a str' if data is None else 'bytes'}, not {type(seen).__name__}."
    )


async def what_comes(connection: Connection, window: Window) -> list[Frame]:
    """Return the frames that are there, or that come first; take none.

    Args:
        connection: The connection.
        window: How long to look.

    Returns:
        The frames, completion signals left out; [] where none came, or none can.

    Raises:
        NotConnected: The connection was never opened.
        Exception: What the application raised.
    """
    connection.require_started()
    verdict: Verdict | None = None
    while True:
        if found := [
            frame
            for frame in connection.output_queue.frames
            if not connection.language.is_completion(frame)
        ]:
            return found
        connection.require_own_loop()
        if connection.ended:
            connection.raise_crash()
            return []
        if verdict is not None and not window.goes_on(verdict):
            return []
        verdict = await connection.output_queue.change(window.deadline)


def unexpected(connection: Connection, found: list[Frame]) -> errors.UnexpectedFrame:
    """Return the error to raise where nothing was to come."""
    shown = "".join(f"\n  {show_message(frame.message)}" for frame in found)
    error = errors.UnexpectedFrame(
        f"Expected nothing, but the application sent:{shown}\n"
        f"Receive what is expected before receive_nothing()."
    )
    error.frames = tuple(frame.message for frame in found)
    return connection.with_transcript(error)


def still_at_work(connection: Connection, window: Window) -> str:
    """Return what to say where nothing came, and work goes on that must end."""
    name = f"{connection.transcript.name} ({connection.transcript.path})"
    return (
        f"receive_nothing() on {name} saw nothing, but proves nothing either: the "
        f"application is still at work ({'; '.join(window.unfinished)}). Wait for what "
        f"it does, or pass timeout= with the seconds to wait."
    )


async def close_comes(
    connection: Connection, deadline: Deadline, code: int | None, reason: str | None
) -> Closed:
    """Take what comes up to the close; return the close, if it is as expected.

    Raises:
        AssertionError: The application does not close, or with another code or reason.
        Exception: What the application raised instead.
    """
    before: list[AsgiMessage] = []
    while isinstance(found := await connection.peek_in_time(deadline), Frame):
        # Who asserts a close has not looked at what came before it.
        connection.failures.frame_passed_over(found)
        message = connection.output_queue.get_nowait()
        if message.get("type") == "websocket.close":
            break
        before.append(message)
    closed = connection.closed
    if closed is None:
        connection.raise_crash()
        why = "the application ended" if found is None else str(found)
        problem = (
            f"Expected the application to close the connection {deadline}, but it "
            f"did not ({why})."
        )
    elif code is not None and closed.code != code:
        problem = (
            f"Expected the connection to be closed with code {code}, but it was "
            f"{closed}."
        )
    elif reason is not None and closed.reason != reason:
        problem = (
            f"Expected the connection to be closed with reason {reason!r}, but it "
            f"was {closed}."
        )
    else:
        return replace(closed, messages=tuple(before))
    shown = "".join(f"\n  {show_message(message)}" for message in before)
    came = f" Before that came:{shown}" if before else " Nothing came before."
    raise connection.with_transcript(AssertionError(problem + came))
