"""What an application reports to a test that watches it.

A communicator runs its application in a context in which it is the *watcher*;
whatever the application starts (tasks, threads of ``sync_to_async``) inherits that
context. Consumers report to the watcher what the wire does not show: an exception that
they turned into an ``ErrorMessage``, a broadcast, its delivery. Outside a test nobody
watches: a failure or a delivery costs one look at a context variable, a broadcast also
takes a lock.

Beside the watcher there is the *conversation*, which is told for whom a consumer works:
which frame of its client it handles, which event, and what it sends to others
meanwhile. So a test knows of each frame what set it off. On the wire nothing of that
is to be seen.

Interceptors see the broadcasts of the whole process, whichever thread they come from.
So :func:`~chanx_testing.core.testing.capture_broadcast_events` sees those of this
package's consumers without replacing anything. Listeners are called for each broadcast
that no interceptor has suppressed.
"""

import itertools
import os
import secrets
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from chanx_testing.messages.base import BaseMessage

BroadcastMethod = Literal["broadcast_event", "send_event", "broadcast_message"]

HandledKind = Literal["frame", "group_message", "event"]
"""What a consumer handles: a frame of its client, or what was broadcast to it."""

_broadcast_ids = itertools.count(1)
# Another process that shares a channel layer with this one counts from 1 as well.
_token = secrets.token_hex(8)


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

    @property
    def kind(self) -> HandledKind:
        """What it is to those who handle it."""
        return "group_message" if self.method == "broadcast_message" else "event"

    def stamp(self) -> dict[str, Any]:
        """Return what tells the receivers which broadcast it is."""
        return {"broadcast_id": self.id, "broadcast_from": _this_process()}


def _this_process() -> str:
    # A process that was forked has the same token.
    return f"{os.getpid()}-{_token}"


def broadcast_id_in(message: Mapping[str, Any]) -> int | None:
    """Return the id of a broadcast of this process, None for any other message.

    Args:
        message: What came over the channel layer.
    """
    if message.get("broadcast_from") != _this_process():
        return None
    broadcast_id = message.get("broadcast_id")
    return broadcast_id if isinstance(broadcast_id, int) else None


class Watcher(Protocol):
    """The receiver of what an application reports. Every method returns at once."""

    def handler_failed(self, error: Exception, doing: str) -> None:
        """Note that a handler raised ``error``; an error frame may follow."""

    def broadcast_sent(self, broadcast: Broadcast) -> None:
        """Note that the application is about to send ``broadcast``."""

    def broadcast_received(self, broadcast_id: int) -> None:
        """Note that this connection handles the broadcast with that id."""


watcher: ContextVar[Watcher | None] = ContextVar("chanx_testing_watcher", default=None)


class Conversation(Protocol):
    """The receiver of what a consumer does for whom. Every method returns at once."""

    def consumer_began(self, channel_name: str | None) -> None:
        """Note that a consumer which reports serves this connection.

        Args:
            channel_name: Its name on the channel layer, None where it has no layer.
        """

    def handling_began(self, kind: HandledKind, subject: Any) -> object:
        """Note that the consumer begins to handle something.

        Args:
            kind: What it handles.
            subject: Of a frame the ASGI message, otherwise the id of the broadcast;
                None for one that another process has made.

        Returns:
            What :data:`handling` is to be until the consumer is done with it, in all
            that it starts, too.
        """

    def handling_ended(self, handling: Any) -> None:
        """Note the end of what :meth:`handling_began` returned."""

    def sending_began(
        self,
        broadcast: Broadcast,
        layer: Any,
        *,
        group: str | None,
        channel_name: str | None,
    ) -> object:
        """Note that a broadcast is handed to the layer, to one group or one channel.

        Returns:
            What :meth:`sending_ended` is to be given.
        """

    def sending_ended(self, sending: Any, error: BaseException | None) -> None:
        """Note that the layer has it, or what the layer raised."""


conversation: ContextVar[Conversation | None] = ContextVar(
    "chanx_testing_conversation", default=None
)

handling: ContextVar[object | None] = ContextVar("chanx_testing_handling", default=None)
"""What the conversation knows of the frame or event that is being handled here."""

answering: ContextVar[Exception | None] = ContextVar(
    "chanx_testing_answering", default=None
)
"""The failure that a consumer is answering here."""

signalling: ContextVar[bool] = ContextVar("chanx_testing_signalling", default=False)
"""Whether what is sent here is a completion signal of the consumer."""

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


@contextmanager
def answered(error: Exception, doing: str) -> Iterator[None]:
    """Report a failure; an error frame that is sent in the block answers it.

    Args:
        error: What a handler raised.
        doing: What the consumer was doing, for a person to read.
    """
    token = answering.set(error)
    try:
        report_failure(error, doing)
        yield
    finally:
        answering.reset(token)


_UNWATCHED: Final = nullcontext()


def report_consumer(channel_name: str | None) -> None:
    """Report that a consumer which reports has begun, if anybody listens."""
    if (current := conversation.get()) is not None:
        current.consumer_began(channel_name)


def handled(kind: HandledKind, subject: Any) -> AbstractContextManager[None]:
    """Return a block in which a consumer handles something, and says so.

    Args:
        kind: What it handles.
        subject: Of a frame the ASGI message, otherwise the id of the broadcast.
    """
    current = conversation.get()
    return _UNWATCHED if current is None else _handled(current, kind, subject)


@contextmanager
def _handled(current: Conversation, kind: HandledKind, subject: Any) -> Iterator[None]:
    began = current.handling_began(kind, subject)
    token = handling.set(began)
    try:
        yield
    finally:
        handling.reset(token)
        current.handling_ended(began)


def sending(
    broadcast: Broadcast,
    layer: Any,
    *,
    group: str | None = None,
    channel_name: str | None = None,
) -> AbstractContextManager[None]:
    """Return a block in which a broadcast is handed to the channel layer.

    Args:
        broadcast: The broadcast.
        layer: The channel layer.
        group: The group that gets it.
        channel_name: Or the one channel that does.
    """
    current = conversation.get()
    if current is None:
        return _UNWATCHED
    return _sending(current, broadcast, layer, group, channel_name)


@contextmanager
def _sending(
    current: Conversation,
    broadcast: Broadcast,
    layer: Any,
    group: str | None,
    channel_name: str | None,
) -> Iterator[None]:
    began = current.sending_began(
        broadcast, layer, group=group, channel_name=channel_name
    )
    try:
        yield
    except BaseException as error:
        current.sending_ended(began, error)
        raise
    current.sending_ended(began, None)


@contextmanager
def signals() -> Iterator[None]:
    """Mark what is sent in the block as a completion signal of the consumer."""
    token = signalling.set(True)
    try:
        yield
    finally:
        signalling.reset(token)


def report_delivery(broadcast_id: int | None) -> None:
    """Report that this connection handles that broadcast, if anybody watches."""
    if broadcast_id is not None and (current := watcher.get()) is not None:
        current.broadcast_received(broadcast_id)
