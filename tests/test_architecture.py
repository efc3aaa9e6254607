"""Which room may import which: arrows go down, and none goes round."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.absent import run_code

PACKAGE = Path(__file__).resolve().parent.parent / "chanx_testing"

# What runs in production, in this package and in users' projects.
CONSUMERS = {"core.consumer", "core.authenticator", "core.decorators"}
# What a test needs and production must never load.
TEST_SIDE = {
    "core.client",
    "core.idle",
    "core.idle.clients",
    "core.layers",
    "core.trace",
    "core.testing",
    "core.unawaited",
}
OBSERVE = {"core.observe.reports", "core.observe.foreign", "core.observe.capture"}
CORE = {
    *TEST_SIDE,
    *CONSUMERS,
    *OBSERVE,
    "core.hiding",
    "core.settings",
    "core.routing",
}

ALLOWED: dict[str, set[str]] = {
    "constants": set(),
    "messages": {"constants"},
    # Shared ground.
    "core.settings": set(),
    "core.replacing": set(),
    "core.thread_frames": set(),
    "core.hiding": set(),
    "core.routing": {"core.hiding"},
    # What was said.
    "core.trace": {"core.hiding", "core.replacing"},
    "core.unawaited": {"core.thread_frames"},
    # The loop.
    "core.idle": {
        "core.replacing",
        "core.thread_frames",
        "core.idle.clients",
        "core.unawaited",
    },
    # It knows no loop, only what others build on one.
    "core.idle.clients": {"core.replacing"},
    # What a consumer reports.
    "core.observe.reports": {"messages"},
    "core.observe.foreign": {"core.observe.reports", "core.replacing", "core.idle"},
    "core.observe.capture": {
        "messages",
        "core.observe.reports",
        "core.observe.foreign",
    },
    # The application's end of a socket.
    "core.consumer": {
        "messages",
        "constants",
        "core.hiding",
        "core.settings",
        "core.authenticator",
        "core.observe.reports",
    },
    "core.authenticator": {"messages"},
    "core.decorators": {"core.consumer"},
    # The test's end.
    "core.client": {
        "messages",
        "constants",
        "core.hiding",
        "core.settings",
        "core.routing",
        "core.trace",
        "core.idle",
        "core.unawaited",
        "core.observe.reports",
        "core.observe.foreign",
    },
    "core.layers": {"core.idle", "core.observe.reports", "core.replacing"},
    "core.testing": CORE - {"core.testing"},
    # A framework each. What runs in production is named apart.
    "channels.settings": {"core.hiding", "core.settings"},
    "channels.handshake": set(),
    "channels.websocket": {"channels.settings", "core.consumer"},
    "channels.authenticator": {
        "channels.settings",
        "channels.handshake",
        "core.authenticator",
        "messages",
    },
    "channels": {
        *CORE,
        "core.replacing",
        "core.thread_frames",
        "messages",
        "channels.settings",
        "channels.handshake",
    },
    "fast_channels.package": set(),
    "fast_channels.websocket": {"fast_channels.package", "core.consumer"},
    "fast_channels": {*CORE, "messages", "fast_channels.package"},
    # What Django and pytest look for at the top of the package.
    "checks": {"channels.settings", "core.hiding", "core.settings"},
    "apps": {"checks"},
    "management": {"core.idle", "core.trace"},
    "pytest_plugin": {"core.idle", "core.trace", "core.unawaited"},
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield each module of the package, by its name below ``chanx_testing``."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


TREES = dict(modules())


def imported_by(tree: ast.Module) -> Iterator[str]:
    """Yield what a module imports of ours, in functions and for types alone, too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            base = node.module.removeprefix("chanx_testing").lstrip(".")
            if node.module.partition(".")[0] == "chanx_testing":
                for alias in node.names:
                    inner = f"{base}.{alias.name}".lstrip(".")
                    yield inner if inner in TREES else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("chanx_testing."):
                    yield alias.name.removeprefix("chanx_testing.")


def room_of(module: str) -> str | None:
    """Return the room with the longest name that a module is in."""
    rooms = [room for room in ALLOWED if f"{module}.".startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def test_each_module_is_in_a_room() -> None:
    # The package itself imports lazily, and those of a room's parent have no code.
    outside = {"__init__", "core", "core.observe"}
    assert [
        name for name in TREES if room_of(name) is None and name not in outside
    ] == []


def test_arrows_go_where_the_table_says() -> None:
    assert [
        f"{name} imports {target}"
        for name, tree in TREES.items()
        if (room := room_of(name)) is not None
        for target in imported_by(tree)
        if (to := room_of(target)) != room and to not in ALLOWED[room]
    ] == []


def test_no_arrow_of_the_table_is_unused() -> None:
    """Otherwise the table allows what nobody has thought about."""
    used = {
        (room_of(name), room_of(target))
        for name, tree in TREES.items()
        for target in imported_by(tree)
    }
    # These may use all of the core, and need not.
    free = {"core.testing", "channels", "fast_channels"}
    assert [
        f"{room} -> {to}"
        for room in ALLOWED.keys() - free
        for to in ALLOWED[room]
        if (room, to) not in used
    ] == []


def test_no_import_goes_round() -> None:
    graph = {name: set(imported_by(tree)) - {name} for name, tree in TREES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "needs"),
    [
        ("channels.websocket", "DJANGO_SETTINGS_MODULE"),
        ("channels.authenticator", "DJANGO_SETTINGS_MODULE"),
        ("fast_channels.websocket", None),
        ("core.decorators", None),
        ("messages.outgoing", None),
    ],
)
def test_production_never_loads_the_side_of_the_test(
    module: str, needs: str | None
) -> None:
    code = (
        f"import sys, chanx_testing.{module}\n"
        f"rooms = {sorted(f'chanx_testing.{room}' for room in TEST_SIDE)}\n"
        "print([name for name in sys.modules if name.startswith(tuple(rooms))])"
    )
    if needs is not None:
        code = f"import os; os.environ[{needs!r}] = 'tests.settings'\n{code}"
    result = run_code([], code)
    assert (result.stdout, result.stderr) == ("[]\n", "")


def test_the_wall_is_in_the_table() -> None:
    """What production may import, through however many rooms, is not the test's."""
    reached, pending = (
        set(),
        [*CONSUMERS, "channels.websocket", "channels.authenticator"],
    )
    while pending:
        room = pending.pop()
        if room not in reached:
            reached.add(room)
            pending += ALLOWED[room]
    assert reached & TEST_SIDE == set()
