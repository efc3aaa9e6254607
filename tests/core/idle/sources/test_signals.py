"""Signal handlers: a signal may come while one is set."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from chanx_testing.core.idle import VerdictKind, wait_until_idle
from chanx_testing.core.idle.sources.signals import Signals
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


pytestmark = pytest.mark.skipif(
    not hasattr(signal, "SIGUSR1"), reason="Windows has no signals for users"
)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_handler_of_the_loop_is_open() -> None:
    signals = Signals()
    assert not signals.is_open()
    signals.add(signal.SIGUSR1)
    assert signals.is_open()
    assert signals.may_end_a_deadlock()
    assert signals.phrases() == ["signal handler SIGUSR1"]
    signals.remove(signal.SIGUSR1)
    signals.remove(signal.SIGUSR1)
    assert not signals.is_open()


def test_a_handler_of_the_user_may_end_a_deadlock() -> None:
    signals = Signals()
    assert not signals.may_end_a_deadlock()
    signal.signal(signal.SIGUSR1, lambda *_: None)
    assert signals.may_end_a_deadlock()
    assert not signals.is_open()


def test_a_handler_of_a_test_timeout_may_not() -> None:
    def fail_the_test(*_: object) -> None: ...

    fail_the_test.__module__ = "pytest_timeout"
    signal.signal(signal.SIGUSR1, fail_the_test)
    assert not Signals().may_end_a_deadlock()
