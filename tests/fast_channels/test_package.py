"""Where the fast-channels package is missing, what to install is said."""

import pytest

from tests.support.absent import run_code

pytestmark = pytest.mark.slow


def test_without_fast_channels_the_consumer_says_what_to_install():
    for module in ("websocket", "layers"):
        done = run_code(
            ["fast_channels"], f"import chanx_testing.fast_channels.{module}"
        )
        last = done.stderr.splitlines()[-1]
        assert last.startswith("ModuleNotFoundError: The package fast-channels is not")
        assert "pip install 'chanx-testing[fastapi]'" in last


def test_what_else_is_missing_is_not_mistaken_for_fast_channels():
    code = (
        "import sys, types\n"
        "sys.modules['fast_channels.consumer'] = None\n"
        "import chanx_testing.fast_channels.websocket"
    )
    done = run_code((), code)
    assert "chanx-testing[fastapi]" not in done.stderr
    assert "fast_channels.consumer" in done.stderr
