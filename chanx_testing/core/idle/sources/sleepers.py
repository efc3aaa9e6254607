"""Threads that are blocked in native code, as the kernel sees them.

A thread in ``queue.SimpleQueue.get``, or at a bare lock, has no frame that says whether
it was handed something: on Python 3.13 not even the queue knows. The kernel does. To
hand a thread something is to wake it, and from that moment on it is runnable; once it
has run, the kernel has counted one more switch. So a thread that sleeps, with the same
count as before, was handed nothing in between.

One that has run may sleep again at the same instruction, with what it was handed, until
it gets the interpreter's lock. So it takes two looks with the same count, and between
them the lock must have been free: whoever waits for it is woken when it is given up.

https://docs.kernel.org/filesystems/proc.html
"""

import os
from typing import Final

AVAILABLE: Final = os.path.isdir("/proc/self/task")
"""Whether the kernel says so, as Linux does."""

_STATUS: Final = "/proc/self/task/%d/status"


def switches(native_id: int) -> tuple[bytes, ...] | None:
    """Return how often a sleeping thread was switched out so far.

    Args:
        native_id: The kernel's number of the thread.

    Returns:
        The two counts of the kernel, as text; None if the thread does not sleep.
    """
    try:
        file = os.open(_STATUS % native_id, os.O_RDONLY)
        try:
            lines = os.read(file, 8192).split(b"\n")
        finally:
            os.close(file)
    except OSError:
        return None
    state = next((line for line in lines if line.startswith(b"State:")), b"")
    if b"S" not in state.partition(b"(")[0].removeprefix(b"State:"):
        return None
    return tuple(line for line in lines if b"voluntary_ctxt_switches" in line)
