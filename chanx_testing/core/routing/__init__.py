"""Which consumer answers a path, read from the application without calling it."""

from chanx_testing.core.routing.routes import (
    NoRouteError,
    NoWebsocketError,
    Route,
    RoutingError,
    consumer_for,
    find_route,
    list_routes,
)

__all__ = [
    "NoRouteError",
    "NoWebsocketError",
    "Route",
    "RoutingError",
    "consumer_for",
    "find_route",
    "list_routes",
]
