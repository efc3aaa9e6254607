"""The mixin that handles messages, events and group messages.

It needs no framework of its own: it is mixed over the JSON consumer of Channels or
fast-channels, which accepts, sends and dispatches. Messages are handled one at a time,
in the order of their arrival.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing
from typing import Any, ClassVar, Final

from pydantic import TypeAdapter, ValidationError

from chanx_testing.core.consumer import frames
from chanx_testing.core.consumer.handlers import HandlerRoute, Tables, collect
from chanx_testing.core.consumer.lifecycle import ConnectionMixin
from chanx_testing.core.observe import reports
from chanx_testing.messages.base import BaseMessage, action_of
from chanx_testing.messages.outgoing import (
    CompleteMessage,
    ErrorMessage,
    EventCompleteMessage,
    GroupCompleteMessage,
)
from chanx_testing.messages.wire import ACTION


class UnhandledEventError(LookupError):
    """An event reached a consumer that has no handler for it."""


class WebsocketConsumerMixin(ConnectionMixin):
    """A consumer of typed messages; see :mod:`chanx_testing.channels.websocket`.

    Attributes:
        emits: Messages that are sent outside any handler; merged over all bases.
        incoming_message_adapter: Reads any message a client may send, with its action
            under ``action`` and in snake_case; None if there is no ``@ws_handler``.
        incoming_event_adapter: Reads any event; None if there is no
            ``@event_handler``.
        outgoing_message_adapter: Reads any message this class may send.
        outgoing_actions: The actions of those messages.
        passing_exceptions: Exceptions of the framework that control the connection;
            they are passed on, and do not count as failures of a handler.
    """

    # Keeps pytest from collecting a consumer called TestConsumer.
    __test__: ClassVar[bool] = False

    emits: ClassVar[Collection[type[BaseMessage]]] = ()

    incoming_message_adapter: ClassVar[TypeAdapter[Any] | None]
    incoming_event_adapter: ClassVar[TypeAdapter[Any] | None]
    outgoing_message_adapter: ClassVar[TypeAdapter[Any]]
    outgoing_actions: ClassVar[frozenset[str]]

    passing_exceptions: ClassVar[tuple[type[Exception], ...]] = ()

    _tables: ClassVar[Tables]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Work out what the class can take and send.

        Raises:
            TypeError: ``groups`` is text, or a handler cannot work; see
                :func:`chanx_testing.core.consumer.handlers.collect`.
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

    async def handle_validation_error(self, error: ValidationError) -> None:
        """Answer a bad frame; the default sends an ``ErrorMessage`` with the faults.

        Args:
            error: What is wrong with the frame: with the content of its message, or
                with the frame itself (binary, not JSON, not an object, an unknown
                action).
        """
        await self.send_message(ErrorMessage(payload=frames.error_details(error)))

    async def handle_handler_error(
        self, error: Exception, message: BaseMessage | None
    ) -> None:
        """Answer a message whose handler raised.

        The default logs the traceback, and sends an ``ErrorMessage`` that names the
        action and nothing else. The error is already reported to a test that watches.

        Args:
            error: What was raised.
            message: The message that was handled; None if it was not read yet.
        """
        action = None if message is None else action_of(message)
        what = "a frame" if action is None else f"the message {action!r}"
        self._log_failure(error, what, action)
        if not self._closed:
            detail = f"Failed to handle {what}"
            await self.send_message(ErrorMessage(payload={"detail": detail}))

    async def handle_event_error(
        self, error: Exception, event: BaseMessage | None
    ) -> None:
        """Handle an event whose handler failed; the default logs it.

        Args:
            error: What was raised.
            event: The event; None if it was not read yet, and for a group message.
        """
        action = None if event is None else action_of(event)
        what = (
            "what another connection sent"
            if action is None
            else f"the event {action!r}"
        )
        self._log_failure(error, what, action)

    # Everything that comes

    async def dispatch(self, message: Any) -> None:
        """Handle one message of the server or of the channel layer, and report it."""
        kind = _KINDS.get(message.get("type"))
        if kind is None:
            if message.get("type") == "websocket.connect":
                reports.report_consumer(getattr(self, "channel_name", None))
            await super().dispatch(message)
            return
        subject = message if kind == "frame" else reports.broadcast_id_in(message)
        with reports.handled(kind, subject):
            await super().dispatch(message)

    # Messages of the client

    async def websocket_receive(self, message: Any) -> None:
        """Pass a frame to :meth:`receive`, unless the connection is closed."""
        if not self._closed:
            await self.receive(
                text_data=message.get("text"), bytes_data=message.get("bytes")
            )

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        """Handle one frame, then send the completion signal where that is on."""
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
        """Handle the message in a frame.

        Args:
            content: The decoded JSON object, with the keys of the wire.
        """
        doing, message, action = "reading a message", None, None
        try:
            try:
                content = self._wire().read(content)
                route = self._route(content)
                action = content[ACTION]
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
        """Return the content of a frame.

        Raises:
            ValueError: The text is not JSON; an error frame tells the client so.
        """
        return frames.decode(text_data)

    def _route(self, content: dict[str, Any]) -> HandlerRoute:
        routes = self._tables.messages
        action = content.get(ACTION)
        if isinstance(action, str) and action in routes:
            return routes[action]
        key = self._setting("MESSAGE_ACTION_KEY")
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
        with reports.answered(error, f"{type(self).__name__}: {doing}"):
            await self.handle_handler_error(error, message)

    async def _send_result(self, result: Any) -> None:
        """Send what a handler returned: a message, messages, or something to await."""
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
        if not self._closed and self._setting("SEND_COMPLETION"):
            # A message of the application may have the same action.
            with reports.signals():
                await self.send_message(completion)

    # Messages of other connections

    async def handle_group_message(self, message: dict[str, Any]) -> None:
        """Send the client what :meth:`broadcast_message` sent to one of its groups.

        Args:
            message: The message of the channel layer.
        """
        if self._closed or (
            message.get("exclude_current")
            and message.get("from_channel") == self.channel_name
        ):
            return
        reports.report_delivery(reports.broadcast_id_in(message))
        try:
            await self.send_json(message["message"])
        except self.passing_exceptions:
            raise
        except Exception as error:
            await self._event_failed(error, "sending a group message", None)
        await self._complete(_GROUP_COMPLETE)

    async def handle_channel_event(self, message: dict[str, Any]) -> None:
        """Handle what :meth:`broadcast_event` or :meth:`send_event` sent.

        Args:
            message: The message of the channel layer.
        """
        if self._closed:
            return
        reports.report_delivery(reports.broadcast_id_in(message))
        doing, event = "reading an event", None
        try:
            content = message["event_data"]
            action = content[ACTION]
            doing = f"reading the event {action!r}"
            route = self._tables.events.get(action)
            if route is None:
                known = ", ".join(map(repr, self._tables.events)) or "none"
                raise UnhandledEventError(
                    f"{type(self).__name__} has no @event_handler for the event "
                    f"{action!r} that was sent to it; it handles: {known}."
                )
            event = route.validate(content)
            doing = f"{route.method}() with the event {action!r}"
            await self._send_result(getattr(self, route.method)(event))
        except self.passing_exceptions:
            raise
        except Exception as error:
            await self._event_failed(error, doing, event)
        await self._complete(_EVENT_COMPLETE)

    async def _event_failed(
        self, error: Exception, doing: str, event: BaseMessage | None
    ) -> None:
        with reports.answered(error, f"{type(self).__name__}: {doing}"):
            await self.handle_event_error(error, event)


_KINDS: Final[dict[Any, reports.HandledKind]] = {
    "websocket.receive": "frame",
    "handle_group_message": "group_message",
    "handle_channel_event": "event",
}
"""What each type of message is to whoever is told what a consumer handles."""

_COMPLETE = CompleteMessage()
_GROUP_COMPLETE = GroupCompleteMessage()
_EVENT_COMPLETE = EventCompleteMessage()
