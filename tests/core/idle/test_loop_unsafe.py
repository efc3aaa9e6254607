"""Another thread that touches the loop without call_soon_threadsafe is an error."""

import asyncio
import gc
import threading
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core.idle import (
    IdleEventLoop,
    UnsafeLoopAccess,
    wait,
    wait_until_idle,
)
from tests.support.idle import LONG, at_once, engaged_loop, on_idle_loop, proof


@on_idle_loop
async def test_a_queue_written_from_another_threads_loop_is_an_error() -> None:
    frames: asyncio.Queue[str] = asyncio.Queue()
    reports: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: reports.append(context["message"])
    )

    async def receive() -> str:
        return await frames.get()

    receiver = asyncio.create_task(receive())
    await asyncio.sleep(0)

    async def other() -> None:
        await asyncio.sleep(0.02)
        frames.put_nowait("unsafe")

    thread = threading.Thread(target=asyncio.run, args=(other(),), name="other-loop")
    thread.start()
    with at_once(), pytest.raises(UnsafeLoopAccess, match="thread other-loop"):
        await wait_until_idle(LONG)
    thread.join()
    # The frame has its effect all the same, so that the test can end.
    assert await receiver == "unsafe"
    assert "thread other-loop" in reports[0]
    assert "test_loop_unsafe.py:" in reports[0]


def at_once_unsafe(frames: "asyncio.Queue[str]") -> None:
    frames.put_nowait("unsafe")


def on_a_loop_of_its_own(frames: "asyncio.Queue[str]") -> None:
    asyncio.run(frames.put("unsafe"))


def through_asgiref(frames: "asyncio.Queue[str]") -> None:
    # asgiref runs it in a thread of its own, which knows no line of the user's.
    async_to_sync(frames.put)("unsafe")


@pytest.mark.parametrize("way", [at_once_unsafe, on_a_loop_of_its_own, through_asgiref])
@on_idle_loop
async def test_the_thread_and_the_line_are_those_of_the_user(
    way: Callable[["asyncio.Queue[str]"], None],
) -> None:
    frames: asyncio.Queue[str] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    receiver = asyncio.create_task(frames.get())
    await asyncio.sleep(0)
    thread = threading.Thread(target=way, args=(frames,), name="mine")
    thread.start()
    with at_once(), pytest.raises(UnsafeLoopAccess) as caught:
        await wait_until_idle(LONG)
    thread.join()
    await receiver
    assert caught.value.thread == "mine"
    # Its last line.
    line = max(number for _, _, number in way.__code__.co_lines() if number)
    assert caught.value.where == f"test_loop_unsafe.py:{line}"


@on_idle_loop
async def test_unsafe_access_before_a_wait_fails_the_next_one() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    thread = threading.Thread(target=loop.call_soon, args=(int,), name="unsafe")
    thread.start()
    thread.join()
    await asyncio.sleep(0.01)
    with pytest.raises(UnsafeLoopAccess, match="thread unsafe"):
        await wait(loop.create_future(), LONG)
    await proof()


@on_idle_loop
async def test_a_timer_set_by_another_thread_is_unsafe_access() -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    thread = threading.Thread(target=loop.call_later, args=(0.01, int), name="unsafe")
    thread.start()
    with pytest.raises(UnsafeLoopAccess, match="thread unsafe"):
        await wait_until_idle(LONG)
    thread.join()


@pytest.mark.parametrize("in_cycle", [False, True])
@on_idle_loop
async def test_a_finalizer_in_another_thread_is_no_unsafe_access(
    in_cycle: bool,
) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    waiter = asyncio.ensure_future(asyncio.wait([future]))
    await asyncio.sleep(0)

    class Finalized:
        me: object = None

        def __del__(self) -> None:
            future.cancel()

    box = [Finalized()]
    if in_cycle:
        box[0].me = box[0]

    def drop() -> None:
        box.clear()
        gc.collect()

    thread = threading.Thread(target=drop)
    thread.start()
    await proof()
    assert future.cancelled()
    assert waiter.done()
    thread.join()


def test_unsafe_access_in_debug_mode_neither_hangs_nor_is_lost() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        future: asyncio.Future[None] = loop.create_future()
        receiver = asyncio.ensure_future(asyncio.wait_for(future, None))
        await asyncio.sleep(0)
        thread = threading.Thread(target=future.set_result, args=(None,))
        thread.start()
        with pytest.raises(UnsafeLoopAccess):
            await wait_until_idle(LONG)
        thread.join()
        await receiver

    with asyncio.Runner(loop_factory=engaged_loop, debug=True) as runner:
        runner.run(main())


class TestBystander:
    """A test that uses no connection of ours: the loop does what asyncio's does."""

    def test_debug_mode_refuses_a_call_from_another_thread(self) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            with pytest.raises(RuntimeError, match="Non-thread-safe operation"):
                await asyncio.to_thread(loop.call_soon, int)

        with asyncio.Runner(loop_factory=IdleEventLoop, debug=True) as runner:
            runner.run(main())

    def test_nobody_is_told_of_unsafe_access(self) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            told: list[object] = []
            loop.set_exception_handler(lambda _, context: told.append(context))
            await asyncio.to_thread(loop.call_soon, int)
            await asyncio.to_thread(loop.call_later, 0, int)
            await asyncio.sleep(0)
            assert told == []

        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            runner.run(main())

    def test_a_closed_loop_says_so(self) -> None:
        async def main() -> asyncio.AbstractEventLoop:
            return asyncio.get_running_loop()

        # Its end shuts down the executor as well.
        with asyncio.Runner(loop_factory=IdleEventLoop) as runner:
            loop = runner.run(main())
        with pytest.raises(RuntimeError, match="Event loop is closed"):
            loop.run_in_executor(None, int)
