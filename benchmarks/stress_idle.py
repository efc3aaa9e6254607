"""Repeat the mixed conversation with the machine busy, and count wrong verdicts.

    python benchmarks/stress_idle.py [repetitions]

Each repetition is one message in a conversation of two clients: queries on the main
thread, a group message from a thread, a spawned task, an executor job. Every core is
kept busy by another process, and threads may switch at almost any instruction. A
frame that is missing at a verdict, or that comes after one, is wrong.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

MESSAGES = 10


def burn() -> None:
    while True:
        pass


def main(repetitions: int) -> int:
    import django

    django.setup()

    from asgiref.sync import async_to_sync
    from django.test.utils import setup_databases, teardown_databases

    from chanx_testing.core.idle import installed
    from tests.support.conversation import converse

    context = multiprocessing.get_context("spawn")
    burners = [
        context.Process(target=burn, daemon=True) for _ in range(os.cpu_count() or 1)
    ]
    for process in burners:
        process.start()
    databases = setup_databases(verbosity=0, interactive=False)
    wrong = 0
    started = time.perf_counter()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(max(1, repetitions // MESSAGES)):
            with installed():
                try:
                    async_to_sync(converse)(number, MESSAGES)
                except AssertionError as error:
                    wrong += 1
                    print(f"conversation {number}: {error}")
    finally:
        sys.setswitchinterval(0.005)
        for process in burners:
            process.terminate()
        teardown_databases(databases, verbosity=0)
    taken = time.perf_counter() - started
    print(
        f"Python {sys.version.split()[0]}: {repetitions} messages in {taken:.1f} s,"
        f" {wrong} wrong"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
