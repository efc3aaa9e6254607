"""The consumer for FastAPI, Starlette and any ASGI framework, on fast-channels."""

from typing import Any

from chanx_testing.core.consumer.mixin import WebsocketConsumerMixin
from chanx_testing.fast_channels import package as fast

__all__ = ["AsyncJsonWebsocketConsumer"]


class AsyncJsonWebsocketConsumer(  # type: ignore[misc]  # hooks without **kwargs
    WebsocketConsumerMixin, fast.AsyncJsonWebsocketConsumer
):
    """A fast-channels consumer whose messages are typed and routed to handlers.

    ::

        class ChatConsumer(AsyncJsonWebsocketConsumer):
            channel_layer_alias = "chat"
            groups = ["lobby"]

            @ws_handler
            async def handle_ping(self, message: PingMessage) -> PongMessage:
                return PongMessage()

            @event_handler
            async def handle_notice(self, event: NoticeEvent) -> NoticeMessage:
                return NoticeMessage(payload=event.payload)

        app.router.add_websocket_route("/ws/chat", ChatConsumer.as_asgi())

    A connection is accepted, authenticated, put into its groups; then
    :meth:`post_authentication` is called, and messages are handled one at a time. Only
    the attributes of the class are settings; what is not set has its default.

    Attributes:
        channel_layer_alias: The alias under which the application registered the
            channel layer of this consumer, with ``register_channel_layer()`` of
            ``fast_channels.layers``. None: no layer, so no groups and no events.
    """

    channel_layer_alias: str | None = None
    passing_exceptions = (
        fast.AcceptConnection,
        fast.DenyConnection,
        fast.StopConsumer,
    )

    @classmethod
    def get_channel_layer(cls, alias: str | None) -> Any:
        """Return the layer registered under ``alias``, None if there is none."""
        return None if alias is None else fast.channel_layers.get(alias)

    @classmethod
    def _no_layer_message(cls, alias: str | None) -> str:
        wants = f"{cls.__name__} needs a channel layer for its groups and events"
        if alias is None:
            return (
                f"{wants}, and it names none: set its channel_layer_alias to the alias "
                f"of a layer that is registered with register_channel_layer() of "
                f"fast_channels.layers."
            )
        known = ", ".join(map(repr, fast.channel_layers.list_aliases())) or "none"
        return (
            f"{wants}, and none is registered under {alias!r} (its "
            f"channel_layer_alias); registered are: {known}. Call "
            f"register_channel_layer({alias!r}, ...) of fast_channels.layers first, or "
            f"in a test: with in_memory_layers({alias!r}) of "
            f"chanx_testing.fast_channels.layers."
        )

    async def open_connection(self) -> None:
        """Call :meth:`connect`; it may raise fast-channels' exceptions to decide."""
        try:
            await self.connect()
        except fast.AcceptConnection:
            await self.accept()
        except fast.DenyConnection:
            await self.close()

    async def close(self, code: Any = None, reason: Any = None) -> None:
        """Close the connection; frames that are not handled yet stay unhandled."""
        # `send(..., close=True)` calls this with True, which fast-channels would send
        # as the close code.
        await super().close(None if isinstance(code, bool) else code, reason)
