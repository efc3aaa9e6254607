"""Find the module that knows a connection."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final

from chanx_testing.core.idle.clients import aiohttp, asyncpg, streams
from chanx_testing.core.idle.clients.state import Notice, NotKnownError

_Notices = Callable[[asyncio.BaseTransport, asyncio.BaseProtocol], list[Notice]]

# By the module and the name of the class of the protocol: the clients themselves are
# never imported.
_KNOWN: Final[dict[tuple[str, str], _Notices]] = {
    streams.PROTOCOL: streams.notices,
    aiohttp.PROTOCOL: aiohttp.notices,
    asyncpg.PROTOCOL: asyncpg.notices,
}


def who_notices(transport: asyncio.BaseTransport) -> list[Notice] | None:
    """Return who would notice what comes over a connection, or that it ends.

    Returns:
        [] where nobody would; None where that is not known.
    """
    if not isinstance(transport, asyncio.Transport):
        return None
    protocol = transport.get_protocol()
    kind = type(protocol)
    name = (kind.__module__, kind.__qualname__)
    notices = _KNOWN.get(name)
    # A class of the same name may be somebody else's.
    if notices is None or getattr(sys.modules.get(name[0]), name[1], None) is not kind:
        return None
    try:
        found = notices(transport, protocol)
    except NotKnownError:
        return None
    if transport.get_write_buffer_size():
        found.append(Notice("something is still to be sent"))
    return found
