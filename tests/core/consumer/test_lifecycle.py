"""From the handshake to the end of a connection."""

import asyncio
from typing import Literal
from unittest import mock

import pytest
from channels.exceptions import StopConsumer
from channels.layers import InMemoryChannelLayer, get_channel_layer

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.authenticator import BaseAuthenticator
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    AuthenticationPayload,
    PongMessage,
)
from tests.support.raw_client import Client


class Welcome(BaseMessage):
    action: Literal["welcome"] = "welcome"
    payload: str


def members(group):
    """The channels in ``group`` of the in-memory layer."""
    return get_channel_layer().groups.get(group, {})


class Answer(BaseAuthenticator):
    """Answers with the status in the path, as ``/401``."""

    async def authenticate(self, scope):
        self.status_code = int(scope["path"].strip("/"))
        self.user = "eve"
        payload = AuthenticationPayload(status_code=self.status_code, status_text="")
        await self.send_message(AuthenticationMessage(payload=payload))
        return self.status_code == 200


class Guarded(AsyncJsonWebsocketConsumer):
    authenticator_class = Answer
    groups = ["guarded"]

    async def post_authentication(self):
        await self.send_message(Welcome(payload=self.scope["user"]))

    @ws_handler
    async def handle_ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()


class TestAuthentication:
    @pytest.mark.parametrize(
        ("status", "code"), [(401, 4401), (403, 4403), (404, 4404)]
    )
    async def test_a_refusal_closes_with_the_status(self, status, code):
        async with Client(Guarded, path=f"/{status}") as client:
            assert (await client.frame())["payload"]["status_code"] == status
            assert await client.event() == {"type": "websocket.close", "code": code}
            assert members("guarded") == {}

    async def test_a_refusal_without_a_status_is_4401(self):
        class Nobody(BaseAuthenticator):
            async def authenticate(self, scope):
                return False

        class Closed(AsyncJsonWebsocketConsumer):
            authenticator_class = Nobody

        async with Client(Closed) as client:
            assert (await client.event())["code"] == 4401

    async def test_what_a_refused_client_has_sent_already_is_not_handled(self):
        """Frames may be on their way before the client knows that it is refused."""
        client = Client(Guarded, path="/401")
        await client.inbox.put({"type": "websocket.connect"})
        await client.send({"action": "ping"})
        client.task = asyncio.create_task(client.run())
        await client.stop()
        events = [client.outbox.get_nowait() for _ in range(client.outbox.qsize())]
        assert [event["type"] for event in events] == [
            "websocket.accept",
            "websocket.send",
            "websocket.close",
        ]

    async def test_an_authenticator_that_breaks_ends_the_application(self):
        class Broken(BaseAuthenticator):
            async def authenticate(self, scope):
                raise LookupError("no such table")

        class Consumer(Guarded):
            authenticator_class = Broken

        client = Client(Consumer)
        await client.start()
        with pytest.raises(LookupError, match="no such table"):
            await client.task

    async def test_the_user_and_the_groups_are_there_in_the_hook(self):
        async with Client(Guarded, path="/200") as client:
            assert (await client.frame())["action"] == "authentication"
            assert await client.frame() == {"action": "welcome", "payload": "eve"}
            assert len(members("guarded")) == 1

    async def test_an_authenticator_without_user_leaves_the_one_there_is(self):
        class Anyone(BaseAuthenticator):
            async def authenticate(self, scope):
                return True

        class Consumer(Guarded):
            authenticator_class = Anyone

        async with Client(Consumer, user="adam") as client:
            assert (await client.frame())["payload"] == "adam"

    async def test_the_attribute_of_the_consumer_reaches_the_authenticator(self):
        seen = []

        class Curious(BaseAuthenticator):
            async def authenticate(self, scope):
                seen.append(self.send_authentication_message)
                return True

        class Consumer(AsyncJsonWebsocketConsumer):
            authenticator_class = Curious
            send_authentication_message = False

        async with Client(Consumer) as client:
            await client.stop()
        assert seen == [False]

    async def test_a_hook_that_breaks_ends_the_application(self):
        class Broken(AsyncJsonWebsocketConsumer):
            groups = ["broken"]

            async def post_authentication(self):
                raise LookupError

        client = Client(Broken)
        await client.start()
        with pytest.raises(LookupError):
            await client.task
        assert members("broken") == {}

    @pytest.mark.parametrize("status", [None, 200, 302, 999])
    def test_the_close_code_of_what_is_no_refusal_is_4401(self, status):
        authenticator = Answer(None)
        authenticator.status_code = status
        assert authenticator.close_code == 4401


class TestHandshake:
    async def test_a_connect_that_decides_nothing_is_refused(self):
        class Undecided(AsyncJsonWebsocketConsumer):
            async def connect(self): ...

        client = Client(Undecided)
        with pytest.raises(RuntimeError, match="neither accepted nor closed"):
            await client.start()

    async def test_a_connect_that_closes_is_a_rejection(self):
        class Rejecting(Guarded):
            async def connect(self):
                await self.close(4000, "not today")

        client = Client(Rejecting)
        assert await client.start() == {
            "type": "websocket.close",
            "code": 4000,
            "reason": "not today",
        }
        await client.stop()
        assert client.outbox.empty()

    async def test_no_subprotocol_is_chosen_unless_the_hook_does(self):
        client = Client(AsyncJsonWebsocketConsumer, subprotocols=["a", "b"])
        assert (await client.start())["subprotocol"] is None
        await client.stop()

    async def test_the_hook_chooses_a_subprotocol(self):
        class Picky(AsyncJsonWebsocketConsumer):
            def get_subprotocol(self, offered):
                return "b" if "b" in offered else None

        client = Client(Picky, subprotocols=["a", "b"])
        assert (await client.start())["subprotocol"] == "b"
        await client.stop()


class TestGroups:
    class Grouped(AsyncJsonWebsocketConsumer):
        send_completion = True
        groups = ["first"]

        @ws_handler
        async def join(self, message: Welcome) -> None:
            await self.join_group(message.payload)

        @ws_handler
        async def leave(self, message: PingMessage) -> None:
            await self.leave_group("first")
            await self.leave_group("never-joined")

        async def crash(self, message):
            raise LookupError("crash")

    def test_groups_that_are_a_text_are_refused(self):
        with pytest.raises(TypeError, match=r"write `groups = \['lobby'\]`"):

            class Wrong(AsyncJsonWebsocketConsumer):
                groups = "lobby"

    async def test_the_list_of_the_class_is_not_shared(self):
        async with Client(self.Grouped) as client:
            await client.ask({"action": "welcome", "payload": "second"})
        assert self.Grouped.groups == ["first"]

    async def test_all_groups_are_left_on_disconnect(self):
        async with Client(self.Grouped) as client:
            await client.ask({"action": "welcome", "payload": "second"})
            assert len(members("first")) == len(members("second")) == 1
        assert members("first") == members("second") == {}

    async def test_a_group_may_be_left_before(self):
        async with Client(self.Grouped) as client:
            await client.ask({"action": "ping"})
            assert members("first") == {}

    async def test_a_crash_leaves_all_groups(self):
        client = Client(self.Grouped)
        await client.start()
        await client.ask({"action": "welcome", "payload": "second"})
        await client.inbox.put({"type": "crash"})
        with pytest.raises(LookupError, match="crash"):
            await client.task
        assert members("first") == members("second") == {}

    async def test_a_consumer_that_stops_itself_leaves_all_groups(self):
        class Stopping(self.Grouped):
            async def crash(self, message):
                raise StopConsumer

        client = Client(Stopping)
        await client.start()
        await client.inbox.put({"type": "crash"})
        await client.task
        assert members("first") == {}

    async def test_a_group_that_cannot_be_left_does_not_hide_the_crash(self, caplog):
        class Layer(InMemoryChannelLayer):
            async def group_discard(self, group, channel):
                raise ConnectionError

        client = Client(self.Grouped)
        await client.start()
        await client.ask({"action": "welcome", "payload": "second"})
        layer = get_channel_layer()
        with mock.patch.object(layer, "group_discard", Layer().group_discard):
            await client.inbox.put({"type": "crash"})
            with pytest.raises(LookupError, match="crash"):
                await client.task
        await layer.flush()
        assert [r.getMessage() for r in caplog.records] == [
            "Failed to leave a group",
            "Failed to leave a group",
        ]

    async def test_cancellation_leaves_all_groups(self):
        client = Client(self.Grouped)
        await client.start()
        await client.ask({"action": "welcome", "payload": "second"})
        client.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await client.task
        assert members("first") == members("second") == {}

    async def test_the_disconnect_hook_runs_and_its_errors_are_seen(self):
        class Failing(self.Grouped):
            async def disconnect(self, code):
                raise LookupError(f"closed with {code}")

        client = Client(Failing)
        await client.start()
        with pytest.raises(LookupError, match="closed with 1001"):
            await client.stop(1001)
        assert members("first") == {}
