"""Signal handlers: a signal may come while one is set."""

import asyncio
import os
import signal
import threading

from chanx_testing.core.idle import VerdictKind, wait_until_idle
from tests.support.idle import at_once, on_idle_loop, proof


@on_idle_loop
async def test_a_signal_handler_counts_while_it_is_set() -> None:
    loop = asyncio.get_running_loop()
    seen: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "signal")
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    verdict = await wait_until_idle(0.2)
    assert verdict.kind is VerdictKind.DEADLINE
    assert "signal handler SIGUSR1" in str(verdict)
    assert seen == ["signal"]
    timer.join()
    assert loop.remove_signal_handler(signal.SIGUSR1)
    with at_once():
        await proof()
