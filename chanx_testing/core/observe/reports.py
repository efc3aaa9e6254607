"""What an application reports to a test that watches it.

A communicator runs its application in a context in which it is the *watcher*;
whatever the application starts (tasks, threads of ``sync_to_async``) inherits that
context. Consumers report to the watcher what the wire does not show: an exception that
they turned into an ``ErrorMessage``, a broadcast, its delivery. Outside a test nobody
watches: a failure or a delivery costs one look at a context variable, a broadcast also
takes a lock.

Interceptors see the broadcasts of the whole process, whichever thread they come from.
So :func:`~chanx_testing.core.testing.capture_broadcast_events` sees those of this
package's consumers without replacing anything. Listeners are called for each broadcast
that no interceptor has suppressed.
"""

import itertools
import threading
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal, Protocol

from chanx_testing.messages.base import BaseMessage

BroadcastMethod = Literal["broadcast_event", "send_event", "broadcast_message"]

_broadcast_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Broadcast:
    """One message on its way to other connections.

    Attributes:
        method: The consumer method that was called (its ``_sync`` twin counts as it).
        consumer: The consumer class it was called on.
        message: The event or message.
        groups: The groups as the caller gave them: a name, a collection or None.
        channel_name: The single receiver of ``send_event``; None for the others.
        id: Unique in this process; travels with the message to its receivers.
    """

    method: BroadcastMethod
    consumer: type
    message: BaseMessage
    groups: Collection[str] | str | None = None
    channel_name: str | None = None
    id: int = field(default_factory=lambda: next(_broadcast_ids))


class Watcher(Protocol):
    """The receiver of what an application reports. Every method returns at once."""

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Note that a handler raised ``error``; an error frame may follow."""

    def broadcast_sent(self, broadcast: Broadcast) -> None:
        """Note that the application is about to send ``broadcast``."""

    def broadcast_received(self, broadcast_id: int) -> None:
        """Note that this connection handles the broadcast with that id."""


watcher: ContextVar[Watcher | None] = ContextVar("chanx_testing_watcher", default=None)

Interceptor = Callable[[Broadcast], bool]
"""Called with each broadcast; returns True to keep it from being sent."""

Listener = Callable[[Broadcast], None]
"""Is told of each broadcast that is sent."""

_interceptors: list[Interceptor] = []
_listeners: list[Listener] = []
# Re-entrant: a garbage collection may run a finalizer that broadcasts.
_lock = threading.RLock()


def add_interceptor(interceptor: Interceptor) -> None:
    """Show each coming broadcast of this process to ``interceptor``."""
    with _lock:
        _interceptors.append(interceptor)


def remove_interceptor(interceptor: Interceptor) -> None:
    """Undo :func:`add_interceptor`; the object itself is removed, not an equal one."""
    with _lock:
        for index, known in enumerate(_interceptors):
            if known is interceptor:
                del _interceptors[index]
                return


def add_listener(listener: Listener) -> None:
    """Tell ``listener`` of each coming broadcast of this process that is sent."""
    with _lock:
        _listeners.append(listener)


def remove_listener(listener: Listener) -> None:
    """Undo :func:`add_listener`."""
    with _lock:
        _listeners.remove(listener)


def announce(broadcast: Broadcast) -> bool:
    """Report ``broadcast`` to the interceptors and the watcher, before it is sent.

    Returns:
        True if it may be sent, False if an interceptor suppresses it.
    """
    # A copy, so that no interceptor runs under the lock: it may broadcast itself.
    with _lock:
        interceptors, listeners = tuple(_interceptors), tuple(_listeners)
    # A list, not a generator: one that suppresses must not keep it from the others.
    suppressed = [interceptor(broadcast) for interceptor in interceptors]
    if any(suppressed):
        return False
    if (current := watcher.get()) is not None:
        current.broadcast_sent(broadcast)
    for listener in listeners:
        listener(broadcast)
    return True


def report_failure(error: Exception, doing: str) -> None:
    """Report that a handler raised ``error`` while ``doing``, if anybody watches."""
    if (current := watcher.get()) is not None:
        current.handler_failed(error, doing)


def report_delivery(broadcast_id: int | None) -> None:
    """Report that this connection handles that broadcast, if anybody watches."""
    if broadcast_id is not None and (current := watcher.get()) is not None:
        current.broadcast_received(broadcast_id)
