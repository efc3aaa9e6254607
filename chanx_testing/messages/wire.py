"""The keys of messages on the wire, and in Python.

On the wire keys may be in camelCase, and the action may stand under another key. In
Python keys are in snake_case, and the action is always ``action``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic.alias_generators import to_camel, to_snake

ACTION: Final = "action"
"""The field of every message that names its action."""

_CACHED_KEYS = 4096
# Field names are short; a longer key is data, and must not fill the cache.
_LONGEST_KEY = 64


@dataclass(frozen=True, slots=True)
class Wire:
    """The keys of messages on the wire.

    Attributes:
        action_key: The key of the action; it is never changed to camelCase.
        camel: Whether all other keys are in camelCase.
    """

    action_key: str = ACTION
    camel: bool = False

    def write(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the dump of a message with the keys that it has on the wire.

        Args:
            content: The dump; it is not changed.
        """
        if self.camel:
            content = camelize(content)
        if self.action_key != ACTION and ACTION in content:
            content = {
                self.action_key if key == ACTION else key: value
                for key, value in content.items()
                if key != self.action_key
            }
        return content

    def read(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a decoded frame with the keys that its message has in Python.

        Where the action has another key, a value that is called ``action`` on the wire
        is left out.

        Args:
            content: The decoded frame; it is not changed.
        """
        if self.action_key != ACTION:
            content = {
                ACTION if key == self.action_key else key: value
                for key, value in content.items()
                if key != ACTION
            }
        return decamelize(content) if self.camel else content


def camelize(content: Any) -> Any:
    """Return ``content`` with every key of its dicts, at any depth, in camelCase.

    A key that :func:`decamelize` could not bring back, such as ``address_1``, and a key
    that is not an identifier, such as ``"2024-01-01"`` or ``"Jane Doe"``, stays as it
    is.
    """
    return _rename(content, _camelize_key)


def decamelize(content: Any) -> Any:
    """Return ``content`` with every key of its dicts, at any depth, in snake_case.

    A key without a capital letter, and a key that is not an identifier, stays as it is.
    """
    return _rename(content, _decamelize_key)


def _rename(content: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(content, dict):
        return {
            rename(key) if isinstance(key, str) and len(key) <= _LONGEST_KEY else key: (
                _rename(value, rename) if isinstance(value, dict | list) else value
            )
            for key, value in content.items()
        }
    if isinstance(content, list):
        return [
            _rename(item, rename) if isinstance(item, dict | list) else item
            for item in content
        ]
    return content


@lru_cache(_CACHED_KEYS)
def _camelize_key(key: str) -> str:
    if "_" not in key or not key.isidentifier():
        return key
    camel = to_camel(key)
    return camel if _decamelize_key(camel) == key else key


@lru_cache(_CACHED_KEYS)
def _decamelize_key(key: str) -> str:
    if key.islower() or not key.isidentifier():
        return key
    return to_snake(key)
