"""The released packages whose consumers ``tests/compat`` tests."""

import importlib
import os
from typing import Any

import pytest


def require(module: str, distribution: str | None = None) -> Any:
    """Import a module of a foreign package, or leave the tests that need it out.

    Where ``CHANX_TEST_COMPAT`` is ``1`` a missing package is an error: there these
    tests have to run.

    Args:
        module: What is imported.
        distribution: What installs it; None: it is called as the module is.
    """
    if os.environ.get("CHANX_TEST_COMPAT") == "1":
        return importlib.import_module(module)
    return pytest.importorskip(
        module,
        reason=f"needs {distribution or module}: pip install 'chanx-testing[compat]'",
    )
