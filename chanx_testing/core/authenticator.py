"""The interface by which a consumer asks who may stay connected."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from chanx_testing.messages.base import BaseMessage

__all__ = ["BaseAuthenticator", "SendMessage"]

SendMessage = Callable[[BaseMessage], Awaitable[None]]

_UNAUTHENTICATED: Final = 401


class BaseAuthenticator(ABC):
    """What decides on a connection that is accepted and has not joined its groups yet.

    Attributes:
        user: Whom the connection belongs to; becomes ``scope["user"]`` unless None.
        obj: The object that the connection is about, if the authenticator looks it up.
        status_code: The outcome as an HTTP status; None until it is known.
        send_authentication_message: Whether to send an ``AuthenticationMessage``. A
            consumer sets it before it calls :meth:`authenticate`: to its own attribute
            of that name, or, where neither class has set one, to the value of the
            setting. It stays None without a consumer; then the setting decides.
    """

    user: Any = None
    obj: Any = None
    status_code: int | None = None
    send_authentication_message: bool | None = None

    def __init__(self, send_message: SendMessage) -> None:
        """Store the function that sends to the client.

        Args:
            send_message: The consumer's ``send_message``.
        """
        self.send_message = send_message

    @abstractmethod
    async def authenticate(self, scope: MutableMapping[str, Any]) -> bool:
        """Decide on the connection with this ASGI scope.

        Returns:
            True to let the client in. False to have the connection closed with
            :attr:`close_code`; set :attr:`status_code` before.

        Raises:
            Exception: Anything raised here ends the application: an authenticator that
                breaks lets nobody in, and cannot be mistaken for a refusal.
        """

    @property
    def close_code(self) -> int:
        """The WebSocket close code of a refusal: 4000 + its HTTP status, or 4401."""
        status = self.status_code
        if status is None or not 400 <= status <= 599:
            status = _UNAUTHENTICATED
        return 4000 + status
