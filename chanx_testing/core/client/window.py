"""A window in which nothing may come, and how it goes on while the application works.

A window that the test chose ends when it is over: the test said how long it looks. One
that is the default does not: whoever relies on it asks whether anything comes of what
was done. While work is under way that must end, the answer is not known yet.
"""

from typing import Final

from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.idle import Verdict, VerdictKind

# How often, in seconds, to ask whether work still goes on. Its end as such wakes
# nobody; a frame that comes of it, and a proof, end the wait at once.
_LOOK_AGAIN: Final = 0.01


class Window:
    """How long a verb looks whether anything comes.

    Args:
        deadline: When it ends.
        longest: When it ends at the latest, where work goes on that must end. None: at
            its deadline, whatever goes on.

    Attributes:
        unfinished: The work that went on at the latest end.
    """

    def __init__(self, deadline: Deadline, longest: Deadline | None = None) -> None:
        self.deadline = deadline
        self.unfinished: tuple[str, ...] = ()
        self._longest = longest
        self._was_at_rest = False

    def goes_on(self, verdict: Verdict) -> bool:
        """Return whether to look again; :attr:`deadline` is then that of the next look.

        Args:
            verdict: What ended the last look.
        """
        if self._longest is None or verdict.kind is not VerdictKind.DEADLINE:
            return False
        if self._longest.look():
            self.unfinished = verdict.at_work
            return False
        if verdict.at_work:
            self._was_at_rest = False
            self.deadline = self._longest.sooner(_LOOK_AGAIN)
            return True
        if self._was_at_rest:
            return False
        # A thread may have handed over its result between the last pass of the loop and
        # the look at the threads. Now the loop takes up what was handed over.
        self._was_at_rest = True
        self.deadline = self._longest.sooner(0)
        return True
