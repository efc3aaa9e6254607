"""Hand work over in every way there is, in random order, and count wrong verdicts.

    python benchmarks/soak.py [--minutes 20] [--seed 1] [--burners 2] [--calm]

Each round is a test of its own, with a new loop. A client sends some orders to an
application, and each order goes through a chain of hand-overs: threads, timers, pools,
workers and loops from before the test, child processes, sockets, channel layers, the
ORM, native futures, garbage. At its end a frame comes back. The client asks whether
anything more can come, and a verdict that says no while a frame is still under way is
wrong. Every core is kept busy by another process, and threads may switch at almost any
instruction; --calm leaves both out.

Redis is among them where CHANX_TEST_REDIS_URL names one. The end of a wait that lasted
to its deadline is not wrong; how many did, and why, is counted. A round that was wrong
is told by its number: --seed and --only run it again.
"""

import argparse
import asyncio
import concurrent.futures
import ctypes
import gc
import multiprocessing
import os
import queue
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

# Seconds that a wait may last: long beside every chain, short beside the whole.
LIMIT = 3.0
# The longest pause within a hand-over, in seconds.
PAUSE = 0.004

Next = Callable[[], None]
"""Goes on with the chain; called once, on the loop of the test."""


def burn() -> None:
    # Not longer than the soak, however that ends.
    parent = os.getppid()
    while os.getppid() == parent:
        for _ in range(1_000_000):
            pass


def nap(dice: random.Random) -> float:
    """Return a pause, in half of the cases none."""
    return dice.choice([0.0, dice.random() * PAUSE])


class Polling:
    """A worker from before all tests, which polls its queue."""

    def __init__(self, timeout: float | None, simple: bool = False) -> None:
        self.orders: Any = queue.SimpleQueue() if simple else queue.Queue()
        self._timeout = timeout
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                order = self.orders.get(timeout=self._timeout)
            except queue.Empty:
                continue
            order()


def background_loop(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> asyncio.AbstractEventLoop:
    loop = make()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


class World:
    """What is there before the tests, and the kinds of hand-over."""

    def __init__(self) -> None:
        from chanx_testing.core.idle import new_event_loop

        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.processes = concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")
        )
        self.processes.submit(int).result()
        self.workers = [Polling(None), Polling(0.01), Polling(None, simple=True)]
        self.loops = [
            background_loop(asyncio.SelectorEventLoop),
            background_loop(new_event_loop),
        ]
        self.kinds: list[tuple[str, Callable[..., Awaitable[None]], int]] = [
            (name.removeprefix("by_"), getattr(self, name), 1 if "rare" in name else 8)
            for name in dir(type(self))
            if name.startswith("by_")
        ]

    # Each is given the dice and the loop, and returns when the chain may go on.

    async def by_turn(self, dice: random.Random) -> None:
        await asyncio.sleep(nap(dice))

    async def by_task(self, dice: random.Random) -> None:
        await asyncio.create_task(asyncio.sleep(nap(dice)))

    async def by_executor(self, dice: random.Random) -> None:
        await asyncio.to_thread(time.sleep, nap(dice))

    async def by_executor_given_up(self, dice: random.Random) -> None:
        answer, give = self._answer()
        pause = nap(dice)

        def job() -> None:
            time.sleep(pause)
            give()

        jobs: list[concurrent.futures.Future[Any]] = []

        class Keeping(concurrent.futures.Executor):
            def submit(_self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
                jobs.append(self.pool.submit(fn, *args, **kwargs))
                return jobs[0]

        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(loop.run_in_executor(Keeping(), job), 0.001)
        except TimeoutError:
            if jobs[0].cancelled():
                return  # it never began
        await answer

    async def by_pool(self, dice: random.Random) -> None:
        answer, give = self._answer()
        pause = nap(dice)
        self.pool.submit(lambda: (time.sleep(pause), give()))
        await answer

    async def by_wrapped_future(self, dice: random.Random) -> None:
        await asyncio.wrap_future(self.pool.submit(time.sleep, nap(dice)))

    async def by_thread(self, dice: random.Random) -> None:
        answer, give = self._answer()
        pause = nap(dice)
        threading.Thread(target=lambda: (time.sleep(pause), give())).start()
        await answer

    async def by_timer(self, dice: random.Random) -> None:
        answer, give = self._answer()
        threading.Timer(nap(dice), give).start()
        await answer

    async def by_two_threads(self, dice: random.Random) -> None:
        answer, give = self._answer()
        between: queue.Queue[None] = queue.Queue()
        pause = nap(dice)

        def second() -> None:
            between.get()
            give()

        threads = [
            threading.Thread(target=lambda: (time.sleep(pause), between.put(None))),
            threading.Thread(target=second),
        ]
        for thread in threads:
            thread.start()
        await answer

    async def by_joining(self, dice: random.Random) -> None:
        answer, give = self._answer()
        worker = threading.Thread(target=time.sleep, args=(nap(dice),))
        worker.start()
        threading.Thread(target=lambda: (worker.join(), give())).start()
        await answer

    async def by_worker(self, dice: random.Random) -> None:
        answer, give = self._answer()
        pause = nap(dice)
        dice.choice(self.workers).orders.put(lambda: (time.sleep(pause), give()))
        await answer

    async def by_loop(self, dice: random.Random) -> None:
        answer, give = self._answer()
        pause = nap(dice)

        async def work() -> None:
            await asyncio.sleep(pause)
            give()

        asyncio.run_coroutine_threadsafe(work(), dice.choice(self.loops))
        await answer

    async def by_loop_and_future(self, dice: random.Random) -> None:
        there = dice.choice(self.loops)
        work = asyncio.run_coroutine_threadsafe(asyncio.sleep(nap(dice)), there)
        await asyncio.wrap_future(work)

    async def by_anyio(self, dice: random.Random) -> None:
        import anyio.to_thread

        await anyio.to_thread.run_sync(time.sleep, nap(dice))

    async def by_asgiref(self, dice: random.Random) -> None:
        from asgiref.sync import sync_to_async

        sensitive = dice.random() < 0.5
        await sync_to_async(time.sleep, thread_sensitive=sensitive)(nap(dice))

    async def by_asgiref_and_back(self, dice: random.Random) -> None:
        from asgiref.sync import async_to_sync, sync_to_async

        await sync_to_async(async_to_sync(asyncio.sleep))(nap(dice))

    async def by_orm(self, dice: random.Random) -> None:
        from django.contrib.contenttypes.models import ContentType

        await ContentType.objects.acount()

    async def by_layer(self, dice: random.Random) -> None:
        await self._by_layer(dice, "default")

    async def by_layer_from_a_thread(self, dice: random.Random) -> None:
        from asgiref.sync import async_to_sync
        from channels.layers import get_channel_layer

        layer = get_channel_layer()
        assert layer is not None
        channel = await layer.new_channel()
        await layer.group_add("soak", channel)
        send = async_to_sync(layer.group_send)
        threading.Thread(target=send, args=("soak", {"type": "order"})).start()
        await layer.receive(channel)
        await layer.group_discard("soak", channel)

    async def by_native_future(self, dice: random.Random) -> None:
        call = ctypes.pythonapi.PyObject_CallMethod
        call.restype = ctypes.py_object
        call.argtypes = [ctypes.py_object, ctypes.c_char_p, ctypes.c_char_p]
        loop = asyncio.get_running_loop()
        future = call(loop, b"create_" + b"future", None)
        pause = nap(dice)
        threading.Thread(
            target=lambda: (
                time.sleep(pause),
                loop.call_soon_threadsafe(future.set_result, None),
            )
        ).start()
        await future

    async def by_garbage(self, dice: random.Random) -> None:
        closed = asyncio.Event()

        async def numbers() -> Any:
            try:
                yield 1
            finally:
                closed.set()

        cycle: list[Any] = [numbers()]
        cycle.append(cycle)
        await anext(cycle[0])
        del cycle
        await closed.wait()

    async def by_socket(self, dice: random.Random) -> None:
        async def serve(reader: Any, writer: Any) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"order\n")
        await reader.readline()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()

    async def by_child_rare(self, dice: random.Random) -> None:
        child = await asyncio.create_subprocess_exec("true")
        await child.wait()

    async def by_process_rare(self, dice: random.Random) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.processes, time.sleep, nap(dice))

    if os.environ.get("CHANX_TEST_REDIS_URL"):

        async def by_redis(self, dice: random.Random) -> None:
            await self._by_layer(dice, "redis")

    @staticmethod
    async def _by_layer(dice: random.Random, alias: str) -> None:
        from channels.layers import get_channel_layer

        layer = get_channel_layer(alias)
        assert layer is not None
        channel = await layer.new_channel()
        group = f"soak{dice.randrange(3)}"
        await layer.group_add(group, channel)
        waiting = asyncio.create_task(layer.receive(channel))
        await asyncio.sleep(nap(dice))
        await layer.group_send(group, {"type": "order"})
        await waiting
        await layer.group_discard(group, channel)

    @staticmethod
    def _answer() -> tuple["asyncio.Future[None]", Next]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def give() -> None:
            loop.call_soon_threadsafe(answer.set_result, None)

        return answer, give


class Tally:
    """What came of the rounds."""

    def __init__(self) -> None:
        self.rounds = 0
        self.waits = 0
        self.lasted = 0
        self.wrong = 0
        self.reasons: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()


async def play(number: int, dice: random.Random, world: World, tally: Tally) -> None:
    """Play one round: some orders, and a verdict after each lot of them."""
    from chanx_testing.channels.testing import WebsocketCommunicator

    names = [name for name, _, _ in world.kinds]
    ways = {name: way for name, way, _ in world.kinds}
    weights = [weight for _, _, weight in world.kinds]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

        async def follow(chain: list[str], text: str) -> None:
            own = random.Random(f"{number} {text}")
            for name in chain:
                await ways[name](own)
            await send({"type": "websocket.send", "text": text})

        tasks = set()
        while (message := await receive())["type"] == "websocket.receive":
            text = message["text"]
            tasks.add(asyncio.create_task(follow(chains[text], text)))
        await asyncio.gather(*tasks)

    chains: dict[str, list[str]] = {}
    async with WebsocketCommunicator(application, "/soak/") as client:
        for lot in range(3):
            expected: Counter[str] = Counter()
            for order in range(dice.randint(1, 4)):
                text = f"{lot}.{order}"
                chains[text] = dice.choices(names, weights, k=dice.randint(1, 4))
                tally.kinds.update(chains[text])
                expected[text] += 1
                await client.send_to(text)
            verdict = await client.wait_until_idle(LIMIT)
            tally.waits += 1
            came: Counter[str] = Counter()
            while not client.output_queue.empty():
                came[(await client.receive_output())["text"]] += 1
            missing = expected - came
            if verdict and missing:
                tally.wrong += 1
                told = {text: chains[text] for text in missing}
                print(f"round {number}: WRONG: {verdict}; missing {told}", flush=True)
            if not verdict:
                tally.lasted += 1
                tally.reasons.update(re.sub(r"\d+", "#", r) for r in verdict.reasons)
                deadline = time.monotonic() + 10 * LIMIT
                while missing and time.monotonic() < deadline:
                    missing[(await client.receive_output(10 * LIMIT))["text"]] -= 1
                    missing = +missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one round")
    parser.add_argument("--without", action="append", default=[], metavar="KIND")
    parser.add_argument(
        "--burners",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that keep the cores busy (default: one for each core)",
    )
    parser.add_argument("--calm", action="store_true", help="leave the machine alone")
    options = parser.parse_args()

    import django

    django.setup()

    from asgiref.sync import async_to_sync
    from django.test.utils import (
        override_settings,
        setup_databases,
        teardown_databases,
    )

    from chanx_testing.core.idle import installed
    from chanx_testing.core.idle.current_test import new_test

    layers = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    if url := os.environ.get("CHANX_TEST_REDIS_URL"):
        layers["redis"] = {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [url], "prefix": f"soak{os.getpid()}"},  # type: ignore[dict-item]
        }
    context = multiprocessing.get_context("spawn")
    burners = [
        context.Process(target=burn, daemon=True)
        for _ in range(0 if options.calm else options.burners)
    ]
    for process in burners:
        process.start()
    databases = setup_databases(verbosity=0, interactive=False)
    tally = Tally()
    started = time.monotonic()
    world = World()
    world.kinds = [kind for kind in world.kinds if kind[0] not in options.without]
    if not options.calm:
        sys.setswitchinterval(1e-6)
    gc.collect()
    try:
        with override_settings(CHANNEL_LAYERS=layers):
            number = options.only if options.only is not None else 0
            while time.monotonic() - started < options.minutes * 60:
                dice = random.Random(f"{options.seed} {number}")
                with installed(), new_test():
                    try:
                        async_to_sync(play)(number, dice, world, tally)
                    except Exception as error:
                        tally.wrong += 1
                        print(f"round {number}: {error!r}", flush=True)
                tally.rounds += 1
                if options.only is not None:
                    break
                number += 1
    finally:
        sys.setswitchinterval(0.005)
        for process in burners:
            process.terminate()
        world.processes.shutdown(cancel_futures=True)
        teardown_databases(databases, verbosity=0)
    taken = time.monotonic() - started
    print(
        f"Python {sys.version.split()[0]}: {taken / 60:.1f} minutes,"
        f" {tally.rounds} rounds, {tally.waits} waits,"
        f" {tally.kinds.total()} hand-overs of {len(tally.kinds)} kinds:"
        f" {tally.wrong} wrong, {tally.lasted} lasted to the deadline"
    )
    for reason, times in tally.reasons.most_common(20):
        print(f"  {times} x {reason}")
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
