"""Sockets whose pending replies this process can count.

As far as one process can see, a socket to a server, such as that of a Redis channel
layer, could bring something at any time. But where the server only answers what this
process has sent, whoever counts requests and answers knows more: nothing comes while
nothing is under way.
"""

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, Protocol

from chanx_testing.core.idle.sources.timers import background


class Account(Protocol):
    """Whatever counts what is under way on some connections."""

    def under_way(self) -> list[str]:
        """Return what could still come over them, one phrase each; [] for nothing.

        Called on the loop's thread, whenever the loop would sleep and somebody waits;
        it must return at once.
        """


_current: ContextVar[Account | None] = ContextVar("chanx_testing_account", default=None)


@contextmanager
def accounted(account: Account) -> Iterator[None]:
    """Have ``account`` answer for the connections that are made inside.

    It follows the context, into tasks that are created inside. Timers that are set
    inside belong to the connections, and count as background.
    """
    token = _current.set(account)
    try:
        with background():
            yield
    finally:
        _current.reset(token)


def current_account() -> Account | None:
    """Return the account that answers for connections made here; None without one."""
    return _current.get()


class Accounts:
    """The sockets of one loop that an account answers for; a source."""

    wakes_the_loop: ClassVar[bool] = True
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        self._accounts: weakref.WeakKeyDictionary[asyncio.BaseTransport, Account] = (
            weakref.WeakKeyDictionary()
        )

    def add(self, transport: asyncio.BaseTransport) -> None:
        """Note a new connection, in the context that made it."""
        if (account := _current.get()) is not None:
            self._accounts[transport] = account

    def knows(self, transport: asyncio.BaseTransport) -> bool:
        """Return whether an account answers for a connection."""
        return transport in self._accounts

    def by_descriptor(self) -> dict[int, Account]:
        """Return the accounts of the open connections by their descriptors."""
        found: dict[int, Account] = {}
        if not self._accounts:
            # Asked before each verdict, where there are nearly always none.
            return found
        for transport, account in tuple(self._accounts.items()):
            socket: Any = transport.get_extra_info("socket")
            if socket is not None and not transport.is_closing():
                found[socket.fileno()] = account
        return found

    def is_open(self) -> bool:
        """Return whether anything is under way."""
        return bool(self.phrases())

    may_end_a_deadlock = is_open

    def phrases(self) -> list[str]:
        """Return what could still come, in the words of the accounts, each once."""
        accounts = set(self.by_descriptor().values())
        return sorted({text for each in accounts for text in each.under_way()})

    def at_work(self) -> list[str]:
        """Return what could still come: all of it was asked for."""
        return self.phrases()
