"""chanx: its consumers, messages, completions, camelCase and authenticator."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

import asyncio
import uuid
from typing import Any, Literal

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.test import override_settings
from django.urls import path
from pydantic import BaseModel

from chanx_testing.channels.testing import WebsocketTestCase
from chanx_testing.core.client.errors import IncompleteMessages, UnexpectedFrame
from chanx_testing.core.testing import capture_broadcast_events
from tests.support.require import require

require("chanx")

from chanx.channels.authenticator import DjangoAuthenticator
from chanx.channels.websocket import AsyncJsonWebsocketConsumer
from chanx.core.decorators import event_handler, ws_handler
from chanx.messages.base import BaseMessage
from chanx.messages.incoming import PingMessage
from chanx.messages.outgoing import ErrorMessage, PongMessage
from rest_framework.authentication import SessionAuthentication
from rest_framework.permissions import IsAuthenticated


class Line(BaseModel):
    room_name: str
    line_id: uuid.UUID | None = None


class Say(BaseMessage):
    action: Literal["say"] = "say"
    payload: Line


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Line


class Think(BaseMessage):
    action: Literal["think"] = "think"
    payload: None = None


class Fail(BaseMessage):
    action: Literal["fail"] = "fail"
    payload: None = None


class Register(BaseMessage):
    action: Literal["register"] = "register"
    payload: str


class News(BaseMessage):
    action: Literal["news"] = "news"
    payload: str


class BadNews(BaseMessage):
    action: Literal["bad_news"] = "bad_news"
    payload: None = None


class RoomConsumer(AsyncJsonWebsocketConsumer):
    groups = ["room"]
    left: list[int] = []

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=Said)
    async def say(self, message: Say) -> None:
        await self.broadcast_message(Said(payload=message.payload))

    @ws_handler
    async def think(self, message: Think) -> Said:
        """Answer after several turns of the loop and a job in a thread."""
        for _ in range(5):
            await asyncio.sleep(0)
        name = await sync_to_async(str)("thought")
        return Said(payload=Line(room_name=name))

    @ws_handler
    async def fail(self, message: Fail) -> Said:
        raise LookupError("broken handler")

    @ws_handler
    async def register(self, message: Register) -> Said:
        user = await get_user_model().objects.acreate(username=message.payload)
        return Said(payload=Line(room_name=user.username))

    @event_handler
    async def news(self, event: News) -> News:
        return event

    @event_handler
    async def bad_news(self, event: BadNews) -> News:
        raise LookupError("broken event")

    async def disconnect(self, code: int) -> None:
        self.left.append(code)


class LocalConsumer(RoomConsumer):
    groups = ["local"]


class LoudConsumer(RoomConsumer):
    groups = ["loud"]

    @classmethod
    async def broadcast_event(cls, event: Any, groups: Any = None) -> None:
        await super().broadcast_event(event, groups)


class CamelConsumer(RoomConsumer):
    camelize = True


class QuietConsumer(RoomConsumer):
    send_completion = False


class Authenticator(DjangoAuthenticator):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]


class MembersConsumer(RoomConsumer):
    authenticator_class = Authenticator


class FailingConsumer(RoomConsumer):
    async def post_authentication(self) -> None:
        raise LookupError("broken connect")


application = AuthMiddlewareStack(
    URLRouter(
        [
            path("room/", RoomConsumer.as_asgi()),
            path("local/", LocalConsumer.as_asgi()),
            path("loud/", LoudConsumer.as_asgi()),
            path("camel/", CamelConsumer.as_asgi()),
            path("quiet/", QuietConsumer.as_asgi()),
            path("members/", MembersConsumer.as_asgi()),
            path("failing/", FailingConsumer.as_asgi()),
        ]
    )
)


def said(name: str) -> Said:
    return Said(payload=Line(room_name=name))


class ChanxTests(WebsocketTestCase):
    router = application
    ws_path = "/room/"

    def get_ws_headers(self) -> Any:
        self.user, headers = self.create_user_and_ws_headers(username="ann")
        return headers

    def setUp(self) -> None:
        super().setUp()
        RoomConsumer.left.clear()

    # Handshakes.

    async def test_handshake_is_accepted_after_authentication(self):
        communicator = self.create_communicator(ws_path="/members/")
        assert await communicator.connect() == (True, None)
        message = await communicator.wait_for_auth()
        assert message is not None
        assert message.payload.status_code == 200

    async def test_handshake_of_a_user_is_ok(self):
        async with self.create_communicator(ws_path="/members/") as communicator:
            await communicator.assert_authenticated_status_ok()

    async def test_handshake_without_credentials_is_refused(self):
        self.ws_path = "/members/"
        await self.communicator.connect()
        message = await self.communicator.wait_for_auth()
        assert message is not None
        assert message.payload.status_code == 403
        await self.communicator.assert_closed(4403)

    @override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False})
    async def test_handshake_without_an_authentication_message(self):
        async with self.create_communicator(ws_path="/members/") as communicator:
            assert await communicator.wait_for_auth() is None
            assert await communicator.receive_nothing()

    # Frames.

    async def test_frames_of_json_with_completions(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"action": "ping"})
            frames = await communicator.receive_all_json()
            assert [frame["action"] for frame in frames] == ["pong", "complete"]

    async def test_frames_that_are_wrong_are_answered(self):
        async with self.create_communicator() as communicator:
            await communicator.send_to(text_data="no JSON")
            assert isinstance(await communicator.receive_message(), ErrorMessage)
            await communicator.send_json({"action": "typo"})
            assert isinstance(await communicator.receive_message(), ErrorMessage)

    # Typed messages.

    async def test_typed_messages_are_those_of_chanx(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(PingMessage())
            assert await communicator.receive_message() == PongMessage()

    async def test_typed_messages_until_completion(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(Think())
            assert await communicator.receive_all_messages() == [said("thought")]

    async def test_typed_messages_until_an_action_of_the_test(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(PingMessage())
            await communicator.send_message(Think())
            messages = await communicator.receive_all_messages(stop_action="said")
            assert messages == [PongMessage(), said("thought")]

    async def test_typed_messages_end_by_idleness_without_completions(self):
        async with self.create_communicator(ws_path="/quiet/") as communicator:
            await communicator.send_message(Think())
            assert await communicator.receive_all_messages() == [said("thought")]

    @override_settings(CHANX={"SEND_COMPLETION": False})
    async def test_typed_messages_follow_the_setting(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(Think())
            assert await communicator.receive_all_messages() == [said("thought")]
            with pytest.raises(IncompleteMessages, match="SEND_COMPLETION is off"):
                await communicator.receive_all_messages("event_complete")

    async def test_typed_messages_in_camel_case(self):
        line = Line(room_name="red", line_id=uuid.uuid4())
        async with self.create_communicator(ws_path="/camel/") as communicator:
            await communicator.send_message(Say(payload=line))
            frame = await communicator.receive_json()
            while frame["action"] != "said":
                frame = await communicator.receive_json()
            assert frame["payload"]["roomName"] == "red"
            await communicator.receive_all_json()
            await communicator.send_message(Say(payload=line))
            messages = await communicator.receive_all_messages("group_complete")
            assert messages == [Said(payload=line)]

    # Groups.

    async def test_groups_between_two_clients(self):
        async with (
            self.create_communicator() as ann,
            self.create_communicator() as bob,
        ):
            await ann.send_message(Say(payload=Line(room_name="red")))
            for each in (ann, bob):
                messages = await each.receive_all_messages("group_complete")
                assert messages == [said("red")]

    async def test_groups_by_an_event(self):
        async with self.create_communicator() as communicator:
            await RoomConsumer.broadcast_event(News(payload="rain"))
            await sync_to_async(RoomConsumer.broadcast_event_sync)(News(payload="sun"))
            messages = await communicator.receive_all_messages("event_complete")
            messages += await communicator.receive_all_messages("event_complete")
            assert [message.payload for message in messages] == ["rain", "sun"]

    async def test_groups_are_captured(self):
        async with self.create_communicator() as communicator:
            with capture_broadcast_events(RoomConsumer) as captured:
                await RoomConsumer.broadcast_event(News(payload="rain"), ["a", "b"])
                await RoomConsumer.broadcast_event(News(payload="sun"), groups="a")
                await sync_to_async(LocalConsumer.broadcast_event_sync)(
                    News(payload="fog")
                )
            seen = [(item.event.payload, item.groups) for item in captured]
            assert seen == [("rain", ["a", "b"]), ("sun", "a"), ("fog", None)]
            assert captured[2].consumer is LocalConsumer
            assert await communicator.receive_nothing()

    async def test_groups_are_captured_and_reached(self):
        async with self.create_communicator() as communicator:
            with capture_broadcast_events(RoomConsumer, suppress=False) as captured:
                await RoomConsumer.broadcast_event(News(payload="rain"))
            assert len(captured) == 1
            messages = await communicator.receive_all_messages("event_complete")
            assert messages == [News(payload="rain")]

    async def test_groups_of_a_subclass_are_its_own_while_captured(self):
        async with (
            self.create_communicator() as room,
            self.create_communicator(ws_path="/local/") as local,
            self.create_communicator(ws_path="/loud/") as loud,
        ):
            with capture_broadcast_events(RoomConsumer, suppress=False) as captured:
                await LocalConsumer.broadcast_event(News(payload="local"))
                await LoudConsumer.broadcast_event(News(payload="loud"))
            assert [item.consumer for item in captured] == [LocalConsumer, LoudConsumer]
            await LocalConsumer.broadcast_event(News(payload="again"))
            assert await room.receive_nothing()
            frames = await local.receive_all_json()
            assert [frame["payload"] for frame in frames if frame["payload"]] == [
                "local",
                "again",
            ]
            messages = await loud.receive_all_messages("event_complete")
            assert messages == [News(payload="loud")]

    async def test_groups_are_captured_by_nested_blocks(self):
        async with self.create_communicator() as communicator:
            with capture_broadcast_events(RoomConsumer) as outer:
                with capture_broadcast_events(RoomConsumer, suppress=False) as inner:
                    await RoomConsumer.broadcast_event(News(payload="both"))
                with capture_broadcast_events(LocalConsumer) as local:
                    await RoomConsumer.broadcast_event(News(payload="outer"))
            assert (len(outer), len(inner), len(local)) == (2, 1, 0)
            assert await communicator.receive_nothing()

    async def test_groups_captured_by_channel_name(self):
        methods = ["broadcast_event", "send_event"]
        with capture_broadcast_events(RoomConsumer, methods=methods) as captured:
            await RoomConsumer.send_event(News(payload="rain"), "specific!a")
        assert [(item.method, item.channel_name) for item in captured] == [
            ("send_event", "specific!a")
        ]

    def test_groups_are_captured_without_a_trace(self):
        everybody = (RoomConsumer, LocalConsumer, LoudConsumer)
        before = [dict(vars(each)) for each in everybody]
        with pytest.raises(ZeroDivisionError), capture_broadcast_events(RoomConsumer):
            assert vars(LoudConsumer)["broadcast_event"] is not before[2]
            raise ZeroDivisionError
        assert [dict(vars(each)) for each in everybody] == before
        broadcast = before[2]["broadcast_event"]
        assert vars(LoudConsumer)["broadcast_event"] is broadcast

    def test_groups_captured_need_a_class_method(self):
        with (
            pytest.raises(TypeError, match=r"async class method broadcast_message\(\)"),
            capture_broadcast_events(RoomConsumer, methods=["broadcast_message"]),
        ):
            pytest.fail("the body must not run")

    # Crashes.

    async def test_crash_in_connect_surfaces(self):
        communicator = self.create_communicator(ws_path="/failing/")
        with pytest.raises(LookupError, match="broken connect"):
            async with communicator:
                await communicator.receive_json()

    async def test_crash_in_a_handler_surfaces_at_the_end(self):
        with pytest.raises(LookupError, match="broken handler"):
            async with self.create_communicator() as communicator:
                await communicator.send_message(Fail())

    async def test_crash_in_a_handler_may_be_received_instead(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(Fail())
            messages = await communicator.receive_all_messages()
            assert [type(message) for message in messages] == [ErrorMessage]

    async def test_crash_in_an_event_surfaces_at_the_end(self):
        with pytest.raises(LookupError, match="broken event"):
            async with self.create_communicator() as communicator:
                await RoomConsumer.broadcast_event(BadNews())
                assert await communicator.receive_nothing()

    async def test_crash_that_is_expected_passes(self):
        async with self.create_communicator() as communicator:
            communicator.expect_errors(LookupError)
            await communicator.send_message(Fail())

    # Cleanup, idleness, the database.

    async def test_cleanup_runs_on_disconnect(self):
        before = dict(vars(RoomConsumer))
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.disconnect(4000)
        assert RoomConsumer.left == [4000]
        assert get_channel_layer().groups == {}
        assert dict(vars(RoomConsumer)) == before

    async def test_nothing_more_is_proved(self):
        async with self.create_communicator() as communicator:
            assert await communicator.receive_nothing()
            await communicator.send_message(PingMessage())
            await communicator.receive_all_messages()
            verdict = await communicator.wait_until_idle()
            assert verdict, verdict

    async def test_nothing_more_is_refuted_by_a_handler_in_the_background(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(Think())
            with pytest.raises(UnexpectedFrame, match="thought"):
                await communicator.receive_nothing()

    async def test_database_is_shared_with_the_test(self):
        async with self.create_communicator() as communicator:
            await communicator.send_message(Register(payload="bob"))
            assert await communicator.receive_all_messages() == [said("bob")]
            assert await get_user_model().objects.filter(username="bob").aexists()
