"""Defaults that scale, and limits that rest under a debugger."""

import bdb
import sys

import pytest

from chanx_testing.core.client import timeouts
from chanx_testing.core.client.communicator import WebsocketCommunicator
from chanx_testing.core.client.timeouts import ANSWER_SECONDS, Deadline
from tests.support import apps


def limit(seconds):
    """Return the limit that a verb keeps when it is given ``seconds``."""
    communicator = WebsocketCommunicator(apps.silent, "/")
    scale = communicator.timeout_scale
    return timeouts.deadline_after(seconds, scale).seconds


async def test_the_environment_scales_what_the_caller_did_not_choose(monkeypatch):
    monkeypatch.setenv(timeouts.SCALE_VARIABLE, "2.5")
    assert limit(ANSWER_SECONDS) == 2.5
    assert limit(1.0) == 1.0
    assert limit(None) is None


async def test_the_default_scale_is_one(monkeypatch):
    monkeypatch.delenv(timeouts.SCALE_VARIABLE, raising=False)
    assert limit(ANSWER_SECONDS) == 1


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "inf", "nan"])
def test_a_scale_that_is_no_positive_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(timeouts.SCALE_VARIABLE, text)
    with pytest.raises(ValueError, match="must be a positive number"):
        timeouts.environment_scale()


async def test_there_is_no_limit_under_a_debugger():
    debugger = bdb.Bdb()
    debugger.reset()
    before = sys.gettrace()
    sys.settrace(debugger.trace_dispatch)
    try:
        assert timeouts.debugging()
        assert limit(ANSWER_SECONDS) is None
    finally:
        sys.settrace(before)


def test_a_tracer_that_is_no_debugger_does_not_stop_the_clock():
    before = sys.gettrace()
    sys.settrace(lambda frame, event, argument: None)
    try:
        assert not timeouts.debugging()
    finally:
        sys.settrace(before)


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="sys.monitoring came with Python 3.12"
)
def test_a_debugger_may_use_sys_monitoring():
    sys.monitoring.use_tool_id(sys.monitoring.DEBUGGER_ID, "debugger")
    try:
        assert timeouts.debugging()
    finally:
        sys.monitoring.free_tool_id(sys.monitoring.DEBUGGER_ID)


async def test_a_deadline_never_has_less_than_nothing_left():
    assert Deadline(-1).remaining() == 0
    assert Deadline(None).remaining() is None
    assert str(Deadline(0.5)) == "within 0.5 s"
