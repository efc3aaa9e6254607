"""Testing FastAPI, Starlette and any other ASGI application.

Neither Django nor Channels is imported, and fast-channels need not be installed.
"""

import sys
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar, Self

from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.client.errors import ConnectionRejected
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.client.link import Closed
from chanx_testing.core.client.watched import Application
from chanx_testing.core.layers.traffic import traffic_watched
from chanx_testing.core.observe.capture import (
    CapturedBroadcastEvent,
    capture_broadcast_events,
)
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
    :class:`~chanx_testing.core.client.communicator.WebsocketCommunicatorMixin`. Beside
    these it finds the consumer through the routing, where there is one behind ``path``.
    """

    layer_shared: ClassVar[bool] = False
    """Whether other processes write to the channel layers during the test. Then no wait
    ends by proof while a layer on a server is open."""

    def application_guard(self) -> AbstractContextManager[Any]:
        """Keep account of the registered channel layers while the application runs."""
        with ExitStack() as guard:
            guard.enter_context(super().application_guard())
            if "fast_channels.layers" in sys.modules:
                # Only an application that uses the package has layers to watch.
                from chanx_testing.fast_channels.layers import outside_layers

                guard.enter_context(
                    traffic_watched(outside_layers(), shared=self.layer_shared)
                )
            return guard.pop_all()

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
