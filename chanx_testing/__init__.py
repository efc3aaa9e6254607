"""Test WebSocket code of Django Channels and ASGI without sleeping.

The names that most tests need; each is imported when it is first used, so importing the
package does nothing. What depends on the framework has its own module:
``chanx_testing.channels`` for Django, ``chanx_testing.fast_channels`` for FastAPI and
any other ASGI framework.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chanx_testing.channels.testing import WebsocketTestCase
    from chanx_testing.core.decorators import event_handler, ws_handler
    from chanx_testing.core.idle import background
    from chanx_testing.core.testing import capture_broadcast_events
    from chanx_testing.messages.base import BaseMessage

# The build and the docs read the version here; it stands nowhere else.
__version__ = "0.1.0"

__all__ = [
    "BaseMessage",
    "WebsocketTestCase",
    "background",
    "capture_broadcast_events",
    "event_handler",
    "ws_handler",
]

_MODULES = {
    "BaseMessage": "chanx_testing.messages.base",
    "WebsocketTestCase": "chanx_testing.channels.testing",
    "background": "chanx_testing.core.idle",
    "capture_broadcast_events": "chanx_testing.core.testing",
    "event_handler": "chanx_testing.core.decorators",
    "ws_handler": "chanx_testing.core.decorators",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use.

    Raises:
        AttributeError: The package has no such name.
    """
    if (module := _MODULES.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the names of the module, with those that are not imported yet."""
    return sorted({*globals(), *__all__})
