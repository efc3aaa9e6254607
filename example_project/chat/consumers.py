"""The three sockets of the chat: a room, the notifications of a user, the assistant."""

import asyncio
import re
from collections.abc import AsyncIterator

from django.conf import settings
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.permissions import IsAuthenticated

from chanx_testing.channels.authenticator import DjangoAuthenticator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from example_project.chat.assistant import compose_answer
from example_project.chat.messages import (
    Answer,
    AnswerMessage,
    AskMessage,
    ChatMessage,
    History,
    HistoryMessage,
    HistoryRequest,
    JoinedMessage,
    LeftMessage,
    MemberRemovedEvent,
    Notification,
    NotificationMessage,
    NotifyEvent,
    Posted,
    PostedMessage,
    PresenceMessage,
    Progress,
    ProgressMessage,
    User,
    Users,
)
from example_project.chat.models import Message, Room
from example_project.chat.permissions import IsRoomMember
from example_project.chat.presence import presence

HISTORY_LENGTH = 50
MENTION = re.compile(r"@([\w.+-]+)")


class UserAuthenticator(DjangoAuthenticator):
    """Admits users who are logged in, in a browser or with a token."""

    # The token first: its challenge gives a client without credentials a 401.
    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [IsAuthenticated]


class RoomAuthenticator(UserAuthenticator):
    """Admits members of the room named in the URL."""

    permission_classes = [IsAuthenticated, IsRoomMember]
    queryset = Room.objects.all()
    lookup_url_kwarg = "room_id"


class RoomConsumer(AsyncJsonWebsocketConsumer):
    """What is said in a room, and who is there."""

    authenticator_class = RoomAuthenticator
    # What is sent outside the handlers.
    emits = [PresenceMessage, JoinedMessage, LeftMessage]

    room: Room | None = None

    @staticmethod
    def group_of(room_id: int) -> str:
        """Return the name of the group that all connections of a room are in."""
        return f"room_{room_id}"

    async def post_authentication(self) -> None:
        """Enter the room."""
        self.room = self.authenticator.obj
        self.username = self.scope["user"].get_username()
        await self.join_group(self.group_of(self.room.pk))
        is_new = presence.enter(self.room.pk, self.username)
        users = Users(users=presence.users(self.room.pk))
        await self.send_message(PresenceMessage(payload=users))
        if is_new:
            joined = JoinedMessage(payload=User(user=self.username))
            await self.broadcast_message(joined, exclude_current=True)

    async def disconnect(self, code: int) -> None:
        """Leave the room, if this connection has entered it."""
        if self.room is not None and presence.leave(self.room.pk, self.username):
            left = LeftMessage(payload=User(user=self.username))
            await self.broadcast_message(left, self.group_of(self.room.pk))

    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        """Show that the connection is alive."""
        return PongMessage()

    @ws_handler(output_type=PostedMessage)
    async def handle_chat(self, message: ChatMessage) -> None:
        """Save what is said, and send it to everyone in the room."""
        row = await Message.objects.acreate(
            room=self.room, author=self.scope["user"], text=message.payload.text
        )
        await self.broadcast_message(PostedMessage(payload=Posted.from_row(row)))
        await self.notify_mentioned(row)

    @ws_handler
    async def handle_history(self, message: HistoryRequest) -> HistoryMessage:
        """Return what a client missed, a page at a time."""
        rows = self.room.messages.filter(pk__gt=message.payload.after)
        rows = rows.select_related("author")[: HISTORY_LENGTH + 1]
        messages = [Posted.from_row(row) async for row in rows]
        return HistoryMessage(
            payload=History(
                messages=messages[:HISTORY_LENGTH], more=len(messages) > HISTORY_LENGTH
            )
        )

    @event_handler
    async def handle_member_removed(self, event: MemberRemovedEvent) -> None:
        """Disconnect users who are no longer members."""
        if event.payload.user_id == self.scope["user"].pk:
            await self.close(4403)

    async def notify_mentioned(self, row: Message) -> None:
        """Notify the other members whom a message names by ``@name``."""
        names = set(MENTION.findall(row.text)) - {self.username}
        if not names:
            return
        mention = Notification(
            kind="mention",
            sender=self.username,
            room_id=self.room.pk,
            room_name=self.room.name,
            text=row.text,
        )
        async for member in self.room.members.filter(username__in=names):
            await NotificationConsumer.broadcast_event(
                NotifyEvent(payload=mention), NotificationConsumer.group_of(member.pk)
            )


class NotificationConsumer(AsyncJsonWebsocketConsumer):
    """What a user should know, on whichever page they are."""

    authenticator_class = UserAuthenticator

    @staticmethod
    def group_of(user_id: int) -> str:
        """Return the name of the group that all connections of a user are in."""
        return f"user_{user_id}"

    async def post_authentication(self) -> None:
        """Listen to what is sent to this user."""
        await self.join_group(self.group_of(self.scope["user"].pk))

    @event_handler
    async def handle_notify(self, event: NotifyEvent) -> NotificationMessage:
        """Pass the notification on to the client."""
        return NotificationMessage(payload=event.payload)


class AssistantConsumer(AsyncJsonWebsocketConsumer):
    """Answers questions, word by word."""

    authenticator_class = UserAuthenticator

    @ws_handler
    async def handle_ask(
        self, message: AskMessage
    ) -> AsyncIterator[ProgressMessage | AnswerMessage]:
        """Send each word as it is found, and the whole answer at the end."""
        text = await compose_answer(self.scope["user"], message.payload.question)
        words = text.split()
        for done, word in enumerate(words, start=1):
            await asyncio.sleep(settings.ASSISTANT_SECONDS_PER_WORD)
            progress = Progress(done=done, total=len(words), text=word)
            yield ProgressMessage(payload=progress)
        yield AnswerMessage(payload=Answer(text=text))
