"""Clients that answer from threads of their own: what they have in hand is known."""

# ruff: noqa: E402 - the packages have to be there before their parts are imported

import asyncio
import contextlib
import threading
import time

import pytest

from chanx_testing.core.idle import Deadlock, new_event_loop
from chanx_testing.core.testing import WebsocketCommunicator
from tests.support import apps
from tests.support.idle import LONG, at_once
from tests.support.require import require

require("aiosqlite")
require("obstore")

import aiosqlite
import obstore
from obstore.store import LocalStore

QUERY = "select nap(0.05)"


def answering(opened):
    """Make an application that asks the client in ``opened()`` for each frame."""

    async def application(scope, receive, send):
        async with opened() as ask:
            await apps.accept(receive, send)
            while (await receive())["type"] == "websocket.receive":
                await ask()
                await apps.send_json(send, {"answered": True})

    return application


class Aiosqlite:
    """A connection whose queries take a while, in a thread of aiosqlite's."""

    async def __aenter__(self):
        self.connection = await aiosqlite.connect(":memory:")
        # Of the standard library: no code of the user's runs in the thread.
        await self.connection.create_function("nap", 1, time.sleep)
        return self.ask

    async def ask(self):
        async with self.connection.execute(QUERY) as cursor:
            await cursor.fetchall()

    async def __aexit__(self, *exc):
        await self.connection.close()


async def test_aiosqlite_is_waited_for_and_makes_no_wait_last():
    async with WebsocketCommunicator(answering(Aiosqlite), "/") as client:
        with at_once():
            assert await client.wait_until_idle(LONG)
        for _ in range(5):
            await client.send_json_to({})
            assert await client.wait_until_idle(LONG)
            with at_once():
                assert await client.receive_json(0) == {"answered": True}
                assert await client.receive_nothing(LONG)


async def test_aiosqlite_that_the_test_itself_asks_is_waited_for():
    async with Aiosqlite() as ask:
        client = WebsocketCommunicator(apps.echo, "/")
        await client.connect()
        asked = asyncio.ensure_future(ask())
        assert await client.wait_until_idle(LONG)
        assert asked.done()
        await client.disconnect()


async def test_what_a_loop_that_cannot_be_seen_asks_of_aiosqlite_is_waited_for():
    loop = asyncio.get_running_loop()
    plain = asyncio.SelectorEventLoop()
    thread = threading.Thread(target=plain.run_forever)
    thread.start()
    seen = []

    async def ask_and_tell():
        async with Aiosqlite() as ask:
            await ask()
            loop.call_soon_threadsafe(seen.append, "answered")

    try:
        async with WebsocketCommunicator(apps.echo, "/") as client:
            asyncio.run_coroutine_threadsafe(ask_and_tell(), plain)
            assert await client.wait_until_idle(LONG)
        assert seen == ["answered"]
    finally:
        plain.call_soon_threadsafe(plain.stop)
        await asyncio.to_thread(thread.join)
        plain.close()


def test_a_future_of_rust_is_no_deadlock_where_nobody_uses_us(tmp_path):
    async def copy():
        store = LocalStore(str(tmp_path))
        for _ in range(50):
            await obstore.put_async(store, "object", b"x" * 100_000)
            got = await obstore.get_async(store, "object")
            assert len(await got.bytes_async()) == 100_000

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(copy())


async def test_a_future_of_rust_is_waited_for_and_makes_no_wait_last(tmp_path):
    store = LocalStore(str(tmp_path))

    @contextlib.asynccontextmanager
    async def opened():
        yield lambda: obstore.put_async(store, "object", b"x" * 1_000_000)

    async with WebsocketCommunicator(answering(opened), "/") as client:
        for _ in range(50):
            await client.send_json_to({})
            assert await client.wait_until_idle(LONG)
            with at_once():
                assert await client.receive_json(0) == {"answered": True}
                assert await client.receive_nothing(LONG)


def test_a_deadlock_beside_both_is_one(tmp_path):
    async def main():
        await obstore.put_async(LocalStore(str(tmp_path)), "object", b"x")
        async with Aiosqlite() as ask:
            await ask()
            async with WebsocketCommunicator(apps.echo, "/"):
                await asyncio.get_running_loop().create_future()

    with (
        asyncio.Runner(loop_factory=new_event_loop) as runner,
        pytest.raises(Deadlock),
    ):
        runner.run(main())
