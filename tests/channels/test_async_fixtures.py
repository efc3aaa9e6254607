"""asyncSetUp, asyncTearDown and their clean-ups run in the loop of the test."""

import asyncio
import functools
import unittest
import warnings

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.messages.incoming import PingMessage
from tests.support.cases import failure, passes, run
from tests.support.lobby import Case

pytestmark = pytest.mark.django_db(transaction=True)


class TestFixtures:
    def test_run_in_the_loop_of_the_test_in_the_order_of_unittest(self):
        steps = []

        class Ordered(Case):
            def note(self, step):
                steps.append(step)
                loops.add(asyncio.get_running_loop())

            async def asyncSetUp(self):
                self.note("set up")
                self.addAsyncCleanup(self.clean, "first added")
                self.addAsyncCleanup(self.clean, "last added")

            async def clean(self, name):
                self.note(name)

            async def test(self):
                self.note("test")

            async def asyncTearDown(self):
                self.note("tear down")

        loops = set()
        passes(Ordered)
        assert steps == ["set up", "test", "tear down", "last added", "first added"]
        assert len(loops) == 1

    def test_cleanups_run_when_the_set_up_fails(self):
        steps = []

        class Broken(Case):
            async def asyncSetUp(self):
                self.addAsyncCleanup(self.clean)
                raise LookupError("set up")

            async def clean(self):
                steps.append("clean")

            async def test(self):
                steps.append("test")

            async def asyncTearDown(self):
                steps.append("tear down")

        assert "LookupError: set up" in failure(Broken)
        assert steps == ["clean"]

    def test_connections_are_open_while_they_run(self):
        class Late(Case):
            async def test(self):
                await self.auth_communicator.connect()

            async def asyncTearDown(self):
                await self.auth_communicator.send_message(PingMessage())
                assert await self.auth_communicator.receive_all_messages()

        passes(Late)


def passing_on(method):
    """A decorator that returns what an async test returns, and awaits nothing."""

    @functools.wraps(method)
    def call(*args, **kwargs):
        return method(*args, **kwargs)

    return call


def dropping(method):
    """A decorator that calls an async test and lets go what it returns."""

    @functools.wraps(method)
    def call(*args, **kwargs):
        method(*args, **kwargs)

    return call


def awaiting(method):
    """A decorator as it has to be."""

    @functools.wraps(method)
    async def call(*args, **kwargs):
        return await method(*args, **kwargs)

    return call


def running(method):
    """A decorator that runs an async test in a loop of its own."""

    @functools.wraps(method)
    def call(*args, **kwargs):
        async_to_sync(method)(*args, **kwargs)

    return call


class TestBodiesThatNeverRan:
    def test_under_a_decorator_that_is_not_async(self):
        class Decorated(Case):
            @passing_on
            async def test(self):
                raise LookupError("never")

        text = failure(Decorated)
        assert "NeverRan: Decorated.test() returned the coroutine" in text
        assert f"({__file__}:" in text

    def test_as_an_async_generator(self):
        class Generator(Case):
            async def test(self):
                yield

        assert "NeverRan: Generator.test() returned a generator" in failure(Generator)

    def test_as_a_generator(self):
        class Generator(Case):
            def test(self):
                yield

        assert "Take the 'yield' out" in failure(Generator)

    def test_behind_a_return_without_await(self):
        class Returning(Case):
            async def test(self):
                return self.body()

            async def body(self):
                raise LookupError("never")

        assert "await what the test returns" in failure(Returning)

    def test_may_be_what_is_expected_to_fail(self):
        class Decorated(Case):
            @unittest.expectedFailure
            @passing_on
            async def test(self):
                pass

        assert len(run(Decorated).expectedFailures) == 1

    def test_under_a_decorator_that_returns_nothing(self):
        class Decorated(Case):
            @dropping
            async def test(self):
                raise LookupError("never")

        text = failure(Decorated)
        assert "The body of Decorated.test() never ran" in text
        assert f"({__file__}:" in text

    @pytest.mark.parametrize("decorator", ["awaiting", "running"])
    def test_a_decorator_that_runs_the_test_is_fine(self, decorator):
        ran = []

        class Decorated(Case):
            @globals()[decorator]
            async def test(self):
                ran.append(await self.auth_communicator.connect())

        passes(Decorated)
        assert ran == [(True, None)]

    def test_other_warnings_are_shown_as_ever(self):
        class Deprecated(Case):
            @running
            async def test(self):
                warnings.warn("deprecated", DeprecationWarning, stacklevel=1)

        with pytest.warns(DeprecationWarning, match="deprecated"):
            passes(Deprecated)

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("setUp", "Call it asyncSetUp"),
            ("tearDown", "Call it asyncTearDown"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
    def test_fixtures_that_unittest_does_not_await(self, name, advice):
        async def fixture(self):
            raise LookupError("never")

        class Sync(Case):
            def test(self):
                pass

        class Async(Case):
            async def test(self):
                pass

        for case in (Sync, Async):
            setattr(case, name, fixture)
            text = failure(case)
            assert f"{case.__name__}.{name} is 'async def'" in text
            assert advice in text


class TestVerbsThatWereNeverAwaited:
    def test_the_last_line(self):
        class Forgetful(Case):
            async def test(self):
                await self.auth_communicator.connect()
                self.auth_communicator.receive_nothing()

        text = failure(Forgetful)
        line = Forgetful.test.__code__.co_firstlineno + 2
        assert f"receive_nothing() in Forgetful.test, {__file__}:{line}" in text

    def test_in_a_sync_test(self):
        class Sync(Case):
            def test(self):
                self.auth_communicator.connect()

        text = failure(Sync)
        assert "connect() in Sync.test" in text
        assert "make it 'async def'" in text

    def test_are_a_note_where_the_test_fails_already(self):
        class Failing(Case):
            async def test(self):
                await self.auth_communicator.connect()
                self.auth_communicator.send_message(PingMessage())
                await self.auth_communicator.receive_message(timeout=0)

        result = run(Failing)
        ((_, text),) = result.errors + result.failures
        assert "NothingCame" in text
        assert "send_message() in Failing.test" in text

    def test_are_a_note_in_a_sync_test_too(self):
        class Failing(Case):
            def test(self):
                self.auth_communicator.connect()
                raise LookupError("headline")

        result = run(Failing)
        ((_, text),) = result.errors + result.failures
        assert "LookupError: headline" in text
        assert "connect() in Failing.test" in text

    def test_are_not_hidden_by_a_skip(self):
        class Skipping(Case):
            async def test(self):
                self.auth_communicator.connect()
                self.skipTest("later")

        assert "connect() in Skipping.test" in failure(Skipping)

    @pytest.mark.parametrize("name", ["setUp", "tearDown"])
    def test_in_a_fixture(self, name):
        class Fixture(Case):
            async def test(self):
                pass

        def fixture(self):
            getattr(Case, name)(self)
            self.auth_communicator.disconnect()

        setattr(Fixture, name, fixture)
        assert "disconnect() in " in failure(Fixture)

    def test_in_a_cleanup_that_is_not_async(self):
        class Cleaning(Case):
            async def test(self):
                self.addCleanup(self.auth_communicator.disconnect)

        assert "use addAsyncCleanup()" in failure(Cleaning)

    def test_a_fixture_of_the_base_class(self):
        class Base(Case):
            async def asyncSetUp(self):
                self.prepared = True

        class Forgetful(Base):
            async def asyncSetUp(self):
                super().asyncSetUp()

            async def test(self):
                pass

        assert "asyncSetUp() in Forgetful.asyncSetUp" in failure(Forgetful)

    def test_that_the_test_case_keeps(self):
        class Keeping(Case):
            async def test(self):
                self.kept = self.auth_communicator.receive_nothing()

        assert "receive_nothing() in Keeping.test" in failure(Keeping)

    def test_in_a_cycle(self):
        class Cycle(Case):
            async def test(self):
                cycle = [self.auth_communicator.receive_nothing()]
                cycle.append(cycle)

        assert "receive_nothing() in Cycle.test" in failure(Cycle)

    def test_do_not_fail_the_next_test(self):
        class Two(Case):
            async def test(self):
                self.auth_communicator.receive_nothing()

            async def test_next(self):
                await self.auth_communicator.connect()
                assert await self.auth_communicator.receive_nothing()

        assert "receive_nothing()" in failure(Two)
        passes(Two, "test_next")

    def test_that_a_cleanup_awaits_are_fine(self):
        class Late(Case):
            async def asyncSetUp(self):
                await self.auth_communicator.connect()
                self.closing = self.auth_communicator.disconnect()

            async def test(self):
                assert await self.auth_communicator.receive_nothing()

            async def asyncTearDown(self):
                await self.closing

        passes(Late)
