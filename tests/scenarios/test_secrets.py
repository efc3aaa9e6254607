"""No failure, note, warning or log shows a secret, wherever the application has it."""

import json
import logging
import traceback
from contextlib import suppress
from typing import Any, Literal

import pytest
from channels.routing import URLRouter
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import path
from pydantic import BaseModel, ValidationError

from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.core.client.lifespan import lifespan
from chanx_testing.core.decorators import ws_handler
from chanx_testing.core.testing import Closed
from chanx_testing.messages.base import BaseMessage
from chanx_testing.messages.incoming import PingMessage
from tests.support import apps
from tests.support.messages import Say

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
PASSWORD = "-".join(["correct", "Horse", "1"])
SECRETS = [*JWT.split("."), *PASSWORD.split("-")[:2]]


def assert_hidden(text: str) -> None:
    assert "…hidden…" in text, text
    assert [secret for secret in SECRETS if secret in text] == [], text


def shown(error: BaseException) -> str:
    """Return what a runner prints of an error: its causes and notes, too."""
    return "".join(traceback.format_exception(error))


def sending(*messages: dict[str, Any], subprotocol: str | None = None) -> Any:
    """Make an application that sends these ASGI messages once it has accepted."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await apps.accept(receive, send, subprotocol)
        for message in messages:
            await send({"type": "websocket.send", **message})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    return application


def client(application: Any, path: str = "/ws/", **options: Any) -> Any:
    return WebsocketCommunicator(application, path, **options)


CONTENTS = [
    {"action": "notice", "payload": {"password": PASSWORD, "n": [{"pin": [PASSWORD]}]}},
    {"action": "notice", "payload": JWT},
    {"action": "notice", "payload": json.dumps({"refresh": PASSWORD})},
    {"action": "notice", "payload": [f"for /ws/?ticket={PASSWORD}"]},
    {"action": JWT},
]
TEXTS = [
    *map(json.dumps, CONTENTS),
    f"not JSON: token={PASSWORD}",
    f'{{"cut": 1, "password": "{PASSWORD}',
    f"Bearer {JWT}",
]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_frame_that_nobody_expects(text: str) -> None:
    for frame in ({"text": text}, {"bytes": text.encode()}):
        async with client(sending(frame)) as communicator:
            with pytest.raises(AssertionError) as caught:
                await communicator.receive_nothing()
            assert_hidden(shown(caught.value))
            await communicator.receive_from()


@pytest.mark.parametrize("text", TEXTS)
async def test_a_frame_that_has_another_form(text: str) -> None:
    """The error of pydantic shows its input, and is shown with ours."""
    application = sending({"text": text})
    async with client(application, message_types=[Say]) as communicator:
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_message()
        assert_hidden(shown(caught.value))


@pytest.mark.parametrize("content", CONTENTS)
async def test_a_collection_that_does_not_end(content: Any) -> None:
    application = sending({"text": json.dumps(content)})
    async with client(application, message_types=[Secret]) as communicator:
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_all_messages(stop_action="done")
        assert_hidden(shown(caught.value))


class Secret(BaseModel):
    action: str
    payload: Any = None


async def test_an_authentication_that_is_refused() -> None:
    payload = {"status_code": 401, "status_text": "No", "data": {"access": PASSWORD}}
    application = sending(
        {"text": json.dumps({"action": "authentication", "payload": payload})}
    )
    async with client(application) as communicator:
        with pytest.raises(AssertionError) as caught:
            await communicator.assert_authenticated_status_ok()
        assert_hidden(shown(caught.value))


async def test_an_authentication_message_of_another_form() -> None:
    content = {"action": "authentication", "payload": {"password": PASSWORD}}
    async with client(sending({"text": json.dumps(content)})) as communicator:
        with pytest.raises(ValidationError) as caught:
            await communicator.wait_for_auth()
        assert_hidden(shown(caught.value))


async def test_a_close_with_a_secret_in_its_reason() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await apps.accept(receive, send)
        await apps.send_json(send, {"token": PASSWORD})
        await send({"type": "websocket.close", "code": 4000, "reason": JWT})

    communicator = client(application)
    await communicator.connect()
    with pytest.raises(AssertionError) as caught:
        await communicator.assert_closed(4001)
    assert_hidden(shown(caught.value))
    assert_hidden(str(communicator.closed))
    message = {"type": "websocket.send", "text": json.dumps({"token": PASSWORD})}
    assert_hidden(repr(Closed(4000, JWT, messages=(message,))))
    with pytest.raises(ConnectionError) as refused:
        await communicator.send_json({})
    assert_hidden(shown(refused.value))


@pytest.mark.parametrize(
    "target",
    [
        f"/ws/{JWT}/",
        f"/ws/token/{PASSWORD}/",
        f"/ws/?access={PASSWORD}&page=2",
        f"/ws/?code={PASSWORD}",
        f"/ws/?next=%2Fx%3Fauth%3D{PASSWORD}",
    ],
)
async def test_a_token_in_the_path(target: str) -> None:
    async def rejecting(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4403})

    for application in (rejecting, URLRouter([path("x/", apps.silent)])):
        with pytest.raises((ConnectionError, ValueError)) as caught:
            async with client(application, target):
                pass
        # The text of the second is that of Channels.
        is_ours = application is rejecting
        notes = "".join(caught.value.__notes__)
        assert_hidden(shown(caught.value) if is_ours else notes)


@pytest.mark.parametrize(
    "offered",
    [["access_token", JWT], ["bearer", PASSWORD], [f"token-{JWT}"], [JWT, "chat"]],
)
async def test_a_token_among_the_subprotocols(offered: list[str]) -> None:
    """Offered, accepted, and refused because another one was chosen."""
    token = next(each for each in offered if JWT in each or PASSWORD in each)
    async with client(sending(subprotocol=token), subprotocols=offered) as communicator:
        with pytest.raises(TimeoutError) as caught:
            await communicator.receive_from()
        assert_hidden(shown(caught.value))
    other = client(sending(subprotocol=token), subprotocols=offered)
    handshake = await other.connect()
    assert handshake == (True, token)
    assert_hidden(repr(handshake))
    await other.disconnect()
    for chosen in (token[:-1] + "x", "v2"):
        refused = client(sending(subprotocol=chosen), subprotocols=offered)
        with pytest.raises(AssertionError, match="a subprotocol that the client") as e:
            await refused.connect()
        assert_hidden(shown(e.value).replace(chosen, ""))
        with suppress(AssertionError):
            await refused.disconnect()


class Login(BaseMessage):
    action: Literal["login"] = "login"
    payload: Any


class LoginConsumer(AsyncJsonWebsocketConsumer):
    log_websocket_message = True

    @ws_handler
    async def log_in(self, message: Login) -> Login:
        return message

    @ws_handler
    async def ping(self, message: PingMessage) -> Login:
        """Ask for a number where a password is."""
        raise ValueError(f"refused: {message.action} token={PASSWORD}")


async def test_what_a_handler_raised_is_noted_without_secrets() -> None:
    """The exception is the application's own, and is shown by the runner as it is."""
    communicator = client(LoginConsumer.as_asgi())
    await communicator.connect()
    await communicator.send_message(PingMessage())
    await communicator.receive_all_json()
    with pytest.raises(TimeoutError) as caught:
        await communicator.receive_json()
    assert_hidden("".join(caught.value.__notes__))
    await communicator.disconnect()


async def test_an_error_of_pydantic_is_noted_without_its_input() -> None:
    class Account(BaseModel):
        password: int

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await apps.accept(receive, send)
        Account(password=PASSWORD)

    communicator = client(application)
    with pytest.raises(ValidationError) as caught:
        await communicator.connect()
        await communicator.receive_json()
    assert_hidden("".join(caught.value.__notes__))


async def test_the_lifespan_of_an_application() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        text = f"redis://user:{PASSWORD}@host refuses"
        await send({"type": "lifespan.startup.failed", "message": text})

    with pytest.raises(RuntimeError) as caught:
        async with lifespan(application):
            pass
    assert_hidden(shown(caught.value))


async def test_binary_frames() -> None:
    packed = b"\x81\xa8password\xb2" + PASSWORD.encode()
    async with client(sending({"bytes": packed})) as communicator:
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_nothing()
        assert_hidden(shown(caught.value))
        await communicator.receive_from()


async def test_what_the_test_sends() -> None:
    async with client(apps.silent) as communicator:
        await communicator.send_json({"password1": PASSWORD, "otp": [PASSWORD]})
        await communicator.send_to(bytes_data=f"api_key={PASSWORD}".encode())
        with pytest.raises(TimeoutError) as caught:
            await communicator.receive_from()
        assert_hidden(shown(caught.value))


async def test_the_logs_of_consumers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chanx_testing.websocket")
    communicator = client(LoginConsumer.as_asgi(), f"/ws/{JWT}/")
    await communicator.connect()
    await communicator.send_message(Login(payload={"password": PASSWORD}))
    await communicator.receive_json()
    await communicator.send_json({"action": JWT})
    await communicator.receive_json()
    await communicator.disconnect()
    assert [record.getMessage() for record in caplog.records] == [
        "Received 'login'",
        "Sent 'login'",
        "Received None",
        "Sent 'error'",
    ]
    for record in caplog.records:
        assert vars(record)["websocket_path"] == "/ws/…hidden…/"
        assert_hidden(repr(vars(record)))


async def test_a_header_of_a_client_is_hidden_in_what_the_application_says() -> None:
    """A short one may be the name of a user, so it has to look like a secret."""
    secret = "Zq7" + PASSWORD + "-abcdef"
    application = sending({"text": f"hello {secret}"}, {"text": f"or is it {JWT}"})
    headers = [(b"authorization", f"Custom {secret}".encode())]
    async with client(application, headers=headers) as communicator:
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_nothing()
        assert_hidden(shown(caught.value))
        await communicator.receive_from()
        await communicator.receive_from()


async def test_a_project_adds_names_and_patterns() -> None:
    data = {"bankAccount": PASSWORD, "text": f"code word {PASSWORD}"}
    chanx = {"SECRET_NAMES": ["bank_account"], "SECRET_PATTERNS": [r"correct-\w+-1"]}
    async with client(sending({"text": json.dumps(data)})) as communicator:
        with override_settings(CHANX=chanx), pytest.raises(AssertionError) as caught:
            await communicator.receive_nothing()
        assert_hidden(shown(caught.value))
        with pytest.raises(AssertionError) as caught:
            await communicator.receive_nothing()
        assert str(caught.value).count(PASSWORD) == 2
        await communicator.receive_from()


@pytest.mark.parametrize(
    ("chanx", "text"),
    [
        ({"SECRET_PATTERNS": ["("]}, "is not a regular expression"),
        ({"SECRET_NAMES": [1]}, "1 in it is not a text"),
        ({"SECRET_NAMES": "pin"}, "must be list"),
    ],
)
async def test_what_cannot_be_added_is_said_at_once(chanx: Any, text: str) -> None:
    refused = pytest.raises(ImproperlyConfigured, match=text)
    with override_settings(CHANX=chanx), refused:
        await client(apps.silent).connect()


async def test_the_log_of_a_handler_that_raised_an_error_of_pydantic(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Account(BaseModel):
        password: int

    class Consumer(AsyncJsonWebsocketConsumer):
        @ws_handler
        async def log_in(self, message: Login) -> None:
            Account(**message.payload)

    communicator = client(Consumer.as_asgi())
    await communicator.connect()
    communicator.expect_errors(ValidationError)
    await communicator.send_message(Login(payload={"password": PASSWORD}))
    await communicator.receive_json()
    await communicator.disconnect()
    assert "Account(**message.payload)" in caplog.text
    assert_hidden(caplog.text)
