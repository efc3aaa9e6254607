"""Count the messages on a channel layer, where this process sends and receives them.

Nothing can be proved of a layer on a server (Redis): its socket is open. But what comes
over it was sent by somebody, and in a test that is this process. A message is counted
before it is handed to the layer, and counted off when the layer hands it to a consumer.
Where no operation is under way and no message is outstanding, the layer's sockets have
nothing to bring.

Messages of other processes are not seen, nor those that do not pass through the layer's
methods. A message that is counted and never arrives (dropped by a full channel, for
example) leaves the account open: then waits last to their deadlines, as they do without
an account.
"""

import asyncio
import functools
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from chanx_testing.core.idle import accounted
from chanx_testing.core.idle.describe import describe_task
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


class Traffic:
    """The account of one channel layer; an :class:`~chanx_testing.core.idle.Account`.

    Args:
        name: What the layer is called in reasons.

    Attributes:
        shared: Whether other processes write to the layer too. Then it is never quiet.
    """

    def __init__(self, name: str) -> None:
        self.shared = False
        self._name = name
        self._lock = threading.Lock()
        self._operations: Counter[str] = Counter()
        self._channels: set[str] = set()
        self._members: defaultdict[str, set[str]] = defaultdict(set)
        self._outstanding: Counter[str] = Counter()
        self._receiving: dict[asyncio.Task[Any], str] = {}

    def under_way(self) -> list[str]:
        """Return what could still come over the layer, one phrase each."""
        with self._lock:
            found = [
                f"{method}() on {self._name}"
                for method, count in self._operations.items()
                if count
            ]
            if self.shared and self._receiving:
                found.append(f"messages of other processes over {self._name}")
            for task, channel in self._receiving.items():
                if self._outstanding[channel] > 0:
                    found.append(f"a message on its way over {self._name}")
                elif channel not in self._channels:
                    found.append(f"a receiver of unknown messages on {self._name}")
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
            except BaseException:
                self._arrived(channel)
                raise

    async def group_send(self, original: Method, group: str, message: Any) -> Any:
        """Count a message to every member of a group."""
        with self._operation("group_send"):
            # All that may be members now: group_add() notes one early, group_discard()
            # forgets one late. One too many leaves the account open, and no more; one
            # that joins while this runs is not among them.
            with self._lock:
                members = tuple(self._members[group])
            self._expect(members)
            # Not counted off where it fails, unlike a send(): some of the members may
            # have got the message by then. An account that stays open makes waits
            # longer; one that is closed too early would make them wrong.
            return await original(group, message)

    async def receive(self, original: Method, channel: str) -> Any:
        """Count a message off when it is handed to whoever waits for it."""
        # In a task of its own, which can be cancelled more than once: see _cancel().
        receiving = asyncio.ensure_future(original(channel))
        with self._lock:
            self._receiving[receiving] = channel
        try:
            message = await asyncio.shield(receiving)
        except asyncio.CancelledError:
            await _cancel(receiving)
            raise
        finally:
            with self._lock:
                self._receiving.pop(receiving, None)
        self._arrived(channel)
        return message

    async def new_channel(self, original: Method, *args: Any, **kwargs: Any) -> Any:
        """Note a channel that nobody can have written to before."""
        with self._operation("new_channel"):
            channel = await original(*args, **kwargs)
            with self._lock:
                self._channels.add(channel)
            return channel

    async def group_add(self, original: Method, group: str, channel: str) -> Any:
        """Note a member, from the moment when it may be one."""
        with self._operation("group_add"):
            with self._lock:
                self._members[group].add(channel)
            return await original(group, channel)

    async def group_discard(self, original: Method, group: str, channel: str) -> Any:
        """Forget a member, once it is certainly not one any more."""
        with self._operation("group_discard"):
            result = await original(group, channel)
            with self._lock:
                self._members[group].discard(channel)
            return result

    @contextmanager
    def _operation(self, method: str) -> Iterator[None]:
        with self._lock:
            self._operations[method] += 1
        try:
            yield
        finally:
            with self._lock:
                self._operations[method] -= 1

    def _expect(self, channels: Iterable[str]) -> None:
        with self._lock:
            self._outstanding.update(channels)

    def _arrived(self, channel: str) -> None:
        with self._lock:
            self._outstanding[channel] -= 1


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


# A layer may serve several tests, so what is outstanding on it is kept as long as it
# is.
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
                traffic = _accounts.setdefault(layer, Traffic(type(layer).__name__))
            traffic.shared = shared
            stack.enter_context(_methods_counted(layer, traffic))
        yield


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
                # A layer whose methods cannot be replaced, such as fast-channels' for
                # Redis pub/sub, which computes them. Nothing is counted, and its
                # sockets count as open.
                stack.close()
                break
        yield


def _counting(traffic: Traffic, name: str) -> Callable[[Replacement], Method]:
    counted = getattr(traffic, name)

    def make(replacement: Replacement) -> Method:
        async def call(*args: Any, **kwargs: Any) -> Any:
            original = replacement.original()
            if not replacement.active:
                return await original(*args, **kwargs)
            with accounted(traffic):
                # A task that the layer starts for itself is not the application's.
                token = reports.watcher.set(None)
                try:
                    return await counted(original, *args, **kwargs)
                finally:
                    reports.watcher.reset(token)

        return functools.update_wrapper(call, getattr(replacement.owner, name))

    return make
