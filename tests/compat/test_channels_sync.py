"""channels: WebsocketConsumer and JsonWebsocketConsumer, which are synchronous."""

from typing import Any, Literal

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import AcceptConnection, DenyConnection
from channels.generic.websocket import JsonWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import path
from pydantic import BaseModel

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.client.errors import UnexpectedFrame


class Said(BaseModel):
    kind: Literal["said"]
    text: str


def users() -> Any:
    return get_user_model().objects


class RoomConsumer(JsonWebsocketConsumer):
    """Keeps who is there as rows, with the ORM in every method."""

    groups = ["room"]
    left: list[int] = []

    def connect(self) -> None:
        name = self.scope["query_string"].decode()
        if not users().filter(username=name).exists():
            self.close(4404)
            return
        self.user = users().get(username=name)
        users().filter(pk=self.user.pk).update(last_name="online")
        self.accept()

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        match content:
            case {"say": text}:
                event = {"type": "room.said", "text": text}
                async_to_sync(self.channel_layer.group_send)("room", event)
            case {"rename": name}:
                self.user.first_name = name
                self.user.save()
                self.send_json({"kind": "said", "text": users().get().first_name})
            case {"leave": code}:
                self.close(code)
            case _:
                raise LookupError(f"unknown: {content}")

    def room_said(self, event: dict[str, Any]) -> None:
        self.send_json({"kind": "said", "text": event["text"]})

    def disconnect(self, code: int) -> None:
        users().filter(pk=self.user.pk).update(last_name="offline")
        self.left.append(code)


class RawConsumer(WebsocketConsumer):
    def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        self.send(text_data=text_data, bytes_data=bytes_data)


class AcceptingConsumer(WebsocketConsumer):
    def connect(self) -> None:
        raise AcceptConnection


class DenyingConsumer(WebsocketConsumer):
    def connect(self) -> None:
        raise DenyConnection


class FailingConsumer(WebsocketConsumer):
    def connect(self) -> None:
        raise LookupError("broken connect")


class CarelessConsumer(WebsocketConsumer):
    def disconnect(self, code: int) -> None:
        raise LookupError("broken disconnect")


application = URLRouter(
    [
        path("room/", RoomConsumer.as_asgi()),
        path("raw/", RawConsumer.as_asgi()),
        path("accepting/", AcceptingConsumer.as_asgi()),
        path("denying/", DenyingConsumer.as_asgi()),
        path("failing/", FailingConsumer.as_asgi()),
        path("careless/", CarelessConsumer.as_asgi()),
    ]
)


class SyncConsumerTests(WebsocketTestCase):
    router = application
    ws_path = "/room/?ann"

    def setUp(self) -> None:
        super().setUp()
        RoomConsumer.left.clear()
        self.ann = users().create(username="ann")

    async def test_handshake_is_accepted(self):
        assert await self.create_communicator().connect() == (True, None)

    async def test_handshake_is_rejected_with_its_code(self):
        communicator = self.create_communicator(ws_path="/room/?bob")
        assert await communicator.connect() == (False, 4404)
        # Channels calls disconnect() after a refusal too, where there is no user yet.
        with pytest.raises(AttributeError, match="user"):
            await communicator.disconnect()

    async def test_handshake_is_answered_by_exceptions(self):
        accepting = self.create_communicator(ws_path="/accepting/")
        assert await accepting.connect() == (True, None)
        denying = self.create_communicator(ws_path="/denying/")
        assert await denying.connect() == (False, 1000)

    async def test_frames_of_json(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"say": "hello"})
            assert await communicator.receive_json() == {
                "kind": "said",
                "text": "hello",
            }

    async def test_frames_of_text_and_of_bytes(self):
        async with self.create_communicator(ws_path="/raw/") as communicator:
            await communicator.send_to(text_data="text")
            await communicator.send_bytes(b"\x00\xff")
            assert await communicator.receive_from() == "text"
            assert await communicator.receive_from() == b"\x00\xff"

    async def test_frames_end_with_a_close(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"leave": 4001})
            await communicator.assert_closed(4001)

    async def test_typed_messages_by_message_types(self):
        communicator = WebsocketCommunicator(
            application, "/room/?ann", message_types=[Said]
        )
        async with communicator:
            for text in "abc":
                await communicator.send_json({"say": text})
            messages = await communicator.receive_all_messages()
            assert [message.text for message in messages] == ["a", "b", "c"]

    async def test_groups_between_two_clients(self):
        async with (
            self.create_communicator() as ann,
            self.create_communicator() as bob,
        ):
            await ann.send_json({"say": "hello"})
            assert (await bob.receive_json())["text"] == "hello"
            assert (await ann.receive_json())["text"] == "hello"

    async def test_crash_in_connect_surfaces(self):
        communicator = self.create_communicator(ws_path="/failing/")
        with pytest.raises(LookupError, match="broken connect"):
            await communicator.connect()

    async def test_crash_in_receive_surfaces(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.send_json({"typo": 1})
        with pytest.raises(LookupError, match="unknown"):
            await communicator.receive_json()

    async def test_crash_in_an_event_surfaces(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await get_channel_layer().group_send("room", {"type": "room.typo"})
        with pytest.raises(ValueError, match=r"No handler for message type room\.typo"):
            await communicator.receive_json()

    async def test_crash_in_disconnect_surfaces(self):
        communicator = self.create_communicator(ws_path="/careless/")
        await communicator.connect()
        with pytest.raises(LookupError, match="broken disconnect"):
            await communicator.disconnect()

    async def test_cleanup_runs_on_disconnect(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.disconnect(4000)
        await self.ann.arefresh_from_db()
        assert (self.ann.last_name, RoomConsumer.left) == ("offline", [4000])
        assert get_channel_layer().groups == {}

    async def test_cleanup_runs_where_the_test_does_not_disconnect(self):
        await self.create_communicator().connect()
        self.addCleanup(lambda: self.assertEqual(RoomConsumer.left, [1000]))

    async def test_nothing_more_is_proved_while_threads_have_worked(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"say": "hello"})
            await communicator.receive_json()
            assert await communicator.receive_nothing()
            verdict = await communicator.wait_until_idle()
            assert verdict, verdict

    async def test_nothing_more_is_refuted(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json({"say": "hello"})
            with pytest.raises(UnexpectedFrame, match="hello"):
                await communicator.receive_nothing()

    async def test_database_of_each_method_is_the_test_s(self):
        async with self.create_communicator() as communicator:
            await self.ann.arefresh_from_db()
            assert self.ann.last_name == "online"
            await communicator.send_json({"rename": "Ann"})
            assert (await communicator.receive_json())["text"] == "Ann"
            await self.ann.arefresh_from_db()
            assert self.ann.first_name == "Ann"


class InATransactionTests(TestCase):
    """A TestCase of Django, whose rows are in a transaction that is never committed."""

    def setUp(self) -> None:
        self.ann = users().create(username="ann")

    async def test_database_rows_of_a_transaction_are_seen(self):
        async with WebsocketCommunicator(application, "/room/?ann") as communicator:
            await communicator.send_json({"rename": "Ann"})
            assert (await communicator.receive_json())["text"] == "Ann"
        await self.ann.arefresh_from_db()
        assert self.ann.last_name == "offline"

    def test_database_from_a_synchronous_test(self):
        async def conversation() -> Any:
            async with WebsocketCommunicator(application, "/room/?ann") as communicator:
                await communicator.send_json({"rename": "Ann"})
                return await communicator.receive_json()

        assert async_to_sync(conversation)()["text"] == "Ann"
        self.ann.refresh_from_db()
        assert self.ann.first_name == "Ann"
