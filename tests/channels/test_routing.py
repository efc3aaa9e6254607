"""The application under test is the one that the settings name."""

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from chanx_testing.channels.routing import (
    ApplicationNotCallableError,
    ApplicationNotConfiguredError,
    ApplicationNotFoundError,
    ApplicationNotImportableError,
    NoWebsocketError,
    get_websocket_application,
)
from tests.support import asgi
from tests.support.routers import ClassMiddleware, opaque


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module that can be imported as ``some_asgi``."""
    made = types.ModuleType("some_asgi")
    sys.modules["some_asgi"] = made
    yield made
    del sys.modules["some_asgi"]


def test_application_is_not_configured() -> None:
    with (
        override_settings(ASGI_APPLICATION=None),
        pytest.raises(ApplicationNotConfiguredError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is not set. Set it to the path of the application, "
        "such as 'mysite.asgi.application', or give the test a router of its own."
    )
    assert isinstance(caught.value, ImproperlyConfigured)


@pytest.mark.parametrize("setting", ["application", "mysite.asgi:application", "a."])
def test_application_is_no_dotted_path(setting: str) -> None:
    with (
        override_settings(ASGI_APPLICATION=setting),
        pytest.raises(ApplicationNotConfiguredError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value).startswith(
        f"settings.ASGI_APPLICATION is {setting!r}, not a dotted path."
    )


def test_application_module_does_not_exist() -> None:
    with (
        override_settings(ASGI_APPLICATION="no_such_module.application"),
        pytest.raises(ApplicationNotImportableError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'no_such_module.application', but importing "
        "'no_such_module' raised ModuleNotFoundError: No module named 'no_such_module'"
    )


def test_application_module_that_raises_keeps_its_cause(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_asgi.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        override_settings(ASGI_APPLICATION="broken_asgi.application"),
        pytest.raises(ApplicationNotImportableError) as caught,
    ):
        get_websocket_application()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_application_attribute_is_missing(module: types.ModuleType) -> None:
    module.application = opaque  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.aplication"),
        pytest.raises(ApplicationNotFoundError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'some_asgi.aplication', but the module "
        "'some_asgi' has no 'aplication'. Did you mean 'some_asgi.application'?"
    )


def test_application_is_not_callable(module: types.ModuleType) -> None:
    module.application = {"websocket": opaque}  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.application"),
        pytest.raises(ApplicationNotCallableError) as caught,
    ):
        get_websocket_application()
    assert str(caught.value) == (
        "settings.ASGI_APPLICATION is 'some_asgi.application', which is a dict: an "
        "ASGI application is called with scope, receive and send."
    )


@pytest.mark.parametrize(
    "application",
    [
        get_asgi_application(),
        ProtocolTypeRouter({"http": opaque}),
        ClassMiddleware(ProtocolTypeRouter({"http": opaque})),
    ],
)
def test_application_answers_no_websocket(
    module: types.ModuleType, application: Any
) -> None:
    module.application = application  # type: ignore[attr-defined]
    with (
        override_settings(ASGI_APPLICATION="some_asgi.application"),
        pytest.raises(NoWebsocketError, match="it has: 'http'"),
    ):
        get_websocket_application()


def test_application_is_returned_whole() -> None:
    assert get_websocket_application() is asgi.application


def test_opaque_application_is_returned_as_it_is(module: types.ModuleType) -> None:
    module.application = opaque  # type: ignore[attr-defined]
    with override_settings(ASGI_APPLICATION="some_asgi.application"):
        assert get_websocket_application() is opaque
