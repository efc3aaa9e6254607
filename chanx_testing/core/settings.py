"""The settings: names, types, defaults, and the attributes that override them.

Where a value comes from is decided elsewhere: a Django consumer reads
``settings.CHANX``, a FastAPI consumer has only its attributes.
"""

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of ``CHANX``.

    Attributes:
        default: The value where nothing is set.
        types: What a value may be, for ``isinstance``.
        attribute: The consumer attribute that wins over the setting, or None.
    """

    default: Any
    types: tuple[type, ...]
    attribute: str | None = None


SETTINGS: Final[dict[str, Setting]] = {
    "CAMELIZE": Setting(False, (bool,), "camelize"),
    "LOG_IGNORED_ACTIONS": Setting(
        (), (list, tuple, set, frozenset), "log_ignored_actions"
    ),
    "LOG_WEBSOCKET_MESSAGE": Setting(False, (bool,), "log_websocket_message"),
    "MESSAGE_ACTION_KEY": Setting("action", (str,), "discriminator_field"),
    "SECRET_NAMES": Setting((), (list, tuple, set, frozenset)),
    "SECRET_PATTERNS": Setting((), (list, tuple, set, frozenset)),
    "SEND_AUTHENTICATION_MESSAGE": Setting(
        True, (bool,), "send_authentication_message"
    ),
    "SEND_COMPLETION": Setting(False, (bool,), "send_completion"),
    "TEST_LAYER_SHARED": Setting(False, (bool,)),
    "TEST_TIMEOUT_SCALE": Setting(1, (int, float)),
}
