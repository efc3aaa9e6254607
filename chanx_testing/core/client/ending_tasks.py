"""Ending tasks, also those that do not let themselves be cancelled."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any, Final

CANCELLATIONS: Final = 10
"""How many times to cancel a task that swallows its cancellation."""


async def end_tasks(tasks: Collection["asyncio.Task[Any]"]) -> bool:
    """Cancel tasks, again where they go on, and then end them by force.

    ``asyncio.run()`` cancels the tasks that it knows of and waits until they are done:
    one that swallows every cancellation would never let it end.

    Returns:
        Whether all let themselves be cancelled, within a second.
    """
    going_on = set(tasks)
    for _ in range(CANCELLATIONS):
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=1 / CANCELLATIONS)
        if not going_on:
            return True
    for task in going_on:
        coroutine = task.get_coro()
        assert coroutine is not None
        # A coroutine that is closed may raise anything. If it awaits again instead,
        # Python raises a RuntimeError.
        with suppress(Exception):
            coroutine.close()
        task.cancel()
    done, going_on = await asyncio.wait(going_on, timeout=1 / CANCELLATIONS)
    for task in done:
        if not task.cancelled():
            task.exception()
    for task in going_on:
        # A task that awaits even now is taken out of asyncio's list of tasks, or
        # asyncio.run() would wait for it forever. The function is private, and the same
        # in 3.11 to 3.14; where it is missing, nothing can be done.
        unregister = getattr(asyncio, "_unregister_task", None)
        if unregister is not None:
            unregister(task)
    return False
