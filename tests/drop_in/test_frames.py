"""Raw frames, the queues, the task, the scope; messages of every kind, and many."""

import asyncio
import json

import pytest
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import (
    AsyncConsumer,
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels.layers import get_channel_layer
from django.test import override_settings

from chanx_testing.channels.testing import WebsocketCommunicator
from tests.support import apps


async def connected(application, *args):
    communicator = WebsocketCommunicator(application, "/", *args)
    await communicator.connect()
    return communicator


class TestRawFrames:
    async def test_are_as_the_application_sent_them(self):
        sent = [
            {"type": "websocket.send", "text": None, "bytes": b"raw"},
            {"type": "websocket.send", "text": "", "extra": 1},
            {"type": "websocket.close"},
        ]

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            for message in sent:
                await send(message)
            await receive()

        communicator = await connected(application)
        for message in sent:
            assert await communicator.receive_output() is message
        await communicator.disconnect()

    async def test_a_close_has_code_and_reason(self):
        communicator = await connected(apps.closing(4001, "no more"))
        close = await communicator.receive_output()
        assert close["type"] == "websocket.close"
        assert (close["code"], close["reason"]) == (4001, "no more")
        await communicator.disconnect()

    async def test_a_close_of_channels_is_equal_to_what_suites_expect(self):
        class Closing(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                await self.close()

        communicator = await connected(Closing.as_asgi())
        await communicator.send_to("go")
        assert await communicator.receive_output() == {"type": "websocket.close"}
        await communicator.disconnect()

    async def test_a_close_instead_of_data_has_the_text_that_suites_match(self):
        communicator = await connected(apps.closing(4001))
        with pytest.raises(
            AssertionError,
            match=r"Expected type 'websocket\.send', but was 'websocket\.close'",
        ):
            await communicator.receive_json_from()
        await communicator.disconnect()

    async def test_an_accept_may_be_taken_by_hand(self):
        communicator = WebsocketCommunicator(apps.silent, "/")
        await communicator.send_input({"type": "websocket.connect"})
        accept = await communicator.receive_output()
        assert accept == {"type": "websocket.accept", "subprotocol": None}
        await communicator.disconnect()


class Internal(AsyncConsumer):
    """Has a handler for a message that no client can send."""

    async def websocket_connect(self, message):
        await self.send({"type": "websocket.accept"})

    async def internal_msg(self, message):
        await self.send({"type": "websocket.send", "text": message["text"]})

    async def websocket_disconnect(self, message):
        from channels.exceptions import StopConsumer

        raise StopConsumer


class TestInternals:
    async def test_frames_lie_in_the_queue_until_somebody_takes_them(self):
        communicator = await connected(apps.answering(1, 2))
        assert communicator.output_queue.empty()
        await communicator.send_to("go")
        await communicator.wait()
        assert communicator.output_queue.qsize() == 2
        assert not communicator.output_queue.empty()
        assert (await communicator.output_queue.get())["text"] == "1"
        assert communicator.output_queue.get_nowait()["text"] == "2"
        with pytest.raises(asyncio.QueueEmpty):
            communicator.output_queue.get_nowait()
        await communicator.disconnect()

    async def test_the_queue_may_be_awaited_without_a_timeout(self):
        communicator = await connected(apps.echo)
        getting = asyncio.ensure_future(communicator.output_queue.get())
        await communicator.send_to("hello")
        assert (await getting)["text"] == "hello"
        await communicator.disconnect()

    async def test_the_future_tells_of_the_application(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            return "result"

        communicator = await connected(application)
        assert not communicator.future.done()
        assert not communicator.future.cancelled()
        await communicator.disconnect()
        assert communicator.future.done()
        assert communicator.future.result() == "result"

    async def test_the_future_raises_what_the_application_raised(self):
        communicator = await connected(apps.crash_after_accept)
        await communicator.send_to("go")
        with pytest.raises(LookupError, match="no such room"):
            await communicator.future

    async def test_the_future_can_be_cancelled(self):
        communicator = await connected(apps.silent)
        communicator.future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await communicator.future
        assert communicator.future.cancelled()
        await communicator.disconnect()

    async def test_any_message_can_be_put_in(self):
        communicator = await connected(Internal.as_asgi())
        await communicator.send_input({"type": "internal.msg", "text": "hello"})
        assert await communicator.receive_from() == "hello"
        await communicator.disconnect()

    async def test_the_input_queue_is_what_the_application_reads(self):
        communicator = await connected(apps.echo)
        await communicator.input_queue.put({"type": "websocket.receive", "text": "a"})
        assert await communicator.receive_from() == "a"
        await communicator.disconnect()


class TestScope:
    async def test_is_live_until_the_application_starts(self):
        class Who(AsyncJsonWebsocketConsumer):
            async def connect(self):
                await self.accept()
                await self.send_json(
                    [
                        self.scope["user"],
                        self.scope["session"]["theme"],
                        self.scope["url_route"]["kwargs"]["room"],
                    ]
                )

        communicator = WebsocketCommunicator(Who.as_asgi(), "/ws/")
        communicator.scope["user"] = "alice"
        communicator.scope["session"] = {"theme": "dark"}
        communicator.scope["url_route"] = {"kwargs": {"room": "lobby"}}
        await communicator.connect()
        assert await communicator.receive_json_from() == ["alice", "dark", "lobby"]
        await communicator.disconnect()

    async def test_is_the_object_that_the_application_gets(self):
        seen = []

        async def application(scope, receive, send):
            seen.append(scope)
            scope["marked"] = True
            await apps.silent(scope, receive, send)

        communicator = await connected(application)
        assert seen[0] is communicator.scope
        assert communicator.scope["marked"]
        await communicator.disconnect()

    async def test_a_user_in_it_is_left_by_the_middleware(self, django_user_model):
        class Who(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                await self.send(text_data=self.scope["user"].get_username())

        communicator = WebsocketCommunicator(AuthMiddlewareStack(Who.as_asgi()), "/")
        communicator.scope["user"] = django_user_model(username="alice")
        await communicator.connect()
        assert await communicator.receive_from() == "alice"
        await communicator.disconnect()


class SyncEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json(content)


class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data, bytes_data=bytes_data)


class TestNoMetadata:
    """Messages are whatever they are, and consumers know nothing of this package."""

    @pytest.mark.django_db
    @pytest.mark.parametrize(
        "content",
        [
            ["join", "lobby"],
            "text",
            17,
            None,
            {"id": "1", "type": "subscribe", "payload": {"query": "{ now }"}},
            {"action": 3},
        ],
    )
    async def test_json_of_every_kind_and_a_sync_consumer(self, content):
        communicator = await connected(SyncEcho.as_asgi())
        await communicator.send_json_to(content)
        assert await communicator.receive_json_from() == content
        assert await communicator.receive_nothing()
        await communicator.disconnect()

    @pytest.mark.parametrize("data", ["plain text", b"\x00\xff"])
    async def test_text_and_bytes(self, data):
        communicator = await connected(AsyncEcho.as_asgi())
        key = "text_data" if isinstance(data, str) else "bytes_data"
        await communicator.send_to(**{key: data})
        assert await communicator.receive_from() == data
        await communicator.disconnect()

    async def test_collections_end_where_nothing_more_comes(self):
        communicator = await connected(apps.answering([1], "two", None))
        await communicator.send_to("go")
        assert await communicator.receive_all_json() == [[1], "two", None]
        await communicator.disconnect()


class TestChannelLayers:
    @override_settings(CHANNEL_LAYERS={})
    async def test_may_be_absent(self):
        assert get_channel_layer() is None
        communicator = await connected(AsyncEcho.as_asgi())
        await communicator.send_to("hello")
        assert await communicator.receive_from() == "hello"
        await communicator.disconnect()

    async def test_may_be_in_memory(self):
        class Member(AsyncWebsocketConsumer):
            groups = ["room"]

            async def say(self, event):
                await self.send(text_data=event["text"])

        communicator = await connected(Member.as_asgi())
        await get_channel_layer().group_send("room", {"type": "say", "text": "hello"})
        assert await communicator.receive_from() == "hello"
        await communicator.disconnect()
        assert get_channel_layer().groups == {}


class TestLoad:
    async def test_a_thousand_frames_before_one_is_read(self):
        communicator = await connected(apps.answering("one", "two"))
        for number in range(1000):
            await communicator.send_json_to(number)
        for _ in range(1000):
            assert await communicator.receive_json_from() == "one"
            assert await communicator.receive_json_from() == "two"
        assert await communicator.receive_nothing()
        await communicator.disconnect()

    async def test_two_thousand_frames_after_one(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await receive()
            for number in range(2000):
                await send({"type": "websocket.send", "text": json.dumps(number)})
            await receive()

        communicator = await connected(application)
        await communicator.send_to("go")
        received = [await communicator.receive_json_from() for _ in range(2000)]
        assert received == list(range(2000))
        await communicator.disconnect()


class TestConnectPairs:
    @pytest.mark.parametrize(
        ("application", "pair"),
        [
            (apps.silent, (True, None)),
            (apps.rejecting(), (False, 1000)),
            (apps.rejecting(4403), (False, 4403)),
        ],
    )
    async def test_accept_and_close(self, application, pair):
        communicator = WebsocketCommunicator(application, "/")
        assert await communicator.connect(1) == pair
        await communicator.disconnect()

    async def test_unpack(self):
        communicator = WebsocketCommunicator(apps.silent, "/")
        connected, subprotocol = await communicator.connect(timeout=5)
        assert connected is True
        assert subprotocol is None
        await communicator.disconnect()

    async def test_subprotocol(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send, scope["subprotocols"][-1])
            await receive()

        communicator = WebsocketCommunicator(application, "/", None, ["v1", "v2"])
        assert await communicator.connect() == (True, "v2")
        await communicator.disconnect()

    async def test_status_of_a_denial(self):
        async def application(scope, receive, send):
            await receive()
            await send({"type": "websocket.http.response.start", "status": 401})
            await send({"type": "websocket.http.response.body", "body": b"who?"})

        communicator = WebsocketCommunicator(application, "/")
        assert await communicator.connect() == (False, 401)
        await communicator.disconnect()

    async def test_response_headers(self):
        async def application(scope, receive, send):
            await receive()
            await send({"type": "websocket.accept", "headers": [(b"x-room", b"1")]})
            await receive()

        communicator = WebsocketCommunicator(application, "/")
        assert communicator.response_headers is None
        await communicator.connect()
        assert communicator.response_headers == [(b"x-room", b"1")]
        await communicator.disconnect()

    async def test_a_receive_without_a_limit(self):
        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await asyncio.sleep(0.05)
            await send({"type": "websocket.send", "text": "late"})
            await receive()

        communicator = await connected(application)
        message = await communicator.receive_output(timeout=None)
        assert message["text"] == "late"
        await communicator.disconnect()
