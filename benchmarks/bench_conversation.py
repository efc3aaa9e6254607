"""A conversation with a consumer: ours and Channels' communicator, in one run.

    python benchmarks/bench_conversation.py

Takes about half a minute, most of it Channels' waits for nothing. Ratios are ours to
theirs, of medians of alternating runs: below 1 is faster than theirs.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.testing import WebsocketCommunicator as Theirs  # noqa: E402

from chanx_testing.channels.testing import WebsocketCommunicator as Ours  # noqa: E402
from chanx_testing.core.idle import new_event_loop  # noqa: E402

ROUNDS = 5
MESSAGES = 300
NOTHINGS = 20
WINDOW = 0.5


class Echo(AsyncJsonWebsocketConsumer):
    """A consumer that sends back what it receives."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json(content)


async def conversations(communicator: Any) -> float:
    """Return the milliseconds for one connection: opened, one message, closed."""
    before = time.perf_counter()
    for _ in range(30):
        connection = communicator(Echo.as_asgi(), "/")
        await connection.connect()
        await connection.send_json_to({"n": 1})
        await connection.receive_json_from()
        await connection.disconnect()
    return (time.perf_counter() - before) / 30 * 1e3


async def round_trips(communicator: Any) -> float:
    """Return the microseconds for a message and its answer."""
    connection = communicator(Echo.as_asgi(), "/")
    await connection.connect()
    before = time.perf_counter()
    for number in range(MESSAGES):
        await connection.send_json_to({"n": number})
        await connection.receive_json_from()
    took = time.perf_counter() - before
    await connection.disconnect()
    return took / MESSAGES * 1e6


async def nothings(communicator: Any) -> float:
    """Return the milliseconds for 20 times nothing, half a second each."""
    connection = communicator(Echo.as_asgi(), "/")
    await connection.connect()
    await connection.send_json_to({"n": 1})
    await connection.receive_json_from()
    before = time.perf_counter()
    for _ in range(NOTHINGS):
        assert await connection.receive_nothing(timeout=WINDOW)
    took = time.perf_counter() - before
    await connection.disconnect()
    return took * 1e3


def measure(
    scenario: Callable[[Any], Awaitable[float]], rounds: int
) -> tuple[float, float]:
    """Return the medians of ours, on our loop, and theirs, on asyncio's."""
    ours, theirs = [], []
    for _ in range(rounds):
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            ours.append(runner.run(scenario(Ours)))  # type: ignore[arg-type]
        with asyncio.Runner() as runner:
            theirs.append(runner.run(scenario(Theirs)))  # type: ignore[arg-type]
    return statistics.median(ours), statistics.median(theirs)


def main() -> None:
    """Print the table of all scenarios."""
    print(f"Python {sys.version.split()[0]}")
    print(f"{'':44}{'ours':>12}{'Channels':>12}{'ratio':>8}")
    for text, unit, scenario, rounds in (
        ("connect, one message, disconnect", "ms", conversations, ROUNDS),
        ("a message and its answer", "µs", round_trips, ROUNDS),
        (f"{NOTHINGS} x receive_nothing({WINDOW})", "ms", nothings, 2),
    ):
        ours, theirs = measure(scenario, rounds)
        print(f"{text:44}{ours:>9.2f} {unit}{theirs:>9.2f} {unit}{ours / theirs:>8.4f}")


if __name__ == "__main__":
    main()
