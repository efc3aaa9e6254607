"""What travels over the sockets.

A message has an ``action``, which decides what handles it, and a ``payload``. Events
have the same shape and travel between consumers, views and tasks.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, StringConstraints

from chanx_testing.messages.base import BaseMessage
from example_project.chat.models import Message

Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)
]

# --- A room ---------------------------------------------------------------------


class ChatPayload(BaseModel):
    """Something to say."""

    text: Text


class ChatMessage(BaseMessage):
    """From the client: say this to the room."""

    action: Literal["chat"] = "chat"
    payload: ChatPayload


class Posted(BaseModel):
    """A message as the members of its room see it."""

    id: int
    author: str
    text: str
    created_at: datetime

    @classmethod
    def from_row(cls, row: Message) -> Self:
        """Return what clients see of a row; its author must be loaded."""
        return cls(
            id=row.pk,
            author=row.author.get_username(),
            text=row.text,
            created_at=row.created_at,
        )


class PostedMessage(BaseMessage):
    """To everyone in the room: this was said."""

    action: Literal["posted"] = "posted"
    payload: Posted


class HistoryPayload(BaseModel):
    """The last message that the client knows."""

    after: int = 0


class HistoryRequest(BaseMessage):
    """From the client: what was said since?"""

    action: Literal["history"] = "history"
    payload: HistoryPayload


class History(BaseModel):
    """Messages, oldest first."""

    messages: list[Posted]
    more: bool


class HistoryMessage(BaseMessage):
    """To the client: this was said; ask again if there is more."""

    action: Literal["history"] = "history"
    payload: History


class Users(BaseModel):
    """Names of users."""

    users: list[str]


class PresenceMessage(BaseMessage):
    """To a client that has come: who is in the room."""

    action: Literal["presence"] = "presence"
    payload: Users


class User(BaseModel):
    """The name of a user."""

    user: str


class JoinedMessage(BaseMessage):
    """To everyone else in the room: somebody has come."""

    action: Literal["joined"] = "joined"
    payload: User


class LeftMessage(BaseMessage):
    """To everyone else in the room: somebody has gone."""

    action: Literal["left"] = "left"
    payload: User


class Removal(BaseModel):
    """The key of a user."""

    user_id: int


class MemberRemovedEvent(BaseMessage):
    """To the connections of a room: this user is no longer a member."""

    action: Literal["member_removed"] = "member_removed"
    payload: Removal


# --- Notifications --------------------------------------------------------------


class Notification(BaseModel):
    """Something that a user should know, wherever they are."""

    kind: Literal["invitation", "mention"]
    sender: str
    room_id: int
    room_name: str
    text: str = ""


class NotifyEvent(BaseMessage):
    """To the connections of a user: pass this on."""

    action: Literal["notify"] = "notify"
    payload: Notification


class NotificationMessage(BaseMessage):
    """To the client: you should know this."""

    action: Literal["notification"] = "notification"
    payload: Notification


# --- The assistant --------------------------------------------------------------


class Question(BaseModel):
    """A question in words."""

    question: Text


class AskMessage(BaseMessage):
    """From the client: answer this."""

    action: Literal["ask"] = "ask"
    payload: Question


class Progress(BaseModel):
    """How far the answer is."""

    done: int
    total: int
    text: str


class ProgressMessage(BaseMessage):
    """To the client: the next piece of the answer."""

    action: Literal["progress"] = "progress"
    payload: Progress


class Answer(BaseModel):
    """The whole answer."""

    text: str


class AnswerMessage(BaseMessage):
    """To the client, last: the whole answer."""

    action: Literal["answer"] = "answer"
    payload: Answer
