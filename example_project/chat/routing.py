"""The paths of the sockets."""

from django.urls import path

from example_project.chat.consumers import (
    AssistantConsumer,
    NotificationConsumer,
    RoomConsumer,
)

websocket_urlpatterns = [
    path("ws/rooms/<int:room_id>/", RoomConsumer.as_asgi()),
    path("ws/notifications/", NotificationConsumer.as_asgi()),
    path("ws/assistant/", AssistantConsumer.as_asgi()),
]
