"""Which consumer answers a path, read from the application without calling it.

Follows the rules by which Channels and Starlette dispatch, through any nesting of the
two. Neither is imported.

The errors::

    LookupError
    └── RoutingError
        ├── NoWebsocketError   the application answers no WebSocket at all
        └── NoRouteError       no route for this path
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import FunctionType
from typing import Any
from urllib.parse import unquote, urlparse

from chanx_testing.core.hiding.handshake import conceal_path
from chanx_testing.core.routing.unwrap import (
    Unwrapped,
    consumer_class_of,
    stored,
    unwrap,
)


class RoutingError(LookupError):
    """The routing of the application leads nowhere."""


class NoWebsocketError(RoutingError):
    """The application answers no WebSocket.

    Attributes:
        protocols: The protocols it answers instead.
    """

    def __init__(self, protocols: tuple[str, ...]) -> None:
        super().__init__(protocols)
        self.protocols = protocols

    def __str__(self) -> str:
        seen = ", ".join(map(repr, self.protocols)) or "none"
        return (
            'The application has no "websocket" among its protocols; it has: '
            f"{seen}. Wrap it: ProtocolTypeRouter"
            '({"http": ..., "websocket": URLRouter([...])}).'
        )


class NoRouteError(RoutingError):
    """No route of the application answers the path.

    Attributes:
        path: The path that was looked for.
        routes: The routes there are, as ``"/ws/<int:pk>/ -> RoomConsumer"``.
        nearest: The pattern or path most like ``path``, or None.
    """

    def __init__(self, path: str, routes: tuple[str, ...], nearest: str | None) -> None:
        super().__init__(path, routes, nearest)
        self.path = path
        self.routes = routes
        self.nearest = nearest

    def __str__(self) -> str:
        lines = [f"No WebSocket route for {conceal_path(self.path)!r}."]
        if self.routes:
            lines.append("The application has these routes:")
            lines.extend(f"  {route}" for route in self.routes)
        else:
            lines.append("The application's routers have no routes at all.")
        if self.nearest is not None:
            lines.append(f"Did you mean {conceal_path(self.nearest)!r}?")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Route:
    r"""Where a path leads.

    Attributes:
        pattern: The route as text, such as ``/ws/rooms/<int:pk>/`` or, for a regular
            expression, ``^ws/(?P<room>\w+)/$``. Empty where no router is passed.
        consumer: The consumer class; None if the application is not a consumer.
        application: What the router calls.
        args: Unnamed groups of the pattern.
        kwargs: Named parts of the path, converted, with the route's defaults.
        middleware: The wrappers passed on the way, outermost first.
    """

    pattern: str
    consumer: type | None
    application: Any
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    middleware: tuple[Any, ...] = ()

    def __str__(self) -> str:
        target = self.consumer or self.application
        named = target if isinstance(target, type | FunctionType) else type(target)
        return f"{self.pattern or '(every path)'} -> {named.__name__}"


def find_route(application: Any, path: str, *, root_path: str = "") -> Route | None:
    """Return the route by which ``application`` answers ``path``.

    Args:
        application: An ASGI application, with any middleware around it.
        path: As a communicator takes it: a path or a full URL; the query is left out.
        root_path: What the server puts before the paths of this application.

    Returns:
        The route, or None if ``application`` cannot be seen through.

    Raises:
        NoWebsocketError: The application answers no WebSocket at all.
        NoRouteError: The application routes by path, and has no route for this one.
    """
    place = _Place(path=_path_of(path), root_path=root_path)
    found = next(_find(application, place), None)
    if found is not None:
        return found
    routes = list_routes(application)
    if not routes and _is_opaque(application):
        return None
    nearest = _with_other_slash(application, place) or _nearest(place.path, routes)
    raise NoRouteError(place.path, tuple(map(str, routes)), nearest)


def consumer_for(application: Any, path: str) -> type | None:
    """Return the consumer class that answers ``path``, or None.

    None stands for an application that is not a consumer, and for one that cannot be
    seen through.

    Raises:
        NoWebsocketError: See :func:`find_route`.
        NoRouteError: See :func:`find_route`.
    """
    route = find_route(application, path)
    return None if route is None else route.consumer


def list_routes(application: Any) -> list[Route]:
    """Return every WebSocket route of ``application``, in the order they are tried.

    Their ``args`` and ``kwargs`` are empty: no path has been matched.
    """
    return list(_every(application, _Place(path="")))


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a path has been followed."""

    path: str
    root_path: str = ""
    remaining: str | None = None  # what outer Channels routers left of the path
    pattern: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    middleware: tuple[Any, ...] = ()
    routers: tuple[Any, ...] = ()
    routed: bool = False

    def look(self, application: Any) -> tuple[Unwrapped | None, "_Place"]:
        """Unwrap ``application``, met here."""
        found = unwrap(application, with_globals=not self.routed)
        # A route may lead to something that refers to the router above it, as FastAPI's
        # endpoints do: following that would never end.
        if found is None or any(found.core is router for router in self.routers):
            return None, self
        place = replace(
            self,
            middleware=self.middleware + found.layers,
            routers=(*self.routers, found.core),
        )
        return found, place

    def under(self, pattern: str, **changes: Any) -> "_Place":
        return replace(self, pattern=self.pattern + pattern, routed=True, **changes)

    def end(self, application: Any) -> Route:
        shown = self.pattern
        if self.routed and not shown.startswith("^"):
            shown = "/" + shown.lstrip("/")
        return Route(
            shown,
            consumer_class_of(application),
            application,
            self.args,
            self.kwargs,
            self.middleware,
        )


def _find(application: Any, place: _Place) -> Iterator[Route]:
    """Yield the routes for the path of ``place`` in the order of dispatch."""
    found, place = place.look(application)
    if found is None:
        if place.routed:
            yield place.end(application)
        return
    match found.kind:
        case "consumer":
            yield place.end(found.core)
        case "protocols":
            yield from _find(_websocket_of(found.core), place)
        case "http_only":
            # Behind a route this is the rest of the site: not a WebSocket route.
            if not place.routed:
                raise NoWebsocketError(("http",))
        case "django_routes":
            yield from _find_django(found.core, place)
        case "asgi_routes":
            yield from _find_asgi(found.core, place)


def _find_django(router: Any, place: _Place) -> Iterator[Route]:
    if place.remaining is not None:
        path = place.remaining
    elif place.path.startswith(place.root_path):
        path = place.path[len(place.root_path) :]
    else:
        return
    path = path.lstrip("/")
    for route in stored(router)["routes"]:
        match = route.pattern.match(path)
        if match:
            remaining, args, kwargs = match
            inner = place.under(
                str(route.pattern),
                remaining=remaining,
                args=place.args + args,
                kwargs={**place.kwargs, **kwargs, **route.default_args},
            )
            # A nested router without a match lets the next route try, as Channels does.
            yield from _find(route.callback, inner)


def _find_asgi(router: Any, place: _Place) -> Iterator[Route]:
    scope = {
        "type": "websocket",
        "path": place.path,
        "root_path": place.root_path,
        "path_params": place.kwargs,
        "query_string": b"",
        "headers": [],
    }
    for route in _flat(router):
        match, child_scope = route.matches(dict(scope))
        if match.name == "FULL":
            inner = place.under(
                getattr(route, "path", ""),
                root_path=child_scope.get("root_path", place.root_path),
                kwargs=child_scope.get("path_params", place.kwargs),
            )
            yield from _find(_asgi_target(route), inner)


def _every(application: Any, place: _Place) -> Iterator[Route]:
    """Yield every route under ``application``."""
    found, place = place.look(application)
    if found is None:
        if place.routed:
            yield place.end(application)
        return
    match found.kind:
        case "consumer":
            yield place.end(found.core)
        case "protocols":
            mapping = stored(found.core)["application_mapping"]
            if "websocket" in mapping:
                yield from _every(mapping["websocket"], place)
        case "django_routes":
            for route in stored(found.core)["routes"]:
                yield from _every(route.callback, place.under(str(route.pattern)))
        case "asgi_routes":
            for route in _flat(found.core):
                if not hasattr(route, "methods"):  # those of HTTP have methods
                    inner = place.under(getattr(route, "path", ""))
                    yield from _every(_asgi_target(route), inner)


def _websocket_of(router: Any) -> Any:
    mapping: Mapping[str, Any] = stored(router)["application_mapping"]
    if "websocket" not in mapping:
        raise NoWebsocketError(tuple(map(str, mapping)))
    return mapping["websocket"]


def _flat(router: Any) -> Iterator[Any]:
    """Yield the routes of a Starlette router, those of FastAPI's included ones too."""
    for route in stored(router)["routes"]:
        if hasattr(route, "effective_route_contexts"):
            for context in route.effective_route_contexts():
                yield context.starlette_route or context.original_route
        else:
            yield route


def _asgi_target(route: Any) -> Any:
    """Return what was given to the route; Starlette wraps an endpoint function."""
    attributes = stored(route)
    return attributes.get("endpoint", attributes.get("app"))


def _is_opaque(application: Any) -> bool:
    found = unwrap(application)
    if found is not None and found.kind == "protocols":
        return _is_opaque(_websocket_of(found.core))
    return found is None


def _path_of(path: str) -> str:
    return unquote(urlparse(path).path)


def _with_other_slash(application: Any, place: _Place) -> str | None:
    path = place.path[:-1] if place.path.endswith("/") else place.path + "/"
    found = next(_find(application, replace(place, path=path)), None)
    return None if found is None else path


def _nearest(path: str, routes: list[Route]) -> str | None:
    """Return the pattern most like ``path``, its parameters taken as filled in."""
    filled = {_filled_in(route.pattern, path): route.pattern for route in routes}
    close = difflib.get_close_matches(path, filled, n=1)
    return filled[close[0]] if close else None


def _filled_in(pattern: str, path: str) -> str:
    """Return ``pattern`` with each parameter replaced by what ``path`` has there."""
    text = re.sub(r"\(\?P<(\w+)>[^()]*\)", r"<\1>", pattern)
    text = "/" + text.replace("^", "").replace("$", "").lstrip("/")
    parts = path.split("/")
    filled = [
        parts[index] if index < len(parts) and re.search(r"[<{]", part) else part
        for index, part in enumerate(text.split("/"))
    ]
    return "/".join(filled)
