"""Connections of asyncio's streams: who would notice what comes over them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chanx_testing.core.idle import wait_until_idle
from tests.support.idle import (
    at_once,
    not_idle,
    on_idle_loop,
    proof,
)
from tests.support.outside import Secure

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Streams, socket.socket]]:
    """A connection of the loop, and its other end, which is outside of the loop."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        reader, writer = await asyncio.open_connection(*server.getsockname())
        outside, _ = server.accept()
    with outside:
        try:
            yield (reader, writer), outside
        finally:
            writer.close()


@on_idle_loop
async def test_a_connection_that_nobody_reads_does_not_count() -> None:
    async with connected() as ((reader, _), outside):
        with at_once():
            await proof()
        # What comes is kept for whoever reads it later.
        outside.send(b"later\n")
        with at_once():
            await proof()
        assert await reader.readline() == b"later\n"


@on_idle_loop
async def test_a_connection_that_a_task_reads_counts() -> None:
    async with connected() as ((reader, _), outside):

        async def read() -> bytes:
            return await reader.readline()

        task = asyncio.create_task(read())
        await not_idle("(a task reads from it, at read test_streams.py:")
        outside.send(b"half a")
        await not_idle("(a task reads from it, at read test_streams.py:")
        outside.send(b" line\n")
        await proof()
        assert task.result() == b"half a line\n"


@on_idle_loop
async def test_a_task_that_waits_for_the_end_counts() -> None:
    async with connected() as ((_, writer), outside):
        task = asyncio.create_task(writer.wait_closed())
        await not_idle("(a task waits for its end")
        # An orderly end leaves the connection half open, and wakes nobody.
        outside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        outside.close()
        await proof()
        assert isinstance(task.exception(), ConnectionResetError)


@on_idle_loop
async def test_what_is_still_to_be_sent_counts() -> None:
    async with connected() as ((_, writer), _outside):
        writer.write(bytes(20_000_000))
        await not_idle("descriptor tcp 127.0.0.1:")
        task = asyncio.create_task(writer.drain())
        await not_idle("descriptor tcp 127.0.0.1:")
        writer.transport.abort()
        await asyncio.wait([task])
        await task


@on_idle_loop
async def test_a_unix_socket_is_no_different(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        reader, writer = await asyncio.open_unix_connection(path)
        outside, _ = server.accept()
    with outside:
        with at_once():
            await proof()
        task = asyncio.create_task(reader.read(1))
        await not_idle("unix socket ")
        outside.send(b"x")
        await proof()
        assert task.result() == b"x"
        writer.close()


@pytest.mark.slow
@on_idle_loop
async def test_a_connection_that_is_encrypted_later_does_not_count(
    secure_server: Secure,
) -> None:
    host, _, port = secure_server.url.removeprefix("https://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await writer.start_tls(secure_server.context)
    with at_once():
        await proof()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    task = asyncio.create_task(reader.read())
    await proof()
    assert task.result().endswith(b"hello")
    writer.close()


@on_idle_loop
async def test_a_protocol_of_the_users_is_not_known() -> None:
    class Mine(asyncio.StreamReaderProtocol):
        pass

    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport, _ = await loop.create_connection(
            lambda: Mine(asyncio.StreamReader()), *server.getsockname()
        )
        host, port = server.getsockname()
        verdict = await wait_until_idle(0.05)
    assert str(verdict) == f"not idle at the deadline: descriptor tcp {host}:{port}"
    transport.close()


@on_idle_loop
async def test_a_descriptor_that_is_used_again_is_another_one() -> None:
    loop = asyncio.get_running_loop()
    async with connected() as ((_, writer), _outside):
        number = writer.get_extra_info("socket").fileno()
    await writer.wait_closed()
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        if one.fileno() != number:
            # dup2() takes the number, whatever the lowest free one is.
            import os

            os.dup2(one.fileno(), number)
            one.close()
            one = socket.socket(fileno=number)
        one.setblocking(False)
        loop.add_reader(one, int)
        await not_idle("descriptor tcp 127.0.0.1:")
        loop.remove_reader(one)
        one.close()
