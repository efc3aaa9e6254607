"""A thread that calls into a loop gets an answer, also when the loop is closed."""

import asyncio
import concurrent.futures
import gc
import threading

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from chanx_testing.core.idle import wait_until_idle
from chanx_testing.core.idle.callers import (
    CALL_OF_ASGIREF,
    CALL_OF_ASYNCIO,
    ROUNDS,
    call_in,
)
from chanx_testing.core.idle.loop import IdleEventLoop

SECONDS = 10
"""How long a thread may take that would otherwise wait forever."""


class DaemonExecutor(concurrent.futures.Executor):
    """Runs each job in a thread that does not keep the interpreter from ending."""

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        future.set_running_or_notify_cancel()

        def run():
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future


class Handler:
    """A synchronous handler that calls into its loop when it is told to."""

    def __init__(self, call):
        self.call = call
        self.at_work = threading.Event()
        self.go_on = threading.Event()
        self.called = threading.Event()
        self.result = concurrent.futures.Future()

    def run(self):
        self.at_work.set()
        self.go_on.wait(SECONDS)
        try:
            self.result.set_result(self.call())
        except BaseException as error:
            self.result.set_exception(error)

    def let_it_call(self):
        """Come back when the call has been posted."""
        self.go_on.set()
        assert self.called.wait(SECONDS)

    async def start(self):
        """Start it, in a task of its own that nobody waits for."""
        job = sync_to_async(
            self.run, thread_sensitive=False, executor=DaemonExecutor()
        )()
        task = asyncio.create_task(job)
        await asyncio.to_thread(self.at_work.wait, SECONDS)
        return task


class Ending(IdleEventLoop):
    """Lets a handler call at one moment of its end."""

    handler = None
    moment = None

    def call_soon_threadsafe(self, *args, **kwargs):
        handle = super().call_soon_threadsafe(*args, **kwargs)
        if self.handler is not None and self.handler.go_on.is_set():
            self.handler.called.set()
        return handle

    async def shutdown_asyncgens(self):
        if self.moment == "while it shuts down":
            self.handler.let_it_call()
        await super().shutdown_asyncgens()

    def close(self):
        if self.moment == "right before it is closed" and not self.is_closed():
            self.handler.let_it_call()
        super().close()


async def never():
    await asyncio.get_running_loop().create_future()


def by_asgiref():
    async_to_sync(never)()


MOMENTS = ["at the end of the test", "while it shuts down", "right before it is closed"]


def run_and_close(handler, moment, *, ours=True):
    """Run a test that leaves the handler at work, and close its loop."""

    async def main():
        loop = asyncio.get_running_loop()
        tasks.append(await handler.start())
        if ours:
            await wait_until_idle(0)
        loop.handler, loop.moment = handler, moment
        if moment == "at the end of the test":
            handler.let_it_call()

    tasks = []
    with asyncio.Runner(loop_factory=Ending) as runner:
        loops.append(runner.get_loop())
        runner.run(main())


loops = []


@pytest.fixture(autouse=True)
def forgotten():
    yield
    loops.clear()


def test_the_private_names_are_there():
    """Fails where a release of asgiref, or of Python, changes them."""
    assert CALL_OF_ASGIREF is not None
    assert CALL_OF_ASYNCIO is not None


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_call_by_async_to_sync_is_cancelled(moment):
    handler = Handler(by_asgiref)
    run_and_close(handler, moment)
    error = handler.result.exception(SECONDS)
    assert isinstance(error, asyncio.CancelledError)


def test_it_says_why_when_its_task_had_not_begun():
    handler = Handler(by_asgiref)
    run_and_close(handler, "at the end of the test")
    assert "the test has ended" in str(handler.result.exception(SECONDS))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_call_by_run_coroutine_threadsafe_is_cancelled(moment):
    def call():
        asyncio.run_coroutine_threadsafe(never(), loops[0]).result()

    handler = Handler(call)
    run_and_close(handler, moment)
    error = handler.result.exception(SECONDS)
    assert isinstance(
        error, (asyncio.CancelledError, concurrent.futures.CancelledError)
    )


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_call_does_at_its_end_is_done(moment):
    """Where it has begun: it is cancelled like every task that the loop leaves."""
    begun, ended = threading.Event(), threading.Event()

    async def clean():
        begun.set()
        try:
            await never()
        finally:
            await asyncio.sleep(0)
            ended.set()

    handler = Handler(lambda: async_to_sync(clean)())
    run_and_close(handler, moment)
    assert isinstance(handler.result.exception(SECONDS), asyncio.CancelledError)
    assert begun.is_set() == ended.is_set() == (moment != MOMENTS[0])


def test_a_call_that_ends_by_itself_has_its_result():
    async def answer():
        return 42

    handler = Handler(lambda: async_to_sync(answer)())
    run_and_close(handler, "while it shuts down")
    assert handler.result.result(SECONDS) == 42


# What is under way when patience ends is destroyed with its loop, as asyncio does it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_handler_that_calls_again_and_again_cannot_keep_the_loop_open():
    calls = []

    async def sleep():
        calls.append(asyncio.get_running_loop())
        # On the loop of the test until that is closed, then on a loop of asgiref's own.
        if isinstance(calls[-1], Ending):
            await never()

    def stubborn():
        for _ in range(5 * ROUNDS):
            try:
                return async_to_sync(sleep)()
            except asyncio.CancelledError:
                continue
        return None

    handler = Handler(stubborn)
    run_and_close(handler, "while it shuts down")
    assert handler.result.exception(SECONDS) is None
    assert loops[0].is_closed()
    assert not isinstance(calls[-1], Ending)
    calls.clear()
    loops.clear()
    gc.collect()


def test_a_call_that_does_not_let_itself_be_cancelled_is_asked_again(monkeypatch):
    monkeypatch.setattr("chanx_testing.core.idle.callers.PATIENCE", 0.01)
    cancelled = []

    async def stubborn():
        while len(cancelled) < ROUNDS - 1:
            try:
                await never()
            except asyncio.CancelledError as error:
                cancelled.append(error)

    handler = Handler(lambda: async_to_sync(stubborn)())
    run_and_close(handler, "while it shuts down")
    assert handler.result.result(SECONDS) is None
    assert len(cancelled) == ROUNDS - 1


def test_a_loop_that_no_wait_of_ours_has_used_leaves_them_alone():
    """As asyncio does: whoever has not asked for it notices nothing."""
    futures, coro = [], never()

    def call():
        futures.append(asyncio.run_coroutine_threadsafe(coro, loops[0]))

    handler = Handler(call)
    run_and_close(handler, "right before it is closed", ours=False)
    handler.result.result(SECONDS)
    assert not futures[0].done()
    coro.close()


def test_a_thread_that_comes_later_is_told_by_asyncio():
    handler = Handler(by_asgiref)
    loop = Ending()
    loop.close()
    coro = never()
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run_coroutine_threadsafe(coro, loop)
    coro.close()
    assert not loop.callers._unanswered
    assert not handler.result.done()


async def test_an_answer_is_forgotten():
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(
        lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
    )
    await sync_to_async(lambda: async_to_sync(asyncio.sleep)(0))()
    assert not loop.callers._unanswered


def test_a_callback_that_nobody_waits_for_is_none_of_them():
    assert call_in(print, ()) is None
    assert call_in(lambda: None, ()) is None
    assert call_in(print, ("text",)) is None


def test_a_loop_may_be_closed_while_another_one_runs():
    """There nothing can be run any more, and the thread is answered nevertheless."""
    handler = Handler(by_asgiref)
    loop = Ending()

    async def main():
        task = await handler.start()
        await wait_until_idle(0)
        task.cancel()
        await asyncio.wait([task])

    async def close():
        loop.handler = handler
        handler.let_it_call()
        loop.close()

    loop.run_until_complete(main())
    asyncio.run(close())
    assert isinstance(handler.result.exception(SECONDS), asyncio.CancelledError)
