"""The public face of the framework-free test tools."""

from chanx_testing.core.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)
from chanx_testing.core.communicator import (
    WebsocketCommunicator,
    WebsocketCommunicatorMixin,
)

__all__ = [
    "CapturedBroadcastEvent",
    "WebsocketCommunicator",
    "WebsocketCommunicatorMixin",
    "capture_broadcast_events",
]
