"""Create users and a room to try the chat with."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from example_project.chat.models import Room

USERNAMES = ["alice", "bob"]
PASSWORD = "demo"
ROOM = "Lobby"


class Command(BaseCommand):
    """Creates the users alice and bob, and a room for them, unless they are there."""

    help = "Create the users alice and bob (password: demo) and a room for both."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create what is missing; what is there stays as it is."""
        user_model = get_user_model()
        users = []
        for username in USERNAMES:
            user, is_new = user_model.objects.get_or_create(username=username)
            if is_new:
                user.set_password(PASSWORD)
                user.save()
            users.append(user)
        room = Room.objects.filter(name=ROOM).first() or Room.objects.create(name=ROOM)
        room.members.add(*users)
        self.stdout.write(
            f"Log in as {' or '.join(USERNAMES)}, password {PASSWORD!r}, "
            f"and meet in the room {ROOM!r}."
        )
