"""A WebSocket handshake as the HTTP request that it is."""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.utils.functional import LazyObject, SimpleLazyObject, empty

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}


def handshake_request(scope: Mapping[str, Any]) -> ASGIRequest:
    """Return the GET request of the handshake with this WebSocket ``scope``.

    ``request.session`` and ``request.user`` are those of the scope where a middleware
    has put them there. Otherwise they are loaded from the session cookie when they are
    first used, so that a project without sessions needs none.

    Raises:
        UnicodeDecodeError: The query string is not UTF-8.
    """
    scheme = scope.get("scheme", "ws")
    http_scope = {
        **scope,
        "type": "http",
        "method": "GET",
        "scheme": _HTTP_SCHEMES.get(scheme, scheme),
    }
    request: Any = ASGIRequest(http_scope, BytesIO())
    session = scope.get("session")
    if session is None:
        session = SimpleLazyObject(partial(_load_session, request))
    request.session = session
    user = scope.get("user")
    if user is None:
        user = SimpleLazyObject(partial(_load_user, session))
    request.user = user
    return cast(ASGIRequest, request)


def without_laziness(value: Any) -> Any:
    """Return the object inside ``value``, if that is a lazy object of Django.

    A lazy user that is first looked at in the event loop would query the database
    there, which Django forbids.
    """
    while isinstance(value, LazyObject):
        wrapper: Any = value
        if wrapper._wrapped is empty:
            wrapper._setup()
        value = wrapper._wrapped
    return value


def _load_session(request: ASGIRequest) -> Any:
    engine = import_module(settings.SESSION_ENGINE)
    return engine.SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))


def _load_user(session: Any) -> Any:
    from channels.auth import get_user

    # The function of Channels, without its hop to a thread, which this is already.
    # Django's own would give the session a new key after a rotation of SECRET_KEY;
    # after the handshake there is no response that could send the browser the new
    # cookie.
    return get_user.func({"session": session})
