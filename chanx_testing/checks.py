"""System checks: wrong configuration is found when the project starts.

======================  ==============================================================
``chanx_testing.E001``  ``CHANX`` is not a dict, or one of its values is wrong.
``chanx_testing.E002``  ``ASGI_APPLICATION`` is not a dotted path.
``chanx_testing.E003``  ``ASGI_APPLICATION`` names a module that does not exist.
``chanx_testing.W001``  ``CHANX`` has a key that nobody reads.
``chanx_testing.W002``  ``SEND_COMPLETION`` is on and ``DEBUG`` is off (``--deploy``).
``chanx_testing.W003``  ``ASGI_APPLICATION`` is not set.
======================  ==============================================================

The module of ``ASGI_APPLICATION`` is looked for, not imported: it builds the whole
application, and ``manage.py migrate`` must not depend on that.
"""

import difflib
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.core.checks import Warning as CheckWarning

from chanx_testing.channels.settings import DEFAULTS
from chanx_testing.core.hiding.added import problem_with
from chanx_testing.core.settings import SETTINGS, Setting

__all__ = ["check_application", "check_completion", "check_settings"]

CHANX_KEYS: Final = frozenset(
    {
        "ASYNCAPI_DESCRIPTION",
        "ASYNCAPI_DOCS_CSS_INTEGRITY",
        "ASYNCAPI_DOCS_CSS_URL",
        "ASYNCAPI_DOCS_JS_INTEGRITY",
        "ASYNCAPI_DOCS_JS_URL",
        "ASYNCAPI_SECURITY_SCHEMES",
        "ASYNCAPI_SERVERS",
        "ASYNCAPI_SERVER_PROTOCOL",
        "ASYNCAPI_SERVER_URL",
        "ASYNCAPI_TITLE",
        "ASYNCAPI_VERSION",
        "SEND_MESSAGE_IMMEDIATELY",
        "WEBSOCKET_BASE_URL",
    }
)
"""Keys that the ``chanx`` package reads and this one does not: both may be in use."""

_TAG: Final = "chanx_testing"


def register_checks() -> None:
    """Register all checks of this module, under the tag ``chanx_testing``.

    Registering them twice changes nothing.
    """
    register(check_settings, _TAG)
    register(check_application, _TAG)
    register(check_completion, _TAG, deploy=True)


def check_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check the keys and values of ``CHANX`` (E001, W001)."""
    configured = getattr(settings, "CHANX", None)
    if configured is None:
        return []
    if not isinstance(configured, Mapping):
        return [
            Error(
                f"CHANX is a {type(configured).__name__}, expected a dict.",
                hint='Write it as CHANX = {"SEND_COMPLETION": True}.',
                id="chanx_testing.E001",
            )
        ]
    messages: list[CheckMessage] = []
    for key, value in configured.items():
        if key in SETTINGS:
            messages += _check_value(key, value, SETTINGS[key])
        elif key not in CHANX_KEYS:
            messages.append(_unknown(key))
    return messages


def check_application(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that ``ASGI_APPLICATION`` may lead to an application (E002, E003, W003)."""
    setting = getattr(settings, "ASGI_APPLICATION", None)
    if setting is None:
        return [
            CheckWarning(
                "ASGI_APPLICATION is not set.",
                hint=(
                    "Set it to the path of the application, such as "
                    "'mysite.asgi.application'; without it, each test needs a router "
                    "of its own."
                ),
                id="chanx_testing.W003",
            )
        ]
    if not _is_dotted_path(setting):
        return [
            Error(
                f"ASGI_APPLICATION is {setting!r}, expected a dotted path.",
                hint="Write it as 'mysite.asgi.application'.",
                id="chanx_testing.E002",
            )
        ]
    module = setting.rpartition(".")[0]
    if _exists(module):
        return []
    return [
        Error(
            f"ASGI_APPLICATION is {setting!r}, but there is no module {module!r}.",
            hint="Correct the path, or create the module.",
            id="chanx_testing.E003",
        )
    ]


def check_completion(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that clients in production get no completion messages (W002)."""
    configured = getattr(settings, "CHANX", None)
    if not isinstance(configured, Mapping) or settings.DEBUG:
        return []
    if not configured.get("SEND_COMPLETION"):
        return []
    return [
        CheckWarning(
            'CHANX["SEND_COMPLETION"] is on while DEBUG is off.',
            hint=(
                "Completion messages are for tests: set SEND_COMPLETION in the "
                "settings of the tests only."
            ),
            id="chanx_testing.W002",
        )
    ]


def _check_value(key: str, value: Any, setting: Setting) -> list[CheckMessage]:
    hint: str | None = None
    # isinstance() takes True for an int; where a number belongs it is a mistake.
    is_stray_bool = isinstance(value, bool) and bool not in setting.types
    if is_stray_bool or not isinstance(value, setting.types):
        expected = " or ".join(kind.__name__ for kind in setting.types)
        hint = f"It must be {expected}; the default is {DEFAULTS[key]!r}."
        if isinstance(value, str) and list in setting.types:
            hint = f"Write it as a list: [{value!r}]."
    elif key == "TEST_TIMEOUT_SCALE" and cast(float, value) <= 0:
        hint = "It multiplies time limits: it must be more than 0."
    elif key in {"SECRET_NAMES", "SECRET_PATTERNS"}:
        hint = problem_with(value, patterns=key == "SECRET_PATTERNS")
    if hint is None:
        return []
    return [Error(f'CHANX["{key}"] is {value!r}.', hint=hint, id="chanx_testing.E001")]


def _unknown(key: object) -> CheckMessage:
    close = difflib.get_close_matches(str(key), [*SETTINGS, *CHANX_KEYS], n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    else:
        hint = f"The keys are: {', '.join(SETTINGS)}."
    return CheckWarning(
        f"CHANX has an unknown key {key!r}.", hint=hint, id="chanx_testing.W001"
    )


def _is_dotted_path(setting: object) -> bool:
    if not isinstance(setting, str):
        return False
    parts = setting.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError as error:
        # Either a package on the way, or something that one of them imports.
        return not f"{module}.".startswith(f"{error.name}.")
    except ValueError:  # imported by hand, without a spec: it exists
        return True
