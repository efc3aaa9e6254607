"""Messages on their way to a stop action, and why it did not come."""

import asyncio
import difflib
from typing import Any, Final, Self, TypeGuard

from chanx_testing.constants import (
    COMPLETE_ACTIONS,
    EVENT_ACTION_COMPLETE,
    GROUP_ACTION_COMPLETE,
    MESSAGE_ACTION_COMPLETE,
)
from chanx_testing.core import idle
from chanx_testing.core.client import errors
from chanx_testing.core.client.connection import Connection
from chanx_testing.core.client.frame_queue import NEVER_STOPS_SENDING, Frame
from chanx_testing.core.client.steps import Handling, Step
from chanx_testing.core.client.timeouts import Deadline
from chanx_testing.core.idle import Verdict
from chanx_testing.core.observe.reports import HandledKind
from chanx_testing.core.trace.showing import show_message, show_value
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


UNFINISHED: Final = (
    "'complete' came, but what the message set off (an event, a broadcast) has not "
    "been handled to its end on this connection: give the verb more time, or collect "
    "the answers to each message before the next one is sent."
)


def is_data(found: Frame | Verdict | None) -> TypeGuard[Frame]:
    """Return whether what was found is a frame of data."""
    return isinstance(found, Frame) and found.type == "websocket.send"


class Collection:
    """What one call of ``receive_all_messages`` has taken so far.

    Up to ``"complete"`` it collects the answers to one frame of the client, the first
    one whose signal the test has not taken: what the handler of the frame sends, what
    the events send that it sets off, and, if that is nothing, what the groups deliver.
    What else comes is left where it is, for other verbs. So it is where the consumer
    says beside the wire what it handles.

    Otherwise it takes what comes, in the order in which it comes. Of the signals that
    come before any message, those of earlier steps of the test are passed over.

    Args:
        stop_action: The action that ends it.
        connection: Whose messages they are.
        deadline: That of the call.

    Attributes:
        messages: The messages, typed.
    """

    def __init__(
        self, stop_action: str, connection: Connection, deadline: Deadline
    ) -> None:
        self.messages: list[Any] = []
        self._stop_action = stop_action
        self._connection = connection
        self._language = connection.language
        self._steps = connection.steps
        self._deadline = deadline
        # Looked at once: what the test does while messages are collected does not make
        # those older that it waits for.
        self._last_act = timeline_here().last_act
        self._last_asked = connection.steps.last_number
        self._sent = connection.steps.sent
        self._contents: list[Any] = []
        self._completions: list[str] = []
        # Whether the stop action has come.
        self._done = False
        # Whether what the groups still deliver is taken, after a "complete" that came
        # alone.
        self._takes_the_rest = False
        # The step whose "complete" has come.
        self._completed: Step | None = None
        # The step whose answers other collections leave to this one.
        self._claimed: Step | None = None
        # The last completion signal that belonged to an earlier step of the test.
        self._passed_over: Frame | None = None

    def __enter__(self) -> Self:
        """Begin; other collections leave the step to this one until the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave what was not collected to others."""
        self._claim(None)

    async def next_frame(self) -> Frame | None:
        """Wait for the next frame that belongs to the collection.

        Returns:
            The frame, for the caller to take in its next step; None where the
            collection is at its end.

        Raises:
            IncompleteMessages: The stop action was to come, and did not.
            Exception: What the application raised instead.
        """
        if self._by_step():
            frame = await self._next_of_step()
        else:
            frame = await self._next_in_order()
        if frame is not None:
            self._connection.output_queue.bring_forward(frame)
        return frame

    def add(self, frame: Frame, content: Any) -> None:
        """Add what was received.

        Args:
            frame: The frame.
            content: The same, decoded by the verb that took it.

        Raises:
            UndeclaredMessage: It is of none of the types that the consumer declares.
        """
        action = self._language.action_of(content)
        if self._language.note_completion(content, frame):
            self._completions.append(action)
            if frame.reported and self._stop_action == MESSAGE_ACTION_COMPLETE:
                self._add_signal_of_step(frame)
            else:
                self._add_signal(frame, action)
            return
        self._contents.append(content)
        self.messages.append(self._connection.decode(content))
        # A message that has the action of a signal is a message like any other.
        ends = not (frame.reported and action in COMPLETE_ACTIONS)
        if ends and not self._takes_the_rest:
            self._done = action == self._stop_action

    # In the order of the frames.

    async def _next_in_order(self) -> Frame | None:
        connection = self._connection
        if self._takes_the_rest:
            # "complete" overtook what the handler sent to its group: wait until that is
            # here, and take it up to the group's own completion signal.
            if not self._done:
                await connection.settle(self._deadline)
            free = connection.output_queue.free
            return free if is_data(free) and not self._done else None
        if self._done:
            return None
        found = await connection.peek_in_time(self._deadline)
        if is_data(found):
            return found
        self._end_without_stop(found)
        return None

    def _add_signal(self, frame: Frame, action: str) -> None:
        if self._takes_the_rest:
            self._done = True
        elif action == self._stop_action:
            if self.messages:
                self._done = True
            elif self._is_of_earlier_step(frame):
                self._passed_over = frame
            elif action == MESSAGE_ACTION_COMPLETE:
                self._takes_the_rest = True
            else:
                self._done = True

    def _is_of_earlier_step(self, frame: Frame) -> bool:
        """Return whether a signal, with no message before it, was asked for earlier.

        Frames of the client are completed one for one, so they are counted. Nothing is
        known of broadcasts but when they were made.
        """
        if self._stop_action != MESSAGE_ACTION_COMPLETE:
            return frame.number < self._last_act
        if not self._language.completes_frame(frame):
            # A subclass of the communicator has found the signal inside the frame.
            self._steps.completed += 1
        return self._steps.completed < self._sent

    def _end_without_stop(self, found: Frame | Verdict | None) -> None:
        """End where the messages need no stop action.

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
        elif not self._was_complete_before():
            raise self._error(found)

    def _ends_by_idleness(self) -> bool:
        return (
            self._stop_action == MESSAGE_ACTION_COMPLETE
            and not self._language.sends_completion()
        )

    def _was_complete_before(self) -> bool:
        """Return whether the signal that was passed over is the one that was to come.

        The test has acted since then, but nothing that is followed by such a signal.
        """
        frame, connection = self._passed_over, self._connection
        if frame is None or self._contents:
            return False
        if connection.closed is not None or connection.ended:
            return False
        if self._stop_action == MESSAGE_ACTION_COMPLETE:
            return frame.number > connection.sent_at
        # Only of a consumer that reports it is known what was broadcast to it.
        kind: HandledKind = (
            "event" if self._stop_action == EVENT_ACTION_COMPLETE else "group_message"
        )
        return frame.reported and frame.number > self._steps.last_broadcast(kind)

    # By the step that a frame belongs to.

    def _by_step(self) -> bool:
        return (
            self._stop_action == MESSAGE_ACTION_COMPLETE
            and self._steps.reported
            and self._language.sends_completion()
        )

    def _add_signal_of_step(self, frame: Frame) -> None:
        handling = frame.handling
        if isinstance(handling, Handling) and handling.kind == "frame":
            self._completed = handling.step

    def _claim(self, step: Step | None) -> Step | None:
        if self._claimed is not step:
            if self._claimed is not None:
                self._claimed.collector = None
            if step is not None:
                step.collector = self
            self._claimed = step
        return step

    async def _next_of_step(self) -> Frame | None:
        connection = self._connection
        verdict: Verdict | None = None
        while True:
            step = self._claim(self._completed or self._steps.first_for(self))
            if (frame := self._frame_of(step)) is not None:
                if connection.output_queue.in_time(frame, self._deadline):
                    return frame
                verdict = NEVER_STOPS_SENDING
            over = (
                verdict is not None or connection.closed is not None or connection.ended
            )
            if self._completed is not None:
                awaited = await self._is_awaited(over)
                if frame is None and self._frame_of(step) is not None:
                    continue
                if not awaited:
                    if self.messages or not self._asked_later():
                        return None
                    # It has no answer at all, and the test has asked for more since.
                    self._completed, self._takes_the_rest = None, False
                    continue
            if over:
                self._end_of_step(verdict)
                return None
            verdict = await connection.progress(self._deadline, self._wants)

    def _frame_of(self, step: Step | None) -> Frame | None:
        """Return the next frame of a step that is to be taken, if it is here."""
        queue = self._connection.output_queue
        if not is_data(queue.free):
            return None
        return next((each for each in queue.frames if self._takes(each, step)), None)

    def _wants(self, frame: Frame) -> bool:
        return self._takes(frame, self._completed or self._steps.first_for(self))

    def _takes(self, frame: Frame, step: Step | None) -> bool:
        if not is_data(frame):
            return False
        if step is None:
            # There is nothing to collect. What comes is shown in the failure.
            return not self._steps.collected
        handling = frame.handling
        if not isinstance(handling, Handling):
            # Nobody knows what it is about.
            return self._completed is None or self._takes_the_rest
        if handling.step is not step:
            return False
        if handling.kind == "event" or self._takes_the_rest:
            return True
        return handling.kind == "frame" and self._completed is None

    async def _is_awaited(self, over: bool) -> bool:
        """Return whether more may come of the step whose signal is here.

        Args:
            over: Whether nothing more comes before the deadline. Then what others are
                still at work at is not waited for.
        """
        step, steps = self._completed, self._steps
        assert step is not None
        if not over and (step.unsure or not (self.messages or self._takes_the_rest)):
            # What is on its way over a layer arrives meanwhile, unless the consumer is
            # busy with something else.
            await self._connection.settle(self._deadline)
        if over or idle.is_supported(asyncio.get_running_loop()):
            step.unsure &= steps.busy
        if step.events or step.unsure or (step.elsewhere and not over):
            return True
        if not self._takes_the_rest:
            if self.messages or self._frame_of(step) is not None:
                return False
            # The handler answers only through its groups, if at all.
            self._takes_the_rest = True
        return step.group_messages > 0

    def _asked_later(self) -> bool:
        first = self._steps.first_for(self)
        return first is not None and first.number <= self._last_asked

    def _end_of_step(self, verdict: Verdict | None) -> None:
        """End where nothing more comes.

        Raises:
            IncompleteMessages: Something was still to come.
            Exception: What the application raised instead.
        """
        connection = self._connection
        if self._completed is None:
            frames = connection.output_queue.frames
            close = next((frame for frame in frames if not is_data(frame)), None)
            raise self._error(verdict if close is None else close)
        if connection.ended and not self.messages:
            connection.raise_crash()
        if not connection.ended and connection.closed is None:
            raise self._error(verdict)

    # Why it did not come.

    def _error(self, found: Frame | Verdict | None) -> errors.IncompleteMessages:
        shown = [show_value(item) for item in self._contents]
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
        if self._completed is not None:
            return [UNFINISHED]
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
