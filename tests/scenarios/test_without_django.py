"""This half of the package in a process that has no Django, or no fast-channels."""

import pytest

from tests.support.absent import DJANGO, run_code, run_without

pytestmark = pytest.mark.slow


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
