"""Who may do what; for the API and for the sockets alike."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from example_project.chat.models import Room


class IsRoomMember(BasePermission):
    """Admits the members of a room."""

    message = "You are not a member of this room."

    def has_object_permission(self, request: Request, view: Any, obj: Room) -> bool:
        """Return whether the user is a member of the room ``obj``."""
        return obj.members.filter(pk=request.user.pk).exists()
