"""A broadcast of the test is an act of the test, and of no other."""

import contextvars
import threading

import pytest

from chanx_testing.core.client.acts import broadcasts_are_acts
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast, announce
from chanx_testing.core.trace.timeline import timeline_of_test
from chanx_testing.messages.incoming import PingMessage


@pytest.fixture(autouse=True)
def _no_earlier_act(monkeypatch):
    monkeypatch.setattr("chanx_testing.core.trace.timeline._last_act_before", 0)


def broadcast():
    return announce(Broadcast("broadcast_event", object, PingMessage()))


def acts(timeline):
    """Whether the test has acted since this was last asked."""
    before = timeline.last_act
    timeline.last_act = 0
    return before != 0


def test_a_broadcast_is_noted():
    with timeline_of_test() as timeline, broadcasts_are_acts(timeline):
        assert broadcast()
        assert acts(timeline)
    broadcast()
    assert not acts(timeline)


def test_one_of_an_application_is_not():
    with timeline_of_test() as timeline, broadcasts_are_acts(timeline):
        context = contextvars.copy_context()

        class Watcher:
            def broadcast_sent(self, broadcast):
                pass

        context.run(reports.watcher.set, Watcher())
        context.run(broadcast)
        assert not acts(timeline)


def test_one_that_was_suppressed_is_not():
    def suppress(broadcast):
        return True

    with timeline_of_test() as timeline, broadcasts_are_acts(timeline):
        reports.add_interceptor(suppress)
        try:
            assert not broadcast()
        finally:
            reports.remove_interceptor(suppress)
        assert not acts(timeline)


def test_one_of_another_test_is_not():
    with timeline_of_test() as first, broadcasts_are_acts(first):
        with timeline_of_test() as second, broadcasts_are_acts(second):
            broadcast()
            assert acts(second)
        assert not acts(first)


def test_one_of_a_thread_that_knows_nothing_counts_for_all():
    with (
        timeline_of_test() as first,
        timeline_of_test() as second,
        broadcasts_are_acts(first),
        broadcasts_are_acts(second),
    ):
        thread = threading.Thread(target=broadcast)
        thread.start()
        thread.join()
        assert acts(first)
        assert acts(second)


def test_applications_of_one_test_may_end_in_any_order():
    with timeline_of_test() as timeline:
        first, second = broadcasts_are_acts(timeline), broadcasts_are_acts(timeline)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        broadcast()
        assert acts(timeline)
        second.__exit__(None, None, None)
        broadcast()
        assert not acts(timeline)
