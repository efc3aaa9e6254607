"""What the package exports, and what importing it does not do."""

import importlib
import pkgutil
from collections import Counter

import pytest

import chanx_testing
from tests.support.absent import run_code


@pytest.mark.parametrize("name", chanx_testing.__all__)
def test_each_public_name_is_there(name):
    assert getattr(chanx_testing, name).__name__ == name
    assert name in dir(chanx_testing)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = chanx_testing.nonsense


@pytest.mark.slow
def test_importing_the_package_imports_nothing_else():
    code = "import sys, chanx_testing; print(chanx_testing.__version__, [m for m in "
    code += "sys.modules if '.' in m and m.startswith('chanx_testing.')])"
    result = run_code(["django", "pydantic", "asgiref"], code)
    assert result.stdout == f"{chanx_testing.__version__} []\n"


@pytest.mark.slow
def test_the_test_case_needs_no_daphne():
    code = "import chanx_testing.channels.testing; print('imported')"
    result = run_code(["daphne", "twisted"], code)
    assert (result.stdout, result.stderr) == ("imported\n", "")


def modules():
    yield chanx_testing
    for found in pkgutil.walk_packages(chanx_testing.__path__, "chanx_testing."):
        yield importlib.import_module(found.name)


def test_every_name_that_a_module_lists_is_there_and_listed_once():
    assert [
        f"{module.__name__}: {name}"
        for module in modules()
        for name, count in Counter(getattr(module, "__all__", ())).items()
        if count > 1 or not hasattr(module, name)
    ] == []
