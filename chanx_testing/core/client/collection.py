"""Messages on their way to a stop action, and why it did not come."""

import difflib
from typing import Any, Final

from chanx_testing.constants import (
    COMPLETE_ACTIONS,
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core.client import errors
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_queue import Frame
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.idle import Verdict
from chanx_testing.core.trace.showing import conceal, shorten, show_message
from chanx_testing.core.trace.timeline import timeline_here

# Their frames say nothing to whoever reads a failure.
__tracebackhide__ = True

CAUSES: Final = {
    MESSAGE_ACTION_COMPLETE: "a message that this client sent",
    GROUP_ACTION_COMPLETE: "broadcast_message() to a group that this connection is in",
    EVENT_ACTION_COMPLETE: "broadcast_event() or send_event() that reaches it",
}
"""What each completion signal follows."""

SWITCHED_OFF: Final = (
    "SEND_COMPLETION is off for this consumer, so it sends no completion signals: set "
    "CHANX['SEND_COMPLETION'] = True in the test settings, or 'send_completion = True' "
    "on the consumer."
)


class Collection:
    """What one call of ``receive_all_messages`` has taken so far.

    Args:
        stop_action: The action that ends it.
        connection: Whose messages they are.
        deadline: That of the call.

    Attributes:
        messages: The messages, typed.
        done: Whether the stop action has come.
        only_completed: Whether it was ``"complete"``, with no message before it.
    """

    def __init__(
        self, stop_action: str, connection: Connection, deadline: Deadline
    ) -> None:
        self.messages: list[Any] = []
        self.done = False
        self.only_completed = False
        self._stop_action = stop_action
        self._connection = connection
        self._language = connection.language
        self._deadline = deadline
        # Looked at once: what the test does while messages are collected does not make
        # those older that it waits for.
        self._last_act = timeline_here().last_act
        self._contents: list[Any] = []
        self._completions: list[str] = []
        # The last completion signal that belonged to an earlier step of the test.
        self._passed_over: Frame | None = None

    def add(self, frame: Frame, content: Any) -> None:
        """Add what was received.

        Args:
            frame: The frame.
            content: The same, decoded by the verb that took it.

        Raises:
            UndeclaredMessage: It is of none of the types that the consumer declares.
        """
        action = self._language.action_of(content)
        if self._language.note_completion(content):
            self._completions.append(action)
            if action != self._stop_action:
                return
            if not self.messages and frame.number < self._last_act:
                self._passed_over = frame
                return
            self.done = True
            self.only_completed = (
                action == MESSAGE_ACTION_COMPLETE and not self.messages
            )
            return
        self._contents.append(content)
        self.messages.append(self._connection.decode(content))
        self.done = action == self._stop_action

    def end_without_stop(self, found: Frame | Verdict | None) -> list[Any]:
        """Return the messages without the stop action, where they need none.

        Args:
            found: What came instead: a frame that is not of data, the verdict on why
                nothing came, or None where the application has ended.

        Raises:
            IncompleteMessages: The stop action was to come.
            NotConnected: The connection was never opened, or was refused.
            Exception: What the application raised instead.
        """
        if self._ends_by_idleness():
            if not self.messages:
                self._connection.raise_crash()
                self._connection.require_connected()
            return self.messages
        if self._was_complete_before():
            return []
        raise self._error(found)

    def _ends_by_idleness(self) -> bool:
        return (
            self._stop_action == MESSAGE_ACTION_COMPLETE
            and not self._language.sends_completion()
        )

    def _was_complete_before(self) -> bool:
        """Return whether the signal that was passed over is the one that was to come.

        The test has acted since then, but on other connections: the last message on
        this one has no other answer.
        """
        frame, connection = self._passed_over, self._connection
        return (
            self._stop_action == MESSAGE_ACTION_COMPLETE
            and not self._contents
            and frame is not None
            and frame.number > connection.sent_at
            and connection.closed is None
            and not connection.ended
        )

    # Why it did not come.

    def _error(self, found: Frame | Verdict | None) -> errors.IncompleteMessages:
        shown = [shorten(repr(conceal(item))) for item in self._contents]
        listed = "".join(f"\n  {item}" for item in shown) or " nothing"
        crash = self._connection.failures.crash
        if crash is not None and not isinstance(found, Frame):
            crash.add_note(
                f"The application raised this while messages were collected; "
                f"received until then:{listed}"
            )
            self._connection.raise_crash()
        if isinstance(found, Frame):
            instead = f"Instead of more messages came {show_message(found.message)}."
        else:
            instead = f"Then {self._connection.why_nothing(found)}"
        error = errors.IncompleteMessages(
            f"Expected messages up to the action {self._stop_action!r} "
            f"{self._deadline}, but it did not come. Received:{listed}\n"
            + " ".join([instead, *self._hints()])
        )
        error.messages = tuple(self._contents)
        return self._connection.with_transcript(error)

    def _hints(self) -> list[str]:
        """Return sentences on why the stop action may not have come."""
        stop = self._stop_action
        if stop not in COMPLETE_ACTIONS:
            return self._unknown_action()
        if not self._language.sends_completion():
            return [SWITCHED_OFF]
        hints = [f"{stop!r} follows {CAUSES[stop]}."]
        others = sorted(set(self._completions) - {stop})
        if others:
            hints.append(
                f"The completion {', '.join(map(repr, others))} came: did you mean "
                f"stop_action={others[0]!r}?"
            )
        return hints

    def _unknown_action(self) -> list[str]:
        known = self._language.outgoing_actions
        if known is None or self._stop_action in known:
            return []
        nearest = difflib.get_close_matches(self._stop_action, known, n=1)
        suggestion = f" Did you mean {nearest[0]!r}?" if nearest else ""
        who, actions = self._language.consumer_name, ", ".join(sorted(known))
        return [
            f"{self._stop_action!r} is not an action that {who} can send: "
            + actions
            + f".{suggestion}"
        ]
