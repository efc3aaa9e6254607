"""A communicator that knows the channel layers of fast-channels."""

import sys
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar

from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.layers.traffic import traffic_watched

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of any ASGI application, for tests.

    ::

        async with WebsocketCommunicator(app, "/ws/chat") as communicator:
            await communicator.send_message(PingMessage())
            assert await communicator.receive_all_messages() == [PongMessage()]

    Its arguments and verbs are those of
    :class:`~chanx_testing.core.testing.WebsocketCommunicatorMixin`.
    """

    layer_shared: ClassVar[bool] = False
    """Whether other processes write to the channel layers during the test. Then no wait
    ends with a proof while a layer on a server is open."""

    def application_guard(self) -> AbstractContextManager[Any]:
        """Return a context that also counts the messages on the registered layers."""
        with ExitStack() as guard:
            guard.enter_context(super().application_guard())
            if "fast_channels.layers" in sys.modules:
                # An application that has not imported the package has no layers.
                from chanx_testing.fast_channels.layers import outside_layers

                guard.enter_context(
                    traffic_watched(outside_layers(), shared=self.layer_shared)
                )
            return guard.pop_all()
