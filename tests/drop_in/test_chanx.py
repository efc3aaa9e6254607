"""Code written for the test case and the communicator of chanx."""

import asyncio
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import override_settings

from chanx_testing.channels.testing import (
    DjangoWebsocketCommunicator,
    WebsocketCommunicator,
    WebsocketTestCase,
)
from chanx_testing.constants import EVENT_ACTION_COMPLETE, GROUP_ACTION_COMPLETE
from chanx_testing.core.testing import WebsocketCommunicatorMixin
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import AuthenticationMessage, PongMessage
from tests.support.cases import failure, passes
from tests.support.news import News, NewsConsumer, Published, application
from tests.support.rooms import BadgeConsumer

pytestmark = pytest.mark.django_db(transaction=True)


class Case(WebsocketTestCase):
    """As a suite for chanx has it; run inside the tests of this module."""

    __test__ = False
    ws_path = "/ws/news/"
    router = application
    consumer = NewsConsumer

    def setUp(self) -> None:
        super().setUp()
        self.seen = [self.ws_headers, self.subprotocols]

    def get_ws_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"x-token", b"secret")]

    def get_subprotocols(self) -> list[str]:
        return ["news"]

    def tearDown(self) -> None:
        super().tearDown()


class TestTestCase:
    def test_headers_and_subprotocols_are_there_after_setup(self):
        class NewsCase(Case):
            def test(self):
                self.assertEqual(self.seen, [[(b"x-token", b"secret")], ["news"]])
                communicator = self.create_communicator()
                self.assertEqual(communicator.scope["subprotocols"], ["news"])
                self.assertIn((b"x-token", b"secret"), communicator.scope["headers"])

        passes(NewsCase)

    def test_every_argument_of_create_communicator(self):
        class NewsCase(Case):
            def test(self):
                communicator = self.create_communicator(
                    router=application,
                    ws_path="/ws/news/?page=2",
                    headers=[(b"x-token", b"other")],
                    subprotocols=["other"],
                )
                self.assertIsInstance(communicator, DjangoWebsocketCommunicator)
                self.assertEqual(communicator.scope["query_string"], b"page=2")
                self.assertEqual(communicator.scope["headers"][0][1], b"other")
                self.assertEqual(communicator.scope["subprotocols"], ["other"])

        passes(NewsCase)

    def test_the_consumer_is_an_attribute(self):
        class NewsCase(Case):
            def test(self):
                self.assertIs(self.auth_communicator.consumer, NewsConsumer)
                self.assertIs(self.create_communicator().consumer, NewsConsumer)

        passes(NewsCase)

    def test_auth_communicator_is_always_the_same(self):
        class NewsCase(Case):
            async def test(self):
                await self.auth_communicator.connect()
                await self.auth_communicator.send_message(PingMessage())
                self.assertEqual(
                    await self.auth_communicator.receive_all_messages(),
                    [PongMessage()],
                )
                await self.auth_communicator.disconnect()

        passes(NewsCase)

    def test_several_clients(self):
        class NewsCase(Case):
            async def test(self):
                first = self.create_communicator()
                second = self.create_communicator(headers=[])
                await asyncio.gather(first.connect(), second.connect())
                await NewsConsumer.broadcast_event(Published(payload="hello"))
                for communicator in (first, second):
                    self.assertEqual(
                        await communicator.receive_all_messages(
                            stop_action=EVENT_ACTION_COMPLETE, timeout=1
                        ),
                        [News(payload="hello")],
                    )
                await first.disconnect()
                await second.disconnect()

        passes(NewsCase)

    def test_a_disconnect_in_teardown(self):
        class NewsCase(Case):
            async def test(self):
                await self.auth_communicator.connect()

            def tearDown(self):
                async_to_sync(self.auth_communicator.disconnect)()
                super().tearDown()

        passes(NewsCase)

    def test_a_setup_that_does_not_call_super(self):
        class NewsCase(Case):
            def setUp(self) -> None:
                self.room = "lobby"

            async def test(self):
                async with self.auth_communicator:
                    self.assertEqual(self.ws_headers, [(b"x-token", b"secret")])

        passes(NewsCase)

    def test_a_missing_path_is_an_error_that_names_the_class(self):
        class NewsCase(Case):
            ws_path = ""

            def test(self):
                _ = self.auth_communicator

        assert "NewsCase does not say where to connect" in failure(NewsCase)


class TestCommunicator:
    @pytest.fixture
    async def communicator(self):
        communicator = WebsocketCommunicator(
            application, "/ws/news/", headers=[], consumer=NewsConsumer
        )
        assert isinstance(communicator, WebsocketCommunicatorMixin)
        assert communicator.consumer is NewsConsumer
        assert communicator.action_key == "action"
        assert await communicator.connect(timeout=2) == (True, None)
        yield communicator
        await communicator.disconnect(code=1000, timeout=1)

    async def test_sends_and_receives_messages(self, communicator):
        await communicator.send_message(PingMessage())
        messages = await communicator.receive_all_messages(timeout=1)
        assert messages == [PongMessage()]

    async def test_receives_json(self, communicator):
        await communicator.send_message(PingMessage())
        assert await communicator.receive_all_json(timeout=0.5) == [
            {"action": "pong", "payload": None},
            {"action": "complete", "payload": None},
        ]

    async def test_an_unknown_stop_action_is_no_partial_list(self, communicator):
        await communicator.send_message(PingMessage())
        with pytest.raises(AssertionError, match="'typo' is not"):
            await communicator.receive_all_messages("typo")
        with pytest.raises(AssertionError, match="did not come"):
            await communicator.receive_all_messages(GROUP_ACTION_COMPLETE)

    async def test_assert_closed(self):
        class Closing(NewsConsumer):
            async def post_authentication(self):
                await self.close(code=4001)

        for code in ((), (4001,)):
            communicator = WebsocketCommunicator(
                Closing.as_asgi(), "/", consumer=Closing
            )
            await communicator.connect()
            await communicator.assert_closed(*code)
            await communicator.disconnect()

    async def test_assert_closed_fails_with_the_other_code(self):
        class Closing(NewsConsumer):
            async def post_authentication(self):
                await self.close(code=4001)

        communicator = WebsocketCommunicator(Closing.as_asgi(), "/", consumer=Closing)
        await communicator.connect()
        with pytest.raises(AssertionError, match="with code 4002"):
            await communicator.assert_closed(code=4002)
        await communicator.disconnect()

    async def test_a_subclass_with_its_own_action_key(self):
        class Typed(WebsocketCommunicator):
            action_key = "type"

        async with Typed(application, "/ws/news/") as communicator:
            assert communicator.action_key == "type"
            communicator.action_key = "kind"
            assert communicator.action_key == "kind"


class TestAuthentication:
    ARGUMENTS: list[dict[str, Any]] = [
        {},
        {"send_authentication_message": True},
        {"max_auth_time": 1, "after_auth_time": 0},
        {
            "send_authentication_message": True,
            "max_auth_time": 0.5,
            "after_auth_time": 0.1,
        },
    ]

    @pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
    async def test_wait_for_auth_takes_the_same_arguments(self, arguments):
        communicator = WebsocketCommunicator(
            BadgeConsumer.as_asgi(), "/", consumer=BadgeConsumer
        )
        await communicator.connect()
        message = await communicator.wait_for_auth(**arguments)
        assert isinstance(message, AuthenticationMessage)
        await communicator.disconnect()

    async def test_wait_for_auth_gives_none_where_no_message_comes(self):
        async with WebsocketCommunicator(application, "/ws/news/") as communicator:
            assert await communicator.wait_for_auth(False) is None
            assert (
                await communicator.wait_for_auth(send_authentication_message=False)
                is None
            )

    def test_settings_may_be_overridden_around_it(self):
        class NewsCase(Case):
            @override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False})
            async def test(self):
                await self.auth_communicator.connect()
                self.assertIsNone(await self.auth_communicator.wait_for_auth())

        passes(NewsCase)

    def test_settings_may_be_overridden_in_the_middle(self):
        class NewsCase(Case):
            async def test(self):
                await self.auth_communicator.connect()
                with override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False}):
                    self.assertIsNone(await self.auth_communicator.wait_for_auth())
                with self.assertRaises(TimeoutError):
                    await self.auth_communicator.wait_for_auth()

        passes(NewsCase)
