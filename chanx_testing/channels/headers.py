"""The headers of a handshake: what identifies a user, and where it comes from."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlparse

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port, validate_host

from chanx_testing.core.routing.routes import find_route, list_routes
from chanx_testing.core.routing.unwrap import has_member, stored, unwrap

Headers = list[tuple[bytes, bytes]]
"""Headers as an ASGI scope has them."""

_CREDENTIAL_HEADERS: Final = {b"authorization", b"cookie", b"proxy-authorization"}
_KEY_HEADER: Final = re.compile(rb"(x-)?(api|auth|access|session|csrf|id)-?(key|token)")
_PROTOCOLS_HEADER: Final = b"sec-websocket-protocol"

# Announces that the next subprotocol is a credential: ["access_token", "eyJ..."].
_MARKERS: Final = {"access_token", "auth", "authorization", "bearer", "jwt", "token"}
# Or it is glued to the credential: "bearer.eyJ...".
_PREFIX: Final = re.compile(
    r"(access[-_]token|auth(orization)?|(base64url\.)?bearer|jwt|token)"
    r"[.:_-][\w.=+/-]{16,}",
    re.IGNORECASE,
)
_JWT: Final = re.compile(r"[\w-]{4,}\.[\w-]{4,}\.[\w-]{4,}")
# 32 characters and more without a dot: keys and hashes. The longest registered names
# of subprotocols without a dot are shorter.
_OPAQUE: Final = re.compile(r"[\w-]{32,}")


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

    ``cookie``, ``authorization`` and ``proxy-authorization`` are left out, and headers
    with a usual name for a key or a token (``x-api-key``, ``x-auth-token``, ...). Of
    the subprotocols only tokens are left out. ``origin`` and all others stay, in order.
    """
    kept: Headers = []
    for name, value in headers:
        lower = name.lower()
        if lower in _CREDENTIAL_HEADERS or _KEY_HEADER.fullmatch(lower):
            continue
        if lower == _PROTOCOLS_HEADER:
            offered = [part.strip() for part in value.decode("latin-1").split(",")]
            left = strip_token_subprotocols(offered)
            if left:
                kept.append((name, ", ".join(left).encode("latin-1")))
            continue
        kept.append((name, value))
    return kept


def strip_token_subprotocols(subprotocols: Iterable[str]) -> list[str]:
    """Return ``subprotocols`` without those that carry a token.

    A token is a JWT, 32 or more letters, digits, ``_`` and ``-`` in a row, what follows
    a marker such as ``"access_token"`` or ``"bearer"`` (the marker is left out too), or
    a marker and a token in one (``"bearer.eyJ..."``).
    """
    offered = list(subprotocols)
    kept: list[str] = []
    index = 0
    while index < len(offered):
        current = offered[index]
        if current.lower() in _MARKERS:
            index += 2
            continue
        if not _is_token(current):
            kept.append(current)
        index += 1
    return kept


def _is_token(subprotocol: str) -> bool:
    return any(pattern.fullmatch(subprotocol) for pattern in (_JWT, _OPAQUE, _PREFIX))


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
