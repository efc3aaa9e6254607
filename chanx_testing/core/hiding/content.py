"""Data and texts with their secrets replaced, whatever they hold and however deep."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final

from chanx_testing.core.hiding.added import added_patterns, known_in, squeezed
from chanx_testing.core.hiding.names import (
    certainly_names_a_secret,
    follows_a_name,
    is_added,
    names_a_secret,
)

HIDDEN: Final = "…hidden…"
"""What stands in the place of a secret."""

# A `code` beside one of these belongs to a login through OAuth.
_OAUTH: Final = {"clientid", "codeverifier", "granttype", "redirecturi"}
# The code of an error, as programs have it: "not_found", "PERMISSION_DENIED".
_CODE_IN_WORDS: Final = re.compile(
    r"(?=.{1,60}\Z)[A-Za-z]{1,24}(?:[ ._/:-][A-Za-z]{1,24})*"
)
# The close codes of WebSockets and the statuses of HTTP have four digits at most. What
# is sent to a phone has more.
_LARGEST_CODE: Final = 9999
# Keys of which one names what the other holds.
_NAMING: Final = (
    ("name", "value"),
    ("key", "value"),
    ("field", "value"),
    ("header", "value"),
    ("path", "value"),
    ("loc", "input"),
)

# Too short for a value that is known by its form, and no name with a value.
_PLAIN: Final = re.compile(r"[\w .!?-]{0,11}")
_JWT_START: Final = re.compile(r"e[wy](?=([\w-]{10,30}))", re.ASCII)
_JWT_HEADER: Final = re.compile(rb'\{\s*"[ -~\s]*')
_JWT: Final = re.compile(r"[\w-]+(?:[.:~][\w=+-]*)*", re.ASCII)
_SCHEMES: Final = r"Bearer|Token|Basic|JWT|Digest|ApiKey"
_AFTER_SCHEME: Final = re.compile(
    rf"(?<![\w-])({_SCHEMES})(\s+)(?=\S*\d|\S{{20}})[\w.~+/=:-]{{8,}}",
    re.IGNORECASE | re.ASCII,
)
_IN_URL: Final = re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+(?=@)")
_IN_XML: Final = re.compile(r"(<(?:[\w.-]+:)?([\w.-]+)(?:\s[^<>]*)?>)([^<>]+)(?=</)")
_PRIVATE_KEY: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL
)
_IN_PATH: Final = re.compile(r"(?<=/)([\w-]+)/([^/\s?#&'\"<>…]+)")

# `token=`, `"token": `, `'token', ` and `\"token\":`, in any text.
_NAME: Final = re.compile(
    r"(?:(?P<quote>\\*[\"'])|(?<![\w.\[-]))(?P<name>\w[\w.\[\]-]*)(?(quote)(?P=quote))"
    r"\s*(?P<sign>=>|[=:,])\s*(?!=)"
)
_QUOTED: Final = re.compile(
    r"[bBrRuU]{0,2}(?P<quote>\\*[\"']).*?(?:(?<!\\)(?P=quote)|\Z)", re.DOTALL
)
_UNQUOTED: Final = re.compile(rf"(?:(?:{_SCHEMES})\s+)?[^\s&;\"']*", re.IGNORECASE)
_LITERAL: Final = re.compile(r"[^\s,\]})&;\"']*")
_OPENING: Final = {"{", "[", "("}
_BRACKET: Final = re.compile(r"[\[{(\]})]")
_SHOWN_IN_TEXT: Final = {"", "None", "null", "True", "False", "true", "false", HIDDEN}
_NAME_IN_BYTES: Final = re.compile(r"[A-Za-z][\w-]{2,63}", re.ASCII)
_JSON_START: Final = re.compile(r"[\[{]")
_MOST_BYTES: Final = 5000
_MOST_TRIES: Final = 100
_decoder: Final = json.JSONDecoder()


def conceal(value: Any) -> Any:
    """Return data like JSON, with everything replaced that is a secret.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if isinstance(value, str):
        return conceal_text(value)
    if isinstance(value, Mapping):
        return _conceal_mapping(value)
    if isinstance(value, list | tuple):
        # A pair of a name and a value, as headers are written.
        name = value[0] if len(value) == 2 else None
        if isinstance(name, str) and certainly_names_a_secret(name):
            return [name, _conceal_named(name, value[1])]
        return [conceal(item) for item in value]
    return value


def _conceal_mapping(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    keys = [key for key in mapping if isinstance(key, str)]
    by_oauth = any(squeezed(key) in _OAUTH for key in keys)
    shown = {
        conceal_text(key) if isinstance(key, str) else key: (
            _conceal_named(key, item, by_oauth=by_oauth)
            if isinstance(key, str)
            else conceal(item)
        )
        for key, item in mapping.items()
    }
    for label, content in _NAMING:
        if content in shown and _mentions_a_secret(mapping.get(label)):
            shown[content] = _nothing_or_hidden(mapping[content])
    return shown


def _mentions_a_secret(label: Any) -> bool:
    parts = label if isinstance(label, list | tuple) else [label]
    return any(
        isinstance(part, str) and any(map(certainly_names_a_secret, part.split("/")))
        for part in parts
    )


def _conceal_named(name: str, value: Any, *, by_oauth: bool = False) -> Any:
    if not names_a_secret(name) or _is_ordinary(name, value, by_oauth=by_oauth):
        return conceal(value)
    return _nothing_or_hidden(value)


def _is_ordinary(name: str, value: Any, *, by_oauth: bool = False) -> bool:
    """Return whether a value is not a secret although its name is that of one."""
    if is_added(name):
        return False
    whole = squeezed(name)
    if whole == "code":
        return not by_oauth and _is_code_of_program(value)
    if whole == "session":
        return isinstance(value, Mapping)
    # `max_tokens` counts them.
    return whole.endswith("tokens") and isinstance(value, int | float)


def _is_code_of_program(value: Any) -> bool:
    if isinstance(value, int | float):
        return value <= _LARGEST_CODE
    # What is random is in mixed case, or has digits.
    return (
        isinstance(value, str)
        and (value.islower() or value.isupper())
        and _CODE_IN_WORDS.fullmatch(value) is not None
    )


def _nothing_or_hidden(value: Any) -> Any:
    """Return what tells nothing (null, true, an empty list), otherwise the mark."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | list | tuple | Mapping) and not value:
        return value
    return HIDDEN


def conceal_text(text: str) -> str:
    """Return a text with its secrets replaced.

    These are: values that this process knows, what the project's patterns match, JWTs,
    credentials after ``Bearer`` and the like, passwords in URLs, private keys, and what
    stands beside the name of a secret (``token=...``, ``"pin": ...``, ``/jwt/...``),
    also in JSON.
    """
    for known in known_in(text):
        text = text.replace(known, HIDDEN)
    for pattern in added_patterns():
        text = pattern.sub(lambda match: HIDDEN if match[0] else "", text)
    if _PLAIN.fullmatch(text):
        return text
    text = _conceal_jwts(text)
    text = _PRIVATE_KEY.sub(HIDDEN, text)
    text = _AFTER_SCHEME.sub(rf"\1\2{HIDDEN}", text)
    text = _IN_XML.sub(_conceal_element, text)
    text = _conceal_paths(_IN_URL.sub(rf"\1:{HIDDEN}", text))
    # In this order: what is JSON may be written in another text, with more backslashes,
    # and then ends elsewhere than it seems to.
    return _conceal_json(_conceal_pairs(text))


def _conceal_jwts(text: str) -> str:
    shown, position, searched = [], 0, 0
    while match := _JWT_START.search(text, searched):
        if not _is_json_in_base64(match[0] + match[1]):
            searched = match.start() + 1
            continue
        token = _JWT.match(text, match.start())
        assert token is not None
        shown += [text[position : match.start()], HIDDEN]
        position = searched = token.end()
    return "".join([*shown, text[position:]])


def _is_json_in_base64(start: str) -> bool:
    decoded = urlsafe_b64decode(start[: len(start) // 4 * 4])
    return _JWT_HEADER.fullmatch(decoded) is not None


def _conceal_element(match: re.Match[str]) -> str:
    start, name, _ = match.groups()
    return f"{start}{HIDDEN}" if certainly_names_a_secret(name) else match[0]


def _conceal_paths(text: str) -> str:
    """Conceal what stands after a name in a path: ``/token/...``."""
    shown, position, searched = [], 0, 0
    while match := _IN_PATH.search(text, searched):
        searched = match.end(1)
        if follows_a_name(match[1], match[2]):
            shown += [text[position : match.start(2)], HIDDEN]
            position = searched = match.end()
    return "".join([*shown, text[position:]])


def _conceal_json(text: str) -> str:
    """Conceal each JSON object and array in a text, and leave the rest."""
    shown, position, searched = [], 0, 0
    for _ in range(_MOST_TRIES):
        match = _JSON_START.search(text, searched)
        if match is None:
            break
        try:
            content, end = _decoder.raw_decode(text, match.start())
            concealed = conceal(content)
        except (ValueError, RecursionError):
            searched = match.end()
            continue
        if concealed != content:
            shown.append(text[position : match.start()])
            shown.append(json.dumps(concealed, ensure_ascii=False))
            position = end
        searched = end
    return "".join([*shown, text[position:]])


def _conceal_pairs(text: str) -> str:
    """Conceal what stands after a name: ``token=...``, ``'pin': ...``."""
    shown, position, searched = [], 0, 0
    while match := _NAME.search(text, searched):
        searched = match.end()
        name = innermost(match["name"])
        if not _may_stand_before_a_value(name, match):
            continue
        end = _end_of_value(text, match.end(), is_literal=bool(match["quote"]))
        value = text[match.end() : end]
        if _is_ordinary_in_text(name, value):
            continue
        # JSON remains JSON.
        mark = _in_quotes_of(match, value)
        shown += [text[position : match.end()], mark]
        position = searched = end
    return "".join([*shown, text[position:]])


def _in_quotes_of(name: re.Match[str], value: str) -> str:
    quoted = _QUOTED.match(value)
    quote = quoted["quote"] if quoted else name["quote"] or ""
    return f"{quote}{HIDDEN}{quote}"


def _may_stand_before_a_value(name: str, match: re.Match[str]) -> bool:
    if match["sign"] == ",":
        # A pair, as in a list of headers: (b'cookie', b'...').
        before = match.string[max(match.start() - 2, 0) : match.start()].rstrip("b")
        is_pair = bool(match["quote"]) and before.endswith(("(", "["))
        return is_pair and certainly_names_a_secret(name)
    # `The key: be kind.` is prose; `key=` and `"key":` are not.
    if match["sign"] == ":" and not match["quote"]:
        return certainly_names_a_secret(name)
    return names_a_secret(name)


def _is_ordinary_in_text(name: str, value: str) -> bool:
    bare = value.strip("\\\"',.)]}")
    if bare in _SHOWN_IN_TEXT:
        return True
    if value.startswith("{"):
        return _is_ordinary(name, {})
    is_number = bare.removeprefix("-").isdecimal() and len(bare) < 20
    return _is_ordinary(name, int(bare) if is_number else bare)


def _end_of_value(text: str, start: int, *, is_literal: bool) -> int:
    if match := _QUOTED.match(text, start):
        return match.end()
    if text[start : start + 1] not in _OPENING:
        match = (_LITERAL if is_literal else _UNQUOTED).match(text, start)
        end = start if match is None else match.end()
        # What is called has the value among its arguments: Decimal('12.34').
        opening = text.find("(", start, end + 1)
        if opening < 0:
            return end
        start = opening
    depth = 0
    for bracket in _BRACKET.finditer(text, start):
        depth += 1 if bracket[0] in _OPENING else -1
        if depth == 0:
            return bracket.end()
    return len(text)


def innermost(name: str) -> str:
    """Return ``password`` for ``user[password]``, as forms have it."""
    return name.rstrip("[]").rpartition("[")[2]


def has_secret(data: bytes) -> bool:
    """Return whether bytes begin with a secret or, if they are no text, with its name.

    They begin with their first thousands: of bytes only a few are ever shown.
    """
    try:
        text = data.decode("utf-8")[:_MOST_BYTES]
    except UnicodeDecodeError:
        # MessagePack and the like: where a value ends is not known, but names are text.
        text = data[:_MOST_BYTES].decode("latin-1")
        if any(map(names_a_secret, _NAME_IN_BYTES.findall(text))):
            return True
    return conceal_text(text) != text
