"""The parts of a handshake with their secrets replaced, or without them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, unquote_plus

from chanx_testing.core.hiding.added import remember
from chanx_testing.core.hiding.content import HIDDEN, conceal_text, innermost
from chanx_testing.core.hiding.names import follows_a_name, names_a_secret

# What nobody has typed: 32 letters and digits or more in a row, or with hyphens where
# the case changes too. Not: a UUID, a slug.
_OPAQUE: Final = re.compile(
    r"(?=.*\d)(?=.*[A-Za-z])[A-Za-z0-9]{32,}"
    r"|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w-]{32,}",
    re.ASCII,
)

# Announces that the next subprotocol is a credential: ["access_token", "eyJ..."].
_MARKERS: Final = {"access_token", "auth", "authorization", "bearer", "jwt", "token"}
# Or it is glued to the credential: "bearer.eyJ...".
_PREFIXED: Final = re.compile(
    r"(?:access[-_]token|auth(?:orization)?|(?:base64url\.)?bearer|jwt|token)"
    r"[.:_-][\w.=+/-]{16,}",
    re.IGNORECASE,
)
_THREE_PARTS: Final = re.compile(r"[\w-]{4,}\.[\w-]{4,}\.[\w-]{4,}")
# 32 characters and more without a dot: keys and hashes. The longest registered names
# of subprotocols without a dot are shorter.
_LONG: Final = re.compile(r"[\w-]{32,}")

PROTOCOLS_HEADER: Final = "sec-websocket-protocol"


# The query and the path.


class _Part(NamedTuple):
    """A part of a query, decoded: ``name=value``, or only one of the two."""

    name: str
    value: str
    hides: bool


def _parts_of(query: str) -> Iterator[_Part]:
    for part in query.split("&"):
        name, separator, value = map(unquote_plus, part.partition("="))
        if not separator:
            name, value = "", name
        # `code` is that of a login here: nobody asks for an error by its code.
        hides = bool(value) and (
            names_a_secret(innermost(name))
            or _OPAQUE.fullmatch(value) is not None
            or conceal_text(value) != value
        )
        yield _Part(name, value, hides)


def conceal_query(query: str) -> str:
    """Return a query string, decoded, with its secrets replaced."""
    shown = []
    for name, value, hides in _parts_of(query):
        prefix = f"{conceal_text(name)}=" if name else ""
        shown.append(f"{prefix}{HIDDEN if hides else value}")
    return "&".join(shown)


def strip_query(query: str) -> str:
    """Return a query string without the parts that are secrets, the rest as it is."""
    parts = zip(query.split("&"), _parts_of(query), strict=True)
    return "&".join(raw for raw, part in parts if not part.hides)


def conceal_path(path: str) -> str:
    """Return a path with its secrets replaced.

    They are known by their value, or by the part before them: ``/ws/token/<value>/``.
    What nobody has typed, 32 letters and digits in a row, is hidden too.
    """
    parts = path.split("/")
    shown = []
    for before, part in zip(["", *parts], parts, strict=False):
        decoded = unquote(part)
        if follows_a_name(before, decoded) or _OPAQUE.fullmatch(decoded):
            shown.append(HIDDEN)
        else:
            concealed = conceal_text(decoded)
            shown.append(part if concealed == decoded else concealed)
    return "/".join(shown)


# Subprotocols.


def token_places(subprotocols: Sequence[str]) -> list[bool]:
    """Return of each subprotocol whether it is a token, or announces one."""
    places: list[bool] = []
    announced = False
    for subprotocol in subprotocols:
        is_marker = not announced and subprotocol.lower() in _MARKERS
        places.append(is_marker or announced or _is_token(subprotocol))
        announced = is_marker
    return places


def _is_token(subprotocol: str) -> bool:
    patterns = (_THREE_PARTS, _LONG, _PREFIXED)
    by_form = any(pattern.fullmatch(subprotocol) for pattern in patterns)
    return by_form or conceal_text(subprotocol) != subprotocol


def tokens_among(subprotocols: Sequence[str]) -> list[str]:
    """Return the subprotocols that are secrets; one that announces them is not."""
    places = zip(subprotocols, token_places(subprotocols), strict=True)
    return [each for each, here in places if here and each.lower() not in _MARKERS]


def conceal_subprotocol(subprotocol: str, offered: Sequence[str] = ()) -> str:
    """Return a subprotocol, or the mark if it is a token.

    Args:
        subprotocol: The subprotocol.
        offered: All that the client offers: what follows ``"bearer"`` is a token.
    """
    is_secret = subprotocol in tokens_among(offered) or _is_token(subprotocol)
    return HIDDEN if is_secret else subprotocol


# Headers.


def header_is_secret(name: str, value: str) -> bool:
    """Return whether a header carries a credential, by its name or by its value.

    Args:
        name: In lower case; not ``sec-websocket-protocol``, which may carry other
            things beside a credential.
        value: The value.
    """
    if name in {"host", "origin"}:
        return False
    # The id of a request looks random, too.
    looks_random = _OPAQUE.fullmatch(value) is not None and not name.endswith("-id")
    return names_a_secret(name) or looks_random or conceal_text(value) != value


def remember_secrets_of(scope: Mapping[str, Any]) -> None:
    """Hide the credentials of a client wherever they stand from now on."""
    found: list[str] = list(tokens_among(scope["subprotocols"]))
    for name, value in scope["headers"]:
        found += secrets_of_header(name.decode("latin-1"), value.decode("latin-1"))
    query = scope["query_string"].decode("utf-8")
    found += [part.value for part in _parts_of(query) if part.hides]
    remember(found)


def secrets_of_header(name: str, value: str) -> list[str]:
    """Return the values in a header that are secrets.

    In ``cookie`` these are all cookies, in ``authorization`` what follows the scheme.
    """
    if name == "cookie":
        return [part.partition("=")[2].strip(' "') for part in value.split(";")]
    if name == PROTOCOLS_HEADER:
        return tokens_among([part.strip() for part in value.split(",")])
    return [value, value.rpartition(" ")[2]] if header_is_secret(name, value) else []
