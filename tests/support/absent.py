"""Running an interpreter in which some packages are not installed."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DJANGO = ("django", "channels", "channels_redis", "daphne", "rest_framework")


def run_without(blocked, *arguments):
    """Run an interpreter in which these packages are not installed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))
    }
    environment["BLOCKED_PACKAGES"] = " ".join(blocked)
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_code(blocked, code):
    return run_without(blocked, "-c", f"import tests.support.blocking\n{code}")
