"""Which test runs now, and whether it uses a loop: only then the loop acts.

A loop observes each test that it serves, which changes nothing. What a test could
notice, it does only in a test that talks to a connection of ours: it ends a deadlock,
freezes older objects, and keeps a list of the tasks.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from chanx_testing.core.idle.sources import submissions
from chanx_testing.core.idle.sources.baseline import Baseline


class RunningTest:
    """One test, from before its first fixture to after its last.

    Attributes:
        baseline: The threads that were there when it began.
        is_ours: Whether it has made a connection of ours, or waited with a verb of
            ours.
    """

    def __init__(self) -> None:
        self.baseline: Final = Baseline()
        self.is_ours = False


_running: list[RunningTest] = []


def running_test() -> RunningTest | None:
    """Return the test that runs now; None where no runner has said that one begins."""
    return _running[-1] if _running else None


@contextmanager
def new_test() -> Iterator[RunningTest]:
    """Say that a test begins, and that it ends with the block.

    What the fixtures of the test start belongs to it: a thread, or a job in a pool,
    also before there is a loop.
    """
    test = RunningTest()
    _running.append(test)
    try:
        with submissions.counted():
            yield test
    finally:
        _running.remove(test)


@contextmanager
def within_a_test() -> Iterator[None]:
    """Say that a test begins, unless a runner around has said so already."""
    if running_test() is not None:
        yield
        return
    with new_test():
        yield


class Engagement:
    """Whether one loop serves a test of ours.

    It may serve several tests, one after the other. Where no runner says which test
    runs, the loop itself is asked once, and stays with it.
    """

    def __init__(self) -> None:
        self._begun = False

    def begin(self) -> None:
        """Note that the test that runs now is one of ours."""
        test = running_test()
        if test is None:
            self._begun = True
        else:
            test.is_ours = True

    def is_on(self) -> bool:
        """Return whether the test that runs now is one of ours."""
        test = running_test()
        return self._begun if test is None else test.is_ours
