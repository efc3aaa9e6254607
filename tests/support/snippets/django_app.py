"""The application behind the Django snippets."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path
from pydantic import ValidationError
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated

from chanx_testing.channels.authenticator import DjangoAuthenticator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.snippets.messages import (
    ChatMessage,
    ChatNotice,
    CustomAction,
    CustomMessage,
    EchoMessage,
    EchoReply,
    JobStatus,
    NotificationEvent,
    ProcessComplete,
    ProtectedMessage,
    StartProcessMessage,
    TestMessage,
)


class ChatAuthenticator(DjangoAuthenticator):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]


class ChatConsumer(AsyncJsonWebsocketConsumer):
    authenticator_class = ChatAuthenticator

    async def post_authentication(self) -> None:
        await self.join_group("users")
        await self.join_group(f"user_{self.scope['user'].id}")

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def echo(self, message: EchoMessage) -> EchoReply:
        return EchoReply(payload=message.payload)

    @ws_handler
    async def test(self, message: TestMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def custom(self, message: CustomMessage) -> CustomAction:
        return CustomAction(payload=message.payload)

    @ws_handler(output_type=ChatNotice)
    async def chat(self, message: ChatMessage) -> None:
        notice = ChatNotice(payload=message.payload)
        await self.broadcast_message(notice, groups=["users"])

    @ws_handler(output_type=[JobStatus, ProcessComplete])
    async def start_process(self, message: StartProcessMessage) -> None:
        await self.send_message(JobStatus(payload="half"))
        await self.send_message(ProcessComplete())

    @event_handler
    async def notification(self, event: NotificationEvent) -> NotificationEvent:
        return event


class LenientConsumer(ChatConsumer):
    """Ignores what it does not understand."""

    async def handle_validation_error(self, error: ValidationError) -> None:
        pass


class OpenConsumer(AsyncJsonWebsocketConsumer):
    """Lets everybody in and answers members only."""

    @ws_handler
    async def protected(self, message: ProtectedMessage) -> PongMessage | None:
        return PongMessage() if self.scope["user"].is_authenticated else None


application = AllowedHostsOriginValidator(
    AuthMiddlewareStack(
        URLRouter(
            [
                path("ws/chat/", ChatConsumer.as_asgi()),
                path("ws/lenient/", LenientConsumer.as_asgi()),
                path("ws/open/", OpenConsumer.as_asgi()),
            ]
        )
    )
)
