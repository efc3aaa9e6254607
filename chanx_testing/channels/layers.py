"""The channel layers of a project, around the applications of a test."""

from contextlib import AbstractContextManager
from typing import Any

from channels.exceptions import ChannelFull, InvalidChannelLayerError
from channels.layers import InMemoryChannelLayer, channel_layers

from chanx_testing.channels.settings import chanx_setting
from chanx_testing.core.layers.watching import layers_watched


def configured_layers() -> list[Any]:
    """Return the configured channel layers; those not used yet are made."""
    found = []
    for alias in channel_layers.configs:
        try:
            layer = channel_layers[alias]
        except (ImportError, InvalidChannelLayerError):
            # A consumer that uses the layer raises the better error.
            continue
        found.append(layer)
    return found


def configured_layers_watched() -> AbstractContextManager[Any]:
    """Return a context in which the channel layers are watched.

    The layers are made at once, with all the packages that they import, and not when
    the context is entered: that happens within the time limit of a verb.

    The traffic over a layer on a server is counted, so that a wait can end by proof
    although the socket to the server is open, unless the setting ``TEST_LAYER_SHARED``
    says that other processes write to the layers. A layer in memory may be used by any
    thread.
    """
    inside: list[Any] = []
    outside: list[Any] = []
    for layer in configured_layers():
        in_memory = isinstance(layer, InMemoryChannelLayer)
        (inside if in_memory else outside).append(layer)
    return layers_watched(
        inside,
        outside,
        full=ChannelFull,
        shared=chanx_setting("TEST_LAYER_SHARED"),
    )


async def forget_messages() -> None:
    """Empty the in-memory layers, so that no message of one test reaches the next."""
    for layer in channel_layers.backends.values():
        if isinstance(layer, InMemoryChannelLayer):
            await layer.flush()
