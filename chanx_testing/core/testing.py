"""The public face of the framework-free test tools."""

from chanx_testing.core.client.communicator import (
    WebsocketCommunicator,
    WebsocketCommunicatorMixin,
)
from chanx_testing.core.observe.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)

__all__ = [
    "CapturedBroadcastEvent",
    "WebsocketCommunicator",
    "WebsocketCommunicatorMixin",
    "capture_broadcast_events",
]
