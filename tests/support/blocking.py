"""A pytest plugin: in this process some packages cannot be imported.

Which ones is said by the environment variable ``BLOCKED_PACKAGES``.
"""

import os
import sys

_blocked = frozenset(os.environ["BLOCKED_PACKAGES"].split())


class Blocker:
    """Answers for the blocked packages that they are not installed."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        package = name.partition(".")[0]
        if package in _blocked:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def already_imported():
    """The blocked packages that something has imported."""
    return sorted(_blocked & {name.partition(".")[0] for name in sys.modules})


sys.meta_path.insert(0, Blocker())
assert not already_imported()


def pytest_sessionfinish():
    assert not already_imported()
