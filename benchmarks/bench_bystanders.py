"""A project that does not use this package: its tests with and without the plugin.

    python benchmarks/bench_bystanders.py [rounds]

Runs 200 plain async tests, in a project of their own and a process of their own, with
the plugin and without it in turns. They await sleeps, queues, timeouts, threads and
children, collect garbage, and look at what the collector leaves. The outcomes have to
be the same; the ratio is that of the medians of the time that pytest reports.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLUGIN = "chanx_testing"

TESTS = """
import asyncio, gc, sys, threading, weakref

import pytest


class Receiver:
    def __init__(self):
        self.me = self


connected = []


@pytest.mark.parametrize("number", range(40))
class TestPlain:
    async def test_sleeps(self, number):
        await asyncio.gather(*(asyncio.sleep(0.0001 * i) for i in range(20)))

    async def test_queues(self, number):
        queue = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            group.create_task(queue.put(number))
            task = group.create_task(queue.get())
        assert task.result() == number

    async def test_threads(self, number):
        async with asyncio.timeout(5):
            await asyncio.to_thread(threading.current_thread)

    async def test_garbage(self, number):
        assert gc.get_freeze_count() < 2000
        assert gc.isenabled() and not gc.callbacks
        # Receivers of an earlier test, weakly connected, must not go on receiving.
        gc.collect(1)
        assert [each() for each in connected if each() is not None] == []
        connected.append(weakref.ref(Receiver()))

    async def test_a_thousand_steps(self, number):
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future
"""


def run(folder: Path, *options: str) -> tuple[float, str]:
    """Return the seconds that pytest reports, and its outcome."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-o", "asyncio_mode=auto", *options, "."],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    found = re.match(r"(.*) in ([\d.]+)s", last)
    assert found is not None, done.stdout + done.stderr
    return float(found[2]), found[1]


def main(rounds: int) -> int:
    times: dict[bool, list[float]] = {True: [], False: []}
    outcomes: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_plain.py").write_text(TESTS, "utf-8")
        for _ in range(rounds):
            for ours in (True, False):
                options = () if ours else ("-p", f"no:{PLUGIN}")
                seconds, outcome = run(folder, *options)
                times[ours].append(seconds)
                outcomes.add(outcome)
    with_it, without = (statistics.median(times[ours]) for ours in (True, False))
    print(f"outcome with and without: {' | '.join(sorted(outcomes))}")
    print(
        f"200 plain async tests: {with_it:.2f} s with the plugin,"
        f" {without:.2f} s without, ratio {with_it / without:.2f}"
    )
    return 0 if len(outcomes) == 1 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
