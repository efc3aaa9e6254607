"""The channel layers of a project, around the applications of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from channels.exceptions import InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers

from chanx_testing.channels.settings import chanx_setting
from chanx_testing.core.layers.traffic import traffic_watched


def outside_layers() -> list[Any]:
    """Return the configured channel layers that live on a server."""
    found = []
    for alias in channel_layers.configs:
        try:
            layer = channel_layers[alias]
        except (ImportError, InvalidChannelLayerError):
            # A consumer that uses the layer raises the better error.
            continue
        if not isinstance(layer, InMemoryChannelLayer):
            found.append(layer)
    return found


@contextmanager
def layers_watched() -> Iterator[None]:
    """Count the traffic over channel layers on a server while the block runs.

    So a wait can end by proof although the socket to the server is open, unless the
    setting ``TEST_LAYER_SHARED`` says that other processes write to the layers.
    """
    with traffic_watched(outside_layers(), shared=chanx_setting("TEST_LAYER_SHARED")):
        yield


async def forget_messages() -> None:
    """Empty the in-memory layers, so that no message of one test reaches the next."""
    for layer in channel_layers.backends.values():
        if isinstance(layer, InMemoryChannelLayer):
            await layer.flush()
