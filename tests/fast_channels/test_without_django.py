"""This half of the package in a process that has no Django, or no fast-channels."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DJANGO = ("django", "channels", "channels_redis", "daphne", "rest_framework")


def run_without(blocked, *arguments):
    """Run an interpreter in which these packages are not installed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "PYTEST_", "COV_"))
    }
    environment["BLOCKED_PACKAGES"] = " ".join(blocked)
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_code(blocked, code):
    return run_without(blocked, "-c", f"import tests.support.blocking\n{code}")


def run_pytest(blocked, tmp_path, *arguments):
    """Run pytest with a configuration that knows nothing of Django."""
    config = tmp_path / "pytest.ini"
    config.write_text(
        "[pytest]\n"
        "addopts = --strict-markers --strict-config\n"
        "asyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\n"
    )
    # The plugin of pytest-django is there as soon as that package is installed.
    plugins = ["-p", "tests.support.blocking", "-p", "no:django"]
    plugins += ["-p", "no:cacheprovider"]
    return run_without(blocked, "-m", "pytest", "-c", str(config), *plugins, *arguments)


def test_the_documented_snippets_run_without_django(tmp_path):
    done = run_pytest(DJANGO, tmp_path, "tests/scenarios/test_snippets_fastapi.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_everything_about_fastapi_runs_without_django(tmp_path):
    tests = ["tests/scenarios/test_fastapi.py", "tests/fast_channels/test_layers.py"]
    done = run_pytest(DJANGO, tmp_path, "-o", "asyncio_mode=auto", *tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_blocker_blocks():
    done = run_code(DJANGO, "import django")
    assert "No module named 'django'" in done.stderr


def test_importing_this_half_imports_no_django():
    # Here it could be imported.
    done = run_without(
        (),
        "-c",
        "import sys\n"
        "from chanx_testing.fast_channels import layers, testing, websocket\n"
        f"print(sorted({set(DJANGO)!r} & set(sys.modules)))",
    )
    assert done.stdout == "[]\n", done.stderr


ECHO = """
import asyncio
from chanx_testing.fast_channels.testing import WebsocketCommunicator

async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})

async def main():
    async with WebsocketCommunicator(echo, "/") as comm:
        await comm.send_json("hello")
        print(await comm.receive_json())

asyncio.run(main())
"""


def test_the_communicator_needs_no_framework_at_all():
    blocked = [*DJANGO, "fast_channels", "fastapi", "starlette", "anyio", "httpx"]
    done = run_code(blocked, "import warnings; warnings.simplefilter('ignore')" + ECHO)
    assert done.stdout == "hello\n", done.stderr


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
