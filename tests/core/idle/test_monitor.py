"""The judge asks its sources, whatever they are."""

import asyncio
from typing import ClassVar

import pytest

from chanx_testing.core.idle import IdleEventLoop, VerdictKind, wait_until_idle


class Thing:
    """A source that is open for as long as it is told."""

    wakes_the_loop: ClassVar[bool] = False
    is_outside: ClassVar[bool] = False

    def __init__(self) -> None:
        self.open = True
        self.works = False
        self.asked = 0

    def is_open(self) -> bool:
        self.asked += 1
        return self.open

    def may_end_a_deadlock(self) -> bool:
        return self.open

    def phrases(self) -> list[str]:
        return ["a thing under way"] if self.open else []

    def at_work(self) -> list[str]:
        return self.phrases() if self.works else []


class Waking(Thing):
    wakes_the_loop = True


class Outside(Waking):
    is_outside = True


def run(thing: Thing, main: "asyncio._CoroutineLike[object]") -> object:
    """Run on a loop whose monitor has one source more."""

    class Loop(IdleEventLoop):
        def __init__(self) -> None:
            super().__init__()
            kind = "_waking" if thing.wakes_the_loop else "_silent"
            monitor = self.monitor
            monitor._sources = (*monitor._sources, thing)
            setattr(monitor, kind, [*getattr(monitor, kind), thing])

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [Thing, Waking, Outside])
def test_a_source_that_is_open_is_the_reason_at_the_deadline(kind: type[Thing]) -> None:
    verdict = run(kind(), wait_until_idle(0.02))
    assert verdict.kind is VerdictKind.DEADLINE  # type: ignore[attr-defined]
    assert "a thing under way" in verdict.reasons  # type: ignore[attr-defined]


def test_a_source_that_says_nothing_is_asked_again() -> None:
    thing = Thing()

    async def main() -> object:
        # An end that wakes nobody: only asking again finds it.
        thing.is_open = lambda: thing.asked < 3 and Thing.is_open(thing)  # type: ignore[method-assign]
        return await wait_until_idle(60)

    assert run(thing, main())
    assert thing.asked == 3


def test_a_source_that_wakes_the_loop_is_asked_when_it_does() -> None:
    thing = Waking()

    async def main() -> object:
        def end() -> None:
            thing.open = False

        # As long as it is open nobody asks again, until something wakes the loop.
        asyncio.get_running_loop().call_later(0.02, end)
        return await wait_until_idle(60)

    assert run(thing, main())
    assert thing.asked < 10


def test_a_loop_at_rest_but_for_the_outside_is_quiet() -> None:
    verdict = run(Outside(), wait_until_idle(0.02, horizon=0))
    assert verdict.kind is VerdictKind.QUIET  # type: ignore[attr-defined]
    assert verdict.reasons == ("a thing under way",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("works", [True, False])
def test_the_verdict_knows_what_must_end(works: bool) -> None:
    thing = Waking()
    thing.works = works
    verdict = run(thing, wait_until_idle(0.02))
    assert verdict.at_work == ("a thing under way",) * works  # type: ignore[attr-defined]


def test_the_loop_itself_is_at_work_where_callbacks_are_always_ready() -> None:
    async def main() -> object:
        async def spin() -> None:
            while True:  # noqa: ASYNC110 - a loop without rest is what it is about
                await asyncio.sleep(0)

        task = asyncio.create_task(spin())
        verdict = await wait_until_idle(0.02)
        task.cancel()
        return verdict

    thing = Outside()
    verdict = run(thing, main())
    (at_work,) = verdict.at_work  # type: ignore[attr-defined]
    assert at_work.startswith("callbacks are always ready")
