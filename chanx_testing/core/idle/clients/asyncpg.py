"""Connections of asyncpg, in a pool or not, and under SQLAlchemy.

Its protocol is written in Cython, and does not show its futures. The garbage collector
does: every object that the protocol holds is among its referents, under whatever name.
A query that is under way is a future that is pending.
"""

import asyncio
import gc
import weakref
from collections import deque
from typing import Any

from chanx_testing.core.idle.clients.state import (
    Notice,
    NotKnownError,
    has_waiters,
    read,
    read_future,
)

PROTOCOL = ("asyncpg.protocol.protocol", "Protocol")


def notices(
    transport: asyncio.BaseTransport, protocol: asyncio.BaseProtocol
) -> list[Notice]:
    """Return who would notice what comes over the connection, or that it ends.

    Raises:
        NotKnownError: It is not as expected.
    """
    held = gc.get_referents(protocol)
    # These show that the collector sees what the protocol holds. Otherwise "no future
    # is pending" would say nothing.
    connection = _connection_in(held, protocol)
    if connection is None or not any(one is transport for one in held):
        raise NotKnownError("referents")
    found = [
        Notice("asyncpg: the answer to a query", one)
        for one in held
        if isinstance(one, asyncio.Future) and not one.done()
    ]
    if read(connection, "_listeners", dict):
        found.append(Notice("asyncpg: notifications (LISTEN)"))
    if read(connection, "_log_listeners", set):
        found.append(Notice("asyncpg: log messages"))
    if read(connection, "_termination_listeners", set):
        found.append(Notice("asyncpg: the end of the connection"))
    return found + _notices_of_pool(connection)


def _connection_in(held: list[Any], protocol: asyncio.BaseProtocol) -> Any:
    for one in held:
        if isinstance(one, weakref.ReferenceType):
            connection = one()
            kind = type(connection)
            # A subclass may do something of its own with what comes.
            if (kind.__module__, kind.__qualname__) == (
                "asyncpg.connection",
                "Connection",
            ) and getattr(connection, "_protocol", None) is protocol:
                return connection
    return None


def _notices_of_pool(connection: Any) -> list[Notice]:
    """Return who waits for a pool that would get the connection back if it ended."""
    try:
        proxy = connection._proxy
        # A connection that is not in use, or in no pool, has none.
        holder = None if proxy is None else proxy._holder
        queue = None if holder is None else holder._pool._queue
    except AttributeError as error:
        raise NotKnownError(error.name) from None
    if holder is None:
        return []
    found: list[Notice] = []
    if has_waiters(released := read_future(holder, "_in_use")):
        found.append(Notice("asyncpg: a task closes the pool", released))
    if waiting := read(queue, "_getters", deque):
        found.append(Notice("asyncpg: a task waits for a connection", waiting[0]))
    return found
