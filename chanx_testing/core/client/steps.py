"""What a client asked of its consumer, frame by frame, and what each frame set off.

On the wire a completion signal does not say what it completes. A consumer in this
process says it beside the wire (:mod:`chanx_testing.core.observe.reports`): which frame
of the client it handles, which broadcast, and what it broadcasts meanwhile. From this
follows, of each frame that comes, the *step* that it belongs to: the frame of a client
that set it off, directly or through events and groups.
"""

import asyncio
import threading
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from typing import Any, Final

from chanx_testing.core.client.acts import last_broadcast, note_broadcast
from chanx_testing.core.client.frame_queue import AsgiMessage, Frame, FrameQueue
from chanx_testing.core.observe import reports
from chanx_testing.core.observe.reports import Broadcast, HandledKind
from chanx_testing.core.trace.timeline import next_number

UNREPORTED_FRAMES: Final = 100
"""How many frames to keep for a consumer that has not reported anything yet."""

REMEMBERED_BROADCASTS: Final = 10_000
"""How many broadcasts may be on their way and still be known."""

# A broadcast may be made in a thread with a loop of its own. Re-entrant: a garbage
# collection may run a finalizer that broadcasts.
_lock = threading.RLock()
# The step that each broadcast belongs to, by its id.
_set_off: "OrderedDict[int, Step]" = OrderedDict()
# Which connections hear of broadcasts, by the channel of their consumer.
_receivers: "weakref.WeakValueDictionary[str, Steps]" = weakref.WeakValueDictionary()


class Step:
    """One frame of a client, and what is still to come of it.

    Args:
        owner: What its client asked.
        message: The frame, until a consumer handles it.

    Attributes:
        number: Its place in the order of the test.
        begun: Whether a consumer has begun to handle it.
        unsure: Whether something of it went over a layer whose members are not known.
        collector: Who collects its answers; None while nobody does.
    """

    def __init__(self, owner: "Steps", message: AsgiMessage | None) -> None:
        self.number = next_number()
        self.message = message
        self.begun = False
        self.unsure = False
        self.collector: object | None = None
        self._owner = weakref.ref(owner)
        self._here: Counter[HandledKind] = Counter()
        self._elsewhere = 0

    @property
    def events(self) -> int:
        """How many events of it its own connection is still to answer."""
        return self._here["event"]

    @property
    def group_messages(self) -> int:
        """How many group messages of it its own connection is still to pass on."""
        return self._here["group_message"]

    @property
    def elsewhere(self) -> int:
        """How much of it others still work at, which may send more to this client."""
        return self._elsewhere

    def count(self, kind: HandledKind | None, where: "Steps | None", by: int) -> None:
        """Count what is to be handled on a connection, or is on its way (None)."""
        owner = self._owner()
        if owner is None:
            return
        with _lock:
            if where is owner and kind is not None:
                self._here[kind] += by
            # What another client is only told sets off nothing more.
            elif kind != "group_message":
                self._elsewhere += by
        if by < 0:
            owner.wake()


class Handling:
    """What a consumer handles, with the step that it belongs to.

    Attributes:
        kind: What it handles.
        step: None where no frame of a client has set it off, but the test did, or
            something that this process does not know of.
        where: That of the connection whose consumer it is.
        signalled: Whether its completion signal was sent.
    """

    def __init__(self, kind: HandledKind, step: Step | None, where: "Steps") -> None:
        self.kind = kind
        self.step = step
        self.where = where
        self.signalled = False


class _Sending:
    """A broadcast on its way to the layer, for one group or one channel."""

    def __init__(self, step: Step | None, kind: HandledKind, broadcast_id: int) -> None:
        self.step = step
        self.receivers: list[Steps] = []
        self._kind = kind
        self._broadcast_id = broadcast_id

    def begin(self, step: Step) -> None:
        step.count(None, None, +1)
        with _lock:
            _set_off[self._broadcast_id] = step
            if len(_set_off) > REMEMBERED_BROADCASTS:
                _set_off.popitem(last=False)
        for receiver in self.receivers:
            receiver.expect(self._broadcast_id, self._kind, step)

    def end(self, step: Step, *, failed: bool) -> None:
        if failed:
            # Whom it has reached is not known.
            step.unsure = True
            for receiver in self.receivers:
                receiver.forget(self._broadcast_id, self._kind, step)
        step.count(None, None, -1)


class Steps:
    """What one client asked, in order.

    It is a :class:`~chanx_testing.core.observe.reports.Conversation`. The contexts of
    an application hold it, for longer than the application lives. So it holds nothing
    of the connection.

    Args:
        queue: The frames for the test: who waits there is woken when something is done.

    Attributes:
        reported: Whether the consumer reports what it does.
        sent: How many frames the client has sent.
        completed: How many completion signals of frames the test has taken.
        collecting: How many verbs wait for a step to be done.
    """

    def __init__(self, queue: FrameQueue) -> None:
        self.reported = False
        self.sent = 0
        self.completed = 0
        self.collecting = 0
        self._queue = weakref.ref(queue)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: deque[Step] = deque()
        self._handling: set[Handling] = set()
        # Broadcasts that are on their way to the consumer, by their ids.
        self._expected: Counter[tuple[int, HandledKind]] = Counter()
        # When something of each kind was last broadcast to the consumer.
        self._last_broadcasts: dict[HandledKind, int] = {}
        self._ended = False

    # What the client does.

    def first_for(self, collector: object) -> Step | None:
        """Return the oldest step that is left for somebody who collects answers.

        It is one whose completion signal the test has not taken, and whose answers
        nobody else collects.
        """
        for step in self._asked:
            if step.collector is None or step.collector is collector:
                return step
        return None

    @property
    def collected(self) -> bool:
        """Whether somebody collects the answers to one of the steps."""
        return any(step.collector is not None for step in self._asked)

    @property
    def last_number(self) -> int:
        """The place of the newest step in the order of the test, 0 without any."""
        return self._asked[-1].number if self._asked else 0

    @property
    def busy(self) -> bool:
        """Whether the consumer is in the middle of handling something."""
        return bool(self._handling)

    def frame_sent(self, message: AsgiMessage) -> None:
        """Note that the client sends a frame of data."""
        self.sent += 1
        self._asked.append(Step(self, message))
        if not self.reported and len(self._asked) > UNREPORTED_FRAMES:
            self._asked.popleft()

    # What comes.

    def mark(self, frame: Frame) -> None:
        """Note on a frame what is known of it, in the context that sends it."""
        frame.reported = self.reported
        handling = reports.handling.get()
        if isinstance(handling, Handling) and handling.where is self:
            frame.handling = handling
            frame.signal = reports.signalling.get()
            handling.signalled |= frame.signal

    def frame_taken(self, frame: Frame) -> None:
        """Note that the test has taken a frame."""
        handling = frame.handling
        if frame.signal and isinstance(handling, Handling) and handling.kind == "frame":
            self.completed += 1
            self._finish(handling.step)

    def _finish(self, step: Step | None) -> None:
        if step is not None and step in self._asked:
            self._asked.remove(step)

    # What the consumer reports.

    def consumer_began(self, channel_name: str | None) -> None:
        """Note that a consumer which reports serves this connection."""
        self.reported = True
        self._loop = asyncio.get_running_loop()
        if channel_name is not None:
            with _lock:
                _receivers[channel_name] = self

    def handling_began(self, kind: HandledKind, subject: Any) -> Handling:
        """Note that the consumer begins to handle something."""
        step: Step | None
        if kind == "frame":
            step = self._step_of(subject)
            step.begun, step.message = True, None
        else:
            with _lock:
                step = _set_off.get(subject) if isinstance(subject, int) else None
                expected = step is not None and self._arrived(subject, kind)
            if step is not None and not expected:
                step.count(kind, self, +1)
        handling = Handling(kind, step, self)
        self._handling.add(handling)
        return handling

    def handling_ended(self, handling: Handling) -> None:
        """Note that the consumer has handled it."""
        self._handling.discard(handling)
        if handling.step is None:
            return
        if handling.kind != "frame":
            handling.step.count(handling.kind, self, -1)
        elif not handling.signalled:
            # No signal will ever say that it is done.
            self._finish(handling.step)

    def _step_of(self, message: AsgiMessage) -> Step:
        """Return the step of a frame that the consumer reads."""
        waiting = [step for step in self._asked if not step.begun]
        found = next((step for step in waiting if step.message is message), None)
        if found is None:
            # A middleware may have made a copy of it, or another frame.
            found = next((step for step in waiting if step.message == message), None)
        if found is None:
            found = waiting[0] if waiting else None
        if found is None:
            # It was put into the queue of the application directly.
            found = Step(self, None)
            self._asked.append(found)
        for step in waiting:
            if step is found:
                break
            # It was kept from the consumer, which reads frames in their order.
            self._finish(step)
        return found

    def sending_began(
        self,
        broadcast: Broadcast,
        layer: Any,
        *,
        group: str | None,
        channel_name: str | None,
    ) -> _Sending:
        """Note a broadcast of the consumer, and who is to receive it."""
        handling = reports.handling.get()
        step = handling.step if isinstance(handling, Handling) else None
        kind = broadcast.kind
        sending = _Sending(step, kind, broadcast.id)
        channels: Collection[str] | None = [channel_name] if channel_name else None
        if group is not None:
            channels = _members(layer, group)
        if channels is None:
            note_broadcast(kind)
        with _lock:
            for channel in channels or ():
                receiver = _receivers.get(channel)
                if receiver is not None and not receiver._ended:
                    receiver._last_broadcasts[kind] = next_number()
                    sending.receivers.append(receiver)
        if step is not None:
            step.unsure |= channels is None
            sending.begin(step)
        return sending

    def sending_ended(self, sending: "_Sending", error: BaseException | None) -> None:
        """Note that the layer has a broadcast, or what it raised."""
        if sending.step is not None:
            sending.end(sending.step, failed=error is not None)

    def last_broadcast(self, kind: HandledKind) -> int:
        """Return when a broadcast was last made that may have reached the consumer."""
        return max(self._last_broadcasts.get(kind, 0), last_broadcast(kind))

    def expect(self, broadcast_id: int, kind: HandledKind, step: Step) -> None:
        """Note that a broadcast is on its way to the consumer."""
        with _lock:
            self._expected[broadcast_id, kind] += 1
        step.count(kind, self, +1)

    def forget(self, broadcast_id: int, kind: HandledKind, step: Step) -> None:
        """Note that a broadcast may not come, unless it has come already."""
        with _lock:
            expected = self._arrived(broadcast_id, kind)
        if expected:
            step.count(kind, self, -1)

    def _arrived(self, broadcast_id: int, kind: HandledKind) -> bool:
        """Take a broadcast from those on their way; return whether it was one."""
        left = self._expected[broadcast_id, kind] - 1
        if left > 0:
            self._expected[broadcast_id, kind] = left
        else:
            del self._expected[broadcast_id, kind]
        return left >= 0

    def end(self) -> None:
        """Note that the application has ended: it handles nothing more."""
        with _lock:
            self._ended = True
            expected, self._expected = self._expected, Counter()
        for (broadcast_id, kind), count in expected.items():
            step = _set_off.get(broadcast_id)
            if step is not None and count > 0:
                step.count(kind, self, -count)

    def wake(self) -> None:
        """Have the verbs look again that wait for a step to be done."""
        queue, loop = self._queue(), self._loop
        if not self.collecting or queue is None or loop is None:
            return
        if _running_loop() is loop:
            queue.wake_all()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(queue.wake_all)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _members(layer: Any, group: str | None) -> Collection[str] | None:
    """Return the channels in a group, or None where this process does not know.

    Channels' and fast-channels' layers in memory have them in an attribute. Others have
    an attribute of that name too, with something else in it.
    """
    in_memory = any(
        base.__name__ == "InMemoryChannelLayer" for base in type(layer).__mro__
    )
    groups = getattr(layer, "groups", None)
    if not in_memory or not isinstance(groups, dict):
        return None
    return tuple(groups.get(group, ()))
