"""The headers of a handshake: what identifies a user, and where it comes from."""

from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlparse

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port, validate_host

from chanx_testing.core.hiding.handshake import (
    PROTOCOLS_HEADER,
    header_is_secret,
    strip_query,
    token_places,
)
from chanx_testing.core.routing.routes import find_route, list_routes
from chanx_testing.core.routing.unwrap import has_member, stored, unwrap

Headers = list[tuple[bytes, bytes]]
"""Headers as an ASGI scope has them."""

_OF_EVERYBODY: Final = {
    *{b"accept", b"accept-encoding", b"accept-language", b"cache-control"},
    *{b"connection", b"host", b"origin", b"pragma", b"upgrade", b"user-agent"},
    *{b"sec-websocket-extensions", b"sec-websocket-key", b"sec-websocket-version"},
}

# Of the headers that may carry a login among other things.
_SEPARATORS: Final = {b"cookie": b"; ", PROTOCOLS_HEADER.encode(): b", "}


class NoAcceptedOriginError(ImproperlyConfigured):
    """No origin that could be made up passes the application's ``OriginValidator``.

    Attributes:
        allowed: What the validators allow.
        tried: The origins that were refused.
    """

    def __init__(self, allowed: tuple[str, ...], tried: tuple[str, ...]) -> None:
        super().__init__(allowed, tried)
        self.allowed = allowed
        self.tried = tried

    def __str__(self) -> str:
        return (
            "The application's OriginValidator allows "
            f"{', '.join(map(repr, self.allowed)) or 'nothing'} and refused "
            f"{', '.join(map(repr, self.tried))}. Add the host of the test to "
            "ALLOWED_HOSTS, or pass a (b'origin', ...) header of your own."
        )


def strip_credentials(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return ``headers`` without credentials.

    A header is a credential by its name (``cookie``, ``authorization``, ``x-api-key``,
    ``x-ticket-token``, ...) or by its value (a JWT, what follows ``Bearer``, a token
    that a login has issued, a long random text). Of the subprotocols only tokens are
    left out. ``host``, ``origin`` and all others stay, in order.
    """
    kept: Headers = []
    for name, value in headers:
        lower, text = name.lower().decode("latin-1"), value.decode("latin-1")
        if lower == PROTOCOLS_HEADER:
            offered = [part.strip() for part in text.split(",")]
            left = strip_token_subprotocols(offered)
            if left:
                kept.append((name, ", ".join(left).encode("latin-1")))
        elif not header_is_secret(lower, text):
            kept.append((name, value))
    return kept


def strip_token_subprotocols(subprotocols: Iterable[str]) -> list[str]:
    """Return ``subprotocols`` without those that carry a token.

    A token is a JWT, 32 or more letters, digits, ``_`` and ``-`` in a row, a token that
    a login has issued, what follows a marker such as ``"access_token"`` or ``"bearer"``
    (the marker is left out too), or a marker and a token in one (``"bearer.eyJ..."``).
    """
    offered = list(subprotocols)
    places = zip(offered, token_places(offered), strict=True)
    return [each for each, carries_token in places if not carries_token]


def what_identifies(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return ``headers`` without those that say nothing about a user.

    A login of a project may give a whole set of them.
    """
    return [pair for pair in headers if pair[0].lower() not in _OF_EVERYBODY]


def carries(
    headers: Iterable[tuple[bytes, bytes]], login: Iterable[tuple[bytes, bytes]]
) -> bool:
    """Return whether ``headers`` have all that ``login`` has, and perhaps more.

    A cookie and a subprotocol may have come into a header with others.
    """
    wanted = _items_of(login)
    return bool(wanted) and wanted <= _items_of(headers)


def without(
    headers: Iterable[tuple[bytes, bytes]], login: Iterable[tuple[bytes, bytes]]
) -> Headers:
    """Return ``headers`` without anything that ``login`` has."""
    unwanted = _items_of(login)
    kept: Headers = []
    for name, value in headers:
        items = _split(name, value)
        left = [item for item in items if (name.lower(), item) not in unwanted]
        if left == items:
            kept.append((name, value))
        elif left:
            kept.append((name, _SEPARATORS[name.lower()].join(left)))
    return kept


def _items_of(headers: Iterable[tuple[bytes, bytes]]) -> set[tuple[bytes, bytes]]:
    return {
        (name.lower(), item) for name, value in headers for item in _split(name, value)
    }


def _split(name: bytes, value: bytes) -> list[bytes]:
    separator = _SEPARATORS.get(name.lower())
    if separator is None:
        return [value]
    return [item.strip() for item in value.split(separator.strip())]


def strip_path(path: str) -> str:
    """Return a path, or a URL, without the parts of its query that are secrets."""
    start, _, query = path.partition("?")
    kept = strip_query(query)
    return f"{start}?{kept}" if kept else start


def origin_for(application: Any, path: str | None = None) -> str:
    """Return an origin that ``application`` accepts, such as ``"http://example.com"``.

    What the application's ``OriginValidator`` allows is tried first, then
    ``ALLOWED_HOSTS``, then ``http://localhost``; the validator's own ``valid_origin``
    decides. Without a validator it is the first of ``ALLOWED_HOSTS``.

    Args:
        application: An ASGI application, with any middleware around it.
        path: Ask only the validators on the way to this path; None asks all of them.

    Raises:
        NoAcceptedOriginError: Every origin tried is refused.
        NoRouteError: The application has no route for ``path``.
        NoWebsocketError: The application answers no WebSocket at all.
    """
    validators = list(_validators(application, path))
    patterns = [str(p) for found in validators for p in found.allowed_origins]
    candidates = [*_origins(patterns), *_origins(_allowed_hosts())]
    candidates.append("http://localhost")
    for origin in candidates:
        # An origin that is not even a URL to the validator is one it refuses.
        if all(found.valid_origin(urlparse(origin)) for found in validators):
            return origin
    tried = tuple(dict.fromkeys(candidates))
    raise NoAcceptedOriginError(tuple(dict.fromkeys(patterns)), tried)


def checks_origin(application: Any) -> bool:
    """Return whether an ``OriginValidator`` is found in ``application``."""
    return any(True for _ in _validators(application, None))


def handshake_headers(application: Any, path: str | None = None) -> Headers:
    """Return the ``host`` and ``origin`` headers of a handshake with ``application``.

    Every client sends a host (RFC 6455, section 4.1), and without one
    ``request.get_host()`` in a permission class raises ``DisallowedHost``. It is the
    host of the origin if ``ALLOWED_HOSTS`` allows it, as on a page that talks to its
    own server; otherwise the first of ``ALLOWED_HOSTS``.

    Raises:
        NoAcceptedOriginError: See :func:`origin_for`.
        NoRouteError: See :func:`origin_for`.
        NoWebsocketError: See :func:`origin_for`.
    """
    origin = origin_for(application, path)
    host = urlparse(origin).netloc
    domain, _ = split_domain_port(host)
    if not validate_host(domain, _allowed_hosts()):
        host = urlparse(next(_origins(_allowed_hosts()), "http://localhost")).netloc
    return [(b"host", host.encode("latin-1")), (b"origin", origin.encode("latin-1"))]


def _validators(application: Any, path: str | None) -> Iterator[Any]:
    """Yield the distinct origin validators among the layers of ``application``."""
    if path is None:
        routes = list_routes(application)
        layers = [layer for route in routes for layer in route.middleware]
        if not routes and (found := unwrap(application)) is not None:
            layers = list(found.layers)
    else:
        route = find_route(application, path)
        layers = [] if route is None else list(route.middleware)
    seen: set[int] = set()
    for layer in layers:
        is_validator = has_member(layer, "valid_origin") and "allowed_origins" in (
            stored(layer)
        )
        if is_validator and id(layer) not in seen:
            seen.add(id(layer))
            yield layer


def _allowed_hosts() -> list[str]:
    """Return the hosts that ``HttpRequest.get_host()`` allows, with DEBUG's default."""
    if settings.DEBUG and not settings.ALLOWED_HOSTS:
        return [".localhost", "127.0.0.1", "[::1]"]
    return list(settings.ALLOWED_HOSTS)


def _origins(patterns: Iterable[str]) -> Iterator[str]:
    """Yield an origin for each allowed host or origin that names one."""
    for pattern in patterns:
        if pattern == "*":
            continue
        scheme, separator, host = pattern.rpartition("://")
        yield f"{scheme if separator else 'http'}://{host.removeprefix('.')}"
