"""The ways to run a test suite, each in a process of its own, warnings as errors."""

import pytest

pytestmark = pytest.mark.slow

CHAT = """
    import unittest
    import pytest
    from channels.generic.websocket import AsyncJsonWebsocketConsumer
    from chanx_testing.channels.testing import WebsocketCommunicator

    class Echo(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            await self.send_json(content)

    async def converse(made=None):
        communicator = made or WebsocketCommunicator(Echo.as_asgi(), "/")
        if not made:
            assert (await communicator.connect())[0]
        await communicator.send_json_to("hello")
        assert await communicator.receive_json_from() == "hello"
        assert await communicator.receive_nothing()
        await communicator.disconnect()
"""

MODES = {
    "auto": """
    @pytest.fixture
    async def connected():
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        await communicator.connect()
        yield communicator
        await communicator.disconnect()

    async def test_function():
        await converse()

    async def test_fixture(connected):
        await converse(connected)
    """,
    "strict": """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def connected():
        communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
        await communicator.connect()
        yield communicator
        await communicator.disconnect()

    @pytest_asyncio.fixture
    async def entered():
        async with WebsocketCommunicator(Echo.as_asgi(), "/") as communicator:
            yield communicator

    @pytest.mark.asyncio
    async def test_function():
        await converse()

    @pytest.mark.asyncio
    async def test_fixture(connected):
        await converse(connected)

    @pytest.mark.asyncio
    async def test_entered(entered):
        await converse(entered)
    """,
}


@pytest.mark.parametrize(("mode", "number"), [("auto", 2), ("strict", 3)])
def test_pytest_asyncio(project, mode, number):
    project(CHAT + MODES[mode]).pytest(
        "-o",
        f"asyncio_mode={mode}",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "tests.py",
    ).passes(number)


def test_a_connection_for_a_whole_module(project):
    project(
        CHAT
        + """
    import pytest_asyncio

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def connected():
        async with WebsocketCommunicator(Echo.as_asgi(), "/") as communicator:
            yield communicator

    @pytest.mark.asyncio(loop_scope="module")
    async def test_one(connected):
        await connected.send_json_to(1)
        assert await connected.receive_json_from() == 1

    @pytest.mark.asyncio(loop_scope="module")
    async def test_two(connected):
        await connected.send_json_to(2)
        assert await connected.receive_json_from() == 2
    """
    ).pytest("-o", "asyncio_default_fixture_loop_scope=function", "tests.py").passes(2)


def test_anyio(project):
    project(
        CHAT
        + """
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.fixture
    async def connected(anyio_backend):
        async with WebsocketCommunicator(Echo.as_asgi(), "/") as communicator:
            yield communicator

    @pytest.mark.anyio
    async def test_function():
        await converse()

    @pytest.mark.anyio
    async def test_fixture(connected):
        await converse(connected)
    """
    ).pytest("-p", "no:asyncio", "tests.py").passes(2)


CASES = (
    CHAT
    + """
    from asgiref.sync import async_to_sync
    from django.contrib.auth.models import Group
    from django.test import SimpleTestCase, TestCase, TransactionTestCase

    class Database:
        async def test_async(self):
            await Group.objects.acreate(name="group")
            await converse()
            self.assertEqual(await Group.objects.acount(), 1)

        def test_sync(self):
            Group.objects.create(name="group")
            async_to_sync(converse)()
            self.assertEqual(Group.objects.count(), 1)

    class InTransaction(Database, TestCase):
        pass

    class Truncating(Database, TransactionTestCase):
        pass

    class NoDatabase(SimpleTestCase):
        async def test_async(self):
            await converse()
    """
)

STANDARD = """
    class Standard(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            self.communicator = WebsocketCommunicator(Echo.as_asgi(), "/")
            await self.communicator.connect()

        async def asyncTearDown(self):
            await self.communicator.disconnect()

        async def test_async(self):
            await converse(self.communicator)
"""


@pytest.mark.parametrize("args", [(), ("--reverse",)])
def test_manage_py(project, args):
    project(CASES + STANDARD).manage(*args).passes(6)


def test_manage_py_in_parallel(project):
    # Not those of IsolatedAsyncioTestCase: the standard library's cannot be pickled.
    project(CASES).manage("--parallel", "2").passes(5)


def test_manage_py_without_the_app(project):
    """Loops cannot be observed then: waits last to their deadlines, and it is said."""
    outcome = project(
        CASES + STANDARD, 'INSTALLED_APPS.remove("chanx_testing")'
    ).python("-W", "default", "-m", "django", "test")
    outcome.passes(6)
    assert outcome.text.count("UnsupportedLoopWarning") == 1


def test_pytest_django(project):
    project(CASES + STANDARD).pytest(
        "-o", "asyncio_default_fixture_loop_scope=function", "tests.py"
    ).passes(6)


FAILING = """
    from chanx_testing.channels.testing import WebsocketTestCase
    from chanx_testing.core.client.errors import NothingCame
    from channels.generic.websocket import AsyncJsonWebsocketConsumer

    class Consumer(AsyncJsonWebsocketConsumer):
        async def receive_json(self, content, **kwargs):
            if content == "fail":
                raise LookupError("no such room")
            await self.send_json(content)

    class Case(WebsocketTestCase):
        ws_path = "/ws/"
        router = staticmethod(Consumer.as_asgi())

        async def test_crash(self):
            async with self.communicator as client:
                await client.send_json_to("fail")

        async def test_nothing_came(self):
            async with self.communicator as client:
                await client.receive_json()

        async def test_something_came(self):
            async with self.communicator as client:
                await client.send_json_to("hello")
                await client.receive_nothing()

        async def test_passes(self):
            async with self.communicator as client:
                await client.send_json_to("hello")
                self.assertEqual(await client.receive_json(), "hello")

    class Other(Case):
        pass
"""


@pytest.mark.parametrize("args", [(), ("--parallel", "2")])
def test_failures_of_a_run_in_parallel_are_those_of_the_tests(project, args):
    outcome = project(FAILING).manage(*args)
    outcome.fails(
        "Ran 8 tests",
        "FAILED (failures=2, errors=4)",
        "LookupError: no such room",
        "NothingCame: Expected a frame within 1 s",
        "UnexpectedFrame: Expected nothing, but the application sent",
        # The notes come along.
        "→ websocket.connect",
    )
    assert "pickle" not in outcome.text


def test_failfast_ends_the_run_at_the_first_failure(project):
    project(FAILING).manage("--failfast").fails("Ran 1 test", "errors=1")


FEATURES = """
    import unittest
    from chanx_testing.channels.testing import WebsocketTestCase
    from channels.generic.websocket import AsyncJsonWebsocketConsumer

    class Consumer(AsyncJsonWebsocketConsumer):
        groups = ["room"]
        left = []

        async def receive_json(self, content, **kwargs):
            await self.send_json(content)

        async def disconnect(self, code):
            self.left.append(code)

    class Case(WebsocketTestCase):
        ws_path = "/ws/"
        router = staticmethod(Consumer.as_asgi())

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.prepared = True

        def tearDown(self):
            # The connection that the test left open is closed, its group left.
            self.assertEqual(Consumer.left, [1000] * len(Consumer.left))
            super().tearDown()

        async def test_sub_tests(self):
            self.assertTrue(self.prepared)
            async with self.communicator as client:
                for content in (1, 2, 3):
                    with self.subTest(content=content):
                        await client.send_json_to(content)
                        self.assertEqual(await client.receive_json(), content)

        @unittest.expectedFailure
        async def test_expected_failure(self):
            async with self.communicator as client:
                await client.send_json_to(1)
                self.assertEqual(await client.receive_json(), 2)

        @unittest.skip("not now")
        async def test_skip(self):
            raise AssertionError

        async def test_skip_inside(self):
            await self.communicator.connect()
            self.skipTest("not now")

    @unittest.skip("not now")
    class Skipped(Case):
        @classmethod
        def setUpClass(cls):
            raise AssertionError
"""


def test_features_of_unittest(project):
    outcome = project(FEATURES).manage()
    assert outcome.code == 0, outcome.text
    # Python 3.12.1 does not count skipped tests among those that ran.
    assert any(f"Ran {count} tests" in outcome.text for count in (8, 3))
    assert "OK (skipped=6, expected failures=1)" in outcome.text


def test_a_failed_sub_test_does_not_end_the_test(project):
    project(
        FEATURES
        + """
    class Failing(WebsocketTestCase):
        ws_path = "/ws/"
        router = staticmethod(Consumer.as_asgi())

        async def test(self):
            async with self.communicator as client:
                for content in (1, 2, 3):
                    with self.subTest(content=content):
                        await client.send_json_to(content)
                        self.assertEqual(await client.receive_json(), 2)
    """
    ).manage("tests.Failing").fails("content=1", "content=3", "failures=2")


def test_an_expected_failure_that_passes_is_told(project):
    project(
        FEATURES
        + """
    class Unexpected(WebsocketTestCase):
        ws_path = "/ws/"
        router = staticmethod(Consumer.as_asgi())

        @unittest.expectedFailure
        async def test(self):
            async with self.communicator as client:
                await client.send_json_to(1)
                self.assertEqual(await client.receive_json(), 1)
    """
    ).manage("tests.Unexpected").fails("unexpected successes=1")


def test_a_communicator_of_the_module_fails_the_second_test_that_uses_it(project):
    project(
        CHAT
        + """
    shared = WebsocketCommunicator(Echo.as_asgi(), "/")

    class Case(unittest.IsolatedAsyncioTestCase):
        async def test_one(self):
            await shared.connect()

        async def test_two(self):
            await shared.connect()

        async def test_zzz(self):
            await shared.send_json_to("hello")
    """
    ).manage("tests.Case").fails(
        "connect() was called twice",
        "WrongEventLoop",
        "errors=2",
    )
