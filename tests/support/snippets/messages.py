"""The messages that the snippets send and receive."""

from typing import Literal

from pydantic import BaseModel

from chanx_testing.messages.base import BaseMessage


class TextPayload(BaseModel):
    text: str


class MessagePayload(BaseModel):
    message: str


class ChatMessage(BaseMessage):
    action: Literal["chat"] = "chat"
    payload: dict[str, str]


class ChatNotice(BaseMessage):
    action: Literal["chat_notice"] = "chat_notice"
    payload: dict[str, str]


class EchoMessage(BaseMessage):
    action: Literal["echo"] = "echo"
    payload: TextPayload


class EchoReply(BaseMessage):
    action: Literal["echo_reply"] = "echo_reply"
    payload: TextPayload


class TestMessage(BaseMessage):
    action: Literal["test"] = "test"
    payload: None = None


class ProtectedMessage(BaseMessage):
    action: Literal["protected"] = "protected"
    payload: None = None


class NotificationEvent(BaseMessage):
    action: Literal["notification"] = "notification"
    payload: MessagePayload


class StartProcessMessage(BaseMessage):
    action: Literal["start_process"] = "start_process"
    payload: None = None


class JobStatus(BaseMessage):
    action: Literal["job_status"] = "job_status"
    payload: str


class ProcessComplete(BaseMessage):
    action: Literal["process_complete"] = "process_complete"
    payload: None = None


class CustomMessage(BaseMessage):
    action: Literal["custom"] = "custom"
    payload: dict[str, str]


class CustomAction(BaseMessage):
    action: Literal["custom_action"] = "custom_action"
    payload: dict[str, str]


class PromptPayload(BaseModel):
    prompt: str


class GenerateStoryMessage(BaseMessage):
    action: Literal["generate_story"] = "generate_story"
    payload: PromptPayload


class StoryPart(BaseMessage):
    action: Literal["story_part"] = "story_part"
    payload: str


class StreamingMessage(BaseMessage):
    action: Literal["streaming"] = "streaming"
    payload: str
