"""Threads of tools that look on: they never carry anything to the loop of a test.

Monitoring, debuggers and test runners keep threads that sleep, poll and talk to a
server of their own. One that was started in the test cannot be told from a thread of
the application by its stack, except that the tool is known. A tool that runs code of
the user's in its thread is no bystander while it does so.
"""

import threading
from types import FrameType
from typing import Final

from chanx_testing.core.idle.describe import is_library

MODULES: Final = (
    "_pydevd_bundle",
    "_pydev_bundle",
    "debugpy",
    "execnet",
    "opentelemetry",
    "prometheus_client",
    "pydevd",
    "pytest_rerunfailures",
    "pytest_timeout",
    "sentry_sdk",
)
"""The top-level modules in which such threads begin."""


def library_begun_in(frame: FrameType) -> str | None:
    """Return the module in which a thread began; None if it runs code of the user's.

    Args:
        frame: The innermost frame of the thread.
    """
    begun_in: str | None = None
    link: FrameType | None = frame
    while link is not None:
        if not is_library(link.f_code):
            return None
        module = _module_of(link)
        if module is not None:
            begun_in = module
        link = link.f_back
    return begun_in


def is_bystander(begun_in: str | None) -> bool:
    """Return whether a thread that began in this module is one of a tool."""
    return begun_in is not None and begun_in.partition(".")[0] in MODULES


def _module_of(frame: FrameType) -> str | None:
    """Return the module whose business a frame is; None for threading's own."""
    name = frame.f_globals.get("__name__")
    if name != "threading":
        return name if isinstance(name, str) else None
    if frame.f_code is threading.Timer.run.__code__:
        # pytest-timeout's thread method: nothing of its own is on the stack.
        function = getattr(frame.f_locals.get("self"), "function", None)
        function = getattr(function, "func", function)
        module = getattr(function, "__module__", None)
        return module if isinstance(module, str) else None
    return None
