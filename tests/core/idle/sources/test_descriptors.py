"""Descriptors: a pair within the loop is quiet, anything else could bring something."""

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from chanx_testing.core.idle import (
    VerdictKind,
    exempt_descriptor,
    wait_until_idle,
)
from tests.support.idle import LONG, at_once, on_idle_loop, proof

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="loopback pairs and epoll are of Linux only"
)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        two, _ = server.accept()
    one.setblocking(False)
    two.setblocking(False)
    return one, two


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, two = tcp_pair()
    yield one, two
    one.close()
    two.close()


@on_idle_loop
async def test_a_silent_outside_connection_lasts_to_the_deadline(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    inside, outside = pair
    loop.add_reader(inside, int)
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    host, port = outside.getsockname()
    assert str(verdict) == (f"not idle at the deadline: descriptor tcp {host}:{port}")
    loop.remove_reader(inside)
    with at_once():
        await proof()


@on_idle_loop
async def test_a_settled_loop_with_a_silent_outside_connection_is_quiet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    inside, outside = pair
    loop.add_reader(inside, int)
    verdict = await wait_until_idle(0.05, horizon=0)
    assert verdict.kind is VerdictKind.QUIET
    assert not verdict
    host, port = outside.getsockname()
    assert str(verdict) == f"quiet, not proved idle: descriptor tcp {host}:{port}"


@on_idle_loop
async def test_a_loop_at_work_is_not_quiet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    loop.add_reader(pair[0], int)
    job = loop.run_in_executor(None, time.sleep, 0.1)
    verdict = await wait_until_idle(0.05, horizon=0)
    assert verdict.kind is VerdictKind.DEADLINE
    await job

    async def spin() -> None:
        while True:  # noqa: ASYNC110 - a loop without rest is what it is about
            await asyncio.sleep(0)

    spinner = asyncio.create_task(spin())
    verdict = await wait_until_idle(0.05, horizon=0)
    assert verdict.kind is VerdictKind.DEADLINE
    spinner.cancel()


@on_idle_loop
async def test_what_an_outside_connection_brings_is_waited_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    inside, outside = pair
    waiter = loop.create_task(loop.sock_recv(inside, 10))
    thread = threading.Timer(0.05, outside.send, (b"late",))
    thread.start()
    await proof()
    assert waiter.result() == b"late"
    thread.join()


@pytest.mark.parametrize("kind", ["udp", "unix", "pipe", "listener"])
@on_idle_loop
async def test_other_descriptors_last_to_the_deadline(kind: str) -> None:
    loop = asyncio.get_running_loop()
    closing: list[int] = []
    if kind == "udp":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        closing.append(sock.detach())
        expected = "descriptor udp 127.0.0.1:"
    elif kind == "unix":
        one, two = socket.socketpair()
        closing += [one.detach(), two.detach()]
        expected = "descriptor unix socket "
    elif kind == "pipe":
        closing += os.pipe()
        expected = "descriptor pipe "
    else:
        server = socket.create_server(("127.0.0.1", 0))
        closing.append(server.detach())
        expected = "descriptor tcp 127.0.0.1:"
    loop.add_reader(closing[0], int)
    verdict = await wait_until_idle(0.02)
    loop.remove_reader(closing[0])
    for fd in closing:
        os.close(fd)
    assert verdict.kind is VerdictKind.DEADLINE
    assert expected in str(verdict)


@linux_only
@on_idle_loop
async def test_a_pair_within_the_loop_is_quiet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    (reader, writer), (reader2, writer2) = [
        await asyncio.open_connection(sock=sock) for sock in pair
    ]

    async def echo() -> None:
        while data := await reader2.read(100):
            writer2.write(data)
            await writer2.drain()

    got: list[bytes] = []

    async def receive() -> None:
        while data := await reader.read(100):
            got.append(data)

    tasks = [asyncio.create_task(echo()), asyncio.create_task(receive())]
    with at_once():
        await proof()
    start = time.perf_counter()
    for number in range(300):
        writer.write(b"%d" % number)
        assert await wait_until_idle(LONG)
        assert got[-1] == b"%d" % number
    assert time.perf_counter() - start < LONG
    writer.close()
    await proof()
    writer2.close()
    await asyncio.gather(*tasks)
    await writer.wait_closed()
    await writer2.wait_closed()


@linux_only
@on_idle_loop
async def test_an_end_that_still_has_to_write_is_not_quiet(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """A full buffer: the other end reads nothing."""
    loop = asyncio.get_running_loop()
    one, two = pair
    sending = loop.create_task(loop.sock_sendall(one, bytes(20_000_000)))
    loop.call_soon(int)
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "descriptor tcp 127.0.0.1:" in str(verdict)
    sending.cancel()
    assert two.recv(1)


@on_idle_loop
async def test_an_exempt_descriptor_does_not_count(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    inside, _ = pair
    loop.add_reader(inside, int)
    with exempt_descriptor(inside), at_once():
        await proof()
    assert not await wait_until_idle(0.02)
    loop.remove_reader(inside)


@on_idle_loop
async def test_the_next_file_with_an_exempt_number_counts() -> None:
    loop = asyncio.get_running_loop()
    one, other = tcp_pair()
    number = one.fileno()
    with exempt_descriptor(one):
        one.close()
        next_one, next_other = tcp_pair()
        assert number in (next_one.fileno(), next_other.fileno())
        loop.add_reader(number, int)
        verdict = await wait_until_idle(0.02)
        loop.remove_reader(number)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "descriptor tcp 127.0.0.1:" in str(verdict)
    for sock in (other, next_one, next_other):
        sock.close()


@linux_only
@on_idle_loop
async def test_the_next_pipe_with_the_number_of_the_loops_own_counts() -> None:
    """A faulty application may close any number, also that of the loop's pipe."""
    loop = asyncio.get_running_loop()
    ours = loop._ssock  # type: ignore[attr-defined]
    kept = os.dup(ours.fileno())
    reader, writer = os.pipe()
    os.dup2(reader, ours.fileno())
    verdict = await wait_until_idle(0.02)
    os.dup2(kept, ours.fileno())
    for fd in (kept, reader, writer):
        os.close(fd)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "descriptor pipe " in str(verdict)


@on_idle_loop
async def test_exemptions_may_end_in_any_order(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    loop = asyncio.get_running_loop()
    inside, _ = pair
    loop.add_reader(inside, int)
    first, second = exempt_descriptor(inside), exempt_descriptor(inside.fileno())
    with second:
        with first:
            pass
        with at_once():
            await proof()
    first, second = exempt_descriptor(inside), exempt_descriptor(inside.fileno())
    first.__enter__()
    with second:
        first.__exit__(None, None, None)
        with at_once():
            await proof()
    assert not await wait_until_idle(0.02)
    loop.remove_reader(inside)


@on_idle_loop
async def test_a_closed_descriptor_cannot_be_exempt() -> None:
    one, other = tcp_pair()
    one.close()
    with (
        pytest.raises(ValueError, match="which is not open"),
        exempt_descriptor(one),
    ):
        pass
    other.close()


@linux_only
@on_idle_loop
async def test_a_server_and_its_client_in_one_loop() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    got: list[bytes] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    (listener,) = server.sockets
    with exempt_descriptor(listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())

        async def receive() -> None:
            while line := await reader.readline():
                got.append(line)

        task = asyncio.create_task(receive())
        for number in range(1, 201):
            writer.write(b"line\n")
            assert await wait_until_idle(LONG)
            assert len(got) == number
        writer.close()
        await proof()
        assert task.done()
    server.close()
    await server.wait_closed()
