"""Test databases on a real PostgreSQL, which drops none that somebody is connected to.

They run where ``CHANX_TEST_POSTGRES_URL`` names a server.
"""

import os
import uuid
from urllib.parse import urlsplit

import pytest

URL = os.environ.get("CHANX_TEST_POSTGRES_URL")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(URL is None, reason="CHANX_TEST_POSTGRES_URL names no server"),
]

COUNTING = """
    import unittest
    import pytest
    from asgiref.sync import sync_to_async
    from channels.db import database_sync_to_async
    from channels.generic.websocket import (
        AsyncJsonWebsocketConsumer,
        JsonWebsocketConsumer,
    )
    from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
    from django.contrib.auth.models import Group
    from django.db import connection
    from django.test import TestCase

    class Asking(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            await self.send_json(await Group.objects.acount())

    class InThread(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            count = database_sync_to_async(Group.objects.count)
            await self.send_json(await count())

    class InPool(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            count = database_sync_to_async(Group.objects.count, thread_sensitive=False)
            await self.send_json(await count())

    class Synchronous(JsonWebsocketConsumer):
        def receive_json(self, content, **kwargs):
            self.send_json(Group.objects.count())

    async def ask(consumer):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        assert (await communicator.connect())[0]
        await communicator.send_json_to("how many?")
        assert isinstance(await communicator.receive_json_from(), int)
        return communicator

    async def converse(consumer):
        await (await ask(consumer)).disconnect()

    async def is_connected():
        return await sync_to_async(lambda: connection.connection is not None)()
"""


def databases():
    """The names of all databases of the server, whoever made them."""
    # Only where there is a server: this package is not needed anywhere else.
    import psycopg

    with psycopg.connect(URL) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {name for (name,) in rows}


@pytest.fixture
def on_postgres(project):
    """Return a function that makes a project on a test database of its own.

    At the end that database is gone, with those of parallel runs.
    """
    name = f"chanx_{uuid.uuid4().hex[:12]}"
    server = urlsplit(URL)
    default = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": server.hostname,
        "PORT": server.port,
        "USER": server.username,
        "PASSWORD": server.password,
        "NAME": server.path.lstrip("/"),
        "TEST": {"NAME": name},
    }
    yield lambda tests: project(
        COUNTING + tests, f"""DATABASES["default"] = {default!r}"""
    )
    left = {each for each in databases() if each.startswith(name)}
    if left:
        remove(left)
    assert left == set()


def remove(names):
    import psycopg

    with psycopg.connect(URL, autocommit=True) as connection:
        for name in names:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


PYTEST = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=session")

FUNCTIONS = {
    "asynchronous ORM": "await converse(Asking)",
    "database_sync_to_async": "await converse(InThread)",
    "a thread of a pool": "await converse(InPool)",
    "a synchronous consumer": "await converse(Synchronous)",
    "never disconnected": "await ask(Asking)",
    "used after the connection": """
        await converse(Asking)
        assert await Group.objects.acount() == 0
        assert await is_connected()
    """,
}


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize("body", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_leaves_no_database_behind(on_postgres, body, transaction):
    on_postgres(
        f"""
    @pytest.mark.django_db(transaction={transaction})
    async def test():
        {body}
    """
    ).pytest(*PYTEST, "tests.py").passes(1)


def test_the_connection_is_closed_when_the_last_application_has_ended(on_postgres):
    """As Channels closes it; until then nobody pays for connecting again."""
    on_postgres(
        """
    pytestmark = pytest.mark.django_db(transaction=True)

    async def session():
        # Another one each time that Django connects.
        return await sync_to_async(lambda: id(connection.connection))()

    async def test_one():
        first, second = await ask(Asking), await ask(Asking)
        before = await session()
        await first.disconnect()
        await second.send_json_to("how many?")
        assert await second.receive_json_from() == 0
        assert await session() == before
        assert await is_connected()
        await second.disconnect()
        assert not await is_connected()

    async def test_of_its_own():
        # No connection of ours: whatever it opens stays open.
        assert await Group.objects.acount() == 0
        assert await is_connected()
    """
    ).pytest(*PYTEST, "tests.py").passes(2)


def test_a_transaction_of_the_thread_goes_on(on_postgres):
    """A fixture may have begun it there, and rolls it back."""
    on_postgres(
        """
    from django.db import transaction

    @pytest.fixture
    async def rolled_back(transactional_db):
        block = transaction.atomic()
        await sync_to_async(block.__enter__)()
        await Group.objects.acreate(name="of the fixture")
        yield
        assert await Group.objects.acount() == 2
        await sync_to_async(transaction.set_rollback)(True)
        await sync_to_async(block.__exit__)(None, None, None)

    async def test(rolled_back):
        await converse(InThread)
        await Group.objects.acreate(name="of the test")

    async def test_afterwards(transactional_db):
        assert await Group.objects.acount() == 0
    """
    ).pytest(*PYTEST, "tests.py").passes(2)


STANDARD = """
    class Standard(unittest.IsolatedAsyncioTestCase):
        async def test_one(self):
            await converse(Asking)

        async def test_two(self):
            await ask(Synchronous)
            await Group.objects.acount()
"""

CASES = """
    class Case(WebsocketTestCase):
        ws_path = "/"
        router = Asking.as_asgi()

        def setUp(self):
            super().setUp()
            Group.objects.create(name="made by the test")
            self.session = connection.connection

        async def test_one(self):
            async with self.communicator as client:
                await client.send_json_to("how many?")
                self.assertEqual(await client.receive_json_from(), 1)

        async def test_two(self):
            await self.test_one()

        def tearDown(self):
            # Nobody closes the connection of the main thread.
            self.assertIs(connection.connection, self.session)
            super().tearDown()

    class InTransaction(TestCase):
        @classmethod
        def setUpTestData(cls):
            Group.objects.create(name="made by the class")

        async def test(self):
            for consumer in (Asking, InThread, Synchronous):
                await converse(consumer)
            self.assertEqual(await Group.objects.acount(), 1)
"""


@pytest.mark.parametrize("args", [(), ("--parallel", "2")])
def test_test_cases_leave_none_behind(on_postgres, args):
    on_postgres(CASES).manage(*args).passes(3)


def test_those_of_the_standard_library_leave_none_behind(on_postgres):
    # Django's runner makes a database for a test case that says it needs one.
    on_postgres(CASES + STANDARD).manage().passes(5)


def test_xdist_leaves_none_behind(on_postgres):
    on_postgres(
        CASES
        + """
    @pytest.mark.parametrize("number", range(4))
    @pytest.mark.django_db(transaction=True)
    async def test(number):
        await ask(Asking)
    """
    ).pytest(*PYTEST, "-n", "2", "tests.py").passes(7)


def test_a_database_that_is_kept_can_be_used_again(on_postgres):
    made = on_postgres(
        """
    @pytest.mark.django_db(transaction=True)
    async def test():
        await converse(Asking)
    """
    )
    for args in (("--reuse-db",), ("--reuse-db",), ("--create-db",)):
        made.pytest(*PYTEST, *args, "tests.py").passes(1)
