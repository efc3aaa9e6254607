"""The Django app of the chat."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Rooms and what is said in them."""

    name = "example_project.chat"
