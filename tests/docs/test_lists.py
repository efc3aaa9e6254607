"""Lists on the pages are those of the code."""

import inspect
import re

import pytest
from django.core.checks import registry

from chanx_testing import checks
from chanx_testing.channels import login, routing
from chanx_testing.channels.settings import DEFAULTS
from chanx_testing.channels.testing import WebsocketCommunicator
from chanx_testing.core import idle, unawaited
from chanx_testing.core.client import errors
from chanx_testing.core.settings import SETTINGS
from tests.support.docs.pages import DOCS

REFERENCE = DOCS / "reference"


def rows_of(page: str) -> list[list[str]]:
    """Return the cells of every row of the tables of a page, their heads left out."""
    rows: list[list[str]] = []
    lines = (REFERENCE / page).read_text(encoding="utf-8").splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        is_head = following.startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not is_head:
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_settings_are_those_of_the_code():
    shown = {
        key.strip("`"): (default.strip("`"), attribute.strip("`"))
        for key, default, attribute, _ in rows_of("settings.md")
    }
    wanted = {
        key: (repr(DEFAULTS[key]).replace("'", '"'), setting.attribute or "none")
        for key, setting in SETTINGS.items()
    }
    assert shown == wanted


def test_the_system_checks_are_those_of_the_code():
    source = inspect.getsource(checks)
    used = set(re.findall(r'id="(chanx_testing\.[EW]\d+)"', source))
    assert [row[0].strip("`") for row in rows_of("checks.md")] == sorted(used)
    assert set(re.findall(r"``(chanx_testing\.[EW]\d+)``", checks.__doc__)) == used


def test_the_checks_are_registered_under_the_tag_that_is_named():
    assert "chanx_testing" in registry.registry.tags_available(deployment_checks=True)


def classes_of(module: object, *, defined_in: str) -> dict[str, type]:
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, BaseException)
        and value.__module__.startswith(defined_in)
    }


def test_the_errors_are_those_of_the_code():
    known = {
        **classes_of(errors, defined_in=errors.__name__),
        **classes_of(idle, defined_in=idle.__name__),
        **classes_of(unawaited, defined_in=unawaited.__name__),
    }
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows_of("errors.md")}
    assert shown == {name: kind.__bases__[0].__name__ for name, kind in known.items()}


@pytest.mark.parametrize(
    ("page", "module"),
    [("errors.md", routing), ("login.md", login)],
    ids=["routing", "login"],
)
def test_every_error_of_a_module_has_an_entry(page, module):
    text = (REFERENCE / page).read_text(encoding="utf-8")
    known = classes_of(module, defined_in="chanx_testing")
    missing = [name for name in known if f"{module.__name__}.{name}" not in text]
    assert known
    assert not missing


def test_every_public_name_of_a_communicator_has_an_entry():
    text = (REFERENCE / "communicator.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"WebsocketCommunicator\.(\w+)$", text, re.MULTILINE))
    public = {name for name in dir(WebsocketCommunicator) if not name.startswith("_")}
    assert shown == public


def test_every_attribute_of_a_communicator_has_an_entry():
    async def application(scope, receive, send):
        raise AssertionError("never called")

    communicator = WebsocketCommunicator(application, "/")
    public = {name for name in vars(communicator) if not name.startswith("_")}
    rows = {row[0].strip("`") for row in rows_of("communicator.md")}
    assert public <= rows
