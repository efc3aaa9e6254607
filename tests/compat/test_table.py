"""The table in the documentation says what is tested."""

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


def test_every_test_is_about_a_feature():
    assert [
        f"{module}: {name}"
        for module, (_, names) in frameworks().items()
        for name in names
        if feature_of(name) not in FEATURES
    ] == []


def test_every_framework_has_every_feature():
    """The database is Django's."""
    assert [
        f"{module}: {feature}"
        for module, (_, names) in frameworks().items()
        for feature in set(FEATURES) - {"database"} - set(map(feature_of, names))
    ] == []
