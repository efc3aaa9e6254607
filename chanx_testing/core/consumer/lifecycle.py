"""The life of one connection: accept, authenticate, join the groups, leave them."""

import asyncio
from typing import Any, ClassVar

from chanx_testing.core.authenticator import BaseAuthenticator
from chanx_testing.core.consumer.broadcasting import BroadcastMixin
from chanx_testing.core.consumer.sending import SendingMixin, logger

__all__ = ["ConnectionMixin"]


class ConnectionMixin(SendingMixin, BroadcastMixin):
    """What happens around the messages of a connection.

    Attributes:
        groups: The groups that the connection is in, or joins once it is authenticated.
        authenticator_class: The class that decides on a connection; None lets everybody
            in.
        authenticator: The instance that decided on this connection.
    """

    authenticator_class: ClassVar[type[BaseAuthenticator] | None] = None
    authenticator: BaseAuthenticator | None = None

    _accepted = False
    _closed = False
    _disconnected = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # All connections of the class would share its list.
        self.groups = list(self.groups or ())

    async def connect(self) -> None:
        """Answer the handshake; authentication follows unless it is refused here.

        The default accepts, with the subprotocol of :meth:`get_subprotocol`.
        """
        offered = list(self.scope.get("subprotocols") or ())
        await self.accept(subprotocol=self.get_subprotocol(offered))

    def get_subprotocol(self, offered: list[str]) -> str | None:
        """Return the subprotocol to accept, None for none.

        Args:
            offered: What the client offered, in its order of preference.
        """
        return None

    async def post_authentication(self) -> None:
        """Called once the connection is authenticated and has joined its groups.

        The default does nothing. An exception raised here ends the application.
        """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        try:
            await super().__call__(scope, receive, send)
        except (Exception, asyncio.CancelledError):
            # No disconnect comes after this: a connection that crashed or was cancelled
            # would stay in its groups, and later ones would send to it.
            await self._leave_all_groups()
            raise
        if not self._disconnected:
            # A handler raised StopConsumer.
            await self._leave_all_groups()

    async def open_connection(self) -> None:
        """Call :meth:`connect`; a subclass handles the exceptions of its framework."""
        await self.connect()

    async def websocket_connect(self, message: Any) -> None:
        """Accept, authenticate, join the groups, call :meth:`post_authentication`.

        Raises:
            RuntimeError: There are groups and no channel layer, or :meth:`connect`
                neither accepted nor closed the connection.
        """
        if self.groups:
            self._require_layer()
        await self.open_connection()
        if self._closed:
            return
        if not self._accepted:
            raise RuntimeError(
                f"{type(self).__name__}.connect() neither accepted nor closed the "
                "connection: call `await self.accept()` or `await self.close()` in it."
            )
        if not await self._authenticate() or self._closed:
            return
        for group in self.groups:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.post_authentication()

    async def _authenticate(self) -> bool:
        if self.authenticator_class is None:
            return True
        authenticator = self.authenticator_class(self.send_message)
        self.authenticator = authenticator
        # The attribute of the consumer wins over that of the authenticator, and either
        # wins over the setting.
        sends = self.send_authentication_message
        if sends is None and authenticator.send_authentication_message is None:
            sends = self.resolve_setting("SEND_AUTHENTICATION_MESSAGE")
        if sends is not None:
            authenticator.send_authentication_message = sends
        if not await authenticator.authenticate(self.scope):
            if not self._closed:
                await self.close(authenticator.close_code)
            return False
        if authenticator.user is not None:
            self.scope["user"] = authenticator.user
        return True

    async def websocket_disconnect(self, message: Any) -> None:
        """Leave all groups and call the framework's ``disconnect`` hook."""
        self._closed = self._disconnected = True
        await super().websocket_disconnect(message)

    async def join_group(self, group: str) -> None:
        """Join ``group`` until it is left or the connection ends.

        Raises:
            RuntimeError: There is no channel layer.
        """
        self._require_layer()
        if group not in self.groups:
            # Noted first: if this is cancelled half-way, the group is still left at the
            # end.
            self.groups.append(group)
        await self.channel_layer.group_add(group, self.channel_name)

    async def leave_group(self, group: str) -> None:
        """Leave ``group``, joined by :meth:`join_group` or listed on the class."""
        if group in self.groups:
            await self.channel_layer.group_discard(group, self.channel_name)
            self.groups.remove(group)

    def _require_layer(self) -> None:
        if self.channel_layer is None:
            alias = getattr(self, "channel_layer_alias", None)
            raise RuntimeError(self._no_layer_message(alias))

    async def _leave_all_groups(self) -> None:
        if getattr(self, "channel_layer", None) is None:
            return
        for group in self.groups:
            try:
                await self.channel_layer.group_discard(group, self.channel_name)
            except Exception:
                # Raised, it would hide what ended the connection.
                logger.exception(
                    "Failed to leave a group", extra=self._extra(None, None)
                )

    async def accept(self, subprotocol: Any = None, headers: Any = None) -> None:
        """Accept the connection."""
        self._accepted = True
        await super().accept(subprotocol=subprotocol, headers=headers)

    async def close(self, code: Any = None, reason: Any = None) -> None:
        """Close the connection; frames that are not handled yet stay unhandled."""
        self._closed = True
        await super().close(code, reason)
