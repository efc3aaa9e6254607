"""The frames of other threads are looked at while no collection can begin."""

import gc
import subprocess
import sys
import textwrap
import threading

import pytest

from chanx_testing.core.thread_frames import (
    COLLECTS_ANYWHERE,
    collections_held,
    collector_is_on,
)

anywhere = pytest.mark.skipif(
    not COLLECTS_ANYWHERE, reason="collects between instructions: Python 3.12 and later"
)


@anywhere
class TestHeld:
    """For as long as one block runs, in whichever thread."""

    def test_in_a_block_and_in_one_inside_it(self):
        with collections_held():
            with collections_held():
                assert not gc.isenabled()
            assert not gc.isenabled()
            assert collector_is_on()
        assert gc.isenabled()

    def test_until_the_last_of_several_threads_has_left(self):
        inside, leave = threading.Event(), threading.Event()

        def other():
            with collections_held():
                inside.set()
                leave.wait()

        thread = threading.Thread(target=other)
        try:
            with collections_held():
                thread.start()
                inside.wait()
            assert not gc.isenabled()
            assert collector_is_on()
        finally:
            leave.set()
            thread.join()
        assert gc.isenabled()

    def test_also_after_an_error(self):
        with pytest.raises(LookupError), collections_held():
            raise LookupError
        assert gc.isenabled()


def test_a_collector_that_the_user_has_switched_off_stays_off():
    gc.disable()
    try:
        with collections_held():
            assert not collector_is_on()
        assert not gc.isenabled()
    finally:
        gc.enable()


# Threads that enter and leave functions of different sizes all the time, and a
# collector that runs often and lets them go on meanwhile.
LOOKING = """
    import gc, sys, threading, time
    from chanx_testing.core.idle.sources.baseline import Baseline
    from chanx_testing.core.idle.sources.jobs import Jobs
    from chanx_testing.core.idle.sources.threads import Threads

    here = threading.get_ident()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5)
    gc.callbacks.append(lambda *_: threading.get_ident() == here and time.sleep(1e-5))
    over = False

    def leaf():
        return [1]

    def narrow(a):
        return leaf()

    def wide(a):
        b = c = d = e = f = g = h = i = j = [a]
        return narrow([b, c, d, e, f, g, h, i, j])

    def wider(a):
        b = c = d = e = f = g = h = i = j = k = l = m = n = o = p = [a]
        return [wide([b, c]), narrow(a), wide(d)]

    def work():
        while not over:
            wider(1), narrow(2), wide(3), leaf()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    threads = Threads(Jobs())
    for _ in range(300):
        Baseline()
        threads.is_open()
    over = True
    for worker in workers:
        worker.join()
"""


@pytest.mark.slow
def test_the_interpreter_survives_looks_at_threads_that_never_rest():
    """Otherwise it crashes, or goes round in a chain of frames that has no end."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(LOOKING)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
