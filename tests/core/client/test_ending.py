"""The end of a test looks at what failed, and nobody has seen."""

import asyncio
import gc
import logging
import threading
import time
import warnings
from contextlib import contextmanager

import pytest

from chanx_testing.core import idle
from chanx_testing.core.client import last_frames
from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.errors import LeftoverTaskWarning
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.idle import crashes
from chanx_testing.core.trace import timeline
from chanx_testing.core.trace.timeline import timeline_of_test
from tests.support import apps, crashing
from tests.support.crashing import Lost
from tests.support.idle import LONG


@pytest.fixture(autouse=True)
def no_log(caplog, monkeypatch):
    caplog.set_level(logging.CRITICAL, logger="asyncio")
    monkeypatch.setattr(threading, "excepthook", lambda args: None)


def client(application):
    return WebsocketCommunicator(application, "/ws/")


async def conversation(name):
    """Talk to an application that fails, and leave, as a test does."""
    communicator = client(getattr(crashing, name))
    await communicator.connect()
    if name in ("after_disconnect", "outliving"):
        await communicator.disconnect()
    else:
        await communicator.send_to("go")
    await communicator.wait_until_idle(LONG)
    await crashing.released()


class Test:
    """One test inside a test, and its end."""

    __test__ = False

    def __init__(self, timeline):
        self.timeline = timeline

    def end(self, headline=None, *, last=True):
        if self.timeline.ending is not None:
            self.timeline.ending.end(headline, "the test", None, last=last)


@contextmanager
def begun():
    with idle.installed(), timeline_of_test() as timeline:
        yield Test(timeline)


@pytest.mark.parametrize("name", [*crashing.BESIDE, "crashed"])
class TestCrashes:
    """Whatever failed fails the test, with its own traceback."""

    def frames(self, error):
        names = []
        traceback = error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return names

    def test_when_its_loop_is_closed(self, name):
        with begun() as test:
            asyncio.run(conversation(name))
            with pytest.raises(LookupError) as caught:
                test.end()
            # Only a future was given an exception that nobody had raised.
            if name not in ("future", "kept_future"):
                assert {"boom", "crash_after_accept"} & {*self.frames(caught.value)}
            test.end()

    def test_when_its_loop_is_still_there(self, name):
        with begun() as test, asyncio.Runner() as runner:
            runner.run(conversation(name))
            with pytest.raises(LookupError):
                test.end(last=False)
            test.end(last=False)

    def test_as_a_note_on_what_the_test_has_failed_with(self, name):
        with begun() as test:
            asyncio.run(conversation(name))
            headline = AssertionError("the test has failed")
            test.end(headline)
        assert any("Also raised: Lo" in note for note in headline.__notes__)


class TestLastFrames:
    """What a test sends last is handled, although nobody waits for it."""

    @staticmethod
    async def application(scope, receive, send):
        await apps.accept(receive, send)
        await receive()
        await asyncio.to_thread(int)
        crashing.boom()

    async def send(self):
        communicator = client(self.application)
        await communicator.connect()
        await communicator.send_to("last")
        return communicator

    async def drop(self):
        await self.send()

    @pytest.mark.parametrize("name", ["send", "drop"])
    def test_where_the_loop_is_closed(self, name):
        with begun() as test:
            kept = asyncio.run(getattr(self, name)())
            with pytest.raises(Lost):
                test.end()
        assert (kept is None) is (name == "drop")

    @pytest.mark.parametrize("name", ["send", "drop"])
    def test_where_the_loop_goes_on(self, name):
        with begun() as test, asyncio.Runner() as runner:
            kept = runner.run(getattr(self, name)())
            with pytest.raises(Lost):
                test.end(last=False)
        assert (kept is None) is (name == "drop")

    def test_an_application_that_never_rests_is_cancelled(self, monkeypatch):
        monkeypatch.setattr(last_frames, "WORK_SECONDS", 0.01)
        ended = []

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            try:
                while True:  # noqa: ASYNC110 - it never rests
                    await asyncio.sleep(0)
            finally:
                ended.append("cancelled")

        async def main():
            await client(application).connect()

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            test.end()
            assert ended == ["cancelled"]

    def test_work_that_goes_on_is_given_up(self, monkeypatch):
        monkeypatch.setattr(last_frames, "WORK_SECONDS", 0.01)
        stop = threading.Event()

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await asyncio.to_thread(stop.wait)

        async def main():
            await client(application).connect()

        with begun() as test, asyncio.Runner() as runner:
            try:
                runner.run(main())
                test.end()
            finally:
                stop.set()


class TestContradicted:
    """What a thread does to the loop fails the test, also after its last wait."""

    async def conversation(self):
        communicator = client(apps.echo)
        await communicator.connect()
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=loop.call_soon, args=(int,), name="unsafe")
        thread.start()
        thread.join()
        await asyncio.sleep(0)
        return communicator

    def test_where_no_wait_follows(self):
        with begun() as test:
            asyncio.run(self.conversation())
            with pytest.raises(idle.UnsafeLoopAccess, match="thread unsafe"):
                test.end()
            test.end()

    def test_and_not_the_next_one_on_the_same_loop(self):
        async def others():
            async with client(apps.echo) as communicator:
                await communicator.receive_nothing()

        # A loop that serves both tests, as one of a whole module does.
        runner = asyncio.Runner()
        with begun() as first:
            runner.run(self.conversation())
            with pytest.raises(idle.UnsafeLoopAccess):
                first.end()
        with begun() as second:
            runner.run(others())
            second.end()
        runner.close()

    def test_only_once_where_a_wait_has_raised_it(self):
        async def conversation():
            communicator = await self.conversation()
            with pytest.raises(idle.UnsafeLoopAccess, match="thread unsafe"):
                await communicator.receive_nothing()

        with begun() as test:
            asyncio.run(conversation())
            test.end()


class TestSeen:
    """What the test expects, or has seen, fails it no more."""

    @pytest.mark.parametrize("name", [*crashing.BESIDE, "crashed"])
    def test_where_it_is_expected(self, name):
        async def conversation():
            communicator = client(getattr(crashing, name))
            communicator.expect_errors(LookupError)
            await communicator.connect()
            if name == "after_disconnect":
                leave = {"type": "websocket.disconnect", "code": 1000}
                await communicator.send_input(leave)
            else:
                await communicator.send_to("go")
            await communicator.wait_until_idle(LONG)
            await crashing.released()

        with begun() as test:
            asyncio.run(conversation())
            test.end()

    @pytest.mark.parametrize(
        "name",
        [
            "timer",
            "done_callback",
            "job",
            "future",
            "thread",
            "context_of_its_own",
            "task",
            "kept_task",
            "in_lifespan",
            "crashed",
        ],
    )
    def test_where_disconnect_has_raised_it(self, name):
        """What nobody can ask for any more is raised there already."""

        async def conversation():
            communicator = client(getattr(crashing, name))
            await communicator.connect()
            await communicator.send_to("go")
            await communicator.wait_until_idle(LONG)
            await crashing.released()
            with pytest.raises(LookupError):
                await communicator.disconnect()

        with begun() as test:
            asyncio.run(conversation())
            test.end()


class TestAttribution:
    def test_a_test_without_a_connection_is_never_failed(self):
        async def main():
            asyncio.create_task(crashing.aboom())  # noqa: RUF006 - lost
            asyncio.get_running_loop().call_soon(crashing.boom)
            await asyncio.sleep(0)

        before = threading.excepthook, threading.Thread.start
        with begun() as test:
            asyncio.run(main())
            assert test.timeline.ending is None
            assert (threading.excepthook, threading.Thread.start) == before

    def test_what_was_begun_before_the_connection_does_not_count(self):
        async def main():
            loop = asyncio.get_running_loop()
            future, go = loop.create_future(), asyncio.Event()

            async def older():
                await go.wait()
                crashing.boom()

            asyncio.create_task(older())  # noqa: RUF006 - lost
            await asyncio.sleep(0)
            async with client(apps.silent):
                future.set_exception(Lost())
                del future
                go.set()
                await asyncio.sleep(0)

        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_a_thread_that_is_older_does_not_count(self):
        go = threading.Event()

        def work():
            go.wait()
            crashing.boom()

        async def main():
            async with client(apps.silent):
                go.set()
                await asyncio.to_thread(thread.join)

        thread = threading.Thread(target=work)
        thread.start()
        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_another_loop_does_not_count(self):
        async def fails():
            asyncio.get_running_loop().call_soon(crashing.boom)
            await asyncio.sleep(0)

        async def main():
            async with client(apps.silent):
                pass

        with begun() as test:
            asyncio.run(main())
            asyncio.run(fails())
            test.end()

    def test_another_loop_counts_where_an_application_uses_it(self):
        """A loop in a thread, to which the application hands its work."""

        @crashing.when_asked
        async def application(scope):
            asyncio.run_coroutine_threadsafe(crashing.aboom(), loop)

        async def main():
            async with client(application) as communicator:
                await communicator.send_to("go")
                await communicator.wait_until_idle(LONG)

        with begun() as test:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            asyncio.run(main())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            with pytest.raises(Lost):
                test.end()

    def test_what_the_test_itself_loses_counts(self):
        """It is lost on a loop on which the test has a connection."""

        async def main():
            async with client(apps.silent) as communicator:
                receiving = asyncio.create_task(communicator.receive_json(0.001))
                await asyncio.sleep(0.01)
                del receiving

        with begun() as test:
            with pytest.raises(TimeoutError) as caught:
                asyncio.run(main())
            test.end()
        assert any("a task that was left behind" in n for n in caught.value.__notes__)

    def test_what_the_test_may_still_ask_for_counts_at_the_very_end(self):
        async def main():
            async with client(apps.silent):
                main.task = asyncio.create_task(crashing.aboom())
                await asyncio.sleep(0)

        async def ask():
            with pytest.raises(Lost):
                await main.task

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            test.end(last=False)
            runner.run(ask())
            test.end(last=True)
            runner.run(main())
            with pytest.raises(Lost):
                test.end(last=True)

    def test_a_crash_that_the_test_has_awaited_is_seen(self):
        async def main():
            communicator = client(apps.crash_after_accept)
            await communicator.connect()
            await communicator.send_to("go")
            with pytest.raises(LookupError):
                await communicator.future

        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_each_test_has_its_own(self):
        with begun() as outer:

            async def main():
                async with client(apps.silent):
                    pass

            asyncio.run(main())
            with begun() as inner:
                asyncio.run(conversation("timer"))
                with pytest.raises(Lost):
                    inner.end()
            outer.end()


class TestNeglect:
    """A connection that the test never disconnects."""

    def test_what_it_raises_when_it_is_cancelled(self):
        async def application(scope, receive, send):
            try:
                await apps.silent(scope, receive, send)
            finally:
                crashing.boom()

        async def main():
            await client(application).connect()

        for last in (True, False):
            with begun() as test, asyncio.Runner() as runner:
                runner.run(main())
                with pytest.raises(Lost):
                    test.end(last=last)

    def test_what_it_raises_when_its_loop_ends(self):
        async def application(scope, receive, send):
            try:
                await apps.silent(scope, receive, send)
            finally:
                crashing.boom()

        async def main():
            main.communicator = client(application)
            await main.communicator.connect()

        with begun() as test:
            asyncio.run(main())
            with pytest.raises(Lost):
                test.end()

    def test_what_it_expected_and_never_came(self):
        async def main():
            communicator = client(apps.silent)
            communicator.expect_errors(LookupError)
            await communicator.connect()

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            with pytest.raises(AssertionError, match="but none came"):
                test.end(last=False)

    def test_a_handler_that_failed_unseen(self):
        from tests.support import rooms

        async def main():
            communicator = rooms.client()
            await communicator.connect()
            await communicator.send_message(rooms.Break())
            await communicator.wait_until_idle()

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            with pytest.raises(LookupError, match="no such thing") as caught:
                test.end(last=False)
        assert any("ws#1" in note for note in caught.value.__notes__)

    def test_nothing_where_all_is_well(self):
        async def main():
            await client(apps.silent).connect()

        with begun() as test, asyncio.Runner() as runner:
            before = time.perf_counter()
            runner.run(main())
            test.end(last=False)
            assert time.perf_counter() - before < 0.1


class TestConnectionOfSeveralTests:
    """A connection of a fixture, on a loop that serves several tests."""

    @contextmanager
    def connected(self, application):
        communicator = client(application)
        runner = asyncio.Runner()
        with begun() as first:
            runner.run(communicator.connect())
            first.end()
        yield communicator, runner
        runner.close()

    @pytest.mark.parametrize("name", ["timer", "task", "thread", "crashed"])
    def test_fails_the_test_that_uses_it(self, name):
        with self.connected(getattr(crashing, name)) as (communicator, runner):

            async def use():
                await communicator.send_to("go")
                await communicator.wait_until_idle(LONG)

            with begun() as second:
                runner.run(use())
                with pytest.raises(LookupError):
                    second.end(last=False)

    def test_fails_no_other_test_and_is_not_lost(self):
        @crashing.when_asked
        async def application(scope):
            asyncio.get_running_loop().call_later(0.01, crashing.boom)

        async def nothing_of_ours():
            await asyncio.sleep(0.02)

        with self.connected(application) as (communicator, runner):
            with begun() as second:
                runner.run(communicator.send_to("go"))
                second.end()
            with begun() as bystander:
                runner.run(nothing_of_ours())
                bystander.end()
                assert bystander.timeline.ending is None
            with begun() as last, pytest.raises(Lost):
                runner.run(communicator.disconnect())
            last.end()
        assert not crashes.is_anybody_listening()


class TestWithoutARunner:
    """Where nobody ends the test, disconnect() raises what is known by then."""

    @pytest.fixture(autouse=True)
    def no_runner(self, monkeypatch):
        monkeypatch.setattr(timeline, "_running", [])

    @pytest.mark.parametrize(
        "factory", [idle.new_event_loop, asyncio.SelectorEventLoop]
    )
    @pytest.mark.parametrize("name", ["timer", "done_callback", "future", "task"])
    @pytest.mark.filterwarnings(
        "ignore::chanx_testing.core.idle.UnsupportedLoopWarning"
    )
    def test_a_crash_fails_the_test(self, name, factory):
        async def main():
            async with client(getattr(crashing, name)) as communicator:
                await communicator.send_to("go")
                await asyncio.sleep(0.01)

        with (
            asyncio.Runner(loop_factory=factory) as runner,
            pytest.raises(Lost),
        ):
            runner.run(main())
        # It listens for as long as its loop lives. Finalizers run in the first
        # collection, and what they touched goes in the second.
        del runner
        gc.collect()
        gc.collect()
        assert not crashes.is_anybody_listening()


class TestLifespan:
    def test_its_block_raises_what_failed_in_it(self):
        async def main():
            with pytest.raises(Lost):
                async with lifespan(crashing.in_lifespan):
                    await crashing.released()

        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_a_failure_of_the_block_stays_the_headline(self):
        async def main():
            async with lifespan(crashing.in_lifespan):
                await crashing.released()
                raise ZeroDivisionError

        with begun() as test:
            with pytest.raises(ZeroDivisionError) as caught:
                asyncio.run(main())
            test.end()
        assert "afterwards: Lost" in caught.value.__notes__[0]

    def test_one_that_never_ends_fails_the_test(self):
        """As one does that a fixture of the whole session has begun."""

        async def main():
            main.block = lifespan(crashing.in_lifespan)
            await main.block.__aenter__()
            await crashing.released()

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            with pytest.raises(Lost):
                test.end(last=False)

    def test_a_later_test_that_connects_to_it_is_failed(self):
        async def begin():
            begin.block = lifespan(crashing.in_lifespan)
            await begin.block.__aenter__()

        async def connect():
            async with client(crashing.in_lifespan):
                await crashing.released()

        # A loop that serves both tests, as one of a whole module does.
        runner = asyncio.Runner()
        with begun() as first:
            runner.run(begin())
            first.end(last=False)
        with begun() as second:
            runner.run(connect())
            with pytest.raises(Lost):
                second.end(last=False)
        runner.close()


class TestLeftovers:
    """Tasks that go on after their application has ended."""

    @pytest.mark.parametrize("closed", [True, False])
    def test_fail_the_test(self, closed):
        with begun() as test, asyncio.Runner() as runner:
            runner.run(conversation("outliving"))
            if closed:
                runner.close()
            with pytest.raises(LeftoverTaskWarning, match=r"the test: .* Event"):
                test.end()
            test.end()

    def test_are_a_warning_where_a_filter_says_so(self):
        with begun() as test:
            asyncio.run(conversation("outliving"))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", LeftoverTaskWarning)
                test.end()
        assert [each.category for each in caught] == [LeftoverTaskWarning]

    def test_are_none_where_the_test_has_dropped_the_application(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            scope["kept"] = asyncio.create_task(asyncio.Event().wait())
            await receive()

        async def main():
            await client(application).connect()

        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_are_none_where_they_are_those_of_a_package(self):
        """A channel layer keeps one running for every connection."""
        namespace = {"asyncio": asyncio}
        source = "async def listen():\n    await asyncio.Event().wait()"
        path = "/usr/lib/python3/site-packages/layer.py"
        exec(compile(source, path, "exec"), namespace)

        async def application(scope, receive, send):
            await apps.silent(scope, receive, send)
            scope["kept"] = asyncio.create_task(namespace["listen"]())

        async def main():
            async with client(application):
                pass

        with begun() as test:
            asyncio.run(main())
            test.end()

    def test_are_none_where_the_test_ends_them_itself(self):
        async def main():
            communicator = client(crashing.outliving)
            await communicator.connect()
            await communicator.disconnect()
            main.task = communicator.scope["kept"]

        async def clean_up():
            main.task.cancel()
            await asyncio.wait([main.task])

        with begun() as test:
            with asyncio.Runner() as runner:
                runner.run(main())
                runner.run(clean_up())
            test.end()

    def test_what_they_raise_at_their_end_fails_the_test(self):
        async def stubborn():
            try:
                await asyncio.Event().wait()
            finally:
                crashing.boom()

        async def application(scope, receive, send):
            await apps.silent(scope, receive, send)
            scope["kept"] = asyncio.create_task(stubborn())
            await asyncio.sleep(0)

        async def main():
            async with client(application):
                pass

        with begun() as test, asyncio.Runner() as runner:
            runner.run(main())
            with pytest.raises(Lost):
                test.end(last=False)
