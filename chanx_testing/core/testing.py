"""What a test imports where no framework is meant; both ``...testing`` have it too.

Communicators, what they raise and return, verdicts, and the recording of broadcasts.
"""

from chanx_testing.core.client.communicator import (
    WebsocketCommunicator,
    WebsocketCommunicatorMixin,
)
from chanx_testing.core.client.errors import (
    ApplicationHangs,
    AuthenticationFailed,
    ConnectionIsClosed,
    ConnectionRejected,
    IncompleteMessages,
    LeftoverTaskWarning,
    LifespanError,
    NotConnected,
    NothingCame,
    ProtocolError,
    UndeclaredMessage,
    UnexpectedFrame,
    WrongEventLoop,
)
from chanx_testing.core.client.handshake import Closed, Handshake
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.idle import (
    Deadlock,
    UnsafeLoopAccess,
    UnsupportedLoopWarning,
    Verdict,
    VerdictKind,
    background,
)
from chanx_testing.core.observe.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)

__all__ = [
    "ApplicationHangs",
    "AuthenticationFailed",
    "CapturedBroadcastEvent",
    "Closed",
    "ConnectionIsClosed",
    "ConnectionRejected",
    "Deadlock",
    "Handshake",
    "IncompleteMessages",
    "LeftoverTaskWarning",
    "LifespanError",
    "NotConnected",
    "NothingCame",
    "ProtocolError",
    "UndeclaredMessage",
    "UnexpectedFrame",
    "UnsafeLoopAccess",
    "UnsupportedLoopWarning",
    "Verdict",
    "VerdictKind",
    "WebsocketCommunicator",
    "WebsocketCommunicatorMixin",
    "WrongEventLoop",
    "background",
    "capture_broadcast_events",
    "lifespan",
]
