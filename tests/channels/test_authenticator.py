"""A connection is decided on as REST framework decides on a request."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.http import Http404
from django.test import override_settings
from django.urls import path
from django.utils.functional import LazyObject
from rest_framework.authentication import (
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.authtoken.models import Token
from rest_framework.exceptions import APIException
from rest_framework.filters import BaseFilterBackend
from rest_framework.permissions import (
    AllowAny,
    BasePermission,
    DjangoModelPermissions,
    IsAdminUser,
    IsAuthenticated,
)
from rest_framework.response import Response
from rest_framework.throttling import AnonRateThrottle, BaseThrottle, ScopedRateThrottle
from rest_framework.views import exception_handler
from rest_framework_simplejwt.authentication import JWTAuthentication

from chanx_testing.channels.authenticator import DjangoAuthenticator
from chanx_testing.channels.login import (
    Credentials,
    JWTLogin,
    SessionLogin,
    TokenLogin,
    alog_in,
    amake_user,
    make_user,
)
from chanx_testing.channels.websocket import AsyncJsonWebsocketConsumer
from chanx_testing.messages.base import BaseMessage
from tests.support.cases import KeptOpenTestCase
from tests.support.people.models import Room


def websocket_scope(
    credentials: Credentials | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """Return the scope of a handshake as a server makes it."""
    credentials = credentials or Credentials()
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/ws/",
        "query_string": b"",
        "headers": [(b"host", b"testserver"), *credentials.headers],
        "subprotocols": credentials.subprotocols,
        "client": ("127.0.0.1", 50000),
        "server": ("testserver", 80),
        "scheme": "ws",
    }
    if kwargs is not None:
        scope["url_route"] = {"args": (), "kwargs": dict(kwargs)}
    return {**scope, **changes}


class Outcome:
    """What came of one authentication."""

    def __init__(self, kind: type[DjangoAuthenticator], **options: Any) -> None:
        self.messages: list[Any] = []
        self.accepted: bool | None = None
        self.authenticator = kind(self.collect, **options)

    async def collect(self, message: BaseMessage) -> None:
        self.messages.append(message)

    @property
    def said(self) -> tuple[int, str, Any]:
        """The status, its text and the data of the only message."""
        [message] = self.messages
        payload = message.payload
        return payload.status_code, payload.status_text, payload.data


async def decide(
    kind: type[DjangoAuthenticator], scope: dict[str, Any], **options: Any
) -> Outcome:
    """Let an authenticator of this kind decide on ``scope``."""
    outcome = Outcome(kind, **options)
    outcome.accepted = await outcome.authenticator.authenticate(scope)
    return outcome


class Anybody(DjangoAuthenticator):
    authentication_classes = []
    permission_classes = [AllowAny]


class SessionOnly(DjangoAuthenticator):
    authentication_classes = [SessionAuthentication]
    permission_classes = [IsAuthenticated]


class TokenOnly(DjangoAuthenticator):
    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]


class IsOwner(BasePermission):
    """Lets the owner of a room in; counts how often it is asked."""

    asked = 0

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        type(self).asked += 1
        return bool(obj.owner_pk == request.user.pk)


class RoomAuthenticator(TokenOnly):
    permission_classes = [IsAuthenticated, IsOwner]
    queryset = Room.objects.all()
    lookup_field = "name"


class Broken(BasePermission):
    """Has a bug."""

    def has_permission(self, request: Any, view: Any) -> bool:
        raise ZeroDivisionError("a bug")


def hiding_handler(error: Exception, context: Any) -> Response:
    """Answer every error, as the handlers of some projects do."""
    answer = exception_handler(error, context)
    return answer or Response({"detail": "Oops."}, status=500)


class RefusalTests(KeptOpenTestCase):
    async def test_missing_credentials_are_401_where_the_scheme_has_a_challenge(
        self,
    ) -> None:
        outcome = await decide(TokenOnly, websocket_scope())
        self.assertIs(outcome.accepted, False)
        self.assertEqual(
            outcome.said,
            (
                401,
                "Unauthorized",
                {"detail": "Authentication credentials were not provided."},
            ),
        )
        self.assertEqual(outcome.authenticator.status_code, 401)
        self.assertEqual(outcome.authenticator.close_code, 4401)

    async def test_missing_credentials_are_403_where_it_has_none(self) -> None:
        outcome = await decide(SessionOnly, websocket_scope())
        self.assertEqual(
            outcome.said,
            (
                403,
                "Forbidden",
                {"detail": "Authentication credentials were not provided."},
            ),
        )
        self.assertEqual(outcome.authenticator.close_code, 4403)

    async def test_wrong_token_is_401(self) -> None:
        scope = websocket_scope(Credentials([(b"authorization", b"Token nope")]))
        outcome = await decide(TokenOnly, scope)
        self.assertEqual(
            outcome.said, (401, "Unauthorized", {"detail": "Invalid token."})
        )
        self.assertIsNone(outcome.authenticator.user)

    async def test_missing_permission_is_403_and_the_user_is_known(self) -> None:
        class AdminOnly(TokenOnly):
            permission_classes = [IsAdminUser]

        user = await amake_user()
        scope = websocket_scope(await alog_in(TokenLogin(), user))
        outcome = await decide(AdminOnly, scope)
        self.assertEqual(
            outcome.said,
            (
                403,
                "Forbidden",
                {"detail": "You do not have permission to perform this action."},
            ),
        )
        self.assertEqual(outcome.authenticator.user, user)

    async def test_inactive_user_is_refused(self) -> None:
        user = await amake_user(is_active=False)
        scope = websocket_scope(await alog_in(TokenLogin(), user))
        outcome = await decide(TokenOnly, scope)
        self.assertEqual(outcome.said[2], {"detail": "User inactive or deleted."})

    async def test_throttled_is_429(self) -> None:
        class OncePerDay(AnonRateThrottle):
            rate = "1/day"

        class Throttled(Anybody):
            throttle_classes = [OncePerDay]

        cache.clear()
        self.addCleanup(cache.clear)
        self.assertIs((await decide(Throttled, websocket_scope())).accepted, True)
        outcome = await decide(Throttled, websocket_scope())
        self.assertEqual(outcome.said[:2], (429, "Too Many Requests"))
        self.assertEqual(outcome.authenticator.close_code, 4429)
        other = websocket_scope(client=("10.0.0.1", 1))
        self.assertIs((await decide(Throttled, other)).accepted, True)

    async def test_error_that_a_permission_means_keeps_its_status(self) -> None:
        class Busy(APIException):
            status_code = 503
            default_detail = "Come back later."

        class Closed(BasePermission):
            def has_permission(self, request: Any, view: Any) -> bool:
                raise Busy

        class Kind(Anybody):
            permission_classes = [Closed]

        outcome = await decide(Kind, websocket_scope())
        self.assertEqual(
            outcome.said, (503, "Service Unavailable", {"detail": "Come back later."})
        )

    async def test_query_that_cannot_be_decoded_is_400(self) -> None:
        outcome = await decide(Anybody, websocket_scope(query_string=b"a=\xff"))
        self.assertEqual(outcome.said, (400, "Bad Request", {"detail": "Bad request."}))

    async def test_suspicious_operation_is_400_and_logged(self) -> None:
        class AsksForHost(BasePermission):
            def has_permission(self, request: Any, view: Any) -> bool:
                return bool(request.get_host())

        class Kind(Anybody):
            permission_classes = [AsksForHost]

        scope = websocket_scope(headers=[(b"host", b"evil.example")])
        with self.assertLogs("django.security.DisallowedHost", "ERROR") as logs:
            outcome = await decide(Kind, scope)
        self.assertEqual(outcome.said[0], 400)
        self.assertIn("evil.example", logs.output[0])

    async def test_data_is_plain(self) -> None:
        outcome = await decide(TokenOnly, websocket_scope())
        self.assertIs(type(outcome.said[2]["detail"]), str)


class BugTests(KeptOpenTestCase):
    """A bug of the application is never taken for a refusal."""

    class Kind(Anybody):
        permission_classes = [Broken]

    async def test_exception_of_a_permission_comes_out(self) -> None:
        outcome = Outcome(self.Kind)
        with self.assertRaisesMessage(ZeroDivisionError, "a bug"):
            await outcome.authenticator.authenticate(websocket_scope())
        self.assertEqual(outcome.messages, [])
        self.assertIsNone(outcome.authenticator.status_code)

    @override_settings(
        REST_FRAMEWORK={"EXCEPTION_HANDLER": f"{__name__}.hiding_handler"}
    )
    async def test_handler_of_the_project_does_not_hide_it(self) -> None:
        with self.assertRaisesMessage(ZeroDivisionError, "a bug"):
            await decide(self.Kind, websocket_scope())

    @override_settings(DEBUG=True)
    async def test_debug_changes_nothing(self) -> None:
        with self.assertRaisesMessage(ZeroDivisionError, "a bug"):
            await decide(self.Kind, websocket_scope())

    def test_class_in_place_of_a_list_is_refused(self) -> None:
        with self.assertRaises(TypeError) as caught:

            class Wrong(DjangoAuthenticator):
                permission_classes = IsAuthenticated

        self.assertEqual(
            str(caught.exception),
            "BugTests.test_class_in_place_of_a_list_is_refused.<locals>.Wrong"
            ".permission_classes is IsAuthenticated, expected a list or a tuple of "
            "classes: permission_classes = [IsAuthenticated].",
        )

    def test_attribute_of_chanx_that_has_no_effect_is_refused(self) -> None:
        with self.assertRaisesMessage(
            TypeError,
            "Kind.auth_method has no effect: a handshake is a GET, decided on by the "
            "classes of the authenticator itself. Say what you need with "
            "permission_classes.",
        ):
            type("Kind", (DjangoAuthenticator,), {"auth_method": "post"})


class AcceptanceTests(KeptOpenTestCase):
    async def test_success_is_said(self) -> None:
        outcome = await decide(Anybody, websocket_scope())
        self.assertIs(outcome.accepted, True)
        self.assertEqual(outcome.said, (200, "OK", {"detail": "OK"}))

    async def test_nobody_is_an_anonymous_user(self) -> None:
        outcome = await decide(Anybody, websocket_scope())
        self.assertIs(type(outcome.authenticator.user), AnonymousUser)

    async def test_token_gives_user_and_auth(self) -> None:
        user = await amake_user()
        scope = websocket_scope(await alog_in(TokenLogin(), user))
        authenticator = (await decide(TokenOnly, scope)).authenticator
        self.assertEqual(authenticator.user, user)
        self.assertIsInstance(authenticator.auth, Token)

    async def test_basic_authentication_works(self) -> None:
        class Basic(TokenOnly):
            authentication_classes = [BasicAuthentication]

        user = await amake_user(username="ada", password="pw")
        header = (b"authorization", b"Basic YWRhOnB3")
        outcome = await decide(Basic, websocket_scope(Credentials([header])))
        self.assertEqual(outcome.authenticator.user, user)

    async def test_jwt_works(self) -> None:
        class JWT(TokenOnly):
            authentication_classes = [JWTAuthentication]

        user = await amake_user()
        scope = websocket_scope(await alog_in(JWTLogin(), user))
        self.assertEqual((await decide(JWT, scope)).authenticator.user, user)

    async def test_token_in_the_query_works(self) -> None:
        class QueryTokenAuthentication(TokenAuthentication):
            def authenticate(self, request: Any) -> Any:
                token = request.query_params.get("token")
                return None if token is None else self.authenticate_credentials(token)

        class Query(TokenOnly):
            authentication_classes = [QueryTokenAuthentication]

        user = await amake_user()
        token = await Token.objects.acreate(user=user)
        scope = websocket_scope(query_string=f"token={token.key}".encode())
        self.assertEqual((await decide(Query, scope)).authenticator.user, user)

    async def test_token_as_a_subprotocol_works(self) -> None:
        class SubprotocolAuthentication(JWTAuthentication):
            def authenticate(self, request: Any) -> Any:
                match request.scope["subprotocols"]:
                    case ["access_token", raw, *_]:
                        token = self.get_validated_token(raw)
                        return self.get_user(token), token
                return None

        class Subprotocol(TokenOnly):
            authentication_classes = [SubprotocolAuthentication]

        user = await amake_user()
        scope = websocket_scope(await alog_in(JWTLogin("subprotocol"), user))
        self.assertEqual((await decide(Subprotocol, scope)).authenticator.user, user)

    async def test_permission_sees_the_request_of_the_handshake(self) -> None:
        seen: dict[str, Any] = {}

        class Looks(BasePermission):
            def has_permission(self, request: Any, view: Any) -> bool:
                seen.update(
                    method=request.method,
                    path=request.path,
                    query=request.query_params["a"],
                    cookie=request.COOKIES["c"],
                    secure=request.is_secure(),
                    address=request.META["REMOTE_ADDR"],
                    host=request.get_host(),
                    kwargs=view.kwargs,
                    scopes=view.required_scopes,
                )
                return True

        class Kind(Anybody):
            permission_classes = [Looks]
            required_scopes = ["chat"]

        scope = websocket_scope(
            Credentials([(b"cookie", b"c=3")]),
            kwargs={"pk": 5},
            path="/ws/5/",
            query_string=b"a=b%20c",
            scheme="wss",
        )
        await decide(Kind, scope)
        self.assertEqual(
            seen,
            {
                "method": "GET",
                "path": "/ws/5/",
                "query": "b c",
                "cookie": "3",
                "secure": True,
                "address": "127.0.0.1",
                "host": "testserver",
                "kwargs": {"pk": 5},
                "scopes": ["chat"],
            },
        )

    async def test_attribute_that_nobody_has_is_missing_from_the_view(self) -> None:
        class Looks(BasePermission):
            def has_permission(self, request: Any, view: Any) -> bool:
                return not hasattr(view, "required_scopes")

        class Kind(Anybody):
            permission_classes = [Looks]

        self.assertIs((await decide(Kind, websocket_scope())).accepted, True)

    async def test_accept_header_and_format_do_not_matter(self) -> None:
        scope = websocket_scope(
            Credentials([(b"accept", b"text/html")]), query_string=b"format=xml"
        )
        self.assertIs((await decide(Anybody, scope)).accepted, True)

    async def test_second_decision_forgets_the_first(self) -> None:
        user = await amake_user()
        scope = websocket_scope(await alog_in(TokenLogin(), user))
        outcome = await decide(TokenOnly, scope)
        await outcome.authenticator.authenticate(websocket_scope())
        self.assertIsInstance(outcome.authenticator.user, AnonymousUser)
        self.assertIsNone(outcome.authenticator.auth)

    async def test_combined_permissions_work(self) -> None:
        class Kind(TokenOnly):
            permission_classes = [IsAdminUser | IsAuthenticated]

        user = await amake_user()
        scope = websocket_scope(await alog_in(TokenLogin(), user))
        self.assertIs((await decide(Kind, scope)).accepted, True)

    async def test_scoped_throttle_reads_its_scope_from_the_authenticator(self) -> None:
        class OncePerDay(ScopedRateThrottle):
            THROTTLE_RATES = {"chat": "1/day"}

        class Kind(Anybody):
            throttle_classes = [OncePerDay]
            throttle_scope = "chat"

        cache.clear()
        self.addCleanup(cache.clear)
        await decide(Kind, websocket_scope())
        self.assertEqual((await decide(Kind, websocket_scope())).said[0], 429)


class SessionTests(KeptOpenTestCase):
    async def test_session_cookie_is_enough(self) -> None:
        user = await amake_user()
        scope = websocket_scope(await alog_in(SessionLogin(), user))
        authenticator = (await decide(SessionOnly, scope)).authenticator
        self.assertEqual(authenticator.user, user)

    async def test_user_is_no_lazy_object(self) -> None:
        user = await amake_user()
        scope = websocket_scope(await alog_in(SessionLogin(), user))
        authenticator = (await decide(SessionOnly, scope)).authenticator
        self.assertIs(type(authenticator.user), get_user_model())

    @override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
    async def test_session_engine_of_the_project_is_used(self) -> None:
        user = await amake_user()
        scope = websocket_scope(await alog_in(SessionLogin(), user))
        self.assertEqual((await decide(SessionOnly, scope)).authenticator.user, user)

    async def test_forged_session_is_refused(self) -> None:
        scope = websocket_scope(Credentials([(b"cookie", b"sessionid=forged")]))
        self.assertIs((await decide(SessionOnly, scope)).accepted, False)

    async def test_session_from_before_a_new_password_is_refused(self) -> None:
        user = await amake_user(password="old")
        credentials = await alog_in(SessionLogin(), user)
        user.set_password("new")
        await user.asave()
        outcome = await decide(SessionOnly, websocket_scope(credentials))
        self.assertIs(outcome.accepted, False)

    async def test_lazy_user_of_a_middleware_is_unwrapped(self) -> None:
        class Lazy(LazyObject):  # type: ignore[type-arg]
            def _setup(self) -> None:
                self._wrapped = user

        user = await amake_user()
        outcome = await decide(SessionOnly, websocket_scope(user=Lazy(), session={}))
        self.assertIs(outcome.authenticator.user, user)

    async def test_user_of_a_middleware_is_used_without_a_session(self) -> None:
        user = await amake_user()
        outcome = await decide(SessionOnly, websocket_scope(user=user))
        self.assertIs(outcome.authenticator.user, user)

    async def test_permission_may_read_the_session(self) -> None:
        class Visited(BasePermission):
            def has_permission(self, request: Any, view: Any) -> bool:
                return "_auth_user_id" in request.session

        class Kind(SessionOnly):
            permission_classes = [Visited]

        user = await amake_user()
        scope = websocket_scope(await alog_in(SessionLogin(), user))
        self.assertIs((await decide(Kind, scope)).accepted, True)

    async def test_sessions_are_not_touched_where_nobody_asks(self) -> None:
        with override_settings(SESSION_ENGINE="no.such.engine"):
            scope = websocket_scope(Credentials([(b"cookie", b"sessionid=x")]))
            self.assertIs((await decide(Anybody, scope)).accepted, True)


class ObjectTests(KeptOpenTestCase):
    user: ClassVar[Any]
    room: ClassVar[Any]
    credentials: ClassVar[Credentials]

    @classmethod
    def setUpTestData(cls) -> None:
        cls.user = make_user()
        cls.room = Room.objects.create(name="blue", owner_pk=cls.user.pk)
        Room.objects.create(name="red", owner_pk=cls.user.pk + 1)
        cls.credentials = TokenLogin()(cls.user)

    def scope(self, **kwargs: Any) -> dict[str, Any]:
        return websocket_scope(self.credentials, kwargs=kwargs)

    async def test_route_without_the_keyword_is_a_mistake(self) -> None:
        with self.assertRaises(ImproperlyConfigured) as caught:
            await decide(RoomAuthenticator, self.scope(room_name="blue"))
        self.assertEqual(
            str(caught.exception),
            "RoomAuthenticator looks its object up by the URL keyword 'name'; the "
            "keywords of this route are: 'room_name'. Set lookup_url_kwarg = "
            "'room_name'. Where there is no object to look up, override get_object() "
            "to return None.",
        )

    async def test_override_without_a_queryset_is_a_mistake(self) -> None:
        class Kind(TokenOnly):
            permission_classes = [DjangoModelPermissions]

        with self.assertRaisesMessage(
            ImproperlyConfigured,
            ".Kind has no queryset: set ObjectTests.test_override_without_a_queryset_"
            "is_a_mistake.<locals>.Kind.queryset or override get_queryset().",
        ):
            await decide(Kind, self.scope())

    async def test_unknown_object_is_404(self) -> None:
        outcome = await decide(RoomAuthenticator, self.scope(name="green"))
        self.assertEqual(outcome.said[:2], (404, "Not Found"))
        self.assertEqual(outcome.authenticator.close_code, 4404)
        self.assertIsNone(outcome.authenticator.obj)

    async def test_value_of_the_wrong_kind_is_404(self) -> None:
        class ByPk(RoomAuthenticator):
            lookup_field = "pk"

        self.assertEqual((await decide(ByPk, self.scope(pk="x"))).said[0], 404)

    async def test_object_of_somebody_else_is_403(self) -> None:
        outcome = await decide(RoomAuthenticator, self.scope(name="red"))
        self.assertEqual(outcome.said[0], 403)
        self.assertIsNone(outcome.authenticator.obj)

    async def test_nobody_learns_whether_an_object_exists(self) -> None:
        scope = websocket_scope(kwargs={"name": "green"})
        self.assertEqual((await decide(RoomAuthenticator, scope)).said[0], 401)

    async def test_own_object_is_kept(self) -> None:
        outcome = await decide(RoomAuthenticator, self.scope(name="blue"))
        self.assertIs(outcome.accepted, True)
        self.assertEqual(outcome.authenticator.obj, self.room)

    async def test_keyword_may_have_another_name(self) -> None:
        class Kind(RoomAuthenticator):
            lookup_url_kwarg = "room_name"

        outcome = await decide(Kind, self.scope(room_name="blue"))
        self.assertEqual(outcome.authenticator.obj, self.room)

    async def test_manager_is_as_good_as_a_queryset(self) -> None:
        class Kind(RoomAuthenticator):
            queryset = Room.objects

        outcome = await decide(Kind, self.scope(name="blue"))
        self.assertEqual(outcome.authenticator.obj, self.room)

    async def test_new_rows_are_seen(self) -> None:
        await decide(RoomAuthenticator, self.scope(name="late"))
        await Room.objects.acreate(name="late", owner_pk=self.user.pk)
        outcome = await decide(RoomAuthenticator, self.scope(name="late"))
        self.assertIs(outcome.accepted, True)

    async def test_queryset_may_depend_on_the_user(self) -> None:
        class Kind(TokenOnly):
            lookup_field = "name"

            def get_queryset(self) -> Any:
                return Room.objects.filter(owner_pk=self.user.pk)

        self.assertIs((await decide(Kind, self.scope(name="blue"))).accepted, True)
        self.assertEqual((await decide(Kind, self.scope(name="red"))).said[0], 404)

    async def test_object_of_an_override_is_checked(self) -> None:
        class Kind(RoomAuthenticator):
            def get_object(self) -> Any:
                assert self.request is not None
                return Room.objects.get(name=self.request.query_params["room"])

        scope = {**self.scope(), "query_string": b"room=red"}
        self.assertEqual((await decide(Kind, scope)).said[0], 403)

    async def test_override_may_find_nothing(self) -> None:
        class Kind(RoomAuthenticator):
            def get_object(self) -> Any:
                raise Http404

        self.assertEqual((await decide(Kind, self.scope())).said[0], 404)

    async def test_override_may_say_that_there_is_no_object(self) -> None:
        class Kind(RoomAuthenticator):
            def get_object(self) -> Any:
                return None

        outcome = await decide(Kind, self.scope())
        self.assertIs(outcome.accepted, True)
        self.assertIsNone(outcome.authenticator.obj)

    async def test_permission_is_asked_once(self) -> None:
        IsOwner.asked = 0
        await decide(RoomAuthenticator, self.scope(name="blue"))
        self.assertEqual(IsOwner.asked, 1)

    def test_object_is_looked_up_only_while_authenticating(self) -> None:
        with self.assertRaisesMessage(
            RuntimeError, "get_object() is called while authenticate() runs."
        ):
            Outcome(RoomAuthenticator).authenticator.get_object()


class HidesEverything(BaseFilterBackend):
    """Shows no object to anybody."""

    def filter_queryset(self, request: Any, queryset: Any, view: Any) -> Any:
        return queryset.none()


class Never(BaseThrottle):
    """Lets no request through."""

    def allow_request(self, request: Any, view: Any) -> bool:
        return False


class SettingsTests(KeptOpenTestCase):
    """What the class leaves out is what the settings say now, not at import."""

    class Plain(DjangoAuthenticator):
        """Sets nothing."""

    async def test_default_authentication_and_permissions_are_those_of_the_project(
        self,
    ) -> None:
        configured = {
            "DEFAULT_AUTHENTICATION_CLASSES": [
                "rest_framework.authentication.TokenAuthentication"
            ],
            "DEFAULT_PERMISSION_CLASSES": [
                "rest_framework.permissions.IsAuthenticated"
            ],
        }
        with override_settings(REST_FRAMEWORK=configured):
            self.assertEqual((await decide(self.Plain, websocket_scope())).said[0], 401)
        self.assertEqual((await decide(self.Plain, websocket_scope())).said[0], 200)

    async def test_default_throttles_are_those_of_the_project(self) -> None:
        with override_settings(
            REST_FRAMEWORK={"DEFAULT_THROTTLE_CLASSES": [f"{__name__}.Never"]}
        ):
            self.assertEqual((await decide(self.Plain, websocket_scope())).said[0], 429)

    async def test_empty_list_is_none(self) -> None:
        with override_settings(
            REST_FRAMEWORK={
                "DEFAULT_PERMISSION_CLASSES": [
                    "rest_framework.permissions.IsAuthenticated"
                ]
            }
        ):

            class Kind(DjangoAuthenticator):
                permission_classes = []

            self.assertIs((await decide(Kind, websocket_scope())).accepted, True)

    async def test_default_filters_apply_to_the_object(self) -> None:
        user = await amake_user()
        await Room.objects.acreate(name="blue", owner_pk=user.pk)
        credentials = await alog_in(TokenLogin(), user)
        scope = websocket_scope(credentials, kwargs={"name": "blue"})
        with override_settings(
            REST_FRAMEWORK={"DEFAULT_FILTER_BACKENDS": [f"{__name__}.HidesEverything"]}
        ):
            self.assertEqual((await decide(RoomAuthenticator, scope)).said[0], 404)

    async def test_message_can_be_switched_off(self) -> None:
        with override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False}):
            outcome = await decide(TokenOnly, websocket_scope())
        self.assertEqual(outcome.messages, [])
        self.assertIs(outcome.accepted, False)
        await outcome.authenticator.authenticate(websocket_scope())
        self.assertEqual(len(outcome.messages), 1)

    async def test_class_attribute_wins_over_the_setting(self) -> None:
        class Quiet(Anybody):
            send_authentication_message = False

        self.assertEqual((await decide(Quiet, websocket_scope())).messages, [])

    async def test_argument_wins_over_the_class_attribute(self) -> None:
        class Quiet(Anybody):
            send_authentication_message = False

        outcome = await decide(
            Quiet, websocket_scope(), send_authentication_message=True
        )
        self.assertEqual(len(outcome.messages), 1)

    async def test_owner_of_send_message_is_not_asked(self) -> None:
        class Owner(Outcome):
            def resolve_setting(self, name: str) -> bool:
                raise AssertionError("The consumer hands the value down.")

        outcome = Owner(Anybody)
        await outcome.authenticator.authenticate(websocket_scope())
        self.assertEqual(len(outcome.messages), 1)


class RoomConsumer(AsyncJsonWebsocketConsumer):
    """Says who came, once they are in."""

    authenticator_class = RoomAuthenticator

    async def post_authentication(self) -> None:
        assert self.authenticator is not None
        name = type(self.scope["user"]).__name__
        await self.send_json({"user": name, "room": self.authenticator.obj.name})


class SessionConsumer(AsyncJsonWebsocketConsumer):
    """Behind ``AuthMiddlewareStack``."""

    authenticator_class = SessionOnly


class LoudConsumer(SessionConsumer):
    """Says how authentication went, whatever the settings say."""

    authenticator_class = SessionOnly
    send_authentication_message = True


class WrappingConsumer(SessionConsumer):
    """Gives its authenticator a plain function, which leads to no consumer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        send = self.send_message

        async def send_message(message: BaseMessage) -> None:
            await send(message)

        self.send_message = send_message  # type: ignore[method-assign]


class QuietConsumer(WrappingConsumer):
    """Sends no outcome, whatever the settings say."""

    send_authentication_message = False


class UnsetConsumer(WrappingConsumer):
    """Has a setting of its own, and no attribute."""

    @classmethod
    def framework_setting(cls, name: str) -> Any:
        if name == "SEND_AUTHENTICATION_MESSAGE":
            return False
        return super().framework_setting(name)


class LoudAuthenticator(SessionOnly):
    send_authentication_message = True


class LoudAuthenticatorConsumer(UnsetConsumer):
    """Has an authenticator with the attribute."""

    authenticator_class = LoudAuthenticator


class QuietLoudAuthenticatorConsumer(QuietConsumer):
    """Has the attribute, as its authenticator has."""

    authenticator_class = LoudAuthenticator


application = URLRouter(
    [
        path("rooms/<slug:name>/", RoomConsumer.as_asgi()),
        path("session/", AuthMiddlewareStack(SessionConsumer.as_asgi())),
        path("loud/", LoudConsumer.as_asgi()),
        path("quiet/", QuietConsumer.as_asgi()),
        path("unset/", UnsetConsumer.as_asgi()),
        path("loud-authenticator/", LoudAuthenticatorConsumer.as_asgi()),
        path("quiet-loud-authenticator/", QuietLoudAuthenticatorConsumer.as_asgi()),
    ]
)


def connection(where: str, credentials: Credentials) -> WebsocketCommunicator:
    return WebsocketCommunicator(application, where, headers=credentials.headers)


class EndToEndTests(KeptOpenTestCase):
    async def test_refused_connection_gets_the_message_then_the_code(self) -> None:
        communicator = connection("/rooms/blue/", Credentials())
        self.assertEqual(await communicator.connect(), (True, None))
        frame = await communicator.receive_json_from()
        self.assertEqual(frame["payload"]["status_code"], 401)
        closed = await communicator.receive_output()
        self.assertEqual((closed["type"], closed["code"]), ("websocket.close", 4401))
        await communicator.disconnect()

    async def test_accepted_connection_knows_user_and_object(self) -> None:
        user = await amake_user()
        await Room.objects.acreate(name="blue", owner_pk=user.pk)
        communicator = connection("/rooms/blue/", await alog_in(TokenLogin(), user))
        await communicator.connect()
        frame = await communicator.receive_json_from()
        self.assertEqual(frame["payload"]["status_text"], "OK")
        self.assertEqual(
            await communicator.receive_json_from(), {"user": "User", "room": "blue"}
        )
        await communicator.disconnect()

    async def test_session_works_behind_the_middleware_of_channels(self) -> None:
        user = await amake_user()
        communicator = connection("/session/", await alog_in(SessionLogin(), user))
        await communicator.connect()
        frame = await communicator.receive_json_from()
        self.assertEqual(frame["payload"]["status_code"], 200)
        await communicator.disconnect()

    @override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False})
    async def test_attribute_of_the_consumer_wins_over_the_setting(self) -> None:
        communicator = connection("/loud/", Credentials())
        await communicator.connect()
        frame = await communicator.receive_json_from()
        self.assertEqual(frame["payload"]["status_code"], 403)
        await communicator.disconnect()

    async def first_frame(self, where: str) -> str:
        communicator = connection(where, Credentials())
        await communicator.connect()
        frame = await communicator.receive_output()
        await communicator.disconnect()
        return str(frame["type"])

    async def test_consumer_hands_down_its_attribute(self) -> None:
        self.assertEqual(await self.first_frame("/quiet/"), "websocket.close")

    async def test_consumer_hands_down_the_setting_it_resolved(self) -> None:
        self.assertEqual(await self.first_frame("/unset/"), "websocket.close")

    async def test_attribute_of_the_authenticator_wins_over_the_setting(self) -> None:
        self.assertEqual(
            await self.first_frame("/loud-authenticator/"), "websocket.send"
        )

    async def test_attribute_of_the_consumer_wins_over_the_authenticator(self) -> None:
        self.assertEqual(
            await self.first_frame("/quiet-loud-authenticator/"), "websocket.close"
        )

    @override_settings(CHANX={"SEND_AUTHENTICATION_MESSAGE": False})
    async def test_refusal_without_a_message_is_a_close_alone(self) -> None:
        communicator = connection("/session/", Credentials())
        await communicator.connect()
        closed = await communicator.receive_output()
        self.assertEqual((closed["type"], closed["code"]), ("websocket.close", 4403))
        await communicator.disconnect()


def test_authenticator_without_a_view_has_no_result() -> None:
    authenticator = Outcome(Anybody).authenticator
    assert (authenticator.user, authenticator.obj, authenticator.request) == (
        None,
        None,
        None,
    )
    assert authenticator.status_code is None


@pytest.mark.parametrize("value", [[], (), [AllowAny], None])
def test_lists_tuples_and_none_are_class_lists(value: Any) -> None:
    kind = type("Kind", (DjangoAuthenticator,), {"permission_classes": value})
    assert kind.permission_classes is value
