"""Read the private state of a client, or say that it is not known."""

import asyncio
from types import NoneType
from typing import Any, NamedTuple


class Notice(NamedTuple):
    """Somebody who would notice what comes over a connection.

    Attributes:
        words: What is waited for, as a part of a sentence: "an answer of PostgreSQL".
        waiter: The future that would be done; None where it is a callback.
    """

    words: str
    waiter: "asyncio.Future[Any] | None" = None


class NotKnownError(Exception):
    """A connection is not as its module here expects it: another release, perhaps."""


def read(owner: object, name: str, *types: type) -> Any:
    """Return an attribute whose type is exactly one of ``types``.

    Raises:
        NotKnownError: There is no such attribute, or it is something else.
    """
    try:
        value = getattr(owner, name)
    except AttributeError:
        raise NotKnownError(name) from None
    if type(value) not in types:
        raise NotKnownError(name)
    return value


def read_future(owner: object, name: str) -> "asyncio.Future[Any] | None":
    """Return a future in an attribute, or None if that is what is in it.

    Raises:
        NotKnownError: As for :func:`read`.
    """
    future: asyncio.Future[Any] | None = read(owner, name, asyncio.Future, NoneType)
    return future


def has_waiters(future: "asyncio.Future[Any] | None") -> bool:
    """Return whether anything happens when a future is done.

    Raises:
        NotKnownError: That cannot be read.
    """
    if future is None:
        return False
    # asyncio.Future is written in C, and gives None for an empty list.
    return bool(read(future, "_callbacks", list, NoneType))
