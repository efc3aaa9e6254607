"""Which application, and which consumer, answers a path.

The errors::

    ImproperlyConfigured
    └── ApplicationError                  ASGI_APPLICATION does not lead to one
        ├── ApplicationNotConfiguredError
        ├── ApplicationNotImportableError
        ├── ApplicationNotFoundError      the module has no such attribute
        └── ApplicationNotCallableError

    LookupError
    └── RoutingError
        ├── NoWebsocketError              it answers no WebSocket
        └── NoRouteError                  it has no route for the path
"""

import difflib
import importlib
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from chanx_testing.core.routing.routes import (
    NoRouteError,
    NoWebsocketError,
    Route,
    RoutingError,
    consumer_for,
    find_route,
    list_routes,
)
from chanx_testing.core.routing.unwrap import stored, unwrap

__all__ = [
    "ApplicationError",
    "ApplicationNotCallableError",
    "ApplicationNotConfiguredError",
    "ApplicationNotFoundError",
    "ApplicationNotImportableError",
    "NoRouteError",
    "NoWebsocketError",
    "Route",
    "RoutingError",
    "consumer_for",
    "find_route",
    "get_websocket_application",
    "list_routes",
]


class ApplicationError(ImproperlyConfigured):
    """``settings.ASGI_APPLICATION`` does not lead to an application.

    Attributes:
        setting: The value of the setting.
        details: What else the message needs, as text.
    """

    def __init__(self, setting: object, *details: str) -> None:
        super().__init__(setting, *details)
        self.setting = setting
        self.details = details


class ApplicationNotConfiguredError(ApplicationError):
    """The setting is missing, or is not a dotted path."""

    def __str__(self) -> str:
        if self.setting is None:
            seen = "settings.ASGI_APPLICATION is not set."
        else:
            seen = f"settings.ASGI_APPLICATION is {self.setting!r}, not a dotted path."
        return (
            f"{seen} Set it to the path of the application, such as "
            "'mysite.asgi.application', or give the test a router of its own."
        )


class ApplicationNotImportableError(ApplicationError):
    """The module of the application cannot be imported; the cause is chained."""

    def __str__(self) -> str:
        module, cause = self.details
        return (
            f"settings.ASGI_APPLICATION is {self.setting!r}, but importing "
            f"{module!r} raised {cause}"
        )


class ApplicationNotFoundError(ApplicationError):
    """The module has no attribute of that name."""

    def __str__(self) -> str:
        module, name, nearest = self.details
        hint = f" Did you mean '{module}.{nearest}'?" if nearest else ""
        return (
            f"settings.ASGI_APPLICATION is {self.setting!r}, but the module "
            f"{module!r} has no {name!r}.{hint}"
        )


class ApplicationNotCallableError(ApplicationError):
    """What the setting names cannot be called."""

    def __str__(self) -> str:
        (seen,) = self.details
        return (
            f"settings.ASGI_APPLICATION is {self.setting!r}, which is {seen}: an ASGI "
            "application is called with scope, receive and send."
        )


def get_websocket_application() -> Any:
    """Return the application that ``settings.ASGI_APPLICATION`` names.

    It is returned whole: middleware around a ``ProtocolTypeRouter`` belongs to what a
    test goes through. An application that cannot be seen through is returned as it is.

    Raises:
        ApplicationNotConfiguredError: The setting is missing, or is not a dotted path.
        ApplicationNotImportableError: Its module raised while it was imported.
        ApplicationNotFoundError: Its module has no such attribute.
        ApplicationNotCallableError: That attribute cannot be called.
        NoWebsocketError: The application answers only other protocols.
    """
    setting = getattr(settings, "ASGI_APPLICATION", None)
    if not isinstance(setting, str):
        raise ApplicationNotConfiguredError(None if setting is None else repr(setting))
    module_name, _, name = setting.rpartition(".")
    if not module_name or not name or ":" in setting:
        raise ApplicationNotConfiguredError(setting)
    application = _imported(setting, module_name, name)
    if not callable(application):
        seen = f"a {type(application).__name__}"
        raise ApplicationNotCallableError(setting, seen)
    _check_protocols(application)
    return application


def _imported(setting: str, module_name: str, name: str) -> Any:
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ApplicationNotImportableError(
            setting, module_name, f"{type(error).__name__}: {error}"
        ) from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        close = difflib.get_close_matches(name, vars(module), n=1)
        nearest = close[0] if close else ""
        raise ApplicationNotFoundError(setting, module_name, name, nearest) from error


def _check_protocols(application: Any) -> None:
    found = unwrap(application)
    if found is None:
        return
    if found.kind == "http_only":
        raise NoWebsocketError(("http",))
    if found.kind == "protocols":
        mapping = stored(found.core)["application_mapping"]
        if "websocket" not in mapping:
            raise NoWebsocketError(tuple(map(str, mapping)))
