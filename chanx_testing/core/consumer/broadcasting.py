"""Sending to other connections, through the channel layer."""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, ClassVar

from asgiref.sync import async_to_sync

from chanx_testing.core.consumer import frames
from chanx_testing.core.consumer.framework import Framework
from chanx_testing.core.observe import reports
from chanx_testing.messages.base import BaseMessage


class BroadcastMixin(Framework):
    """The half of a consumer that sends to other connections."""

    announces_broadcasts: ClassVar[bool] = True
    """Broadcasts are announced through :mod:`chanx_testing.core.observe.reports`.

    So ``capture_broadcast_events()`` sees them without replacing a method.
    """

    channel_layer_hint: ClassVar[str] = "register a channel layer under that alias"
    """What an error message says to do where there is no channel layer."""

    @classmethod
    def get_channel_layer(cls, alias: str | None) -> Any:
        """Return the channel layer with that alias, None if there is none.

        Raises:
            NotImplementedError: The class is not one for a framework, which overrides
                this method.
        """
        raise NotImplementedError(
            f"{cls.__name__} has no framework: use AsyncJsonWebsocketConsumer of "
            "chanx_testing.channels.websocket or chanx_testing.fast_channels.websocket."
        )

    async def broadcast_message(
        self,
        message: BaseMessage,
        groups: Collection[str] | str | None = None,
        *,
        exclude_current: bool = False,
    ) -> None:
        """Send ``message`` to the client of each connection in ``groups``.

        Where completion is on, each of them gets a ``GroupCompleteMessage`` after it. A
        connection that is in two of the groups gets the message twice.

        Args:
            message: What to send; each receiver puts it into its own wire format.
            groups: A name, a collection of names, or None for this connection's own.
            exclude_current: Whether this connection is left out.

        Raises:
            TypeError: The message is not a ``BaseMessage``.
            ValueError: ``groups`` is None and this connection has none, or the message
                holds ``NaN`` or ``Infinity``, which are not JSON.
            RuntimeError: There is no channel layer.
        """
        _check_message(message, "broadcast_message")
        cls = type(self)
        broadcast = reports.Broadcast("broadcast_message", cls, message, groups)
        if not reports.announce(broadcast):
            return
        names = cls._group_names("broadcast_message", groups, self.groups)
        layer = cls._layer()
        dump = message.model_dump(mode="json")
        frames.encode(dump)  # What is not JSON fails here, not at each receiver.
        content = {
            "type": "handle_group_message",
            "message": dump,
            "exclude_current": exclude_current,
            "from_channel": self.channel_name,
            **broadcast.stamp(),
        }
        for name in names:
            with reports.sending(broadcast, layer, group=name):
                await layer.group_send(name, content)

    @classmethod
    async def broadcast_event(
        cls, event: BaseMessage, groups: Collection[str] | str | None = None
    ) -> None:
        """Make each connection in ``groups`` run its ``@event_handler`` for ``event``.

        What the handler returns is sent to the client of that connection, followed by
        an ``EventCompleteMessage`` where completion is on. May be called from anywhere:
        a view, a task, another consumer.

        Args:
            event: What happened.
            groups: A name, a collection of names, or None for the class's own.

        Raises:
            TypeError: The event is not a ``BaseMessage``.
            ValueError: ``groups`` is None and the class has none.
            RuntimeError: There is no channel layer.
        """
        _check_message(event, "broadcast_event")
        broadcast = reports.Broadcast("broadcast_event", cls, event, groups)
        if not reports.announce(broadcast):
            return
        own = getattr(cls, "groups", None) or ()
        names = cls._group_names("broadcast_event", groups, own)
        layer = cls._layer()
        content = _event_content(broadcast)
        for name in names:
            with reports.sending(broadcast, layer, group=name):
                await layer.group_send(name, content)

    @classmethod
    async def send_event(cls, event: BaseMessage, channel_name: str) -> None:
        """Make one connection run its ``@event_handler`` for ``event``.

        Args:
            event: What happened.
            channel_name: The ``channel_name`` of that connection's consumer.

        Raises:
            TypeError: The event is not a ``BaseMessage``.
            RuntimeError: There is no channel layer.
        """
        _check_message(event, "send_event")
        broadcast = reports.Broadcast(
            "send_event", cls, event, channel_name=channel_name
        )
        if not reports.announce(broadcast):
            return
        layer = cls._layer()
        with reports.sending(broadcast, layer, channel_name=channel_name):
            await layer.send(channel_name, _event_content(broadcast))

    @classmethod
    def broadcast_event_sync(
        cls, event: BaseMessage, groups: Collection[str] | str | None = None
    ) -> None:
        """Do what :meth:`broadcast_event` does, from synchronous code.

        Raises:
            RuntimeError: This thread runs an event loop.
            Exception: What :meth:`broadcast_event` raises.
        """
        cls._synchronously(cls.broadcast_event, event, groups)

    @classmethod
    def send_event_sync(cls, event: BaseMessage, channel_name: str) -> None:
        """Do what :meth:`send_event` does, from synchronous code.

        Raises:
            RuntimeError: This thread runs an event loop.
            Exception: What :meth:`send_event` raises.
        """
        cls._synchronously(cls.send_event, event, channel_name)

    @classmethod
    def _synchronously(
        cls, method: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            async_to_sync(method)(*args)
        else:
            name = f"{cls.__name__}.{method.__name__}"
            raise RuntimeError(
                f"{name}_sync() was called on the thread of a running event loop, "
                f"which it would block: write `await {name}(...)`."
            )

    @classmethod
    def _group_names(
        cls,
        method: str,
        groups: Collection[str] | str | None,
        own: Collection[str],
    ) -> list[str]:
        if groups is None:
            if not own:
                raise ValueError(
                    f"{cls.__name__}.{method}() does not know whom to reach: there "
                    f"are no groups of its own. Pass `groups=` (a name or a collection "
                    f"of names), or set `groups` on the class."
                )
            groups = own
        if isinstance(groups, str):
            return [groups]
        return list(dict.fromkeys(groups))

    @classmethod
    def _layer(cls) -> Any:
        alias = getattr(cls, "channel_layer_alias", None)
        layer = cls.get_channel_layer(alias)
        if layer is None:
            raise RuntimeError(cls._no_layer_message(alias))
        return layer

    @classmethod
    def _no_layer_message(cls, alias: str | None) -> str:
        return (
            f"{cls.__name__} needs a channel layer for its groups and events, and "
            f"there is none with the alias {alias!r} (its channel_layer_alias): "
            f"{cls.channel_layer_hint}."
        )


def _check_message(message: object, method: str) -> None:
    if not isinstance(message, BaseMessage):
        raise TypeError(
            f"{method}() takes a BaseMessage, not {type(message).__qualname__}: pass "
            "a message of a class with an action."
        )


def _event_content(broadcast: reports.Broadcast) -> dict[str, Any]:
    return {
        "type": "handle_channel_event",
        "event_data": broadcast.message.model_dump(mode="json"),
        **broadcast.stamp(),
    }
