"""The plugin, in a pytest inside pytest."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.project import ROOT

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

# Loops are looked at by their class: nothing else tells the plugin's from asyncio's.
KIND = """
    import asyncio, gc, threading
    from chanx_testing.core.idle import IdleEventLoop, wait_until_idle
    import pytest, unittest

    async def check():
        assert type(asyncio.get_running_loop()) is IdleEventLoop
        assert await wait_until_idle(60)
"""


WITH_PYTEST_ASYNCIO = (
    "-p",
    "pytest_asyncio.plugin",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
)


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    # The inner pytest sees installed plugins only as far as they are named here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = str(ROOT)
    path = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, path] if path else [root]))

    def run(source: str, *args: str, conftest: str = "") -> pytest.RunResult:
        pytester.makepyfile(KIND + source)
        pytester.makeconftest(conftest)
        pytester.makeini("[pytest]\nfilterwarnings =\n    error\n")
        return pytester.runpytest_subprocess(
            "-p", "chanx_testing.pytest_plugin", "-v", *args
        )

    return run


def test_pytest_asyncio_tests_and_fixtures(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def made():
        await check()
        yield 1
        await check()

    @pytest_asyncio.fixture(loop_scope="module", scope="module")
    async def shared():
        await check()
        yield 1
        await check()

    @pytest.mark.asyncio
    async def test_function(made):
        await check()

    @pytest.mark.asyncio(loop_scope="module")
    async def test_module(shared):
        await check()

    @pytest.mark.asyncio(loop_scope="module")
    async def test_module_again(shared):
        await check()
    """,
        *WITH_PYTEST_ASYNCIO,
    )
    result.assert_outcomes(passed=3)
    # No parameter shows in the names.
    result.stdout.fnmatch_lines(["*::test_function PASSED*"])


def test_each_test_numbers_its_connections(
    run: Callable[..., pytest.RunResult],
) -> None:
    """On a loop of its own, and on one that serves the whole module."""
    result = run(
        """
    from chanx_testing.core.testing import WebsocketCommunicator

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async def names():
        async with WebsocketCommunicator(application, "/") as first:
            async with WebsocketCommunicator(application, "/") as second:
                return first.transcript.name, second.transcript.name

    @pytest.mark.asyncio(loop_scope="module")
    async def test_module():
        assert await names() == ("ws#1", "ws#2")

    @pytest.mark.asyncio(loop_scope="module")
    async def test_module_again():
        assert await names() == ("ws#1", "ws#2")

    @pytest.mark.asyncio
    async def test_function():
        assert await names() == ("ws#1", "ws#2")

    def test_several_loops_of_one_test():
        assert asyncio.run(names()) == ("ws#1", "ws#2")
        assert asyncio.run(names()) == ("ws#3", "ws#4")
    """,
        *WITH_PYTEST_ASYNCIO,
    )
    result.assert_outcomes(passed=4)


def test_a_connection_may_be_older_than_the_test_that_uses_it(
    run: Callable[..., pytest.RunResult],
) -> None:
    """What the test before has left unread is not the answer to this one's act."""
    result = run(
        """
    import json
    import pytest_asyncio
    from typing import Literal
    from chanx_testing.core.observe.reports import Broadcast, announce
    from chanx_testing.core.testing import WebsocketCommunicator
    from chanx_testing.messages.base import BaseMessage

    class Said(BaseMessage):
        action: Literal["said"] = "said"
        payload: int

    events = {}

    async def application(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        queue = events["queue"] = asyncio.Queue()
        reading = asyncio.ensure_future(receive())
        while not reading.done():
            waiting = asyncio.ensure_future(queue.get())
            await asyncio.wait([reading, waiting], return_when="FIRST_COMPLETED")
            if not waiting.done():
                waiting.cancel()
                break
            for content in (waiting.result(), {"action": "group_complete"}):
                if content is not None:
                    await send({"type": "websocket.send", "text": json.dumps(content)})

    def broadcast(content):
        announce(Broadcast("broadcast_event", object, Said(payload=0)))
        events["queue"].put_nowait(content)

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def connection():
        communicator = WebsocketCommunicator(application, "/", message_types=[Said])
        async with communicator:
            yield communicator

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    async def test_leaves_a_signal_unread(connection):
        broadcast(None)
        await connection.wait_until_idle()

    async def test_acts_anew(connection):
        broadcast({"action": "said", "payload": 7})
        (message,) = await connection.receive_all_messages("group_complete")
        assert message.payload == 7
    """,
        *WITH_PYTEST_ASYNCIO,
    )
    result.assert_outcomes(passed=2)


def test_a_factory_of_the_users_own_stays(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    @pytest.mark.asyncio
    async def test_function():
        assert type(asyncio.get_running_loop()).__name__ == "Own"
    """,
        *WITH_PYTEST_ASYNCIO,
        conftest="""
    import asyncio

    class Own(asyncio.SelectorEventLoop):
        pass

    def pytest_asyncio_loop_factories():
        return {"own": Own}
    """,
    )
    result.assert_outcomes(passed=1)


def test_a_policy_of_the_users_own_stays(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    class Own(asyncio.SelectorEventLoop):
        pass

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self):
            return Own()

    def test_function():
        asyncio.set_event_loop_policy(Policy())

        async def kind():
            return type(asyncio.get_running_loop())

        assert asyncio.run(kind()) is Own
        asyncio.set_event_loop_policy(None)
    """
    )
    result.assert_outcomes(passed=1)


def test_anyio_tests_and_fixtures(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.fixture
    async def made(anyio_backend):
        await check()
        yield 1
        await check()

    @pytest.mark.anyio
    async def test_function(made):
        await check()
    """,
        "-p",
        "anyio.pytest_plugin",
    )
    result.assert_outcomes(passed=1)


def test_the_default_anyio_backend(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    @pytest.mark.anyio
    async def test_function(anyio_backend_name):
        await check()
    """,
        "-p",
        "anyio.pytest_plugin",
        "-k",
        "asyncio",
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*test_function?asyncio* PASSED*"])


def test_unittest_and_plain_functions(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    from asgiref.sync import async_to_sync

    class TestCase(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            await check()

        async def test(self):
            await check()

    def test_function():
        asyncio.run(check())
        async_to_sync(check)()
    """
    )
    result.assert_outcomes(passed=2)


def test_django_async_tests(run: Callable[..., pytest.RunResult]) -> None:
    pytest.importorskip("pytest_django")
    result = run(
        """
    import django.test

    class Tests(django.test.SimpleTestCase):
        async def test(self):
            await check()
    """,
        "-p",
        "pytest_django.plugin",
        "--ds=tests.settings",
    )
    result.assert_outcomes(passed=1)


def test_nothing_stays_replaced_between_tests(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    def test_function():
        assert asyncio.run(check()) is None
    """,
        conftest="""
    import asyncio, pytest
    from concurrent.futures import ThreadPoolExecutor

    before = (
        asyncio.new_event_loop, asyncio.events.new_event_loop, ThreadPoolExecutor.submit
    )

    def pytest_sessionfinish(session):
        after = (
            asyncio.new_event_loop,
            asyncio.events.new_event_loop,
            ThreadPoolExecutor.submit,
        )
        assert all(x is y for x, y in zip(before, after))
        print("NOTHING STAYS")
    """,
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*NOTHING STAYS*"])


def test_a_deadlock_fails_the_test_at_once(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    from chanx_testing.core.client.communicator import WebsocketCommunicatorMixin

    async def silent(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    @pytest.mark.asyncio
    async def test_function():
        async with WebsocketCommunicatorMixin(silent, "/"):
            await asyncio.Queue().get()
    """,
        *WITH_PYTEST_ASYNCIO,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*Deadlock: this await can never end*", "*blocked: test_function *"]
    )


def test_a_test_that_uses_no_connection_of_ours_ends_when_it_likes(
    run: Callable[..., pytest.RunResult],
) -> None:
    """Nothing that Python knows of will ever wake it; a bystander is left alone."""
    result = run(
        """
    @pytest.mark.asyncio
    async def test_function():
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(asyncio.Queue().get())
        with pytest.raises(asyncio.CancelledError):
            threading.Timer(0.3, loop.call_soon_threadsafe, [waiting.cancel]).start()
            await waiting
        assert gc.get_freeze_count() < 2000 and not gc.callbacks
    """,
        *WITH_PYTEST_ASYNCIO,
    )
    result.assert_outcomes(passed=1)


def test_loading_it_imports_nothing() -> None:
    code = (
        "import sys, chanx_testing.pytest_plugin;"
        "print([m for m in sys.modules if m.startswith('chanx_testing.core')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
