"""Messages that any consumer may send."""

from typing import Any, Literal

from pydantic import BaseModel

from chanx_testing.constants import (
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.messages.base import BaseMessage

__all__ = [
    "AuthenticationMessage",
    "AuthenticationPayload",
    "CompleteMessage",
    "ErrorMessage",
    "EventCompleteMessage",
    "GroupCompleteMessage",
    "PongMessage",
]


class PongMessage(BaseMessage):
    """Answers a ``PingMessage``."""

    action: Literal["pong"] = "pong"
    payload: None = None


class ErrorMessage(BaseMessage):
    """Says that a frame could not be handled.

    Attributes:
        payload: For a bad frame, a list with one ``{"type", "loc", "msg"}`` for each
            fault, as pydantic names them. For a handler that raised,
            ``{"detail": str}``.
    """

    action: Literal["error"] = "error"
    payload: Any = None


class AuthenticationPayload(BaseModel):
    """The outcome of authentication.

    Attributes:
        status_code: An HTTP status: 200 when the connection is authenticated.
        status_text: The same in words.
        data: What the authenticator adds, such as the reason of a refusal.
    """

    status_code: int
    status_text: str
    data: Any = None


class AuthenticationMessage(BaseMessage):
    """Says how authentication went, before anything else is said."""

    action: Literal["authentication"] = "authentication"
    payload: AuthenticationPayload


class CompleteMessage(BaseMessage):
    """Says that a frame of the client was handled to its end."""

    action: Literal["complete"] = MESSAGE_ACTION_COMPLETE
    payload: None = None


class GroupCompleteMessage(BaseMessage):
    """Says that a group message was delivered to this connection."""

    action: Literal["group_complete"] = GROUP_ACTION_COMPLETE
    payload: None = None


class EventCompleteMessage(BaseMessage):
    """Says that this connection handled an event to its end."""

    action: Literal["event_complete"] = EVENT_ACTION_COMPLETE
    payload: None = None
