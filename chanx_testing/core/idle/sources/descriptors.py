"""Which descriptors of a loop could bring something from outside."""

import os
import selectors
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from chanx_testing.core.idle.clients.state import Notice
from chanx_testing.core.idle.sources.accounts import Accounts
from chanx_testing.core.idle.sources.connections import Connections, describe_notice
from chanx_testing.core.idle.sources.open_files import OpenFiles
from chanx_testing.core.idle.sources.other_loops import Descriptor, identify

# What one end of a TCP connection within this process sends can be read at the other
# end as soon as `send` returns. That was measured on Linux alone: elsewhere a frame may
# be on its way while both ends look quiet, so there each pair counts as open.
_LOOPBACK_IS_IMMEDIATE = sys.platform == "linux"

_Address = tuple[str, int]
_NoticedBy = Callable[[int], list[Notice] | None]


class Descriptors:
    """The descriptors of one loop that no account answers for; a source.

    Args:
        watched: Returns what the loop's selector watches.
        accounts: The accounts that answer for some of them.
        connections: The connections to servers among them.

    Attributes:
        ignored: Open files that do not count, such as the loop's own wake-up pipe.
    """

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = True

    def __init__(
        self,
        watched: Callable[[], list[selectors.SelectorKey]],
        accounts: Accounts,
        connections: Connections,
    ) -> None:
        self.ignored = OpenFiles()
        self._watched = watched
        self._accounts = accounts
        self._connections = connections

    def is_open(self) -> bool:
        """Return whether one of them could bring something."""
        return bool(self.phrases())

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return what each of them is."""
        return self.beyond(frozenset())

    def beyond(self, trusted: frozenset[Descriptor]) -> list[str]:
        """Return what each of them is that is not trusted."""
        keys = self._watched()
        if trusted:
            keys = [key for key in keys if identify(key) not in trusted]
        accounts = self._accounts.by_descriptor()
        # One that is watched for writing too has something left to send.
        answered = {
            key.fd
            for key in keys
            if key.fd in accounts and key.events == selectors.EVENT_READ
        }
        ignored = {key.fd for key in keys if key.fd in self.ignored}
        return open_descriptors(keys, ignored | answered, self._connections.noticed_by)

    def at_work(self) -> list[str]:
        """Return nothing: what is outside may never send."""
        return []


def open_descriptors(
    keys: Iterable[selectors.SelectorKey],
    ignored: frozenset[int] | set[int],
    noticed_by: _NoticedBy,
) -> list[str]:
    """Return what each descriptor is that could bring something.

    Two TCP sockets of this loop that are connected to each other bring nothing that
    the loop did not send, as long as neither has something left to write. What comes
    over a connection to a server brings nothing if nobody would notice it.

    Args:
        keys: What the loop's selector watches.
        ignored: Descriptors that do not count, such as the loop's own wake-up pipe.
        noticed_by: Returns who would notice what comes over a descriptor.
    """
    counted = [
        (key, _notices(key, noticed_by)) for key in keys if key.fd not in ignored
    ]
    if all(notices == [] for _, notices in counted):
        # Nearly always: what a descriptor is costs more than who would notice.
        return []
    alone: list[tuple[str, list[Notice] | None]] = []
    ends: dict[tuple[_Address, _Address], tuple[str, list[Notice] | None]] = {}
    for key, notices in counted:
        text, local, peer = _look(key.fd)
        if (
            local is not None
            and peer is not None
            and key.events == selectors.EVENT_READ
            and _LOOPBACK_IS_IMMEDIATE
        ):
            if ends.pop((peer, local), None) is None:
                ends[local, peer] = text, notices
        else:
            alone.append((text, notices))
    alone += ends.values()
    return [_reason(text, notices) for text, notices in alone if notices != []]


def _notices(key: selectors.SelectorKey, noticed_by: _NoticedBy) -> list[Notice] | None:
    # One that is watched for writing too has something left to send.
    return noticed_by(key.fd) if key.events == selectors.EVENT_READ else None


def _reason(text: str, notices: list[Notice] | None) -> str:
    if notices is None:
        return f"descriptor {text}"
    return f"descriptor {text} ({'; '.join(map(describe_notice, notices))})"


def _look(fd: int) -> tuple[str, _Address | None, _Address | None]:
    """Return what a descriptor is, and its two addresses if it is a TCP connection."""
    if socket.getdefaulttimeout() is not None:
        # The socket object made below would then make the descriptor non-blocking.
        return f"{fd}", None, None
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return _describe_file(fd), None, None
    try:
        return _describe_socket(sock, fd)
    finally:
        # Otherwise the descriptor would be closed with the object.
        sock.detach()


def _describe_socket(
    sock: socket.socket, fd: int
) -> tuple[str, _Address | None, _Address | None]:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        kind = "unix socket" if sock.family == socket.AF_UNIX else "socket"
        return f"{kind} {fd}", None, None
    kind = "tcp" if sock.type == socket.SOCK_STREAM else "udp"
    local = _address(sock.getsockname())
    try:
        peer = _address(sock.getpeername())
    except OSError:
        return f"{kind} {local[0]}:{local[1]} (not connected)", None, None
    text = f"{kind} {peer[0]}:{peer[1]}"
    return (text, local, peer) if kind == "tcp" else (text, None, None)


def _address(name: Any) -> _Address:
    return (str(name[0]), int(name[1]))


def _describe_file(fd: int) -> str:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return f"{fd}"
    return f"pipe {fd}" if stat.S_ISFIFO(mode) else f"file {fd}"
