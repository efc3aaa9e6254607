"""What the proof costs: one verdict, and the loop against asyncio's own.

    python benchmarks/bench_idle.py

Takes some seconds. Ratios are medians of alternating runs, so that a machine that is
slower for a while slows both sides.
"""

import asyncio
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from chanx_testing.core.idle import IdleEventLoop, wait_until_idle

ROUNDS = 9


def run(
    factory: Callable[[], Any], main: Callable[[], Coroutine[Any, Any, float]]
) -> float:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


async def verdict(horizon: float | None, number: int = 2000) -> float:
    """Return the microseconds for one wait that ends with a proof at once."""
    before = time.perf_counter()
    for _ in range(number):
        await wait_until_idle(1, horizon=horizon)
    return (time.perf_counter() - before) / number * 1e6


async def turn(number: int = 20_000) -> float:
    """Return the microseconds for one pass of the loop, the least a wait can cost."""
    before = time.perf_counter()
    for _ in range(number):
        await asyncio.sleep(0)
    return (time.perf_counter() - before) / number * 1e6


async def round_trips(number: int = 5000) -> float:
    """Return the microseconds for a message and its answer, through queues."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()

    async def application(
        receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        while True:
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"]})

    task = asyncio.create_task(application(inbox.get, outbox.put))
    before = time.perf_counter()
    for _ in range(number):
        await inbox.put({"type": "websocket.receive", "text": "hello"})
        await outbox.get()
    taken = time.perf_counter() - before
    task.cancel()
    return taken / number * 1e6


async def limited_round_trips() -> float:
    """Return the same with ``asyncio.timeout`` around each, as test tools do."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    number = 5000

    async def application() -> None:
        while True:
            (await inbox.get()).set_result(None)

    task = asyncio.create_task(application())
    loop = asyncio.get_running_loop()
    before = time.perf_counter()
    for _ in range(number):
        answer = loop.create_future()
        inbox.put_nowait(answer)
        async with asyncio.timeout(1):
            await answer
    taken = time.perf_counter() - before
    task.cancel()
    return taken / number * 1e6


async def jobs(number: int = 1000) -> float:
    """Return the microseconds for a trivial executor job."""
    loop = asyncio.get_running_loop()
    before = time.perf_counter()
    for _ in range(number):
        await loop.run_in_executor(None, int)
    return (time.perf_counter() - before) / number * 1e6


def ratio(main: Callable[[], Coroutine[Any, Any, float]]) -> tuple[float, float, float]:
    stock, ours = [], []
    for _ in range(ROUNDS):
        stock.append(run(asyncio.SelectorEventLoop, main))
        ours.append(run(IdleEventLoop, main))
    ratios = [b / a for a, b in zip(stock, ours, strict=True)]
    return statistics.median(stock), statistics.median(ours), statistics.median(ratios)


def main() -> None:
    print(f"Python {sys.version.split()[0]}\n")
    print("one verdict                          µs")
    for label, horizon, threads in (
        ("settled", 0, 0),
        ("settled, 8 parked threads", 0, 8),
        ("up to the deadline", None, 0),
        ("up to the deadline, 8 threads", None, 8),
    ):
        with ThreadPoolExecutor(threads or 1) as pool:
            barrier = threading.Barrier(threads or 1)
            list(pool.map(lambda _: barrier.wait(), range(threads)))  # noqa: B023
            times = [run(IdleEventLoop, lambda: verdict(horizon)) for _ in range(3)]  # noqa: B023
        print(f"  {label:32} {min(times):6.1f}")
    print(f"  {'one pass of the loop, for scale':32} {run(IdleEventLoop, turn):6.1f}")
    print("\nagainst asyncio's loop            stock   ours  ratio")
    for label, work in (
        ("message round trip", round_trips),
        ("the same under a timeout", limited_round_trips),
        ("executor job", jobs),
    ):
        stock, ours, quotient = ratio(work)
        print(f"  {label:28} {stock:8.1f} {ours:6.1f} {quotient:6.2f}")


if __name__ == "__main__":
    main()
