"""A project adds names and patterns; a process knows what its logins have issued."""

import re
from typing import Any

import pytest

from chanx_testing.core.hiding import added
from chanx_testing.core.hiding.added import hide_secrets, remember
from chanx_testing.core.hiding.content import HIDDEN, conceal, conceal_text

KEY = "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"


@pytest.fixture(autouse=True)
def nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(added, "_names", set())
    monkeypatch.setattr(added, "_patterns", {})
    monkeypatch.setattr(added, "_known", {})
    monkeypatch.setattr(added, "_longest_first", ())


def test_an_added_name_counts_in_every_writing() -> None:
    data = {"bankAccount": 12, "BANK-ACCOUNT": ["x"], "bank": "y"}
    assert conceal(data) == data
    hide_secrets(names=["bank_account"])
    assert conceal(data) == {
        "bankAccount": HIDDEN,
        "BANK-ACCOUNT": HIDDEN,
        "bank": "y",
    }
    assert conceal_text("bank account: 1; bank-account: 2") == (
        f"bank account: 1; bank-account: {HIDDEN}"
    )


def test_an_added_name_has_no_exceptions() -> None:
    hide_secrets(names=["code", "max_tokens"])
    data = {"code": "invalid", "max_tokens": 5}
    assert conceal(data) == {"code": HIDDEN, "max_tokens": HIDDEN}


def test_an_added_pattern_is_hidden_in_any_text() -> None:
    hide_secrets(patterns=[r"sk_live_\w+", re.compile("NO-[0-9]+", re.IGNORECASE)])
    assert conceal({"a": "with sk_live_12 and no-34."}) == {
        "a": f"with {HIDDEN} and {HIDDEN}."
    }


def test_a_pattern_that_matches_nothing_hides_nothing() -> None:
    hide_secrets(patterns=["x*"])
    assert conceal_text("axxb") == f"a{HIDDEN}b"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"names": "pin"}, TypeError, r"Write it as a list: \['pin'\]"),
        ({"names": [1]}, TypeError, "1 in it is not a text with a letter"),
        ({"names": ["-"]}, TypeError, "'-' in it is not a text with a letter"),
        ({"patterns": "x"}, TypeError, r"Write it as a list: \['x'\]"),
        ({"patterns": [re.compile(b"x")]}, TypeError, "is not a text"),
        ({"patterns": ["("]}, ValueError, r"'\(' in it is not a regular expression"),
    ],
)
def test_what_cannot_be_added_is_refused(
    arguments: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        hide_secrets(**arguments)


def test_a_known_value_is_hidden_wherever_it_stands() -> None:
    remember([KEY])
    assert conceal({"a": f"x{KEY}y", f"{KEY}": 1}) == {"a": f"x{HIDDEN}y", HIDDEN: 1}


def test_of_two_known_values_the_longer_is_hidden_first() -> None:
    remember([KEY, f"{KEY}:signed"])
    assert conceal_text(f"{KEY}:signed {KEY}") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize(
    "value", ["ada", "s3cret", "ada.lovelace@example.com", "a" * 20]
)
def test_what_may_be_a_word_is_not_remembered(value: str) -> None:
    remember([value])
    assert conceal_text(f"user {value} said") == f"user {value} said"


def test_the_latest_values_are_kept() -> None:
    for number in range(600):
        remember([KEY, f"{number:03}{KEY[::-1]}"])
    assert len(added._known) == len(added._longest_first) == 500
    assert conceal_text(KEY) == HIDDEN
    assert conceal_text(f"599{KEY[::-1]}") == HIDDEN
