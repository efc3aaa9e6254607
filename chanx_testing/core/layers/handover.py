"""Let any thread use an in-memory channel layer, as any thread may use one in Redis.

The in-memory layers of Channels and fast-channels keep dictionaries, and queues of
asyncio, and neither may be changed by a thread while another one looks at it. Yet a
worker, a view in a thread and ``asyncio.to_thread`` broadcast all the same, each on an
event loop of its own thread, and with Redis that is correct. So, while a test is
connected:

- The code of the layer runs in one thread at a time.
- A message for a channel that somebody waits for on another loop is handed over to that
  loop, which puts it into its queue. For the sender it has arrived: it counts for the
  capacity of the channel, and nothing that is sent later comes before it.

Nobody ever waits for another loop, so a loop that is blocked until its thread has sent
something does not stand still.
"""

import asyncio
import functools
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context
from copy import deepcopy
from typing import Any, Final

from chanx_testing.core.replacing import Replacement, hold, let_go

Method = Callable[..., Awaitable[Any]]

GUARDED_METHODS: Final = (
    "new_channel",
    "send",
    "receive",
    "group_add",
    "group_discard",
    "group_send",
    "flush",
)
"""The methods of an in-memory layer, as the specification of Channels names them:
https://channels.readthedocs.io/en/latest/channel_layer_spec.html"""


class Handover:
    """What one in-memory layer needs to be used by several threads.

    Its methods that are named like those of the layer run under the lock, except where
    they wait; see :class:`OneAtATime`. Each is given the layer's own as ``original``.

    Args:
        layer: The layer; held weakly.
        full: What the layer raises where a channel has no room.
    """

    def __init__(self, layer: Any, full: type[Exception]) -> None:
        # Re-entrant: a garbage collection may come in between and run a finalizer that
        # sends something.
        self.lock = threading.RLock()
        self._layer = weakref.ref(layer)
        self._full = full
        # The loops of those who wait for a message, by channel.
        self._readers: dict[str, list[asyncio.AbstractEventLoop]] = {}
        # What is on its way to them, each with the layer's own send(): held only so
        # long, as it holds the layer.
        self._handed_over: dict[str, deque[tuple[Method, Any]]] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    async def send(self, original: Method, channel: str, message: Any) -> None:
        """Put a message into a channel, or hand it over to the loop of its reader."""
        reader = self._reader(channel)
        if reader is not None and reader is not asyncio.get_running_loop():
            self._hand_over(reader, original, channel, message)
            return
        await self._deliver(channel)
        await original(channel, message)

    async def receive(self, original: Method, channel: str) -> Any:
        """Wait for a message, and note on which loop."""
        loop = asyncio.get_running_loop()
        readers = self._readers.setdefault(channel, [])
        readers.append(loop)
        try:
            await self._deliver(channel)
            return await original(channel)
        finally:
            readers.remove(loop)
            if not readers and self._readers.get(channel) is readers:
                del self._readers[channel]

    async def flush(self, original: Method) -> None:
        """Empty the layer, and forget what is on its way."""
        self._handed_over.clear()
        await original()

    def _reader(self, channel: str) -> asyncio.AbstractEventLoop | None:
        readers = self._readers.get(channel, ())
        for loop in readers:
            if not loop.is_closed():
                return loop
        if readers and (layer := self._layer()) is not None:
            # Their loops were closed under them. The queue still has them, and would
            # wake them in vain.
            del self._readers[channel]
            layer.channels.pop(channel, None)
        return None

    def _hand_over(
        self,
        loop: asyncio.AbstractEventLoop,
        put: Method,
        channel: str,
        message: Any,
    ) -> None:
        layer = self._layer()
        assert layer is not None
        # What the layer's own send() asks first.
        assert isinstance(message, dict), "message is not a dict"
        layer.require_valid_channel_name(channel)
        assert "__asgi_channel__" not in message
        under_way = self._handed_over.setdefault(channel, deque())
        queue = layer.channels.get(channel)
        number = len(under_way) + (0 if queue is None else queue.qsize())
        if 0 < layer.get_capacity(channel) <= number:
            raise self._full(channel)
        # The sender may change its message before the other loop comes to it.
        under_way.append((put, deepcopy(message)))
        # Nobody reads on a loop that has been closed since.
        with suppress(RuntimeError):
            # In a context of its own: what the sender is must not show in a task of the
            # receiver's loop.
            loop.call_soon_threadsafe(self._deliver_soon, channel, context=Context())

    def _deliver_soon(self, channel: str) -> None:
        task = asyncio.ensure_future(self.one_at_a_time(self._deliver(channel)))
        # The loop itself holds only weak references to its tasks.
        self._deliveries.add(task)
        task.add_done_callback(self._deliveries.discard)

    async def _deliver(self, channel: str) -> None:
        """Put what was handed over into the queue, on the loop of its reader."""
        while under_way := self._handed_over.get(channel):
            put, message = under_way.popleft()
            if not under_way:
                del self._handed_over[channel]
            with suppress(self._full):
                await put(channel, message)

    async def one_at_a_time(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine under the lock, except where it waits."""
        return await OneAtATime(coroutine, self.lock)


class OneAtATime:
    """Awaits a coroutine with a lock held while its code runs, not while it waits.

    Args:
        coroutine: The coroutine.
        lock: The lock.
    """

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], lock: threading.RLock
    ) -> None:
        self._coroutine = coroutine
        self._lock = lock

    def __await__(self) -> Generator[Any, Any, Any]:
        thrown: BaseException | None = None
        while True:
            with self._lock:
                try:
                    if thrown is None:
                        waits_for = self._coroutine.send(None)
                    else:
                        waits_for = self._coroutine.throw(thrown)
                except StopIteration as end:
                    return end.value
                finally:
                    thrown = None  # it holds this frame by its traceback
            try:
                # As `yield waits_for`, but it shows that this generator waits: where it
                # yields from nothing, a task counts as one that only waits its turn.
                yield from (waits_for,)
            except BaseException as error:
                thrown = error


# A channel may have readers for longer than one connection.
_handovers: "weakref.WeakKeyDictionary[Any, Handover]" = weakref.WeakKeyDictionary()


@contextmanager
def handed_over(layer: Any, full: type[Exception]) -> Iterator[None]:
    """Let any thread use an in-memory layer while the block runs.

    Blocks may overlap in any order; after the last one, the layer has its own methods
    again.

    Args:
        layer: An in-memory channel layer of Channels or of fast-channels.
        full: What it raises where a channel has no room.
    """
    handover = _handovers.get(layer)
    if handover is None:
        handover = _handovers.setdefault(layer, Handover(layer, full))
    with ExitStack() as stack:
        for name in GUARDED_METHODS:
            made = hold(layer, name, "handover", _guarded(handover, name))
            stack.callback(let_go, made)
        yield


def _guarded(handover: Handover, name: str) -> Callable[[Replacement], Method]:
    guarding = getattr(handover, name, None)

    def make(replacement: Replacement) -> Method:
        async def call(*args: Any, **kwargs: Any) -> Any:
            original = replacement.original()
            if not replacement.active:
                return await original(*args, **kwargs)
            if guarding is None:
                coroutine = original(*args, **kwargs)
            else:
                coroutine = guarding(original, *args, **kwargs)
            return await handover.one_at_a_time(coroutine)

        return functools.update_wrapper(call, getattr(replacement.owner, name))

    return make
