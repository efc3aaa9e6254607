"""Channels closes no database connection of a test, whatever waits and however."""

import asyncio
import gc
from unittest import mock

import channels.consumer
import channels.db
import pytest
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from channels.testing import WebsocketCommunicator as TheirCommunicator
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import SimpleTestCase, TestCase

from chanx_testing.channels.database.guard import connections_kept_open
from chanx_testing.channels.testing import WebsocketCommunicator
from tests.support import apps
from tests.support.cases import passes

ORIGINAL = channels.db.close_old_connections


class Users(AsyncJsonWebsocketConsumer):
    """Makes a user for each name that it receives, and again when it is left."""

    async def receive_json(self, content, **kwargs):
        await database_sync_to_async(get_user_model().objects.create)(username=content)
        count = await database_sync_to_async(get_user_model().objects.count)()
        await self.send_json(count)

    async def disconnect(self, code):
        await database_sync_to_async(get_user_model().objects.create)(username="left")


class SyncUsers(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        get_user_model().objects.create(username=content)
        self.send_json(get_user_model().objects.count())

    def disconnect(self, code):
        get_user_model().objects.create(username="left")


class Plain(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        await self.send_json(content)


def in_transaction():
    return connection.in_atomic_block


def guarded():
    return channels.db.close_old_connections is not ORIGINAL


@pytest.fixture(autouse=True)
def put_back():
    yield
    if guarded():  # by a communicator that was dropped in a cycle
        gc.collect()
    assert channels.db.close_old_connections is ORIGINAL


class TestTransactions:
    """Inside a ``TestCase``, where closing the connection ends the transaction."""

    @pytest.mark.django_db
    @pytest.mark.parametrize("consumer", [Users, SyncUsers])
    def test_outlive_every_wait(self, consumer):
        class Case(TestCase):
            async def test(self):
                await database_sync_to_async(get_user_model().objects.create)(
                    username="made by the test"
                )
                communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
                await communicator.connect()
                await communicator.send_json_to("one")
                await communicator.wait()
                assert await communicator.receive_json_from() == 2
                assert await communicator.receive_nothing()
                await communicator.send_json_to("two")
                # Past every verb, as suites do that know the internals.
                assert (await communicator.output_queue.get())["text"] == "3"
                await communicator.disconnect()
                names = get_user_model().objects.values_list("username", flat=True)
                assert await database_sync_to_async(sorted)(names) == [
                    "left",
                    "made by the test",
                    "one",
                    "two",
                ]
                assert await database_sync_to_async(
                    lambda: connection.in_atomic_block
                )()

        passes(Case)
        assert not get_user_model().objects.exists()

    @pytest.mark.slow
    def test_outlive_them_on_a_database_in_a_file(self, project):
        """In memory Django never closes a connection at all."""
        project(
            """
            from chanx_testing.channels.testing import WebsocketCommunicator
            from django.contrib.auth.models import Group
            from django.db import connection
            from django.test import TestCase
            from asgiref.sync import sync_to_async
            from channels.generic.websocket import WebsocketConsumer

            class Groups(WebsocketConsumer):
                def receive(self, text_data=None, bytes_data=None):
                    Group.objects.create(name=text_data)
                    self.send(text_data=str(Group.objects.count()))

            class GroupsTest(TestCase):
                @classmethod
                def setUpTestData(cls):
                    Group.objects.create(name="zero")

                async def test_one(self):
                    assert "db.sqlite3" in connection.settings_dict["NAME"]
                    communicator = WebsocketCommunicator(Groups.as_asgi(), "/")
                    await communicator.connect()
                    await communicator.send_to("one")
                    await communicator.wait()
                    assert await communicator.receive_from() == "2"
                    await communicator.disconnect()
                    assert await sync_to_async(lambda: connection.in_atomic_block)()

                async def test_two(self):
                    await self.test_one()
            """
        ).manage().passes(2)


class TestNoDatabase:
    def test_a_test_without_database_access_may_talk_to_a_consumer(self):
        class Case(SimpleTestCase):
            async def test(self):
                async with WebsocketCommunicator(Plain.as_asgi(), "/") as communicator:
                    await communicator.send_json_to("hello")
                    await communicator.wait()
                    assert await communicator.receive_json_from() == "hello"
                    assert await communicator.receive_nothing()

        passes(Case)

    async def test_so_may_a_function_without_the_mark(self):
        async with WebsocketCommunicator(Plain.as_asgi(), "/") as communicator:
            await communicator.send_json_to("hello")
            assert await communicator.receive_json_from() == "hello"


class TestOverlaps:
    async def test_receives_at_once_leave_nothing_behind(self):
        first = WebsocketCommunicator(Plain.as_asgi(), "/1/")
        second = WebsocketCommunicator(Plain.as_asgi(), "/2/")
        await first.connect()
        await second.connect()
        receives = [
            asyncio.ensure_future(communicator.receive_json_from())
            for communicator in (first, second)
        ]
        await second.send_json_to(2)
        await first.send_json_to(1)
        assert await asyncio.gather(*receives) == [1, 2]
        assert guarded()
        await first.disconnect()
        assert guarded()
        await second.disconnect()
        assert not guarded()

    async def test_cancelled_receives_leave_nothing_behind(self):
        communicator = WebsocketCommunicator(Plain.as_asgi(), "/")
        await communicator.connect()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(communicator.receive_output(10), 0.001)
        await communicator.disconnect()
        assert not guarded()

    async def test_an_application_that_crashed_leaves_nothing_behind(self):
        communicator = WebsocketCommunicator(apps.crash_after_accept, "/")
        await communicator.connect()
        await communicator.send_to("go")
        with pytest.raises(LookupError):
            await communicator.receive_from()
        assert not guarded()

    async def test_one_that_nobody_disconnects_leaves_nothing_behind(self):
        communicator = WebsocketCommunicator(Plain.as_asgi(), "/")
        await communicator.connect()
        task = communicator.future
        del communicator
        await asyncio.wait([task])
        assert not guarded()

    async def test_their_communicator_beside_ours(self):
        ours = WebsocketCommunicator(Plain.as_asgi(), "/")
        theirs = TheirCommunicator(Plain.as_asgi(), "/")
        await theirs.connect()
        receive = asyncio.ensure_future(theirs.receive_json_from())
        await asyncio.sleep(0)
        await ours.connect()
        await theirs.send_json_to(1)
        assert await receive == 1
        await ours.disconnect()
        await theirs.disconnect()


class TestMocks:
    """Suites, and the tests of Channels, put a function of their own in the place."""

    def test_one_that_ends_before_the_guard(self):
        guard = connections_kept_open()
        with mock.patch("channels.db.close_old_connections"):
            guard.__enter__()
        guard.__exit__(None, None, None)
        assert channels.db.close_old_connections is ORIGINAL

    def test_one_that_ends_after_the_guard(self):
        with mock.patch("channels.db.close_old_connections") as original:
            patch = mock.patch("channels.db.close_old_connections")
            with connections_kept_open():
                inner = patch.start()
            assert channels.db.close_old_connections is inner
            patch.stop()
            # Ours is there again and guards nothing: it does what the original does.
            channels.db.close_old_connections()
            original.assert_called_once_with()
            with connections_kept_open():
                channels.db.close_old_connections()
            original.assert_called_once_with()

    async def test_the_asynchronous_twin_passes_calls_through_too(self):
        with mock.patch("channels.consumer.aclose_old_connections") as original:
            patch = mock.patch("channels.consumer.aclose_old_connections")
            with connections_kept_open():
                patch.start()
            patch.stop()
            await channels.consumer.aclose_old_connections()
            original.assert_awaited_once_with()

    async def test_one_inside_a_conversation_sees_the_calls(self):
        async with WebsocketCommunicator(SyncEcho.as_asgi(), "/") as communicator:
            with mock.patch("channels.db.close_old_connections") as close:
                await communicator.send_json_to("hello")
                assert await communicator.receive_json_from() == "hello"
            close.assert_called()


class SyncEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        self.send_json(content)
