"""The scope of a WebSocket connection, as complete as a server makes it.

See the ASGI specification, "WebSocket Connection Scope":
https://asgi.readthedocs.io/en/latest/specs/www.html#websocket-connection-scope
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote, urlparse

Scope = dict[str, Any]

ASGI_VERSION: Final = "3.0"
SPEC_VERSION: Final = "2.5"
"""Of the HTTP and WebSocket specification; 2.5 gave the disconnect event a reason."""

CLIENT: Final = ("127.0.0.1", 50000)
SERVER: Final = ("testserver", 80)
PROTOCOL_HEADER: Final = b"sec-websocket-protocol"
_PORTS: Final = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_SECURE: Final = {"wss", "https"}


def checked_headers(headers: Any) -> list[tuple[bytes, bytes]]:
    """Return headers as a list of pairs.

    Raises:
        TypeError: They are not pairs of bytes; the message says what they are.
    """
    if isinstance(headers, str | bytes | dict) or not isinstance(headers, Iterable):
        raise TypeError(
            f"Headers are a list of pairs of bytes, such as "
            f"[(b'origin', b'http://x')], not {type(headers).__name__}."
        )
    found = []
    for pair in headers:
        if not (
            isinstance(pair, tuple | list)
            and len(pair) == 2
            and all(isinstance(part, bytes) for part in pair)
        ):
            raise TypeError(
                f"Each header is a pair of bytes, such as (b'origin', b'http://x'), "
                f"not {_kind_of(pair)}."
            )
        found.append((pair[0], pair[1]))
    return found


def _kind_of(pair: object) -> str:
    """Return what a header is that is no pair of bytes; its values may be secrets."""
    kind = type(pair).__name__
    if isinstance(pair, tuple | list):
        inner = ", ".join(type(part).__name__ for part in pair)
        return f"a {kind} of {inner or 'nothing'}"
    if hasattr(pair, "pk"):
        return f"{kind}: create_user_and_ws_headers() returns 'user, headers'"
    return kind


def websocket_scope(
    path: str,
    headers: Iterable[tuple[bytes, bytes]] | None,
    subprotocols: Iterable[str] | None,
    spec_version: str | int | None,
) -> Scope:
    """Return the scope of a handshake.

    Args:
        path: The path, %-escaped where need be, with the query string; a full URL gives
            scheme, server and ``host`` header too.
        headers: Pairs of name and value, as bytes. Names are made lower case; what the
            subprotocols and the host of a URL add comes after them.
        subprotocols: What the client offers, before what a header
            ``sec-websocket-protocol`` says. None: what that header says.
        spec_version: The version of the specification; None for the latest.

    Raises:
        TypeError: The headers are not pairs of bytes.
    """
    url = urlparse(path)
    sent = [(name.lower(), value) for name, value in checked_headers(headers or ())]
    names = {name for name, _ in sent}
    offered, by_header = list(subprotocols or ()), _offered(sent)
    if offered and offered != by_header:
        # A client has one list, and an application may read either.
        offered += [each for each in by_header if each not in offered]
        sent = [pair for pair in sent if pair[0] != PROTOCOL_HEADER]
        sent.append((PROTOCOL_HEADER, ", ".join(offered).encode("latin-1")))
    else:
        offered = by_header
    scheme = "wss" if url.scheme in _SECURE else "ws"
    server = SERVER
    if url.hostname:
        server = (url.hostname, url.port or _PORTS[scheme])
        if b"host" not in names:
            sent.append((b"host", url.netloc.rpartition("@")[2].encode("latin-1")))
    return {
        "type": "websocket",
        "asgi": {
            "version": ASGI_VERSION,
            "spec_version": str(spec_version or SPEC_VERSION),
        },
        "http_version": "1.1",
        "scheme": scheme,
        "path": unquote(url.path),
        "raw_path": url.path.encode("utf-8"),
        "query_string": url.query.encode("utf-8"),
        "root_path": "",
        "headers": sent,
        "client": CLIENT,
        "server": server,
        "subprotocols": offered,
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


def _offered(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [
        part.strip()
        for name, value in headers
        if name == PROTOCOL_HEADER
        for part in value.decode("latin-1").split(",")
        if part.strip()
    ]
