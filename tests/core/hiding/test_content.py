"""Whatever a secret stands in, no part of it is left; what is ordinary stays."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chanx_testing.core.hiding.content import (
    HIDDEN,
    conceal,
    conceal_text,
    has_secret,
)
from chanx_testing.core.hiding.names import names_a_secret

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"

SECRET = """
    access refresh auth key ticket pin otp totp code private_key password password1
    new_password old_password2 passwd passphrase token access_token refresh_token
    csrftoken csrfmiddlewaretoken sessionid session_key api_key client_secret secret
    authorization cookie credential jwt x_auth verification_code code_verifier
    signature bearer id_token tokens
"""
ORDINARY = """
    monkey keyboard author authority pinned encoded status_code keynote spinning
    secretary tokenizer accessible refreshed ticketing decode sidebar passenger compass
    authenticated primary_key foreign_key cache_key country_code error_code key_point
    token_type token_count password_length password_expires_at statusCode STATUS_CODE
"""


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


WRITINGS = [
    str,
    str.upper,
    camel,
    lambda name: camel(name)[:1].upper() + camel(name)[1:],
    lambda name: name.replace("_", "-"),
    lambda name: name.replace("_", "-").title(),
    lambda name: name.replace("_", ""),
]
names = st.builds(
    lambda name, write: write(name),
    st.sampled_from(SECRET.split()),
    st.sampled_from(WRITINGS),
)
# With digits, as what is random is: see the rule for `code`. No name has such letters.
secrets = st.text("0123456789XQZxqz-_.~", min_size=5).map("Zq7{}".format)
# Every character that has a meaning in JSON, in Python or in a query.
awkward = st.text("αβγδε\"'\\ \n{}[],:;&=#%/1", min_size=1).map("1Ω{}ψ".format)
containers = st.recursive(
    secrets,
    lambda inner: (
        st.lists(inner, min_size=1)
        | st.dictionaries(st.sampled_from(["a", "text", "0"]), inner, min_size=1)
    ),
    max_leaves=4,
)


def around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Put data into something of JSON, or into a text with JSON."""
    return (
        st.builds(lambda item: [1, item, "x"], inner)
        | st.builds(lambda item: {"payload": item, "n": 2}, inner)
        | st.builds(json.dumps, inner)
        | st.builds(lambda item: f"Got {json.dumps(item)}, sorry.", inner)
        | st.builds(lambda item: {"detail": repr(item)}, inner)
    )


def leaves(data: Any) -> list[str]:
    if isinstance(data, dict):
        return [leaf for item in data.values() for leaf in leaves(item)]
    if isinstance(data, list):
        return [leaf for item in data for leaf in leaves(item)]
    return [data]


def assert_nothing_is_left(secret: str, shown: str, width: int = 4) -> None:
    for start in range(len(secret) - width + 1):
        assert secret[start : start + width] not in shown, (secret, shown)


@given(names, containers, st.data())
def test_no_part_of_a_secret_is_left_wherever_it_stands(
    name: str, value: Any, data: st.DataObject
) -> None:
    whole: Any = {name: value}
    for _ in range(data.draw(st.integers(0, 3))):
        whole = data.draw(around(st.just(whole)))
    shown = json.dumps(conceal(whole), ensure_ascii=False) + repr(conceal(whole))
    for secret in leaves(value):
        assert_nothing_is_left(secret, shown)


@given(names, awkward, st.data())
def test_no_character_of_a_secret_is_left(
    name: str, secret: str, data: st.DataObject
) -> None:
    whole: Any = {"n": 1, name: secret, "m": 2}
    for _ in range(data.draw(st.integers(0, 3))):
        whole = data.draw(around(st.just(whole)))
    shown = repr(conceal(whole)) + json.dumps(conceal(whole), ensure_ascii=False)
    for character in "αβγδεΩψ":
        assert character not in shown
        assert json.dumps(character)[1:-1] not in shown


@given(names, secrets)
def test_no_part_of_a_secret_is_left_in_plain_text(name: str, secret: str) -> None:
    for text in (
        f"{name}={secret}",
        f"failed for /ws/?a=1&{name}={secret}&b=2 twice",
        f"Model(id=3, {name}={secret!r})",
        f"{{'user': 1, '{name}': '{secret}'}}",
        f'{{"user": 1, "{name}": "{secret}',
        f"'{name}': ['{secret}', 'x']",
        f"user[{name}]={secret}",
        f"{{'{name}': Decimal('{secret}'), 'a': 1}}",
        f"Model({name}=Custom(value={secret!r}))",
        repr(json.dumps({name: secret})),
    ):
        assert_nothing_is_left(secret, conceal_text(text))


@pytest.mark.parametrize("value", [123456, 12345.5, ["s3cret"], {"a": {"b": "s3cret"}}])
@pytest.mark.parametrize("name", ["password", "pin", "access", "key", "code"])
def test_numbers_lists_and_objects_are_hidden_too(name: str, value: Any) -> None:
    assert conceal([{name: value}]) == [{name: HIDDEN}]


@pytest.mark.parametrize("value", [None, True, False, "", [], {}])
def test_what_tells_nothing_is_shown(value: Any) -> None:
    assert conceal({"password": value}) == {"password": value}


@pytest.mark.parametrize("write", WRITINGS[:5])
@pytest.mark.parametrize("name", ORDINARY.split())
def test_ordinary_names_are_left(name: str, write: Any) -> None:
    data = {write(name): "Zq7secretive", "n": [write(name)]}
    assert conceal(data) == data
    assert conceal_text(f"{write(name)}=abc1") == f"{write(name)}=abc1"


@pytest.mark.parametrize(
    "text",
    [
        "my key point",
        "The key: be kind. The code: be brief. Access: by lift.",
        "a token of gratitude, no secret",
        "Basic English, bearer bonds, a token gesture",
        "http://example.com/a:b@c?page=2&sort=-name",
        "moneyJar keyJoin theyJustSerializedSomething example.com.au.everywhere",
        "3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "x = [1, 2, {'a': 'b'}] # {not json",
        "websocket.close code=4401, HTTP code: 404",
        "ErrorDetail(string='No.', code='permission_denied')",
    ],
)
def test_ordinary_text_is_left(text: str) -> None:
    assert conceal_text(text) == text
    assert conceal({"text": text}) == {"text": text}


@pytest.mark.parametrize(
    "code",
    [4401, 1000, 404, -32700, "invalid", "not_found", "PERMISSION_DENIED", "auth/gone"],
)
def test_the_code_of_an_error_is_shown(code: Any) -> None:
    data = {"code": code, "message": "No."}
    assert conceal(data) == data


@pytest.mark.parametrize("code", [123456, "123456", "SplxlOBeZQ", "e72e16c7", "4/0Af"])
def test_a_code_that_is_for_one_person_is_hidden(code: Any) -> None:
    assert conceal({"code": code, "n": 1}) == {"code": HIDDEN, "n": 1}


def test_a_code_of_oauth_is_hidden_by_its_company() -> None:
    data = {"code": "abcdef", "grant_type": "authorization_code"}
    assert conceal(data) == {**data, "code": HIDDEN}


def test_a_count_of_tokens_is_not_a_token() -> None:
    data = {"max_tokens": 256, "usage": {"total_tokens": 12}}
    assert conceal(data) == data
    assert conceal({"tokens": ["a1"]}) == {"tokens": HIDDEN}


def test_the_data_of_a_session_is_not_its_id() -> None:
    data = {"session": {"voice": "alloy"}}
    assert conceal(data) == data
    assert conceal({"session": "ab12"}) == {"session": HIDDEN}


@pytest.mark.parametrize(
    "data",
    [
        [["authorization", "s3cret"], ["x", "y"]],
        {"name": "password", "value": "s3cret"},
        {"op": "replace", "path": "/user/password", "value": "s3cret"},
        {"loc": ["payload", "password"], "msg": "No.", "input": "s3cret"},
    ],
)
def test_a_name_beside_the_value_counts(data: Any) -> None:
    assert "s3cret" not in str(conceal(data))


# By value.


def jwt(header: str, parts: int) -> str:
    first = urlsafe_b64encode(header.encode()).decode().rstrip("=")
    return ".".join([first, *(f"Zq7x{number}_-Wk9" for number in range(parts))])


jwts = st.builds(
    jwt,
    st.sampled_from(
        [
            '{"alg":"HS256","typ":"JWT"}',
            '{ "typ" : "JWT", "alg": "none"}',
            '{\r\n  "alg": "RS256"\n}',
            '{"kid":"1","alg":"dir","enc":"A128GCM"}',
        ]
    ),
    st.integers(1, 4),
)


@given(
    jwts,
    st.sampled_from(
        [
            "{}",
            "invalid token {}!",
            "keyey{}",
            "x.{}",
            "/ws/{}/room/",
            "bearer.{}",
            "a_{} b",
            '["{}"',
        ]
    ),
)
def test_a_jwt_is_hidden_by_its_value(token: str, text: str) -> None:
    assert_nothing_is_left(token, conceal_text(text.format(token)))
    shown = json.dumps(conceal({text.format(token): [text.format(token)]}))
    assert_nothing_is_left(token, shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer Zq7short", f"Authorization: {HIDDEN}"),
        ("sent 'Bearer Zq7shorter'", f"sent 'Bearer {HIDDEN}'"),
        ("at redis://:hunter2@localhost/0", f"at redis://:{HIDDEN}@localhost/0"),
        ("[(b'cookie', b'sessionid=hunter2')]", f"[(b'cookie', '{HIDDEN}')]"),
        (
            "Cookie: a=1; csrftoken=hunter2; b=2",
            f"Cookie: {HIDDEN}; csrftoken={HIDDEN}; b=2",
        ),
        (
            "<a:User><Password type='x'>hunter2</Password><code>x1</code>",
            f"<a:User><Password type='x'>{HIDDEN}</Password><code>x1</code>",
        ),
        ("<soap:apiKey>hunter2</soap:apiKey>", f"<soap:apiKey>{HIDDEN}</soap:apiKey>"),
        (
            "No route for '/ws/token/hunter2/x' at ws/key/1",
            f"No route for '/ws/token/{HIDDEN}/x' at ws/key/1",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII", HIDDEN),
    ],
)
def test_credentials_are_known_by_their_form(text: str, shown: str) -> None:
    assert conceal_text(text) == shown


def test_bytes_that_are_no_text_are_hidden_by_a_name_in_them() -> None:
    assert has_secret(b"\x81\xa8password\xa7hunter2")
    assert has_secret(b"\x81\xa3pin\xa4Zq71")
    assert has_secret(b'{"pin": "hunter2"}')
    assert has_secret(JWT.encode())
    assert not has_secret(b"the key to the door")
    assert not has_secret(b"\x81\xa6monkey\xa7hunter2")


def test_what_is_hidden_stays_so() -> None:
    once = conceal({"a": json.dumps({"token": "abc", "b": 1})})
    assert conceal(once) == once == {"a": f'{{"token": "{HIDDEN}", "b": 1}}'}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "ey" * 50_000,
        '"a":' * 20_000,
        "://" * 9999,
        "/a" * 20_000,
        "<a" * 20_000,
    ],
)
def test_no_text_takes_long(text: str) -> None:
    assert conceal_text(text) == text


words = st.text("abcdeiklmnorstuy", min_size=1, max_size=12).filter(
    lambda word: not names_a_secret(word)
)
prose = st.text("abcdeiklmnorstuyABCE 0123456789.,!?-()'%€é", max_size=80)
ordinary = st.recursive(
    prose | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(words | prose, inner),
    max_leaves=20,
)


@given(ordinary)
def test_ordinary_data_is_left(data: Any) -> None:
    def keys_of(data: Any) -> list[str]:
        if isinstance(data, dict):
            return [*data, *(key for item in data.values() for key in keys_of(item))]
        return (
            [key for item in data for key in keys_of(item)]
            if isinstance(data, list)
            else []
        )

    assume(not any(map(names_a_secret, keys_of(data))))
    assert conceal(data) == data
    text = json.dumps(data, ensure_ascii=False)
    assert conceal_text(text) == text
