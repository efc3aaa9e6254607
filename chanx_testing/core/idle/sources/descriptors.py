"""Which descriptors of a loop could bring something from outside."""

import os
import selectors
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from chanx_testing.core.idle.sources.accounts import Accounts
from chanx_testing.core.idle.sources.open_files import OpenFiles

# What one end of a TCP connection within this process sends can be read at the other
# end as soon as `send` returns. That was measured on Linux alone: elsewhere a frame may
# be on its way while both ends look quiet, so there each pair counts as open.
_LOOPBACK_IS_IMMEDIATE = sys.platform == "linux"

_Address = tuple[str, int]


class Descriptors:
    """The descriptors of one loop that no account answers for; a source.

    Args:
        watched: Returns what the loop's selector watches.
        accounts: The accounts that answer for some of them.

    Attributes:
        ignored: Open files that do not count, such as the loop's own wake-up pipe.
    """

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = True

    def __init__(
        self, watched: Callable[[], list[selectors.SelectorKey]], accounts: Accounts
    ) -> None:
        self.ignored = OpenFiles()
        self._watched = watched
        self._accounts = accounts

    def is_open(self) -> bool:
        """Return whether one of them could bring something."""
        return bool(self.phrases())

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return what each of them is."""
        keys = self._watched()
        accounts = self._accounts.by_descriptor()
        # One that is watched for writing too has something left to send.
        answered = {
            key.fd
            for key in keys
            if key.fd in accounts and key.events == selectors.EVENT_READ
        }
        ignored = {key.fd for key in keys if key.fd in self.ignored}
        return open_descriptors(keys, ignored | answered)

    def at_work(self) -> list[str]:
        """Return nothing: what is outside may never send."""
        return []


def open_descriptors(
    keys: Iterable[selectors.SelectorKey], ignored: frozenset[int] | set[int]
) -> list[str]:
    """Return what each descriptor is that is not one of a pair within the loop.

    Two TCP sockets of this loop that are connected to each other bring nothing that
    the loop did not send, as long as neither has something left to write.

    Args:
        keys: What the loop's selector watches.
        ignored: Descriptors that do not count, such as the loop's own wake-up pipe.
    """
    reasons: list[str] = []
    ends: dict[tuple[_Address, _Address], str] = {}
    for key in keys:
        if key.fd in ignored:
            continue
        text, local, peer = _look(key.fd)
        if (
            local is not None
            and peer is not None
            and key.events == selectors.EVENT_READ
            and _LOOPBACK_IS_IMMEDIATE
        ):
            if ends.pop((peer, local), None) is None:
                ends[local, peer] = text
        else:
            reasons.append(f"descriptor {text}")
    return reasons + [f"descriptor {text}" for text in ends.values()]


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
