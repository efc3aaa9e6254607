"""Subclasses as suites have them, and every way to construct a communicator."""

from typing import Literal

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path, re_path

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.messages.base import BaseMessage
from tests.support import apps


class Echo(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


class Scope(AsyncJsonWebsocketConsumer):
    """Says what it was asked for."""

    async def connect(self):
        await self.accept()
        await self.send_json(
            {
                "path": self.scope["path"],
                "query": self.scope["query_string"].decode(),
                "headers": [
                    [name.decode(), value.decode()]
                    for name, value in self.scope["headers"]
                ],
                "subprotocols": self.scope["subprotocols"],
                "route": self.scope.get("url_route", {}).get("kwargs"),
            }
        )


class TestChainsOfVerbs:
    async def test_super_takes_arguments_by_position(self):
        class Logged(WebsocketCommunicator):
            async def connect(self, timeout=1):
                return await super().connect(timeout)

            async def send_to(self, text_data=None, bytes_data=None):
                return await super().send_to(text_data, bytes_data)

            async def receive_output(self, timeout=1):
                return await super().receive_output(timeout)

            async def receive_from(self, timeout=1):
                return await super().receive_from(timeout)

            async def receive_json_from(self, timeout=1):
                return await super().receive_json_from(timeout)

            async def receive_nothing(self, timeout=0.1, interval=0.01):
                return await super().receive_nothing(timeout, interval)

            async def wait(self, timeout=1):
                return await super().wait(timeout)

            async def disconnect(self, code=1000, timeout=1):
                return await super().disconnect(code, timeout)

        async with Logged(Echo.as_asgi(), "/") as communicator:
            await communicator.send_to(None, b"") if False else None
            await communicator.send_json_to({"a": 1})
            assert await communicator.receive_json_from() == {"a": 1}
            assert await communicator.receive_nothing()
            await communicator.wait()

    async def test_an_override_is_honoured_by_the_verbs_above_it(self):
        calls = []

        class Logged(WebsocketCommunicator):
            async def send_input(self, message):
                calls.append(("send_input", message["type"]))
                await super().send_input(message)

            async def send_to(self, text_data=None, bytes_data=None):
                calls.append(("send_to", text_data))
                await super().send_to(text_data, bytes_data)

            async def receive_output(self, timeout=1):
                message = await super().receive_output(timeout)
                calls.append(("receive_output", message["type"]))
                return message

            async def receive_from(self, timeout=1):
                data = await super().receive_from(timeout)
                calls.append(("receive_from", data))
                return data

        communicator = Logged(Echo.as_asgi(), "/")
        await communicator.connect()
        await communicator.send_json_to("hello")
        assert await communicator.receive_json_from() == "hello"
        await communicator.disconnect()
        assert calls == [
            ("send_input", "websocket.connect"),
            ("receive_output", "websocket.accept"),
            ("send_to", '"hello"'),
            ("send_input", "websocket.receive"),
            ("receive_output", "websocket.send"),
            ("receive_from", '"hello"'),
            ("send_input", "websocket.disconnect"),
        ]

    async def test_an_override_may_unwrap_an_envelope(self):
        class Unwrapping(WebsocketCommunicator):
            async def receive_json_from(self, timeout=1):
                return (await super().receive_json_from(timeout))["data"]

        async with Unwrapping(apps.answering({"data": 1}, {"data": 2}), "/") as client:
            await client.send_to("go")
            assert await client.receive_json() == 1
            assert await client.receive_all_json() == [2]

    async def test_connect_may_give_what_the_suite_likes(self):
        class Asserting(WebsocketCommunicator):
            async def connect(self, timeout=1):
                connected, _ = await super().connect(timeout)
                assert connected
                return self

        communicator = await Asserting(Echo.as_asgi(), "/").connect()
        await communicator.disconnect()
        async with Asserting(Echo.as_asgi(), "/") as communicator:
            await communicator.send_json_to(1)
            assert await communicator.receive_json_from() == 1


class TestNamesOfTheirOwn:
    """Attributes that subclasses were written with, before this class had its own."""

    async def test_a_read_only_property(self):
        class Tracking(WebsocketCommunicator):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self._connected = False
                self.protocol = None

            @property
            def connected(self):
                return self._connected

            async def connect(self, timeout=1):
                self._connected, self.protocol = await super().connect(timeout)
                return self._connected, self.protocol

            async def disconnect(self, code=1000, timeout=1):
                await super().disconnect(code, timeout)
                self._connected = False

        communicator = Tracking(Echo.as_asgi(), "/")
        assert not communicator.connected
        await communicator.connect()
        assert communicator.connected
        await communicator.disconnect()
        assert not communicator.connected

    async def test_an_aenter_of_their_own(self):
        class Entering(WebsocketCommunicator):
            async def __aenter__(self):
                self.accepted, self.protocol = await self.connect()
                return self

            async def __aexit__(self, *exc_info):
                await self.disconnect()

        async with Entering(Echo.as_asgi(), "/") as communicator:
            assert communicator.accepted
            assert communicator.protocol is None

    @pytest.mark.parametrize(
        "name",
        [
            "_adapter",
            "_app",
            "_closed",
            "_connected",
            "_consumer",
            "_context",
            "_decode",
            "_future",
            "_input_queue",
            "_is_connected",
            "_link",
            "_listen",
            "_log",
            "_loop",
            "_messages",
            "_output_queue",
            "_queue",
            "_receive",
            "_rules",
            "_running",
            "_scope",
            "_send",
            "_start",
            "_state",
            "_stop",
            "_task",
            "_timeout",
            "_token",
            "_user",
            "_wait",
            "action_key",
            "client",
            "closed",
            "code",
            "connected",
            "connection_params",
            "context",
            "frames",
            "handshake",
            "history",
            "is_connected",
            "loop",
            "messages",
            "name",
            "path",
            "protocol",
            "received",
            "sent",
            "session",
            "subprotocol",
            "subprotocols",
            "timeout",
            "token",
            "url",
            "user",
        ],
    )
    async def test_an_attribute_of_any_value(self, name):
        class Own(WebsocketCommunicator):
            def __init__(self, *args, **kwargs):
                setattr(self, name, object())
                super().__init__(*args, **kwargs)
                setattr(self, name, marker)

        marker = object()
        async with Own(Echo.as_asgi(), "/") as communicator:
            await communicator.send_json_to("hello")
            assert await communicator.receive_json_from() == "hello"
            assert await communicator.receive_nothing()
            await communicator.wait()
            assert getattr(communicator, name) is marker
        assert not any(name.startswith("__") for name in vars(communicator))

    async def test_settings_of_their_own(self):
        class Own(WebsocketCommunicator):
            def resolve_setting(self, name):
                own = {"MESSAGE_ACTION_KEY": "kind", "CAMELIZE": True}
                return own[name] if name in own else super().resolve_setting(name)

        class Big(BaseMessage):
            action: Literal["big"] = "big"
            big_name: str = ""

        async with Own(Echo.as_asgi(), "/", message_types=[Big]) as communicator:
            assert communicator.action_key == "kind"
            await communicator.send_message(Big())
            assert await communicator.receive_json_from() == {
                "kind": "big",
                "bigName": "",
                "payload": None,
            }

    async def test_an_action_key_made_of_ours(self):
        class Own(WebsocketCommunicator):
            @property
            def action_key(self):
                return "x_" + super().action_key

        async with Own(Echo.as_asgi(), "/") as communicator:
            for _ in range(2):
                await communicator.receive_nothing()
                assert communicator.action_key == "x_action"

    async def test_attributes_that_are_set_before_the_constructor_runs(self):
        class Own(WebsocketCommunicator):
            def __init__(self, application, path):
                self.application = self.scope = self.consumer = application
                self.input_queue = self.output_queue = None
                super().__init__(application, path)

            def find_consumer(self, application, path):
                assert self.scope["path"] == path
                return super().find_consumer(application, path)

        async with Own(Echo.as_asgi(), "/") as communicator:
            assert communicator.consumer is Echo

    async def test_a_scope_of_their_own(self):
        class Own(WebsocketCommunicator):
            @property
            def scope(self):
                return {**self.made, "path": "/own/"}

            @scope.setter
            def scope(self, scope):
                self.made = scope

        async with Own(Scope.as_asgi(), "/") as communicator:
            assert (await communicator.receive_json_from())["path"] == "/own/"

    async def test_a_transcript_of_their_own(self):
        class Own(WebsocketCommunicator):
            def add_transcript(self, error):
                error.add_note("mine")

        async with Own(Echo.as_asgi(), "/") as communicator:
            with pytest.raises(TimeoutError) as caught:
                await communicator.receive_output()
        assert caught.value.__notes__ == ["mine"]

    async def test_a_method_of_a_common_name(self):
        class Own(WebsocketCommunicator):
            def _start(self):
                raise AssertionError("not yours to call")

            _stop = _wait = _send = _receive = _connect = _close = _open = _start
            _read = _write = _run = _get = _put = _next = _check = _log = _end = _start
            send = receive = close = open = start = get = put = login = _start

        async with Own(Echo.as_asgi(), "/") as communicator:
            await communicator.send_json_to("hello")
            assert await communicator.receive_json_from() == "hello"


class TestConstructor:
    async def scope_of(self, *args, **kwargs):
        communicator = WebsocketCommunicator(*args, **kwargs)
        assert (await communicator.connect())[0]
        seen = await communicator.receive_json_from()
        await communicator.disconnect()
        return seen

    async def test_takes_everything_by_position(self):
        communicator = WebsocketCommunicator(
            Scope.as_asgi(), "/ws/?a=1", [(b"x-token", b"t")], ["v1"], "2.3"
        )
        assert communicator.scope["asgi"]["spec_version"] == "2.3"
        await communicator.connect()
        seen = await communicator.receive_json_from()
        assert seen["path"] == "/ws/"
        assert seen["query"] == "a=1"
        assert ["x-token", "t"] in seen["headers"]
        assert seen["subprotocols"] == ["v1"]
        await communicator.disconnect()

    async def test_takes_everything_by_keyword(self):
        seen = await self.scope_of(
            application=Scope.as_asgi(),
            path="/ws/",
            headers=[(b"x-token", b"t")],
            subprotocols=["v1"],
            spec_version=None,
        )
        assert seen["path"] == "/ws/"

    @pytest.mark.parametrize(
        ("path", "expected", "query"),
        [
            ("ws/room/", "ws/room/", ""),
            ("/ws/room/?a=1&b=%20", "/ws/room/", "a=1&b=%20"),
            ("ws://testserver/ws/room/?a=1", "/ws/room/", "a=1"),
            ("/ws/%E9%A6%96/", "/ws/首/", ""),
            ("/ws/a%2Fb/", "/ws/a/b/", ""),
            ("", "", ""),
        ],
    )
    async def test_takes_every_kind_of_path(self, path, expected, query):
        seen = await self.scope_of(Scope.as_asgi(), path)
        assert (seen["path"], seen["query"]) == (expected, query)

    @pytest.mark.parametrize(
        "application",
        [
            Scope.as_asgi(),
            Scope(),
            Scope,
            URLRouter([path("ws/<str:room>/", Scope.as_asgi())]),
            URLRouter([re_path(r"^ws/(?P<room>\w+)/$", Scope.as_asgi())]),
            ProtocolTypeRouter(
                {"websocket": URLRouter([path("ws/<str:room>/", Scope.as_asgi())])}
            ),
            ProtocolTypeRouter(
                {"websocket": URLRouter([path("ws/<str:room>/", Scope.as_asgi())])}
            ).application_mapping["websocket"],
        ],
        ids=["as_asgi", "instance", "class", "router", "regex", "types", "mapping"],
    )
    async def test_takes_every_kind_of_application(self, application):
        seen = await self.scope_of(application, "/ws/lobby/")
        assert seen["path"] == "/ws/lobby/"
        assert seen["route"] in (None, {"room": "lobby"})

    def test_needs_no_running_loop(self):
        communicator = WebsocketCommunicator(Scope.as_asgi(), "/")
        assert communicator.output_queue.empty()
        assert communicator.scope["type"] == "websocket"

    @pytest.mark.parametrize("path", [b"/ws/", None, 1])
    def test_takes_no_other_type_of_path(self, path):
        with pytest.raises(TypeError):
            WebsocketCommunicator(Scope.as_asgi(), path)
