"""Whether the files for hosted services agree with what the project does itself.

They are read line by line, as they are written: the tests need no YAML package.
"""

import re
from configparser import RawConfigParser

import pytest

from tests.support.project import PROJECT, PYTHONS, ROOT, tox_environments


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


WORKFLOW = read(".github/workflows/ci.yml")
CI_RUN = read(".ci/run")


def jobs() -> dict[str, str]:
    """The jobs of the workflow by their names, each with its lines."""
    found = re.findall(
        r"^  ([\w-]+):\n((?:(?:    .*)?\n)+)",
        WORKFLOW.partition("\njobs:\n")[2],
        re.MULTILINE,
    )
    return dict(found)


def matrix() -> dict[str, str]:
    """The environments of the matrix, each with its version of Python."""
    rows = r"^ +- \{ environment: ([\w-]+), python: \"([\d.]+)\" \}$"
    return dict(re.findall(rows, jobs()["tests"], re.MULTILINE))


def environments_with_tests() -> set[str]:
    """The environments of tox that run tests, by their commands."""
    tox = RawConfigParser()
    tox.read_string(read("tox.ini"))
    default = tox["testenv"]["commands"]
    return {
        name
        for name in tox_environments()
        if "pytest" in tox.get(f"testenv:{name}", "commands", fallback=default)
    }


# --- The workflow -----------------------------------------------------------------


def test_the_matrix_names_every_environment_of_tox_that_tests() -> None:
    assert set(matrix()) - {"make-test"} == environments_with_tests()


def test_each_environment_of_the_matrix_has_its_python() -> None:
    for environment, python in matrix().items():
        if named := re.match(r"py3(\d+)-", environment):
            assert python == f"3.{named[1]}", environment
        assert python in PYTHONS, environment


def test_the_workflow_does_each_step_of_the_local_run() -> None:
    steps = set(re.findall(r"^step (make [a-z]+)$", CI_RUN, re.MULTILINE))
    assert "make test" in steps
    required = jobs()["form"] + jobs()["tests"]
    run = set(re.findall(r"run: (make [a-z]+)$", required, re.MULTILINE))
    assert steps - run == set()
    environments = set(re.findall(r"\b3\.\d+:(py[\w-]+)", CI_RUN))
    assert environments
    assert environments - set(matrix()) == set()


def test_the_workflow_has_the_servers_of_the_local_run() -> None:
    """Under the same addresses: what a service allows has to fit them."""
    local = re.findall(r"^server (\w+) (\S+) (\d+) ", CI_RUN, re.MULTILINE)
    assert local
    hosted = dict(
        re.findall(r"^      (CHANX_TEST_\w+): (\S+)$", jobs()["tests"], re.MULTILINE)
    )
    assert hosted == {variable: url for variable, url, _ in local}
    published = re.findall(r'ports: \["(\d+):\1"\]', jobs()["tests"])
    assert sorted(published) == sorted(port for _, _, port in local)


@pytest.mark.parametrize("name", jobs())
def test_a_job_has_a_limit(name: str) -> None:
    assert re.search(r"^    timeout-minutes: \d+$", jobs()[name], re.MULTILINE)


def test_the_classifiers_name_the_systems_whose_tests_have_to_pass() -> None:
    classifiers = {
        "ubuntu": "Operating System :: POSIX :: Linux",
        "macos": "Operating System :: MacOS",
        "windows": "Operating System :: Microsoft :: Windows",
    }
    systems = {
        system
        for job in jobs().values()
        if "    continue-on-error: true\n" not in job
        for line in re.findall(r"^    runs-on: .+|^ +system: .+", job, re.MULTILINE)
        for system in classifiers
        if system in line
    }
    claimed = {
        name for name in PROJECT["classifiers"] if name.startswith("Operating System")
    }
    assert claimed == {classifiers[system] for system in systems}


# --- Read the Docs ----------------------------------------------------------------


def test_read_the_docs_builds_with_the_extra_of_the_docs() -> None:
    text = read(".readthedocs.yaml")
    pattern = r"^      extra_requirements:\n((?: +- .+\n)+)"
    listed = re.search(pattern, text, re.MULTILINE)
    assert listed is not None
    assert re.findall(r"- (\w+)", listed[1]) == ["docs"]
    assert "docs" in PROJECT["optional-dependencies"]


def test_read_the_docs_builds_as_strictly_as_make_docs() -> None:
    text = read(".readthedocs.yaml")
    assert "\n  configuration: docs/conf.py\n  fail_on_warning: true\n" in text
    (python,) = re.findall(r'^    python: "([\d.]+)"$', text, re.MULTILINE)
    assert python in PYTHONS
