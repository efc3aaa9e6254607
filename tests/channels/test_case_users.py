"""Whoever has the headers of a user connects as that user, and nobody else does."""

import copy
import pickle
from typing import Any

import pytest
from rest_framework.permissions import IsAuthenticated
from rest_framework_simplejwt.authentication import JWTAuthentication

from chanx_testing.channels.authenticator import DjangoAuthenticator
from chanx_testing.channels.login import (
    Credentials,
    JWTLogin,
    TokenLogin,
    handshake_headers,
    log_in,
    make_user,
)
from chanx_testing.channels.testing import WebsocketCommunicator, WebsocketTestCase
from tests.support.cases import failure, passes
from tests.support.lobby import LobbyConsumer, WhoAmI

pytestmark = pytest.mark.django_db(transaction=True)


class AnyTransport(JWTAuthentication):
    """Finds a JWT wherever a login may put it."""

    def authenticate(self, request: Any) -> Any:
        found = request.headers.get("Authorization", "").removeprefix("Bearer ")
        found = found or request.COOKIES.get("access_token")
        match request.scope["subprotocols"]:
            case [*_, "access_token", found]:
                pass
        if not found:
            return None
        token = self.get_validated_token(found.encode())
        return self.get_user(token), token


class Bouncer(DjangoAuthenticator):
    authentication_classes = [AnyTransport]
    permission_classes = [IsAuthenticated]


class Members(LobbyConsumer):
    """Lets users with a JWT in, and knows their names."""

    authenticator_class = Bouncer
    groups = []

    def get_subprotocol(self, offered: list[str]) -> str | None:
        return offered[0] if offered else None


application = Members.as_asgi()


class Case(WebsocketTestCase):
    router, ws_path = application, "/ws/members/"

    def setUp(self) -> None:
        super().setUp()
        self.bob, self.bobs = self.create_user_and_ws_headers(username="bob")

    def get_ws_headers(self) -> Any:
        self.alice, headers = self.create_user_and_ws_headers(username="alice")
        return headers

    async def name_of(self, communicator: WebsocketCommunicator) -> str:
        async with communicator:
            await communicator.assert_authenticated_status_ok()
            await communicator.send_message(WhoAmI())
            (answer,) = await communicator.receive_all_messages()
        return str(answer.payload)


LOGINS = [
    JWTLogin("header"),
    JWTLogin("cookie"),
    JWTLogin("subprotocol"),
]
logins = pytest.mark.parametrize("login", LOGINS, ids=lambda login: login.transport)

EXTRA = (b"x-extra", b"1")
COPIES = {
    "itself": lambda headers: headers,
    "plus": lambda headers: headers + [EXTRA],  # noqa: RUF005 - as users write it
    "star": lambda headers: [*headers, EXTRA],
    "before": lambda headers: [EXTRA, *headers],
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "slice": lambda headers: headers[1:],
    "reversed": lambda headers: headers[::-1],
    "pairs": lambda headers: [(name, value) for name, value in headers],
    "lists": lambda headers: [[name, value] for name, value in headers],
    "text": lambda headers: [
        (name.decode().title().encode(), value) for name, value in headers
    ],
    "dict": lambda headers: list({**dict(headers), **dict([EXTRA])}.items()),
    "copy": copy.deepcopy,
    "pickle": lambda headers: pickle.loads(pickle.dumps(headers)),
    "without origin": lambda headers: [h for h in headers if h[0] != b"origin"],
}


@logins
def test_headers_connect_as_their_owner(login: Any) -> None:
    class TwoUsers(Case):
        ws_login = login

        async def test(self) -> None:
            bob = self.create_communicator(headers=self.bobs)
            assert await self.name_of(bob) == "bob"
            assert await self.name_of(self.auth_communicator) == "alice"

    passes(TwoUsers)


@logins
def test_a_copy_of_headers_connects_as_their_owner(login: Any) -> None:
    class Copies(Case):
        ws_login = login

        async def test(self) -> None:
            for kind, copied in COPIES.items():
                for name, headers in (("bob", self.bobs), ("alice", self.ws_headers)):
                    with self.subTest(kind, name=name):
                        other = self.create_communicator(headers=copied(headers))
                        assert other.transcript.user == name
                        assert await self.name_of(other) == name

    passes(Copies)


@logins
def test_the_subprotocols_of_a_test_come_before_those_of_the_login(login: Any) -> None:
    class Chatting(Case):
        ws_login = login

        def get_subprotocols(self) -> list[str]:
            return ["chat.v1"]

        async def test(self) -> None:
            for subprotocols, chosen in ((None, "chat.v1"), (["chat.v2"], "chat.v2")):
                bob = self.create_communicator(
                    headers=self.bobs, subprotocols=subprotocols
                )
                async with bob:
                    assert bob.scope["subprotocols"][0] == chosen
                    offered = dict(bob.scope["headers"])[b"sec-websocket-protocol"]
                    assert offered.decode().split(", ") == bob.scope["subprotocols"]
                    await bob.assert_authenticated_status_ok()

    passes(Chatting)


def test_a_token_that_is_in_the_subprotocols_of_the_test_is_not_for_others() -> None:
    """``get_subprotocols()`` may itself be the login of ``auth_communicator``."""

    class OwnSubprotocols(Case):
        ws_login = JWTLogin("cookie")

        def get_ws_headers(self) -> Any:
            return handshake_headers(application)

        def get_subprotocols(self) -> list[str]:
            login = JWTLogin("subprotocol")
            credentials = log_in(login, make_user(username="alice"))
            return ["chat.v1", *credentials.subprotocols]

        async def test(self) -> None:
            bob = self.create_communicator(headers=self.bobs)
            assert bob.scope["subprotocols"] == ["chat.v1"]
            assert await self.name_of(bob) == "bob"
            extended = [*self.ws_headers, (b"cookie", b"theme=dark")]
            own = self.create_communicator(headers=extended)
            assert await self.name_of(own) == "alice"

    passes(OwnSubprotocols)


def test_a_login_is_found_among_other_cookies() -> None:
    class Merged(Case):
        ws_login = JWTLogin("cookie")

        async def test(self) -> None:
            headers = [
                (name, b"theme=dark; " + value if name == b"cookie" else value)
                for name, value in self.bobs
            ]
            bob = self.create_communicator(headers=headers)
            assert bob.transcript.user == "bob"
            assert await self.name_of(bob) == "bob"
            both = self.create_communicator(headers=[*headers, *self.ws_headers])
            assert both.transcript.user is None

    passes(Merged)


def test_a_communicator_made_by_hand_has_the_login_too() -> None:
    class ByHand(Case):
        ws_login = JWTLogin("subprotocol")

        async def test(self) -> None:
            for subprotocols in (None, ["chat.v1"]):
                by_hand = WebsocketCommunicator(
                    application, self.ws_path, self.bobs, subprotocols
                )
                assert await self.name_of(by_hand) == "bob"

    passes(ByHand)


def test_headers_may_be_made_before_those_of_the_test() -> None:
    class Async(Case):
        ws_login = JWTLogin("subprotocol")

        def setUp(self) -> None:
            super().setUp()
            self.early = self.create_communicator(headers=self.bobs)

        async def get_ws_headers(self) -> Any:
            _, headers = await self.acreate_user_and_ws_headers(username="alice")
            return headers

        async def test(self) -> None:
            assert await self.name_of(self.early) == "bob"
            assert await self.name_of(self.auth_communicator) == "alice"

    passes(Async)


# Nobody.


@logins
def test_without_credentials_nobody_is_known(login: Any) -> None:
    class Stranger(Case):
        ws_login = login

        async def test(self) -> None:
            stranger = self.communicator
            await stranger.connect()
            await stranger.assert_closed(4401)
            assert stranger.transcript.user is None
            assert b"origin" in dict(stranger.scope["headers"])

    passes(Stranger)


def test_what_a_login_of_the_project_gave_goes_too() -> None:
    """Neither its name nor its value tells that it is a credential."""

    class ByName(Case):
        def ws_login(self, user: Any) -> Credentials:
            name = user.get_username()
            return Credentials([(b"x-user", name.encode())], ["as", name])

        def get_subprotocols(self) -> list[str]:
            return ["chat"]

        async def test(self) -> None:
            assert self.auth_communicator.scope["subprotocols"] == [
                "chat",
                "as",
                "alice",
            ]
            scope = self.communicator.scope
            assert scope["subprotocols"] == ["chat"]
            assert {name for name, _ in scope["headers"]} == {
                b"host",
                b"origin",
                b"sec-websocket-protocol",
            }

    passes(ByName)


def test_a_login_may_give_all_headers_of_a_client() -> None:
    """What every client has does not make it a user."""

    class Whole(Case):
        def ws_login(self, user: Any) -> Any:
            name = user.get_username().encode()
            return [(b"accept-language", b"en"), (b"x-user", name)]

        async def test(self) -> None:
            headers = [(b"x-user", b"bob")]
            assert self.create_communicator(headers=headers).transcript.user == "bob"
            left = dict(self.communicator.scope["headers"])
            assert left.keys() == {b"host", b"origin", b"accept-language"}

    passes(Whole)


def test_the_query_of_the_path_loses_its_secrets() -> None:
    class InQuery(Case):
        ws_login = TokenLogin()

        def setUp(self) -> None:
            super().setUp()
            token = dict(self.ws_headers)[b"authorization"].split()[1].decode()
            self.ws_path = f"/ws/members/?page=%32&token=abc&x={token}&code=1&room=b"

        async def test(self) -> None:
            own, other = self.auth_communicator.scope, self.communicator.scope
            assert b"token=abc" in own["query_string"]
            assert other["query_string"] == b"page=%32&room=b"
            assert other["path"] == own["path"] == "/ws/members/"

    passes(InQuery)


def test_a_subclass_may_make_communicators_in_its_own_way() -> None:
    class Own(Case):
        ws_login = JWTLogin("subprotocol")

        def create_communicator(  # type: ignore[override]
            self, *, headers: Any = None, subprotocols: Any = None
        ) -> Any:
            return super().create_communicator(
                headers=headers, subprotocols=subprotocols
            )

        async def test(self) -> None:
            assert await self.name_of(self.auth_communicator) == "alice"
            await self.communicator.connect()
            await self.communicator.assert_closed(4401)

    passes(Own)


def test_headers_that_are_secrets_go_and_others_stay() -> None:
    class Custom(Case):
        def get_ws_headers(self) -> Any:
            return [
                *super().get_ws_headers(),
                (b"accept-language", b"en"),
                (b"x-forwarded-for", b"10.0.0.1"),
                (b"x-ws-ticket", b"abc"),
                (b"x-whatever", b"eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxfQ.c2ln"),
            ]

        async def test(self) -> None:
            assert [name for name, _ in self.communicator.scope["headers"]] == [
                b"host",
                b"origin",
                b"accept-language",
                b"x-forwarded-for",
            ]

    passes(Custom)


@logins
def test_no_failure_shows_what_a_login_has_issued(login: Any) -> None:
    class Shown(Case):
        ws_login = login

        async def test(self) -> None:
            for name, value in self.bobs:
                secret = value.decode().split()[-1].rpartition("=")[2]
                if name not in (b"host", b"origin"):
                    self.secret = secret
            bob = self.create_communicator(
                headers=self.bobs, ws_path=f"/ws/{self.secret}/"
            )
            await bob.connect()
            await bob.send_json({"action": self.secret, "text": f"is {self.secret}!"})
            type(self).secrets = [self.secret, *self.secret.split(".")]
            await bob.receive_nothing()

    text = failure(Shown)
    assert "…hidden…" in text
    for secret in Shown.secrets:  # type: ignore[attr-defined]
        assert secret not in text
