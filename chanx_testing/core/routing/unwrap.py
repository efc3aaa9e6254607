"""The router or consumer inside the middleware of an ASGI application.

Nothing is called and no property is read: only what an object stores is looked at, so
looking has no side effects. No framework is imported either; each kind of router is
recognised by its shape.
"""

import contextlib
import functools
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

Kind = Literal["consumer", "protocols", "django_routes", "asgi_routes", "http_only"]

# Where middleware keeps the application it wraps, the usual names first.
_USUAL_NAMES: Final = (
    "inner",
    "app",
    "application",
    "router",
    "asgi_app",
    "wrapped_app",
    "_inner",
    "_app",
    "_application",
    "_wrapped",
    "__wrapped__",
)
_MISSING: Final = object()
# An application may refer to half the program. A router further away than this counts
# as one that cannot be seen.
_MOST_OBJECTS: Final = 2000
_MOST_LAYERS: Final = 64


class Unwrapped(NamedTuple):
    """What lies under an application.

    Attributes:
        layers: The wrappers passed on the way, outermost first.
        core: The application that decides: a router or a consumer's application.
        kind: What ``core`` is.
    """

    layers: tuple[Any, ...]
    core: Any
    kind: Kind


def stored(owner: object) -> dict[str, Any]:
    """Return the attributes that ``owner`` itself holds, slots included.

    Properties and ``__getattr__`` are code of the application: they are not asked.
    """
    found: dict[str, Any] = {}
    for klass in reversed(type(owner).__mro__):
        for name, member in vars(klass).items():
            if isinstance(member, types.MemberDescriptorType):
                value = _slot(member, owner)
                if value is not _MISSING:
                    found[name] = value
    with contextlib.suppress(AttributeError):  # no __dict__, all slots
        found.update(object.__getattribute__(owner, "__dict__"))
    return found


def _slot(member: types.MemberDescriptorType, owner: object) -> Any:
    try:
        return member.__get__(owner)
    except AttributeError:  # the slot was never filled
        return _MISSING


def consumer_class_of(application: object) -> type | None:
    """Return the consumer class behind ``application``, or None.

    Args:
        application: The result of ``as_asgi()``, that function wrapped by
            ``functools.wraps``, a consumer or a consumer class.
    """
    named = stored(application).get("consumer_class")
    if isinstance(named, type):
        return named
    klass = application if isinstance(application, type) else type(application)
    return klass if any("as_asgi" in vars(base) for base in klass.__mro__) else None


def kind_of(application: object) -> Kind | None:
    """Return the kind of ``application``, None if it only wraps another one."""
    if consumer_class_of(application) is not None:
        return "consumer"
    if isinstance(application, type):
        return None
    attributes = stored(application)
    if isinstance(attributes.get("application_mapping"), Mapping):
        return "protocols"
    if (kind := _kind_of_routes(application, attributes.get("routes"))) is not None:
        return kind
    bases = type(application).__mro__
    is_django = any(base.__module__ == "django.core.handlers.asgi" for base in bases)
    return "http_only" if is_django else None


def _kind_of_routes(application: object, routes: object) -> Kind | None:
    if not isinstance(routes, list | tuple):
        return None
    if not routes:
        return "django_routes" if has_member(application, "_path_routing") else None
    if all(hasattr(r, "pattern") and hasattr(r, "callback") for r in routes):
        return "django_routes"
    return "asgi_routes" if all(hasattr(r, "matches") for r in routes) else None


def has_member(owner: object, name: str) -> bool:
    """Return whether the class of ``owner`` defines ``name``; it is not evaluated."""
    return any(name in vars(base) for base in type(owner).__mro__)


def unwrap(application: object, *, with_globals: bool = True) -> Unwrapped | None:
    """Look through the layers of ``application`` for the router or consumer inside.

    The usual attribute names are followed first; then everything else an object or a
    function holds: attributes, closures, the arguments of a ``partial``. If they
    lead to two different things, nothing shows which of them answers a WebSocket, and
    nothing is guessed.

    Args:
        application: The outermost layer.
        with_globals: Follow the module globals that a function names too, as a
            dispatcher written by hand needs.

    Returns:
        What was found, or None if ``application`` cannot be seen through.
    """
    return _Search().unwrap(application, with_globals=with_globals)


class _Search:
    """One search through an application, which looks at each object once."""

    def __init__(self) -> None:
        # The objects are kept beside the answers: an id is only unique while its
        # owner lives.
        self._known: dict[int, tuple[object, Unwrapped | None]] = {}
        self._depth = 0

    def unwrap(self, application: object, *, with_globals: bool) -> Unwrapped | None:
        if id(application) in self._known:
            return self._known[id(application)][1]
        if len(self._known) >= _MOST_OBJECTS or self._depth >= _MOST_LAYERS:
            return None
        self._known[id(application)] = (application, None)  # ends cycles
        self._depth += 1
        found = self._look(application, with_globals=with_globals)
        self._depth -= 1
        self._known[id(application)] = (application, found)
        return found

    def _look(self, application: object, *, with_globals: bool) -> Unwrapped | None:
        if (kind := kind_of(application)) is not None:
            return Unwrapped((), application, kind)
        for child in _usual_children(application):
            if (found := self.unwrap(child, with_globals=with_globals)) is not None:
                return self._under(application, found)
        found = self._only_one(_other_children(application), with_globals=with_globals)
        if found is None and with_globals:
            # One step only: a global's own globals lead through the whole program.
            found = self._only_one(_named_globals(application), with_globals=False)
        return None if found is None else self._under(application, found)

    def _only_one(
        self, children: Iterator[object], *, with_globals: bool
    ) -> Unwrapped | None:
        cores: dict[int, Unwrapped] = {}
        for child in children:
            found = self.unwrap(child, with_globals=with_globals)
            if found is not None:
                cores.setdefault(id(found.core), found)
        # Django's HTTP application beside another one is not what answers a WebSocket.
        websocket = [found for found in cores.values() if found.kind != "http_only"]
        candidates = websocket or list(cores.values())
        return candidates[0] if len(candidates) == 1 else None

    @staticmethod
    def _under(application: object, found: Unwrapped) -> Unwrapped:
        return found._replace(layers=(application, *found.layers))


def _may_be_application(value: object) -> bool:
    if isinstance(value, type):
        return consumer_class_of(value) is not None
    return callable(value) and not isinstance(value, types.BuiltinFunctionType)


def _usual_children(application: object) -> Iterator[object]:
    if isinstance(application, functools.partial):
        yield application.func
    attributes = stored(application)
    for name in _USUAL_NAMES:
        value = attributes.get(name, _MISSING)
        if value is _MISSING:
            value = _class_attribute(application, name)
        if _may_be_application(value):
            yield value


def _class_attribute(application: object, name: str) -> object:
    for klass in type(application).__mro__:
        if name in vars(klass):
            value = vars(klass)[name]
            return _MISSING if isinstance(value, types.FunctionType) else value
    return _MISSING


def _other_children(application: object) -> Iterator[object]:
    values: list[object] = list(stored(application).values())
    if isinstance(application, functools.partial):
        values += [*application.args, *application.keywords.values()]
    if isinstance(application, types.MethodType):
        values += [application.__self__, application.__func__]
    if isinstance(application, types.FunctionType):
        values += _cells(application)
    yield from filter(_may_be_application, values)


def _cells(function: types.FunctionType) -> list[object]:
    values = []
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # the name is not bound yet
            continue
    return values


def _named_globals(application: object) -> Iterator[object]:
    function = application
    if isinstance(function, types.MethodType):
        function = function.__func__
    if isinstance(function, types.FunctionType):
        for name in function.__code__.co_names:
            value = function.__globals__.get(name, _MISSING)
            # A class that is merely named may be there for its broadcasts.
            if not isinstance(value, type) and _may_be_application(value):
                yield value
