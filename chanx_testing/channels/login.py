"""How a test becomes a user: by session, by token, by JWT.

A login is one small object, called with a user; it returns the :class:`Credentials`
that the handshake carries. For any other kind of login a function will do::

    def knox_login(user):
        instance, token = AuthToken.objects.create(user)
        return [(b"authorization", f"Token {token}".encode())]
"""

import inspect
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from chanx_testing.channels.headers import (
    Headers,
    NoAcceptedOriginError,
    handshake_headers,
    origin_for,
    strip_credentials,
    strip_token_subprotocols,
)
from chanx_testing.channels.users import UserFieldError, amake_user, make_user
from chanx_testing.core.hiding.added import remember
from chanx_testing.core.hiding.content import conceal_text
from chanx_testing.core.hiding.handshake import PROTOCOLS_HEADER, secrets_of_header
from chanx_testing.core.unawaited import must_await

__all__ = [
    "Credentials",
    "Headers",
    "JWTLogin",
    "JWTTransport",
    "Login",
    "NoAcceptedOriginError",
    "SessionLogin",
    "TokenLogin",
    "UserFieldError",
    "alog_in",
    "amake_user",
    "handshake_headers",
    "log_in",
    "make_user",
    "origin_for",
    "strip_credentials",
    "strip_token_subprotocols",
]

JWTTransport = Literal["header", "cookie", "subprotocol"]

_DATABASE_SESSIONS: Final = (
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.backends.cached_db",
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a handshake carries so that the application knows the user.

    Attributes:
        headers: Pairs of a lower-case name and a value.
        subprotocols: Offered after the subprotocols of the test itself.
    """

    headers: Headers = field(default_factory=list)
    subprotocols: list[str] = field(default_factory=list)

    def as_headers(self) -> Headers:
        """Return all of it as headers, as a client sends it: subprotocols are one, too.

        Whoever has a copy of these headers has the login, whatever else is in it.
        """
        if not self.subprotocols:
            return list(self.headers)
        offered = ", ".join(self.subprotocols).encode("latin-1")
        return [*self.headers, (PROTOCOLS_HEADER.encode(), offered)]

    def __repr__(self) -> str:
        """Return the names of what is carried; the values are secrets."""
        names = [name.decode("latin-1") for name, _ in self.headers]
        count = len(self.subprotocols)
        return f"<Credentials: headers {names}, {count} subprotocols>"


LoginResult: TypeAlias = Credentials | Sequence[tuple[bytes, bytes]]


class Login(Protocol):
    """A callable that returns credentials, or headers alone, for a saved user.

    It may be async. An instance, a function or a method of the test case will do.
    """

    def __call__(self, user: Any, /) -> LoginResult | Awaitable[LoginResult]:
        """Return what the handshake of ``user`` carries."""


@dataclass(frozen=True, slots=True)
class SessionLogin:
    """A login by a session of Django, and its cookie.

    The session is a real row (or cache entry, or signed cookie) of the project's
    ``SESSION_ENGINE``, made as ``django.test.Client.force_login()`` makes it.

    Attributes:
        backend: Dotted path of the authentication backend to name in the session. None:
            the first of ``AUTHENTICATION_BACKENDS`` that can load a user.
    """

    backend: str | None = None

    def __call__(self, user: Any) -> Credentials:
        """Return the cookie of a new session of ``user``.

        Raises:
            ValueError: The user is not saved.
            ImproperlyConfigured: The session engine needs an app that is not installed.
        """
        _check_saved(user)
        engine = settings.SESSION_ENGINE
        if engine in _DATABASE_SESSIONS and not apps.is_installed(
            "django.contrib.sessions"
        ):
            raise ImproperlyConfigured(
                f"SessionLogin() needs 'django.contrib.sessions' in INSTALLED_APPS for "
                f"SESSION_ENGINE {engine!r}."
            )
        client = Client()
        client.force_login(user, self.backend)
        morsel = client.cookies[settings.SESSION_COOKIE_NAME]
        return Credentials([_cookie(morsel.key, morsel.coded_value)])


@dataclass(frozen=True, slots=True)
class TokenLogin:
    """A login by a token of ``rest_framework.authtoken``, in ``authorization``.

    Attributes:
        keyword: The word before the token: the ``keyword`` of the project's
            ``TokenAuthentication`` class.
    """

    keyword: str = "Token"

    def __call__(self, user: Any) -> Credentials:
        """Return the token of ``user``; it is created if there is none.

        Raises:
            ValueError: The user is not saved.
            ImproperlyConfigured: ``rest_framework.authtoken`` is not installed.
        """
        _check_saved(user)
        if not apps.is_installed("rest_framework.authtoken"):
            raise ImproperlyConfigured(
                "TokenLogin() needs 'rest_framework.authtoken' in INSTALLED_APPS (and "
                "its migrations applied)."
            )
        from rest_framework.authtoken.models import Token

        token, _ = Token.objects.get_or_create(user=user)
        return Credentials([_authorization(self.keyword, token.key)])


@dataclass(frozen=True, slots=True)
class JWTLogin:
    """A login by an access token of djangorestframework-simplejwt.

    The token class and the header are those of the project's ``SIMPLE_JWT`` setting.

    Attributes:
        transport: Where the token travels. A browser cannot set headers on a WebSocket,
            hence the other two.
        cookie_name: The name of the cookie.
        subprotocol_prefix: A name offered before the token, as two subprotocols; one
            that ends in a separator (``"bearer."``) is glued to it instead.
    """

    transport: JWTTransport = "header"
    cookie_name: str = "access_token"
    subprotocol_prefix: str = "access_token"

    def __post_init__(self) -> None:
        """Refuse a transport that does not exist.

        Raises:
            ValueError: ``transport`` is not one of the three.
        """
        if self.transport not in get_args(JWTTransport):
            legal = ", ".join(map(repr, get_args(JWTTransport)))
            raise ValueError(
                f"JWTLogin(transport={self.transport!r}): the transports are {legal}."
            )

    def __call__(self, user: Any) -> Credentials:
        """Return a new token for ``user``.

        Raises:
            ValueError: The user is not saved.
            ImproperlyConfigured: simplejwt is not installed.
        """
        _check_saved(user)
        try:
            from rest_framework_simplejwt.settings import api_settings
        except ImportError as error:
            raise ImproperlyConfigured(
                "JWTLogin() needs djangorestframework-simplejwt. Install it: "
                "pip install 'chanx-testing[jwt]'"
            ) from error
        token_class = api_settings.AUTH_TOKEN_CLASSES[0]
        token = str(token_class.for_user(user))
        match self.transport:
            case "cookie":
                return Credentials([_cookie(self.cookie_name, token)])
            case "subprotocol":
                return Credentials(subprotocols=self._subprotocols(token))
            case "header":
                keyword = api_settings.AUTH_HEADER_TYPES[0]
                name, value = _authorization(keyword, token)
                header = api_settings.AUTH_HEADER_NAME.removeprefix("HTTP_")
                name = header.replace("_", "-").lower().encode("latin-1")
                return Credentials([(name, value)])

    def _subprotocols(self, token: str) -> list[str]:
        prefix = self.subprotocol_prefix
        if prefix and not prefix[-1].isalnum():
            return [prefix + token]
        return [prefix, token] if prefix else [token]


def log_in(login: Login, user: Any) -> Credentials:
    """Return the credentials that ``login`` gives ``user``.

    Raises:
        TypeError: ``login`` returned neither credentials nor headers.
    """
    result = login(user)
    if inspect.isawaitable(result):
        result = async_to_sync(_result_of)(result)
    return _as_credentials(login, result)


@must_await
async def alog_in(login: Login, user: Any) -> Credentials:
    """Log ``user`` in from asynchronous code; see :func:`log_in`.

    A login that is not a coroutine function runs in the thread that Django's
    asynchronous database access shares, so that it uses the test's own connection.
    """
    result: Any
    if iscoroutinefunction(login) or iscoroutinefunction(type(login).__call__):
        result = login(user)
    else:
        result = await sync_to_async(login, thread_sensitive=True)(user)
    if inspect.isawaitable(result):
        result = await result
    return _as_credentials(login, result)


async def _result_of(awaitable: Awaitable[LoginResult]) -> LoginResult:
    return await awaitable


def _as_credentials(login: Login, result: Any) -> Credentials:
    if isinstance(result, Credentials):
        return _remembered(result)
    if isinstance(result, list | tuple) and all(map(_is_header, result)):
        return _remembered(Credentials([(name, value) for name, value in result]))
    raise TypeError(
        f"The login {conceal_text(repr(login))} returned {type(result).__name__}, "
        "expected Credentials "
        'or a list of headers as pairs of bytes, such as [(b"authorization", b"...")].'
    )


def _remembered(credentials: Credentials) -> Credentials:
    for name, value in credentials.as_headers():
        header = name.lower().decode("latin-1"), value.decode("latin-1")
        remember(secrets_of_header(*header))
    return credentials


def _is_header(pair: Any) -> bool:
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(part, bytes) for part in pair)
    )


def _check_saved(user: Any) -> None:
    if getattr(user, "pk", None) is None:
        raise ValueError(
            f"Only a saved user can log in; {str(user)!r} has no primary key. "
            "make_user() makes one."
        )


def _cookie(name: str, value: str) -> tuple[bytes, bytes]:
    return b"cookie", f"{name}={value}".encode("latin-1")


def _authorization(keyword: str, token: str) -> tuple[bytes, bytes]:
    return b"authorization", f"{keyword} {token}".encode("latin-1")
