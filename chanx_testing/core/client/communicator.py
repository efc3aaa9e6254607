"""A WebSocket client that speaks the typed messages of a consumer."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ValidationError

from chanx_testing.constants import MESSAGE_ACTION_COMPLETE
from chanx_testing.core.client import errors
from chanx_testing.core.client.application import Application, Peer
from chanx_testing.core.client.collection import Collection, is_data
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_communicator import (
    FrameCommunicator,
    Headers,
)
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.overridable import overridable_property
from chanx_testing.core.client.timeouts import (
    ANSWER_SECONDS,
    AUTH_SECONDS,
    QUIET_SECONDS,
    deadline_after,
)
from chanx_testing.core.hiding.faults import without_secrets
from chanx_testing.core.observe.foreign import failures_reported, methods_in_background
from chanx_testing.core.routing.routes import RoutingError, consumer_for, find_route
from chanx_testing.core.settings import SETTINGS
from chanx_testing.core.trace.showing import show_message, show_value
from chanx_testing.core.unawaited import must_await
from chanx_testing.messages.outgoing import AuthenticationMessage

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class WebsocketCommunicatorMixin(FrameCommunicator):
    """Typed verbs over the verbs of ``channels.testing``.

    Mixed over ``channels.testing.WebsocketCommunicator`` it takes the place of every
    verb that class has.

    Args:
        application: The ASGI application.
        path: The path, with the query string; a full ``ws://`` URL is taken as well.
        headers: Pairs of name (lower case) and value, both bytes.
        subprotocols: The subprotocols that the client offers.
        spec_version: The version of the ASGI WebSocket specification for the scope.
        consumer: The consumer class that answers ``path``: it names the messages that
            may come, and whether completion signals come. None: it is looked up with
            :meth:`find_consumer`.
        message_types: Message classes to decode with, for consumers that declare none.
        lifespan: Whether the application is started up before the connection and shut
            down after it. None: where it is known to have a lifespan.
        peer: What is at the other end, an object with the methods of
            :class:`~chanx_testing.core.client.application.Peer`. None: ``application``,
            in memory.
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
        peer: Peer | None = None,
    ) -> None:
        FrameCommunicator.__init__(
            self,
            application,
            path,
            headers,
            subprotocols,
            spec_version,
            lifespan=lifespan,
            message_types=message_types,
            peer=peer,
        )
        self.consumer: Any = (
            consumer if consumer is not None else self.find_consumer(application, path)
        )
        if self.consumer is not None:
            self._chanx.transcript.consumer = self.consumer.__name__

    # Hooks.

    background_methods: ClassVar[Sequence[str]] = ()
    """Names of methods of the consumer that run forever, such as a heartbeat: their
    timers do not count for a proof. A consumer may have the same attribute."""

    def application_guard(self) -> AbstractContextManager[Any]:
        """Return a context in which errors are reported and heartbeats do not count.

        A consumer of another package is made to report its errors; see also
        :attr:`background_methods` and :meth:`FrameCommunicator.application_guard`.
        """
        consumer = self.consumer
        names = {
            *self.background_methods,
            *getattr(consumer, "background_methods", ()),
        }
        with ExitStack() as guard:
            guard.enter_context(failures_reported(consumer))
            guard.enter_context(methods_in_background(consumer, names))
            return guard.pop_all()

    def find_consumer(self, application: Application, path: str) -> type | None:
        """Return the consumer class that the routing has for ``path``, if it names one.

        The constructor calls it first, before the communicator has any attribute.
        """
        try:
            return consumer_for(application, path)
        except RoutingError:
            # It is for the application to refuse a path without a route, in the
            # handshake.
            return None

    def resolve_setting(self, name: str) -> Any:
        """Return the value of a ``CHANX`` setting for this conversation.

        The consumer decides where it can, otherwise the default.
        """
        resolve = getattr(self.consumer, "resolve_setting", None)
        if resolve is not None:
            return resolve(name)
        setting = SETTINGS[name]
        own = getattr(self.consumer, setting.attribute or "", None)
        return setting.default if own is None else own

    @overridable_property
    def action_key(self) -> str:
        """The key on the wire that distinguishes one message from another."""
        return str(self.resolve_setting("MESSAGE_ACTION_KEY"))

    # Verbs.

    @must_await
    async def connect(self, timeout: float | None = ANSWER_SECONDS) -> Handshake:
        """Open the connection; where no route leads to the path, an error lists them.

        See :meth:`FrameCommunicator.connect`.
        """
        try:
            return await super().connect(timeout)
        except Exception as error:
            note_missing_route(self, error)
            raise

    async def __aenter__(self) -> Self:
        """Connect; see :meth:`FrameCommunicator.__aenter__`."""
        try:
            return await super().__aenter__()
        except errors.ConnectionRejected as rejected:
            note_missing_route(self, rejected)
            raise

    @must_await
    async def send_message(self, message: BaseModel) -> None:
        """Send one typed message, as JSON.

        Args:
            message: A message; UUID, datetime and Decimal in it travel as text.

        Raises:
            TypeError: ``message`` is not a pydantic model.
            ConnectionIsClosed: The test has received the close, or has left itself.
            NotConnected: The handshake has not been sent yet.
        """
        if not isinstance(message, BaseModel):
            raise TypeError(
                f"send_message() takes a message object, not {type(message).__name__}; "
                f"send_json() takes plain data."
            )
        await self.send_json_to(self._chanx.language.encode(message))

    @must_await
    async def send_json(self, data: Any) -> None:
        """Send plain data as JSON; see :meth:`send_json_to`."""
        await self.send_json_to(data)

    @must_await
    async def receive_json(self, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Take one frame, decoded; completion signals too.

        Raises:
            NothingCame: A ``TimeoutError``: none came in time, or none can come.
            AssertionError: It is not JSON, or the connection was closed.
        """
        return await self.receive_json_from(timeout)

    @must_await
    async def receive_message(self, timeout: float | None = ANSWER_SECONDS) -> Any:
        """Take one typed message; completion signals before it are skipped.

        Args:
            timeout: Seconds; None for no limit.

        Returns:
            A message of one of the types that the consumer declares.

        Raises:
            NothingCame: A ``TimeoutError``: none came in time, or none can come.
            UndeclaredMessage: An ``AssertionError``: it is not of one of those types.
            AssertionError: The connection was closed, or the frame is not JSON.
            TypeError: The types are not known.
        """
        connection = self._chanx
        connection.language.require_types(connection.transcript.path)
        deadline = deadline_after(timeout, self.timeout_scale)
        while True:
            found = await connection.peek_in_time(deadline)
            if not isinstance(found, Frame):
                raise connection.nothing_came("a message", deadline, found)
            content = await self.receive_json_from(deadline.remaining())
            if not connection.language.note_completion(content, found):
                return connection.decode(content)

    @must_await
    async def receive_all_json(
        self, timeout: float | None = ANSWER_SECONDS
    ) -> list[Any]:
        """Take every frame, decoded, until the application is idle.

        Completion signals are among them. A close ends the collection and is not taken.

        Args:
            timeout: The seconds to collect at most; where idleness cannot be proved,
                the collection takes that long.

        Returns:
            The decoded frames in their order, ``[]`` where none came. If the
            application crashed after them, the next verb raises its exception.

        Raises:
            AssertionError: A frame is not JSON.
            NotConnected: The connection was never opened, or was refused.
            Exception: What the application raised, if it sent nothing before.
        """
        connection = self._chanx
        deadline = deadline_after(timeout, self.timeout_scale)
        collected: list[Any] = []
        while is_data(await connection.peek_in_time(deadline)):
            collected.append(await self.receive_json_from(deadline.remaining()))
        if not collected:
            connection.raise_crash()
            connection.require_connected()
        return collected

    @must_await
    async def receive_all_messages(
        self,
        stop_action: str = MESSAGE_ACTION_COMPLETE,
        timeout: float | None = ANSWER_SECONDS,
    ) -> list[Any]:
        """Take typed messages until one with ``stop_action`` has come.

        Up to ``"complete"`` it gives the answers to one frame that the client has sent:
        the first one whose signal was not received yet, or, if nothing answers that,
        the next one sent before this was called. Its answers are what its handler
        sends, and what the events answer on this connection that it sets off; where
        that is nothing, what its broadcasts deliver here. What is known to belong to
        something else stays where it is, for another verb.

        A consumer of this package says beside the wire what belongs to what. Of another
        one each ``"complete"`` counts for one frame sent.

        With any other stop action it gives what comes, in that order. A
        ``"group_complete"`` or ``"event_complete"`` is passed over if it came before
        the test last acted, with no message before it, and another follows it.

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
            UndeclaredMessage: An ``AssertionError``: a frame is not of one of the
                types.
            NotConnected: The connection was never opened, or was refused.
            Exception: What the application raised instead.
            TypeError: The types are not known.
        """
        connection = self._chanx
        connection.language.require_types(connection.transcript.path)
        deadline = deadline_after(timeout, self.timeout_scale)
        with Collection(stop_action, connection, deadline) as collection:
            while (frame := await collection.next_frame()) is not None:
                content = await self.receive_json_from(deadline.remaining())
                collection.add(frame, content)
        return collection.messages

    @must_await
    async def wait_for_auth(
        self,
        send_authentication_message: bool | None = None,
        max_auth_time: float | None = AUTH_SECONDS,
        after_auth_time: float | None = QUIET_SECONDS,
    ) -> AuthenticationMessage | None:
        """Receive the authentication message, and let the consumer come to rest.

        Args:
            send_authentication_message: Whether a message is to come. None: what the
                setting ``SEND_AUTHENTICATION_MESSAGE`` says.
            max_auth_time: Seconds for the message to come.
            after_auth_time: Seconds at most for the consumer to come to rest after it
                (joining its groups, ``post_authentication``).

        Returns:
            The message, or None where none is to come.

        Raises:
            NothingCame: A ``TimeoutError``: none came.
            NotConnected: The connection was never opened, or was refused.
            AssertionError: Something else came first.
            Exception: What the application raised.
        """
        expected = send_authentication_message
        if expected is None:
            expected = bool(self.resolve_setting("SEND_AUTHENTICATION_MESSAGE"))
        connection = self._chanx
        message = None
        if expected:
            deadline = deadline_after(max_auth_time, self.timeout_scale)
            wanted = authentication_wanted(connection)
            found = await connection.peek(deadline)
            if not isinstance(found, Frame):
                connection.require_connected()
                raise connection.nothing_came(wanted, deadline, found)
            if not connection.language.is_authentication(found):
                raise connection.with_transcript(
                    AssertionError(
                        f"Expected {wanted}, but first came "
                        f"{show_message(found.message)}."
                    )
                )
            content = await self.receive_json_from(deadline.remaining())
            message = authentication_message(connection, content)
        rest = deadline_after(after_auth_time, self.timeout_scale)
        await connection.settle(rest)
        if message is None:
            connection.require_connected()
        return message

    @must_await
    async def assert_authenticated_status_ok(
        self, max_auth_time: float | None = AUTH_SECONDS
    ) -> None:
        """Assert that the consumer authenticated this connection with status 200.

        Passes where authentication messages are off and the connection is open.

        Args:
            max_auth_time: Seconds for the message to come.

        Raises:
            AuthenticationFailed: An ``AssertionError`` with the status and data seen.
            NothingCame: A ``TimeoutError``: no message came.
            NotConnected: The connection was never opened, or was refused.
        """
        message = await self.wait_for_auth(max_auth_time=max_auth_time)
        if message is not None and message.payload.status_code == 200:
            return
        connection = self._chanx
        if message is None:
            connection.raise_crash()
            # A subclass may wait in a way of its own.
            connection.require_connected()
            if (ended := connection.how_ended()) is None:
                return
            seen = f"the connection was {ended[0]}"
        else:
            payload = message.payload
            data = show_value(payload.data)
            seen = (
                f"it is {payload.status_code} {payload.status_text}, with data {data}"
            )
        raise connection.with_transcript(
            errors.AuthenticationFailed(
                f"Expected authentication status 200 on {connection.transcript.path}, "
                f"but {seen}. Check the headers that the communicator was given."
            )
        )


def authentication_wanted(connection: Connection) -> str:
    """Return what ``wait_for_auth()`` expects, as part of a sentence."""
    consumer = connection.language.consumer
    if consumer is not None and not getattr(consumer, "authenticator_class", None):
        return (
            f"an authentication message ({consumer.__name__} has no "
            f"authenticator_class, so it sends none)"
        )
    return "an authentication message"


def authentication_message(
    connection: Connection, content: Any
) -> AuthenticationMessage:
    """Return the authentication message in decoded data.

    Raises:
        ValidationError: It has another form; the secrets in it are not shown.
    """
    try:
        return AuthenticationMessage.model_validate(
            connection.language.with_python_keys(content)
        )
    except ValidationError as error:
        wrong = without_secrets(error)
    raise connection.with_transcript(wrong)


def note_missing_route(
    communicator: WebsocketCommunicatorMixin, error: BaseException
) -> None:
    """Add the routes of the application to ``error``, if none leads to the path."""
    try:
        find_route(communicator.application, communicator.scope["path"])
    except RoutingError as routing:
        error.add_note(str(routing))


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of any ASGI application, for tests.

    Its arguments and verbs are those of :class:`WebsocketCommunicatorMixin`.
    """
