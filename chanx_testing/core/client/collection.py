"""Messages on their way to a stop action, and why it did not come."""

import difflib
from collections.abc import Collection as Actions
from typing import Any, Final

from chanx_testing.constants import (
    COMPLETE_ACTIONS,
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.trace.showing import conceal, shorten

SOURCES: Final = {
    MESSAGE_ACTION_COMPLETE: "a message that this client sent",
    GROUP_ACTION_COMPLETE: "broadcast_message() to a group that this connection is in",
    EVENT_ACTION_COMPLETE: "broadcast_event() or send_event() that reaches it",
}


SWITCHED_OFF: Final = (
    "SEND_COMPLETION is off for this consumer, so it sends no completion signals: set "
    "CHANX['SEND_COMPLETION'] = True in the test settings, or 'send_completion = True' "
    "on the consumer."
)


class Collection:
    """What one call of ``receive_all_messages`` has taken so far.

    Args:
        stop_action: The action that ends it.
        newest_stimulus: When the test last acted, in ticks.

    Attributes:
        messages: The messages, typed.
        contents: The same, as decoded JSON.
        completions: The actions of the completion signals that came.
        passed_over: The last such signal that belonged to an earlier step of the test.
    """

    def __init__(self, stop_action: str, newest_stimulus: int) -> None:
        self.stop_action = stop_action
        self.newest_stimulus = newest_stimulus
        self.messages: list[Any] = []
        self.contents: list[Any] = []
        self.completions: list[str] = []
        self.passed_over: Frame | None = None

    def is_stale(self, frame: Frame) -> bool:
        """Return whether a completion signal belongs to an earlier step of the test."""
        return not self.messages and frame.tick < self.newest_stimulus

    def listed(self) -> str:
        """Return what came, a line each, for a failure."""
        came = [shorten(repr(conceal(item))) for item in self.contents]
        return "".join(f"\n  {item}" for item in came) or " nothing"

    def hints(
        self, consumer: str | None, known: Actions[str] | None, *, completes: bool
    ) -> list[str]:
        """Return sentences on why the stop action may not have come.

        Args:
            consumer: The name of the consumer, if it is known.
            known: The actions that it can send, if it declares them.
            completes: Whether it sends completion signals.
        """
        stop = self.stop_action
        if stop not in COMPLETE_ACTIONS:
            return self._unknown_action(consumer, known)
        if not completes:
            return [SWITCHED_OFF]
        hints = [f"{stop!r} follows {SOURCES[stop]}."]
        others = sorted(set(self.completions) - {stop})
        if others:
            hints.append(
                f"The completion {', '.join(map(repr, others))} came: did you mean "
                f"stop_action={others[0]!r}?"
            )
        return hints

    def _unknown_action(
        self, consumer: str | None, known: Actions[str] | None
    ) -> list[str]:
        if known is None or self.stop_action in known:
            return []
        nearest = difflib.get_close_matches(self.stop_action, known, n=1)
        suggestion = f" Did you mean {nearest[0]!r}?" if nearest else ""
        actions = f"{', '.join(sorted(known))}.{suggestion}"
        return [
            f"{self.stop_action!r} is not an action that {consumer} can send: {actions}"
        ]
