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
    """The answer to a ``PingMessage``."""

    action: Literal["pong"] = "pong"
    payload: None = None


class ErrorMessage(BaseMessage):
    """A report that a frame could not be handled.

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
        status_text: The status in words.
        data: What the authenticator adds, such as the reason for a refusal.
    """

    status_code: int
    status_text: str
    data: Any = None


class AuthenticationMessage(BaseMessage):
    """The outcome of authentication, sent before any message is handled."""

    action: Literal["authentication"] = "authentication"
    payload: AuthenticationPayload


class CompleteMessage(BaseMessage):
    """The signal that a frame of the client was handled to its end."""

    action: Literal["complete"] = MESSAGE_ACTION_COMPLETE
    payload: None = None


class GroupCompleteMessage(BaseMessage):
    """The signal that this connection handled a group message."""

    action: Literal["group_complete"] = GROUP_ACTION_COMPLETE
    payload: None = None


class EventCompleteMessage(BaseMessage):
    """The signal that this connection handled an event to its end."""

    action: Literal["event_complete"] = EVENT_ACTION_COMPLETE
    payload: None = None
