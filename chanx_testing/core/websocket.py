"""What a consumer does with a message, an event, a group message.

Framework-free: mixed over the JSON consumer of Channels or fast-channels, which
accepts, sends and dispatches. One message is handled at a time, in the order in which
they come.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Any, ClassVar, Literal

from pydantic import TypeAdapter, ValidationError

from chanx_testing.constants import COMPLETE_ACTIONS
from chanx_testing.core import frames, observe
from chanx_testing.core.authenticator import BaseAuthenticator
from chanx_testing.core.broadcasting import BroadcastMixin
from chanx_testing.core.config import SETTINGS
from chanx_testing.core.handlers import Route, Tables, collect
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.casing import camelize, decamelize
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
)

__all__ = ["UnhandledEventError", "WebsocketConsumerMixin"]

logger = logging.getLogger("chanx_testing.websocket")

_ACTION = "action"


class UnhandledEventError(LookupError):
    """An event reached a consumer that has no handler for it."""


class WebsocketConsumerMixin(BroadcastMixin):
    """A consumer of typed messages; see :mod:`chanx_testing.channels.websocket`.

    Attributes:
        groups: The groups that each connection joins once it is authenticated.
        authenticator_class: Who decides on a connection; None lets everybody in.
        authenticator: The instance that decided on this connection.
        emits: Messages that are sent outside any handler; merged over all bases.
        channel_layer_alias: Which channel layer carries groups and events.
        send_completion: Overrides ``SEND_COMPLETION`` unless None.
        send_authentication_message: Overrides ``SEND_AUTHENTICATION_MESSAGE`` unless
            None.
        log_websocket_message: Overrides ``LOG_WEBSOCKET_MESSAGE`` unless None.
        log_ignored_actions: Overrides ``LOG_IGNORED_ACTIONS`` unless None.
        camelize: Overrides ``CAMELIZE`` unless None.
        discriminator_field: The key of the action on the wire; overrides
            ``MESSAGE_ACTION_KEY`` unless it is ``"action"``. Messages always call the
            field ``action``.
        incoming_message_adapter: Reads any message a client may send, with its action
            under ``action`` and in snake_case; None when there is no ``@ws_handler``.
        incoming_event_adapter: Reads any event; None when there is no
            ``@event_handler``.
        outgoing_message_adapter: Reads any message this class may send.
        outgoing_actions: The actions of those messages.
        passing_exceptions: Exceptions by which the framework is told what to do; they
            are no failures of a handler.
    """

    authenticator_class: ClassVar[type[BaseAuthenticator] | None] = None
    authenticator: BaseAuthenticator | None = None
    emits: ClassVar[Collection[type[BaseMessage]]] = ()

    send_completion: bool | None = None
    send_authentication_message: bool | None = None
    log_websocket_message: bool | None = None
    log_ignored_actions: Collection[str] | None = None
    camelize: bool | None = None
    discriminator_field: str = _ACTION

    incoming_message_adapter: ClassVar[TypeAdapter[Any] | None]
    incoming_event_adapter: ClassVar[TypeAdapter[Any] | None]
    outgoing_message_adapter: ClassVar[TypeAdapter[Any]]
    outgoing_actions: ClassVar[frozenset[str]]

    passing_exceptions: ClassVar[tuple[type[Exception], ...]] = ()

    _tables: ClassVar[Tables]
    _accepted = False
    _closed = False
    _disconnecting = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Work out what the class can take and send.

        Raises:
            TypeError: When that cannot work; see
                :func:`chanx_testing.core.handlers.collect`.
        """
        super().__init_subclass__(**kwargs)
        if isinstance(getattr(cls, "groups", None), str):
            raise TypeError(
                f"{cls.__module__}.{cls.__qualname__}.groups is the text "
                f"{cls.groups!r}: write `groups = [{cls.groups!r}]`."
            )
        tables = cls._tables = collect(cls)
        cls.incoming_message_adapter = tables.incoming_message_adapter
        cls.incoming_event_adapter = tables.incoming_event_adapter
        cls.outgoing_message_adapter = tables.outgoing_message_adapter
        cls.outgoing_actions = tables.outgoing_actions

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The list of the class would be shared by all its connections.
        self.groups = list(self.groups or ())

    # Settings

    @classmethod
    def framework_setting(cls, name: str) -> Any:
        """Return the value of a setting where no attribute overrides it."""
        return SETTINGS[name].default

    @classmethod
    def resolve_setting(cls, name: str) -> Any:
        """Return the value of a setting for this class, as it is now.

        Args:
            name: A key of ``CHANX``.
        """
        return _resolve(cls, name)

    @classmethod
    def to_wire(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Return the dump of a message with the keys that it has on the wire."""
        return _to_wire(cls, content)

    @classmethod
    def from_wire(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Return a decoded frame with the keys that messages have."""
        return _from_wire(cls, content)

    # Hooks

    async def connect(self) -> None:
        """Answer the handshake; authentication follows unless this closes.

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
        """Do what is to be done once the connection is authenticated and in its groups.

        An exception ends the application with it.
        """

    async def handle_validation_error(self, error: ValidationError) -> None:
        """Answer a bad frame; the default tells the client where it is wrong.

        Args:
            error: What is wrong. It also stands for frames that are no JSON, no object,
                binary, or of an unknown action.
        """
        await self.send_message(ErrorMessage(payload=frames.error_details(error)))

    async def handle_handler_error(
        self, error: Exception, message: BaseMessage | None
    ) -> None:
        """Answer a message whose handler raised; the test that watches knows already.

        The default logs the traceback, and tells the client no more than that it
        happened.

        Args:
            error: What was raised.
            message: The message that was handled; None when it was not yet read.
        """
        what = "a frame" if message is None else f"the message {message.action!r}"
        logger.error("Failed to handle %s", what, exc_info=error, extra=self._extra())
        if not self._closed:
            detail = f"Failed to handle {what}"
            await self.send_message(ErrorMessage(payload={"detail": detail}))

    async def handle_event_error(
        self, error: Exception, event: BaseMessage | None
    ) -> None:
        """Do what is to be done when an event was not handled; the default logs it.

        Args:
            error: What was raised.
            event: The event; None when it was not yet read.
        """
        what = "an event" if event is None else f"the event {event.action!r}"
        logger.error("Failed to handle %s", what, exc_info=error, extra=self._extra())

    # Life

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        try:
            await super().__call__(scope, receive, send)
        except BaseException:
            # Nobody will say goodbye: without this, a connection that crashed or was
            # cancelled stays in its groups, and later ones send to it.
            if not self._disconnecting:
                await self._leave_all_groups()
            raise

    async def open_connection(self) -> None:
        """Call :meth:`connect`; a subclass adds the ways of its framework."""
        await self.connect()

    async def websocket_connect(self, message: Any) -> None:
        """Accept, authenticate, join the groups, and call the hook."""
        if self.groups and self.channel_layer is None:
            raise RuntimeError(
                self._no_layer(getattr(self, "channel_layer_alias", None))
            )
        await self.open_connection()
        if self._closed:
            return
        if not self._accepted:
            raise RuntimeError(
                f"{type(self).__qualname__}.connect() neither accepted nor closed the "
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
        authenticator = self.authenticator_class(self._send_for_authenticator)
        self.authenticator = authenticator
        if not await authenticator.authenticate(self.scope):
            if not self._closed:
                await self.close(authenticator.close_code)
            return False
        if authenticator.user is not None:
            self.scope["user"] = authenticator.user
        return True

    async def _send_for_authenticator(self, message: BaseMessage) -> None:
        if not isinstance(message, AuthenticationMessage) or _resolve(
            self, "SEND_AUTHENTICATION_MESSAGE"
        ):
            await self.send_message(message)

    async def websocket_disconnect(self, message: Any) -> None:
        """Leave all groups and call the framework's ``disconnect`` hook."""
        self._closed = self._disconnecting = True
        await super().websocket_disconnect(message)

    async def join_group(self, group: str) -> None:
        """Join ``group`` until it is left or the connection ends.

        Raises:
            RuntimeError: When there is no channel layer.
        """
        if self.channel_layer is None:
            raise RuntimeError(
                self._no_layer(getattr(self, "channel_layer_alias", None))
            )
        if group not in self.groups:
            # Noted first: cancelled half-way, it is left at the end all the same.
            self.groups.append(group)
        await self.channel_layer.group_add(group, self.channel_name)

    async def leave_group(self, group: str) -> None:
        """Leave ``group``, whether joined by name or as one of the class's own."""
        if group in self.groups:
            await self.channel_layer.group_discard(group, self.channel_name)
            self.groups.remove(group)

    async def _leave_all_groups(self) -> None:
        if getattr(self, "channel_layer", None) is None:
            return
        for group in self.groups:
            try:
                await self.channel_layer.group_discard(group, self.channel_name)
            except Exception:
                # What ended the connection is what must be seen.
                logger.exception("Failed to leave a group", extra=self._extra())

    async def accept(self, subprotocol: Any = None, headers: Any = None) -> None:
        """Accept the connection."""
        self._accepted = True
        await super().accept(subprotocol=subprotocol, headers=headers)

    async def close(self, code: Any = None, reason: Any = None) -> None:
        """Close the connection; what the client sent before it knows is not handled."""
        self._closed = True
        await super().close(code, reason)

    # Messages of the client

    async def websocket_receive(self, message: Any) -> None:
        """Hand on a frame, unless the connection was closed meanwhile."""
        if not self._closed:
            await self.receive(
                text_data=message.get("text"), bytes_data=message.get("bytes")
            )

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Handle one frame and say that it is done."""
        try:
            content = await self._read_frame(text_data)
        except ValidationError as error:
            self._log("in", None)
            await self._refuse(error)
        except self.passing_exceptions:
            raise
        except Exception as error:
            await self._failed(error, "reading a frame", None)
        else:
            await self.receive_json(content)
        await self._complete(_COMPLETE)

    async def receive_json(self, content: Any) -> None:
        """Handle what a frame says.

        Args:
            content: The decoded JSON object, with the keys of the wire.
        """
        doing, message, action = "reading a message", None, None
        try:
            try:
                content = _from_wire(self, content)
                route = self._route(content)
                action = content[_ACTION]
                doing = f"reading the message {action!r}"
                message = route.validate(content)
            except ValidationError as error:
                self._log("in", action)
                await self._refuse(error)
                return
            self._log("in", action)
            doing = f"{route.method}() with the message {action!r}"
            await self._send_result(getattr(self, route.method)(message))
        except self.passing_exceptions:
            raise
        except Exception as error:
            await self._failed(error, doing, message)

    async def _read_frame(self, text: str | None) -> Any:
        if text is None:
            raise frames.frame_error("text_expected", "A frame is text, not binary")
        try:
            content = await self.decode_json(text)
        except json.JSONDecodeError as error:
            raise frames.frame_error(
                "json_invalid",
                f"The frame is not JSON: {error.msg} at character {error.pos}",
            ) from None
        except (ValueError, RecursionError):
            raise frames.frame_error("json_invalid", "The frame is not JSON") from None
        frames.check(text, content)
        return content

    @classmethod
    async def decode_json(cls, text_data: str) -> Any:
        """Return what the JSON of a frame says.

        Raises:
            ValueError: When it is not JSON; the client is told so.
        """
        return frames.decode(text_data)

    def _route(self, content: dict[str, Any]) -> Route:
        routes = self._tables.messages
        action = content.get(_ACTION)
        if isinstance(action, str) and action in routes:
            return routes[action]
        key = _resolve(self, "MESSAGE_ACTION_KEY")
        known = ", ".join(map(repr, routes)) or "none"
        if action is None:
            raise frames.frame_error(
                "action_missing", f"A message names its action; known: {known}", key
            )
        raise frames.frame_error(
            "action_unknown", f"Unknown action; known: {known}", key
        )

    async def _refuse(self, error: ValidationError) -> None:
        try:
            await self.handle_validation_error(error)
        except self.passing_exceptions:
            raise
        except Exception as failure:
            await self._failed(failure, "handle_validation_error()", None)

    async def _failed(
        self, error: Exception, doing: str, message: BaseMessage | None
    ) -> None:
        # Before the answer: a test that sees the answer must find the report.
        observe.report_failure(error, f"{type(self).__qualname__}: {doing}")
        await self.handle_handler_error(error, message)

    # Messages to the client

    async def send_message(self, message: BaseMessage) -> None:
        """Send ``message`` to the client.

        Raises:
            TypeError: When it is no ``BaseMessage``.
            ValueError: When it holds ``NaN`` or ``Infinity``, which are no JSON.
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
            action = content.get(_ACTION)
            content = _to_wire(self, content)
        text = await self.encode_json(content)
        self._log("out", action)
        await self.send(text_data=text, close=close)

    @classmethod
    async def encode_json(cls, content: Any) -> str:
        """Return ``content`` as the JSON of a frame."""
        return frames.encode(content)

    async def _send_result(self, result: Any) -> None:
        """Send what a handler returned, before or after it is awaited."""
        if hasattr(result, "__await__"):
            result = await result
        if result is None:
            return
        if isinstance(result, BaseMessage):
            await self.send_message(result)
        elif isinstance(result, list | tuple):
            for message in result:
                await self.send_message(message)
        elif isinstance(result, AsyncIterator):
            await self._send_stream(result)
        else:
            raise TypeError(
                f"A handler returned {type(result).__qualname__}: return a message, a "
                "list or tuple of messages, or None, or yield messages."
            )

    async def _send_stream(self, stream: AsyncIterator[Any]) -> None:
        if isinstance(stream, AsyncGenerator):
            # Its `finally` must run now, not when it is collected.
            async with aclosing(stream):
                async for message in stream:
                    await self.send_message(message)
        else:
            async for message in stream:
                await self.send_message(message)

    async def _complete(self, completion: BaseMessage) -> None:
        if not self._closed and _resolve(self, "SEND_COMPLETION"):
            await self.send_message(completion)

    # Messages of other connections

    async def handle_group_message(self, message: dict[str, Any]) -> None:
        """Send on what :meth:`broadcast_message` sent to a group of this connection.

        Args:
            message: The message of the channel layer.
        """
        if self._closed or (
            message.get("exclude_current")
            and message.get("from_channel") == self.channel_name
        ):
            return
        observe.report_delivery(message.get("broadcast_id"))
        await self.send_json(message["message"])
        await self._complete(_GROUP_COMPLETE)

    async def handle_channel_event(self, message: dict[str, Any]) -> None:
        """Handle what :meth:`broadcast_event` or :meth:`send_event` sent.

        Args:
            message: The message of the channel layer.
        """
        if self._closed:
            return
        observe.report_delivery(message.get("broadcast_id"))
        doing, event = "reading an event", None
        try:
            content = message["event_data"]
            action = content[_ACTION]
            doing = f"reading the event {action!r}"
            route = self._tables.events.get(action)
            if route is None:
                known = ", ".join(map(repr, self._tables.events)) or "none"
                raise UnhandledEventError(
                    f"{type(self).__qualname__} has no @event_handler for the event "
                    f"{action!r} that was sent to it; it handles: {known}."
                )
            event = route.validate(content)
            doing = f"{route.method}() with the event {action!r}"
            await self._send_result(getattr(self, route.method)(event))
        except self.passing_exceptions:
            raise
        except Exception as error:
            observe.report_failure(error, f"{type(self).__qualname__}: {doing}")
            await self.handle_event_error(error, event)
        await self._complete(_EVENT_COMPLETE)

    # Logging

    def _log(self, direction: Literal["in", "out"], action: str | None) -> None:
        if not logger.isEnabledFor(logging.INFO) or action in COMPLETE_ACTIONS:
            return
        if not _resolve(self, "LOG_WEBSOCKET_MESSAGE"):
            return
        if action in _resolve(self, "LOG_IGNORED_ACTIONS"):
            return
        logger.info(
            "Received %r" if direction == "in" else "Sent %r",
            action,
            extra=self._extra(direction, action),
        )

    def _extra(
        self, direction: str | None = None, action: str | None = None
    ) -> dict[str, Any]:
        extra: dict[str, Any] = {
            "websocket_consumer": type(self).__qualname__,
            "websocket_path": self.scope.get("path"),
        }
        if direction is not None:
            extra["websocket_direction"] = direction
            extra["websocket_action"] = action
        return extra


_COMPLETE = CompleteMessage()
_GROUP_COMPLETE = GroupCompleteMessage()
_EVENT_COMPLETE = EventCompleteMessage()

Owner = WebsocketConsumerMixin | type[WebsocketConsumerMixin]


def _resolve(owner: Owner, name: str) -> Any:
    attribute = SETTINGS[name].attribute
    if attribute is not None:
        value = getattr(owner, attribute)
        if value is not None and (value != _ACTION or name != "MESSAGE_ACTION_KEY"):
            return value
    return owner.framework_setting(name)


def _to_wire(owner: Owner, content: dict[str, Any]) -> dict[str, Any]:
    if _resolve(owner, "CAMELIZE"):
        content = camelize(content)
    key = _resolve(owner, "MESSAGE_ACTION_KEY")
    if key != _ACTION and _ACTION in content:
        content = {key if name == _ACTION else name: content[name] for name in content}
    return content


def _from_wire(owner: Owner, content: dict[str, Any]) -> dict[str, Any]:
    key = _resolve(owner, "MESSAGE_ACTION_KEY")
    if key != _ACTION:
        # Only `key` names the action; what else is called "action" is no field.
        content = {
            _ACTION if name == key else name: content[name]
            for name in content
            if name != _ACTION
        }
    if _resolve(owner, "CAMELIZE"):
        content = decamelize(content)
    return content
