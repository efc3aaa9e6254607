"""The test case for WebSocket consumers of a Django project."""

import asyncio
import inspect
import unittest
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, ClassVar, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.test import TransactionTestCase
from pydantic import BaseModel

from chanx_testing.channels.async_fixtures import AsyncFixtures
from chanx_testing.channels.communicator import WebsocketCommunicator
from chanx_testing.channels.headers import (
    carries,
    strip_path,
    what_identifies,
    without,
)
from chanx_testing.channels.layers import forget_messages
from chanx_testing.channels.login import (
    Credentials,
    Headers,
    Login,
    SessionLogin,
    alog_in,
    amake_user,
    handshake_headers,
    log_in,
    make_user,
    strip_credentials,
    strip_token_subprotocols,
)
from chanx_testing.channels.routing import consumer_for, get_websocket_application
from chanx_testing.core import idle
from chanx_testing.core.client.application import Application
from chanx_testing.core.client.ending import known_ending
from chanx_testing.core.client.errors import LeftoverTaskWarning, warn_of_leftovers
from chanx_testing.core.client.scope import checked_headers
from chanx_testing.core.client.teardown import (
    close_all,
    connections_of_test,
    end_leftovers,
)
from chanx_testing.core.idle.current_test import within_a_test
from chanx_testing.core.idle.waiting import engage
from chanx_testing.core.trace.cases import code_of, end_with_cleanups
from chanx_testing.core.trace.timeline import timeline_of_test
from chanx_testing.core.unawaited import must_await

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True


class WebsocketTestCase(AsyncFixtures, TransactionTestCase):
    """A test case for WebSocket consumers of a Django project.

    Async tests run in a loop of their own, as in Django; here :meth:`asyncSetUp`,
    :meth:`asyncTearDown`, async cleanups and the end of every connection run in that
    same loop. A connection that is open at the end is closed; what its application
    raised, and no verb has raised in the test, fails the test.

    Attributes:
        ws_path: The path to connect to; may be set in ``setUp``.
        consumer: The consumer class behind it. None: found through the routing.
        router: The ASGI application. None: the one that ``settings.ASGI_APPLICATION``
            names.
        ws_login: What makes credentials for a user: :class:`SessionLogin`,
            :class:`TokenLogin`, :class:`JWTLogin`, or a callable that takes a user.
        communicator_class: The class of the communicators that it makes.
        ws_headers: What :meth:`get_ws_headers` returned for this test.
        subprotocols: What :meth:`get_subprotocols` returned for this test.
    """

    ws_path: str = ""
    consumer: type | None = None
    router: Application | None = None
    ws_login: ClassVar[Login] = SessionLogin()
    communicator_class: ClassVar[type[WebsocketCommunicator]] = WebsocketCommunicator

    ws_headers: Headers
    subprotocols: list[str]
    _auth_communicator: WebsocketCommunicator | None
    _unauth_communicator: WebsocketCommunicator | None

    # What a test case may say of itself.

    def get_ws_headers(self) -> Headers | Awaitable[Headers]:
        """Return the headers of :attr:`auth_communicator`; may be ``async``.

        Called once for each test: in :meth:`setUp`, or if it is ``async`` before
        :meth:`asyncSetUp`. Most test cases override it with
        :meth:`create_user_and_ws_headers`. By default it returns an origin that the
        application accepts, and no credentials.
        """
        return handshake_headers(self._application())

    def get_subprotocols(self) -> list[str]:
        """Return the subprotocols that the communicators of this test offer."""
        return []

    # Users.

    def create_user_and_ws_headers(self, **user_fields: Any) -> tuple[Any, Headers]:
        """Create a user and the headers with which it connects.

        Args:
            user_fields: Fields of the user model; others that it requires are made up.

        Returns:
            The user and the headers: an origin that the application accepts, and the
            credentials of :attr:`ws_login`.

        Raises:
            TypeError: The user model has no such field.
            SynchronousOnlyOperation: It was called in async code.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise SynchronousOnlyOperation(
                "create_user_and_ws_headers() uses the database and cannot be called "
                "in async code: await self.acreate_user_and_ws_headers() there."
            )
        user = make_user(**user_fields)
        return user, self._headers_of(user, log_in(self._login(), user))

    @must_await
    async def acreate_user_and_ws_headers(
        self, **user_fields: Any
    ) -> tuple[Any, Headers]:
        """Do what :meth:`create_user_and_ws_headers` does, in async code."""
        user = await amake_user(**user_fields)
        return user, self._headers_of(user, await alog_in(self._login(), user))

    # Communicators.

    def create_communicator(
        self,
        *,
        router: Application | None = None,
        ws_path: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] | None = None,
        subprotocols: Iterable[str] | None = None,
        consumer: type | None = None,
        message_types: Iterable[type[BaseModel]] | None = None,
    ) -> WebsocketCommunicator:
        """Make a communicator that is closed at the end of the test.

        Args:
            router: The ASGI application. None: :attr:`router`, or that of the project.
            ws_path: The path. None: :attr:`ws_path`.
            headers: The headers of the handshake, used as they are. None: those of
                :meth:`get_ws_headers`. They say who connects, whatever the login is;
                so does a copy of them with other headers added.
            subprotocols: The subprotocols to offer, before those with which the owner
                of the headers logs in. None: those of :meth:`get_subprotocols`; tokens
                among them are left out where the headers are those of another user.
            consumer: The consumer class. None: :attr:`consumer`, or that of the route.
            message_types: Message classes to decode with, for a consumer that declares
                none.

        Returns:
            A communicator that is not connected yet.

        Raises:
            ValueError: There is no path.
            RoutingError: The application has no route for the path; the message lists
                those that it has.
            ImproperlyConfigured: There is no application.
        """
        path = ws_path if ws_path is not None else self.ws_path
        if not path:
            raise ValueError(
                f"{type(self).__name__} does not say where to connect: set its "
                f"ws_path, for example ws_path = '/ws/chat/', or pass ws_path= to "
                f"create_communicator()."
            )
        self._prepare_handshake()
        sent = checked_headers(self.ws_headers if headers is None else headers)
        if subprotocols is not None:
            offered = list(subprotocols)
        elif self._are_of_another_user(sent):
            offered = strip_token_subprotocols(self.subprotocols)
        else:
            offered = self.subprotocols
        application = self._application(router)
        communicator = self.communicator_class(
            application,
            path,
            headers=sent,
            subprotocols=offered,
            consumer=consumer or self.consumer or consumer_for(application, path),
            message_types=message_types,
        )
        communicator.transcript.user = self._owner_of(sent)
        return communicator

    @property
    def auth_communicator(self) -> WebsocketCommunicator:
        """The communicator with :meth:`get_ws_headers`' headers, always the same."""
        if self._auth_communicator is None:
            self._auth_communicator = self.create_communicator()
        return self._auth_communicator

    @property
    def communicator(self) -> WebsocketCommunicator:
        """The same without credentials, always the same communicator.

        They are left out of the headers, the subprotocols and the query of the path.
        """
        if self._unauth_communicator is None:
            self._prepare_handshake()
            # Only where it is another path: a subclass may take fewer arguments.
            path = strip_path(self.ws_path)
            changes: dict[str, Any] = {} if path == self.ws_path else {"ws_path": path}
            self._unauth_communicator = self.create_communicator(
                headers=self._without_credentials(self.ws_headers),
                subprotocols=strip_token_subprotocols(self.subprotocols),
                **changes,
            )
        return self._unauth_communicator

    @property
    def unauth_communicator(self) -> WebsocketCommunicator:
        """A synonym of :attr:`communicator`."""
        return self.communicator

    # How a test runs.

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's
        super().__init__(methodName)
        self._logins: list[tuple[Any, Headers]] = []
        self._auth_communicator = None
        self._unauth_communicator = None

    def __call__(self, result: unittest.TestResult | None = None) -> None:
        """Run the test, with loops that can prove that nothing more can happen."""
        with self._ended_by_itself():
            super().__call__(result)

    def debug(self) -> None:
        """Run the test without collecting its result."""
        with self._ended_by_itself():
            super().debug()

    def setUp(self) -> None:
        """Make the headers and subprotocols of this test."""
        super().setUp()
        self._prepare_handshake()

    @contextmanager
    def _ended_by_itself(self) -> Iterator[None]:
        """Make the loops of the test observable, and look at the end of the test."""
        with (
            idle.installed(),
            within_a_test(),
            timeline_of_test() as timeline,
            self._forgotten_afterwards(),
        ):
            end_with_cleanups(self, timeline)
            yield

    @contextmanager
    def _forgotten_afterwards(self) -> Iterator[None]:
        """Leave nothing of the test on the test case, which the runner keeps."""
        try:
            yield
        finally:
            self._logins.clear()
            self._auth_communicator = self._unauth_communicator = None
            for name in ("ws_headers", "subprotocols"):
                vars(self).pop(name, None)

    @contextmanager
    def _around_test_method(self) -> Iterator[list[Any]]:
        """Hold every communicator that starts, whoever made it."""
        with connections_of_test() as communicators:
            yield communicators

    async def _before_async_test(self) -> None:
        """Make the headers that ``setUp`` has not made: async ones, or overridden."""
        # Before the fixtures: what they make is the test's, and is collected with it.
        engage()
        if inspect.iscoroutinefunction(self.get_ws_headers):
            self.ws_headers = self._checked(await self.get_ws_headers())
        await sync_to_async(self._prepare_handshake)()

    async def _after_async_test(self, state: list[Any]) -> list[BaseException]:
        """Close every connection of this test and return what nobody has seen."""
        found = await close_all(state)
        await forget_messages()
        if named := await end_leftovers(state):
            try:
                warn_of_leftovers(self.id(), named, self._code_of_test())
            except LeftoverTaskWarning as warning:
                found.append(warning)
        # What they raised while they ended, and what failed beside all connections.
        ending = known_ending()
        return found if ending is None else found + ending.unseen()

    def _after_sync_test(self, state: list[Any]) -> list[BaseException]:
        """Return what the applications raised; their loops have ended already."""
        found = [error for each in state for error in each.unseen_errors()]
        ending = known_ending()
        return found if ending is None else found + ending.unseen()

    def _describe_failure(self, state: list[Any], error: BaseException) -> None:
        """Add the transcript of every connection."""
        for communicator in state:
            communicator.add_transcript(error)

    def _code_of_test(self) -> CodeType | None:
        return code_of(getattr(type(self), self._testMethodName))

    # Headers and their owners.

    def _prepare_handshake(self) -> None:
        if not hasattr(self, "ws_headers") and not inspect.iscoroutinefunction(
            self.get_ws_headers
        ):
            self.ws_headers = self._checked(self.get_ws_headers())
        if not hasattr(self, "subprotocols"):
            self.subprotocols = list(self.get_subprotocols())

    def _checked(self, headers: Any) -> Headers:
        try:
            return checked_headers(headers)
        except TypeError as error:
            raise TypeError(
                f"{type(self).__name__}.get_ws_headers() must return the headers of "
                f"the handshake. {error}"
            ) from None

    def _application(self, router: Application | None = None) -> Application:
        if router is not None:
            return router
        # Looked up on the class: a function there is an application, and would be bound
        # as a method if it were looked up on the test case.
        own: Application | None = vars(self).get("router") or type(self).router
        return own if own is not None else get_websocket_application()

    def _login(self) -> Login:
        # A plain function that takes a user is a login, not a method of the test case.
        static = inspect.getattr_static(self, "ws_login")
        if (
            inspect.isfunction(static)
            and len(inspect.signature(static).parameters) == 1
        ):
            return cast("Login", static)
        return self.ws_login

    def _headers_of(self, user: Any, credentials: Credentials) -> Headers:
        login = credentials.as_headers()
        self._logins.append((user, what_identifies(login)))
        return [*handshake_headers(self._application()), *login]

    def _logins_in(self, headers: Headers) -> list[tuple[Any, Headers]]:
        return [each for each in self._logins if carries(headers, each[1])]

    def _owner_of(self, headers: Headers) -> str | None:
        """Return the name of the user whom ``headers`` log in, None if unknown."""
        names = {str(user) for user, _ in self._logins_in(headers)}
        # With the cookies of two users it is the application that chooses.
        return names.pop() if len(names) == 1 else None

    def _are_of_another_user(self, headers: Headers) -> bool:
        """Return whether ``headers`` log another user in than :attr:`ws_headers` do."""
        # An async get_ws_headers() may still be to come.
        usual = checked_headers(getattr(self, "ws_headers", []))
        own = self._logins_in(usual)
        if any(each not in own for each in self._logins_in(headers)):
            return True
        is_extension = set(usual) <= set(headers)
        return not is_extension and self._without_credentials(headers) != headers

    def _without_credentials(self, headers: Headers) -> Headers:
        for _, login in self._logins_in(headers):
            headers = without(headers, login)
        return strip_credentials(headers)
