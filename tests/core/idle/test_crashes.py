"""What fails where nobody waits is told to whoever listens, and kept for nobody."""

import asyncio
import concurrent.futures
import gc
import logging
import threading
import weakref
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context

import pytest

from chanx_testing.core.idle import IdleEventLoop, crashes
from chanx_testing.core.idle.crashes import HandedOver
from tests.support.crashing import Lost, aboom, boom
from tests.support.idle import on_idle_loop

origin: ContextVar[str] = ContextVar("origin", default="unknown")


class Listener:
    """Keeps what it is told."""

    def __init__(self, takes=True):
        self.takes = takes
        self.crashes = []
        self.runs = []

    def crashed(self, crash):
        self.crashes.append(crash)
        return self.takes

    def run_ended(self, loop, *, closing):
        self.runs.append(closing)


@contextmanager
def listening(**options):
    listener = Listener(**options)
    with crashes.told_to(weakref.ref(listener)):
        yield listener


def origins(crash):
    return [context.get(origin) for context in crash.contexts]


@pytest.fixture(autouse=True)
def no_log(caplog):
    caplog.set_level(logging.CRITICAL, logger="asyncio")


@pytest.fixture
def silent_threads(monkeypatch):
    """Keep pytest from reporting the exceptions of threads; return what it was told."""
    told = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    return told


async def pause():
    await asyncio.sleep(0.005)


async def until(condition):
    """Wait for something that a thread does."""
    while not condition():  # noqa: ASYNC110 - a thread sets no event of the loop
        await asyncio.sleep(0.001)


class TestLoops:
    @on_idle_loop
    async def test_a_callback_has_the_context_in_which_it_was_set(self):
        loop = asyncio.get_running_loop()
        with listening() as listener:
            origin.set("a")
            loop.call_soon(boom)
            origin.set("b")
            loop.call_later(0.001, boom)
            await pause()
        assert [origins(crash) for crash in listener.crashes] == [["a"], ["b"]]
        assert {type(crash.error) for crash in listener.crashes} == {Lost}
        assert {crash.loop for crash in listener.crashes} == {loop}

    @on_idle_loop
    async def test_a_lost_task_has_the_contexts_of_its_creator_and_its_own(self):
        given = Context()
        given.run(origin.set, "given")
        with listening() as listener:
            origin.set("creator")
            asyncio.create_task(aboom(), context=given)  # noqa: RUF006 - lost
            await pause()
        (crash,) = listener.crashes
        assert origins(crash) == ["given", "creator"]
        assert crash.place == "aboom, a task that was left behind"
        assert crash.mark == crashes.mark()

    @on_idle_loop
    async def test_a_lost_task_in_a_cycle_is_known(self):
        with listening() as listener:
            origin.set("cycle")
            box = [asyncio.create_task(aboom())]
            box[0].add_done_callback(lambda _, box=box: None)
            box.append(box)
            await pause()
            del box
            gc.collect()
        assert [origins(crash) for crash in listener.crashes] == [["cycle"]]

    @on_idle_loop
    async def test_a_task_that_is_older_is_told_from_a_new_one(self):
        async def fail_when(event):
            await event.wait()
            boom()

        event = asyncio.Event()
        asyncio.create_task(fail_when(event))  # noqa: RUF006 - lost
        await asyncio.sleep(0)
        with listening() as listener:
            since = crashes.mark()
            event.set()
            await pause()
        (crash,) = listener.crashes
        assert crash.mark < since

    @on_idle_loop
    async def test_a_lost_future(self):
        loop = asyncio.get_running_loop()
        older = loop.create_future()
        with listening() as listener:
            origin.set("a")
            loop.create_future().set_exception(Lost())
            older.set_exception(Lost())
            del older
        (crash,) = listener.crashes
        assert origins(crash) == ["a"]

    @on_idle_loop
    async def test_a_job_whose_result_is_lost(self):
        with listening() as listener:
            origin.set("a")
            asyncio.get_running_loop().run_in_executor(None, boom)
            await until(lambda: listener.crashes)
        (crash,) = listener.crashes
        assert origins(crash) == ["a"]
        assert "a job in an executor" in crash.place

    @on_idle_loop
    async def test_what_is_held_can_be_taken_and_is_silent_then(self):
        loop = asyncio.get_running_loop()
        with listening() as listener:
            future, task = loop.create_future(), asyncio.create_task(aboom())
            future.set_exception(Lost())
            await pause()

            def wanted(crash):
                return crash.mark == crashes.mark()

            found = loop.futures_created.take_crashes(loop, wanted)
            found += loop.tasks_created.take_crashes(loop, wanted)
            assert [crash.error for crash in found] == [
                future.exception(),
                task.exception(),
            ]
            assert loop.futures_created.take_crashes(loop, wanted) == []
            del future, task
        assert listener.crashes == []

    @on_idle_loop
    async def test_what_somebody_asks_for_is_none(self):
        loop = asyncio.get_running_loop()
        with listening() as listener:
            future = loop.create_future()
            future.set_exception(Lost())
            for lost in (future, asyncio.create_task(aboom())):
                with pytest.raises(Lost):
                    await lost
            with pytest.raises(Lost):
                await loop.run_in_executor(None, boom)
            del future, lost
        assert listener.crashes == []

    @on_idle_loop
    async def test_the_handler_of_the_user_is_called_as_before(self):
        loop = asyncio.get_running_loop()
        reports = []
        loop.set_exception_handler(lambda loop, report: reports.append(report))
        with listening() as listener:
            loop.call_soon(boom)
            await pause()
        assert [report["message"][:21] for report in reports] == [
            "Exception in callback"
        ]
        assert len(listener.crashes) == 1

    def test_a_loop_that_is_not_ours_can_be_noted(self):
        async def main():
            loop = asyncio.get_running_loop()
            with crashes.reports_noted(loop):
                loop.call_soon(boom)
                loop.create_future().set_exception(Lost())
                await pause()
            assert "call_exception_handler" not in vars(loop)

        with (
            listening() as listener,
            asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
        ):
            runner.run(main())
        assert sorted(crash.place[:20] for crash in listener.crashes) == [
            "a callback of the ev",
            "the event loop, whic",
        ]

    @on_idle_loop
    async def test_the_futures_that_are_gone_are_forgotten(self):
        loop = asyncio.get_running_loop()
        with listening():
            for _ in range(5000):
                loop.create_future()
        assert len(loop.futures_created._known) < 1100

    def test_the_end_of_a_run_is_told(self):
        async def leave():
            leave.task = asyncio.create_task(asyncio.sleep(60))

        with (
            listening() as listener,
            asyncio.Runner(loop_factory=IdleEventLoop) as runner,
        ):
            runner.run(leave())
            runner.run(pause())
            assert listener.runs == [False, False]
            runner.close()
        # It cancels its tasks, and then runs coroutines of its own.
        assert listener.runs[:3] == [False, False, True]
        assert True not in listener.runs[3:]


class TestHandedOver:
    """A coroutine that a thread hands to the loop."""

    def hand_over(self, loop):
        return asyncio.run_coroutine_threadsafe(aboom(), loop)

    @on_idle_loop
    async def test_says_whether_it_was_asked(self):
        loop = asyncio.get_running_loop()
        with listening() as listener:
            origin.set("a")
            future = await asyncio.to_thread(self.hand_over, loop)
            await until(future.done)
            (crash,) = listener.crashes
            assert origins(crash) == ["a"]
            assert isinstance(crash.error, Lost)
            assert not crash.asked()
            with pytest.raises(Lost):
                future.result()
            assert crash.asked()

    @on_idle_loop
    async def test_is_asked_by_whoever_waits_for_it_in_any_way(self):
        loop = asyncio.get_running_loop()

        def ask():
            with pytest.raises(Lost):
                self.hand_over(loop).result()
            assert isinstance(self.hand_over(loop).exception(), Lost)
            self.hand_over(loop).add_done_callback(lambda future: future.exception())

        with listening() as listener:
            await asyncio.to_thread(ask)
            with pytest.raises(Lost):
                await asyncio.wrap_future(self.hand_over(loop))
            await until(lambda: len(listener.crashes) == 4)
            assert [crash.asked() for crash in listener.crashes] == [True] * 4

    @on_idle_loop
    async def test_is_not_asked_by_a_question_that_was_given_up(self):
        loop = asyncio.get_running_loop()

        async def slow():
            await pause()
            boom()

        def give_up():
            future = asyncio.run_coroutine_threadsafe(slow(), loop)
            with pytest.raises(TimeoutError):
                future.result(0)

        with listening() as listener:
            await asyncio.to_thread(give_up)
            await until(lambda: listener.crashes)
            assert [crash.asked() for crash in listener.crashes] == [False]

    @on_idle_loop
    async def test_a_cancelled_one_has_not_failed(self):
        loop = asyncio.get_running_loop()
        with listening() as listener:
            future = await asyncio.to_thread(
                asyncio.run_coroutine_threadsafe, asyncio.sleep(60), loop
            )
            assert type(future) is HandedOver
            future.cancel()
            await pause()
        assert listener.crashes == []

    def test_the_details_of_asyncio_are_there(self):
        """If not, such a coroutine fails no test."""
        assert crashes.HANDING_OVER is not None

    @on_idle_loop
    async def test_the_context_of_a_callback_is_there(self):
        """If not, a callback is told by its loop alone."""
        handle = asyncio.get_running_loop().call_soon(int)
        assert isinstance(crashes.context_of_callback(handle), Context)
        assert crashes.context_of_callback(object()) is None


class TestThreads:
    def fail_in_a_thread(self):
        thread = threading.Thread(target=boom)
        thread.start()
        thread.join()

    def test_has_the_context_in_which_it_was_started(self, silent_threads):
        with listening() as listener:
            origin.set("a")
            self.fail_in_a_thread()
        (crash,) = listener.crashes
        assert origins(crash) == ["a"]
        assert crash.loop is None
        assert crash.mark == crashes.mark()
        assert "(boom)" in crash.place

    def test_the_hook_of_the_user_is_called_as_before(self, silent_threads):
        with listening():
            self.fail_in_a_thread()
        assert [type(args.exc_value) for args in silent_threads] == [Lost]

    def test_a_thread_that_is_older_is_nobodys(self, silent_threads):
        go = threading.Event()

        def work():
            go.wait()
            boom()

        thread = threading.Thread(target=work)
        thread.start()
        with listening() as listener:
            go.set()
            thread.join()
        assert listener.crashes == []

    def test_system_exit_ends_a_thread_without_a_failure(self, silent_threads):
        def leave():
            raise SystemExit

        with listening() as listener:
            thread = threading.Thread(target=leave)
            thread.start()
            thread.join()
        assert listener.crashes == []


class TestListeners:
    def test_the_one_that_began_last_is_asked_first(self, silent_threads):
        with listening() as outer, listening() as inner:
            TestThreads().fail_in_a_thread()
            assert (len(outer.crashes), len(inner.crashes)) == (0, 1)
            inner.takes = False
            TestThreads().fail_in_a_thread()
            assert (len(outer.crashes), len(inner.crashes)) == (1, 2)

    @on_idle_loop
    async def test_without_one_nothing_differs(self):
        """An exception that nobody waits for lives no longer than without us."""
        before = threading.Thread.start, threading.excepthook
        with listening():
            assert threading.Thread.start is not before[0]
        assert (threading.Thread.start, threading.excepthook) == before

        class Gone(Exception):
            pass

        loop = asyncio.get_running_loop()
        future = loop.create_future()
        error = Gone()
        gone = weakref.ref(error)
        future.set_exception(error)
        del future, error
        assert gone() is None
        assert loop.futures_created._known == {}
        asked = asyncio.run_coroutine_threadsafe(pause(), loop)
        assert type(asked) is concurrent.futures.Future
        await asyncio.wrap_future(asked)

    def test_who_started_the_thread_is_asked_where_nobody_else_takes_it(self):
        """A thread of a pool may have been started by an earlier test."""
        crash = crashes.Crash(Lost(), "a callback", (), None)

        def tell():
            origin.set("starter")
            thread = threading.Thread(target=crashes.tell, args=(crash,))
            thread.start()
            thread.join()

        with listening(takes=False) as nobody:
            copy_context().run(tell)
        assert [origins(each) for each in nobody.crashes] == [[], ["starter"]]
        with listening() as somebody:
            copy_context().run(tell)
        assert somebody.crashes == [crash]

    def test_one_that_is_gone_is_passed_over(self, silent_threads):
        listener = Listener()
        with crashes.told_to(weakref.ref(listener)):
            del listener
            TestThreads().fail_in_a_thread()
