"""Running an interpreter in which some packages are not installed."""

import subprocess
import sys

from tests.support.processes import environment_without
from tests.support.project import ROOT

DJANGO = ("django", "channels", "channels_redis", "daphne", "rest_framework")


def run_without(blocked, *arguments):
    """Run an interpreter in which these packages are not installed."""
    environment = environment_without("DJANGO_", "PYTEST_", "COV_")
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
