"""Test cases that others derive from, and running one inside a test."""

import unittest

from django.test import TestCase

from chanx_testing.channels.database.guard import connections_kept_open


def run(case, name="test"):
    """Run one test of a test case, and what belongs to its class; return the result."""
    result = unittest.TestResult()
    unittest.TestSuite([case(name)])(result)
    assert result.testsRun == 1, result.errors
    return result


def passes(case, name="test"):
    """Run one test of a test case, which must pass."""
    result = run(case, name)
    problems = [text for _, text in result.errors + result.failures]
    assert not problems, problems[0]


def failure(case, name="test"):
    """Run one test of a test case, which must fail, and return its traceback."""
    result = run(case, name)
    ((_, text),) = result.errors + result.failures
    return text


class KeptOpenTestCase(TestCase):
    """Stands in for a communicator, which keeps the connection of the test open."""

    def setUp(self) -> None:
        super().setUp()
        self.enterContext(connections_kept_open())
