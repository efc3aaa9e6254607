"""Connections of aiohttp's client.

One that is kept alive, and any other between a response and the next request, hands
what comes to its parser, and wakes nobody: the pool looks at the connection when it
takes it out.
"""

import asyncio

from chanx_testing.core.idle.clients.state import (
    Notice,
    NotKnownError,
    has_waiters,
    read,
    read_future,
)

PROTOCOL = ("aiohttp.client_proto", "ResponseHandler")


def notices(
    transport: asyncio.BaseTransport, protocol: asyncio.BaseProtocol
) -> list[Notice]:
    """Return who would notice what comes over the connection, or that it ends.

    Raises:
        NotKnownError: It is not as expected.
    """
    found: list[Notice] = []
    payload = _read_any(protocol, "_payload")
    parser = _read_any(protocol, "_payload_parser")
    if read(protocol, "_upgraded", bool) or parser is not None:
        found.append(Notice("aiohttp: a WebSocket"))
    elif payload is not None and not _has_ended(payload):
        # Its end gives the connection back to the pool, where a task may wait for it.
        found.append(Notice("aiohttp: the rest of a response"))
    if (waiter := read_future(protocol, "_waiter")) is not None:
        found.append(Notice("aiohttp: a response", waiter))
    if has_waiters(closed := read_future(protocol, "_closed")):
        found.append(Notice("aiohttp: a task waits for its end", closed))
    if (drain := read_future(protocol, "_drain_waiter")) is not None:
        found.append(Notice("aiohttp: a task writes to it", drain))
    return found


def _read_any(protocol: asyncio.BaseProtocol, name: str) -> object:
    try:
        value: object = getattr(protocol, name)
    except AttributeError:
        raise NotKnownError(name) from None
    return value


def _has_ended(payload: object) -> bool:
    """Return whether the whole body of a response has come."""
    if type(payload).__module__ != "aiohttp.streams":
        raise NotKnownError("_payload")
    ended = payload.is_eof()  # type: ignore[attr-defined] # a public method of theirs
    return ended is True
