"""Count the messages on a channel layer, where this process sends and receives them.

Nothing can be proved of a layer on a server (Redis): its socket is open. But what comes
over it was sent by somebody, and in a test that is this process. A message is counted
before it is handed to the layer, and counted off when the layer hands it to a consumer.
Where no operation is under way and no message is outstanding, the layer's sockets have
nothing to bring.

Some things cannot be counted: who gets a message to a group while members join and
leave, what commands of the application's own have done. Then a marker is sent, a
message of our own: what was sent before it arrives before it. When it has come, it is
known that nothing else is on its way. Until then, and on layers that do not keep the
order of messages, a message may come, and a wait goes on.

Layers with one prefix have these things in common. Messages of other processes are not
seen, nor those of layers that are not watched.
"""

import asyncio
import functools
import time
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from chanx_testing.core.idle import accounted, background
from chanx_testing.core.idle.describe import describe_task
from chanx_testing.core.layers import redis
from chanx_testing.core.layers.borrowing import Borrowing
from chanx_testing.core.layers.channel import Channel, is_marker
from chanx_testing.core.layers.groups import Group
from chanx_testing.core.layers.ledger import ledger_of
from chanx_testing.core.observe import reports
from chanx_testing.core.replacing import Replacement, replaced

Method = Callable[..., Awaitable[Any]]

COUNTED_METHODS: Final = (
    "send",
    "receive",
    "new_channel",
    "group_add",
    "group_discard",
    "group_send",
)
"""The methods of a channel layer, as the specification of Channels names them:
https://channels.readthedocs.io/en/latest/channel_layer_spec.html"""


# Seconds to wait for a receiver to end before it is cancelled again. The first is
# enough unless a cancellation was lost.
_PAUSES: Final = (0.02, 0.1, 1.0)

# Seconds after which a message that was counted is asked for: a channel that is full
# drops messages, and a member may have left before its message came.
_PATIENCE: Final = 0.05


class Traffic:
    """The account of one channel layer; an :class:`~chanx_testing.core.idle.Account`.

    Args:
        layer: The layer; held weakly.

    Attributes:
        shared: Whether other processes write to the layer too. Then it is never quiet.
        borrowing: Who else uses its connections.
        own_send: Returns the layer's own ``send``, while it is watched.
    """

    def __init__(self, layer: Any) -> None:
        self.shared = False
        self.own_send: Callable[[], Method] | None = None
        self.borrowing = Borrowing(self, self._was_borrowed)
        self._layer = weakref.ref(layer)
        self._name = type(layer).__name__
        self._is_queue = redis.keeps_messages(layer)
        self._ledger = ledger_of(layer)
        self._lock = self._ledger.lock
        self._watchers = 0
        self._own_channels: set[str] = set()
        self._receiving: dict[asyncio.Task[Any], str] = {}
        self._marking: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Note one more block that watches."""
        with self._lock:
            self._watchers += 1
            self._ledger.watchers += 1

    def end(self) -> None:
        """Note one less; what happens after the last one is not seen, so forget all."""
        with self._lock:
            self._watchers -= 1
            self._ledger.watchers -= 1
            if self._watchers:
                return
            for channel in self._own_channels:
                self._ledger.channels.pop(channel, None)
            self._own_channels.clear()
            self.own_send = None
            if not self._ledger.watchers:
                self._ledger.forget()
        self.borrowing.let_go()

    def under_way(self) -> list[str]:
        """Return what could still come over the layer, one phrase each.

        Where a marker would tell, it is sent.
        """
        loop = asyncio.get_running_loop()
        found = []
        with self._lock:
            found += [
                f"{method}() on {self._name}"
                for method, count in self._ledger.operations.items()
                if count
            ]
            if self.borrowing.is_blind:
                found.append(f"connections of {self._name} that cannot be watched")
            elif self.borrowing.is_borrowed(loop):
                found.append(
                    f"a command of the application's own on a connection of"
                    f" {self._name}"
                )
            if self.shared and self._receiving:
                found.append(f"messages of other processes over {self._name}")
            for task, name in self._receiving.items():
                if task.get_loop() is not loop:
                    continue  # it comes over a socket of that loop
                channel = self._ledger.channels.get(name)
                if channel is None:
                    found.append(f"a receiver of unknown messages on {self._name}")
                elif channel.is_lost:
                    found.append(
                        f"a message on its way over {self._name}, perhaps: its"
                        f" sending was broken off"
                    )
                elif channel.is_unsure:
                    found.append(f"a message on its way over {self._name}, perhaps")
                    self._ask(loop, name, channel, 0)
                elif channel.expected:
                    found.append(f"a message on its way over {self._name}")
                    self._ask(loop, name, channel, _PATIENCE)
                elif task.cancelling():
                    found.append(
                        f"a receiver leaving {self._name}: {describe_task(task)}"
                    )
        return found

    # The methods of the layer. Each is given the layer's own as `original`.

    async def send(self, original: Method, channel: str, message: Any) -> Any:
        """Count a message to one channel."""
        with self._operation("send"):
            self._expect([channel])
            try:
                return await original(channel, message)
            except BaseException as error:
                self._failed(error, [channel], [])
                raise

    async def group_send(self, original: Method, group: str, message: Any) -> Any:
        """Count a message to every member of a group."""
        with self._operation("group_send"), self._broadcast(group) as (sure, unsure):
            self._expect(sure)
            try:
                result = await original(group, message)
            except BaseException as error:
                self._failed(error, sure, unsure)
                raise
            ledger = self._ledger
            with self._lock:
                # Under the lock, so that nobody becomes unsure in between.
                self._doubt(ledger.channels if ledger.groups_are_unsure else unsure)
            return result

    async def receive(self, original: Method, channel: str) -> Any:
        """Count a message off when it is handed to whoever waits for it."""
        while True:
            message = await self._receive(original, channel)
            with self._lock:
                known = self._ledger.channels.get(channel)
                if not is_marker(message):
                    if known is not None:
                        known.arrived()
                    return message
                if known is not None:
                    known.marker_came(message)

    async def receive_unwatched(self, original: Method, channel: str) -> Any:
        """Receive a message; not a marker that is late."""
        while is_marker(message := await original(channel)):
            pass
        return message

    async def _receive(self, original: Method, channel: str) -> Any:
        # In a task of its own, which can be cancelled more than once: see _cancel().
        receiving = asyncio.ensure_future(original(channel))
        with self._lock:
            self._receiving[receiving] = channel
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            await _cancel(receiving)
            raise
        finally:
            with self._lock:
                self._receiving.pop(receiving, None)

    async def new_channel(self, original: Method, *args: Any, **kwargs: Any) -> Any:
        """Note a channel that nobody can have written to before."""
        with self._operation("new_channel"):
            channel = await original(*args, **kwargs)
            with self._lock:
                if self._watchers:
                    self._ledger.channels[channel] = Channel()
                    self._own_channels.add(channel)
            return channel

    async def group_add(self, original: Method, group: str, channel: str) -> Any:
        """Note a member, once it certainly is one."""
        with self._operation("group_add"), self._change(group, channel, True):
            return await original(group, channel)

    async def group_discard(self, original: Method, group: str, channel: str) -> Any:
        """Forget a member, from the moment when it may not be one any more."""
        with self._operation("group_discard"), self._change(group, channel, False):
            return await original(group, channel)

    @contextmanager
    def _operation(self, method: str) -> Iterator[None]:
        with self._lock:
            self._ledger.operations[method] += 1
        try:
            yield
        finally:
            with self._lock:
                self._ledger.operations[method] -= 1
                self._ledger.last_sent = max(self._ledger.last_sent, time.time())

    @contextmanager
    def _broadcast(self, group: str) -> Iterator[tuple[frozenset[str], set[str]]]:
        with ExitStack() as stack:
            with self._lock:
                known = self._ledger.groups.setdefault(group, Group())
                found = stack.enter_context(known.broadcast())
            try:
                yield found
            finally:
                with self._lock:
                    stack.close()

    @contextmanager
    def _change(self, group: str, channel: str, joins: bool) -> Iterator[None]:
        with self._lock:
            known = self._ledger.groups.setdefault(group, Group())
            known.begin_change(channel)
            if known.was_sent_to and not self._is_queue:
                # Where the server hands messages on at once, who is a member when one
                # arrives gets it, not who was one when it was sent.
                self._doubt([channel])
        is_member: bool | None = None
        try:
            yield
            is_member = joins
        finally:
            with self._lock:
                known.end_change(channel, is_member)

    def _expect(self, channels: Iterable[str]) -> None:
        with self._lock:
            for name in channels:
                if (channel := self._ledger.channels.get(name)) is not None:
                    channel.expect()

    def _doubt(self, channels: Iterable[str]) -> None:
        with self._lock:
            for name in channels:
                if (channel := self._ledger.channels.get(name)) is not None:
                    channel.doubt()

    def _failed(
        self, error: BaseException, sure: Iterable[str], unsure: Iterable[str]
    ) -> None:
        """Note a message that was not sent, or only perhaps."""
        with self._lock:
            for name in sure:
                if (channel := self._ledger.channels.get(name)) is not None:
                    if _is_refusal(error):
                        channel.refused()
                    else:
                        channel.lose()
            if not _is_refusal(error):
                for name in unsure:
                    if (channel := self._ledger.channels.get(name)) is not None:
                        channel.lose()

    def _was_borrowed(self, is_whole: bool) -> None:
        """Note that the application has used a connection of the layer."""
        with self._lock:
            self._ledger.last_sent = max(self._ledger.last_sent, time.time())
            self._ledger.groups_are_unsure = True
            for channel in self._ledger.channels.values():
                channel.doubt()
                if not is_whole:
                    channel.lose()

    def look_at_connections(self) -> None:
        """Watch the connections that the layer has made since the last look."""
        if self._watchers and (layer := self._layer()) is not None:
            self.borrowing.look_at(layer)

    # Markers.

    def _ask(
        self,
        loop: asyncio.AbstractEventLoop,
        name: str,
        channel: Channel,
        patience: float,
    ) -> None:
        """Send a marker, after some seconds; the loop is about to sleep."""
        if channel.is_asking or channel.is_mute or channel.marker is not None:
            return
        if self.shared or self._is_busy(loop):
            return  # what ends there wakes the loop, and this is asked again
        channel.is_asking = True

        def ask() -> None:
            if patience:
                with background():
                    loop.call_later(patience, self._mark_soon, name, channel)
            else:
                self._mark_soon(name, channel)

        # It wakes the loop, too.
        loop.call_soon_threadsafe(ask)

    def _mark_soon(self, name: str, channel: Channel) -> None:
        marking = asyncio.ensure_future(self._mark(name, channel))
        # The loop itself holds only weak references to its tasks.
        self._marking.add(marking)
        marking.add_done_callback(self._marking.discard)

    async def _mark(self, name: str, channel: Channel) -> None:
        with self._lock:
            channel.is_asking = False
            if not (channel.expected or channel.is_unsure):
                return
            if self._is_busy(asyncio.get_running_loop()):
                return
            if self.own_send is None or not self._keeps_order():
                channel.is_mute = True
                return
            send = self.own_send()
            marker = channel.mark()
        try:
            with accounted(self):
                await send(name, marker)
        except BaseException as error:
            channel.marker_failed()
            if not isinstance(error, Exception):
                raise

    def _is_busy(self, loop: asyncio.AbstractEventLoop) -> bool:
        return any(self._ledger.operations.values()) or self.borrowing.is_borrowed(loop)

    def _keeps_order(self) -> bool:
        """Return whether all that was sent so far comes before what is sent now."""
        layer = self._layer()
        if layer is None or not redis.keeps_order(layer):
            return False
        # Messages that are kept are ordered by their time, which a test may freeze.
        return not self._is_queue or time.time() > self._ledger.last_sent


def _is_refusal(error: BaseException) -> bool:
    """Return whether a layer raises this before it sends anything."""
    names = {base.__name__ for base in type(error).mro()}
    return isinstance(error, AssertionError | TypeError) or "ChannelFull" in names


async def _cancel(receiving: "asyncio.Future[Any]") -> None:
    """Cancel a receiver until it has ended.

    One cancellation may be lost: a Redis client that is cancelled while it reads the
    answer to a command may take that for the end of the command, and go on to the next.
    Then the consumer would wait for the receiver for seconds.
    """
    for pause in _PAUSES:
        receiving.cancel()
        done, _ = await asyncio.wait([receiving], timeout=pause)
        if done:
            break
    if receiving.done() and not receiving.cancelled():
        # It ended by itself, and nobody waits for how: asyncio must not report it.
        receiving.exception()


# Weak: an account goes with its layer.
_accounts: "weakref.WeakKeyDictionary[Any, Traffic]" = weakref.WeakKeyDictionary()


@contextmanager
def traffic_watched(layers: Iterable[Any], *, shared: bool = False) -> Iterator[None]:
    """Keep account of what goes over these channel layers while the block runs.

    Blocks may overlap in any order; after the last one for a layer, the layer has its
    own methods again.

    Args:
        layers: Channel layers, each an object with the methods of the specification.
        shared: Whether other processes write to them too.
    """
    with ExitStack() as stack:
        for layer in layers:
            traffic = _accounts.get(layer)
            if traffic is None:
                traffic = _accounts.setdefault(layer, Traffic(layer))
            traffic.shared = shared
            stack.enter_context(_watched(layer, traffic))
        yield


@contextmanager
def _watched(layer: Any, traffic: Traffic) -> Iterator[None]:
    traffic.begin()
    try:
        with _methods_counted(layer, traffic):
            traffic.look_at_connections()
            yield
    finally:
        traffic.end()


@contextmanager
def _methods_counted(layer: Any, traffic: Traffic) -> Iterator[None]:
    with ExitStack() as stack:
        for name in COUNTED_METHODS:
            if not hasattr(layer, name):
                continue
            counting = stack.enter_context(
                replaced(layer, name, "traffic", _counting(traffic, name))
            )
            value = counting.value
            if vars(layer).get(name) is value and getattr(layer, name) is not value:
                # A layer that computes its methods, as fast-channels' for Redis pub/sub
                # does. It asks its part for the running loop.
                stack.close()
                if redis.is_pubsub(layer) and hasattr(layer, "_get_layer"):
                    stack.enter_context(_parts_counted(layer, traffic))
                break
            if name == "send" and counting.is_alone:
                # A test's own, such as a mock, must not be called with a marker.
                traffic.own_send = counting.original
        if redis.keeps_messages(layer):
            stack.enter_context(
                replaced(layer, "connection", "traffic", _connecting(traffic))
            )
        yield


def _counting(traffic: Traffic, name: str) -> Callable[[Replacement], Method]:
    def make(replacement: Replacement) -> Method:
        async def call(*args: Any, **kwargs: Any) -> Any:
            original = replacement.original()
            if replacement.active:
                return await _counted(traffic, name, original, *args, **kwargs)
            if name == "receive":
                return await traffic.receive_unwatched(original, *args, **kwargs)
            return await original(*args, **kwargs)

        return functools.update_wrapper(call, getattr(replacement.owner, name))

    return make


async def _counted(
    traffic: Traffic, name: str, original: Method, *args: Any, **kwargs: Any
) -> Any:
    with accounted(traffic):
        # A task that the layer starts for itself is not the application's.
        token = reports.watcher.set(None)
        try:
            return await getattr(traffic, name)(original, *args, **kwargs)
        finally:
            reports.watcher.reset(token)
            traffic.look_at_connections()


@contextmanager
def _parts_counted(layer: Any, traffic: Traffic) -> Iterator[None]:
    def make(replacement: Replacement) -> Callable[[], Any]:
        def get_layer() -> Any:
            part = replacement.original()()
            return _CountedPart(part, traffic) if replacement.active else part

        return get_layer

    with replaced(layer, "_get_layer", "traffic", make) as getting:
        traffic.own_send = lambda: getting.original()().send
        yield


class _CountedPart:
    """Stands for the part of a layer that is for one loop, and counts its messages."""

    def __init__(self, part: Any, traffic: Traffic) -> None:
        self._part = part
        self._traffic = traffic

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._part, name)
        if name in COUNTED_METHODS:
            return functools.partial(_counted, self._traffic, name, value)
        return value


def _connecting(traffic: Traffic) -> Callable[[Replacement], Callable[[int], Any]]:
    def make(replacement: Replacement) -> Callable[[int], Any]:
        def connection(index: int) -> Any:
            client = replacement.original()(index)
            if replacement.active:
                traffic.borrowing.watch(client.connection_pool)
            return client

        return functools.update_wrapper(connection, replacement.owner.connection)

    return make
