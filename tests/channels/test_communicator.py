"""What the communicator adds for Django and Channels."""

import asyncio

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.test import override_settings
from django.urls import path

from chanx_testing.channels.testing import (
    DjangoWebsocketCommunicator,
    WebsocketCommunicator,
)
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.client.errors import ConnectionRejected
from tests.support.cases import passes
from tests.support.lobby import Case, LobbyConsumer, application

pytestmark = pytest.mark.django_db(transaction=True)


class TestDirectCommunicator:
    def test_has_two_names(self):
        assert DjangoWebsocketCommunicator is WebsocketCommunicator

    async def test_leaves_a_path_without_a_route_to_the_application(self):
        communicator = WebsocketCommunicator(
            AuthMiddlewareStack(URLRouter([])), "/nowhere/"
        )
        assert communicator.consumer is None
        with pytest.raises(ValueError, match="No route found"):
            await communicator.connect()

    @override_settings(CHANX={"TEST_TIMEOUT_SCALE": 3})
    def test_scales_default_timeouts_by_the_setting(self):
        communicator = WebsocketCommunicator(LobbyConsumer.as_asgi(), "/")
        assert communicator.timeout_scale() == 3


class TestMistakes:
    """What people get wrong is answered with what to do."""

    async def test_a_handshake_without_an_origin(self):
        communicator = WebsocketCommunicator(application, "/ws/lobby/")
        with pytest.raises(ConnectionRejected, match=r"handshake_headers\(applicat"):
            await communicator.__aenter__()

    async def test_a_refusal_without_a_validator_says_nothing_of_origins(self):
        class Closed(AsyncJsonWebsocketConsumer):
            async def connect(self):
                await self.close()

        with pytest.raises(ConnectionRejected) as caught:
            await WebsocketCommunicator(Closed.as_asgi(), "/").__aenter__()
        assert "origin" not in str(caught.value)

    async def test_a_path_that_leads_nowhere(self):
        router = URLRouter([path("ws/lobby/", LobbyConsumer.as_asgi())])
        with pytest.raises(ValueError, match="No route found") as caught:
            await WebsocketCommunicator(router, "/ws/loby/").connect()
        assert any("Did you mean" in note for note in caught.value.__notes__)


class TestHeartbeats:
    """A consumer says which of its methods run forever."""

    def test_their_timers_keep_no_test_from_being_idle(self):
        class Beating(LobbyConsumer):
            background_methods = ["beat"]
            original = None

            async def post_authentication(self):
                self.task = asyncio.create_task(self.beat())

            async def beat(self):
                while True:  # noqa: ASYNC110 - a heartbeat
                    await asyncio.sleep(0.5)

            async def disconnect(self, code):
                self.task.cancel()

        beat = Beating.beat

        class Quick(Case):
            router = Beating.as_asgi()

            async def test(self):
                await self.auth_communicator.connect()
                assert await self.auth_communicator.wait_until_idle(timeout=30)
                assert Beating.beat is not beat

        passes(Quick)
        assert Beating.beat is beat

    async def test_a_name_of_no_method_is_refused(self):
        class Misnamed(LobbyConsumer):
            background_methods = ["beet"]

        communicator = WebsocketCommunicator(Misnamed.as_asgi(), "/")
        with pytest.raises(TypeError, match="Misnamed has no such method"):
            await communicator.connect()
