"""Threads that have called into a loop and wait for its answer.

A synchronous handler that runs in a thread sends by ``async_to_sync()``: it posts a
coroutine to the loop of the application, and waits. When the loop is closed before it
has answered, nobody ever will. The thread waits forever, and so does whoever needs that
thread: asgiref has one for the whole process, and under ``async_to_sync()`` it is the
main thread. The run stands still without a word.

There are two ways into it. A call that is posted when the runner has cancelled all
tasks, and before it closes the loop, begins and never ends. One whose task is cancelled
before its first step is over before asgiref can say so.

A loop of ours that is closed therefore ends such calls as the runner ended all others:
it cancels them, and the thread sees that its call was cancelled.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from types import CodeType, CoroutineType, FunctionType
from typing import Any, Final

from asgiref.sync import AsyncToSync


def _detect_call_of_asgiref() -> CodeType | None:
    code = getattr(getattr(AsyncToSync, "main_wrap", None), "__code__", None)
    if isinstance(code, CodeType) and "call_result" in code.co_varnames:
        return code
    return None


def _detect_call_of_asyncio() -> CodeType | None:
    for constant in asyncio.run_coroutine_threadsafe.__code__.co_consts:
        if isinstance(constant, CodeType) and "future" in constant.co_freevars:
            return constant
    return None


CALL_OF_ASGIREF: Final = _detect_call_of_asgiref()
"""The coroutine that ``async_to_sync()`` posts to the loop."""

CALL_OF_ASYNCIO: Final = _detect_call_of_asyncio()
"""The callback that ``run_coroutine_threadsafe()`` posts to the loop."""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a thread into a loop.

    Attributes:
        answer: Where the thread waits.
        coros: What the loop is to run for it.
    """

    answer: "Future[Any]"
    coros: tuple[Any, ...]

    def cancel(self) -> None:
        """Let the thread see that its call is cancelled, unless it is answered."""
        # Not Future.cancel(), whose error has no text, and which a future refuses that
        # is marked as running.
        with suppress(InvalidStateError):
            self.answer.set_exception(
                asyncio.CancelledError(
                    "The loop that this call was sent to is closed, because the test "
                    "has ended. A synchronous handler, or a thread of the application, "
                    "was still at work: disconnect its connection in the test, or wait "
                    "for what it does."
                )
            )
        for coro in self.coros:
            # Otherwise Python warns that it was never awaited.
            if inspect.iscoroutine(coro) and (
                inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
            ):
                coro.close()


def is_call(coro: object) -> bool:
    """Return whether a thread calls this coroutine by ``async_to_sync()``."""
    return type(coro) is CoroutineType and coro.cr_code is CALL_OF_ASGIREF


def call_by(coro: Any) -> Call | None:
    """Return the call that a coroutine is; None where it is none, or has ended."""
    # It has a frame until it has ended.
    if not is_call(coro) or coro.cr_frame is None:
        return None
    values = coro.cr_frame.f_locals
    answer = values.get("call_result")
    if not isinstance(answer, Future):
        return None
    return Call(answer, (coro, values.get("awaitable")))


def call_in(callback: object, args: tuple[Any, ...]) -> Call | None:
    """Return the call that a thread posts by this callback; None where it is none."""
    if args:
        return call_by(args[0])
    if type(callback) is FunctionType and callback.__code__ is CALL_OF_ASYNCIO:
        cells = zip(
            callback.__code__.co_freevars, callback.__closure__ or (), strict=True
        )
        values = {name: cell.cell_contents for name, cell in cells}
        if isinstance(answer := values.get("future"), Future):
            return Call(answer, (values.get("coro"),))
    return None


class Callers:
    """The threads that wait for answers of one loop.

    Attributes:
        are_ours: Whether a wait of ours has used the loop. Otherwise nothing is done:
            the test has not asked for it.
    """

    def __init__(self) -> None:
        self.are_ours = False
        # Re-entrant: a garbage collection may come in between, and a finalizer that it
        # runs may post something or close another loop.
        self._lock = threading.RLock()
        self._unanswered: set[Call] = set()

    def post(self, call: Call, post: Callable[[], asyncio.Handle]) -> asyncio.Handle:
        """Post a call to the loop, and note that a thread waits for its answer.

        Args:
            call: The call.
            post: Posts it; raises where the loop is closed, and then nobody waits.
        """
        # The loop is not closed between the two.
        with self._lock:
            handle = post()
            self._unanswered.add(call)
        call.answer.add_done_callback(lambda _: self._unanswered.discard(call))
        return handle

    def watch(self, task: "asyncio.Task[Any]") -> None:
        """See to it that the task of a call has answered when it has ended.

        One that is cancelled before its first step has not.
        """
        call = call_by(task.get_coro())

        def ended(task: "asyncio.Task[Any]") -> None:
            if self.are_ours and task.cancelled() and call is not None:
                call.cancel()

        task.add_done_callback(ended)

    def close(self, loop: asyncio.AbstractEventLoop, close: Callable[[], None]) -> None:
        """Close the loop when it has answered everybody.

        Args:
            loop: The loop.
            close: Closes it.
        """
        for _ in range(ROUNDS):
            with self._lock:
                if not self.are_ours or not self._unanswered or not _may_run(loop):
                    close()
                    break
            loop.run_until_complete(_cancel_all_tasks())
        else:
            close()
        if self.are_ours:
            for call in tuple(self._unanswered):
                call.cancel()


ROUNDS: Final = 10
"""How often a thread may answer a cancelled call by the next one."""

PATIENCE: Final = 1.0
"""Seconds that tasks are given to let themselves be cancelled."""


def _may_run(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether the calling thread may run a loop now."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return not loop.is_closed()
    return False


async def _cancel_all_tasks() -> None:
    """Cancel every task, as the runner has done, with those that have come since."""
    # What has been posted becomes a task, and the task begins.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=PATIENCE)
