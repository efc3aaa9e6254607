"""Runners that know nothing of this package: unittest's own, and Django's."""

import pytest

pytestmark = pytest.mark.slow

CHAT = """
    import asyncio
    import unittest
    from asgiref.sync import async_to_sync
    from chanx_testing.core.testing import WebsocketCommunicator

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    def client():
        return WebsocketCommunicator(application, "/")

    async def forget():
        async with client() as communicator:
            communicator.receive_nothing()

    async def converse():
        async with client() as communicator:
            assert await communicator.receive_nothing()

"""

CASES = """
    class Isolated(unittest.IsolatedAsyncioTestCase):
        async def test_forgets(self):
            await forget()

        async def test_next(self):
            await converse()

    class Sync(unittest.TestCase):
        def setUp(self):
            self.communicator = client()

        def test_forgets(self):
            self.communicator.connect()

        def test_forgets_in_a_loop_of_its_own(self):
            asyncio.run(forget())

        def test_forgets_in_a_thread(self):
            async_to_sync(forget)()

        def test_keeps(self):
            self.kept = self.communicator.receive_nothing()

        def test_cleans_up(self):
            self.addCleanup(self.communicator.disconnect)

        def test_next(self):
            asyncio.run(converse())
"""

DJANGO = """
    from django.test import SimpleTestCase

    class Async(SimpleTestCase):
        async def test_forgets(self):
            await forget()

        async def test_next(self):
            await converse()
"""


def test_unittest(project):
    # Its loops cannot be observed, and it says so.
    project(CHAT + CASES).python("-W", "default", "-m", "unittest", "tests").fails(
        "Ran 8 tests",
        "FAILED (failures=6)",
        "receive_nothing() in forget, ",
        "connect() in Sync.test_forgets, ",
        "receive_nothing() in Sync.test_keeps, ",
        "addCleanup() does not await what it calls",
    )


@pytest.mark.parametrize("args", [(), ("--reverse",)])
def test_manage_py(project, args):
    project(CHAT + CASES + DJANGO).manage(*args).fails(
        "Ran 10 tests", "FAILED (failures=7)"
    )


def test_manage_py_in_parallel(project):
    # Not those of IsolatedAsyncioTestCase: the standard library's cannot be pickled.
    project(CHAT + DJANGO).manage("--parallel", "2").fails(
        "Ran 2 tests", "FAILED (failures=1)"
    )
