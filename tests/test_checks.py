"""Wrong configuration is found when the project starts."""

import sys
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, run_checks
from django.core.management import call_command
from django.test import override_settings

from chanx_testing.apps import ChanxTestingConfig
from chanx_testing.checks import CHANX_KEYS


def found(*, deploy: bool = False) -> list[CheckMessage]:
    return run_checks(tags=["chanx_testing"], include_deployment_checks=deploy)


def only(*, deploy: bool = False) -> tuple[str, str, str]:
    """Return the id, the message and the hint of the one thing found."""
    [message] = found(deploy=deploy)
    return str(message.id), message.msg, str(message.hint)


@override_settings(CHANX=["SEND_COMPLETION"])
def test_chanx_is_no_dict() -> None:
    assert only() == (
        "chanx_testing.E001",
        "CHANX is a list, expected a dict.",
        'Write it as CHANX = {"SEND_COMPLETION": True}.',
    )


@override_settings(CHANX={"SEND_COMPLETION": "yes"})
def test_value_of_a_wrong_type() -> None:
    assert only() == (
        "chanx_testing.E001",
        "CHANX[\"SEND_COMPLETION\"] is 'yes'.",
        "It must be bool; the default is False.",
    )


@override_settings(CHANX={"LOG_IGNORED_ACTIONS": "ping"})
def test_text_in_place_of_a_list() -> None:
    assert only() == (
        "chanx_testing.E001",
        "CHANX[\"LOG_IGNORED_ACTIONS\"] is 'ping'.",
        "Write it as a list: ['ping'].",
    )


@override_settings(CHANX={"TEST_TIMEOUT_SCALE": True})
def test_boolean_in_place_of_a_number() -> None:
    assert only() == (
        "chanx_testing.E001",
        'CHANX["TEST_TIMEOUT_SCALE"] is True.',
        "It must be int or float; the default is 1.",
    )


@pytest.mark.parametrize("scale", [0, -2.5])
def test_scale_that_leaves_no_time(scale: float) -> None:
    with override_settings(CHANX={"TEST_TIMEOUT_SCALE": scale}):
        assert only() == (
            "chanx_testing.E001",
            f'CHANX["TEST_TIMEOUT_SCALE"] is {scale}.',
            "It multiplies time limits: it must be more than 0.",
        )


@override_settings(CHANX={"SEND_COMPLETIONS": True})
def test_unknown_key_gets_the_nearest() -> None:
    assert only() == (
        "chanx_testing.W001",
        "CHANX has an unknown key 'SEND_COMPLETIONS'.",
        "Did you mean 'SEND_COMPLETION'?",
    )


@override_settings(CHANX={"COLOUR": "red"})
def test_unknown_key_without_a_nearest_gets_the_list() -> None:
    assert only() == (
        "chanx_testing.W001",
        "CHANX has an unknown key 'COLOUR'.",
        (
            "The keys are: CAMELIZE, LOG_IGNORED_ACTIONS, LOG_WEBSOCKET_MESSAGE, "
            "MESSAGE_ACTION_KEY, SECRET_NAMES, SECRET_PATTERNS, "
            "SEND_AUTHENTICATION_MESSAGE, SEND_COMPLETION, TEST_LAYER_SHARED, "
            "TEST_TIMEOUT_SCALE."
        ),
    )


def test_keys_of_chanx_are_known() -> None:
    with override_settings(CHANX=dict.fromkeys(CHANX_KEYS, "anything")):
        assert found() == []


@override_settings(CHANX={"SEND_COMPLETION": True}, DEBUG=False)
def test_completion_in_production() -> None:
    assert only(deploy=True) == (
        "chanx_testing.W002",
        'CHANX["SEND_COMPLETION"] is on while DEBUG is off.',
        (
            "Completion messages are for tests: set SEND_COMPLETION in the settings "
            "of the tests only."
        ),
    )


@override_settings(CHANX={"SEND_COMPLETION": True}, DEBUG=False)
def test_completion_is_checked_for_deployment_only() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("chanx", "debug"), [({"SEND_COMPLETION": True}, True), ({}, False)]
)
def test_completion_in_debug_or_off_is_fine(chanx: dict[str, Any], debug: bool) -> None:
    with override_settings(CHANX=chanx, DEBUG=debug):
        assert found(deploy=True) == []


@override_settings(ASGI_APPLICATION=None)
def test_no_application() -> None:
    assert only() == (
        "chanx_testing.W003",
        "ASGI_APPLICATION is not set.",
        (
            "Set it to the path of the application, such as 'mysite.asgi.application'; "
            "without it, each test needs a router of its own."
        ),
    )


@pytest.mark.parametrize("setting", ["mysite.asgi:application", "application", 3])
def test_application_is_no_dotted_path(setting: object) -> None:
    with override_settings(ASGI_APPLICATION=setting):
        assert only() == (
            "chanx_testing.E002",
            f"ASGI_APPLICATION is {setting!r}, expected a dotted path.",
            "Write it as 'mysite.asgi.application'.",
        )


@pytest.mark.parametrize("module", ["tests.agsi", "mysight.asgi", "mysight"])
def test_module_of_the_application_does_not_exist(module: str) -> None:
    with override_settings(ASGI_APPLICATION=f"{module}.application"):
        assert only() == (
            "chanx_testing.E003",
            (
                f"ASGI_APPLICATION is '{module}.application', but there is no module "
                f"{module!r}."
            ),
            "Correct the path, or create the module.",
        )


def test_module_of_the_application_is_not_imported(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "explosive_asgi.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with override_settings(ASGI_APPLICATION="explosive_asgi.application"):
        assert found() == []
    assert "explosive_asgi" not in sys.modules


@pytest.mark.parametrize("chanx", [None, {}, {"SEND_COMPLETION": True}])
def test_right_configuration_is_silent(chanx: Any) -> None:
    with override_settings(CHANX=chanx):
        assert found() == []


def test_checks_run_with_the_command() -> None:
    call_command("check", stdout=StringIO())
    errors = StringIO()
    with override_settings(CHANX={"SEND_COMPLETIONS": True}):
        call_command("check", stdout=StringIO(), stderr=errors)
    assert "chanx_testing.W001" in errors.getvalue()


def test_app_is_configured_without_a_dotted_path_to_its_config() -> None:
    config = apps.get_app_config("chanx_testing")
    assert isinstance(config, ChanxTestingConfig)
    assert config.verbose_name == "Chanx testing"
