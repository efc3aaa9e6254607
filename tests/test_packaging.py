"""What is shipped, what an import needs, and whether the lists in the docs are true."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version as installed_version
from pathlib import Path

import pytest

from chanx_testing import __version__
from tests.support.processes import environment_without
from tests.support.project import DJANGOS, PROJECT, PYTHONS, ROOT, tox_environments

PACKAGE = ROOT / "chanx_testing"


def package_files() -> set[str]:
    """The files of the package as they are in the tree, without what Python caches."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def build(target: str, directory: Path) -> Path:
    """Build by hatchling itself: a frontend would fetch it into its own environment."""
    result = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", directory],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (archive,) = directory.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel."""
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist_files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the built sdist, without its leading directory."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return {name.split("/", 1)[1] for name in archive.getnames()}


@pytest.fixture(scope="module")
def unpacked_wheel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the wheel puts into site-packages."""
    directory = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory)
    return directory


# --- The archives -----------------------------------------------------------------


@pytest.mark.slow
def test_the_wheel_has_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped == package_files()
    assert "chanx_testing/py.typed" in shipped


@pytest.mark.slow
def test_the_wheel_has_the_licence_and_says_its_version(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"chanx_testing-{__version__}.dist-info"
        assert archive.read(f"{info}/licenses/LICENSE").startswith(b"MIT License")
        metadata = archive.read(f"{info}/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in metadata
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata


@pytest.mark.slow
def test_the_sdist_has_what_it_takes_to_test_it(sdist_files: set[str]) -> None:
    expected = package_files() | {
        ".ci/run",
        ".github/workflows/ci.yml",
        ".readthedocs.yaml",
        "CHANGELOG.md",
        "CODE_OF_CONDUCT.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "SECURITY.md",
        "docs/conf.py",
        "docs/index.md",
        "pyproject.toml",
        "scripts/with-pyenv",
        "tests/settings.py",
        "tests/test_packaging.py",
        "tests/test_project_files.py",
        "tox.ini",
    }
    assert expected <= sdist_files


@pytest.mark.slow
def test_the_sdist_has_nothing_that_was_built_or_cached(sdist_files: set[str]) -> None:
    unwanted = re.compile(
        r"(^|/)(__pycache__|_build|\.venv[^/]*|\.tox|\.[a-z]+_cache|\.hypothesis)(/|$)"
        r"|\.(pyc|sqlite3)$|(^|/)\.coverage"
    )
    assert sorted(filter(unwanted.search, sdist_files)) == []


# --- Importing --------------------------------------------------------------------

IMPORT_WITH_PYDANTIC_ALONE = """
import importlib, importlib.abc, pkgutil, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {refused!r}:
            raise ImportError(f"{{name}} is not installed here")

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, {site!r})

import chanx_testing
assert chanx_testing.__file__.startswith({site!r}), chanx_testing.__file__
assert not [name for name in sys.modules if name.startswith("chanx_testing.")]

names = ["chanx_testing.constants"]
for room in ("core", "messages"):
    package = importlib.import_module("chanx_testing." + room)
    names.append(package.__name__)
    names += [
        found.name
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    ]
for name in names:
    importlib.import_module(name)
print(*names)
"""


@pytest.mark.slow
def test_the_core_imports_without_django_settings_and_daphne(
    unpacked_wheel: Path,
) -> None:
    """In a process of its own, from the wheel, with every framework out of reach."""
    program = IMPORT_WITH_PYDANTIC_ALONE.format(
        site=str(unpacked_wheel),
        refused=[
            "channels",
            "daphne",
            "django",
            "fast_channels",
            "fastapi",
            "rest_framework",
            "starlette",
            "twisted",
        ],
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-I", "-c", program],
        capture_output=True,
        text=True,
        env=environment_without("DJANGO_SETTINGS_MODULE", "PYTHONPATH"),
    )
    assert result.returncode == 0, result.stderr
    assert "chanx_testing.core" in result.stdout.split()


# --- The lists --------------------------------------------------------------------


def test_tox_runs_every_version_that_the_classifiers_name() -> None:
    tested = [
        match
        for name in tox_environments()
        if (match := re.fullmatch(r"py3(\d+)-django(\d)(\d+)", name))
    ]
    assert {f"3.{match[1]}" for match in tested} == PYTHONS
    assert {f"{match[2]}.{match[3]}" for match in tested} == DJANGOS


def test_tox_runs_the_lowest_versions_that_the_dependencies_allow() -> None:
    text = (ROOT / "tox.ini").read_text()
    section = text.partition("[testenv:py311-lowest]")[2].partition("\n[")[0]
    pinned = set(re.findall(r"^    ([a-z0-9\[\]-]+==[\d.]+)$", section, re.MULTILINE))
    needed = list(PROJECT["dependencies"])
    for extra in ("fastapi", "jwt", "redis", "test"):
        needed += PROJECT["optional-dependencies"][extra]
    bare = (need.partition(";")[0].strip() for need in needed)
    lowest = {need.replace(">=", "==") for need in bare if ">=" in need}
    assert pinned == lowest


def test_the_readme_names_the_supported_versions() -> None:
    text = (ROOT / "README.md").read_text()
    *first, last = sorted(PYTHONS)
    assert f"Python {', '.join(first)} or {last}" in text
    assert f"Django {' or '.join(sorted(DJANGOS))}" in text
    assert PROJECT["requires-python"] == f">={min(PYTHONS)}"


def test_the_readme_names_the_extras_for_users() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"compat", "dev", "docs", "test"}
    named = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert set(named) == extras


def test_the_installed_version_is_the_one_of_the_package() -> None:
    """A stale installation has another: install it again."""
    assert installed_version("chanx-testing") == __version__


def test_the_changelog_has_unreleased_changes_or_this_version() -> None:
    newest = re.search(
        r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert newest is not None
    assert newest[1] in ("Unreleased", __version__)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_document_names_exists(document: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    named = re.findall(
        r"(?:^|`)make ([a-z-]+)\b", (ROOT / document).read_text(), re.MULTILINE
    )
    assert sorted(set(named) - targets) == []
