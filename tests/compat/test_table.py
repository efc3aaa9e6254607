"""The table in the documentation says what is tested."""

import pytest

from tests.support.frameworks import (
    FEATURES,
    HEAD,
    PAGE,
    feature_of,
    frameworks,
    render,
)


def test_the_page_has_the_table_of_today():
    _, head, table = PAGE.read_text(encoding="utf-8").partition(HEAD)
    assert head + table == render(), "run: python -m tests.support.frameworks"


@pytest.mark.parametrize("module", frameworks())
def test_every_test_is_about_a_feature(module):
    _, names = frameworks()[module]
    assert [name for name in names if feature_of(name) not in FEATURES] == []


@pytest.mark.parametrize("module", frameworks())
def test_every_framework_has_every_feature(module):
    """The database is Django's."""
    _, names = frameworks()[module]
    missing = set(FEATURES) - {feature_of(name) for name in names}
    assert missing <= {"database"}
