"""Channel layers of fast-channels that live as long as a test."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

from chanx_testing.fast_channels.package import (
    BaseChannelLayer,
    ChannelFull,
    InMemoryChannelLayer,
    channel_layers,
)

__all__ = ["in_memory_layers", "outside_layers"]


def outside_layers() -> list[BaseChannelLayer]:
    """Return the registered channel layers that live on a server."""
    registered = map(channel_layers.get, channel_layers.list_aliases())
    return [
        layer
        for layer in registered
        if layer is not None and not isinstance(layer, InMemoryChannelLayer)
    ]


@contextmanager
def in_memory_layers(*aliases: str) -> Iterator[dict[str, InMemoryChannelLayer]]:
    """Register an empty in-memory layer under each alias, for the length of a block.

    The registry of fast-channels, and with it the layers, lasts as long as the process:
    a group that a consumer of one test did not leave is still there in the next, with
    queues of an event loop that is closed. A new layer for each test has neither, and
    needs no Redis::

        @pytest.fixture(autouse=True)
        def layers():
            with in_memory_layers("chat") as layers:
                yield layers

    Unlike the in-memory layer of fast-channels, these accept messages from any thread
    and any event loop, as a layer in Redis does: FastAPI runs a synchronous endpoint in
    a thread, and what it broadcasts from there is sent on a loop of that thread.

    A consumer looks its layer up when it is connected, and its broadcasts at each call.
    A layer that the application keeps in a variable of its own is not replaced.

    Args:
        aliases: The aliases to register; without any, all that are registered.

    Yields:
        The layers by their aliases. Afterwards the registry has the very objects that
        it had before.
    """
    before: dict[str, BaseChannelLayer | None] = {
        alias: channel_layers.get(alias)
        for alias in aliases or channel_layers.list_aliases()
    }
    layers: dict[str, InMemoryChannelLayer] = {alias: _Layer() for alias in before}
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


class _Layer(InMemoryChannelLayer):
    """An in-memory layer that hands each message to the event loop of its receiver."""

    def __init__(self) -> None:
        super().__init__()
        self._loops: dict[str, asyncio.AbstractEventLoop] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return the name of a new channel, whose receiver is on this loop."""
        name = await super().new_channel(prefix)
        self._loops[name] = asyncio.get_running_loop()
        return name

    async def receive(self, channel: str) -> Any:
        """Wait for the next message on a channel."""
        self._loops[channel] = asyncio.get_running_loop()
        return await super().receive(channel)

    async def send(self, channel: str, message: Any) -> None:
        """Send a message to a channel.

        A message for another loop is lost if the channel is full or the loop is closed.
        """
        loop = self._loops.get(channel)
        if loop is None or loop is asyncio.get_running_loop():
            await super().send(channel, message)
            return
        with suppress(RuntimeError):  # the loop is closed
            # The sender may change its message before the other loop comes to it.
            loop.call_soon_threadsafe(self._deliver, channel, deepcopy(message))

    async def group_send(self, group: str, message: Any) -> None:
        """Send a message to every member of a group that has room for it."""
        self.require_valid_group_name(group)
        # Copied first: another loop may change the group while this runs.
        for channel in list(self.groups.get(group, ())):
            with suppress(ChannelFull):
                await self.send(channel, message)

    def _deliver(self, channel: str, message: Any) -> None:
        task = asyncio.ensure_future(self._deliver_here(channel, message))
        # The loop itself holds only weak references to its tasks.
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _deliver_here(self, channel: str, message: Any) -> None:
        with suppress(ChannelFull):
            await super().send(channel, message)
