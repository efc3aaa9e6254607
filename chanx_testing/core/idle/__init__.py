"""Proof that nothing more can come.

A wait ends as soon as it is proved that nothing can arrive before its deadline, and
otherwise lasts as long as it was told. It never guesses.
"""

from .accounts import Account, accounted
from .describe import describe_task
from .install import installed, new_event_loop
from .loop import IdleEventLoop, IdleSelector
from .tasks import failed_tasks, tasks_created_by
from .timers import background
from .verdict import (
    Deadlock,
    UnsafeLoopAccess,
    UnsupportedLoopWarning,
    Verdict,
    VerdictKind,
)
from .waiting import (
    exempt_descriptor,
    is_supported,
    overdue_jobs,
    wait,
    wait_until_idle,
)

__all__ = [
    "Account",
    "Deadlock",
    "IdleEventLoop",
    "IdleSelector",
    "UnsafeLoopAccess",
    "UnsupportedLoopWarning",
    "Verdict",
    "VerdictKind",
    "accounted",
    "background",
    "describe_task",
    "exempt_descriptor",
    "failed_tasks",
    "installed",
    "is_supported",
    "new_event_loop",
    "overdue_jobs",
    "tasks_created_by",
    "wait",
    "wait_until_idle",
]
