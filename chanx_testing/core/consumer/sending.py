"""Sending a message to the client, in the wire format that the settings ask for."""

import logging
from collections.abc import Collection
from functools import cached_property
from typing import Any, Literal

from pydantic import ValidationError

from chanx_testing.constants import COMPLETE_ACTIONS
from chanx_testing.core.consumer import frames
from chanx_testing.core.consumer.framework import Framework
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.hiding.faults import without_secrets
from chanx_testing.core.hiding.handshake import conceal_path
from chanx_testing.core.settings import SETTINGS
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.wire import ACTION, Wire

logger = logging.getLogger("chanx_testing.websocket")


class SendingMixin(Framework):
    """The settings of a consumer, and what depends on them for each message.

    Attributes:
        send_completion: Overrides ``SEND_COMPLETION`` unless None.
        send_authentication_message: Overrides ``SEND_AUTHENTICATION_MESSAGE`` unless
            None.
        log_websocket_message: Overrides ``LOG_WEBSOCKET_MESSAGE`` unless None.
        log_ignored_actions: Overrides ``LOG_IGNORED_ACTIONS`` unless None.
        camelize: Overrides ``CAMELIZE`` unless None.
        discriminator_field: The key of the action on the wire; overrides
            ``MESSAGE_ACTION_KEY`` unless it is ``"action"``. Messages always call the
            field ``action``.
    """

    send_completion: bool | None = None
    send_authentication_message: bool | None = None
    log_websocket_message: bool | None = None
    log_ignored_actions: Collection[str] | None = None
    camelize: bool | None = None
    discriminator_field: str = ACTION

    @classmethod
    def framework_setting(cls, name: str) -> Any:
        """Return the value of a setting that no attribute overrides."""
        return SETTINGS[name].default

    @classmethod
    def resolve_setting(cls, name: str) -> Any:
        """Return the value of a setting for this class, as it is now.

        Args:
            name: A key of ``CHANX``.
        """
        return _resolve(cls, name)

    def _setting(self, name: str) -> Any:
        return _resolve(self, name)

    async def send_message(self, message: BaseMessage) -> None:
        """Send ``message`` to the client.

        Raises:
            TypeError: The message is not a ``BaseMessage``.
            ValueError: The message holds ``NaN`` or ``Infinity``, which are not JSON.
        """
        if not isinstance(message, BaseMessage):
            raise TypeError(
                f"send_message() takes a BaseMessage, not "
                f"{type(message).__qualname__}; send_json() takes a dict."
            )
        await self.send_json(message.model_dump(mode="json"))

    async def send_json(self, content: Any, close: Any = False) -> None:
        """Send ``content`` to the client as JSON.

        Args:
            content: What to send; a dict gets the keys of the wire.
            close: Whether to close the connection afterwards, or the code for it.
        """
        action = None
        if isinstance(content, dict):
            action = content.get(ACTION)
            content = self._wire().write(content)
        text = await self.encode_json(content)
        self._log("out", action if isinstance(action, str) else None)
        await self.send(text_data=text, close=close)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Return ``content`` as the JSON of a frame."""
        return frames.encode(content)

    def _log(self, direction: Literal["in", "out"], action: str | None) -> None:
        if not logger.isEnabledFor(logging.INFO) or action in COMPLETE_ACTIONS:
            return
        if not self._setting("LOG_WEBSOCKET_MESSAGE"):
            return
        if action in self._setting("LOG_IGNORED_ACTIONS"):
            return
        logger.info(
            "Received %r" if direction == "in" else "Sent %r",
            action and conceal_text(action),
            extra=self._extra(direction, action),
        )

    def _log_failure(self, error: Exception, what: str, action: str | None) -> None:
        # The text of such an error shows what the client sent.
        shown = without_secrets(error) if isinstance(error, ValidationError) else error
        logger.error(
            "Failed to handle %s",
            what,
            exc_info=shown,
            extra=self._extra("in", action),
        )

    def _extra(self, direction: str | None, action: str | None) -> dict[str, Any]:
        return {
            "websocket_consumer": type(self).__name__,
            "websocket_path": self._shown_path,
            "websocket_direction": direction,
            "websocket_action": action,
        }

    @cached_property
    def _shown_path(self) -> str:
        return conceal_path(self.scope.get("path") or "")

    def _wire(self) -> Wire:
        return Wire(
            _resolve(self, "MESSAGE_ACTION_KEY"), bool(_resolve(self, "CAMELIZE"))
        )


def _resolve(owner: SendingMixin | type[SendingMixin], name: str) -> Any:
    attribute = SETTINGS[name].attribute
    if attribute is not None:
        value = getattr(owner, attribute)
        # `discriminator_field` cannot be None: its default stands for "not set".
        if value is not None and (value != ACTION or name != "MESSAGE_ACTION_KEY"):
            return value
    return owner.framework_setting(name)
