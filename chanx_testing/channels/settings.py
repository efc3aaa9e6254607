"""``CHANX``, read from Django's settings at each use.

So ``override_settings`` takes effect at once, and afterwards the old value is back.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from chanx_testing.core.hiding.added import Added, add_source, problem_with
from chanx_testing.core.settings import SETTINGS

DEFAULTS: Final[dict[str, Any]] = {
    **{name: setting.default for name, setting in SETTINGS.items()},
    # On, unlike outside Django: settings.LOGGING decides what is shown.
    "LOG_WEBSOCKET_MESSAGE": True,
}
"""The values of the settings that ``CHANX`` does not name."""


def chanx_setting(name: str) -> Any:
    """Return the value of ``CHANX[name]`` as it is now, or the default.

    Raises:
        LookupError: There is no setting of that name.
        ImproperlyConfigured: ``CHANX`` is not a dict, or the value has a wrong type.
    """
    configured = getattr(settings, "CHANX", None)
    if configured is None:
        configured = {}
    elif not isinstance(configured, Mapping):
        raise ImproperlyConfigured(
            f"settings.CHANX is {type(configured).__name__}: write a dict, such as "
            '`CHANX = {"SEND_COMPLETION": True}`.'
        )
    try:
        value = configured[name] if name in configured else DEFAULTS[name]
        types = SETTINGS[name].types
    except KeyError:
        nearest = get_close_matches(name, SETTINGS, n=1)
        raise LookupError(
            f"There is no setting {name!r} in CHANX"
            + (f"; did you mean {nearest[0]!r}?" if nearest else ".")
            + f" The settings are: {', '.join(SETTINGS)}."
        ) from None
    if name in configured and not isinstance(value, types):
        raise ImproperlyConfigured(
            f'settings.CHANX["{name}"] is {value!r}: it must be '
            f"{' or '.join(expected.__name__ for expected in types)}."
        )
    return value


def check_secrets() -> None:
    """Make sure that what the project adds to the usual secrets can be used.

    Raises:
        ImproperlyConfigured: ``SECRET_NAMES`` or ``SECRET_PATTERNS`` is wrong.
    """
    for name in ("SECRET_NAMES", "SECRET_PATTERNS"):
        given = chanx_setting(name)
        if problem := problem_with(given, patterns=name == "SECRET_PATTERNS"):
            raise ImproperlyConfigured(f'settings.CHANX["{name}"]: {problem}')


def _secrets_of_project() -> Added:
    try:
        configured = getattr(settings, "CHANX", None) or ()
        # Asked for each text that is shown: mostly there is nothing to look at.
        if "SECRET_NAMES" not in configured and "SECRET_PATTERNS" not in configured:
            return (), ()
        check_secrets()
        return chanx_setting("SECRET_NAMES"), chanx_setting("SECRET_PATTERNS")
    except ImproperlyConfigured:
        # Something is about to be shown, mostly a failure, which this must not replace.
        # A communicator has raised it before, and the system checks report it.
        return (), ()


# Nothing is read here: it is asked when something is shown.
add_source(_secrets_of_project)
