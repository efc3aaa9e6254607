"""The end of a test under pytest, in a pytest inside pytest."""

import os
import sys
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]

HEAD = """
    import asyncio, pytest, threading, unittest
    from tests.support import apps, crashing
    from chanx_testing.core.testing import WebsocketCommunicator, lifespan

    def client(application=crashing.timer):
        return WebsocketCommunicator(application, "/")

    async def conversation(communicator=None):
        communicator = communicator or client()
        await communicator.connect()
        await communicator.send_to("go")
        await communicator.wait_until_idle(5)
"""


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., pytest.RunResult]:
    # The inner pytest sees installed plugins only as far as they are named here.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    monkeypatch.setenv("COLUMNS", "200")

    def run(source: str, *args: str) -> pytest.RunResult:
        pytester.makepyfile(test_all=HEAD + source)
        return pytester.runpytest_subprocess(
            "-p",
            "chanx_testing.pytest_plugin",
            "-p",
            "pytest_asyncio.plugin",
            "--asyncio-mode=auto",
            "--tb=short",
            "-rA",
            *args,
        )

    return run


def test_a_failure_of_the_test_stays_the_headline(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    async def test_function():
        await conversation()
        assert 1 == 2

    class TestCase(unittest.IsolatedAsyncioTestCase):
        async def test_case(self):
            await conversation()
            self.assertEqual(1, 2)
    """
    )
    # pytest shows the second failure of a test case as an error of its teardown.
    result.assert_outcomes(failed=2, errors=1)
    result.stdout.fnmatch_lines(["FAILED *test_case - AssertionError: 1 != 2*"])
    result.stdout.fnmatch_lines(["FAILED *test_function - *assert 1 == 2*"])
    result.stdout.fnmatch_lines(["*Also raised: Lost: nobody waits for this"])


def test_a_skip_hides_nothing(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    async def test_function():
        await conversation()
        pytest.skip("all is well")

    async def test_without_a_connection():
        pytest.skip("all is well")
    """
    )
    result.assert_outcomes(failed=1, skipped=1)


def test_what_is_expected_passes(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    async def test_in_time():
        communicator = client()
        communicator.expect_errors(LookupError)
        await conversation(communicator)
        await communicator.disconnect()

    async def test_after_the_end():
        communicator = client(crashing.after_disconnect)
        await communicator.connect()
        await communicator.disconnect()
        communicator.expect_errors(LookupError)
        await crashing.released()

    async def test_caught():
        communicator = client(crashing.kept_task)
        await conversation(communicator)
        with pytest.raises(LookupError):
            await communicator.scope["kept"]
        await communicator.disconnect()

    @pytest.mark.xfail(raises=LookupError, strict=True)
    async def test_xfail():
        await conversation()
    """
    )
    result.assert_outcomes(passed=3, xfailed=1)


def test_what_fails_in_the_teardown_is_an_error_there(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    async def broken_at_the_end(scope, receive, send):
        await apps.silent(scope, receive, send)
        asyncio.get_running_loop().call_soon(crashing.boom)
        await asyncio.sleep(0)

    @pytest.fixture
    async def connected():
        async with client(broken_at_the_end) as communicator:
            yield communicator

    @pytest.fixture
    async def kept():
        communicator = client(crashing.outliving)
        await communicator.connect()
        yield
        await communicator.disconnect()

    async def test_raised_by_disconnect(connected):
        pass

    async def test_left_behind(kept):
        pass
    """
    )
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["ERROR *test_raised_by_disconnect - *Lost*"])
    result.stdout.fnmatch_lines(["ERROR *test_left_behind - *LeftoverTaskWarning*"])


def test_a_filter_makes_a_task_that_goes_on_a_warning(
    run: Callable[..., pytest.RunResult],
) -> None:
    source = """
    async def test_function():
        async with client(crashing.outliving):
            pass
    """
    run(source).assert_outcomes(failed=1)
    result = run(source, "-W", "default::RuntimeWarning")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_all.py:*LeftoverTaskWarning: *Event.wait*"])


def test_a_test_without_a_connection_is_left_alone(
    run: Callable[..., pytest.RunResult],
) -> None:
    """Also between two that have one."""
    result = run(
        """
    hooks = threading.excepthook, threading.Thread.start

    async def test_first():
        async with client(apps.silent):
            pass

    @pytest.mark.asyncio
    async def test_bystander(recwarn):
        assert (threading.excepthook, threading.Thread.start) == hooks
        asyncio.get_running_loop().call_soon(crashing.boom)
        asyncio.create_task(crashing.aboom())
        thread = threading.Thread(target=crashing.boom)
        thread.start()
        await asyncio.to_thread(thread.join)

    class TestCase(unittest.TestCase):
        def test_bystander(self):
            assert (threading.excepthook, threading.Thread.start) == hooks
            assert self.id() == "test_all.TestCase.test_bystander"

    async def test_last():
        async with client(apps.silent):
            pass
    """,
        "-W",
        "ignore::pytest.PytestUnhandledThreadExceptionWarning",
    )
    result.assert_outcomes(passed=4)


def test_a_connection_of_the_module_fails_the_test_that_uses_it(
    run: Callable[..., pytest.RunResult],
) -> None:
    result = run(
        """
    import pytest_asyncio

    pytestmark = pytest.mark.asyncio(loop_scope="module")

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def connected():
        async with client() as communicator:
            yield communicator

    async def test_first(connected):
        pass

    async def test_second(connected):
        await connected.send_to("go")
        await connected.wait_until_idle(5)

    async def test_third(connected):
        await connected.wait_until_idle(5)
    """
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *test_second - *Lost*"])


def test_another_loop_than_ours(run: Callable[..., pytest.RunResult]) -> None:
    result = run(
        """
    @pytest.mark.parametrize("name", ["timer", "future", "task", "thread", "crashed"])
    @pytest.mark.parametrize("factory", ["asyncio.SelectorEventLoop", "uvloop.Loop"])
    def test_function(name, factory):
        uvloop = pytest.importorskip("uvloop") if "uvloop" in factory else None
        with asyncio.Runner(loop_factory=eval(factory)) as runner:
            runner.run(conversation(client(getattr(crashing, name))))
    """,
        "-W",
        "ignore::chanx_testing.core.testing.UnsupportedLoopWarning",
    )
    result.assert_outcomes(failed=10)
