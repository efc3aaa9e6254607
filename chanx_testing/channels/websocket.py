"""The consumer for Django Channels."""

from typing import Any

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer as ChannelsConsumer,
)
from channels.layers import get_channel_layer

from chanx_testing.channels.settings import chanx_setting
from chanx_testing.core.consumer.mixin import WebsocketConsumerMixin

__all__ = ["AsyncJsonWebsocketConsumer"]


class AsyncJsonWebsocketConsumer(
    WebsocketConsumerMixin,
    ChannelsConsumer,  # type: ignore[misc]  # Channels is untyped
):
    """A Channels consumer whose messages are typed and routed to handlers.

    ::

        class ChatConsumer(AsyncJsonWebsocketConsumer):
            groups = ["lobby"]
            authenticator_class = ChatAuthenticator

            @ws_handler
            async def handle_ping(self, message: PingMessage) -> PongMessage:
                return PongMessage()

            @event_handler
            async def handle_notice(self, event: NoticeEvent) -> NoticeMessage:
                return NoticeMessage(payload=event.payload)

    A connection is accepted, authenticated, put into its groups; then
    :meth:`post_authentication` is called, and messages are handled one at a time. What
    is not set as an attribute is read from ``settings.CHANX`` at each use.
    """

    channel_layer_hint = "configure it in settings.CHANNEL_LAYERS"
    passing_exceptions = (AcceptConnection, DenyConnection, StopConsumer)

    @classmethod
    def framework_setting(cls, name: str) -> Any:
        """Return the value of ``CHANX[name]`` as it is now, or the default."""
        return chanx_setting(name)

    @classmethod
    def get_channel_layer(cls, alias: str | None) -> Any:
        """Return a layer of ``settings.CHANNEL_LAYERS``, None if there is none."""
        return get_channel_layer(alias)

    async def open_connection(self) -> None:
        """Call :meth:`connect`; it may raise Channels' exceptions to decide."""
        try:
            await self.connect()
        except AcceptConnection:
            await self.accept()
        except DenyConnection:
            await self.close()
