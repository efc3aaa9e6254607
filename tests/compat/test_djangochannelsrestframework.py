"""djangochannelsrestframework: actions, observers of models, permissions."""
# ruff: noqa: E402 - the package has to be there before its parts are imported

from typing import Any, ClassVar

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.urls import path
from pydantic import BaseModel
from rest_framework.serializers import ModelSerializer

from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from chanx_testing.core.client.errors import UnexpectedFrame
from tests.support.require import require

require("djangochannelsrestframework")

from djangochannelsrestframework.decorators import action
from djangochannelsrestframework.generics import GenericAsyncAPIConsumer
from djangochannelsrestframework.mixins import CreateModelMixin, ListModelMixin
from djangochannelsrestframework.observer import model_observer
from djangochannelsrestframework.observer.generics import ObserverModelInstanceMixin
from djangochannelsrestframework.permissions import BasePermission, IsAuthenticated


class Answer(BaseModel):
    action: str
    errors: list[Any]
    response_status: int
    request_id: str | int | None
    data: Any


class GroupSerializer(ModelSerializer):
    class Meta:
        model = Group
        fields: ClassVar[list[str]] = ["id", "name"]


class NotBanned(BasePermission):
    async def can_connect(self, scope: Any, consumer: Any, message: Any) -> bool:
        return scope["query_string"] != b"banned"

    async def has_permission(
        self, scope: Any, consumer: Any, action: str, **kwargs: Any
    ) -> bool:
        return True


class GroupConsumer(
    ListModelMixin,
    CreateModelMixin,
    ObserverModelInstanceMixin,
    GenericAsyncAPIConsumer,
):
    queryset = Group.objects.order_by("id")
    serializer_class = GroupSerializer
    permission_classes = (NotBanned,)
    left: ClassVar[list[int]] = []

    @action()
    async def fail(self, **kwargs: Any) -> None:
        raise LookupError("broken action")

    @action()
    def count(self, **kwargs: Any) -> tuple[int, int]:
        """Count, synchronously: the framework runs it in a thread."""
        return Group.objects.count(), 200

    @model_observer(Group, serializer_class=GroupSerializer)
    async def changed(
        self, message: Any, subscribing_request_ids: Any = (), **kwargs: Any
    ) -> None:
        for request_id in subscribing_request_ids:
            await self.reply("changed", data=message, request_id=request_id)

    @action()
    async def watch(self, request_id: Any, **kwargs: Any) -> None:
        await self.changed.subscribe(request_id=request_id)

    async def disconnect(self, code: int) -> None:
        self.left.append(code)


class MembersConsumer(GroupConsumer):
    permission_classes = (IsAuthenticated,)


application = AuthMiddlewareStack(
    URLRouter(
        [
            path("groups/", GroupConsumer.as_asgi()),
            path("members/", MembersConsumer.as_asgi()),
        ]
    )
)


def request(name: str, **content: Any) -> dict[str, Any]:
    return {"action": name, "request_id": "r1", **content}


class RestConsumerTests(WebsocketTestCase):
    router = application
    ws_path = "/groups/"

    def setUp(self) -> None:
        super().setUp()
        GroupConsumer.left.clear()

    async def test_handshake_is_accepted(self):
        assert await self.create_communicator().connect() == (True, None)

    async def test_handshake_is_rejected_by_a_permission(self):
        communicator = self.create_communicator(ws_path="/groups/?banned")
        assert await communicator.connect() == (False, 1000)

    async def test_handshake_of_a_user_is_permitted(self):
        _user, headers = await self.acreate_user_and_ws_headers()
        communicator = self.create_communicator(ws_path="/members/", headers=headers)
        async with communicator:
            await communicator.send_json(request("list"))
            assert (await communicator.receive_json())["response_status"] == 200

    async def test_frames_without_credentials_are_refused(self):
        async with self.create_communicator(ws_path="/members/") as communicator:
            await communicator.send_json(request("list"))
            assert (await communicator.receive_json())["response_status"] == 403

    async def test_frames_of_an_action(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("create", data={"name": "red"}))
            answer = await communicator.receive_json()
            assert (answer["response_status"], answer["request_id"]) == (201, "r1")
            assert answer["data"]["name"] == "red"

    async def test_frames_with_errors(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("typo"))
            assert (await communicator.receive_json())["response_status"] == 405

    async def test_typed_messages_by_message_types(self):
        communicator = WebsocketCommunicator(
            application, "/groups/", message_types=[Answer]
        )
        async with communicator:
            await communicator.send_json(request("count"))
            await communicator.send_json(request("list"))
            messages = await communicator.receive_all_messages()
            assert [message.data for message in messages] == [0, []]

    async def test_groups_of_an_observer_reach_two_clients(self):
        async with (
            self.create_communicator() as ann,
            self.create_communicator() as bob,
        ):
            for each in (ann, bob):
                await each.send_json(request("watch"))
                assert await each.receive_nothing()
            await ann.send_json(request("create", data={"name": "red"}))
            frames = await ann.receive_all_json()
            assert sorted(frame["action"] for frame in frames) == ["changed", "create"]
            assert (await bob.receive_json())["data"]["name"] == "red"

    async def test_groups_of_an_observer_are_reached_from_the_test(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("watch"))
            assert await communicator.receive_nothing()
            await Group.objects.acreate(name="red")
            assert (await communicator.receive_json())["data"]["name"] == "red"

    async def test_groups_of_one_instance(self):
        red = await Group.objects.acreate(name="red")
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("subscribe_instance", pk=red.pk))
            assert (await communicator.receive_json())["response_status"] == 201
            red.name = "green"
            await sync_to_async(red.save)()
            answer = await communicator.receive_json()
            assert (answer["action"], answer["data"]["name"]) == ("update", "green")

    async def test_crash_in_an_action_surfaces(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.send_json(request("fail"))
        with pytest.raises(LookupError, match="broken action"):
            await communicator.receive_json()

    async def test_cleanup_runs_on_disconnect(self):
        communicator = self.create_communicator()
        await communicator.connect()
        await communicator.send_json(request("watch"))
        await communicator.disconnect(4000)
        assert GroupConsumer.left == [4000]
        assert get_channel_layer().groups == {}

    async def test_nothing_more_is_proved(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("list"))
            await communicator.receive_json()
            assert await communicator.receive_nothing()
            verdict = await communicator.wait_until_idle()
            assert verdict, verdict

    async def test_nothing_more_is_refuted_by_the_work_of_a_thread(self):
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("count"))
            with pytest.raises(UnexpectedFrame, match="count"):
                await communicator.receive_nothing()

    async def test_database_is_shared_with_the_test(self):
        await Group.objects.acreate(name="red")
        async with self.create_communicator() as communicator:
            await communicator.send_json(request("create", data={"name": "green"}))
            await communicator.receive_json()
            assert await Group.objects.acount() == 2
            await communicator.send_json(request("count"))
            assert (await communicator.receive_json())["data"] == 2
            assert await get_user_model().objects.acount() == 0
