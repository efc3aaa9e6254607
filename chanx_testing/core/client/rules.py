"""What an application may send, and when: the rules of ASGI for WebSockets.

See the ASGI specification, "WebSocket":
https://asgi.readthedocs.io/en/latest/specs/www.html#websocket
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from chanx_testing.core.client.errors import ProtocolError
from chanx_testing.core.hiding.content import conceal_text


class State(Enum):
    """How far the application has come in the conversation."""

    CONNECTING = "connecting"
    OPEN = "open"
    DENYING = "denying"
    CLOSED = "closed"


EVENTS: Final = (
    "websocket.accept",
    "websocket.send",
    "websocket.close",
    "websocket.http.response.start",
    "websocket.http.response.body",
)
EXTENSION: Final = "websocket.http.response"


@dataclass
class Rules:
    """The state of one connection, as far as it decides what the application may send.

    Attributes:
        denial: Whether the scope offers the extension for denial responses.
        state: One of the states above.
    """

    denial: bool = True
    state: State = State.CONNECTING

    def check(self, message: Any) -> None:
        """Take one message of the application into account.

        Raises:
            ProtocolError: It may not be sent now, or is not an ASGI message.
        """
        kind = message.get("type") if isinstance(message, dict) else None
        if not isinstance(kind, str):
            raise ProtocolError(
                f"The application sent {type(message).__name__} without a type. A "
                f"message is a dict whose 'type' is one of: {', '.join(EVENTS)}."
            )
        if kind not in EVENTS:
            raise ProtocolError(
                f"The application sent {conceal_text(kind)!r}, which is not an event "
                f"that an application may send on a WebSocket. Those are: "
                f"{', '.join(EVENTS)}."
            )
        match self.state:
            case State.CONNECTING:
                problem = self._check_connecting(kind)
            case State.OPEN:
                problem = self._check_open(kind)
            case State.DENYING:
                problem = self._check_denying(kind, message)
            case State.CLOSED:
                problem = self._check_closed(kind)
        if problem:
            raise ProtocolError(f"The application sent {kind!r} {problem}")

    def _check_connecting(self, kind: str) -> str | None:
        match kind:
            case "websocket.accept":
                self.state = State.OPEN
            case "websocket.close":
                self.state = State.CLOSED
            case "websocket.http.response.start":
                if not self.denial:
                    return f"but the scope does not offer the extension {EXTENSION!r}."
                self.state = State.DENYING
            case _:
                return (
                    "before it answered the handshake. It must accept or close the "
                    "connection first."
                )
        return None

    def _check_open(self, kind: str) -> str | None:
        match kind:
            case "websocket.close":
                self.state = State.CLOSED
            case "websocket.accept":
                return "a second time: the connection is accepted already."
            case "websocket.send":
                return None
            case _:
                return (
                    "after it accepted the connection: a denial response takes the "
                    "place of an accept."
                )
        return None

    def _check_denying(self, kind: str, message: dict[str, Any]) -> str | None:
        if kind != "websocket.http.response.body":
            return "in the middle of a denial response."
        if not message.get("more_body"):
            self.state = State.CLOSED
        return None

    def _check_closed(self, kind: str) -> str | None:
        # The connection is closed already, so a second close changes nothing; servers
        # let it pass.
        if kind == "websocket.close":
            return None
        return "after it had closed the connection: nothing may follow a close."
