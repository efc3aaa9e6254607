"""A test becomes a user by session, token or JWT."""

import pickle
import sys
from typing import Any
from unittest.mock import patch

import pytest
from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, modify_settings, override_settings
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.authentication import JWTAuthentication

from chanx_testing.channels.login import (
    Credentials,
    JWTLogin,
    SessionLogin,
    TokenLogin,
    alog_in,
    amake_user,
    log_in,
    make_user,
)
from tests.support.asgi import application
from tests.support.cases import KeptOpenTestCase


async def whoami(credentials: Credentials) -> str:
    """Return the username that ``AuthMiddlewareStack`` finds, "" for nobody."""
    communicator = WebsocketCommunicator(
        application,
        "/ws/who/",
        headers=[*credentials.headers, (b"origin", b"http://testserver")],
        subprotocols=credentials.subprotocols,
    )
    await communicator.connect()
    answer = await communicator.receive_json_from()
    await communicator.disconnect()
    return str(answer["user"])


class SessionLoginTests(KeptOpenTestCase):
    def test_unsaved_user_is_refused(self) -> None:
        with self.assertRaisesMessage(
            ValueError,
            "Only a saved user can log in; 'AnonymousUser' has no primary key. "
            "make_user() makes one.",
        ):
            SessionLogin()(AnonymousUser())

    @modify_settings(INSTALLED_APPS={"remove": "django.contrib.sessions"})
    def test_missing_sessions_app_is_named(self) -> None:
        with self.assertRaisesMessage(
            ImproperlyConfigured,
            "SessionLogin() needs 'django.contrib.sessions' in INSTALLED_APPS for "
            "SESSION_ENGINE 'django.contrib.sessions.backends.db'.",
        ):
            SessionLogin()(make_user())

    async def test_cookie_makes_the_user_known_to_the_application(self) -> None:
        user = await amake_user(username="ada")
        self.assertEqual(await whoami(await alog_in(SessionLogin(), user)), "ada")

    async def test_without_credentials_nobody_is_known(self) -> None:
        self.assertEqual(await whoami(Credentials()), "")

    @override_settings(SESSION_COOKIE_NAME="sid")
    async def test_cookie_has_the_name_of_the_project(self) -> None:
        user = await amake_user(username="ada")
        credentials = await alog_in(SessionLogin(), user)
        self.assertTrue(credentials.headers[0][1].startswith(b"sid="))
        self.assertEqual(await whoami(credentials), "ada")

    @override_settings(SESSION_ENGINE="django.contrib.sessions.backends.cache")
    async def test_cache_sessions_work(self) -> None:
        user = await amake_user(username="ada")
        self.assertEqual(await whoami(await alog_in(SessionLogin(), user)), "ada")

    @override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
    async def test_signed_cookie_sessions_work(self) -> None:
        user = await amake_user(username="ada")
        self.assertEqual(await whoami(await alog_in(SessionLogin(), user)), "ada")

    @override_settings(SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies")
    @modify_settings(INSTALLED_APPS={"remove": "django.contrib.sessions"})
    def test_sessions_without_a_table_need_no_app(self) -> None:
        self.assertTrue(SessionLogin()(make_user()).headers)

    def test_backend_can_be_named(self) -> None:
        user = make_user()
        backend = "django.contrib.auth.backends.AllowAllUsersModelBackend"
        SessionLogin(backend=backend)(user)
        self.assertEqual(user.backend, backend)

    def test_synchronous_code_logs_in_too(self) -> None:
        credentials = log_in(SessionLogin(), make_user(username="ada"))
        self.assertEqual(async_to_sync(whoami)(credentials), "ada")


class TokenLoginTests(KeptOpenTestCase):
    @modify_settings(INSTALLED_APPS={"remove": "rest_framework.authtoken"})
    def test_missing_app_is_named(self) -> None:
        with self.assertRaisesMessage(
            ImproperlyConfigured,
            "TokenLogin() needs 'rest_framework.authtoken' in INSTALLED_APPS (and its "
            "migrations applied).",
        ):
            TokenLogin()(make_user())

    def test_header_carries_the_token_of_the_user(self) -> None:
        user = make_user()
        credentials = TokenLogin()(user)
        key = Token.objects.get(user=user).key
        self.assertEqual(
            credentials.headers, [(b"authorization", f"Token {key}".encode())]
        )

    def test_existing_token_is_used(self) -> None:
        user = make_user()
        self.assertEqual(TokenLogin()(user), TokenLogin()(user))

    def test_keyword_can_be_changed(self) -> None:
        _, value = TokenLogin(keyword="Bearer")(make_user()).headers[0]
        self.assertTrue(value.startswith(b"Bearer "))


class JWTLoginTests(KeptOpenTestCase):
    def test_unknown_transport_is_refused(self) -> None:
        with self.assertRaisesMessage(
            ValueError,
            "JWTLogin(transport='query'): the transports are 'header', 'cookie', "
            "'subprotocol'.",
        ):
            JWTLogin(transport="query")  # type: ignore[arg-type]

    def test_missing_package_comes_with_the_command_that_installs_it(self) -> None:
        missing = dict.fromkeys(
            ["rest_framework_simplejwt", "rest_framework_simplejwt.settings"]
        )
        with (
            patch.dict(sys.modules, missing),
            self.assertRaisesMessage(
                ImproperlyConfigured,
                "JWTLogin() needs djangorestframework-simplejwt. Install it: "
                "pip install 'chanx-testing[jwt]'",
            ),
        ):
            JWTLogin()(make_user())

    def user_of(self, token: str) -> Any:
        request: Any = RequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}")
        answer = JWTAuthentication().authenticate(request)
        assert answer is not None
        return answer[0]

    def test_header_carries_a_token_that_simplejwt_accepts(self) -> None:
        user = make_user()
        [(name, value)] = JWTLogin()(user).headers
        self.assertEqual(name, b"authorization")
        self.assertEqual(self.user_of(value.decode().removeprefix("Bearer ")), user)

    @override_settings(
        SIMPLE_JWT={"AUTH_HEADER_TYPES": ("JWT",), "AUTH_HEADER_NAME": "HTTP_X_ACCESS"}
    )
    def test_header_is_that_of_the_project(self) -> None:
        [(name, value)] = JWTLogin()(make_user()).headers
        self.assertEqual(name, b"x-access")
        self.assertTrue(value.startswith(b"JWT "))

    def test_cookie_carries_the_token(self) -> None:
        user = make_user()
        [(name, value)] = JWTLogin("cookie", cookie_name="jwt")(user).headers
        self.assertEqual(name, b"cookie")
        self.assertEqual(self.user_of(value.decode().removeprefix("jwt=")), user)

    def test_subprotocol_carries_the_token_after_its_name(self) -> None:
        user = make_user()
        credentials = JWTLogin("subprotocol", subprotocol_prefix="jwt")(user)
        self.assertEqual(credentials.headers, [])
        name, token = credentials.subprotocols
        self.assertEqual(name, "jwt")
        self.assertEqual(self.user_of(token), user)

    def test_prefix_that_ends_in_a_separator_is_glued_to_the_token(self) -> None:
        user = make_user()
        [glued] = JWTLogin("subprotocol", subprotocol_prefix="bearer.")(
            user
        ).subprotocols
        self.assertEqual(self.user_of(glued.removeprefix("bearer.")), user)


class OwnLoginTests(KeptOpenTestCase):
    def test_result_of_another_kind_is_refused(self) -> None:
        def login(user: Any) -> Any:
            return {"authorization": "x"}

        with self.assertRaises(TypeError) as caught:
            log_in(login, make_user())
        self.assertEqual(
            str(caught.exception),
            f"The login {login!r} returned dict, expected Credentials or a list of "
            'headers as pairs of bytes, such as [(b"authorization", b"...")].',
        )

    def test_headers_of_text_are_refused(self) -> None:
        with self.assertRaisesMessage(TypeError, "pairs of bytes"):
            log_in(lambda user: [("cookie", "a=b")], make_user())  # type: ignore[list-item]

    def test_function_may_return_headers_alone(self) -> None:
        credentials = log_in(lambda user: [(b"x-user", b"1")], make_user())
        self.assertEqual(credentials, Credentials([(b"x-user", b"1")]))

    async def test_function_may_be_async(self) -> None:
        async def login(user: Any) -> Credentials:
            return Credentials(subprotocols=[user.username])

        user = await amake_user(username="ada")
        self.assertEqual((await alog_in(login, user)).subprotocols, ["ada"])

    def test_async_function_works_in_synchronous_code(self) -> None:
        async def login(user: Any) -> Credentials:
            return Credentials(subprotocols=[user.username])

        user = make_user(username="ada")
        self.assertEqual(log_in(login, user).subprotocols, ["ada"])

    async def test_synchronous_function_may_use_the_database(self) -> None:
        def login(user: Any) -> Credentials:
            return Credentials(subprotocols=[Token.objects.create(user=user).key])

        user = await amake_user()
        self.assertTrue((await alog_in(login, user)).subprotocols)


def test_repr_of_credentials_shows_no_secret() -> None:
    credentials = Credentials([(b"cookie", b"sessionid=secret")], ["jwt", "secret"])
    assert repr(credentials) == "<Credentials: headers ['cookie'], 2 subprotocols>"


@pytest.mark.parametrize("login", [SessionLogin(), TokenLogin(), JWTLogin("cookie")])
def test_logins_are_values(login: Any) -> None:
    assert pickle.loads(pickle.dumps(login)) == login
