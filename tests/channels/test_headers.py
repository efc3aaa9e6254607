"""Credentials can be taken off; an origin is one that the application accepts."""

import pickle
from typing import Any
from urllib.parse import urlparse

import pytest
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.test import override_settings
from django.urls import path

from chanx_testing.channels.login import (
    NoAcceptedOriginError,
    handshake_headers,
    origin_for,
    strip_credentials,
    strip_token_subprotocols,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
KEY = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"


class Chat(AsyncWebsocketConsumer):
    """Any consumer."""


def validated(*allowed: str) -> Any:
    router = URLRouter([path("ws/", Chat.as_asgi())])
    application = AuthMiddlewareStack(OriginValidator(router, list(allowed)))
    return ProtocolTypeRouter({"websocket": application})


# Stripping.


@pytest.mark.parametrize(
    "name",
    [
        b"cookie",
        b"authorization",
        b"Authorization",
        b"proxy-authorization",
        b"x-api-key",
        b"x-auth-token",
        b"x-csrftoken",
    ],
)
def test_credential_headers_go(name: bytes) -> None:
    kept = (b"origin", b"http://localhost")
    assert strip_credentials([(name, b"secret"), kept]) == [kept]


def test_everything_else_stays_in_its_order() -> None:
    headers = [
        (b"origin", b"http://localhost"),
        (b"host", b"localhost"),
        (b"x-request-id", b"1"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"accept-language", b"en"),
    ]
    assert strip_credentials(headers) == headers


def test_given_headers_are_not_changed() -> None:
    headers = [(b"cookie", b"a=b")]
    strip_credentials(headers)
    assert headers == [(b"cookie", b"a=b")]


def test_tokens_go_from_the_header_of_subprotocols() -> None:
    value = f"chat.v1, access_token, {JWT}".encode()
    assert strip_credentials([(b"sec-websocket-protocol", value)]) == [
        (b"sec-websocket-protocol", b"chat.v1")
    ]


def test_header_of_subprotocols_goes_with_its_last_one() -> None:
    value = f"access_token, {JWT}".encode()
    assert strip_credentials([(b"sec-websocket-protocol", value)]) == []


@pytest.mark.parametrize(
    "offered",
    [
        [JWT],
        [KEY],
        ["jwt", JWT],
        ["Bearer", "short"],
        ["access_token", KEY],
        [f"bearer.{JWT}"],
        [f"base64url.bearer.authorization.k8s.io.{KEY}"],
        [f"token-{KEY}"],
    ],
)
def test_token_subprotocols_go(offered: list[str]) -> None:
    assert strip_token_subprotocols([*offered, "chat"]) == ["chat"]


def test_registered_subprotocols_stay() -> None:
    offered = [
        "graphql-transport-ws",
        "graphql-ws",
        "actioncable-v1-json",
        "actioncable-unsupported",
        "v12.stomp",
        "ocpp2.0.1",
        "v4.channel.k8s.io",
        "mqtt",
        "wamp.2.json",
        "soap",
        "xmpp",
        "binary.ircv3.net",
    ]
    assert strip_token_subprotocols(offered) == offered


# Origins.


def test_no_origin_is_acceptable() -> None:
    application = validated("localhost:3000")
    with (
        override_settings(ALLOWED_HOSTS=["other.example"]),
        pytest.raises(NoAcceptedOriginError) as caught,
    ):
        origin_for(application)
    assert str(caught.value) == (
        "The application's OriginValidator allows 'localhost:3000' and refused "
        "'http://localhost:3000', 'http://other.example', 'http://localhost'. Add the "
        "host of the test to ALLOWED_HOSTS, or pass a (b'origin', ...) header of your "
        "own."
    )


def test_error_survives_pickling() -> None:
    error = NoAcceptedOriginError(("a",), ("http://a",))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("allowed", "origin"),
    [
        ("example.com", "http://example.com"),
        (".example.com", "http://example.com"),
        ("https://example.com", "https://example.com"),
        ("https://.example.com:8443", "https://example.com:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("[::1]", "http://[::1]"),
        ("127.0.0.1", "http://127.0.0.1"),
    ],
)
def test_origin_is_one_that_the_validator_allows(allowed: str, origin: str) -> None:
    assert origin_for(validated(allowed)) == origin


def test_everything_allowed_gives_the_first_allowed_host() -> None:
    with override_settings(ALLOWED_HOSTS=["*", ".example.com"]):
        assert origin_for(validated("*")) == "http://example.com"


@override_settings(ALLOWED_HOSTS=[".example.com", "localhost"])
def test_allowed_hosts_validator_decides() -> None:
    application = AllowedHostsOriginValidator(URLRouter([path("ws/", Chat.as_asgi())]))
    assert origin_for(application) == "http://example.com"


def test_without_a_validator_it_is_the_first_allowed_host() -> None:
    with override_settings(ALLOWED_HOSTS=["example.com"]):
        assert origin_for(Chat.as_asgi()) == "http://example.com"


@pytest.mark.parametrize("hosts", [[], ["*"]])
def test_without_a_validator_and_a_host_it_is_localhost(hosts: list[str]) -> None:
    with override_settings(ALLOWED_HOSTS=hosts):
        assert origin_for(Chat.as_asgi()) == "http://localhost"


def test_validator_of_an_application_without_routes_decides() -> None:
    application = OriginValidator(Chat.as_asgi(), ["https://example.com"])
    assert origin_for(application) == "https://example.com"


def test_validator_with_rules_of_its_own_has_the_last_word() -> None:
    class Picky(OriginValidator):
        def valid_origin(self, parsed_origin: Any) -> bool:
            return urlparse("http://b.example") == parsed_origin

    application = Picky(Chat.as_asgi(), ["a.example", "b.example"])
    assert origin_for(application) == "http://b.example"


def test_middleware_is_not_asked_whether_it_is_a_validator() -> None:
    class Explosive:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    application = Explosive(OriginValidator(Chat.as_asgi(), ["a.example"]))
    assert origin_for(application) == "http://a.example"


def test_only_the_validators_on_the_way_to_a_path_are_asked() -> None:
    application = URLRouter(
        [
            path("a/", OriginValidator(Chat.as_asgi(), ["a.example"])),
            path("b/", OriginValidator(Chat.as_asgi(), ["b.example"])),
        ]
    )
    assert origin_for(application, "/b/") == "http://b.example"
    with pytest.raises(NoAcceptedOriginError):
        origin_for(application)


# Host.


def test_host_is_that_of_the_origin() -> None:
    with override_settings(ALLOWED_HOSTS=["example.com"]):
        assert handshake_headers(validated("http://example.com:8000")) == [
            (b"host", b"example.com:8000"),
            (b"origin", b"http://example.com:8000"),
        ]


def test_host_is_an_allowed_one_where_the_origin_is_another_site() -> None:
    with override_settings(ALLOWED_HOSTS=["api.example.com"]):
        assert handshake_headers(validated("https://app.example.com")) == [
            (b"host", b"api.example.com"),
            (b"origin", b"https://app.example.com"),
        ]


@override_settings(DEBUG=True, ALLOWED_HOSTS=[])
def test_debug_allows_the_local_host() -> None:
    assert handshake_headers(Chat.as_asgi()) == [
        (b"host", b"localhost"),
        (b"origin", b"http://localhost"),
    ]
