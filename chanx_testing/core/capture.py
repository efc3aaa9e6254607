"""Recording the events that consumers broadcast, without replacing anything."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from chanx_testing.core import observe
from chanx_testing.core.observe import Broadcast, BroadcastMethod
from chanx_testing.core.websocket import WebsocketConsumerMixin
from chanx_testing.messages.base import BaseMessage

METHODS: Final[tuple[BroadcastMethod, ...]] = (
    "broadcast_event",
    "send_event",
    "broadcast_message",
)
DEFAULT_METHODS: Final[tuple[BroadcastMethod, ...]] = ("broadcast_event",)


@dataclass(frozen=True)
class CapturedBroadcastEvent:
    """One recorded broadcast; its fields can be read by attribute and by key.

    Attributes:
        event: The event (or message) object that was given to the consumer.
        groups: The groups exactly as given: a name, a collection, or None for the
            consumer's own.
        consumer: The consumer class that the method was called on.
        method: ``broadcast_event``, ``send_event`` or ``broadcast_message``; a
            ``_sync`` twin counts as the method that it stands for.
        channel_name: The receiver of a ``send_event``, else None.
    """

    event: BaseMessage
    groups: Collection[str] | str | None
    consumer: type
    method: BroadcastMethod = "broadcast_event"
    channel_name: str | None = None

    def __getitem__(self, name: str) -> Any:
        """Return the field called ``name``.

        Raises:
            KeyError: There is no such field; the message lists those there are.
        """
        if name not in self.__dataclass_fields__:
            raise KeyError(
                f"a captured broadcast has no {name!r}; it has "
                f"{', '.join(self.__dataclass_fields__)}"
            )
        return getattr(self, name)


@contextmanager
def capture_broadcast_events(
    consumer: type,
    suppress: bool = True,
    *,
    methods: Collection[BroadcastMethod] = DEFAULT_METHODS,
) -> Iterator[list[CapturedBroadcastEvent]]:
    """Record what ``consumer`` and its subclasses broadcast while the block runs.

    Broadcasts are seen from any thread or task of the process, through
    ``broadcast_event`` and ``broadcast_event_sync`` alike. Blocks can be nested: each
    records, and a broadcast is sent only if none of them suppresses it. Nothing is
    patched, so nothing has to be put back. A raw ``group_send`` on the channel layer is
    not seen: it does not pass through a consumer.

    Args:
        consumer: A consumer class of this package; a base class covers its subclasses.
        suppress: Keep the broadcasts from being sent. False: they are sent as well.
        methods: Which methods are recorded (and suppressed): any of
            ``broadcast_event``, ``send_event`` and ``broadcast_message``.

    Yields:
        The list of records, oldest first; it grows while the block runs and stays as it
        is afterwards.

    Raises:
        TypeError: ``consumer`` is not a consumer class of this package.
        ValueError: ``methods`` names something else.
    """
    if not (
        isinstance(consumer, type) and issubclass(consumer, WebsocketConsumerMixin)
    ):
        raise TypeError(
            f"capture_broadcast_events() takes a consumer class of chanx_testing, "
            f"whose broadcasts it can see, not {consumer!r}."
        )
    if unknown := sorted(set(methods) - set(METHODS)):
        raise ValueError(
            f"capture_broadcast_events() cannot record {', '.join(unknown)}; "
            f"methods= takes {', '.join(METHODS)}."
        )
    captured: list[CapturedBroadcastEvent] = []

    def intercept(broadcast: Broadcast) -> bool:
        if broadcast.method not in methods or not issubclass(
            broadcast.consumer, consumer
        ):
            return False
        captured.append(
            CapturedBroadcastEvent(
                event=broadcast.message,
                groups=broadcast.groups,
                consumer=broadcast.consumer,
                method=broadcast.method,
                channel_name=broadcast.channel_name,
            )
        )
        return suppress

    observe.add_interceptor(intercept)
    try:
        yield captured
    finally:
        observe.remove_interceptor(intercept)
