"""Child processes: each counts until its exit is known."""

import asyncio
import sys

import pytest

from chanx_testing.core.idle import VerdictKind, wait_until_idle
from chanx_testing.core.idle.sources.children import Children
from tests.support.idle import at_once, on_idle_loop, proof


@pytest.mark.parametrize("pipe", [None, asyncio.subprocess.PIPE])
@on_idle_loop
async def test_a_child_process_counts_until_its_exit_is_known(pipe: int | None) -> None:
    child = await asyncio.create_subprocess_exec("sleep", "0.1", stdout=pipe)
    exited = asyncio.create_task(child.wait())
    await proof()
    assert exited.done()
    with at_once():
        await proof()


@on_idle_loop
async def test_a_child_process_is_named() -> None:
    child = await asyncio.create_subprocess_shell("sleep 5")
    verdict = await wait_until_idle(0.05)
    assert verdict.kind is VerdictKind.DEADLINE
    assert f"child process {child.pid}" in str(verdict)
    child.kill()
    await child.wait()


WAITS_FOR_ITS_INPUT = "import sys; sys.stdin.read()"


@pytest.mark.slow
@on_idle_loop
async def test_a_child_is_open_until_its_end_is_reported() -> None:
    children: Children = asyncio.get_running_loop().children  # type: ignore[attr-defined]
    assert not children.is_open()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WAITS_FOR_ITS_INPUT, stdin=asyncio.subprocess.PIPE
    )
    assert children.is_open()
    assert children.may_end_a_deadlock()
    assert children.phrases() == [f"child process {child.pid}"]
    assert child.stdin is not None
    child.stdin.close()
    await child.wait()
    assert not children.is_open()
    assert children.phrases() == []


async def test_a_child_that_is_being_started_is_open() -> None:
    children, started = Children(), asyncio.Event()

    async def start() -> tuple[None, None]:
        started.set()
        await asyncio.Event().wait()
        return None, None

    task = asyncio.create_task(children.start(start()))
    await started.wait()
    assert children.phrases() == ["a child process starting"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children.is_open()
