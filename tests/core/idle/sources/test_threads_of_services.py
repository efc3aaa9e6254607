"""Threads from before the test that serve: a server, a loop, a pool.

Each waits where it waited before the test also while it has something in hand.
"""

import asyncio
import concurrent.futures
import http.server
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.idle import (
    at_once,
    not_idle,
    proof,
    run_as_a_new_test,
    until_it_waits,
)


class Server(http.server.HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)


class BusyServer(Server):
    """Does something of its own between two looks at its socket."""

    def service_actions(self) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("server", [Server], indirect=True)
def test_a_server_counts_when_it_is_asked_to_end(server: Server) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[str] = []
        with at_once():
            await proof()

        def end() -> None:
            server.shutdown()
            loop.call_soon_threadsafe(seen.append, "ended")

        thread = threading.Thread(target=end)
        thread.start()
        await proof()
        assert seen == ["ended"]
        thread.join()

    run_as_a_new_test(main())


@pytest.mark.parametrize("server", [BusyServer], indirect=True)
def test_a_server_with_actions_of_its_own_counts(server: Server) -> None:
    run_as_a_new_test(not_idle("serve_forever"))


class Bridge:
    """A loop of asyncio in a thread, with a connection, from before the test."""

    def __init__(self) -> None:
        self.mine, self.other_end = socket.socketpair()
        self.loop = asyncio.SelectorEventLoop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        opened = asyncio.run_coroutine_threadsafe(self._open(), self.loop)
        self.reader, self.writer = opened.result()

    async def _open(self) -> Any:
        return await asyncio.open_connection(sock=self.mine)

    async def read(self) -> bytes:
        return await self.reader.read(100)

    async def _close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        self.other_end.close()


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    bridge = Bridge()
    yield bridge
    bridge.close()


def test_an_old_connection_counts_while_a_new_task_waits(bridge: Bridge) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        seen: list[bytes] = []
        with at_once():
            await proof()

        async def ask() -> None:
            answer = await bridge.read()
            loop.call_soon_threadsafe(seen.append, answer)

        asyncio.run_coroutine_threadsafe(ask(), bridge.loop)
        await not_idle("watches descriptor")
        bridge.other_end.send(b"answer")
        await proof()
        assert seen == [b"answer"]
        with at_once():
            await proof()

    run_as_a_new_test(main())


def test_it_counts_while_an_old_task_waits_elsewhere(bridge: Bridge) -> None:
    orders: asyncio.Queue[None] = asyncio.Queue()

    async def work() -> None:
        await orders.get()
        await bridge.read()

    working = asyncio.run_coroutine_threadsafe(work(), bridge.loop)
    until_it_waits(bridge.thread)

    async def main() -> None:
        with at_once():
            await proof()
        bridge.loop.call_soon_threadsafe(orders.put_nowait, None)
        await not_idle("watches descriptor")
        bridge.other_end.send(b"answer")
        await proof()
        assert working.done()

    run_as_a_new_test(main())


def test_a_new_task_in_the_place_of_an_old_one_counts(bridge: Bridge) -> None:
    """It may have the address of the old one, and wait at the same instruction."""
    reading = [asyncio.run_coroutine_threadsafe(bridge.read(), bridge.loop)]
    until_it_waits(bridge.thread)

    async def main() -> None:
        with at_once():
            await proof()
        bridge.other_end.send(b"first")
        reading.pop().result()
        reading.append(asyncio.run_coroutine_threadsafe(bridge.read(), bridge.loop))
        await not_idle("watches descriptor")
        bridge.other_end.send(b"second")
        await proof()
        assert reading.pop().result() == b"second"

    run_as_a_new_test(main())


def test_a_task_that_waited_there_before_the_test_does_not_count(
    bridge: Bridge,
) -> None:
    reading = asyncio.run_coroutine_threadsafe(bridge.read(), bridge.loop)
    until_it_waits(bridge.thread)

    async def main() -> None:
        with at_once():
            await proof()

    run_as_a_new_test(main())
    bridge.other_end.send(b"end")
    reading.result()


@pytest.fixture(scope="module")
def executor() -> Iterator[concurrent.futures.ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(int).result()
        yield executor


@pytest.mark.slow
def test_a_pool_of_processes_counts_while_it_is_at_work(
    executor: concurrent.futures.ProcessPoolExecutor,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            seen: list[str] = []
            with at_once():
                await proof()
            job = executor.submit(time.sleep, 0.02)
            job.add_done_callback(
                lambda _, seen=seen: loop.call_soon_threadsafe(seen.append, "done")
            )
            await proof()
            assert seen == ["done"]

    run_as_a_new_test(main())


@pytest.mark.slow
def test_so_does_one_of_multiprocessing() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(int)

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for _ in range(20):
                seen: list[str] = []
                pool.apply_async(
                    time.sleep,
                    (0.02,),
                    callback=lambda _, seen=seen: loop.call_soon_threadsafe(
                        seen.append, "done"
                    ),
                )
                await proof()
                assert seen == ["done"]

        run_as_a_new_test(main())
