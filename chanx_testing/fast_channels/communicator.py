"""A communicator that knows the channel layers of fast-channels."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin

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
        """Return a context that also watches the registered layers."""
        guard = super().application_guard()
        if "fast_channels.layers" not in sys.modules:
            # An application that has not imported the package has no layers.
            return guard
        from chanx_testing.fast_channels.layers import registered_layers_watched

        return _both(guard, registered_layers_watched(shared=self.layer_shared))


@contextmanager
def _both(
    first: AbstractContextManager[Any], second: AbstractContextManager[Any]
) -> Iterator[None]:
    with first, second:
        yield
