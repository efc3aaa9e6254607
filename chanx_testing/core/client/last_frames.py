"""What the test has sent last is handled, although nobody waits for that any more.

A test may end right after a frame was sent, and an application be dropped before it has
read it. With a real server it gets the frame all the same, and what it raises then has
to fail the test.
"""

import asyncio
from typing import Any, Final

from chanx_testing.core import idle
from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.idle.verdict import (
    UnsafeLoopAccess,
    VerdictKind,
    WrongVerdict,
)

LOOK_SECONDS: Final = 0.1
"""How long to wait where no proof is to be had."""

WORK_SECONDS: Final = 1.0
"""How long to wait while work of the application goes on that must end."""


async def handled() -> None:
    """Wait until the running loop has settled, or it is no use to wait longer."""
    loop = asyncio.get_running_loop()
    try:
        await _settled(loop)
    except (UnsafeLoopAccess, WrongVerdict) as error:
        # Nobody sees it here: it is for the end of the test.
        assert isinstance(loop, IdleEventLoop)
        loop.monitor.errors.insert(0, error)


async def _settled(loop: asyncio.AbstractEventLoop) -> None:
    latest = loop.time() + WORK_SECONDS
    while True:
        verdict = await idle.wait_until_idle(LOOK_SECONDS, horizon=0)
        if verdict.kind is not VerdictKind.DEADLINE or not verdict.at_work:
            return
        if loop.time() >= latest:
            return


async def cancel_when_handled(task: "asyncio.Task[Any]") -> None:
    """Cancel the task of an application that was dropped, as soon as it is at rest."""
    try:
        await handled()
    finally:
        # To cancel one that has failed would tell asyncio that somebody has seen it.
        if not task.done():
            task.cancel()
