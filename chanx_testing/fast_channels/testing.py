"""Testing FastAPI, Starlette and any other ASGI application.

Neither Django nor Channels is imported, and fast-channels need not be installed.
"""

from typing import Self

from chanx_testing.core.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)
from chanx_testing.core.client.connection import Application, Closed
from chanx_testing.core.client.errors import ConnectionRejected
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.routing import RoutingError, consumer_for, find_route

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

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectionRejected: The handshake was refused. Where no route leads to the
                path, a note lists those that there are.
        """
        try:
            return await super().__aenter__()
        except ConnectionRejected as rejected:
            try:
                find_route(self.application, self.scope["path"])
            except RoutingError as error:
                rejected.add_note(str(error))
            raise
