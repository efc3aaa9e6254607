"""The runner of ``manage.py test``."""

from collections.abc import Sequence
from typing import Any
from unittest import TestSuite

from django.test.runner import DiscoverRunner


class ExampleRunner(DiscoverRunner):
    """Runs the tests of this project where no others are named.

    Without this, ``manage.py test`` would look for tests in the whole directory it is
    called in, and find those of the package, which need other settings.
    """

    def build_suite(
        self, test_labels: Sequence[str] | None = None, **kwargs: Any
    ) -> TestSuite:
        """Return the tests to run."""
        return super().build_suite(test_labels or ["example_project"], **kwargs)
