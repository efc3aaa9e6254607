"""What the package exports, and what importing it does not do."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import chanx_testing

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocker())
{code}
"""


def run_without(blocked, code):
    """Run code in a fresh interpreter that cannot import these packages."""
    script = BLOCKED.format(blocked=set(blocked), code=code)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", chanx_testing.__all__)
def test_each_public_name_is_there(name):
    assert getattr(chanx_testing, name).__name__ == name
    assert name in dir(chanx_testing)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = chanx_testing.nonsense


def test_importing_the_package_imports_nothing_else():
    code = "import chanx_testing; print(chanx_testing.__version__, [m for m in "
    code += "sys.modules if '.' in m and m.startswith('chanx_testing.')])"
    result = run_without(["django", "pydantic", "asgiref"], code)
    assert result.stdout == f"{chanx_testing.__version__} []\n"


def framework_free_modules():
    for package in ("core", "messages"):
        yield f"chanx_testing.{package}"
        module = importlib.import_module(f"chanx_testing.{package}")
        for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            yield found.name
    yield "chanx_testing.constants"


def test_the_core_needs_no_framework():
    code = f"import {', '.join(framework_free_modules())}; print('imported')"
    blocked = ["django", "channels", "daphne", "fast_channels", "rest_framework"]
    result = run_without(blocked, code)
    assert (result.stdout, result.stderr) == ("imported\n", "")


def test_the_test_case_needs_no_daphne():
    code = "import chanx_testing.channels.testing; print('imported')"
    result = run_without(["daphne", "twisted"], code)
    assert (result.stdout, result.stderr) == ("imported\n", "")


def all_modules():
    for found in pkgutil.walk_packages(chanx_testing.__path__, "chanx_testing."):
        if found.name.split(".")[-1] != "pytest_plugin":
            yield found.name


@pytest.mark.parametrize("name", list(all_modules()))
def test_what_a_module_lists_is_there(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public)
