"""The actions of the completion signals on the wire."""

from typing import Final

MESSAGE_ACTION_COMPLETE: Final = "complete"
"""Sent after each frame of the client, also when it could not be handled."""

GROUP_ACTION_COMPLETE: Final = "group_complete"
"""Sent after this connection handled a group message."""

EVENT_ACTION_COMPLETE: Final = "event_complete"
"""Sent after this connection handled an event."""

COMPLETE_ACTIONS: Final = frozenset(
    {MESSAGE_ACTION_COMPLETE, GROUP_ACTION_COMPLETE, EVENT_ACTION_COMPLETE}
)

__all__ = [
    "COMPLETE_ACTIONS",
    "EVENT_ACTION_COMPLETE",
    "GROUP_ACTION_COMPLETE",
    "MESSAGE_ACTION_COMPLETE",
]
