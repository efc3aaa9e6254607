"""What a process needs that a test starts."""

import os


def environment_without(*prefixes: str) -> dict[str, str]:
    """Return the variables of this process whose names do not begin so."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes)
    }
