"""CHANX is what it is now, and is checked where it is read."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from chanx_testing.channels.settings import chanx_setting


def test_a_name_that_is_no_setting_is_refused_with_the_nearest():
    with pytest.raises(LookupError) as caught:
        chanx_setting("SEND_COMPLETE")
    assert "no setting 'SEND_COMPLETE' in CHANX" in str(caught.value)
    assert "did you mean 'SEND_COMPLETION'?" in str(caught.value)
    assert "MESSAGE_ACTION_KEY" in str(caught.value)


@override_settings(CHANX={"SOMETHING": 1})
def test_a_name_is_no_setting_because_it_is_configured():
    with pytest.raises(LookupError, match="no setting 'SOMETHING'"):
        chanx_setting("SOMETHING")


@override_settings(CHANX=["SEND_COMPLETION"])
def test_settings_that_are_no_dict_are_refused():
    with pytest.raises(ImproperlyConfigured, match=r"settings\.CHANX is list: write a"):
        chanx_setting("SEND_COMPLETION")


@override_settings(CHANX={"SEND_COMPLETION": "false"})
def test_a_value_of_another_type_is_refused():
    with pytest.raises(ImproperlyConfigured, match="is 'false': it must be bool"):
        chanx_setting("SEND_COMPLETION")


@override_settings(CHANX={"LOG_IGNORED_ACTIONS": "ping"})
def test_a_text_is_no_list_of_actions():
    with pytest.raises(ImproperlyConfigured, match="must be list or tuple or set"):
        chanx_setting("LOG_IGNORED_ACTIONS")


@pytest.mark.parametrize("value", [None, {}])
def test_without_settings_there_are_defaults(value):
    with override_settings(CHANX=value):
        assert chanx_setting("SEND_COMPLETION") is False
        assert chanx_setting("LOG_WEBSOCKET_MESSAGE") is True
        assert chanx_setting("SEND_AUTHENTICATION_MESSAGE") is True
        assert chanx_setting("MESSAGE_ACTION_KEY") == "action"


def test_a_project_without_the_setting_has_defaults(settings):
    del settings.CHANX
    assert chanx_setting("SEND_COMPLETION") is False


def test_an_override_holds_as_long_as_it_lasts():
    assert chanx_setting("SEND_COMPLETION") is True
    with override_settings(CHANX={"SEND_COMPLETION": False}):
        assert chanx_setting("SEND_COMPLETION") is False
    assert chanx_setting("SEND_COMPLETION") is True
