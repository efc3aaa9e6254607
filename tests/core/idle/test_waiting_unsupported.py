"""Loops that are not ours: no proof, one warning, the deadline."""

import asyncio
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chanx_testing.core.idle import (
    UnsupportedLoopWarning,
    VerdictKind,
    is_supported,
    wait,
    wait_until_idle,
    waiting,
)


@pytest.fixture(autouse=True)
def _first_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_warned", False)


def _uvloop() -> Any:
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.SelectorEventLoop, _uvloop], ids=["stock", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    factory: Callable[[], Any] = request.param
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


def test_the_wait_lasts_to_its_deadline_and_says_what_to_do(
    runner: asyncio.Runner,
) -> None:
    async def main() -> None:
        assert not is_supported(asyncio.get_running_loop())
        before = time.perf_counter()
        with pytest.warns(UnsupportedLoopWarning, match="cannot be observed"):
            verdict = await wait_until_idle(0.05)
        assert 0.04 < time.perf_counter() - before < 1
        assert verdict.kind is VerdictKind.UNSUPPORTED
        assert not verdict
        assert "loop_factory=chanx_testing.core.idle.new_event_loop" in str(verdict)

    runner.run(main())


def test_it_warns_once(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(3):
                await wait_until_idle(0, horizon=0)
        assert [warning.category for warning in caught] == [UnsupportedLoopWarning]

    runner.run(main())


@pytest.mark.filterwarnings("ignore::chanx_testing.core.idle.UnsupportedLoopWarning")
def test_a_completed_waiter_ends_the_wait(runner: asyncio.Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for timeout in (None, 10):
            waiter = loop.create_future()
            loop.call_later(0.01, waiter.set_result, None)
            assert await wait(waiter, timeout) is None

    runner.run(main())


@pytest.mark.filterwarnings("ignore::chanx_testing.core.idle.UnsupportedLoopWarning")
def test_the_wait_can_be_cancelled(runner: asyncio.Runner) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await wait_until_idle(10)

    runner.run(main())
