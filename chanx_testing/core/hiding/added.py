"""What the project adds to the usual secrets, and the values that are known."""

import re
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, TypeAlias

Pattern: TypeAlias = str | re.Pattern[str]
Added: TypeAlias = tuple[Collection[str], Collection[Pattern]]
"""Names, and patterns of values."""

# What a login issues: no word, and nothing that a person has thought of.
_RANDOM: Final = re.compile(
    r"(?=.*\d)(?=.*[A-Za-z])[\w.~+/=:-]{16,}|[A-Za-z0-9]{24,}", re.ASCII
)
_SEPARATORS: Final = re.compile(r"[\W_]+")
_MOST_KNOWN: Final = 500

_sources: list[Callable[[], Added]] = []
_names: set[str] = set()
_patterns: dict[Pattern, None] = {}
# The known values; the one that was used last is the last one.
_known: dict[str, None] = {}
_longest_first: tuple[str, ...] = ()
_lock = threading.Lock()


def squeezed(name: str) -> str:
    """Return a name in lower case and without separators."""
    return _SEPARATORS.sub("", name).casefold()


def add_source(source: Callable[[], Added]) -> None:
    """Ask ``source`` what a project adds, whenever something is shown."""
    if source not in _sources:
        _sources.append(source)


def hide_secrets(
    *, names: Collection[str] = (), patterns: Collection[Pattern] = ()
) -> None:
    r"""Hide more than the usual secrets in failures and logs of this process.

    Call it where the tests are configured, as in a ``conftest.py``. In a Django project
    the settings ``SECRET_NAMES`` and ``SECRET_PATTERNS`` do the same. ::

        hide_secrets(names=["iban"], patterns=[r"sk_live_\w+"])

    Args:
        names: Names whose values are secrets, in any case and with any separators.
        patterns: Regular expressions; what they match is hidden in any text.

    Raises:
        TypeError: One of the two is a single text, or holds something else than texts.
        ValueError: A pattern is not a regular expression.
    """
    for argument, given in (("names", names), ("patterns", patterns)):
        if problem := problem_with(given, patterns=argument == "patterns"):
            kind = ValueError if "regular expression" in problem else TypeError
            raise kind(f"hide_secrets({argument}={given!r}): {problem}")
    with _lock:
        _names.update(map(squeezed, names))
        _patterns.update(dict.fromkeys(patterns))


def problem_with(given: Any, *, patterns: bool) -> str | None:
    """Return what is wrong with added names or patterns, None if nothing is.

    Args:
        given: The names or patterns.
        patterns: Whether they are patterns.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Collection):
        return f"Write it as a list: [{given!r}]."
    for item in given:
        if patterns and isinstance(item, re.Pattern) and isinstance(item.pattern, str):
            continue
        if not isinstance(item, str) or not squeezed(item if not patterns else "x"):
            return f"{item!r} in it is not a text with a letter."
        if patterns:
            try:
                re.compile(item)
            except re.error as error:
                return f"{item!r} in it is not a regular expression: {error}."
    return None


def added_names() -> set[str]:
    """Return the names that the project adds, squeezed."""
    return _names.union(*(map(squeezed, source()[0]) for source in _sources))


def added_patterns() -> list[re.Pattern[str]]:
    """Return the patterns that the project adds."""
    given = [*_patterns, *(pattern for source in _sources for pattern in source()[1])]
    return [re.compile(pattern) for pattern in given]


def remember(values: Iterable[str]) -> None:
    """Hide these values wherever they stand, those of them that look like secrets.

    A short one or a word does not: a test may log in by the name of a user.
    """
    global _longest_first
    found = [value for value in values if _RANDOM.fullmatch(value)]
    if not found:
        return
    with _lock:
        is_new = not all(value in _known for value in found)
        for value in found:
            # Those that are in use stay; a long run forgets those of its first tests.
            _known.pop(value, None)
            _known[value] = None
        while len(_known) > _MOST_KNOWN:
            del _known[next(iter(_known))]
        if is_new:
            _longest_first = tuple(sorted(_known, key=len, reverse=True))


def known_in(text: str) -> list[str]:
    """Return the known values that are in a text, those that contain others first."""
    return [value for value in _longest_first if value in text]
