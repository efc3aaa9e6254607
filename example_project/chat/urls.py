"""URLs of the chat."""

from django.urls import path

from example_project.chat import api, views

urlpatterns = [
    path("", views.room_list, name="room-list"),
    path("rooms/<int:room_id>/", views.room, name="room"),
    path("rooms/<int:room_id>/leave/", views.leave_room, name="leave-room"),
    path("assistant/", views.assistant, name="assistant"),
    path("api/rooms/", api.RoomListView.as_view(), name="api-rooms"),
    path(
        "api/rooms/<int:room_id>/invitations/",
        api.InvitationView.as_view(),
        name="api-invitations",
    ),
]
