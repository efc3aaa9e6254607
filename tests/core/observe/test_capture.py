"""Recording broadcasts without replacing anything."""

from typing import Literal

import pytest
from asgiref.sync import sync_to_async
from pydantic import BaseModel

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.constants import EVENT_ACTION_COMPLETE
from chanx_testing.core.decorators import event_handler
from chanx_testing.core.testing import capture_broadcast_events
from chanx_testing.messages.base import BaseMessage


class News(BaseMessage):
    class Payload(BaseModel):
        text: str

    action: Literal["news"] = "news"
    payload: Payload


class NewsConsumer(AsyncJsonWebsocketConsumer):
    groups = ["readers"]
    send_completion = True

    @event_handler
    async def news(self, event: News) -> News:
        return event


class LocalNewsConsumer(NewsConsumer):
    groups = ["local"]


class OtherConsumer(NewsConsumer):
    pass


def news(text="hello"):
    return News(payload={"text": text})


async def test_records_the_event_and_the_groups_as_they_were_given():
    with capture_broadcast_events(NewsConsumer) as captured:
        await NewsConsumer.broadcast_event(news(), groups=["a", "b"])
        await NewsConsumer.broadcast_event(news(), groups="a")
        await NewsConsumer.broadcast_event(news())
    assert [item["groups"] for item in captured] == [["a", "b"], "a", None]
    assert captured[0]["event"].action == captured[0].event.action == "news"
    assert captured[0]["event"].payload.text == "hello"
    assert captured[0].consumer is NewsConsumer


def test_an_instance_of_a_consumer_is_refused():
    with (
        pytest.raises(TypeError, match="takes a consumer class"),
        capture_broadcast_events(NewsConsumer()),
    ):
        raise AssertionError("never entered")


async def test_an_unknown_key_lists_those_there_are():
    with capture_broadcast_events(NewsConsumer) as captured:
        await NewsConsumer.broadcast_event(news())
    with pytest.raises(KeyError, match="no 'group'; it has event, groups"):
        captured[0]["group"]


async def test_suppressed_events_reach_nobody():
    consumer = NewsConsumer.as_asgi()
    async with WebsocketCommunicator(consumer, "/", consumer=NewsConsumer) as comm:
        with capture_broadcast_events(NewsConsumer):
            await NewsConsumer.broadcast_event(news())
        assert await comm.receive_nothing()


async def test_events_that_are_not_suppressed_arrive():
    consumer = NewsConsumer.as_asgi()
    async with WebsocketCommunicator(consumer, "/", consumer=NewsConsumer) as comm:
        with capture_broadcast_events(NewsConsumer, suppress=False) as captured:
            await NewsConsumer.broadcast_event(news())
        assert len(captured) == 1
        assert await comm.receive_all_messages(EVENT_ACTION_COMPLETE) == [news()]


async def test_covers_subclasses_and_nobody_else():
    with (
        capture_broadcast_events(LocalNewsConsumer) as local,
        capture_broadcast_events(NewsConsumer) as every,
    ):
        await LocalNewsConsumer.broadcast_event(news())
        await OtherConsumer.broadcast_event(news())
    assert [item.consumer for item in local] == [LocalNewsConsumer]
    assert [item.consumer for item in every] == [LocalNewsConsumer, OtherConsumer]


async def test_nested_captures_each_record_and_one_suppresses_for_all():
    consumer = NewsConsumer.as_asgi()
    async with WebsocketCommunicator(consumer, "/", consumer=NewsConsumer) as comm:
        with capture_broadcast_events(NewsConsumer, suppress=True) as outer:
            with capture_broadcast_events(NewsConsumer, suppress=False) as inner:
                await NewsConsumer.broadcast_event(news())
            await NewsConsumer.broadcast_event(news())
        assert (len(outer), len(inner)) == (2, 1)
        assert await comm.receive_nothing()


async def test_records_what_sync_code_broadcasts():
    with capture_broadcast_events(NewsConsumer) as captured:
        await sync_to_async(NewsConsumer.broadcast_event_sync)(news(), groups="a")
    assert [(item.method, item.groups) for item in captured] == [
        ("broadcast_event", "a")
    ]


async def test_records_other_methods_where_they_are_asked_for():
    with capture_broadcast_events(
        NewsConsumer, methods=["send_event", "broadcast_event"]
    ) as captured:
        await NewsConsumer.send_event(news(), "specific.channel!a")
        await NewsConsumer.broadcast_event(news(), groups="a")
    assert [(item.method, item.channel_name) for item in captured] == [
        ("send_event", "specific.channel!a"),
        ("broadcast_event", None),
    ]


async def test_nothing_is_replaced_also_after_an_error():
    before = vars(NewsConsumer).copy()
    inherited = NewsConsumer.broadcast_event.__func__
    with (
        pytest.raises(LookupError),
        capture_broadcast_events(NewsConsumer) as captured,
    ):
        assert NewsConsumer.broadcast_event.__func__ is inherited
        raise LookupError
    assert dict(vars(NewsConsumer)) == before
    with capture_broadcast_events(NewsConsumer):
        await NewsConsumer.broadcast_event(news())
    assert captured == []


async def test_a_subclass_broadcasts_to_its_own_groups_afterwards():
    consumer = LocalNewsConsumer.as_asgi()
    async with WebsocketCommunicator(consumer, "/", consumer=LocalNewsConsumer) as comm:
        with capture_broadcast_events(NewsConsumer):
            await NewsConsumer.broadcast_event(news())
        await LocalNewsConsumer.broadcast_event(news("local"))
        assert await comm.receive_all_messages(EVENT_ACTION_COMPLETE) == [news("local")]


def test_takes_only_consumers_whose_broadcasts_it_can_see():
    with (
        pytest.raises(TypeError, match="takes a consumer class of chanx_testing"),
        capture_broadcast_events(dict),
    ):
        pytest.fail("the body must not run")


def test_takes_only_methods_that_it_knows():
    with (
        pytest.raises(ValueError, match="cannot record group_send"),
        capture_broadcast_events(NewsConsumer, methods=["group_send"]),
    ):
        pytest.fail("the body must not run")


class OwnWayConsumer(NewsConsumer):
    """Broadcasts in a way of its own, and does not call what it overrides."""

    sent = []

    @classmethod
    async def broadcast_event(cls, event, groups=None):
        cls.sent.append((cls, event, groups))


class LocalOwnWayConsumer(OwnWayConsumer):
    pass


class ShoutingConsumer(NewsConsumer):
    """Passes another event on than it was given."""

    @classmethod
    async def broadcast_event(cls, event, groups=None):
        await super().broadcast_event(news(event.payload.text.upper()), groups)


class LouderConsumer(ShoutingConsumer):
    @classmethod
    async def broadcast_event(cls, event, groups=None):
        await super().broadcast_event(news(event.payload.text + "!"), groups)


class SometimesConsumer(OwnWayConsumer):
    """Calls super() for some events alone."""

    @classmethod
    async def broadcast_event(cls, event, groups=None):
        if event.payload.text == "public":
            await super().broadcast_event(event, groups)


class TestOverrides:
    @pytest.fixture(autouse=True)
    def nothing_sent(self):
        OwnWayConsumer.sent.clear()

    @pytest.mark.parametrize("watched", [NewsConsumer, OwnWayConsumer])
    async def test_without_super_is_recorded_and_suppressed(self, watched):
        with capture_broadcast_events(watched) as captured:
            await OwnWayConsumer.broadcast_event(news(), groups="a")
        assert [(item.consumer, item.groups) for item in captured] == [
            (OwnWayConsumer, "a")
        ]
        assert OwnWayConsumer.sent == []

    async def test_without_super_is_sent_where_it_is_not_suppressed(self):
        with capture_broadcast_events(NewsConsumer, suppress=False) as captured:
            await OwnWayConsumer.broadcast_event(news(), "a")
        assert len(captured) == 1
        assert OwnWayConsumer.sent == [(OwnWayConsumer, news(), "a")]

    async def test_that_a_base_has(self):
        with capture_broadcast_events(LocalOwnWayConsumer) as captured:
            await LocalOwnWayConsumer.broadcast_event(news())
            await OwnWayConsumer.broadcast_event(news("elsewhere"))
        assert [item.consumer for item in captured] == [LocalOwnWayConsumer]
        # Nobody captures those of the base.
        assert OwnWayConsumer.sent == [(OwnWayConsumer, news("elsewhere"), None)]

    async def test_with_super_records_what_it_passes_on_once(self):
        with capture_broadcast_events(NewsConsumer) as captured:
            await LouderConsumer.broadcast_event(news(), "a")
        assert [item.event for item in captured] == [news("HELLO!")]
        assert captured[0].consumer is LouderConsumer

    @pytest.mark.parametrize("text", ["public", "secret"])
    async def test_with_super_for_some_events_is_recorded_for_all(self, text):
        with capture_broadcast_events(NewsConsumer) as captured:
            await SometimesConsumer.broadcast_event(news(text))
        assert [item.event for item in captured] == [news(text)]
        assert OwnWayConsumer.sent == []

    async def test_from_sync_code(self):
        with capture_broadcast_events(NewsConsumer) as captured:
            await sync_to_async(OwnWayConsumer.broadcast_event_sync)(news(), "a")
        assert [item.groups for item in captured] == ["a"]

    async def test_with_super_in_a_function_inside(self):
        class Inner(NewsConsumer):
            @classmethod
            async def broadcast_event(cls, event, groups=None):
                async def passing_on():
                    await super(Inner, cls).broadcast_event(news("inner"), groups)

                await passing_on()

        with capture_broadcast_events(NewsConsumer) as captured:
            await Inner.broadcast_event(news())
        assert [item.event for item in captured] == [news("inner")]

    async def test_nested_captures_record_it_once_each(self):
        with (
            capture_broadcast_events(NewsConsumer, suppress=False) as outer,
            capture_broadcast_events(OwnWayConsumer) as inner,
        ):
            await OwnWayConsumer.broadcast_event(news())
            await ShoutingConsumer.broadcast_event(news())
        assert (len(outer), len(inner)) == (2, 1)
        assert OwnWayConsumer.sent == []

    async def test_what_fails_before_it_is_sent_is_recorded_too(self):
        class Failing(NewsConsumer):
            @classmethod
            async def broadcast_event(cls, event, groups=None):
                raise LookupError("no such group")

        with (
            capture_broadcast_events(NewsConsumer, suppress=False) as captured,
            pytest.raises(LookupError),
        ):
            await Failing.broadcast_event(news())
        assert len(captured) == 1

    async def test_of_an_event_to_one_channel(self):
        class Direct(NewsConsumer):
            @classmethod
            async def send_event(cls, event, channel_name):
                raise AssertionError("sent")

        with capture_broadcast_events(
            NewsConsumer, methods=["send_event", "broadcast_message"]
        ) as captured:
            await Direct.send_event(news(), "specific.channel!a")
        assert [item.channel_name for item in captured] == ["specific.channel!a"]

    async def test_the_identical_methods_are_back(self):
        before = vars(OwnWayConsumer)["broadcast_event"]
        with capture_broadcast_events(NewsConsumer):
            assert vars(OwnWayConsumer)["broadcast_event"] is not before
        assert vars(OwnWayConsumer)["broadcast_event"] is before
        await OwnWayConsumer.broadcast_event(news())
        assert len(OwnWayConsumer.sent) == 1
