"""What is public is in a face, in its list, and in the reference, and nothing else."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import chanx_testing
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from tests.support.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"

FACES = {
    "chanx_testing",
    "chanx_testing.constants",
    "chanx_testing.checks",
    "chanx_testing.messages.base",
    "chanx_testing.messages.incoming",
    "chanx_testing.messages.outgoing",
    "chanx_testing.core.authenticator",
    "chanx_testing.core.decorators",
    "chanx_testing.core.idle",
    "chanx_testing.core.testing",
    "chanx_testing.channels.authenticator",
    "chanx_testing.channels.login",
    "chanx_testing.channels.routing",
    "chanx_testing.channels.testing",
    "chanx_testing.channels.websocket",
    "chanx_testing.fast_channels.layers",
    "chanx_testing.fast_channels.testing",
    "chanx_testing.fast_channels.websocket",
}


def entries() -> Iterator[tuple[str, str]]:
    """Yield the module and the name of what the reference documents.

    A module whose members it documents as a whole has the name ``*``.
    """
    for page in sorted(REFERENCE.glob("*.md")):
        current = ""
        lines = page.read_text(encoding="utf-8").splitlines()
        for line, following in zip(lines, [*lines[1:], ""], strict=True):
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                current = match[1]
            elif match := re.match(r"\.\. automodule:: (\S+)", line):
                if "no-members" not in following:
                    yield match[1], "*"
            elif match := re.match(r"\.\. auto\w+:: (\S+)", line):
                path = match[1]
                if not path.startswith("chanx_testing."):
                    path = f"{current}.{path}"
                face = max(face for face in FACES if f"{path}.".startswith(f"{face}."))
                yield face, path.removeprefix(f"{face}.").partition(".")[0]


ENTRIES = set(entries())


def public(face: str, name: str) -> Any:
    return getattr(importlib.import_module(face), name)


def test_faces_alone_have_a_list_of_what_is_public() -> None:
    names = [
        found.name
        for found in pkgutil.walk_packages(chanx_testing.__path__, "chanx_testing.")
    ]
    listing = {
        name
        for name in ["chanx_testing", *names]
        if hasattr(importlib.import_module(name), "__all__")
    }
    assert listing == FACES


def test_the_reference_documents_nothing_that_is_not_public() -> None:
    assert [
        f"{face}.{name}"
        for face, name in sorted(ENTRIES)
        if name != "*" and name not in importlib.import_module(face).__all__
    ] == []


def test_the_reference_documents_all_that_is_public() -> None:
    """Each object once, whichever of its faces the reference names."""
    documented: list[Any] = []
    for face, name in ENTRIES:
        module = importlib.import_module(face)
        names = module.__all__ if name == "*" else [name]
        documented += [public(face, each) for each in names]
    assert [
        f"{face}.{name}"
        for face in sorted(FACES)
        for name in importlib.import_module(face).__all__
        if not any(it is public(face, name) for it in documented)
    ] == []


def test_both_frameworks_export_what_the_core_exports_for_tests() -> None:
    core = importlib.import_module("chanx_testing.core.testing")
    for framework in ("channels", "fast_channels"):
        face = importlib.import_module(f"chanx_testing.{framework}.testing")
        own = {"WebsocketCommunicator"}
        assert set(core.__all__) <= set(face.__all__)
        assert [
            name
            for name in set(core.__all__) - own
            if getattr(face, name) is not getattr(core, name)
        ] == []


def test_the_reference_lists_the_attributes_of_a_consumer() -> None:
    text = (REFERENCE / "consumer.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    ours = [
        owner
        for owner in AsyncJsonWebsocketConsumer.__mro__
        if owner.__module__.startswith("chanx_testing.")
    ]
    annotated = {name for owner in ours for name in inspect.get_annotations(owner)}
    named = {name for name in annotated if not name.startswith("_")}
    assert rows == named | {"groups", "channel_layer_alias"}
