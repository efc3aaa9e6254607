"""The test case: how it makes communicators, and how it ends a test."""

import asyncio
import io
import pickle
import threading
import unittest
import warnings

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.test import override_settings

from chanx_testing.channels.login import Credentials, TokenLogin
from chanx_testing.channels.routing import NoRouteError
from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.client.errors import LeftoverTaskWarning
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support.cases import failure, passes, run
from tests.support.lobby import Case, Fail, LobbyConsumer, WhoAmI, application

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nobody_left():
    LobbyConsumer.ended.clear()


class TestCommunicators:
    def test_one_is_authenticated_and_one_is_not(self):
        class OneUser(Case):
            async def test(self):
                for communicator in (self.auth_communicator, self.communicator):
                    await communicator.connect()
                    await communicator.send_message(WhoAmI())
                (own,) = await self.auth_communicator.receive_all_messages()
                (other,) = await self.communicator.receive_all_messages()
                assert own.payload == self.user.get_username()
                assert other.payload == ""
                assert self.unauth_communicator is self.communicator

        passes(OneUser)

    def test_the_authenticated_one_is_not_just_the_first_that_was_made(self):
        class TwoUsers(Case):
            async def test(self):
                other, headers = await self.acreate_user_and_ws_headers(username="bob")
                second = self.create_communicator(headers=headers)
                assert self.auth_communicator is not second
                assert self.auth_communicator is self.auth_communicator
                await second.connect()
                await second.send_message(WhoAmI())
                (answer,) = await second.receive_all_messages()
                assert answer.payload == other.get_username() == "bob"

        passes(TwoUsers)

    def test_they_are_numbered_in_each_test(self):
        names = []

        class Numbered(Case):
            async def test(self):
                for communicator in (self.communicator, self.auth_communicator):
                    await communicator.connect()
                    names.append(communicator.transcript.name)

        passes(Numbered)
        passes(Numbered)
        assert names == ["ws#1", "ws#2"] * 2

    def test_headers_pass_the_origin_validator_also_without_a_user(self):
        class Anonymous(WebsocketTestCase):
            router, ws_path = application, "/ws/lobby/"

            async def test(self):
                assert await self.auth_communicator.connect() == (True, None)

        passes(Anonymous)

    def test_explicit_headers_are_used_as_they_are(self):
        class NoOrigin(Case):
            async def test(self):
                communicator = self.create_communicator(headers=[])
                assert (await communicator.connect())[0] is False

        passes(NoOrigin)

    def test_the_application_of_the_settings_is_found(self):
        class Found(WebsocketTestCase):
            ws_path = "/ws/echo/"

            async def test(self):
                await self.auth_communicator.connect()
                await self.auth_communicator.send_json({"hello": "world"})
                assert await self.auth_communicator.receive_json() == {"hello": "world"}

        passes(Found)

    def test_the_consumer_is_found_through_the_routing(self):
        class Found(Case):
            async def test(self):
                assert self.auth_communicator.consumer is LobbyConsumer

        passes(Found)

    def test_a_login_may_be_a_token_a_callable_or_a_method(self):
        def by_name(user):
            return [(b"x-user", user.get_username().encode())]

        class ByToken(Case):
            ws_login = TokenLogin()

            async def test(self):
                assert b"authorization" in dict(self.ws_headers)

        class ByFunction(Case):
            ws_login = by_name

            async def test(self):
                name = self.user.get_username().encode()
                assert dict(self.ws_headers)[b"x-user"] == name

        class ByMethod(Case):
            def ws_login(self, user):
                return Credentials(subprotocols=["token", "secret"])

            def get_subprotocols(self):
                return ["chat"]

            async def test(self):
                offered = self.auth_communicator.scope["subprotocols"]
                assert offered == ["chat", "token", "secret"]
                assert self.communicator.scope["subprotocols"] == ["chat"]

        for case in (ByToken, ByFunction, ByMethod):
            passes(case)

    def test_messages_of_a_consumer_that_declares_none_have_their_types(self):
        class Raw(WebsocketTestCase):
            ws_path = "/ws/echo/"

            async def test(self):
                communicator = self.create_communicator(message_types=[PingMessage])
                await communicator.connect()
                await communicator.send_message(PingMessage())
                assert await communicator.receive_message() == PingMessage()

        passes(Raw)

    def test_the_path_may_be_set_after_setup(self):
        class Late(Case):
            ws_path = ""

            def setUp(self):
                super().setUp()
                self.ws_path = "/ws/lobby/"

            async def test(self):
                await self.auth_communicator.connect()

        passes(Late)

    def test_headers_are_made_without_a_call_to_setup(self):
        class Rude(Case):
            def setUp(self):
                pass

            async def test(self):
                assert self.user.pk
                await self.auth_communicator.connect()

        passes(Rude)

    def test_headers_may_be_made_in_async_code(self):
        class Async(Case):
            async def get_ws_headers(self):
                self.user, headers = await self.acreate_user_and_ws_headers()
                return headers

            async def test(self):
                await self.auth_communicator.connect()

        passes(Async)

    def test_a_missing_path_says_what_to_set(self):
        class NoPath(Case):
            ws_path = ""

            async def test(self):
                self.create_communicator()

        assert "NoPath does not say where to connect: set its ws_path" in failure(
            NoPath
        )

    def test_a_path_without_a_route_lists_the_routes(self):
        class Lost(Case):
            async def test(self):
                with pytest.raises(NoRouteError, match="ws/lobby/"):
                    self.create_communicator(ws_path="/ws/loby/")

        passes(Lost)


class TestSettings:
    @override_settings(CHANX={"SEND_COMPLETION": True})
    def test_an_override_inside_a_test_takes_effect_at_once_and_is_undone(self):
        class Overriding(Case):
            async def test(self):
                communicator = self.auth_communicator
                await communicator.connect()

                async def frames():
                    await communicator.send_message(PingMessage())
                    found = await communicator.receive_all_json()
                    return [frame["action"] for frame in found]

                assert await frames() == ["pong", "complete"]
                with override_settings(CHANX={"SEND_COMPLETION": False}):
                    assert await frames() == ["pong"]
                assert await frames() == ["pong", "complete"]

        passes(Overriding)


class TestEnd:
    def test_the_consumer_is_disconnected_and_leaves_its_groups(self):
        class Forgetful(Case):
            async def test(self):
                await self.auth_communicator.connect()
                assert get_channel_layer().groups["lobby"]

        passes(Forgetful)
        assert LobbyConsumer.ended == [1000]
        assert get_channel_layer().groups == {}

    def test_also_after_a_failure(self):
        class Failing(Case):
            async def test(self):
                await self.auth_communicator.connect()
                self.fail("the test itself")

        assert "the test itself" in failure(Failing)
        assert LobbyConsumer.ended == [1000]
        assert get_channel_layer().groups == {}

    def test_also_after_a_cancellation(self):
        class Cancelled(Case):
            async def test(self):
                await self.auth_communicator.connect()
                raise asyncio.CancelledError

        assert "CancelledError" in failure(Cancelled)
        assert LobbyConsumer.ended == [1000]

    def test_also_of_a_communicator_made_by_hand(self):
        class ByHand(Case):
            async def test(self):
                communicator = WebsocketCommunicator(LobbyConsumer.as_asgi(), "/")
                await communicator.connect()

        passes(ByHand)
        assert LobbyConsumer.ended == [1000]

    def test_groups_that_nobody_left_are_gone(self):
        class Joining(Case):
            async def test(self):
                await get_channel_layer().group_add("lobby", "specific.channel!x")

        passes(Joining)
        assert get_channel_layer().groups == {}

    def test_a_crash_that_nobody_saw_fails_the_test(self):
        class Crashing(Case):
            ws_path = "/ws/crash/"

            async def test(self):
                await self.auth_communicator.connect()

        text = failure(Crashing)
        assert "LookupError: broken connect" in text
        assert "post_authentication" in text

    def test_a_handler_error_that_nobody_saw_fails_the_test(self):
        class Erring(Case):
            async def test(self):
                await self.auth_communicator.connect()
                await self.auth_communicator.send_message(Fail())

        text = failure(Erring)
        assert "LookupError: broken handler" in text
        assert "expect_errors()" in text

    def test_the_failure_of_the_test_stays_the_headline(self):
        class Both(Case):
            ws_path = "/ws/crash/"

            async def test(self):
                await self.auth_communicator.connect()
                self.fail("the test itself")

        text = failure(Both)
        assert "AssertionError: the test itself" in text
        assert "Also raised: LookupError: broken connect" in text

    def test_a_failure_shows_what_was_said_and_by_whom(self):
        class Failing(Case):
            async def test(self):
                await self.auth_communicator.connect()
                await self.auth_communicator.send_message(PingMessage())
                await self.auth_communicator.receive_all_messages()
                self.fail("the test itself")

            def get_ws_headers(self):
                return self.create_user_and_ws_headers(username="alice")[1]

        text = failure(Failing)
        assert "/ws/lobby/ · user alice · LobbyConsumer" in text
        assert '→ {"action": "ping", "payload": null}' in text
        assert '← {"action": "pong", "payload": null}' in text
        assert "sessionid" not in text

    def test_a_skip_is_a_skip(self):
        class Skipping(Case):
            async def test(self):
                await self.auth_communicator.connect()
                self.skipTest("not today")

        result = run(Skipping)
        assert [reason for _, reason in result.skipped] == ["not today"]
        assert LobbyConsumer.ended == [1000]

    def test_a_crash_beats_a_skip(self):
        class Skipping(Case):
            ws_path = "/ws/crash/"

            async def test(self):
                await self.auth_communicator.connect()
                self.skipTest("not today")

        assert "broken connect" in failure(Skipping)

    def test_tasks_that_are_left_are_named_and_cancelled(self):
        tasks = []

        class Leaving(Case):
            ws_path = "/ws/heart/"

            async def test(self):
                await self.auth_communicator.connect()
                tasks.extend(
                    task for task in asyncio.all_tasks() if "beat" in str(task)
                )

        with pytest.warns(LeftoverTaskWarning, match=r"HeartbeatConsumer\.beat"):
            passes(Leaving)
        assert [task.cancelled() for task in tasks] == [True]

    def test_tasks_that_are_left_fail_the_test_where_warnings_are_errors(self):
        class Leaving(Case):
            ws_path = "/ws/heart/"

            async def test(self):
                await self.auth_communicator.connect()

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert "LeftoverTaskWarning" in failure(Leaving)


class TestKindsOfTests:
    def test_a_sync_test_holds_its_conversation_in_one_async_function(self):
        class Sync(Case):
            def test(self):
                async def scenario():
                    async with self.auth_communicator as communicator:
                        await communicator.send_message(PingMessage())
                        return await communicator.receive_all_messages()

                assert async_to_sync(scenario)() == [PongMessage()]

        passes(Sync)

    def test_a_sync_test_fails_by_a_crash_that_nobody_saw(self):
        class Sync(Case):
            ws_path = "/ws/crash/"

            def test(self):
                async_to_sync(self.auth_communicator.connect)()

        assert "broken connect" in failure(Sync)

    def test_debug_runs_a_test_without_a_result(self):
        class Failing(Case):
            async def test(self):
                await self.auth_communicator.connect()
                self.fail("the test itself")

        with pytest.raises(AssertionError, match="the test itself"):
            Failing("test").debug()

    def test_a_test_case_can_run_twice(self):
        class Twice(Case):
            async def test(self):
                await self.auth_communicator.connect()

        case = Twice("test")
        for _ in range(2):
            result = unittest.TestResult()
            case(result)
            assert result.wasSuccessful(), result.errors

    def test_a_test_case_can_be_pickled_for_parallel_runs(self):
        case = PickledCase("test")
        copy = pickle.loads(pickle.dumps(case))
        result = unittest.TextTestRunner(stream=io.StringIO()).run(copy)
        assert result.wasSuccessful()

    def test_the_database_of_the_test_is_the_one_of_the_consumer(self):
        class Counting(Case):
            ws_path = "/ws/count/"

            async def test(self):
                await self.acreate_user_and_ws_headers()
                await self.auth_communicator.connect()
                await self.auth_communicator.send_message(WhoAmI())
                (answer,) = await self.auth_communicator.receive_all_messages()
                assert answer.payload == "one of 2"

        passes(Counting)


class PickledCase(Case):
    async def test(self):
        await self.auth_communicator.connect()


class TestMistakes:
    """What people get wrong is answered with what to do."""

    def test_headers_that_are_a_pair_with_the_user(self):
        class Pair(Case):
            def get_ws_headers(self):
                return self.create_user_and_ws_headers()

            async def test(self):
                pass

        text = failure(Pair)
        assert "Pair.get_ws_headers() must return the headers" in text
        assert "create_user_and_ws_headers() returns 'user, headers'" in text

    def test_headers_that_are_none(self):
        class Nothing(Case):
            def get_ws_headers(self):
                pass

            async def test(self):
                pass

        assert "Headers are a list of pairs of bytes" in failure(Nothing)

    def test_the_sync_way_to_a_user_in_async_code(self):
        class Blocking(Case):
            async def test(self):
                self.create_user_and_ws_headers()

        assert "await self.acreate_user_and_ws_headers() there" in failure(Blocking)

    def test_a_job_that_does_not_end_is_told_of_while_it_runs(self, monkeypatch):
        release = threading.Event()

        class Told(io.StringIO):
            def write(self, text):
                release.set()  # Told while the job runs: only now may it end.
                return super().write(text)

        told = Told()
        monkeypatch.setattr("sys.__stderr__", told)
        monkeypatch.setattr("chanx_testing.channels.async_fixtures.STUCK_SECONDS", 0.0)

        class Stuck(LobbyConsumer):
            @ws_handler
            async def ping(self, message: PingMessage) -> None:
                await database_sync_to_async(release.wait)(30)

        class Waiting(Case):
            router = Stuck.as_asgi()

            async def test(self):
                await self.auth_communicator.connect()
                await self.auth_communicator.send_message(PingMessage())
                await self.auth_communicator.disconnect(timeout=0.05)

        assert "ApplicationHangs" in failure(Waiting)
        assert "waits for work in a thread to end" in told.getvalue()
        assert "The main thread is at:" in told.getvalue()
