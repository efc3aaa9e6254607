"""Verbs that a test calls and forgets to await fail it, with the line of the call."""

import asyncio
import gc
import inspect
import threading
import types
import warnings
from unittest import mock

import pytest

import chanx_testing.channels.login
import chanx_testing.core.idle
from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.testing import NeverRan
from chanx_testing.core.testing import WebsocketCommunicator as CoreCommunicator
from chanx_testing.core.unawaited import (
    MARK,
    body_that_never_ran,
    calls_of_test,
    must_await,
)
from chanx_testing.fast_channels.testing import (
    WebsocketCommunicator as FastCommunicator,
)
from tests.support import apps

# The call stands in this line of its function, counted from the `def`.
FORGOTTEN_LINE = 1


def client():
    return CoreCommunicator(apps.silent, "/")


@pytest.fixture
def calls():
    """The calls of this test, looked at by it, and not by the plugin around it."""
    with calls_of_test() as calls:
        yield calls
        # Otherwise a test that expects none would leave them to nobody.
        assert calls.take_all() is None


def forget(communicator):
    communicator.receive_nothing()


class TestForgotten:
    async def test_is_named_with_its_line(self, calls):
        forget(client())
        failure = calls.take_dropped()
        line = forget.__code__.co_firstlineno + FORGOTTEN_LINE
        assert isinstance(failure, NeverRan)
        assert f"receive_nothing() in forget, {__file__}:{line}" in str(failure)

    async def test_says_to_await(self, calls):
        client().connect()
        assert "Write 'await' before the call." in str(calls.take_dropped())

    def test_says_that_a_function_which_is_not_async_cannot(self, calls):
        forget(client())
        assert "forget() is not 'async def'" in str(calls.take_dropped())

    async def test_all_are_named_at_once(self, calls):
        async with client() as communicator:
            communicator.send_to("hello")
            communicator.receive_from()
        text = str(calls.take_dropped())
        assert "send_to() in" in text
        assert "receive_from() in" in text

    async def test_leaves_no_warning_of_python(self, calls):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            forget(client())
            assert calls.take_dropped()
            gc.collect()

    async def test_is_named_once(self, calls):
        forget(client())
        assert calls.take_dropped()
        assert calls.take_dropped() is None
        assert calls.take_all() is None

    async def test_in_another_thread_belongs_to_the_test_that_runs(self, calls):
        # A plain thread begins with an empty context.
        thread = threading.Thread(target=forget, args=(client(),))
        thread.start()
        thread.join()
        assert calls.take_dropped()

    async def test_an_override_is_a_verb_as_well(self, calls):
        class Own(CoreCommunicator):
            async def receive_nothing(self, timeout=0.1, interval=0.01):
                return await super().receive_nothing(timeout, interval)

        forget(Own(apps.silent, "/"))
        assert "receive_nothing() in forget" in str(calls.take_dropped())

    async def test_a_verb_that_an_override_forgets_to_await(self, calls):
        class Own(CoreCommunicator):
            async def send_to(self, text_data=None, bytes_data=None):
                super().send_to(text_data, bytes_data)

        async with Own(apps.silent, "/") as communicator:
            await communicator.send_to("hello")
        assert "send_to() in Own.send_to" in str(calls.take_dropped())

    async def test_a_function_of_a_module(self, calls):
        chanx_testing.core.idle.wait_until_idle()
        assert "wait_until_idle()" in str(calls.take_dropped())

    async def test_hundreds_that_are_awaited_hide_none(self, calls):
        async with client() as communicator:
            forget(communicator)
            for _ in range(200):
                await communicator.receive_nothing()
        assert str(calls.take_dropped()).count("receive_nothing()") == 1


class TestHeld:
    """A coroutine that somebody holds may still be awaited, until the test ends."""

    async def test_in_a_variable(self, calls):
        held = client().receive_nothing()
        assert calls.take_dropped() is None
        assert "receive_nothing()" in str(calls.take_all())
        del held

    async def test_in_a_cycle(self, calls):
        cycle = [client().receive_nothing()]
        cycle.append(cycle)
        del cycle
        assert calls.take_dropped() is None
        assert calls.take_all()

    async def test_and_awaited_later(self, calls):
        async with client() as communicator:
            held = communicator.receive_nothing()
            assert calls.take_dropped() is None
            assert await held


class TestFixtures:
    """What a fixture makes before the test, and holds, it may await after others."""

    async def test_is_handed_over_to_the_next_test(self, calls):
        held = client().disconnect()
        calls.end_of_setup()
        assert calls.take_own() is None
        with calls_of_test() as following:
            calls.hand_over(following)
            assert calls.take_all() is None
            assert "disconnect()" in str(following.take_all())
        del held

    async def test_is_looked_at_when_nobody_holds_it(self, calls):
        held = client().disconnect()
        calls.end_of_setup()
        del held
        assert "disconnect()" in str(calls.take_own())

    async def test_what_the_test_makes_is_its_own(self, calls):
        calls.end_of_setup()
        held = client().disconnect()
        assert "disconnect()" in str(calls.take_own())
        del held


class TestAwaited:
    """However a verb is awaited: nobody forgot it."""

    async def test_here(self, calls):
        async with client() as communicator:
            assert await communicator.receive_nothing()

    async def test_by_gather(self, calls):
        async with client() as communicator:
            await asyncio.gather(*(communicator.receive_nothing() for _ in range(200)))

    async def test_by_a_task_and_by_a_task_group(self, calls):
        async with client() as communicator:
            task = asyncio.create_task(communicator.receive_nothing())
            async with asyncio.TaskGroup() as group:
                group.create_task(communicator.receive_nothing())
            await task

    async def test_by_wait_for(self, calls):
        async with client() as communicator:
            await asyncio.wait_for(communicator.receive_nothing(), 10)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(communicator.receive_from(None), 0.001)

    async def test_by_a_task_that_is_cancelled_before_it_begins(self, calls):
        async with client() as communicator:
            task = asyncio.create_task(communicator.receive_from())
            task.cancel()
            await asyncio.wait([task])

    async def test_not_at_all_but_closed_on_purpose(self, calls):
        client().receive_nothing().close()

    async def test_by_a_verb_of_this_package(self, calls):
        async with client() as communicator:
            await communicator.send_json({})
            await communicator.receive_all_json()

    async def test_by_a_tool_that_calls_it(self, calls):
        from asgiref.sync import async_to_sync

        communicator = client()

        def run():
            async_to_sync(communicator.connect)()

        await asyncio.to_thread(run)


class TestOutsideATest:
    def test_python_warns_as_ever(self):
        """A script has nobody who could fail."""
        nobody = mock.Mock(get=lambda: None)
        with (
            mock.patch("chanx_testing.core.unawaited._calls", nobody),
            mock.patch("chanx_testing.core.unawaited._running", []),
            pytest.warns(RuntimeWarning, match="receive_nothing' was never awaited"),
        ):
            forget(CoreCommunicator(apps.silent, "/"))


def verbs(owner):
    """Return the public async functions of this package that a class or module has."""
    for name in dir(owner):
        value = inspect.getattr_static(owner, name)
        if (
            not name.startswith("_")
            and inspect.isfunction(value)
            and inspect.iscoroutinefunction(value)
            and value.__module__.startswith("chanx_testing.")
        ):
            yield name, value


class TestVerbs:
    @pytest.mark.parametrize(
        "owner",
        [
            CoreCommunicator,
            FastCommunicator,
            WebsocketCommunicator,
            WebsocketTestCase,
            chanx_testing.core.idle,
            chanx_testing.channels.login,
        ],
        ids=lambda owner: f"{owner.__name__}",
    )
    def test_every_one_must_be_awaited(self, owner):
        found = dict(verbs(owner))
        assert found
        assert [name for name in found if not hasattr(found[name], MARK)] == []

    async def test_is_an_async_function_for_whoever_asks(self):
        for function in (CoreCommunicator.connect, client().connect):
            assert inspect.iscoroutinefunction(function)
            assert asyncio.iscoroutinefunction(function)
        assert "timeout" in inspect.signature(client().connect).parameters

    async def test_returns_a_coroutine(self, calls):
        coroutine = client().connect()
        assert type(coroutine) is types.CoroutineType
        coroutine.close()

    async def test_may_stand_for_a_specification(self):
        spec = mock.create_autospec(CoreCommunicator, instance=True)
        spec.receive_from.return_value = "hello"
        assert await spec.receive_from(timeout=1) == "hello"
        with pytest.raises(TypeError):
            spec.receive_from(1, 2, 3)

    async def test_a_failure_has_no_frame_more(self):
        async with client() as communicator:
            with pytest.raises(TimeoutError) as caught:
                await communicator.receive_json(timeout=0)
        names = [entry.name for entry in caught.traceback]
        assert names[1:4] == ["receive_json", "receive_json_from", "receive_from"]

    def test_marks_what_it_is_given(self):
        async def verb():
            """Do something."""

        wrapped = must_await(verb)
        assert (wrapped.__name__, wrapped.__doc__) == ("verb", "Do something.")


class TestBodies:
    """What a test returns that must be awaited was never run."""

    def test_a_coroutine(self):
        async def test():
            raise AssertionError("never runs")

        text = str(body_that_never_ran("Case.test", test()))
        assert text.startswith("Case.test() returned the coroutine")
        assert f"{__file__}:{test.__code__.co_firstlineno}" in text

    def test_an_async_generator(self):
        async def test():
            yield

        assert "Take the 'yield' out" in str(body_that_never_ran("test", test()))

    def test_a_generator(self):
        assert "Take the 'yield' out" in str(
            body_that_never_ran("test", (each for each in ()))
        )

    async def test_any_awaitable(self):
        future = asyncio.get_running_loop().create_future()
        assert "an awaitable Future" in str(body_that_never_ran("test", future))

    @pytest.mark.parametrize("returned", [None, 1, "text", [], mock.MagicMock()])
    def test_nothing_that_is_to_be_awaited(self, returned):
        assert body_that_never_ran("test", returned) is None
