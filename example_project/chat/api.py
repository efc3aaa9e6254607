"""The HTTP API, for clients with a token and for the pages."""

from django.contrib.auth import get_user_model
from rest_framework import generics, serializers, status
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from example_project.chat.consumers import NotificationConsumer
from example_project.chat.messages import Notification, NotifyEvent
from example_project.chat.models import Room
from example_project.chat.permissions import IsRoomMember


class RoomSerializer(serializers.ModelSerializer):
    """A room."""

    class Meta:
        model = Room
        fields = ["id", "name"]


class InvitationSerializer(serializers.Serializer):
    """Whom to invite."""

    username = serializers.SlugRelatedField(
        "username",
        queryset=get_user_model().objects.all(),
        error_messages={"does_not_exist": "There is no user {value}."},
    )


class RoomListView(generics.ListCreateAPIView):
    """The rooms of the user; creating one makes them its first member."""

    serializer_class = RoomSerializer

    def get_queryset(self):
        """Return the rooms that the user is a member of."""
        return self.request.user.rooms.all()

    def perform_create(self, serializer: RoomSerializer) -> None:
        """Save the room."""
        serializer.save(members=[self.request.user])


class InvitationView(generics.GenericAPIView):
    """Makes a user a member of a room, and lets them know."""

    queryset = Room.objects.all()
    lookup_url_kwarg = "room_id"
    permission_classes = [IsAuthenticated, IsRoomMember]
    serializer_class = InvitationSerializer

    def post(self, request: Request, room_id: int) -> Response:
        """Invite a user, and notify them if they were not a member before."""
        room = self.get_object()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        invited = serializer.validated_data["username"]
        if room.members.filter(pk=invited.pk).exists():
            return Response(status=status.HTTP_200_OK)
        room.members.add(invited)
        invitation = Notification(
            kind="invitation",
            sender=request.user.get_username(),
            room_id=room.pk,
            room_name=room.name,
        )
        NotificationConsumer.broadcast_event_sync(
            NotifyEvent(payload=invitation), NotificationConsumer.group_of(invited.pk)
        )
        return Response(status=status.HTTP_201_CREATED)
