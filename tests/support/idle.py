"""What the tests of the idle proof share."""

import asyncio
import functools
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from chanx_testing.core.idle import IdleEventLoop, Verdict, VerdictKind, wait_until_idle
from chanx_testing.core.idle.current_test import new_test

# Seconds that no test may need: a wait that lasts this long has missed the proof.
LONG = 5.0
# Seconds of work; long enough to be missed by a wrong verdict.
JOB = 0.1
# What a proof may take on a busy machine; a wait for a deadline takes LONG.
AT_ONCE = 1.0


def engaged_loop() -> IdleEventLoop:
    """Make a loop as a test has it that has used a connection of ours."""
    loop = IdleEventLoop()
    loop.engage()
    return loop


def run_as_a_new_test(main: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine as a test of its own: what is there now is older than it."""
    with new_test(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
        return runner.run(main)


def until_it_waits(thread: "threading.Thread | int") -> None:
    """Return when a thread has come to rest: it is where it was a while ago."""
    ident = thread if isinstance(thread, int) else thread.ident
    before: object = None
    while True:
        frame = sys._current_frames().get(ident or 0)
        now = None if frame is None else (frame.f_code, frame.f_lasti)
        if now is not None and now == before:
            return
        before = now
        del frame
        time.sleep(0.002)


def on_idle_loop(
    test: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., None]:
    """Run an async test in a new observable loop, whatever plugins are there."""

    @functools.wraps(test)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=engaged_loop) as runner:
            runner.run(test(*args, **kwargs))

    return wrapper


@contextmanager
def fine_switching() -> Iterator[None]:
    """Let threads take over from each other almost anywhere."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def at_once() -> Iterator[None]:
    """The block waits for nothing that has a length of time."""
    before = time.perf_counter()
    yield
    taken = time.perf_counter() - before
    assert taken < AT_ONCE, f"took {taken:.3f} s"


async def not_idle(words: str) -> None:
    """The verdict of a short wait, which must not be a proof, and has these words."""
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert words in str(verdict)


async def proof() -> Verdict:
    """The verdict of a long wait, which must be a proof and not the deadline."""
    before = time.perf_counter()
    verdict = await wait_until_idle(LONG)
    assert verdict, str(verdict)
    assert time.perf_counter() - before < LONG - 1
    return verdict
