"""A record of the events that consumers broadcast."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from chanx_testing.core.observe import foreign, reports
from chanx_testing.core.observe.reports import Broadcast, BroadcastMethod
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
        channel_name: The receiver of a ``send_event``; None for the others.
    """

    event: BaseMessage
    groups: Collection[str] | str | None
    consumer: type
    method: BroadcastMethod = "broadcast_event"
    channel_name: str | None = None

    def __getitem__(self, name: str) -> Any:
        """Return the field called ``name``.

        Raises:
            KeyError: There is no such field; the message lists the fields.
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
    records, and a broadcast is sent only if none of them suppresses it. A method of a
    consumer of this package is not patched, so nothing has to be put back; one that
    overrides it, and one of another package, is replaced while the block runs, and the
    identical method is there after it.

    A class method that overrides one of this package is recorded whether it calls
    ``super()`` or not. What one without ``super()`` would send is suppressed too: it is
    not called. One with ``super()`` is called, and the event is recorded that it passes
    on.

    A raw ``group_send`` on the channel layer is not seen: it does not pass through a
    consumer.

    Args:
        consumer: A consumer class of this package, or any class with an async class
            method ``broadcast_event(event, groups=None)``; a base class covers its
            subclasses.
        suppress: Keep the broadcasts from being sent. False: they are sent as well.
        methods: Which methods are recorded (and suppressed): any of
            ``broadcast_event``, ``send_event`` and ``broadcast_message``. Of another
            package's consumer only class methods can be recorded.

    Yields:
        The list of records, oldest first; it grows while the block runs and stays as it
        is afterwards.

    Raises:
        TypeError: ``consumer`` is not a class whose broadcasts can be seen.
        ValueError: ``methods`` names a method that cannot be recorded.
    """
    if unknown := sorted(set(methods) - set(METHODS)):
        raise ValueError(
            f"capture_broadcast_events() cannot record {', '.join(unknown)}; "
            f"methods= takes {', '.join(METHODS)}."
        )
    # An instance of a consumer has the attribute too, and is not what is wanted.
    announces = isinstance(consumer, type) and getattr(
        consumer, "announces_broadcasts", False
    )
    missing = [
        method for method in methods if not foreign.is_class_method(consumer, method)
    ]
    if missing and not announces:
        raise TypeError(
            f"capture_broadcast_events() takes a consumer class of chanx_testing, or "
            f"one with an async class method {missing[0]}(), whose broadcasts it can "
            f"see, not {consumer!r}."
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

    with ExitStack() as stack:
        reports.add_interceptor(intercept)
        stack.callback(reports.remove_interceptor, intercept)
        for method in methods:
            if not announces:
                stack.enter_context(foreign.broadcasts_announced(consumer, method))
            elif foreign.is_class_method(consumer, method):
                stack.enter_context(foreign.overrides_announced(consumer, method))
        yield captured
