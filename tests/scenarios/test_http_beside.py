"""Views, tasks and commands that broadcast, tested with a connected client."""

import io

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.management import call_command
from django.test import AsyncClient, Client, override_settings

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.constants import EVENT_ACTION_COMPLETE
from chanx_testing.core.testing import capture_broadcast_events
from tests.support.cases import failure, passes
from tests.support.news import (
    News,
    NewsConsumer,
    PublishCommand,
    Published,
    application,
    publish_later,
)

pytestmark = pytest.mark.django_db(transaction=True)

VIEWS = ["/publish/", "/apublish/", "/publish-raw/"]
DONE = EVENT_ACTION_COMPLETE


@override_settings(ROOT_URLCONF="tests.support.news_urls")
class Case(WebsocketTestCase):
    """What the cases below have in common; they run inside the tests of this module."""

    __test__ = False
    router = application
    ws_path = "/ws/news/"


class TestAsyncTests:
    @pytest.mark.parametrize("view", VIEWS)
    def test_a_view_through_the_async_client(self, view):
        class NewsCase(Case):
            async def test(self):
                async with self.communicator as reader:
                    response = await self.async_client.post(view, {"title": "hello"})
                    self.assertEqual(response.status_code, 200)
                    self.assertEqual(
                        await reader.receive_message(), News(payload="hello")
                    )
                    await reader.receive_nothing()

        passes(NewsCase)

    @pytest.mark.parametrize("view", VIEWS)
    def test_a_view_through_the_sync_client(self, view):
        class NewsCase(Case):
            async def test(self):
                async with self.communicator as reader:
                    post = sync_to_async(self.client.post)
                    response = await post(view, {"title": "hello"})
                    self.assertEqual(response.status_code, 200)
                    self.assertEqual(
                        await reader.receive_message(), News(payload="hello")
                    )
                    await reader.receive_nothing()

        passes(NewsCase)

    def test_a_collection_up_to_the_completion_of_the_event(self):
        class NewsCase(Case):
            async def test(self):
                async with self.communicator as reader:
                    await self.async_client.post("/apublish/", {"title": "hello"})
                    self.assertEqual(
                        await reader.receive_all_messages(DONE),
                        [News(payload="hello")],
                    )

        passes(NewsCase)

    def test_a_view_that_enqueues_a_task(self):
        class NewsCase(Case):
            async def test(self):
                await sync_to_async(self.create_user_and_ws_headers)()
                async with self.communicator as reader:
                    response = await self.async_client.post(
                        "/enqueue/", {"title": "hello"}
                    )
                    self.assertEqual(response.status_code, 202)
                    self.assertEqual(
                        await reader.receive_message(),
                        News(payload="hello for 1 users"),
                    )

        passes(NewsCase)

    def test_a_task(self):
        class NewsCase(Case):
            async def test(self):
                await sync_to_async(self.create_user_and_ws_headers)()
                async with self.communicator as reader:
                    await sync_to_async(publish_later)("hello")
                    self.assertEqual(
                        await reader.receive_message(),
                        News(payload="hello for 1 users"),
                    )

        passes(NewsCase)

    def test_a_command(self):
        class NewsCase(Case):
            async def test(self):
                async with self.communicator as reader:
                    output = io.StringIO()
                    await sync_to_async(call_command)(
                        PublishCommand(), "hello", stdout=output
                    )
                    self.assertEqual(output.getvalue(), "Published hello\n")
                    self.assertEqual(
                        await reader.receive_all_messages(DONE),
                        [News(payload="hello for 0 users")],
                    )

        passes(NewsCase)

    def test_everybody_hears_it_and_nobody_who_left(self):
        class NewsCase(Case):
            async def test(self):
                gone = self.create_communicator()
                async with gone:
                    pass
                readers = [self.create_communicator() for _ in range(3)]
                for reader in readers:
                    await reader.connect()
                await self.async_client.post("/publish/", {"title": "hello"})
                for reader in readers:
                    self.assertEqual(
                        await reader.receive_all_messages(DONE),
                        [News(payload="hello")],
                    )
                self.assertTrue(gone.output_queue.empty())

        passes(NewsCase)

    def test_a_view_that_broadcasts_nothing_fails_the_test_at_once(self):
        class NewsCase(Case):
            async def test(self):
                async with self.communicator as reader:
                    await self.async_client.get("/nowhere/")
                    await reader.receive_message(timeout=60)

        assert "none will come" in failure(NewsCase)


class TestSyncTests:
    def test_a_view(self):
        class NewsCase(Case):
            def test(self):
                async def converse():
                    async with self.communicator as reader:
                        post = sync_to_async(self.client.post)
                        response = await post("/publish/", {"title": "hello"})
                        return response, await reader.receive_all_messages(DONE)

                response, messages = async_to_sync(converse)()
                self.assertEqual(response.json(), {"published": "hello"})
                self.assertEqual(messages, [News(payload="hello")])

        passes(NewsCase)

    @pytest.mark.parametrize(
        "publish",
        [
            lambda: publish_later("hello"),
            lambda: call_command(PublishCommand(), "hello", stdout=io.StringIO()),
        ],
        ids=["task", "command"],
    )
    def test_a_task_and_a_command(self, publish):
        class NewsCase(Case):
            def test(self):
                self.create_user_and_ws_headers()

                async def converse():
                    async with self.communicator as reader:
                        await sync_to_async(publish)()
                        return await reader.receive_all_messages(DONE)

                self.assertEqual(
                    async_to_sync(converse)(), [News(payload="hello for 1 users")]
                )

        passes(NewsCase)

    def test_what_was_broadcast_needs_no_connection(self):
        class NewsCase(Case):
            def test(self):
                with capture_broadcast_events(NewsConsumer) as events:
                    self.client.post("/publish/", {"title": "hello"})
                    call_command(PublishCommand(), "again", stdout=io.StringIO())
                self.assertEqual(
                    [captured.event for captured in events],
                    [
                        Published(payload="hello"),
                        Published(payload="again for 0 users"),
                    ],
                )

        passes(NewsCase)


class TestFunctions:
    """The same without a test case."""

    @pytest.fixture(autouse=True)
    def views(self, settings):
        settings.ROOT_URLCONF = "tests.support.news_urls"

    @pytest.mark.parametrize("view", VIEWS)
    async def test_a_view(self, view):
        async with WebsocketCommunicator(application, "/ws/news/") as reader:
            response = await AsyncClient().post(view, {"title": "hello"})
            assert response.status_code == 200
            assert await reader.receive_message() == News(payload="hello")

    async def test_a_view_through_the_sync_client(self):
        async with WebsocketCommunicator(application, "/ws/news/") as reader:
            await sync_to_async(Client().post)("/publish/", {"title": "hello"})
            assert await reader.receive_message() == News(payload="hello")

    def test_a_command_in_a_sync_function(self):
        async def converse():
            async with WebsocketCommunicator(application, "/ws/news/") as reader:
                await sync_to_async(call_command)(
                    PublishCommand(), "hello", stdout=io.StringIO()
                )
                return await reader.receive_message()

        assert async_to_sync(converse)() == News(payload="hello for 0 users")
