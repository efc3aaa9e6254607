"""What a test may import whatever its framework is.

Communicators, what they raise and return, verdicts, lifespans and the recording of
broadcasts. ``chanx_testing.channels.testing`` and
``chanx_testing.fast_channels.testing`` have the same names, with communicators of their
own.
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
from chanx_testing.core.hiding.added import hide_secrets
from chanx_testing.core.idle import (
    Deadlock,
    UnsafeLoopAccess,
    UnsupportedLoopWarning,
    Verdict,
    VerdictKind,
    WrongVerdict,
    background,
)
from chanx_testing.core.observe.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)
from chanx_testing.core.unawaited import NeverRan

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
    "NeverRan",
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
    "WrongVerdict",
    "background",
    "capture_broadcast_events",
    "hide_secrets",
    "lifespan",
]
