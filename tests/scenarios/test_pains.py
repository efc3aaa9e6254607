"""Situations in which tests of WebSockets hurt, and what happens in them here."""

import asyncio
import datetime
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from typing import Any, Literal

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer as PlainConsumer
from channels.layers import get_channel_layer
from django.test import override_settings

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.constants import EVENT_ACTION_COMPLETE, GROUP_ACTION_COMPLETE
from chanx_testing.core.client.errors import ApplicationHangs, ConnectionRejected
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.core.testing import capture_broadcast_events
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support import apps
from tests.support.cases import failure, passes, run
from tests.support.rooms import BadgeConsumer

database = pytest.mark.django_db(transaction=True)


class Said(BaseMessage):
    action: Literal["said"] = "said"
    payload: Any


class Told(BaseMessage):
    action: Literal["told"] = "told"
    payload: str


class Room(AsyncJsonWebsocketConsumer):
    groups = ["room"]
    send_completion = True
    ended: list[int] = []

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler(output_type=[Said])
    async def said(self, message: Said) -> None:
        await self.broadcast_message(message)

    @event_handler
    async def told(self, event: Told) -> Said:
        return Said(payload=event.payload)

    async def disconnect(self, code):
        self.ended.append(code)


class Case(WebsocketTestCase):
    __test__ = False
    router = staticmethod(Room.as_asgi())
    consumer = Room
    ws_path = "/ws/room/"


def client(application=None, **options):
    return WebsocketCommunicator(
        Room.as_asgi() if application is None else application, "/", **options
    )


class TestEndOfATest:
    @database
    def test_teardown_cleans_up(self):
        class Open(Case):
            async def test(self):
                Room.ended.clear()
                await self.auth_communicator.connect()

            def tearDown(self):
                async_to_sync(self.auth_communicator.disconnect)()

        passes(Open)
        assert Room.ended == [1000]
        assert get_channel_layer().groups == {}

    @database
    def test_a_crash_is_no_green_test(self):
        class Crashing(Case):
            router = staticmethod(apps.crash_after_accept)

            async def test(self):
                communicator = self.create_communicator()
                await communicator.connect()
                await communicator.send_to("go")

        assert "LookupError: no such room" in failure(Crashing)

    async def test_a_consumer_that_hangs_while_disconnecting_is_an_error(self):
        communicator = client(apps.hang_on_disconnect)
        await communicator.connect()
        with pytest.raises(ApplicationHangs):
            await communicator.disconnect(timeout=0.02)

    @database
    def test_a_task_that_outlives_the_connection_is_reported(self):
        class Leaving(Room):
            async def post_authentication(self):
                self.task = asyncio.create_task(asyncio.Event().wait())

        class Open(Case):
            router = staticmethod(Leaving.as_asgi())
            consumer = Leaving

            async def test(self):
                await self.communicator.connect()

        assert "left tasks running" in failure(Open)

    async def test_an_error_at_the_end_does_not_hide_the_failure_of_the_test(self):
        class Failing(Room):
            async def disconnect(self, code):
                raise LookupError("at the end")

        with pytest.raises(ZeroDivisionError) as raised:
            async with client(Failing.as_asgi()):
                raise ZeroDivisionError
        assert any("at the end" in note for note in raised.value.__notes__)


class TestWaits:
    async def test_a_timeout_leaves_the_application_alive(self):
        async with client() as communicator:
            with pytest.raises(TimeoutError):
                await communicator.receive_output(0.02)
            await communicator.send_message(PingMessage())
            assert await communicator.receive_all_messages() == [PongMessage()]

    async def test_a_crash_ends_a_wait_at_once(self):
        communicator = client(apps.crash_after_accept)
        await communicator.connect()
        await communicator.send_to("go")
        began = time.perf_counter()
        with pytest.raises(LookupError):
            await communicator.receive_output(timeout=60)
        assert time.perf_counter() - began < 30

    async def test_an_application_that_returns_without_accepting_is_named(self):
        communicator = client(apps.return_at_once)
        with pytest.raises(TimeoutError, match="the application has ended"):
            await communicator.connect()

    async def test_frames_before_a_crash_are_readable(self):
        communicator = client(apps.three_frames_then_crash)
        await communicator.connect()
        await communicator.send_to("go")
        await communicator.wait_until_idle()
        assert len([await communicator.receive_output() for _ in range(3)]) == 3
        with pytest.raises(LookupError):
            await communicator.receive_output()

    async def test_an_unknown_stop_action_fails_at_once(self):
        async with client(consumer=Room) as communicator:
            await communicator.send_message(PingMessage())
            began = time.perf_counter()
            with pytest.raises(AssertionError, match="'typo' is not"):
                await communicator.receive_all_messages(stop_action="typo", timeout=60)
            assert time.perf_counter() - began < 30

    async def test_a_collection_lets_a_timeout_around_it_pass(self):
        async def busy(scope, receive, send):
            await apps.accept(receive, send)
            timer = asyncio.get_running_loop().call_later(60, print)
            await receive()
            timer.cancel()

        communicator = client(busy, message_types=[PongMessage])
        await communicator.connect()
        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(0.02):
                await communicator.receive_all_messages(timeout=None)
        assert str(raised.value) == ""
        await communicator.disconnect()

    async def test_timeouts_leave_a_task_fit_for_a_task_group(self):
        async with client(apps.silent) as communicator:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await communicator.receive_output(0.001)
            assert asyncio.current_task().cancelling() == 0
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))

    async def test_a_handler_that_answers_through_its_group_is_collected(self):
        async with client(consumer=Room) as communicator:
            for _ in range(30):
                await communicator.send_message(Said(payload="hello"))
                messages = await communicator.receive_all_messages()
                assert messages == [Said(payload="hello")]
                await communicator.send_message(PingMessage())
                assert await communicator.receive_all_messages() == [PongMessage()]

    async def test_nothing_costs_no_time_and_is_not_said_of_a_crash(self):
        async with client(apps.silent) as communicator:
            began = time.perf_counter()
            assert await communicator.receive_nothing(timeout=60)
            assert time.perf_counter() - began < 30
        communicator = client(apps.crash_after_accept)
        await communicator.connect()
        await communicator.send_to("go")
        with pytest.raises(LookupError):
            await communicator.receive_nothing()

    async def test_authentication_costs_no_sleep(self):
        async with client(BadgeConsumer.as_asgi(), consumer=BadgeConsumer) as one:
            began = time.perf_counter()
            assert await one.wait_for_auth(max_auth_time=60, after_auth_time=60)
            assert await one.wait_for_auth(False, 60, 60) is None
            assert time.perf_counter() - began < 30


class TestConnecting:
    async def test_a_rejected_handshake_does_not_enter_the_block(self):
        with pytest.raises(ConnectionRejected) as raised:
            async with client(apps.rejecting(4403, "members only")):
                raise AssertionError("the body ran")
        assert (raised.value.code, raised.value.reason) == (4403, "members only")

    async def test_the_scope_is_whole(self):
        communicator = client(apps.silent, subprotocols=["v1"])
        scope = communicator.scope
        assert set(scope) >= {"asgi", "client", "server", "scheme", "http_version"}
        assert "websocket.http.response" in scope["extensions"]
        assert (b"sec-websocket-protocol", b"v1") in scope["headers"]
        assert "spec_version" in scope["asgi"]
        assert "spec_version" not in scope

    async def test_a_frame_may_be_empty(self):
        async with client(apps.echo) as communicator:
            await communicator.send_to("")
            assert await communicator.receive_from() == ""
            await communicator.send_to(bytes_data=b"")
            assert await communicator.receive_from() == b""

    @pytest.mark.parametrize(
        "messages",
        [
            ["websocket.accept", "websocket.accept"],
            ["websocket.accept", "websocket.close", "websocket.send"],
            ["websocket.send"],
        ],
    )
    async def test_what_breaks_the_rules_of_asgi_does_not_pass(self, messages):
        async def application(scope, receive, send):
            await receive()
            for kind in messages:
                await send({"type": kind, "text": "hello"})

        communicator = client(application)
        with pytest.raises(RuntimeError, match="The application sent"):
            await communicator.connect()
            await communicator.disconnect()

    @database
    def test_the_authenticated_communicator_is_not_whoevers_was_made_first(self):
        class Two(Case):
            def get_ws_headers(self):
                self.user, headers = self.create_user_and_ws_headers()
                return headers

            def test(self):
                stranger = self.create_communicator(headers=[])
                self.assertIsNot(self.auth_communicator, stranger)
                self.assertEqual(
                    self.auth_communicator.scope["headers"], self.ws_headers
                )

        passes(Two)

    @pytest.mark.slow
    def test_daphne_is_not_needed(self):
        program = (
            "import sys; sys.modules['daphne'] = None\n"
            "from django.conf import settings\n"
            "settings.configure(INSTALLED_APPS=['channels', 'chanx_testing'])\n"
            "import django; django.setup()\n"
            "import chanx_testing.channels.testing\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


class TestMessages:
    async def test_a_payload_travels_in_json_mode(self):
        payload = [
            uuid.UUID(int=1),
            datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
            Decimal("1.5"),
        ]
        async with client(consumer=Room) as communicator:
            await communicator.send_message(Said(payload=payload))
            (said,) = await communicator.receive_all_messages(GROUP_ACTION_COMPLETE)
            assert said.payload == [
                str(uuid.UUID(int=1)),
                "2024-01-01T00:00:00Z",
                "1.5",
            ]
            await communicator.receive_all_json()

    async def test_captured_broadcasts_leave_the_class_as_it_was(self):
        class Parent(Room):
            groups = ["parent"]

        class Child(Parent):
            groups = ["child"]

        before = vars(Parent).get("broadcast_event")
        with capture_broadcast_events(
            Parent, methods=["broadcast_event", "send_event"]
        ) as events:
            await Parent.broadcast_event(Told(payload="one"))
            await Parent.send_event(Told(payload="two"), "specific.channel")
        assert [captured.event.payload for captured in events] == ["one", "two"]
        assert vars(Parent).get("broadcast_event") is before
        async with client(Child.as_asgi(), consumer=Child) as communicator:
            await Child.broadcast_event(Told(payload="to the child"))
            messages = await communicator.receive_all_messages(EVENT_ACTION_COMPLETE)
            assert messages == [Said(payload="to the child")]

    async def test_a_setting_is_what_it_is_now(self):
        class Following(Room):
            send_completion = None

        async with client(Following.as_asgi(), consumer=Following) as communicator:
            for on in (False, True, False):
                with override_settings(CHANX={"SEND_COMPLETION": on}):
                    await communicator.send_message(PingMessage())
                    frames = await communicator.receive_all_json()
                    assert len(frames) == 1 + on

    async def test_every_documented_verb_exists(self):
        async with client(consumer=Room) as communicator:
            await communicator.send_json({"action": "ping", "payload": None})
            assert (await communicator.receive_json())["action"] == "pong"
            await communicator.send_message(PingMessage())
            assert await communicator.receive_message() == PongMessage()
        with capture_broadcast_events(Room) as captured:
            await Room.broadcast_event(Told(payload="hello"))
        assert captured[0]["event"] == captured[0].event == Told(payload="hello")
        assert callable(WebsocketTestCase.create_user_and_ws_headers)


class TestDatabase:
    @database
    def test_no_wait_closes_the_connection_of_the_test(self):
        import channels.db

        class Plain(PlainConsumer):
            async def receive_json(self, content, **kwargs):
                seen.append(channels.db.close_old_connections)

            async def disconnect(self, code):
                seen.append(channels.db.close_old_connections)

        class Open(Case):
            router = staticmethod(Plain.as_asgi())
            consumer = None

            async def test(self):
                await self.communicator.connect()
                await self.communicator.send_json_to("wait")
                await self.communicator.wait()
                await self.communicator.send_json_to("receive nothing")
                await self.communicator.receive_nothing()

        seen: list[Any] = []
        original = channels.db.close_old_connections
        assert run(Open).wasSuccessful()
        assert len(seen) == 3
        assert original not in seen
        assert channels.db.close_old_connections is original
