"""Where loops come from, and that nothing stays replaced."""

import asyncio
import concurrent.futures
import gc
import threading
import unittest
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from chanx_testing.core import replacing
from chanx_testing.core.idle import (
    IdleEventLoop,
    installed,
    new_event_loop,
)
from tests.support.idle import proof


async def kind_of_loop() -> type:
    return type(asyncio.get_running_loop())


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if no plugin had put observable loops in place; and nothing is left behind."""
    submit = concurrent.futures.ThreadPoolExecutor.submit
    with monkeypatch.context() as patching:
        stock = asyncio.events.new_event_loop
        for replacement in replacing._held:
            if replacement.owner is asyncio.events:
                stock = replacement.original()
        patching.setattr(replacing, "_held", [])
        patching.setattr(asyncio.events, "new_event_loop", stock)
        patching.setattr(asyncio, "new_event_loop", stock)
        yield
        assert asyncio.events.new_event_loop is stock
        assert asyncio.new_event_loop is stock
        assert concurrent.futures.ThreadPoolExecutor.submit is submit


def test_a_loop_factory() -> None:
    loop = new_event_loop()
    assert type(loop) is IdleEventLoop
    loop.close()


def test_asyncio_run() -> None:
    with installed():
        assert asyncio.run(kind_of_loop()) is IdleEventLoop
    assert asyncio.run(kind_of_loop()) is not IdleEventLoop


def test_async_to_sync() -> None:
    with installed():
        assert async_to_sync(kind_of_loop)() is IdleEventLoop
    assert async_to_sync(kind_of_loop)() is not IdleEventLoop


def test_another_threads_loops_too() -> None:
    kinds: list[type] = []
    with installed():
        thread = threading.Thread(
            target=lambda: kinds.append(asyncio.run(kind_of_loop()))
        )
        thread.start()
        thread.join()
    assert kinds == [IdleEventLoop]


def test_an_isolated_asyncio_test_case() -> None:
    kinds: list[type] = []

    class Case(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self) -> None:
            kinds.append(await kind_of_loop())

        async def test(self) -> None:
            await proof()

        async def asyncTearDown(self) -> None:
            kinds.append(await kind_of_loop())

    with installed():
        result = unittest.TestResult()
        Case("test").run(result)
    assert result.wasSuccessful(), result.failures + result.errors
    assert kinds == [IdleEventLoop, IdleEventLoop]


def test_it_is_reentrant() -> None:
    with installed():
        with installed():
            assert asyncio.run(kind_of_loop()) is IdleEventLoop
        assert asyncio.run(kind_of_loop()) is IdleEventLoop


def test_several_are_closed_in_any_order() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(installed())
    second.enter_context(installed())
    first.close()
    assert asyncio.run(kind_of_loop()) is IdleEventLoop
    second.close()


def test_from_many_threads() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                with installed():
                    assert asyncio.run(kind_of_loop()) is IdleEventLoop
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_originals_are_back_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), installed():
        raise ZeroDivisionError


@pytest.mark.parametrize("ours_first", [True, False])
def test_stacked_with_another_tool_in_either_order(
    ours_first: bool,
) -> None:
    """As tools that wrap the factory do; the inner one is undone first or last."""

    def wrap(inner: Any) -> Any:
        def new_event_loop() -> Any:
            return inner()

        return new_event_loop

    ours = ExitStack()
    ours.enter_context(installed())
    replaced = asyncio.events.new_event_loop
    asyncio.events.new_event_loop = wrap(replaced)
    assert asyncio.run(kind_of_loop()) is IdleEventLoop
    if ours_first:
        ours.close()
        assert asyncio.run(kind_of_loop()) is not IdleEventLoop
        asyncio.events.new_event_loop = replaced
        assert asyncio.run(kind_of_loop()) is not IdleEventLoop
        # The next one takes the left-over up, and puts the original back.
        with installed():
            assert asyncio.run(kind_of_loop()) is IdleEventLoop
    else:
        asyncio.events.new_event_loop = replaced
        ours.close()


def test_a_loop_of_the_users_choice_stays() -> None:
    class Own(asyncio.SelectorEventLoop):
        pass

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            return Own()

    asyncio.set_event_loop_policy(Policy())
    try:
        with installed():
            assert asyncio.run(kind_of_loop()) is Own
    finally:
        asyncio.set_event_loop_policy(None)
    with (
        installed(),
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
    ):
        assert runner.run(kind_of_loop()) is not IdleEventLoop


def test_a_wrapped_select_still_judges() -> None:
    """Tools that make time jump wrap the ``select`` of the loop's selector."""
    loop = IdleEventLoop()
    inner = loop._selector.select
    calls = 0

    def select(timeout: float | None = None) -> Any:
        nonlocal calls
        calls += 1
        return inner(timeout)

    loop._selector.select = select
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(proof())  # type: ignore[arg-type]
    assert calls


def test_a_closed_loop_leaves_no_circle() -> None:
    loop = IdleEventLoop()
    loop.run_until_complete(kind_of_loop())
    gone = [weakref.ref(loop), weakref.ref(loop.monitor), weakref.ref(loop.jobs)]
    gc.collect()
    gc.disable()
    try:
        loop.close()
        del loop
        assert [reference() for reference in gone] == [None] * 3
    finally:
        gc.enable()


def test_a_closed_loop_is_not_kept_alive() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(60, int)
        await asyncio.get_running_loop().run_in_executor(None, int)
        await proof()

    loop = IdleEventLoop()
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    reference = weakref.ref(loop)
    del loop
    assert reference() is None
