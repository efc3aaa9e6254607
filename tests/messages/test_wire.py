"""Keys on the wire and in Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chanx_testing.messages.wire import Wire, camelize, decamelize

snake_keys = st.from_regex(r"[a-z_][a-z0-9_]{0,12}", fullmatch=True)
contents = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(snake_keys, inner),
)


@pytest.mark.parametrize(
    "key", ["Jane Doe", "2026-01-01", "a.b_c", "", "x" * 80 + "_y"]
)
def test_a_key_that_is_no_name_is_data_and_stays(key):
    assert camelize({key: 1}) == {key: 1}
    assert decamelize({key: 1}) == {key: 1}


@pytest.mark.parametrize("key", ["address_1", "line2_text", "_private", "a__b"])
def test_a_key_that_would_not_come_back_stays(key):
    assert decamelize(camelize({key: 1})) == {key: 1}


def test_keys_change_at_every_depth_and_values_never():
    content = {"user_name": [{"first_name": "snake_case"}], "tags": ["a_b"]}
    assert camelize(content) == {
        "userName": [{"firstName": "snake_case"}],
        "tags": ["a_b"],
    }


def test_camel_case_becomes_snake_case():
    assert decamelize({"roomId": {"sentAt": 1}}) == {"room_id": {"sent_at": 1}}


def test_keys_that_are_no_text_stay():
    assert camelize({1: {"a_b": 2}}) == {1: {"aB": 2}}


@pytest.mark.slow
@given(contents)
def test_what_goes_out_comes_back(content):
    assert decamelize(camelize(content)) == content


def test_the_action_stands_under_its_key():
    keys = Wire(action_key="type")
    wire = keys.write({"action": "chat", "payload": 1})
    assert wire == {"type": "chat", "payload": 1}
    assert keys.read(wire) == {"action": "chat", "payload": 1}


def test_the_key_of_the_action_is_not_put_into_camel_case():
    keys = Wire(action_key="message_type", camel=True)
    wire = keys.write({"action": "a", "user_id": 1})
    assert wire == {"message_type": "a", "userId": 1}
    assert keys.read(wire) == {
        "action": "a",
        "user_id": 1,
    }


def test_another_key_called_action_names_no_action():
    assert Wire(action_key="type").read({"action": "x", "payload": 1}) == {"payload": 1}
