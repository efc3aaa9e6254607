"""Messages that clients send to any consumer."""

from typing import Literal

from chanx_testing.messages.base import BaseMessage

__all__ = ["PingMessage"]


class PingMessage(BaseMessage):
    """A question whether the connection is alive; a ``PongMessage`` answers it."""

    action: Literal["ping"] = "ping"
    payload: None = None
