"""The actions of the completion signals, as they stand on the wire."""

from typing import Final

MESSAGE_ACTION_COMPLETE: Final = "complete"
"""Sent after each message of the client was handled."""

GROUP_ACTION_COMPLETE: Final = "group_complete"
"""Sent after a group message was delivered to this connection."""

EVENT_ACTION_COMPLETE: Final = "event_complete"
"""Sent after an event was handled by this connection."""

COMPLETE_ACTIONS: Final = frozenset(
    {MESSAGE_ACTION_COMPLETE, GROUP_ACTION_COMPLETE, EVENT_ACTION_COMPLETE}
)

__all__ = [
    "COMPLETE_ACTIONS",
    "EVENT_ACTION_COMPLETE",
    "GROUP_ACTION_COMPLETE",
    "MESSAGE_ACTION_COMPLETE",
]
