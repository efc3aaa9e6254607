"""One WebSocket conversation with an ASGI application, frame by frame.

The verbs of ``channels.testing.WebsocketCommunicator``, with the same meaning, on waits
that watch the application as well as the queue.
"""

import json
from dataclasses import replace
from typing import Any

from pydantic_core import to_jsonable_python

from chanx_testing.core.client import errors
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame
from chanx_testing.core.client.link import Closed
from chanx_testing.core.client.timeouts import ONE_SECOND, TENTH_OF_A_SECOND
from chanx_testing.core.client.watched import ENDLESS
from chanx_testing.core.idle import Verdict
from chanx_testing.core.trace.showing import show_message

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class Conversation(Connection):
    """Frames of data, sent and received.

    The arguments, and the verbs that open and end the connection, are those of
    :class:`~chanx_testing.core.client.connection.Connection`.
    """

    receive_nothing_raises: bool = True
    """Whether :meth:`receive_nothing` fails where something is there. A subclass may
    set it to False to have the answer as a bool, as ``channels.testing`` gives it."""

    async def send_to(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Send one frame, of text or of bytes; it may be empty.

        Raises:
            ValueError: Neither or both were given.
            TypeError: The data is not of its type.
            NotConnected: The handshake has not been sent yet.
            ConnectionIsClosed: The connection is closed, by either side.
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
        self._require_open()
        if text_data is not None:
            await self.send_input({"type": "websocket.receive", "text": text_data})
        else:
            await self.send_input({"type": "websocket.receive", "bytes": bytes_data})

    def _require_open(self) -> None:
        link = self._link_state
        if not link.opened:
            raise errors.NotConnected(
                f"Nothing can be sent on {self.transcript.path} yet: await connect() "
                f"first, or use 'async with'."
            )
        self._raise_crash()
        if link.closed is not None:
            how, code, reason = str(link.closed), link.closed.code, link.closed.reason
        elif link.left is not None:
            how, code, reason = f"left by the test with code {link.left}", link.left, ""
        elif self._on_own_loop().ended:
            how, code, reason = "ended: the application has returned", 1006, ""
        else:
            return
        error = errors.ConnectionIsClosed(
            f"Nothing can be sent on {self.transcript.path}: the connection was {how}."
        )
        error.code, error.reason = code, reason
        raise self._with_transcript(error)

    async def send_bytes(self, data: bytes) -> None:
        """Send one binary frame; see :meth:`send_to`."""
        await self.send_to(bytes_data=data)

    async def send_json_to(self, data: Any) -> None:
        """Send ``data`` as JSON in a text frame.

        What JSON does not know, pydantic writes: UUID, datetime, Decimal, Enum, models.

        Raises:
            TypeError: The data cannot be written as JSON.
        """
        await self.send_to(text_data=json.dumps(data, default=to_jsonable_python))

    async def receive_from(self, timeout: float | None = ONE_SECOND) -> str | bytes:
        """Take the next frame of data.

        Returns:
            A str or bytes, as the application sent it.

        Raises:
            AssertionError: The application closed the connection instead, or sent a
                frame that is not exactly one of text and bytes.
        """
        message: AsgiMessage = await self.receive_output(timeout)
        kind = message.get("type")
        if kind != "websocket.send":
            raise self._with_transcript(
                AssertionError(
                    f"Expected type 'websocket.send', but was '{kind}'"
                    + (f": {show_message(message)}" if len(message) > 1 else "")
                )
            )
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise self._with_transcript(
                AssertionError(
                    "Expected exactly one of 'text' and 'bytes' in the frame of the "
                    f"application, but it has {'neither' if text is None else 'both'}."
                )
            )
        if isinstance(text, str):
            return text
        if isinstance(data, bytes):
            return data
        kind, seen = ("text", text) if data is None else ("bytes", data)
        raise self._with_transcript(
            AssertionError(
                f"Expected the {kind} of the frame to be "
                f"{'a str' if data is None else 'bytes'}, not {type(seen).__name__}."
            )
        )

    async def receive_json_from(self, timeout: float | None = ONE_SECOND) -> Any:
        """Take the next frame, which must be text, and decode it as JSON.

        Raises:
            AssertionError: It is not text, or not JSON.
        """
        payload = await self.receive_from(timeout)
        if not isinstance(payload, str):
            raise self._with_transcript(
                AssertionError(
                    f"Expected a text frame with JSON, but got {len(payload)} bytes."
                )
            )
        try:
            return json.loads(payload)
        except (ValueError, RecursionError) as error:
            failure = AssertionError(
                f"Expected JSON in the frame, but {error}: {payload[:100]!r}"
            )
            self.add_transcript(failure)
            raise failure from error

    async def receive_nothing(
        self,
        timeout: float | None = TENTH_OF_A_SECOND,
        interval: float = 0.01,
    ) -> bool:
        """Assert that nothing comes; nothing is taken.

        Ends as soon as it is proved that nothing can come. Completion signals do not
        count. A close of the application counts.

        Args:
            timeout: The seconds in which nothing may come.
            interval: Accepted for code that passes it; there is no polling.

        Returns:
            True. False where something is there, if :attr:`receive_nothing_raises` is
            False.

        Raises:
            UnexpectedFrame: An ``AssertionError``: something is there.
            NotConnected: The connection was never opened.
            Exception: What the application raised meanwhile.
        """
        self._require_started()
        deadline = self._deadline_after(timeout)
        verdict: Verdict | None = None
        while True:
            if found := [
                frame
                for frame in self.output_queue.frames
                if not self._is_completion(frame)
            ]:
                return self._something_came(found)
            if self._on_own_loop().ended:
                self._raise_crash()
                return True
            if verdict is not None:
                return True
            verdict = await self._wait_for_change(deadline)
            if verdict is None and deadline.over:
                verdict = ENDLESS

    def _something_came(self, found: list[Frame]) -> bool:
        if not self.receive_nothing_raises:
            return False
        shown = "".join(f"\n  {show_message(frame.message)}" for frame in found)
        error = errors.UnexpectedFrame(
            f"Expected nothing, but the application sent:{shown}\n"
            f"Receive what is expected before receive_nothing()."
        )
        error.frames = tuple(frame.message for frame in found)
        raise self._with_transcript(error)

    def _is_completion(self, frame: Frame) -> bool:
        """Return whether a frame is only a signal of completion; a hook."""
        return False

    async def assert_closed(
        self,
        code: int | None = None,
        reason: str | None = None,
        timeout: float | None = ONE_SECOND,
    ) -> Closed:
        """Assert that the application closes the connection, and take what came before.

        Args:
            code: The close code it must have; None for any.
            reason: The close reason it must have; None for any.
            timeout: Seconds to wait for the close.

        Returns:
            The close, with the messages that came before it and were not received.

        Raises:
            AssertionError: It does not close, or with another code or reason.
            Exception: What the application raised instead.
        """
        deadline = self._deadline_after(timeout)
        before: list[AsgiMessage] = []
        while True:
            found = await self._peek_next(deadline)
            if not isinstance(found, Frame):
                break
            message = self.output_queue.get_nowait()
            if message.get("type") == "websocket.close":
                break
            before.append(message)
        closed = self._link_state.closed
        shown = "".join(f"\n  {show_message(message)}" for message in before)
        came = f" Before that came:{shown}" if before else " Nothing came before."
        if closed is None:
            self._raise_crash()
            why = "the application ended" if found is None else str(found)
            raise self._with_transcript(
                AssertionError(
                    f"Expected the application to close the connection {deadline}, but "
                    f"it did not ({why}).{came}"
                )
            )
        if code is not None and closed.code != code:
            raise self._with_transcript(
                AssertionError(
                    f"Expected the connection to be closed with code {code}, but it "
                    f"was {closed}.{came}"
                )
            )
        if reason is not None and closed.reason != reason:
            raise self._with_transcript(
                AssertionError(
                    f"Expected the connection to be closed with reason {reason!r}, but "
                    f"it was {closed}.{came}"
                )
            )
        return replace(closed, messages=tuple(before))
