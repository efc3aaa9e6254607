"""Sockets for which somebody answers are open while something is under way."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from chanx_testing.core.idle.sources.accounts import Accounts, accounted
from chanx_testing.core.idle.sources.connections import Connections
from chanx_testing.core.idle.sources.descriptors import Descriptors


class Account:
    """Answers as it is told."""

    def __init__(self) -> None:
        self.phrases: list[str] = []

    def under_way(self) -> list[str]:
        return self.phrases


class Transport:
    """As much of a transport as is asked."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.closing = False

    def get_extra_info(self, name: str) -> Any:
        return self._socket if name == "socket" else None

    def is_closing(self) -> bool:
        return self.closing


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


def test_nobody_answers_for_a_socket_that_was_made_outside(sock: socket.socket) -> None:
    accounts = Accounts()
    accounts.add(Transport(sock))  # type: ignore[arg-type]
    assert accounts.by_descriptor() == {}
    assert not accounts.is_open()


def test_a_socket_is_open_while_something_is_under_way(sock: socket.socket) -> None:
    accounts, account, transport = Accounts(), Account(), Transport(sock)
    with accounted(account):
        accounts.add(transport)  # type: ignore[arg-type]
    assert accounts.by_descriptor() == {sock.fileno(): account}
    assert not accounts.is_open()
    account.phrases = ["send() on a layer", "send() on a layer"]
    assert accounts.is_open()
    assert accounts.may_end_a_deadlock()
    assert accounts.phrases() == ["send() on a layer"]
    transport.closing = True
    assert not accounts.is_open()


def test_a_descriptor_with_an_account_is_not_open_itself(sock: socket.socket) -> None:
    import selectors

    accounts, account, transport = Accounts(), Account(), Transport(sock)
    with accounted(account):
        accounts.add(transport)  # type: ignore[arg-type]
    events = selectors.EVENT_READ
    keys = [selectors.SelectorKey(sock, sock.fileno(), events, None)]
    descriptors = Descriptors(lambda: keys, accounts, Connections())
    assert not descriptors.is_open()
    # What is left to send is somebody's answer.
    keys[0] = keys[0]._replace(events=events | selectors.EVENT_WRITE)
    assert descriptors.is_open()
    transport.closing = True
    keys[0] = keys[0]._replace(events=events)
    assert descriptors.is_open()
    descriptors.ignored.add(sock.fileno())
    assert descriptors.phrases() == []
