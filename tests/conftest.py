"""What every test may ask for, and an end for one that stands still."""

import faulthandler
import os

import pytest

from tests.support.suites import Project

# In seconds. No test takes a fifth of it, however busy the machine is.
STANDSTILL = 300
_stderr = pytest.StashKey[int]()


def pytest_configure(config):
    """Keep the descriptor that is not captured during the tests."""
    capturing = config.pluginmanager.getplugin("capturemanager")
    with capturing.global_and_fixture_disabled():
        config.stash[_stderr] = os.dup(2)


def pytest_unconfigure(config):
    os.close(config.stash[_stderr])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """End the process of a test that stands still, and say where its threads are.

    Otherwise the whole run would stand still with it.
    """
    stderr = item.config.stash[_stderr]
    faulthandler.dump_traceback_later(STANDSTILL, exit=True, file=stderr)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a tiny Django project of its ``tests.py``."""
    return lambda tests, settings="": Project(tmp_path, tests, settings)
