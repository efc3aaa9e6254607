"""Which names are those of secrets.

Names are compared in lower case and without separators: ``apiKey``, ``API-KEY`` and
``api_key`` are one name. Those that are ordinary words as well (``key``, ``access``,
``code``) count only where they are the whole name.
"""

import re
from functools import lru_cache
from typing import Final

from chanx_testing.core.hiding.added import added_names, squeezed

# Wherever one of these is part of a name. Not: secretary, tokenizer.
_STEM: Final = re.compile(
    r"pass(?:word|phrase|wd|code)|secret(?!ar(?:y|i))|token(?!i[sz](?:e|ation|ing))"
    r"|credential|cookie|authori[sz]ation|bearer|jwt|csrf|xsrf|samlresponse"
)
# An ordinary word, after one that tells what it is for. Not: keyboard.
_COMPOUND: Final = re.compile(
    r"(?:api|app|access|auth|authentication|client|secret|private|session|signing"
    r"|encryption|decryption|master|shared|service|storage|stream|ssh|pgp|gpg|aes|rsa"
    r"|hmac|crypto|licen[cs]e)keys?(?!board|word|note|stone|frame|hole|point)"
    r"|sess(?:ion)?id(?!le|ent|ea)"
    r"|(?:auth|authentication|access|verification|verify|confirmation|confirm|security"
    r"|sms|pin|otp|totp|mfa|2fa|twofactor|onetime|login|device|recovery|backup|reset"
    r"|activation|invitation|invite|pairing)codes?(?!c)"
    r"|codeverifier|(?:amz|hub|goog)signature"
    r"|(?:ws|websocket|socket|auth|access|login|session|connection)ticket"
    r"|(?:user|card|sim|new|old|current|security|account)pin$"
    r"|(?:user|db|database|ftp|smtp|root|admin)pass$|(?:^x|basic|proxy|http)auth$"
)
_LAST_WORDS: Final = {
    *{"auth", "cvc", "cvv", "hotp", "oauth", "otp", "pass", "pwd", "sid", "totp"},
}
_WHOLE: Final = {
    *{"access", "assertion", "auth", "code", "cvc", "cvv", "key", "mfa", "oauth"},
    *{"otp", "pass", "pin", "psk", "pwd", "refresh", "session", "sid", "sig"},
    *{"signature", "ticket", "totp"},
}
# What is said of a secret without being one: `token_type`, `password_expires_at`.
_ABOUT: Final = {
    *{"count", "expiration", "expired", "expires", "expiry", "kind", "length"},
    *{"lifetime", "limit", "max", "min", "name", "policy", "required", "size"},
    *{"strength", "ttl", "type", "usage", "valid"},
}
# What may follow `token` in a path and is a part of the route.
_ROUTE_WORDS: Final = {
    *{"auth", "blacklist", "change", "confirm", "create", "list", "login", "logout"},
    *{"new", "obtain", "refresh", "reset", "revoke", "validate", "verify"},
}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def names_a_secret(name: str) -> bool:
    """Return whether what has this name is a secret, in whatever case it is written."""
    return _strength(name) > 0 or is_added(name)


def certainly_names_a_secret(name: str) -> bool:
    """Return whether this is no ordinary word, so that it counts in prose, too."""
    return _strength(name) > 1 or is_added(name)


def follows_a_name(name: str, part: str) -> bool:
    """Return whether a part of a path is a secret because of the part before it."""
    if not part or part.lower() in _ROUTE_WORDS or "=" in name:
        return False
    if certainly_names_a_secret(name):
        return True
    # `/access/door-1/` and `/ticket/42/` are ordinary.
    looks_random = len(part) >= 8 and not part.isalpha() and not part.isdecimal()
    return looks_random and names_a_secret(name)


def is_added(name: str) -> bool:
    """Return whether the project has added this name."""
    return squeezed(name) in added_names()


@lru_cache(maxsize=2048)
def _strength(name: str) -> int:
    """Return 0 for an ordinary name, 1 for a secret's that is a word, otherwise 2."""
    whole = squeezed(name)
    words = [word.lower() for word in _WORD.findall(name)]
    if _STEM.search(whole) or _COMPOUND.search(whole):
        about = words[:-1] if words and words[-1] in {"at", "in"} else words
        return 0 if about and about[-1] in _ABOUT else 2
    return int(whole in _WHOLE or bool(words and words[-1] in _LAST_WORDS))
