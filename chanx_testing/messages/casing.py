"""Keys in camelCase on the wire, in snake_case in Python."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from pydantic.alias_generators import to_camel, to_snake

__all__ = ["camelize", "decamelize"]

_CACHED_KEYS = 4096
# Field names are short; a longer key is data, and must not fill the cache.
_LONGEST_KEY = 64


def camelize(content: Any) -> Any:
    """Return ``content`` with every key of its dicts, at any depth, in camelCase.

    A key that :func:`decamelize` could not bring back, such as ``address_1``, and a key
    that is no identifier, such as ``"2024-01-01"`` or ``"Jane Doe"``, stays as it is.
    """
    return _rename(content, _camelize_key)


def decamelize(content: Any) -> Any:
    """Return ``content`` with every key of its dicts, at any depth, in snake_case.

    A key without a capital letter, and a key that is no identifier, stays as it is.
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
