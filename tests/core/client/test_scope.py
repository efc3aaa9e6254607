"""The scope is as complete as a server makes it."""

import pytest

from chanx_testing.core.client.scope import websocket_scope


def scope(path="/ws/", headers=None, subprotocols=None, spec_version=None):
    return websocket_scope(path, headers, subprotocols, spec_version)


def test_has_every_key_of_the_specification():
    assert scope("/caf%C3%A9/?a=%20b", headers=[(b"Origin", b"x")]) == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/café/",
        "raw_path": b"/caf%C3%A9/",
        "query_string": b"a=%20b",
        "root_path": "",
        "headers": [(b"origin", b"x")],
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


def test_the_version_of_the_specification_stands_where_asgi_has_it():
    assert scope(spec_version="2.1")["asgi"]["spec_version"] == "2.1"
    assert scope(spec_version=2)["asgi"]["spec_version"] == "2"


def test_subprotocols_are_a_header_too():
    made = scope(subprotocols=["chat.v2", "chat.v1"])
    assert made["subprotocols"] == ["chat.v2", "chat.v1"]
    assert made["headers"] == [(b"sec-websocket-protocol", b"chat.v2, chat.v1")]


def test_a_header_of_subprotocols_is_read():
    made = scope(headers=[(b"sec-websocket-protocol", b"chat.v2,chat.v1")])
    assert made["subprotocols"] == ["chat.v2", "chat.v1"]


@pytest.mark.parametrize("subprotocols", [None, [], ["chat.v1"]])
def test_a_header_that_says_the_same_is_left_as_it_is(subprotocols):
    headers = [(b"sec-websocket-protocol", b"chat.v1"), (b"host", b"x")]
    made = scope(headers=headers, subprotocols=subprotocols)
    assert (made["headers"], made["subprotocols"]) == (headers, ["chat.v1"])


def test_a_header_and_subprotocols_are_one_list():
    """The header may be the login, and the list what the test is about."""
    headers = [(b"sec-websocket-protocol", b"bearer, abc"), (b"host", b"x")]
    made = scope(headers=headers, subprotocols=["chat.v1"])
    assert made["subprotocols"] == ["chat.v1", "bearer", "abc"]
    assert made["headers"] == [
        (b"host", b"x"),
        (b"sec-websocket-protocol", b"chat.v1, bearer, abc"),
    ]


@pytest.mark.parametrize(
    ("url", "scheme", "server", "host"),
    [
        ("ws://example.com/ws/", "ws", ("example.com", 80), b"example.com"),
        ("wss://example.com/ws/", "wss", ("example.com", 443), b"example.com"),
        ("ws://me@[::1]:8000/ws/", "ws", ("::1", 8000), b"[::1]:8000"),
    ],
)
def test_a_full_url_names_the_server(url, scheme, server, host):
    made = scope(url)
    assert (made["scheme"], made["server"], made["path"]) == (scheme, server, "/ws/")
    assert made["headers"] == [(b"host", host)]


def test_a_path_without_a_slash_stays_so():
    assert scope("ws")["path"] == "ws"
