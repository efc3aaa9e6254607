"""The connections of a loop, and who would notice what comes over them."""

import asyncio
import weakref
from typing import Any

from chanx_testing.core.idle.clients import redis
from chanx_testing.core.idle.clients.known import who_notices
from chanx_testing.core.idle.clients.state import Notice
from chanx_testing.core.idle.describe import describe_task, frames_of


class Connections:
    """The connections that one loop made to servers."""

    def __init__(self) -> None:
        # By descriptor: that of a connection which was closed may be used again, and
        # its new owner takes its place here.
        self._transports: weakref.WeakValueDictionary[int, asyncio.BaseTransport] = (
            weakref.WeakValueDictionary()
        )

    def add(self, transport: asyncio.BaseTransport) -> None:
        """Note a connection that the loop has made."""
        fd = _descriptor(transport)
        if fd is not None:
            self._transports[fd] = transport

    def noticed_by(self, fd: int) -> list[Notice] | None:
        """Return who would notice what comes over a descriptor.

        Returns:
            [] where nobody would; None where that is not known.
        """
        transport = self._transports.get(fd)
        if transport is None or transport.is_closing() or _descriptor(transport) != fd:
            return None
        return who_notices(transport)


def describe_notice(notice: Notice) -> str:
    """Return who would notice, with the place where a task waits."""
    task = None if notice.waiter is None else _waiting_task(notice.waiter)
    if task is None:
        return notice.words
    words = redis.purpose(frames_of(task)) or notice.words
    return f"{words}, at {describe_task(task)}"


def _descriptor(transport: asyncio.BaseTransport) -> int | None:
    socket: Any = transport.get_extra_info("socket")
    return None if socket is None else socket.fileno()


def _waiting_task(waiter: "asyncio.Future[Any]") -> "asyncio.Task[Any] | None":
    """Return a task that waits for a future, if there is one."""
    for task in asyncio.all_tasks(waiter.get_loop()):
        if getattr(task, "_fut_waiter", None) is waiter:
            return task
    return None
