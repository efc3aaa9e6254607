"""An open file is the same for as long as it is open, and then another one."""

import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from chanx_testing.core.idle.sources import open_files
from chanx_testing.core.idle.sources.open_files import OpenFile, OpenFiles

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="os.close() closes no socket there"
)


@pytest.fixture(params=["inodes", "addresses"])
def telling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways of two kinds of systems to tell files apart."""
    if request.param == "addresses":
        monkeypatch.setattr(open_files, "_INODES_TELL", False)
    return str(request.param)


def listener() -> int:
    return socket.create_server(("127.0.0.1", 0)).detach()


def client() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return socket.create_connection(server.getsockname()).detach()


def datagrams() -> int:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock.detach()


@pytest.mark.usefixtures("telling")
@pytest.mark.parametrize("make", [listener, client, datagrams])
def test_a_socket(make: Callable[[], int]) -> None:
    fd = make()
    file = OpenFile(fd)
    assert file.has(fd)
    os.close(fd)
    assert not file.has(fd)
    for _ in range(20):
        again = make()
        assert again == fd
        assert not file.has(again)
        os.close(again)


def test_the_other_number_of_a_file_is_not_meant() -> None:
    reader, writer = os.pipe()
    other = os.dup(reader)
    assert not OpenFile(reader).has(other)
    for fd in (reader, writer, other):
        os.close(fd)


def test_a_default_timeout_makes_no_socket_non_blocking(
    telling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = listener()
    monkeypatch.setattr(socket, "getdefaulttimeout", lambda: 5)
    assert OpenFile(fd).has(fd)
    assert os.get_blocking(fd)
    os.close(fd)


def test_a_closed_descriptor_is_an_error() -> None:
    fd = listener()
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        OpenFile(fd)


@pytest.fixture
def numbers() -> Iterator[set[int]]:
    """The numbers that a test leaves open."""
    left: set[int] = set()
    yield left
    for fd in left:
        with suppress(OSError):
            os.close(fd)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_opened_and_closed(seed: int, numbers: set[int]) -> None:
    """Only the files that were noted are in the collection, whatever their numbers."""
    chance = random.Random(seed)
    noted = OpenFiles()
    entries: dict[int, list[OpenFile]] = {}
    for _ in range(300):
        act = chance.choice(("open", "close", "add", "remove"))
        if act == "open" or not numbers:
            numbers.add(chance.choice((listener, datagrams))())
            continue
        fd = chance.choice(sorted(numbers))
        if act == "close":
            os.close(fd)
            numbers.discard(fd)
            entries.pop(fd, None)
        elif act == "add":
            entries.setdefault(fd, []).append(noted.add(fd))
        elif entries.get(fd):
            noted.remove(entries[fd].pop())
        for each in numbers:
            assert (each in noted) is bool(entries.get(each))
