"""Channel layers of fast-channels that live as long as a test."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from chanx_testing.core.layers.watching import layers_watched
from chanx_testing.fast_channels.package import exceptions
from chanx_testing.fast_channels.package import layers as fast_layers

__all__ = ["in_memory_layers"]


def registered_layers_watched(*, shared: bool) -> AbstractContextManager[Any]:
    """Return a context in which the registered channel layers are watched.

    The traffic over a layer on a server is counted; a layer in memory may be used by
    any thread.

    Args:
        shared: Whether other processes write to the layers on a server too.
    """
    inside, outside = [], []
    for alias in fast_layers.channel_layers.list_aliases():
        layer = fast_layers.channel_layers.get(alias)
        if isinstance(layer, fast_layers.InMemoryChannelLayer):
            inside.append(layer)
        elif layer is not None:
            outside.append(layer)
    return layers_watched(inside, outside, full=exceptions.ChannelFull, shared=shared)


@contextmanager
def in_memory_layers(
    *aliases: str,
) -> Iterator[dict[str, fast_layers.InMemoryChannelLayer]]:
    """Register an empty in-memory layer under each alias, for the length of a block.

    The registry of fast-channels, and with it the layers, lasts as long as the process:
    a group that a consumer of one test did not leave is still there in the next, with
    queues of an event loop that is closed. A new layer for each test has neither, and
    needs no Redis::

        @pytest.fixture(autouse=True)
        def layers():
            with in_memory_layers("chat") as layers:
                yield layers

    For the whole block they accept messages from any thread and any event loop, as a
    layer in Redis does: FastAPI runs a synchronous endpoint in a thread, and what it
    broadcasts from there is sent on a loop of that thread. Other in-memory layers do so
    while a client is connected.

    A consumer looks its layer up when it is connected, and its broadcasts at each call.
    A layer that the application keeps in a variable of its own is not replaced.

    Args:
        aliases: The aliases to register; without any, all that are registered.

    Yields:
        The layers by their aliases. Afterwards the registry has the very objects that
        it had before.
    """
    before: dict[str, fast_layers.BaseChannelLayer | None] = {
        alias: fast_layers.channel_layers.get(alias)
        for alias in aliases or fast_layers.channel_layers.list_aliases()
    }
    layers: dict[str, fast_layers.InMemoryChannelLayer] = {
        alias: fast_layers.InMemoryChannelLayer() for alias in before
    }
    try:
        with layers_watched(
            [*layers.values()], [], full=exceptions.ChannelFull, shared=False
        ):
            for alias, layer in layers.items():
                fast_layers.channel_layers.register(alias, layer)
            yield layers
    finally:
        for alias, former in before.items():
            if former is None:
                fast_layers.channel_layers.unregister(alias)
            else:
                fast_layers.channel_layers.register(alias, former)
