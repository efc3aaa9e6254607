"""Open files, known by more than their numbers.

The number of a descriptor is used again for the next file as soon as its file is
closed. Who notes a number alone soon means another file.
"""

import os
import socket
import sys
from collections.abc import Hashable

# On Linux every socket and every pipe has an inode of its own, whose number is not
# used again. Elsewhere sockets may lack one, and Windows has none for a socket.
_INODES_TELL = sys.platform == "linux"


class OpenFile:
    """A file that was open when this was made.

    Two files of the same device, such as two ends of ``/dev/ptmx``, and on Linux two
    files without an inode of their own (``eventfd``, ``timerfd``), cannot be told
    apart.

    Args:
        fd: Its descriptor.

    Raises:
        OSError: The descriptor is closed.
    """

    __slots__ = ("_fd", "_identity")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._identity = _identity(fd)

    def has(self, fd: int) -> bool:
        """Return whether this is the file that a descriptor belongs to now."""
        if fd != self._fd:
            return False
        try:
            return _identity(fd) == self._identity
        except OSError:
            return False


class OpenFiles:
    """A collection of open files, which may have the same one several times."""

    def __init__(self) -> None:
        self._files: list[OpenFile] = []

    def add(self, fd: int) -> OpenFile:
        """Add the file that a descriptor belongs to now, and return it.

        Raises:
            OSError: The descriptor is closed.
        """
        file = OpenFile(fd)
        self._files.append(file)
        return file

    def remove(self, file: OpenFile) -> None:
        """Remove what :meth:`add` has returned."""
        self._files.remove(file)

    def __contains__(self, fd: int) -> bool:
        return any(file.has(fd) for file in self._files)


def _identity(fd: int) -> Hashable:
    """Return what tells an open file from the next one with its number.

    Raises:
        OSError: The descriptor is closed.
    """
    if sys.platform == "win32":
        # A descriptor of an event loop is a socket there, and no number of a file.
        return _addresses(fd)
    status = os.fstat(fd)
    inode = status.st_dev, status.st_ino
    return inode if _INODES_TELL else (inode, _addresses(fd))


def _addresses(fd: int) -> Hashable:
    """Return the kind and the addresses of a socket; None for what is not one."""
    if socket.getdefaulttimeout() is not None:
        # The socket object made below would then make the descriptor non-blocking.
        return None
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        try:
            peer = sock.getpeername()
        except OSError:
            peer = None
        return sock.family, sock.type, sock.getsockname(), peer
    except OSError:
        return None
    finally:
        # Otherwise the descriptor would be closed with the object.
        sock.detach()
