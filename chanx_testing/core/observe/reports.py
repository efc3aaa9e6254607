"""What an application says of itself to a test that watches.

A communicator runs its application in a context in which it is the *watcher*;
whatever the application starts (tasks, threads of ``sync_to_async``) inherits that
context. Consumers report to the watcher what the wire does not show: an exception that
they turned into an ``ErrorMessage``, a broadcast, its delivery. Outside a test nobody
watches, and a report costs one look at a context variable.

Interceptors see the broadcasts of the whole process, whichever thread they come from:
that is how :func:`~chanx_testing.core.testing.capture_broadcast_events` works without
replacing anything. Listeners are told of those that no interceptor has suppressed.
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
        channel_name: The single receiver of ``send_event``, else None.
        id: Unique in this process; travels with the message to its receivers.
    """

    method: BroadcastMethod
    consumer: type
    message: BaseMessage
    groups: Collection[str] | str | None = None
    channel_name: str | None = None
    id: int = field(default_factory=lambda: next(_broadcast_ids))


class Watcher(Protocol):
    """Who is told what an application does. Every method returns at once."""

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Say that a handler raised ``error``; an error frame may follow."""

    def broadcast_sent(self, broadcast: Broadcast) -> None:
        """Say that the application sent ``broadcast`` to the channel layer."""

    def broadcast_received(self, broadcast_id: int) -> None:
        """Say that this connection handles the broadcast with that id."""


watcher: ContextVar[Watcher | None] = ContextVar("chanx_testing_watcher", default=None)

Interceptor = Callable[[Broadcast], bool]
"""Is told of each broadcast; returns True to keep it from being sent."""

Listener = Callable[[Broadcast], None]
"""Is told of each broadcast that is sent."""

_interceptors: list[Interceptor] = []
_listeners: list[Listener] = []
_lock = threading.Lock()


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
    """Tell everybody of ``broadcast`` before it is sent.

    Returns:
        True when it may be sent, False when somebody suppressed it.
    """
    with _lock:
        interceptors, listeners = tuple(_interceptors), tuple(_listeners)
    # A list, not a generator: each interceptor is told, whoever suppresses.
    verdicts = [interceptor(broadcast) for interceptor in interceptors]
    if any(verdicts):
        return False
    if (current := watcher.get()) is not None:
        current.broadcast_sent(broadcast)
    for listener in listeners:
        listener(broadcast)
    return True


def report_failure(error: Exception, doing: str) -> None:
    """Tell the watcher, if any, that a handler raised ``error`` while ``doing``."""
    if (current := watcher.get()) is not None:
        current.handler_failed(error, doing)


def report_delivery(broadcast_id: int | None) -> None:
    """Tell the watcher, if any, that its connection handles that broadcast."""
    if broadcast_id is not None and (current := watcher.get()) is not None:
        current.broadcast_received(broadcast_id)
