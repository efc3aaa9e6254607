"""Verbs and bodies that were never awaited, in a pytest inside pytest."""

import os
from collections.abc import Callable

import pytest

from tests.support.project import ROOT

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

CHAT = """
    import asyncio
    import functools
    import unittest
    import pytest
    from chanx_testing.core.idle import wait_until_idle
    from chanx_testing.core.testing import WebsocketCommunicator

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    def client():
        return WebsocketCommunicator(application, "/")
"""

FORGETFUL = """
    async def test_last_line():
        async with client() as communicator:
            communicator.receive_nothing()

    async def test_next():
        async with client() as communicator:
            assert await communicator.receive_nothing()

    class TestMethods:
        async def test_method(self):
            async with client() as communicator:
                communicator.receive_nothing()

    def test_sync():
        client().connect()

    async def test_function():
        wait_until_idle()
"""

NAMED = [
    "*receive_nothing() in test_last_line, *test_it.py:19*",
    "*receive_nothing() in TestMethods.test_method, *test_it.py:28*",
    "*connect() in test_sync, *test_it.py:31*",
    "*wait_until_idle() in test_function, *test_it.py:34*",
]

Run = Callable[..., pytest.RunResult]

ASYNCIO = ("-p", "pytest_asyncio.plugin")
LOOPS = "asyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    # The inner pytest sees installed plugins only as far as they are named here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    path = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))

    def run(
        source: str, *args: str, ini: str = "", chat: str = CHAT, conftest: str = ""
    ) -> pytest.RunResult:
        pytester.makepyfile(test_it=chat + source)
        pytester.makeconftest(conftest)
        pytester.makeini("[pytest]\n" + ini)
        return pytester.runpytest_subprocess(
            "-p", "chanx_testing.pytest_plugin", "-p", "no:cacheprovider", *args
        )

    return run


def test_pytest_asyncio_auto(run: Run) -> None:
    result = run(FORGETFUL, *ASYNCIO, ini=LOOPS + "asyncio_mode = auto\n")
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(NAMED)


def test_pytest_asyncio_strict(run: Run) -> None:
    result = run(
        FORGETFUL + "\n    pytestmark = pytest.mark.asyncio\n",
        *ASYNCIO,
        "-W",
        "ignore",
        ini=LOOPS + "asyncio_mode = strict\n",
    )
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(NAMED)


def test_what_a_test_returns(run: Run) -> None:
    result = run(
        """
    async def test_returned():
        return client().connect()
    """,
        *ASYNCIO,
        ini=LOOPS + "asyncio_mode = auto\n",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*connect() in test_returned, *"])


def test_anyio(run: Run) -> None:
    result = run(
        FORGETFUL,
        "-p",
        "anyio.pytest_plugin",
        "-k",
        "not trio",
        conftest="""
    import pytest

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    def pytest_collection_modifyitems(items):
        for item in items:
            item.add_marker("anyio")
            item.fixturenames.append("anyio_backend")
    """,
    )
    result.assert_outcomes(failed=4, passed=1)
    result.stdout.fnmatch_lines(NAMED)


def test_loops_of_the_tests_own_and_unittest(run: Run) -> None:
    result = run(
        """
    async def forget():
        async with client() as communicator:
            communicator.receive_nothing()

    def test_run():
        asyncio.run(forget())

    class Isolated(unittest.IsolatedAsyncioTestCase):
        async def test(self):
            await forget()
    """
    )
    result.assert_outcomes(failed=2)


def test_django(run: Run) -> None:
    pytest.importorskip("pytest_django")
    result = run(
        """
    from django.test import SimpleTestCase
    from chanx_testing.channels.testing import WebsocketTestCase

    class Plain(SimpleTestCase):
        async def test(self):
            client().receive_nothing()

    class Ours(WebsocketTestCase):
        ws_path = "/ws/echo/"

        async def test(self):
            self.auth_communicator.receive_nothing()

        def test_sync(self):
            self.auth_communicator.connect()

        async def test_generator(self):
            yield
    """,
        "-p",
        "pytest_django.plugin",
        "--ds=tests.settings",
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "*receive_nothing() in Ours.test, *",
            "*test_generator() has 'yield' in its 'async def'*",
            "*connect() in Ours.test_sync, *",
            "*receive_nothing() in Plain.test, *",
        ]
    )


def test_fixtures_and_what_is_held(run: Run) -> None:
    """Nobody may fail for what a fixture awaits at the end."""
    result = run(
        """
    import pytest_asyncio

    held = []

    @pytest.fixture
    def forgetful_setup():
        client().connect()

    @pytest_asyncio.fixture
    async def forgetful_teardown():
        communicator = client()
        await communicator.connect()
        yield communicator
        communicator.disconnect()

    @pytest_asyncio.fixture
    async def awaiting():
        communicator = client()
        await communicator.connect()
        closing = communicator.disconnect()
        yield communicator
        await closing

    def test_setup(forgetful_setup):
        pass

    async def test_teardown(forgetful_teardown):
        pass

    async def test_awaited(awaiting):
        pass

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def shared():
        communicator = client()
        await communicator.connect()
        closing = communicator.disconnect()
        yield communicator
        await closing

    @pytest.mark.asyncio(loop_scope="module")
    async def test_shared(shared):
        assert await shared.receive_nothing()

    @pytest.mark.asyncio(loop_scope="module")
    async def test_shared_again(shared):
        assert await shared.receive_nothing()

    async def test_held():
        held.append(client().receive_nothing())

    async def test_next():
        pass
    """,
        *ASYNCIO,
        ini=LOOPS + "asyncio_mode = auto\n",
    )
    # What only a fixture shows is an error beside the test that passed.
    result.assert_outcomes(passed=6, errors=3)
    result.stdout.fnmatch_lines(
        [
            "*connect() in forgetful_setup, *",
            "*disconnect() in forgetful_teardown, *",
            "*receive_nothing() in test_held, *",
        ]
    )


def test_a_failure_stays_the_headline(run: Run) -> None:
    result = run(
        """
    async def test_fails():
        async with client() as communicator:
            communicator.send_to("hello")
            await communicator.receive_from(timeout=0)

    async def test_skips():
        client().connect()
        pytest.skip("later")

    @pytest.mark.xfail(strict=True)
    async def test_expected():
        client().connect()
    """,
        *ASYNCIO,
        ini=LOOPS + "asyncio_mode = auto\n",
    )
    result.assert_outcomes(failed=2, xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "*NothingCame: *",
            "*send_to() in test_fails, *",
            "*connect() in test_skips, *",
        ]
    )


BODIES = """
    def passing_on(test):
        @functools.wraps(test)
        def call(*args, **kwargs):
            return test(*args, **kwargs)
        return call

    def dropping(test):
        @functools.wraps(test)
        def call(*args, **kwargs):
            test(*args, **kwargs)
        return call

    def running(test):
        @functools.wraps(test)
        def call(*args, **kwargs):
            asyncio.run(test(*args, **kwargs))
        return call

    @passing_on
    async def test_passed_on():
        raise LookupError

    @dropping
    async def test_dropped():
        raise LookupError

    @running
    async def test_run():
        pass

    async def test_generator():
        yield

    class TestMethods:
        @dropping
        async def test_dropped(self):
            raise LookupError

        async def test_generator(self):
            yield
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_bodies_that_never_ran(run: Run, mode: str) -> None:
    source = BODIES
    if mode == "strict":
        source += "\n    pytestmark = pytest.mark.asyncio\n"
    result = run(
        source, *ASYNCIO, "-W", "ignore", ini=LOOPS + f"asyncio_mode = {mode}\n"
    )
    result.assert_outcomes(failed=5, passed=1)
    result.stdout.fnmatch_lines(
        ["*The body of test_dropped() never ran*", "*has 'yield' in its 'async def'*"]
    )


def test_skips_and_expected_failures_of_the_users_own_stay(run: Run) -> None:
    result = run(
        """
    @pytest.mark.skip
    async def test_skipped():
        yield

    @pytest.mark.xfail(strict=True)
    async def test_expected():
        yield
    """,
        *ASYNCIO,
        "-W",
        "ignore",
        ini=LOOPS + "asyncio_mode = auto\n",
    )
    result.assert_outcomes(skipped=1, xfailed=1)


BYSTANDER = (
    """
    import asyncio
    import functools
    import pytest
"""
    + BODIES
)


def test_bystanders_are_as_ever(run: Run) -> None:
    """A module that knows nothing of this package has the verdicts of pytest alone."""
    args = [*ASYNCIO, "-W", "ignore"]
    ini = LOOPS + "asyncio_mode = auto\n"
    beside = run(BYSTANDER, *args, ini=ini, chat="")
    without = run(
        BYSTANDER, *args, "-p", "no:chanx_testing.pytest_plugin", ini=ini, chat=""
    )
    assert beside.parseoutcomes() == without.parseoutcomes()
    # A body that never ran fails nowhere there, but where its coroutine is returned.
    without.assert_outcomes(failed=1, passed=3, xfailed=2)
