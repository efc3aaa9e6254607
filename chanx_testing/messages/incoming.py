"""Messages that clients send to any consumer."""

from typing import Literal

from chanx_testing.messages.base import BaseMessage

__all__ = ["PingMessage"]


class PingMessage(BaseMessage):
    """Asks whether the connection is alive; the answer is a ``PongMessage``."""

    action: Literal["ping"] = "ping"
    payload: None = None
