"""What is shown of a handshake has no secrets: path, query, subprotocols, headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chanx_testing.core.hiding.content import HIDDEN
from chanx_testing.core.hiding.handshake import (
    conceal_path,
    conceal_query,
    conceal_subprotocol,
    header_is_secret,
    remember_secrets_of,
    secrets_of_header,
    strip_query,
    token_places,
)

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
KEY = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"
NAMES = "access refresh auth key ticket pin otp private_key code sessionid apiKey"


@pytest.mark.parametrize("name", NAMES.split())
def test_secrets_of_a_query_are_known_by_name(name: str) -> None:
    assert conceal_query(f"a=1&{name}=abc&b=") == f"a=1&{name}={HIDDEN}&b="
    assert strip_query(f"a=%31&{name}=abc&b=&c") == "a=%31&b=&c"


@pytest.mark.parametrize("value", [JWT, KEY, "Bearer+Zq7shorter", "x%3Ftoken%3Dabc"])
def test_secrets_of_a_query_are_known_by_value(value: str) -> None:
    assert conceal_query(f"a=1&x={value}") == f"a=1&x={HIDDEN}"
    assert strip_query(f"a=1&x={value}") == "a=1"


@pytest.mark.parametrize(
    "query", ["", "page=2", "a", "a=1&a=2", "room=x%20y&=&monkey=1"]
)
def test_what_is_ordinary_in_a_query_stays(query: str) -> None:
    assert strip_query(query) == query


def test_a_query_that_is_a_token_goes() -> None:
    assert (conceal_query(JWT), strip_query(JWT)) == (HIDDEN, "")
    assert (conceal_query(KEY), strip_query(f"{KEY}&a=1")) == (HIDDEN, "a=1")


@given(st.text(), st.sampled_from(NAMES.split()), st.text("Zq7%xYw_", min_size=5))
def test_no_query_breaks_it(query: str, name: str, secret: str) -> None:
    assert strip_query(query) in query or "&" in query
    conceal_query(query)
    shown = conceal_query(f"{query}&{name}={secret}")
    assert shown.endswith(f"&{name}={HIDDEN}")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/ws/{JWT}/room/", f"/ws/{HIDDEN}/room/"),
        (f"/ws/{KEY}/", f"/ws/{HIDDEN}/"),
        ("/ws/token/hunter/2/", f"/ws/token/{HIDDEN}/2/"),
        ("/ws/api-key/hunter", f"/ws/api-key/{HIDDEN}"),
        ("/ws/ticket/Zq7-4711/", f"/ws/ticket/{HIDDEN}/"),
        ("/ws/a;token=hunter/x", f"/ws/a;token={HIDDEN}/x"),
    ],
)
def test_secrets_of_a_path_are_hidden(path: str, shown: str) -> None:
    assert conceal_path(path) == shown


@pytest.mark.parametrize(
    "path",
    [
        "/ws/chat/",
        "",
        "/ws/token/refresh/",
        "/ws/ticket/42/",
        "/ws/access/door-1/",
        "/ws/room/3fa85f64-5717-4562-b3fc-2c963f66afa6/",
        "/ws/my-long-article-about-2024-and-elections/",
        "/ws/a%20b/é/",
    ],
)
def test_what_is_ordinary_in_a_path_stays(path: str) -> None:
    assert conceal_path(path) == path


def test_a_token_among_subprotocols_is_known_by_its_place() -> None:
    offered = ["chat", "bearer", "abc", "v1"]
    assert token_places(offered) == [False, True, True, False]
    assert conceal_subprotocol("abc", offered) == HIDDEN
    assert [conceal_subprotocol(each, offered) for each in ("chat", "bearer")] == [
        "chat",
        "bearer",
    ]


@pytest.mark.parametrize("subprotocol", [JWT, KEY, f"bearer.{JWT}", f"token-{KEY}"])
def test_a_token_is_known_by_its_form(subprotocol: str) -> None:
    assert conceal_subprotocol(subprotocol) == HIDDEN


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-ticket-jwt", "abc"),
        ("x-api-key", "abc"),
        ("apikey", "abc"),
        ("x-custom", JWT),
        ("x-custom", KEY),
        ("x-custom", "Bearer Zq7shorter"),
        ("referer", "http://example.com/?token=abc"),
    ],
)
def test_a_header_is_secret_by_name_or_value(name: str, value: str) -> None:
    assert header_is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("origin", "http://localhost"),
        ("host", "localhost:8000"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Firefox/115.0"),
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("cache-control", "max-age=0, no-cache"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ("sec-websocket-version", "13"),
        ("x-forwarded-for", "203.0.113.195, 2001:db8::1"),
        ("x-request-id", KEY),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-author", "ada"),
    ],
)
def test_ordinary_headers_are_no_secrets(name: str, value: str) -> None:
    assert not header_is_secret(name, value)


def test_the_credentials_of_a_client_are_hidden_wherever_they_stand() -> None:
    values = [f"{number}Zq7xYw{KEY[:12]}" for number in range(5)]
    remember_secrets_of(
        {
            "headers": [
                (b"cookie", f"a=1; sid={values[0]}".encode()),
                (b"authorization", f"Custom {values[1]}".encode()),
                (b"x-ticket-token", values[2].encode()),
            ],
            "subprotocols": ["token", values[3]],
            "query_string": f"key={values[4]}".encode(),
        }
    )
    for value in values:
        assert conceal_path(f"/ws/{value}/") == f"/ws/{HIDDEN}/"


def test_the_secrets_of_a_header_are_its_values() -> None:
    assert secrets_of_header("cookie", "a=1; b=2") == ["1", "2"]
    assert secrets_of_header("sec-websocket-protocol", "chat, jwt, x") == ["x"]
    assert secrets_of_header("authorization", "Token x") == ["Token x", "x"]
    assert secrets_of_header("origin", "http://x") == []
