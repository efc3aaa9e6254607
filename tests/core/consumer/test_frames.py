"""Whatever a client sends is a message or is answered with what is wrong."""

from typing import Literal

import pytest
from pydantic import field_validator

from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.decorators import ws_handler
from chanx_testing.messages.base import BaseMessage
from tests.support.consumer import Consumer, Count, only
from tests.support.raw_client import Client


class TestBadFrames:
    """Each is answered with what is wrong, and the connection goes on."""

    @pytest.mark.parametrize(
        ("frame", "kind"),
        [
            ("", "json_invalid"),
            ("{", "json_invalid"),
            ("nonsense", "json_invalid"),
            ('{"action": NaN}', "json_invalid"),
            ('{"action": "echo", "payload": -Infinity}', "json_invalid"),
            ('{"action": "echo", "payload": 1e999}', "json_invalid"),
            ('{"action": "echo", "payload": ' + "9" * 5000 + "}", "json_invalid"),
            ('{"action": "echo", "payload": "\ud800"}', "json_invalid"),
            ('{"action": "echo", "payload": "\\ud800"}', "lone_surrogate"),
            ('{"action": "echo", "\\udc00": 1}', "lone_surrogate"),
            ("[" * 200_000, "json_invalid"),
            (
                '{"action": "echo", "payload": ' + "[" * 200 + "]" * 200 + "}",
                "too_deep",
            ),
            ("[]", "object_expected"),
            ("3", "object_expected"),
            ("null", "object_expected"),
            (b"{}", "text_expected"),
            (b"", "text_expected"),
            ("{}", "action_missing"),
            ('{"action": null}', "action_missing"),
            ('{"action": "unheard-of"}', "action_unknown"),
            ('{"action": ["ping"]}', "action_unknown"),
            ('{"action": {"a": 1}}', "action_unknown"),
            ('{"action": "ping", "payload": 3}', "none_required"),
        ],
        ids=str,
    )
    async def test_it_is_answered_by_its_kind(self, frame, kind, caplog):
        async with Client(Consumer) as client:
            answer = only(await client.ask(frame))
            assert answer["action"] == "error"
            assert [fault["type"] for fault in answer["payload"]] == [kind]
            assert await client.ask({"action": "ping"}) == [
                {"action": "pong", "payload": None}
            ]
            assert client.watcher.failures == []
        assert caplog.records == []

    async def test_a_wrong_payload_is_told_field_by_field(self):
        async with Client(Consumer) as client:
            answer = only(
                await client.ask({"action": "chat", "payload": {"room": "hunter2"}})
            )
        assert answer == {
            "action": "error",
            "payload": [
                {
                    "type": "missing",
                    "loc": ["payload", "text"],
                    "msg": "Field required",
                },
                {
                    "type": "int_parsing",
                    "loc": ["payload", "room"],
                    "msg": "Input should be a valid integer, unable to parse string as "
                    "an integer",
                },
            ],
        }

    async def test_an_unknown_action_is_answered_by_those_there_are(self):
        async with Client(Consumer) as client:
            answer = only(await client.ask({"action": "hunter2"}))
        assert answer["payload"] == [
            {
                "type": "action_unknown",
                "loc": ["action"],
                "msg": "Unknown action; known: 'ping', 'chat', 'echo', 'crash'",
            }
        ]

    async def test_a_frame_of_faults_gets_an_answer_of_bounded_size(self):
        class Numbers(BaseMessage):
            action: Literal["numbers"] = "numbers"
            payload: list[int]

        class Adder(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: Numbers) -> None: ...

        async with Client(Adder) as client:
            answer = only(
                await client.ask({"action": "numbers", "payload": ["x"] * 1000})
            )
        assert len(answer["payload"]) == 51
        assert answer["payload"][-1]["msg"] == "950 more errors"

    async def test_a_consumer_without_handlers_answers_too(self):
        class Silent(AsyncJsonWebsocketConsumer):
            send_completion = True

        async with Client(Silent) as client:
            answer = only(await client.ask({"action": "ping"}))
        assert answer["payload"][0]["msg"] == "Unknown action; known: none"

    async def test_a_consumer_may_take_binary_frames_itself(self):
        class Files(Consumer):
            async def receive(self, text_data=None, bytes_data=None):
                if bytes_data is None:
                    await super().receive(text_data)
                else:
                    await self.send_message(Count(payload=len(bytes_data)))

        async with Client(Files) as client:
            await client.send(b"123")
            assert (await client.frame())["payload"] == 3
            assert await client.ask({"action": "ping"})

    async def test_the_answer_is_a_hook(self):
        class Terse(Consumer):
            async def handle_validation_error(self, error):
                await self.send_json({"bad": error.error_count()})

        async with Client(Terse) as client:
            await client.send("{")
            assert await client.frame() == {"bad": 1}

    async def test_a_hook_that_breaks_is_a_failure_of_the_application(self):
        class Broken(Consumer):
            async def handle_validation_error(self, error):
                raise RuntimeError("broken hook")

        async with Client(Broken) as client:
            answer = only(await client.ask("{"))
            assert answer["payload"] == {"detail": "Failed to handle a frame"}
            (error, doing) = only(client.watcher.failures)
        assert str(error) == "broken hook"
        assert "handle_validation_error()" in doing

    async def test_a_validator_that_breaks_is_a_failure_of_the_application(self):
        class Picky(BaseMessage):
            action: Literal["picky"] = "picky"

            @field_validator("payload")
            @classmethod
            def broken(cls, value):
                return {}[value]

        class Wrong(AsyncJsonWebsocketConsumer):
            send_completion = True

            @ws_handler
            async def handle(self, message: Picky) -> None: ...

        async with Client(Wrong) as client:
            answer = only(await client.ask({"action": "picky", "payload": 1}))
            assert answer["payload"] == {"detail": "Failed to handle a frame"}
            error, doing = only(client.watcher.failures)
        assert isinstance(error, KeyError)
        assert doing == "Wrong: reading the message 'picky'"

    async def test_a_decoder_that_breaks_is_a_failure_of_the_application(self):
        class Wrong(Consumer):
            @classmethod
            async def decode_json(cls, text_data):
                raise ConnectionError

        async with Client(Wrong) as client:
            answer = only(await client.ask({"action": "ping"}))
            assert answer["payload"] == {"detail": "Failed to handle a frame"}
            _, doing = only(client.watcher.failures)
        assert doing == "Wrong: reading a frame"

    async def test_an_emoji_is_no_surrogate(self):
        async with Client(Consumer) as client:
            answer = only(
                await client.ask('{"action": "echo", "payload": "\\ud83d\\ude00"}')
            )
        assert answer["payload"] == "\N{GRINNING FACE}"
