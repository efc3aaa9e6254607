"""What every test may ask for."""

import pytest

from tests.support.suites import Project


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a tiny Django project of its ``tests.py``."""
    return lambda tests, settings="": Project(tmp_path, tests, settings)
