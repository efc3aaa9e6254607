"""Child processes: each counts until its exit is known."""

import asyncio

import pytest

from chanx_testing.core.idle import VerdictKind, wait_until_idle
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
