"""Whatever a client sends is answered, and the connection lives."""

import asyncio
import json
import logging
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from chanx_testing.messages.outgoing import PongMessage
from chanx_testing.messages.wire import Wire
from tests.support.messages import Echo
from tests.support.raw_client import Client

pytestmark = pytest.mark.slow

FRAMES = 1000


class Node(BaseModel):
    name: str
    weight: int | float
    children: "list[Node]" = []


class Tree(BaseMessage):
    action: Literal["tree"] = "tree"
    payload: Node


class Table(BaseMessage):
    action: Literal["table", "columns"] = "table"
    payload: dict[str, int | None]


class Consumer(AsyncJsonWebsocketConsumer):
    send_completion = True

    @ws_handler
    async def ping(self, message: PingMessage) -> PongMessage:
        return PongMessage()

    @ws_handler
    async def same(self, message: Echo | Tree | Table) -> Echo | Tree | Table:
        return message


class Translated(Consumer):
    camelize = True
    discriminator_field = "message_type"


def addressed(action, payload):
    """The JSON text of a frame that either consumer takes for a message."""
    return f'{{"action": "{action}", "message_type": "{action}", "payload": {payload}}}'


any_text = st.text(st.characters(exclude_categories=()), max_size=20)


numbers = st.one_of(
    st.integers(),
    st.integers(min_value=-(10**400), max_value=10**400),
    st.floats(),
)


any_json = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4)
    ),
    max_leaves=12,
)


actions = st.sampled_from(["ping", "echo", "tree", "table", "columns"]) | any_json


nodes = st.recursive(
    st.fixed_dictionaries({"name": any_text, "weight": numbers}),
    lambda inner: st.fixed_dictionaries(
        {"name": any_text, "weight": numbers, "children": st.lists(inner, max_size=2)}
    ),
    max_leaves=6,
)


objects = st.builds(
    lambda key, action, rest: {**rest, key: action},
    st.sampled_from(["action", "message_type"]),
    actions,
    st.fixed_dictionaries(
        {}, optional={"payload": any_json | nodes, "user_name": any_json}
    ),
)


texts = st.builds(
    lambda content, ascii_only: json.dumps(content, ensure_ascii=ascii_only),
    objects | any_json,
    st.booleans(),
)


torn = st.builds(lambda text, at: text[: at % (len(text) + 1)], texts, st.integers(0))


nested = st.builds(
    lambda depth, opening: addressed(
        "echo", opening * depth + "1" + ("]" if opening == "[" else "}") * depth
    ),
    st.sampled_from([1, 100, 126, 127, 128, 250, 999, 5_000, 50_000]),
    st.sampled_from(["[", '{"a": ']),
)


digits = st.builds(
    lambda size, form: addressed("echo", form.format("7" * size)),
    st.sampled_from([20, 400, 4_300, 4_301, 50_000]),
    st.sampled_from(["{}", "-{}", "0.{}", "1e{}", "-{}.5"]),
)


frames = st.one_of(texts, torn, nested, digits, any_text, st.binary(max_size=20))


@pytest.mark.parametrize("consumer", [Consumer, Translated])
def test_a_thousand_random_frames_are_answered_one_by_one(consumer, caplog):
    """Each by one valid message and one completion; nothing is logged or reported."""
    caplog.set_level(logging.WARNING)
    key = consumer.discriminator_field
    answers: dict[str, int] = {}

    with asyncio.Runner() as runner:
        client = Client(consumer)
        runner.run(client.start())

        async def ask(frame):
            await client.send(frame)
            return await client.until("complete", key=key)

        @settings(
            max_examples=FRAMES // 2,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        # Chance need not find a valid frame of each kind.
        @example(addressed("ping", "null"))
        @example(addressed("echo", "1"))
        @example(addressed("tree", '{"name": "a", "weight": 1}'))
        @example(addressed("echo", '"\\ud800"'))
        @example(addressed("echo", '"\ud800"'))
        @example(addressed("tree", '{"name": "", "weight": 1e999}'))
        @example(addressed("tree", '{"name": "", "weight": NaN}'))
        @example("[" * 20_000)
        @given(frames)
        def answered(frame):
            (answer,) = runner.run(ask(frame))
            message = consumer.outgoing_message_adapter.validate_python(
                Wire(key, consumer.camelize or False).read(answer)
            )
            answers[message.action] = answers.get(message.action, 0) + 1
            assert client.watcher.failures == []
            assert not client.task.done()

        answered()
        (pong,) = runner.run(ask({key: "ping"}))
        assert pong[key] == "pong"
        runner.run(client.stop())

    assert caplog.records == []
    # The frames are no use if all of them are refused, or none.
    assert answers["error"] > FRAMES // 10
    assert len(answers) > 2
