"""A collection is the answers to what was asked: all of them, and no others."""

import asyncio
import json
import time
from contextlib import AsyncExitStack, suppress
from typing import Literal

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.constants import EVENT_ACTION_COMPLETE, GROUP_ACTION_COMPLETE
from chanx_testing.core.client import errors, steps
from chanx_testing.core.client.communicator import (
    WebsocketCommunicator as AnyCommunicator,
)
from chanx_testing.core.decorators import event_handler, ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from tests.support import apps


class Ask(BaseMessage):
    """What a client asks; each part of the answer names it.

    Attributes:
        name: What the answers are called.
        before: The seconds until the handler answers.
        after: The seconds from there to its end.
        replies: How many messages the handler sends.
        to: Whom it tells: nobody, its own channel, or all.
        event: The seconds that the event handler takes.
        says: How many messages it sends to the group.
    """

    action: Literal["ask"] = "ask"
    name: str = "a"
    before: float = 0
    after: float = 0
    replies: int = 1
    to: Literal["nobody", "itself", "all"] = "nobody"
    event: float = 0
    says: int = 0


class Told(BaseMessage):
    action: Literal["told"] = "told"
    name: str
    takes: float
    back: str | None = None


class Answer(BaseMessage):
    action: Literal["answer"] = "answer"
    name: str
    how: Literal["reply", "event", "group", "back"]


class Consumer(AsyncJsonWebsocketConsumer):
    groups = ["askers"]
    send_completion = True
    emits = [Answer]

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def ask(self, message: Ask) -> None:
        await pause(message.before)
        for _ in range(message.says):
            await self.broadcast_message(Answer(name=message.name, how="group"))
        told = Told(name=message.name, takes=message.event)
        if message.to == "itself":
            await self.send_event(told, self.channel_name)
        elif message.to == "all":
            await self.broadcast_event(told)
        for _ in range(message.replies):
            await self.send_message(Answer(name=message.name, how="reply"))
        await pause(message.after)

    @event_handler
    async def told(self, event: Told) -> Answer:
        await pause(event.takes)
        return Answer(name=event.name, how="event")


class Silent(Consumer):
    @event_handler
    async def told(self, event: Told) -> None:
        await pause(event.takes)


async def pause(seconds):
    """Sleep, or work in a thread where that is said by less than nothing."""
    if seconds < 0:
        await sync_to_async(time.sleep)(-seconds)
    elif seconds:
        await asyncio.sleep(seconds)


def client(consumer=Consumer):
    return WebsocketCommunicator(consumer.as_asgi(), "/ws/", consumer=consumer)


async def ask(connection, name="a", **how):
    await connection.send_message(Ask(name=name, **how))


async def answers(connection, *args, **options):
    messages = await connection.receive_all_messages(*args, **options)
    return [
        f"{message.how} {message.name}" if isinstance(message, Answer) else "pong"
        for message in messages
    ]


class TestFrames:
    async def test_a_late_signal_does_not_end_the_next_step(self):
        async with client() as one:
            await ask(one, after=0.02)
            assert (await one.receive_message()).how == "reply"
            # The handler of the first one still works: its signal comes after this.
            await ask(one, "b", before=0.01)
            assert await answers(one) == ["reply b"]

    async def test_a_late_signal_of_a_message_without_answers_neither(self):
        async with client() as one:
            await ask(one, replies=0, after=0.02)
            await ask(one, "b", before=0.01)
            assert await answers(one) == ["reply b"]

    async def test_no_answer_at_all_is_an_empty_list(self):
        async with client() as one:
            await ask(one, replies=0, after=0.01)
            assert await answers(one) == []

    async def test_what_is_asked_while_messages_are_collected_is_another_step(self):
        async with client() as one:
            await ask(one, replies=0, before=0.01)
            collecting = asyncio.create_task(answers(one))
            await asyncio.sleep(0)
            await ask(one, "b")
            assert await collecting == []
            assert await answers(one) == ["reply b"]

    async def test_two_collections_at_once_are_of_two_steps(self):
        async with client() as one, client() as other:
            # What another client says is left by both, and keeps neither from its end.
            await ask(other, "x", replies=0, says=2)
            await other.wait()
            await ask(one, "a", before=0.01)
            await ask(one, "b", before=0.01, to="itself", event=0.01)
            found = await asyncio.gather(answers(one), answers(one))
            assert found == [["reply a"], ["reply b", "event b"]]

    async def test_a_collection_that_was_cancelled_leaves_its_step(self):
        async with client() as one:
            await ask(one, before=0.02)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await answers(one)
            assert await answers(one) == ["reply a"]

    async def test_a_frame_that_a_middleware_keeps_is_not_waited_for(self):
        application = Consumer.as_asgi()

        async def keep_pings(scope, receive, send):
            async def receive_others():
                while '"ping"' in (message := await receive()).get("text", ""):
                    pass
                return dict(message)

            await application(scope, receive_others, send)

        async with AnyCommunicator(keep_pings, "/", consumer=Consumer) as one:
            await one.send_message(PingMessage())
            await ask(one)
            assert await answers(one) == ["reply a"]

    async def test_a_frame_put_into_the_queue_directly_is_a_step(self):
        async with client() as one:
            text = Ask().model_dump_json()
            one.input_queue.put_nowait({"type": "websocket.receive", "text": text})
            assert await answers(one) == ["reply a"]

    async def test_a_handler_that_stops_in_the_middle_has_no_signal(self):
        class Closing(Consumer):
            @ws_handler
            async def ask(self, message: Ask) -> None:
                await self.send_message(Answer(name="a", how="reply"))
                await self.close(4001)

        async with client(Closing) as one:
            await ask(one)
            with pytest.raises(
                errors.IncompleteMessages, match=r"came websocket\.close code=4001"
            ):
                await answers(one)
            await one.assert_closed(4001)


class TestEvents:
    @pytest.mark.parametrize("takes", [0, 0.02, -0.02], ids=["fast", "sleeps", "works"])
    @pytest.mark.parametrize("to", ["itself", "all"])
    async def test_the_answer_of_an_event_is_collected(self, to, takes):
        async with client() as one:
            await ask(one, replies=0, to=to, event=takes)
            assert await answers(one) == ["event a"]

    @pytest.mark.parametrize("takes", [0, 0.02, -0.02], ids=["fast", "sleeps", "works"])
    async def test_with_what_the_handler_answers(self, takes):
        async with client() as one:
            await ask(one, to="itself", event=takes)
            assert await answers(one) == ["reply a", "event a"]

    async def test_an_event_of_another_client_is_left_for_another_verb(self):
        async with client() as one, client() as other:
            await ask(other, "b", to="all", replies=0)
            await other.wait()
            await ask(one)
            assert await answers(one) == ["reply a"]
            assert await answers(one, EVENT_ACTION_COMPLETE) == ["event b"]

    async def test_one_that_waits_behind_a_later_message_is_waited_for(self):
        async with client() as one:
            await ask(one, replies=0, to="itself")
            await ask(one, "b", before=0.02)
            assert await answers(one) == ["event a"]
            assert await answers(one) == ["reply b"]

    async def test_one_that_comes_back_from_another_client(self):
        class Back(Consumer):
            @event_handler
            async def told(self, event: Told) -> Answer | None:
                if event.back is None:
                    # Of the other clients each tells the one who asked.
                    if event.name != self.scope["query_string"].decode():
                        await pause(event.takes)
                        event = event.model_copy(update={"back": "yes"})
                        await self.broadcast_event(event)
                    return None
                if event.name == self.scope["query_string"].decode():
                    return Answer(name=event.name, how="back")
                return None

        one, other = (
            WebsocketCommunicator(Back.as_asgi(), f"/?{name}", consumer=Back)
            for name in "ab"
        )
        async with one, other:
            await ask(one, to="all", event=0.02)
            assert await answers(one) == ["reply a", "back a"]

    async def test_what_another_client_is_kept_from_is_not_waited_for(self):
        """It waits for the test itself, and its event may never come back."""
        go_on = asyncio.Event()

        class Kept(Consumer):
            @event_handler
            async def told(self, event: Told) -> None:
                if self.scope["query_string"]:
                    await go_on.wait()

        one, other = (
            WebsocketCommunicator(Kept.as_asgi(), f"/?{name}", consumer=Kept)
            for name in ["", "b"]
        )
        async with one, other:
            await ask(one, to="all", says=1, replies=0)
            began = time.perf_counter()
            assert await answers(one, timeout=30) == ["group a"]
            assert time.perf_counter() - began < 10
            go_on.set()

    async def test_one_that_is_never_handled_fails_the_collection(self):
        class Kept(Consumer):
            @event_handler
            async def told(self, event: Told) -> None:
                await asyncio.Event().wait()

        one = client(Kept)
        await one.connect()
        await ask(one, to="itself")
        with pytest.raises(
            errors.IncompleteMessages, match=r"'complete' came, but what the message"
        ):
            await answers(one, timeout=30)
        one.stop()

    async def test_a_signal_is_not_stale_because_another_client_acted(self):
        async with client(Silent) as one, client(Silent) as other:
            await Silent.broadcast_event(Told(name="e", takes=0))
            await one.wait()
            await other.send_message(PingMessage())
            assert await answers(one, EVENT_ACTION_COMPLETE) == []

    async def test_nor_because_another_client_told_somebody_else(self):
        async with client() as one, client() as other:
            await Consumer.broadcast_event(Told(name="e", takes=0))
            assert (await one.receive_message()).how == "event"
            await one.wait()
            await ask(other, to="itself")
            await other.wait()
            assert await answers(one, EVENT_ACTION_COMPLETE) == []

    async def test_it_is_where_an_event_was_to_come_since(self):
        async with client() as one:
            await Consumer.broadcast_event(Told(name="e", takes=0))
            assert (await one.receive_message()).how == "event"
            await one.wait()
            await Consumer.broadcast_event(Told(name="f", takes=0), "elsewhere")
            with pytest.raises(errors.IncompleteMessages):
                await answers(one, EVENT_ACTION_COMPLETE)

    async def test_a_slow_event_of_the_test_is_collected(self):
        async with client() as one, client() as other:
            await Consumer.broadcast_event(Told(name="e", takes=0.02))
            await ask(other)
            assert await answers(one, EVENT_ACTION_COMPLETE) == ["event e"]
            assert await answers(other) == ["reply a"]


class TestGroups:
    async def test_all_that_a_handler_says_is_its_answer_where_it_replies_nothing(self):
        async with client() as one:
            await ask(one, replies=0, says=2)
            assert await answers(one) == ["group a", "group a"]

    async def test_what_another_says_is_left_for_another_verb(self):
        async with client() as one, client() as other:
            await ask(other, "b", replies=0, says=1)
            await ask(one, replies=0, says=1, before=0.01)
            assert await answers(one) == ["group a"]
            assert await answers(other) == ["group b"]
            assert await answers(one, GROUP_ACTION_COMPLETE) == ["group b"]

    async def test_it_waits_behind_a_later_message(self):
        async with client() as one:
            await ask(one, replies=0, says=1)
            await ask(one, "b", before=0.02)
            assert await answers(one) == ["group a"]
            assert await answers(one) == ["reply b"]

    async def test_a_member_that_has_gone_is_not_waited_for(self):
        async with client() as one:
            async with client() as other:
                await ask(other, "b", before=0.01)
                await ask(one, to="all", replies=0)
                await asyncio.sleep(0)
                other.stop()
            assert await answers(one) == ["event a"]

    async def test_a_layer_with_unknown_members(self, monkeypatch):
        monkeypatch.setattr(steps, "_members", lambda layer, group: None)
        async with client() as one, client() as other:
            await ask(other, "b", replies=0, to="all", says=1)
            await ask(one, replies=0, to="all", event=0.01)
            await ask(one, "c", before=0.01)
            assert await answers(one) == ["event a"]
            assert await answers(other) == ["event b"]
            assert await answers(one) == ["reply c"]

    async def test_a_broadcast_that_fails_is_not_waited_for(self, monkeypatch):
        class Broken(Consumer):
            @ws_handler
            async def ask(self, message: Ask) -> Answer:
                with suppress(ConnectionError):
                    await self.broadcast_event(Told(name="e", takes=0))
                return Answer(name=message.name, how="reply")

        async def group_send(group, message):
            raise ConnectionError

        async with client(Broken) as one:
            monkeypatch.setattr(get_channel_layer(), "group_send", group_send)
            await ask(one)
            assert await answers(one) == ["reply a"]

    async def test_an_event_of_another_process_belongs_to_no_step_of_this_one(self):
        async with client() as one:
            await ask(one, to="all")
            await one.wait()
            # Both count their broadcasts from 1.
            (number,) = [*steps._set_off][-1:]
            told = {
                "type": "handle_channel_event",
                "event_data": Told(name="x", takes=0).model_dump(),
                "broadcast_id": number,
                "broadcast_from": "another",
            }
            await get_channel_layer().group_send("askers", told)
            await one.wait()
            assert await answers(one) == ["reply a", "event a"]
            assert await answers(one, EVENT_ACTION_COMPLETE) == ["event x"]


class TestOwnMessageCalledComplete:
    """A message of the application is a message, whatever its action is."""

    class Upload(AsyncJsonWebsocketConsumer):
        emits = [Answer]

        @ws_handler
        async def ask(self, message: Ask) -> None:
            await self.send_json({"action": "complete", "payload": None})
            await self.send_message(Answer(name=message.name, how="reply"))

    @pytest.mark.parametrize("on", [False, True])
    async def test_receive_nothing_sees_it(self, monkeypatch, on):
        monkeypatch.setattr(self.Upload, "send_completion", on)
        async with client(self.Upload) as one:
            await ask(one)
            with pytest.raises(errors.UnexpectedFrame) as caught:
                await one.receive_nothing()
            assert [
                json.loads(frame["text"])["action"] for frame in caught.value.frames
            ] == [
                "complete",
                "answer",
            ]

    @pytest.mark.parametrize("on", [False, True])
    async def test_it_is_received_and_ends_no_collection(self, monkeypatch, on):
        monkeypatch.setattr(self.Upload, "send_completion", on)
        async with client(self.Upload) as one:
            await ask(one)
            assert (await one.receive_message()).action == "complete"
            await one.receive_all_json()
            await ask(one)
            messages = await one.receive_all_messages()
            assert [message.action for message in messages] == ["complete", "answer"]

    async def test_of_a_consumer_that_reports_nothing(self):
        class Complete(BaseMessage):
            action: Literal["complete"] = "complete"
            payload: int

        async def application(scope, receive, send):
            await apps.accept(receive, send)
            await apps.send_json(send, {"action": "complete", "payload": 3})
            await receive()

        one = AnyCommunicator(application, "/", message_types=[Complete])
        async with one:
            with pytest.raises(errors.UnexpectedFrame):
                await one.receive_nothing()
            assert await one.receive_message() == Complete(payload=3)


class TestCounted:
    """A consumer that reports nothing completes each frame of the client once."""

    async def application(self, scope, receive, send):
        await apps.accept(receive, send)
        while (message := await receive())["type"] == "websocket.receive":
            name = message["text"]
            await asyncio.sleep(0.01)
            if name != '"nothing"':
                await apps.send_json(
                    send, {"action": "answer", "name": name, "how": "reply"}
                )
            await asyncio.sleep(0.01)
            await apps.send_json(send, {"action": "complete", "payload": None})

    def client(self):
        class Declared(AsyncJsonWebsocketConsumer):
            send_completion = True
            emits = [Answer]

        return AnyCommunicator(self.application, "/", consumer=Declared)

    async def test_a_late_signal_does_not_end_the_next_step(self):
        async with self.client() as one:
            await one.send_json("a")
            assert (await one.receive_message()).name == '"a"'
            await one.send_json("b")
            assert await answers(one) == ['reply "b"']

    async def test_signals_that_were_taken_by_other_verbs_count(self):
        async with self.client() as one:
            await one.send_json("a")
            await one.receive_json()
            assert (await one.receive_json())["action"] == "complete"
            await one.send_json("nothing")
            await one.send_json("b")
            assert await answers(one) == ['reply "b"']

    async def test_each_message_has_a_list(self):
        async with self.client() as one:
            for name in "ab":
                await one.send_json(name)
            assert await answers(one) == ['reply "a"']
            assert await answers(one) == ['reply "b"']

    async def test_what_others_do_makes_no_signal_stale(self):
        async with self.client() as one, self.client() as other:
            await one.send_json("nothing")
            await one.wait_until_idle()
            await other.send_json("a")
            await other.receive_message()
            began = time.perf_counter()
            assert await answers(one, timeout=30) == []
            assert time.perf_counter() - began < 10


TIMES = st.sampled_from([0, 0, 0.001, 0.004, -0.001])
ASKS = st.builds(
    dict,
    before=TIMES,
    after=TIMES,
    replies=st.integers(0, 2),
    to=st.sampled_from(["nobody", "itself", "all"]),
    event=TIMES,
    says=st.integers(0, 2),
)


def expected(how, name):
    replies = [f"reply {name}"] * how["replies"]
    events = [f"event {name}"] * (how["to"] != "nobody")
    return replies + events or [f"group {name}"] * how["says"]


class TestInAnyOrder:
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        asks=st.lists(st.tuples(st.integers(0, 2), ASKS), min_size=1, max_size=8),
        collected=st.randoms(use_true_random=False),
        unknown=st.booleans(),
    )
    async def test_each_collection_is_the_answers_to_one_message(
        self, asks, collected, unknown
    ):
        """Several clients ask, in any order, before any of them collects."""
        with pytest.MonkeyPatch.context() as patch:
            if unknown:
                patch.setattr(steps, "_members", lambda layer, group: None)
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(client()) for _ in range(3)]
                left = []
                for number, (who, how) in enumerate(asks):
                    await ask(clients[who], str(number), **how)
                    # A message without any answer has no list while others follow it.
                    if expected(how, number):
                        left.append((who, how, number))
                while left:
                    who = collected.choice(left)[0]
                    mine = next(each for each in left if each[0] == who)
                    left.remove(mine)
                    found = await answers(clients[who], timeout=20)
                    assert found == expected(*mine[1:])
