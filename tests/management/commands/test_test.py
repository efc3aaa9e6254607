"""``manage.py test`` gives observable loops to every test case."""

import asyncio
import io
import sys

import pytest
from django.core.management import get_commands, load_command_class
from django.test import SimpleTestCase

from chanx_testing.core.idle import is_supported

seen = []


class Plain(SimpleTestCase):
    """A test case that is none of ours; run by the command below."""

    __test__ = False

    async def test_loop(self):
        seen.append(is_supported(asyncio.get_running_loop()))


def test_the_app_takes_the_place_of_the_command():
    assert get_commands()["test"] == "chanx_testing"


def test_a_plain_test_case_runs_on_an_observable_loop(monkeypatch):
    seen.clear()
    command = load_command_class("chanx_testing", "test")
    factory = asyncio.new_event_loop
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(
        "django.test.runner.DiscoverRunner.run_tests",
        lambda runner, labels, **options: Plain("test_loop").debug(),
    )
    command.handle(testrunner=None, **dict.fromkeys(["verbosity"], 0))
    assert seen == [True]
    assert asyncio.new_event_loop is factory


def test_help_is_that_of_django(capsys):
    command = load_command_class("chanx_testing", "test")
    with pytest.raises(SystemExit):
        command.run_from_argv(["manage.py", "test", "--help"])
    assert "--parallel" in capsys.readouterr().out
