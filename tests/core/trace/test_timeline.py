"""The order of a test, and the numbers of its connections, belong to that test."""

import asyncio
import contextvars
import threading

import pytest

from chanx_testing.core.trace.timeline import (
    Timeline,
    next_number,
    running_timeline,
    timeline_here,
    timeline_of_test,
)


@pytest.fixture(autouse=True)
def _no_runner(monkeypatch):
    """As if no runner had begun a timeline for this test."""
    monkeypatch.setattr("chanx_testing.core.trace.timeline._running", [])


def test_what_comes_later_has_a_larger_number():
    timeline = Timeline()
    frame, act, later = next_number(), timeline.test_acted(), next_number()
    assert frame < act == timeline.last_act < later


def test_what_a_test_did_was_done_before_the_next_one():
    """A connection may be older than the test that uses it."""
    with timeline_of_test() as first:
        act = first.test_acted()
    with timeline_of_test() as second:
        assert second.last_act == act


def test_connections_are_numbered_from_one():
    timeline = Timeline()
    assert [timeline.number_connection() for _ in range(2)] == [1, 2]


class TestWhoseTimeline:
    def test_that_of_the_test_that_runs(self):
        with timeline_of_test() as first:
            assert timeline_here() is first
        with timeline_of_test() as second:
            assert timeline_here() is second
        assert first is not second

    def test_the_inner_one_of_two(self):
        with timeline_of_test() as outer:
            with timeline_of_test() as inner:
                assert timeline_here() is inner
            assert timeline_here() is outer

    def test_of_a_thread_that_knows_nothing(self):
        seen = []
        with timeline_of_test() as timeline:
            thread = threading.Thread(target=lambda: seen.append(running_timeline()))
            thread.start()
            thread.join()
        assert seen == [timeline]

    def test_of_a_loop_that_is_older_than_the_test(self):
        """Its context still names the timeline of the first test that it served."""
        with timeline_of_test() as first:
            context = contextvars.copy_context()
        with timeline_of_test() as second:
            assert context.run(timeline_here) is second
        assert first is not second

    def test_of_one_loop_where_no_runner_says_more(self):
        async def twice():
            assert timeline_here() is timeline_here()
            return timeline_here()

        assert asyncio.run(twice()) is not asyncio.run(twice())

    def test_of_nobody(self):
        assert running_timeline() is None
        assert timeline_here() is not timeline_here()

    def test_of_two_tests_that_run_in_threads_of_one_process(self):
        """A third thread cannot be told to belong to either."""
        with timeline_of_test():
            inside = contextvars.copy_context()
            with timeline_of_test():
                assert contextvars.Context().run(running_timeline) is None
                assert inside.run(running_timeline) is not None
