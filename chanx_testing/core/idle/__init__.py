"""Proof that nothing more can come.

A wait ends as soon as it is proved that nothing can arrive before its deadline, and
otherwise lasts to its deadline. It never guesses.
"""

from chanx_testing.core.idle.clients.publications import no_other_publisher
from chanx_testing.core.idle.install import installed, new_event_loop
from chanx_testing.core.idle.loop import IdleEventLoop
from chanx_testing.core.idle.sources.accounts import Account, accounted
from chanx_testing.core.idle.sources.timers import background
from chanx_testing.core.idle.verdict import (
    Deadlock,
    UnsafeLoopAccess,
    UnsupportedLoopWarning,
    Verdict,
    VerdictKind,
    WrongVerdict,
)
from chanx_testing.core.idle.waiting import (
    exempt_descriptor,
    is_supported,
    wait_until_idle,
)
from chanx_testing.core.idle.waiting import wait as _wait
from chanx_testing.core.unawaited import must_await

wait = must_await(_wait)

__all__ = [
    "Account",
    "Deadlock",
    "IdleEventLoop",
    "UnsafeLoopAccess",
    "UnsupportedLoopWarning",
    "Verdict",
    "VerdictKind",
    "WrongVerdict",
    "accounted",
    "background",
    "exempt_descriptor",
    "installed",
    "is_supported",
    "new_event_loop",
    "no_other_publisher",
    "wait",
    "wait_until_idle",
]
