"""Testing FastAPI, Starlette and any other ASGI application.

Neither Django nor Channels is imported, and fast-channels need not be installed.
"""

from chanx_testing.core.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)
from chanx_testing.core.client.connection import Application, Closed
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.routing import RoutingError, consumer_for

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

__all__ = [
    "CapturedBroadcastEvent",
    "Closed",
    "Handshake",
    "WebsocketCommunicator",
    "capture_broadcast_events",
    "lifespan",
]


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of any ASGI application, for tests.

    ::

        async with WebsocketCommunicator(app, "/ws/chat") as communicator:
            await communicator.send_message(PingMessage())
            assert await communicator.receive_all_messages() == [PongMessage()]

    Its arguments and verbs are those of
    :class:`~chanx_testing.core.communicator.WebsocketCommunicatorMixin`. Beside these
    it finds the consumer through the routing, where there is one behind ``path``.
    """

    def find_consumer(self, application: Application, path: str) -> type | None:
        """Return the consumer class that the routing has for ``path``, if it tells."""
        try:
            return consumer_for(application, path)
        except RoutingError:
            # A path without a route is the application's to refuse, when it is asked.
            return None
