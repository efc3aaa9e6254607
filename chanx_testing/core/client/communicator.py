"""A WebSocket client that speaks the typed messages of a consumer."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from chanx_testing.constants import (
    COMPLETE_ACTIONS,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core.client import errors
from chanx_testing.core.client.binding import Yielding
from chanx_testing.core.client.collection import Collection
from chanx_testing.core.client.conversation import Conversation
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.client.timeouts import (
    HALF_A_SECOND,
    ONE_SECOND,
    TENTH_OF_A_SECOND,
    Deadline,
)
from chanx_testing.core.client.watched import Application, Headers
from chanx_testing.core.idle import Verdict
from chanx_testing.core.observe.foreign import failures_reported, methods_in_background
from chanx_testing.core.observe.reports import ticks
from chanx_testing.core.settings import SETTINGS
from chanx_testing.core.trace.showing import conceal, shorten, show_message
from chanx_testing.messages.outgoing import AuthenticationMessage
from chanx_testing.messages.wire import Wire

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class WebsocketCommunicatorMixin(Conversation):
    """Typed verbs over a :class:`~chanx_testing.core.client.conversation.Conversation`.

    Mixed over ``channels.testing.WebsocketCommunicator`` it takes the place of every
    verb that class has.

    Args:
        application: The ASGI application.
        path: The path, with the query string; a full ``ws://`` URL is taken as well.
        headers: Pairs of name (lower case) and value, both bytes.
        subprotocols: The subprotocols that the client offers.
        spec_version: The version of the ASGI WebSocket specification for the scope.
        consumer: The consumer class that answers ``path``: it tells the messages that
            may come, and whether completion signals come. None: it is looked up where
            :meth:`find_consumer` knows how.
        message_types: Message classes to decode with, for consumers that declare none.
        lifespan: Whether the application is started up before the connection and shut
            down after it. None: where it is known to have a lifespan.
    """

    def __init__(
        self,
        application: Application,
        path: str,
        headers: Headers | None = None,
        subprotocols: Iterable[str] | None = None,
        spec_version: str | int | None = None,
        *,
        consumer: type | None = None,
        message_types: Iterable[type[BaseModel]] | None = None,
        lifespan: bool | None = None,
    ) -> None:
        Conversation.__init__(
            self,
            application,
            path,
            headers,
            subprotocols,
            spec_version,
            lifespan=lifespan,
        )
        self.consumer: Any = (
            consumer if consumer is not None else self.find_consumer(application, path)
        )
        if self.consumer is not None:
            self.transcript.consumer = self.consumer.__name__
        self._typed_adapter: TypeAdapter[Any] | None = (
            TypeAdapter(reduce(or_, message_types)) if message_types else None
        )
        self._completion_seen = False

    # Hooks.

    background_methods: ClassVar[Sequence[str]] = ()
    """Names of methods of the consumer that run for ever, such as a heartbeat: their
    timers keep no test from being idle. A consumer may have the same attribute."""

    def application_guard(self) -> AbstractContextManager[Any]:
        """Watch a consumer of another package, and put heartbeats in the background."""
        names = {
            *self.background_methods,
            *getattr(self.consumer, "background_methods", ()),
        }
        with ExitStack() as guard:
            guard.enter_context(failures_reported(self.consumer))
            guard.enter_context(methods_in_background(self.consumer, names))
            return guard.pop_all()

    def find_consumer(self, application: Application, path: str) -> type | None:
        """Return the consumer class that answers ``path``, or None if unknown."""
        return None

    def resolve_setting(self, name: str) -> Any:
        """Return the value of a ``CHANX`` setting for this conversation.

        The consumer decides, where it can; else the default.
        """
        resolve = getattr(self.consumer, "resolve_setting", None)
        if resolve is not None:
            return resolve(name)
        setting = SETTINGS[name]
        own = getattr(self.consumer, setting.attribute or "", None)
        return setting.default if own is None else own

    # The consumer's language.

    @Yielding
    def action_key(self) -> str:
        """The key on the wire that tells one message from another."""
        return str(self.resolve_setting("MESSAGE_ACTION_KEY"))

    def _sends_completion(self) -> bool:
        """Whether completion signals are to be expected from this consumer."""
        return self._completion_seen or bool(
            self._declares_messages() and self.resolve_setting("SEND_COMPLETION")
        )

    def _declares_messages(self) -> bool:
        return getattr(self.consumer, "outgoing_message_adapter", None) is not None

    def _is_completion(self, frame: Frame) -> bool:
        return (
            self._declares_messages()
            and frame.action(self.action_key) in COMPLETE_ACTIONS
        )

    def _message_adapter(self) -> TypeAdapter[Any]:
        adapter = self._typed_adapter or getattr(
            self.consumer, "outgoing_message_adapter", None
        )
        if adapter is None:
            whose = (
                f"{self.consumer.__name__} declares no messages"
                if self.consumer is not None
                else f"the consumer behind {self.transcript.path} is not known"
            )
            raise TypeError(
                f"Typed messages cannot be received because {whose}. Pass consumer= "
                f"with a consumer of chanx_testing, or message_types=[...] with the "
                f"message classes, or use receive_json() and receive_all_json()."
            )
        typed: TypeAdapter[Any] = adapter
        return typed

    def _decode_message(self, content: Any) -> Any:
        """Return the typed message of one decoded frame."""
        adapter = self._message_adapter()
        try:
            return adapter.validate_python(self._from_wire_keys(content))
        except ValidationError as error:
            known = ", ".join(sorted(getattr(self.consumer, "outgoing_actions", ())))
            actions = f" (actions {known})" if known else ""
            shown = shorten(repr(conceal(content)))
            failure = errors.UndeclaredMessage(
                f"Expected one of the messages that "
                f"{self.transcript.consumer or 'message_types='} declares"
                f"{actions}, but the "
                f"application sent {shown}. Declare it: as the return type of its "
                f"handler, with @ws_handler(output_type=...), in the 'emits' of the "
                f"consumer, or with message_types=. {error.errors()[0]['msg']}."
            )
            self.add_transcript(failure)
            raise failure from error

    def _wire(self) -> Wire:
        return Wire(self.action_key, bool(self.resolve_setting("CAMELIZE")))

    def _from_wire_keys(self, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return self._wire().read(content)

    # Verbs.

    async def send_message(self, message: BaseModel) -> None:
        """Send one typed message, as JSON.

        Args:
            message: A message; UUID, datetime and Decimal in it travel as text.

        Raises:
            TypeError: ``message`` is not a pydantic model.
            ConnectionIsClosed: The connection is closed.
            NotConnected: The handshake has not been sent yet.
        """
        if not isinstance(message, BaseModel):
            raise TypeError(
                f"send_message() takes a message object, not {type(message).__name__}; "
                f"send_json() takes plain data."
            )
        content = message.model_dump(mode="json")
        # The root of a model need not be an object.
        if isinstance(content, dict):
            content = self._wire().write(content)
        await self.send_json_to(content)

    async def send_json(self, data: Any) -> None:
        """Send plain data as JSON; see :meth:`send_json_to`."""
        await self.send_json_to(data)

    async def receive_json(self, timeout: float | None = ONE_SECOND) -> Any:
        """Take one frame, decoded; completion signals too.

        Raises:
            NothingCame: A ``TimeoutError``: none came in time, or none can come.
            AssertionError: It is not JSON, or the connection was closed.
        """
        return await self.receive_json_from(timeout)

    async def receive_message(self, timeout: float | None = ONE_SECOND) -> Any:
        """Take one typed message; completion signals before it are skipped.

        Args:
            timeout: Seconds; None for no limit.

        Returns:
            A message of one of the types that the consumer declares.

        Raises:
            NothingCame: A ``TimeoutError``: none came in time, or none can come.
            UndeclaredMessage: An ``AssertionError``: it is of none of those types.
            AssertionError: The connection was closed, or the frame is not JSON.
            TypeError: The types are not known.
        """
        self._message_adapter()
        deadline = self._deadline_after(timeout)
        while True:
            found = await self._peek_next(deadline)
            if not isinstance(found, Frame):
                raise self._nothing_came("a message", deadline, found)
            content = await self.receive_json_from(deadline.remaining())
            if not self._note_completion(content):
                return self._decode_message(content)

    def _note_completion(self, content: Any) -> bool:
        """Return whether decoded data is a completion signal, and remember it."""
        done = (
            isinstance(content, dict)
            and content.get(self.action_key) in COMPLETE_ACTIONS
        )
        self._completion_seen |= done
        return done

    async def receive_all_json(self, timeout: float | None = ONE_SECOND) -> list[Any]:
        """Take every frame, decoded, until the application is idle.

        Completion signals are given too. A close ends the collection and is left.

        Args:
            timeout: The seconds to collect at most; where idleness cannot be proved,
                the collection takes as long.

        Returns:
            The decoded frames in their order, ``[]`` where none came. If the
            application crashed after them, the next verb raises that.

        Raises:
            AssertionError: A frame is not JSON.
            Exception: What the application raised, where it sent nothing before.
        """
        deadline = self._deadline_after(timeout)
        collected: list[Any] = []
        while await self._data_frame(deadline):
            collected.append(await self.receive_json_from(deadline.remaining()))
        if not collected:
            self._raise_crash()
        return collected

    async def _data_frame(self, deadline: Deadline) -> bool:
        """Wait for the next frame and return whether it carries data."""
        found = await self._peek_next(deadline)
        return isinstance(found, Frame) and found.type == "websocket.send"

    async def receive_all_messages(
        self,
        stop_action: str = MESSAGE_ACTION_COMPLETE,
        timeout: float | None = ONE_SECOND,
    ) -> list[Any]:
        """Take typed messages until one with ``stop_action`` has come.

        A completion signal carries no identity. One that came before the test last
        acted (sent or broadcast something), and before which there is nothing else to
        receive, belongs to an earlier step and is passed over. And where ``"complete"``
        comes with nothing before it, because the handler answers only through its
        group, what the group still delivers is collected too.

        Args:
            stop_action: The action that ends the collection: a completion signal, which
                is dropped, or any other action, which is kept as the last message.
            timeout: Seconds for the whole collection; None for no limit.

        Returns:
            The messages in their order, completion signals left out. With the default
            ``stop_action`` and a consumer that sends no completion signals: everything
            that came until the application was idle.

        Raises:
            IncompleteMessages: An ``AssertionError``: the stop action did not come. It
                says what came instead.
            UndeclaredMessage: An ``AssertionError``: a frame is of none of the types.
            Exception: What the application raised instead.
            TypeError: The types are not known.
        """
        self._message_adapter()
        deadline = self._deadline_after(timeout)
        collection = Collection(stop_action, newest_stimulus=ticks.last_stimulus)
        while True:
            found = await self._peek_next(deadline)
            if not isinstance(found, Frame) or found.type != "websocket.send":
                if self._ends_by_idleness(stop_action):
                    if not collection.messages:
                        self._raise_crash()
                    return collection.messages
                if self._was_complete_before(collection):
                    return []
                raise self._incomplete_error(collection, deadline, found)
            content = await self.receive_json_from(deadline.remaining())
            if self._note_completion(content):
                action = content[self.action_key]
                collection.completions.append(action)
                if action != stop_action:
                    continue
                if collection.is_stale(found):
                    collection.passed_over = found
                    continue
                if action == MESSAGE_ACTION_COMPLETE and not collection.messages:
                    await self._collect_from_group(collection, deadline)
                return collection.messages
            collection.contents.append(content)
            collection.messages.append(self._decode_message(content))
            if (
                isinstance(content, dict)
                and content.get(self.action_key) == stop_action
            ):
                return collection.messages

    def _was_complete_before(self, collection: Collection) -> bool:
        """Return whether what was passed over is what this client was to get.

        The test has acted since, but not on this connection, whose last message had no
        other answer.
        """
        frame = collection.passed_over
        return (
            collection.stop_action == MESSAGE_ACTION_COMPLETE
            and not collection.contents
            and frame is not None
            and frame.tick > self._sent_at
            and self._link_state.closed is None
            and not self._on_own_loop().ended
        )

    def _ends_by_idleness(self, stop_action: str) -> bool:
        return stop_action == MESSAGE_ACTION_COMPLETE and not self._sends_completion()

    async def _collect_from_group(
        self, collection: Collection, deadline: Deadline
    ) -> None:
        """Add what the group delivers, up to its completion signal."""
        await self._let_settle(deadline)
        while (frame := self.output_queue.head) and frame.type == "websocket.send":
            content = await self.receive_json_from(deadline.remaining())
            if self._note_completion(content):
                return
            collection.messages.append(self._decode_message(content))

    def _incomplete_error(
        self,
        collection: Collection,
        deadline: Deadline,
        found: Frame | Verdict | None,
    ) -> errors.IncompleteMessages:
        """Return the error to raise; raise what the application raised, if it did."""
        listed = collection.listed()
        if not isinstance(found, Frame):
            self._raise_crash_with(listed)
        error = errors.IncompleteMessages(
            f"Expected messages up to the action {collection.stop_action!r} "
            f"{deadline}, but it did not come. Received:{listed}\n"
            + " ".join(self._explain_incomplete(collection, found))
        )
        error.messages = tuple(collection.contents)
        return self._with_transcript(error)

    def _raise_crash_with(self, listed: str) -> None:
        running = self._under_test
        if running is not None and running.crash is not None:
            running.crash.add_note(
                f"The application raised this while messages were collected; "
                f"received until then:{listed}"
            )
            self._raise_crash()

    def _explain_incomplete(
        self, collection: Collection, found: Frame | Verdict | None
    ) -> list[str]:
        """Return what is known about why a stop action did not come."""
        if isinstance(found, Frame):
            first = f"Instead of more messages came {show_message(found.message)}."
        else:
            first = f"Then {self._why_nothing(found)}"
        return [
            first,
            *collection.hints(
                self.transcript.consumer,
                getattr(self.consumer, "outgoing_actions", None),
                completes=self._sends_completion(),
            ),
        ]

    async def wait_for_auth(
        self,
        send_authentication_message: bool | None = None,
        max_auth_time: float | None = HALF_A_SECOND,
        after_auth_time: float | None = TENTH_OF_A_SECOND,
    ) -> AuthenticationMessage | None:
        """Receive the authentication message, and let the consumer come to rest.

        Args:
            send_authentication_message: Whether one is to come; None: what the setting
                ``SEND_AUTHENTICATION_MESSAGE`` says.
            max_auth_time: Seconds for the message to come.
            after_auth_time: Seconds at most for the consumer to come to rest after it
                (joining its groups, ``post_authentication``).

        Returns:
            The message, or None where none is to come.

        Raises:
            NothingCame: A ``TimeoutError``: none came.
            AssertionError: Something else came first.
            Exception: What the application raised.
        """
        expected = send_authentication_message
        if expected is None:
            expected = bool(self.resolve_setting("SEND_AUTHENTICATION_MESSAGE"))
        if not expected:
            await self._let_settle(self._deadline_after(after_auth_time))
            return None
        deadline = self._deadline_after(max_auth_time)
        found = await self._peek_frame(deadline)
        if not isinstance(found, Frame):
            raise self._nothing_came(self._authentication_wanted(), deadline, found)
        if found.action(self.action_key) != "authentication":
            raise self._with_transcript(
                AssertionError(
                    f"Expected {self._authentication_wanted()}, but first came "
                    f"{show_message(found.message)}."
                )
            )
        content = await self.receive_json_from(deadline.remaining())
        message = AuthenticationMessage.model_validate(self._from_wire_keys(content))
        await self._let_settle(self._deadline_after(after_auth_time))
        return message

    def _authentication_wanted(self) -> str:
        if self.consumer is not None and not getattr(
            self.consumer, "authenticator_class", None
        ):
            return (
                f"an authentication message ({self.consumer.__name__} has no "
                f"authenticator_class, so it sends none)"
            )
        return "an authentication message"

    async def assert_authenticated_status_ok(
        self, max_auth_time: float | None = HALF_A_SECOND
    ) -> None:
        """Assert that the consumer authenticated this connection with status 200.

        Passes where authentication messages are off and the connection is open.

        Args:
            max_auth_time: Seconds for the message to come.

        Raises:
            AuthenticationFailed: An ``AssertionError`` with the status and data seen.
            NothingCame: A ``TimeoutError``: no message came.
        """
        message = await self.wait_for_auth(max_auth_time=max_auth_time)
        if message is not None and message.payload.status_code == 200:
            return
        if message is None:
            self._raise_crash()
            closed = self._link_state.closed
            if closed is None:
                return
            seen = f"the connection was {closed}"
        else:
            payload = message.payload
            data = shorten(repr(conceal(payload.data)))
            seen = (
                f"it is {payload.status_code} {payload.status_text}, with data {data}"
            )
        raise self._with_transcript(
            errors.AuthenticationFailed(
                f"Expected authentication status 200 on {self.transcript.path}, but "
                f"{seen}. Check the headers that the communicator was given."
            )
        )


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of any ASGI application, for tests.

    Its arguments and verbs are those of :class:`WebsocketCommunicatorMixin`.
    """
