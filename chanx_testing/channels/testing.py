"""Testing Django Channels: a communicator that knows Django, and its test case."""

import asyncio
import functools
import inspect
import sys
import threading
import traceback
import unittest
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, Final, ParamSpec, cast

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.test import TransactionTestCase
from pydantic import BaseModel

from chanx_testing.channels.database.guard import connections_kept_open
from chanx_testing.channels.headers import checks_origin
from chanx_testing.channels.layers import forget_messages, layers_watched
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
from chanx_testing.channels.routing import (
    RoutingError,
    consumer_for,
    get_websocket_application,
)
from chanx_testing.channels.settings import chanx_setting
from chanx_testing.core import idle
from chanx_testing.core.client import timeouts
from chanx_testing.core.client.application import end_tasks
from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin
from chanx_testing.core.client.connection import Connection, connections_kept
from chanx_testing.core.client.errors import LeftoverTaskWarning, raise_first
from chanx_testing.core.client.handshake import Handshake
from chanx_testing.core.client.scope import checked_headers
from chanx_testing.core.client.watched import Application
from chanx_testing.core.settings import SETTINGS

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

STUCK_SECONDS: Final = 1.0
"""How long a job that outlives its failed test must have run to be told of."""

__all__ = [
    "DjangoWebsocketCommunicator",
    "WebsocketCommunicator",
    "WebsocketTestCase",
]

_P = ParamSpec("_P")
_EXPECTS_FAILURE: Final = "__unittest_expecting_failure__"


@contextmanager
def application_guard(inner: AbstractContextManager[Any]) -> Iterator[None]:
    """Surround the life of an application, and the guard ``inner``.

    A function, not a method: for as long as it is open it would hold its communicator.
    """
    with inner, connections_kept_open(), layers_watched():
        yield


class WebsocketCommunicator(WebsocketCommunicatorMixin):
    """A WebSocket client of a Django Channels application, for tests.

    Its arguments and verbs are those of
    :class:`~chanx_testing.core.client.communicator.WebsocketCommunicatorMixin`. Beside
    these it reads ``settings.CHANX``, finds the consumer through the routing, and keeps
    the database connection of the test open.
    """

    def application_guard(self) -> AbstractContextManager[Any]:
        """Keep the test's database connection open, and account of channel layers."""
        return application_guard(super().application_guard())

    def timeout_scale(self) -> float:
        """Return the factor of the environment, else of ``CHANX``."""
        return timeouts.environment_scale() or float(
            chanx_setting("TEST_TIMEOUT_SCALE")
        )

    def find_consumer(self, application: Application, path: str) -> type | None:
        """Return the consumer class that the routing has for ``path``, if it tells."""
        try:
            return consumer_for(application, path)
        except RoutingError:
            # A path without a route is the application's to refuse, when it is asked.
            return None

    async def connect(self, timeout: float | None = timeouts.ONE_SECOND) -> Handshake:
        """Open the connection; an error says which routes there are, where none leads.

        See :meth:`~chanx_testing.core.client.connection.Connection.connect`.
        """
        try:
            return await super().connect(timeout)
        except Exception as error:
            try:
                consumer_for(self.application, self.scope["path"])
            except RoutingError as routing:
                error.add_note(str(routing))
            raise

    def rejection_hint(self) -> str:
        """Say what usually is missing where the handshake has no origin."""
        sends_one = any(name == b"origin" for name, _ in self.scope["headers"])
        if sends_one or not checks_origin(self.application):
            return ""
        return (
            "The handshake has no 'origin' header, which an OriginValidator needs: "
            "pass headers=chanx_testing.channels.login.handshake_headers(application)."
        )

    def resolve_setting(self, name: str) -> Any:
        """Return what the consumer says of a setting, else ``settings.CHANX``."""
        if hasattr(self.consumer, "resolve_setting"):
            return super().resolve_setting(name)
        own = getattr(self.consumer, SETTINGS[name].attribute or "", None)
        return chanx_setting(name) if own is None else own


DjangoWebsocketCommunicator = WebsocketCommunicator


def say_what_stands_still(test: str, error: BaseException, jobs: list[str]) -> None:
    """Tell of a job that a failed test left in a thread, which cannot be cancelled.

    The test is not over before the job is; if that never ends, nobody would learn why.

    Args:
        test: The id of the test.
        error: What the test failed with.
        jobs: The jobs that go on.
    """
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
    print(
        f"\n{test} has failed and waits for work in a thread to end: {'; '.join(jobs)}."
        f"\n{type(error).__name__}: {error}\nThe main thread is at:\n{stack}",
        file=sys.__stderr__,
        flush=True,
    )


class WebsocketTestCase(TransactionTestCase):
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
        ws_login: How a user becomes credentials: :class:`SessionLogin`,
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

        Called once for each test, in :meth:`setUp`. Most override it with
        :meth:`create_user_and_ws_headers`. By default an origin that the application
        accepts, and no credentials.
        """
        return handshake_headers(self._application())

    def get_subprotocols(self) -> list[str]:
        """Return the subprotocols that the communicators of this test offer."""
        return []

    async def asyncSetUp(self) -> None:
        """Prepare the test, in its own loop, after :meth:`setUp`."""

    async def asyncTearDown(self) -> None:
        """Clean up in the loop of the test, before its connections are closed."""

    def addAsyncCleanup(  # noqa: N802 - the name that unittest gives it
        self,
        func: Callable[_P, Awaitable[Any]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> None:
        """Call an async function at the end, in the loop of the test.

        Cleanups run last in, first out, after :meth:`asyncTearDown` and before the
        connections are closed, whatever the test did.
        """
        self._async_cleanups.append(functools.partial(func, *args, **kwargs))

    # Users.

    def create_user_and_ws_headers(self, **user_fields: Any) -> tuple[Any, Headers]:
        """Create a user and the headers with which it connects.

        Args:
            user_fields: Fields of the user model; what it requires beyond them is made
                up.

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
            router: The ASGI application; None: :attr:`router`, else the project's.
            ws_path: The path; None: :attr:`ws_path`.
            headers: None: those of :meth:`get_ws_headers`. Given, they are used as
                they are.
            subprotocols: None: those of :meth:`get_subprotocols`, and those with which
                the owner of the headers logs in.
            consumer: The consumer class; None: :attr:`consumer`, else by the routing.
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
        sent = self.ws_headers if headers is None else list(headers)
        owner, login_subprotocols = self._login_of(sent)
        offered = (
            [*self.subprotocols, *login_subprotocols]
            if subprotocols is None
            else list(subprotocols)
        )
        application = self._application(router)
        communicator = self.communicator_class(
            application,
            path,
            headers=sent,
            subprotocols=offered,
            consumer=consumer or self.consumer or consumer_for(application, path),
            message_types=message_types,
        )
        communicator.transcript.user = owner
        return communicator

    @property
    def auth_communicator(self) -> WebsocketCommunicator:
        """The communicator with the headers of :meth:`get_ws_headers`; always one."""
        if self._auth_communicator is None:
            self._auth_communicator = self.create_communicator()
        return self._auth_communicator

    @property
    def communicator(self) -> WebsocketCommunicator:
        """The communicator with the same headers without credentials; always one."""
        if self._unauth_communicator is None:
            self._prepare_handshake()
            self._unauth_communicator = self.create_communicator(
                headers=strip_credentials(self.ws_headers),
                subprotocols=strip_token_subprotocols(self.subprotocols),
            )
        return self._unauth_communicator

    @property
    def unauth_communicator(self) -> WebsocketCommunicator:
        """A synonym of :attr:`communicator`."""
        return self.communicator

    # How a test runs.

    def __init__(self, methodName: str = "runTest") -> None:  # noqa: N803 - unittest's
        super().__init__(methodName)
        self._async_cleanups: list[Callable[[], Awaitable[Any]]] = []
        self._logins: list[tuple[Headers, Any, list[str]]] = []
        self._auth_communicator = None
        self._unauth_communicator = None

    def __call__(self, result: unittest.TestResult | None = None) -> None:
        """Run the test, with loops that can tell when nothing more can happen."""
        with idle.installed(), self._test_method_with_fixtures():
            super().__call__(result)

    def debug(self) -> None:
        """Run the test without collecting its result."""
        with idle.installed(), self._test_method_with_fixtures():
            super().debug()

    def setUp(self) -> None:
        """Make the headers and subprotocols of this test."""
        super().setUp()
        self._prepare_handshake()

    @contextmanager
    def _test_method_with_fixtures(self) -> Iterator[None]:
        """Put a method in place that runs the async fixtures around the test.

        Django runs an async test method with ``async_to_sync()``, which gives it a loop
        that is gone when it returns: nothing of ``tearDown`` could still use it.
        """
        name = self._testMethodName
        method = getattr(self, name)
        if inspect.iscoroutinefunction(method):

            @functools.wraps(method)
            async def run_async(*args: Any, **kwargs: Any) -> None:
                with connections_kept() as connections:
                    await self._run_with_fixtures(
                        functools.partial(method, *args, **kwargs), connections
                    )

            replacement: Callable[..., Any] = run_async
        else:

            @functools.wraps(method)
            def run_sync(*args: Any, **kwargs: Any) -> None:
                with connections_kept() as connections:
                    method(*args, **kwargs)
                # Their loops are gone; what their applications raised must show still.
                raise_first(
                    [error for each in connections for error in each.unseen_errors()]
                )

            replacement = run_sync
        before = vars(self).get(name)
        setattr(self, name, replacement)
        # unittest asks the method, and what async_to_sync() makes of it does not say.
        if getattr(method, _EXPECTS_FAILURE, False):
            setattr(self, _EXPECTS_FAILURE, True)
        try:
            yield
        finally:
            vars(self).pop(_EXPECTS_FAILURE, None)
            if before is None:
                delattr(self, name)
            else:
                setattr(self, name, before)
            self._forget_test()

    def _forget_test(self) -> None:
        self._logins.clear()
        self._auth_communicator = self._unauth_communicator = None
        for name in ("ws_headers", "subprotocols"):
            vars(self).pop(name, None)

    async def _run_with_fixtures(
        self, method: Callable[[], Awaitable[Any]], connections: list[Connection]
    ) -> None:
        found: list[BaseException] = []

        async def attempt(step: Callable[[], Awaitable[Any]]) -> bool:
            try:
                await step()
            # Everything: whatever ends a step, the next ones must clean up after it,
            # and then it is raised again.
            except BaseException as error:
                found.append(error)
                return False
            return True

        if await attempt(self._aprepare_handshake) and await attempt(self.asyncSetUp):
            await attempt(method)
            await attempt(self.asyncTearDown)
        while self._async_cleanups:
            await attempt(self._async_cleanups.pop())
        found += await self._close(connections)
        # A skipped test is less than whatever went wrong beside it.
        found.sort(key=lambda error: isinstance(error, unittest.SkipTest))
        if found and (jobs := idle.overdue_jobs(STUCK_SECONDS)):
            say_what_stands_still(self.id(), found[0], jobs)
        if found and not isinstance(found[0], unittest.SkipTest):
            for connection in connections:
                connection.add_transcript(found[0])
        raise_first(found)

    async def _close(self, connections: list[Connection]) -> list[BaseException]:
        """Close every connection of this test and return what nobody has seen."""
        found: list[BaseException] = []
        for connection in connections:
            try:
                await connection.disconnect()
            except asyncio.CancelledError:
                raise
            # SystemExit of an application too: the other connections are to be closed.
            except BaseException as error:
                found.append(error)
        leftover: set[asyncio.Task[Any]] = set()
        for connection in connections:
            # The end of one connection may have been an event for another.
            found += connection.unseen_errors()
            leftover.update(connection.leftover_tasks())
        await forget_messages()
        if leftover:
            named = sorted(idle.describe_task(task) for task in leftover)
            await end_tasks(leftover)
            try:
                self._warn_of_tasks(named)
            except LeftoverTaskWarning as warning:
                found.append(warning)
        return found

    def _warn_of_tasks(self, named: list[str]) -> None:
        method = inspect.unwrap(getattr(type(self), self._testMethodName))
        # A test method may be any callable; one without code has no line to name.
        code = getattr(method, "__code__", self._warn_of_tasks.__code__)
        warnings.warn_explicit(
            f"{self.id()}: the application left tasks running after its connection "
            f"ended; they were cancelled: {'; '.join(named)}. Cancel them in the "
            f"consumer's disconnect().",
            LeftoverTaskWarning,
            code.co_filename,
            code.co_firstlineno,
        )

    # Headers and their owners.

    def _prepare_handshake(self) -> None:
        if not hasattr(self, "ws_headers") and not inspect.iscoroutinefunction(
            self.get_ws_headers
        ):
            self.ws_headers = self._checked(self.get_ws_headers())
        if not hasattr(self, "subprotocols"):
            self.subprotocols = list(self.get_subprotocols())

    async def _aprepare_handshake(self) -> None:
        """Make up for a ``setUp`` that did not call this one; await async headers."""
        if inspect.iscoroutinefunction(self.get_ws_headers):
            self.ws_headers = self._checked(await self.get_ws_headers())
        await sync_to_async(self._prepare_handshake)()

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
        # Looked up on the class: a function there is an application, not a method.
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
        headers = [*handshake_headers(self._application()), *credentials.headers]
        self._logins.append((headers, user, credentials.subprotocols))
        return headers

    def _login_of(self, headers: Headers) -> tuple[str | None, list[str]]:
        """Return whose headers these are, for transcripts, and its subprotocols."""
        for known, user, subprotocols in self._logins:
            if known == headers:
                return str(user), subprotocols
        return None, []
