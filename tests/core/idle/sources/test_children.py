"""A child process is open from its start until its end is reported."""

import asyncio
import sys

import pytest

from chanx_testing.core.idle.sources.children import Children
from tests.core.idle.helpers import on_idle_loop

WAITS_FOR_ITS_INPUT = "import sys; sys.stdin.read()"


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

    task = asyncio.create_task(children.watch(start()))
    await started.wait()
    assert children.phrases() == ["a child process starting"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children.is_open()
