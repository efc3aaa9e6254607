"""What fails where nobody waits fails its test, under every runner.

Each run is a process of its own, with one test for each way to fail. Warnings are not
errors here: nothing but the end of a test may notice.
"""

import os
import re
import subprocess
import sys
import textwrap

import pytest

from tests.support import crashing
from tests.support.suites import Project

pytestmark = pytest.mark.slow

NAMES = [*crashing.BESIDE, "crashed", "outliving"]

BODY = """
    import asyncio, unittest, pytest
    from tests.support import crashing
    from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase

    NAMES = [*crashing.BESIDE, "crashed", "outliving"]

    async def conversation(name):
        application = getattr(crashing, name)
        communicator = WebsocketCommunicator(application, "/")
        await communicator.connect()
        if name in ("after_disconnect", "outliving"):
            await communicator.disconnect()
        else:
            await communicator.send_to("go")
        await communicator.wait_until_idle(5)
        await crashing.released()

    # A bystander fails in the same ways, and uses no connection.
    async def nothing_of_ours():
        loop = asyncio.get_running_loop()
        loop.call_later(0.001, crashing.boom)
        asyncio.create_task(crashing.aboom())
        loop.run_in_executor(None, crashing.boom)
        loop.create_future().set_exception(crashing.Lost())
        await asyncio.sleep(0.01)
"""

FUNCTIONS = """
    @pytest.mark.parametrize("name", NAMES)
    async def test(name):
        await conversation(name)

    async def test_bystander():
        await nothing_of_ours()
"""

RUNNERS = {
    "asyncio": FUNCTIONS,
    "module": f"""
    pytestmark = pytest.mark.asyncio(loop_scope="module")
    {FUNCTIONS}
""",
    "anyio": f"""
    pytestmark = pytest.mark.anyio

    @pytest.fixture(scope="module")
    def anyio_backend():
        return "asyncio"
    {FUNCTIONS}
""",
    "run": """
    @pytest.mark.parametrize("name", NAMES)
    def test(name):
        asyncio.run(conversation(name))

    def test_bystander():
        asyncio.run(nothing_of_ours())
""",
    "isolated": """
    class Tests(unittest.IsolatedAsyncioTestCase):
        async def test_bystander(self):
            await nothing_of_ours()

    def method(name):
        async def test(self):
            await conversation(name)
        return test

    for name in NAMES:
        setattr(Tests, f"test_{name}", method(name))
""",
    "case": """
    class Tests(WebsocketTestCase):
        router = crashing.timer  # none is asked for
        async def test_bystander(self):
            await nothing_of_ours()

    def method(name):
        async def test(self):
            await conversation(name)
        return test

    for name in NAMES:
        setattr(Tests, f"test_{name}", method(name))
""",
    "sync_case": """
    from asgiref.sync import async_to_sync

    class Tests(WebsocketTestCase):
        router = crashing.timer  # none is asked for
        def test_bystander(self):
            async_to_sync(nothing_of_ours)()

    def method(name):
        def test(self):
            async_to_sync(conversation)(name)
        return test

    for name in NAMES:
        setattr(Tests, f"test_{name}", method(name))
""",
}

PLUGINS = {
    "asyncio": ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"],
    "module": ["-p", "pytest_asyncio.plugin", "-o", "asyncio_mode=auto"],
    "anyio": ["-p", "anyio.pytest_plugin"],
    "run": [],
    "isolated": [],
    "case": ["-p", "pytest_django.plugin"],
    "sync_case": ["-p", "pytest_django.plugin"],
}


REASON = {"crashed": "LookupError", "outliving": r"chanx\S*\.LeftoverTaskWarning"}


def project_of(folder, runner):
    project = Project(folder, "")
    # Not the `tests` of a project: that is a package here.
    (folder / "tests.py").unlink()
    (folder / "test_all.py").write_text(textwrap.dedent(BODY + RUNNERS[runner]))
    return project


def run(project, *args):
    # Plugins of this machine are loaded as far as they are named.
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": os.pathsep.join([str(project.folder), *sys.path]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "COLUMNS": "300",
    }
    done = subprocess.run(
        [sys.executable, *args],
        cwd=project.folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_pytest(tmp_path, runner):
    project = project_of(tmp_path, runner)
    text = run(
        project,
        "-m",
        "pytest",
        "-p",
        "chanx_testing.pytest_plugin",
        "-p",
        "no:cacheprovider",
        "-rA",
        "--tb=short",
        "test_all.py",
        *PLUGINS[runner],
    )
    for name in NAMES:
        pattern = rf"^FAILED .*test[\[_]{name}\]? - {REASON.get(name, 'tests.*Lost')}"
        assert re.search(pattern, text, re.MULTILINE), (name, text)
    if runner == "anyio":
        # Its own plugin raises what comes to the exception handler of the loop.
        bystander = r"^FAILED .*test_bystander - ExceptionGroup: Multiple"
    else:
        bystander = r"^PASSED .*test_bystander$"
    assert re.search(bystander, text, re.MULTILINE), text


@pytest.mark.parametrize("runner", ["isolated", "case", "sync_case"])
def test_manage_py(tmp_path, runner):
    project = project_of(tmp_path, runner)
    # unittest shows warnings, unless Python was given filters.
    filters = ["-W", "ignore::ResourceWarning"]
    text = run(project, *filters, "-m", "django", "test", "-v", "2", "test_all")
    for name in NAMES:
        assert f"ERROR: test_{name} (test_all" in text, (name, text)
    assert "ERROR: test_bystander" not in text
    assert f"FAILED (errors={len(NAMES)})" in text, text
