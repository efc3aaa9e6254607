"""How an application opens a connection, and how it closes one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chanx_testing.core.client.frame_queue import AsgiMessage
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.hiding.handshake import conceal_subprotocol
from chanx_testing.core.trace.showing import show_message

HeaderList = list[tuple[bytes, bytes]]


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
        reason = f" ({conceal_text(self.reason)!r})" if self.reason else ""
        return f"{verb} by the application with code {self.code}{reason}"

    def __repr__(self) -> str:
        """Return what a dataclass returns, with secrets hidden."""
        shown = [show_message(message) for message in self.messages]
        return (
            f"Closed(code={self.code!r}, reason={conceal_text(self.reason)!r}, "
            f"accepted={self.accepted!r}, messages={shown!r})"
        )


class Handshake(tuple[bool, Any]):
    """The answer to a handshake: a pair, as Channels gives it, that knows more.

    ``(True, subprotocol or None)`` when accepted, ``(False, code)`` when refused, with
    the close code, or the HTTP status where the application sent a denial response.

    Attributes:
        accepted: Whether the connection is open.
        subprotocol: The one that the application chose, or None.
        code: The close code of a refusal; None where it was accepted or denied.
        reason: The close reason of a refusal, otherwise empty.
        status: The HTTP status: 101 when accepted, 403 for a refusal by a close (as a
            server answers it), otherwise that of the denial response.
        headers: The headers of the answer.
        body: The body of the denial response, otherwise empty.
    """

    accepted: bool
    subprotocol: str | None
    code: int | None
    reason: str
    status: int
    headers: HeaderList
    body: bytes
    _offered: tuple[str, ...] = ()

    @classmethod
    def accept(
        cls,
        subprotocol: str | None,
        headers: HeaderList,
        offered: Sequence[str] = (),
    ) -> "Handshake":
        """Return the answer that opens the connection.

        Args:
            subprotocol: The one that the application chose.
            headers: The headers of the answer.
            offered: The subprotocols that the client offered.
        """
        made = cls._made(True, subprotocol, subprotocol=subprotocol, headers=headers)
        made._offered = tuple(offered)
        return made

    @classmethod
    def refuse(cls, code: int, reason: str = "") -> "Handshake":
        """Return the answer that closes the connection before it is open."""
        return cls._made(False, code, code=code, reason=reason, status=403)

    @classmethod
    def deny(cls, status: int, headers: HeaderList, body: bytes) -> "Handshake":
        """Return the answer that is an HTTP response instead of a connection."""
        return cls._made(False, status, status=status, headers=headers, body=body)

    @classmethod
    def _made(
        cls,
        accepted: bool,
        value: Any,
        *,
        subprotocol: str | None = None,
        code: int | None = None,
        reason: str = "",
        status: int = 101,
        headers: HeaderList | None = None,
        body: bytes = b"",
    ) -> "Handshake":
        made = cls((accepted, value))
        made.accepted = accepted
        made.subprotocol = subprotocol
        made.code = code
        made.reason = reason
        made.status = status
        made.headers = headers or []
        made.body = body
        return made

    def __repr__(self) -> str:
        """Return the pair, a token among the subprotocols hidden."""
        accepted, answer = self
        if isinstance(answer, str):
            answer = conceal_subprotocol(answer, self._offered)
        return repr((accepted, answer))

    def header(self, name: str) -> str | None:
        """Return the value of a header of the answer, or None."""
        wanted = name.lower().encode("latin-1")
        return next(
            (value.decode("latin-1") for key, value in self.headers if key == wanted),
            None,
        )
