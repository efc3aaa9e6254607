"""Connections of asyncio's streams, such as those of redis.asyncio.

Data that comes is appended to the buffer of a ``StreamReader``, which wakes the task
that waits in ``read()``, if there is one, and does nothing else.
"""

import asyncio
from collections import deque

from chanx_testing.core.idle.clients import publications
from chanx_testing.core.idle.clients.state import (
    Notice,
    has_waiters,
    read,
    read_future,
)

PROTOCOL = ("asyncio.streams", "StreamReaderProtocol")


def notices(
    transport: asyncio.BaseTransport, protocol: asyncio.BaseProtocol
) -> list[Notice]:
    """Return who would notice what comes over the connection, or that it ends.

    Raises:
        NotKnownError: It is not as expected.
    """
    reader = read(protocol, "_stream_reader", asyncio.StreamReader)
    found: list[Notice] = []
    if (waiter := read_future(reader, "_waiter")) is not None:
        expected = publications.doubts(reader)
        if expected != []:
            found.append(Notice("a task reads from it", waiter))
        found += map(Notice, expected or ())
    # These two are woken by the end of the connection.
    if has_waiters(closed := read_future(protocol, "_closed")):
        found.append(Notice("a task waits for its end", closed))
    if drains := read(protocol, "_drain_waiters", deque):
        found.append(Notice("a task writes to it", drains[0]))
    return found
