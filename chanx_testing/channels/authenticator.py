"""An authenticator that decides as Django REST framework decides on a request."""

import json
import logging
from collections.abc import Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, Protocol, cast

from channels.db import database_sync_to_async
from django.core.exceptions import (
    BadRequest,
    ImproperlyConfigured,
    SuspiciousOperation,
)
from django.db.models import Model, QuerySet
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from chanx_testing.channels.handshake import handshake_request, without_laziness
from chanx_testing.channels.settings import chanx_setting
from chanx_testing.core.authenticator import BaseAuthenticator, SendMessage
from chanx_testing.messages.outgoing import (
    AuthenticationMessage,
    AuthenticationPayload,
)

__all__ = ["DjangoAuthenticator"]


class SupportsAll(Protocol):
    """A queryset or a manager."""

    def all(self) -> Any:
        """Return a queryset that has not been evaluated."""


_CLASS_LISTS: Final = (
    "authentication_classes",
    "permission_classes",
    "throttle_classes",
)


# Attributes of the class of the same name in the chanx package. Ignored, they would let
# in connections that chanx refuses.
_UNSUPPORTED: Final = ("auth_method", "auth_view_class", "override_http_methods")


class DjangoAuthenticator(BaseAuthenticator):
    """An authenticator that decides as an API view of the project would.

    The handshake is an HTTP request. Its path, query, headers, cookies and client
    address go through the authentication, permission and throttle classes that guard
    the project's API, and the status is that of the API's answer: 401, 403, 404, 429...

    A list of classes that is None here is taken from ``settings.REST_FRAMEWORK``,
    throttles included; an empty list means no classes::

        class RoomAuthenticator(DjangoAuthenticator):
            authentication_classes = [SessionAuthentication, TokenAuthentication]
            permission_classes = [IsAuthenticated, IsMember]
            queryset = Room.objects.all()
            lookup_url_kwarg = "room_id"

    With a ``queryset``, the object that the URL names is looked up, checked by
    ``has_object_permission`` and kept as :attr:`obj`. Session authentication works
    behind ``AuthMiddlewareStack`` and without it. Permission classes see a view that
    also has the attributes of the authenticator, such as ``required_scopes``.

    A browser can send a token in the query string or as a subprotocol only. Both are
    a few lines in an authentication class of the project::

        class QueryTokenAuthentication(TokenAuthentication):
            def authenticate(self, request):
                token = request.query_params.get("token")
                return None if token is None else self.authenticate_credentials(token)

        class SubprotocolTokenAuthentication(TokenAuthentication):
            def authenticate(self, request):
                match request.scope["subprotocols"]:
                    case ["access_token", token, *_]:
                        return self.authenticate_credentials(token)
                return None

    Session authentication asks for no CSRF token here, as it asks for none on a GET:
    that another site opens the connection is prevented by ``OriginValidator``.

    Attributes:
        authentication_classes: None: ``DEFAULT_AUTHENTICATION_CLASSES``.
        permission_classes: None: ``DEFAULT_PERMISSION_CLASSES``.
        throttle_classes: None: ``DEFAULT_THROTTLE_CLASSES``.
        queryset: Where to look up the object; None: there is no object.
        lookup_field: The field of the model to look up by.
        lookup_url_kwarg: The keyword of the URL with its value; None: the same name.
        send_authentication_message: Whether to send the outcome to the client. None:
            the consumer decides, or, without a consumer,
            ``CHANX["SEND_AUTHENTICATION_MESSAGE"]``.
        user: The user, never a lazy object. None until the authentication classes have
            run, and if they refuse the credentials.
        auth: What the authentication class returned beside the user, such as a token.
        obj: The object looked up, or None.
        status_code: The HTTP status; None until it is known.
        request: REST framework's request, for methods that a subclass overrides.
    """

    authentication_classes: ClassVar[Sequence[Any] | None] = None
    permission_classes: ClassVar[Sequence[Any] | None] = None
    throttle_classes: ClassVar[Sequence[Any] | None] = None
    queryset: ClassVar[SupportsAll | None] = None
    lookup_field: ClassVar[str] = "pk"
    lookup_url_kwarg: ClassVar[str | None] = None
    send_authentication_message: bool | None = None

    auth: Any = None
    request: Request | None = None

    def __init__(
        self,
        send_message: SendMessage,
        *,
        send_authentication_message: bool | None = None,
    ) -> None:
        """Store the function that sends to the client.

        Args:
            send_message: The consumer's ``send_message``.
            send_authentication_message: Overrides the class attribute unless None.
        """
        super().__init__(send_message)
        if send_authentication_message is not None:
            self.send_authentication_message = send_authentication_message
        self._view: _HandshakeView | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse attributes that cannot work.

        Raises:
            TypeError: A class stands where a list of classes belongs, as in
                ``permission_classes = IsAuthenticated``; or an attribute has a meaning
                in ``chanx`` and none here.
        """
        super().__init_subclass__(**kwargs)
        for name in _UNSUPPORTED:
            if hasattr(cls, name):
                raise TypeError(
                    f"{cls.__qualname__}.{name} has no effect: a handshake is a GET, "
                    "decided on by the classes of the authenticator itself. Say what "
                    "you need with permission_classes."
                )
        for name in _CLASS_LISTS:
            value = getattr(cls, name)
            if value is not None and not isinstance(value, list | tuple):
                shown = getattr(value, "__name__", repr(value))
                raise TypeError(
                    f"{cls.__qualname__}.{name} is {shown}, expected a list or a "
                    f"tuple of classes: {name} = [{shown}]."
                )

    async def authenticate(self, scope: MutableMapping[str, Any]) -> bool:
        """Decide on the connection with this scope, and send the client the outcome.

        Returns:
            True if the status is 200.

        Raises:
            ImproperlyConfigured: The route has no keyword to look the object up by.
            Exception: Whatever a class of the project raises that REST framework does
                not turn into an answer. It is a bug, not a refusal.
        """
        self.user = self.auth = self.obj = self.status_code = self.request = None
        response = await database_sync_to_async(self._answer)(scope)
        self.status_code = response.status_code
        accepted: bool = response.status_code == HTTPStatus.OK
        if self._sends_outcome():
            payload = AuthenticationPayload(
                status_code=response.status_code,
                status_text=response.status_text,
                data=_plain(response.data),
            )
            await self.send_message(AuthenticationMessage(payload=payload))
        return accepted

    def get_queryset(self) -> QuerySet[Any]:
        """Return the objects that may be looked up; override it to depend on the user.

        Raises:
            ImproperlyConfigured: There is no :attr:`queryset`.
        """
        if self.queryset is None:
            name = type(self).__qualname__
            raise ImproperlyConfigured(
                f"{name} has no queryset: set {name}.queryset or override "
                "get_queryset()."
            )
        queryset: QuerySet[Any] = self.queryset.all()
        return queryset

    def get_object(self) -> Any:
        """Return the object that the URL names.

        Override it to find the object in another way: raise ``Http404`` if it does not
        exist, return None if this route has no object. The permissions for the object
        are checked afterwards in any case.

        Raises:
            Http404: There is no such object.
            ImproperlyConfigured: The route has no keyword to look the object up by.
            RuntimeError: :meth:`authenticate` is not running.
        """
        if self._view is None:
            raise RuntimeError("get_object() is called while authenticate() runs.")
        self._check_lookup(self._view.kwargs)
        return GenericAPIView.get_object(self._view)

    def _answer(self, scope: MutableMapping[str, Any]) -> Response:
        """Run the view, in a thread that may use the database."""
        route: Mapping[str, Any] = scope.get("url_route", {})
        args, kwargs = route.get("args", ()), route.get("kwargs", {})
        view = self._view = _HandshakeView(self)
        try:
            request = handshake_request(scope)
        except UnicodeDecodeError:
            # As Django's handler answers a request that it cannot decode.
            return _bad_request()
        view.setup(request, *args, **kwargs)
        # The stubs know only Django's responses; the view makes every answer.
        return cast(Response, view.dispatch(request, *args, **kwargs))

    def _looks_up_object(self) -> bool:
        return (
            self.queryset is not None
            or type(self).get_queryset is not DjangoAuthenticator.get_queryset
            or type(self).get_object is not DjangoAuthenticator.get_object
        )

    def _check_lookup(self, kwargs: Mapping[str, Any]) -> None:
        keyword = self.lookup_url_kwarg or self.lookup_field
        if keyword in kwargs:
            return
        name = type(self).__qualname__
        seen = ", ".join(map(repr, kwargs)) or "none"
        hint = f" Set lookup_url_kwarg = {next(iter(kwargs))!r}." if kwargs else ""
        raise ImproperlyConfigured(
            f"{name} looks its object up by the URL keyword {keyword!r}; the keywords "
            f"of this route are: {seen}.{hint} Where there is no object to look up, "
            "override get_object() to return None."
        )

    def _sends_outcome(self) -> bool:
        if self.send_authentication_message is not None:
            return self.send_authentication_message
        # Used without a consumer, which would have set the attribute.
        return bool(chanx_setting("SEND_AUTHENTICATION_MESSAGE"))


class _FirstRenderer(BaseContentNegotiation):
    """The choice of the first renderer: a handshake has no body to negotiate."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(
        self, request: Any, renderers: Any, format_suffix: Any = None
    ) -> Any:
        return renderers[0], renderers[0].media_type


class _HandshakeView(GenericAPIView[Model]):
    """The view whose answer to a GET decides on a connection."""

    content_negotiation_class = _FirstRenderer
    renderer_classes = (JSONRenderer,)

    def __init__(self, authenticator: DjangoAuthenticator) -> None:
        super().__init__()
        self.authenticator = authenticator
        self._checked: list[Any] = []
        # The class attributes of APIView are the settings at import; these are the
        # settings now.
        for name in _CLASS_LISTS:
            value = getattr(authenticator, name)
            if value is None:
                value = getattr(api_settings, f"DEFAULT_{name.upper()}")
            setattr(self, name, value)
        # The stubs say that these are paths; the settings object has imported them.
        defaults: Any = api_settings
        self.versioning_class = defaults.DEFAULT_VERSIONING_CLASS
        self.filter_backends = defaults.DEFAULT_FILTER_BACKENDS
        self.lookup_field = authenticator.lookup_field
        self.lookup_url_kwarg = authenticator.lookup_url_kwarg

    def __getattr__(self, name: str) -> Any:
        # Called only for what the view lacks, such as required_scopes.
        if name.startswith("_") or name == "authenticator":
            raise AttributeError(name)
        return getattr(self.authenticator, name)

    def get_queryset(self) -> QuerySet[Any]:
        return self.authenticator.get_queryset()

    def perform_authentication(self, request: Request) -> None:
        self.authenticator.request = request
        super().perform_authentication(request)
        self.authenticator.user = without_laziness(request.user)
        self.authenticator.auth = request.auth

    def check_object_permissions(self, request: Request, obj: Any) -> None:
        self._checked.append(obj)
        super().check_object_permissions(request, obj)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        if self.authenticator._looks_up_object():
            obj = self.authenticator.get_object()
            # An override that forgets the check would let everybody in.
            if obj is not None and not any(seen is obj for seen in self._checked):
                self.check_object_permissions(request, obj)
            self.authenticator.obj = obj
        return Response({"detail": "OK"})

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, SuspiciousOperation | BadRequest):
            # REST framework leaves these to Django, which answers 400 and logs them.
            logger = logging.getLogger(f"django.security.{type(exc).__name__}")
            logger.error(str(exc), extra={"status_code": 400})
            return _bad_request()
        response = super().handle_exception(exc)
        is_server_error = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        if is_server_error and not isinstance(exc, APIException):
            # The project's EXCEPTION_HANDLER hides its bugs from API clients. Here
            # that would make a bug look like a refusal.
            raise exc
        return response


def _bad_request() -> Response:
    return Response({"detail": "Bad request."}, status=HTTPStatus.BAD_REQUEST)


def _plain(data: Any) -> Any:
    """Return ``data`` in the types of JSON, without those of REST framework."""
    rendered = JSONRenderer().render(data)
    return json.loads(rendered) if rendered else None
