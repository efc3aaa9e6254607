"""Channel layers of fast-channels that live as long as a test."""

from collections.abc import Iterator
from contextlib import contextmanager

from chanx_testing.fast_channels._package import (
    BaseChannelLayer,
    InMemoryChannelLayer,
    channel_layers,
)

__all__ = ["in_memory_layers"]


@contextmanager
def in_memory_layers(*aliases: str) -> Iterator[dict[str, InMemoryChannelLayer]]:
    """Register an empty in-memory layer under each alias, for the length of a block.

    The registry of fast-channels is one for the whole process, and so are the layers in
    it: the groups that a consumer of one test did not leave are there in the next, and
    with them queues of an event loop that is closed. A layer of its own for each test
    has neither, and needs no Redis::

        @pytest.fixture(autouse=True)
        def layers():
            with in_memory_layers("chat") as layers:
                yield layers

    A consumer looks its layer up when it is connected, and its broadcasts at each call.
    A layer that the application keeps in a variable of its own is not replaced.

    Args:
        aliases: The aliases to register; none given: all that are registered.

    Yields:
        The layers by their aliases. Afterwards the registry has the very objects that
        it had before.
    """
    before: dict[str, BaseChannelLayer | None] = {
        alias: channel_layers.get(alias)
        for alias in aliases or channel_layers.list_aliases()
    }
    layers = {alias: InMemoryChannelLayer() for alias in before}
    try:
        for alias, layer in layers.items():
            channel_layers.register(alias, layer)
        yield layers
    finally:
        for alias, former in before.items():
            if former is None:
                channel_layers.unregister(alias)
            else:
                channel_layers.register(alias, former)
