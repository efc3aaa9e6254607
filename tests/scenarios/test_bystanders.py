"""Tools that keep threads: none of them makes a wait last, whenever it was started.

Each runs in an interpreter of its own, since most of them cannot be stopped again.
"""

import subprocess
import sys

import pytest

from tests.support.processes import environment_without
from tests.support.project import ROOT
from tests.support.require import require

pytestmark = pytest.mark.slow

TOOLS = {
    "sentry_sdk": """
        sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", auto_session_tracking=True)
        sentry_sdk.capture_message("hello")
    """,
    "opentelemetry.sdk": """
        from opentelemetry.sdk.trace import TracerProvider, export
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import (
            ConsoleMetricExporter, PeriodicExportingMetricReader
        )
        nowhere = open(os.devnull, "w")
        traces = TracerProvider()
        exporter = export.ConsoleSpanExporter(out=nowhere)
        traces.add_span_processor(export.BatchSpanProcessor(exporter))
        with traces.get_tracer("test").start_as_current_span("span"):
            pass
        exporter = ConsoleMetricExporter(out=nowhere)
        kept.append((traces, MeterProvider([PeriodicExportingMetricReader(exporter)])))
    """,
    "apscheduler": """
        from apscheduler.schedulers.background import BackgroundScheduler
        kept.append(BackgroundScheduler())
        kept[0].add_job(print, "interval", hours=1)
        kept[0].start()
    """,
    "watchdog": """
        import tempfile
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer
        kept.append(Observer())
        kept[0].schedule(FileSystemEventHandler(), tempfile.mkdtemp())
        kept[0].start()
    """,
    "prometheus_client": """
        kept.append(prometheus_client.start_http_server(0, addr="127.0.0.1"))
    """,
    "debugpy": """
        debugpy.listen(("127.0.0.1", 0))
    """,
    "grpc": """
        kept.append(grpc.insecure_channel("127.0.0.1:9"))
    """,
    "logging.handlers": """
        import logging, queue
        handler = logging.NullHandler()
        kept.append(logging.handlers.QueueListener(queue.Queue(), handler))
        kept[0].start()
    """,
    "pytest_timeout": """
        kept.append(threading.Timer(60, pytest_timeout.timeout_timer, (None, None)))
        kept[0].daemon = True
        kept[0].start()
    """,
    "pytest_rerunfailures": """
        kept.append(pytest_rerunfailures.ServerStatusDB())
    """,
}

CODE = """
import asyncio, os, sys, threading, time
import {module}
from chanx_testing.core.idle import IdleEventLoop, wait_until_idle
from chanx_testing.core.idle.current_test import new_test

kept = []

def start():
    {start}

async def test(when):
    if when == "in the test":
        start()
        # Until what the tool does at its start is done.
        while time.monotonic() < began + 20 and not await wait_until_idle(1):
            pass
    for _ in range(3):
        before = time.monotonic()
        verdict = await wait_until_idle(1)
        print(verdict.kind.value, time.monotonic() - before < 0.5, verdict)

when = sys.argv[1]
if when == "before the test":
    start()
    time.sleep(0.5)
began = time.monotonic()
with new_test(), asyncio.Runner(loop_factory=IdleEventLoop) as runner:
    runner.run(test(when))
sys.stdout.flush()
os._exit(0)
"""


def waits_beside(module: str, when: str) -> list[str]:
    """Return what each of three waits has come to, beside a tool."""
    lines = TOOLS[module].strip().split("\n")
    start = "\n".join(
        [lines[0], *("    " + line.removeprefix("        ") for line in lines[1:])]
    )
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(module=module, start=start), when],
        cwd=ROOT,
        env=environment_without("DJANGO_", "PYTEST_", "COV_")
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stdout.splitlines() if line.split()[1:2]]
    assert len(found) >= 3, done.stderr
    return found[-3:]


@pytest.mark.parametrize("module", TOOLS)
def test_one_from_before_the_test_makes_no_wait_last(module: str) -> None:
    require(module)
    assert [line.split()[:2] for line in waits_beside(module, "before the test")] == [
        ["idle", "True"]
    ] * 3


@pytest.mark.parametrize("module", [name for name in TOOLS if name != "watchdog"])
def test_one_that_the_test_starts_makes_no_wait_last(module: str) -> None:
    require(module)
    assert [line.split()[:2] for line in waits_beside(module, "in the test")] == [
        ["idle", "True"]
    ] * 3


def test_a_watcher_of_files_that_the_test_starts_is_waited_for() -> None:
    """It blocks in a read, and the next file that changes may be the test's."""
    require("watchdog")
    for line in waits_beside("watchdog", "in the test"):
        assert line.startswith("deadline False")
        assert "thread " in line
