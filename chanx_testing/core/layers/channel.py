"""What is known of the messages on their way to one channel."""

import itertools
from typing import Any, Final

_MARKER: Final = "chanx_testing_marker"
_numbers = itertools.count(1)


class Channel:
    """The account of one channel; used under a lock of its owner.

    A marker is a message of our own. All that was sent before it arrives before it. So
    when it comes, only what was sent since is still on its way.

    Attributes:
        expected: How many messages are certainly on their way.
        is_unsure: Whether others may be on their way, until a marker has come.
        is_lost: Whether others may be, and no marker tells: a command was broken off,
            which the server may take when the marker has passed.
        marker: The number of the marker on its way; None without one.
        is_asking: Whether a marker is about to be sent.
        is_mute: Whether a marker could not be sent.
    """

    __slots__ = (
        "_expected_after",
        "_is_unsure_after",
        "expected",
        "is_asking",
        "is_lost",
        "is_mute",
        "is_unsure",
        "marker",
    )

    def __init__(self) -> None:
        self.expected = 0
        self.is_unsure = False
        self.is_lost = False
        self.marker: int | None = None
        self.is_asking = False
        self.is_mute = False
        # Of what was sent after the marker. Some of it may come before the marker all
        # the same; then too many are expected, which the next marker sets right.
        self._expected_after = 0
        self._is_unsure_after = False

    def expect(self) -> None:
        """Count a message that will certainly come."""
        self.expected += 1
        self._expected_after += 1
        self.is_mute = False

    def refused(self) -> None:
        """Take one back that was not sent."""
        self.expected -= 1
        self._expected_after -= 1

    def doubt(self) -> None:
        """Note that it is not known whether a message will come."""
        self.is_unsure = True
        self._is_unsure_after = True
        self.is_mute = False

    def lose(self) -> None:
        """Note that it will never be known."""
        self.is_lost = True

    def arrived(self) -> None:
        """Count a message off."""
        self.expected -= 1
        self.is_mute = False
        if self.expected < 0:
            # One that was not counted. If nothing explains it, somebody sends who is
            # not known.
            self.expected = 0
            if not self.is_unsure:
                self.doubt()

    def mark(self) -> dict[str, Any]:
        """Return a marker to send now."""
        self.marker = next(_numbers)
        self._expected_after = 0
        self._is_unsure_after = False
        return {"type": _MARKER, _MARKER: self.marker}

    def marker_failed(self) -> None:
        """Note that it was not sent, or may not have been."""
        self.marker = None
        self.is_mute = True

    def marker_came(self, message: dict[str, Any]) -> None:
        """Look at a marker that arrived."""
        if message[_MARKER] == self.marker:
            self.marker = None
            self.expected = max(0, self._expected_after)
            self.is_unsure = self._is_unsure_after


def is_marker(message: Any) -> bool:
    """Return whether a message is one of ours."""
    return isinstance(message, dict) and _MARKER in message
