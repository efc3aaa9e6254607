"""``make_user`` makes a user of any model."""

import datetime
import pickle
from typing import Any
from unittest.mock import patch

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.models import Group
from django.core.exceptions import ImproperlyConfigured
from django.test import TestCase, TransactionTestCase, override_settings

from chanx_testing.channels.login import (
    SessionLogin,
    UserFieldError,
    amake_user,
    make_user,
)
from tests.support.people.models import Team


class DefaultUserTests(TestCase):
    def test_unknown_field_lists_the_fields(self) -> None:
        with self.assertRaises(UserFieldError) as caught:
            make_user(usrname="ada")
        self.assertEqual(
            str(caught.exception),
            "The user model auth.User has no field 'usrname'. It has: date_joined, "
            "email, first_name, groups, id, is_active, is_staff, is_superuser, "
            "last_login, last_name, password, user_permissions, username. "
            "Did you mean 'username'?",
        )
        self.assertIsInstance(caught.exception, TypeError)

    def test_error_survives_pickling(self) -> None:
        error = UserFieldError("auth.User", "x", ("username",))
        self.assertEqual(str(pickle.loads(pickle.dumps(error))), str(error))

    def test_nothing_is_created_when_a_field_is_unknown(self) -> None:
        with self.assertRaises(UserFieldError):
            make_user(username="ada", nope=1)
        self.assertFalse(get_user_model().objects.exists())

    def test_two_users_differ(self) -> None:
        first, second = make_user(), make_user()
        self.assertNotEqual(first.username, second.username)
        self.assertNotEqual(first.email, second.email)

    def test_user_is_saved_and_active(self) -> None:
        user = make_user()
        self.assertEqual(get_user_model().objects.get(), user)
        self.assertTrue(user.is_active)
        self.assertFalse(user.is_staff or user.is_superuser)

    def test_name_that_is_taken_is_not_used_again(self) -> None:
        number = int(make_user().username.rpartition("-")[2])
        taken = [f"test-user-{number + step}" for step in range(1, 4)]
        for name in taken:
            make_user(username=name, email="a@example.com")
        self.assertNotIn(make_user().username, taken)

    def test_password_is_unusable(self) -> None:
        self.assertFalse(make_user().has_usable_password())

    def test_password_that_is_passed_is_hashed(self) -> None:
        user = make_user(username="ada", password="secret")
        self.assertNotEqual(user.password, "secret")
        self.assertEqual(authenticate(username="ada", password="secret"), user)

    def test_flags_pass(self) -> None:
        user = make_user(is_staff=True, is_superuser=True, is_active=False)
        self.assertEqual(
            (user.is_staff, user.is_superuser, user.is_active), (True, True, False)
        )

    def test_many_to_many_fields_pass(self) -> None:
        group = Group.objects.create(name="editors")
        self.assertEqual(list(make_user(groups=[group]).groups.all()), [group])

    def test_primary_key_passes(self) -> None:
        self.assertEqual(make_user(pk=77).pk, 77)


class AsyncTests(TransactionTestCase):
    async def test_async_twin_uses_the_connection_of_the_test(self) -> None:
        user = await amake_user(username="ada")
        self.assertEqual(await get_user_model().objects.aget(username="ada"), user)


@override_settings(AUTH_USER_MODEL="people.EmailUser")
class EmailUserTests(TestCase):
    def test_required_fields_are_filled_in(self) -> None:
        user = make_user()
        self.assertRegex(user.email, r"^test-user-\d+@example\.com$")
        self.assertEqual(user.birthday, datetime.date(2000, 1, 1))
        self.assertRegex(user.phone, r"^\+1555\d{7}$")
        self.assertEqual(user.plan, "free")

    def test_unique_text_fits_its_length(self) -> None:
        first, second = make_user(), make_user()
        self.assertNotEqual(first.nickname, second.nickname)
        self.assertLessEqual(len(first.nickname), 8)

    def test_made_up_values_are_valid(self) -> None:
        make_user().full_clean(exclude=["last_login"])

    def test_username_is_no_field(self) -> None:
        with self.assertRaisesMessage(
            UserFieldError,
            "The user model people.EmailUser has no field 'username'. It has: "
            "birthday, email, id, is_active, last_login, nickname, password, phone, "
            "plan.",
        ):
            make_user(username="ada")

    def test_session_login_works(self) -> None:
        self.assertTrue(SessionLogin()(make_user()).headers)


@override_settings(AUTH_USER_MODEL="people.CardUser")
class CardUserTests(TestCase):
    def test_number_is_made_up(self) -> None:
        first, second = make_user(), make_user()
        self.assertNotEqual(first.pk, second.pk)

    def test_primary_key_by_either_name(self) -> None:
        self.assertEqual((make_user(pk=5).card, make_user(card=6).pk), (5, 6))


@override_settings(AUTH_USER_MODEL="people.StaffUser")
class StaffUserTests(TestCase):
    def test_link_to_the_parent_model_makes_itself(self) -> None:
        user = make_user()
        self.assertEqual(user.carduser_ptr.pk, user.pk)


@override_settings(AUTH_USER_MODEL="people.TeamUser")
class TeamUserTests(TestCase):
    def test_required_foreign_key_is_asked_for(self) -> None:
        with self.assertRaisesMessage(
            ImproperlyConfigured,
            "make_user() cannot make up a value for people.TeamUser.team, a required "
            "ForeignKey. Pass one: make_user(team=...).",
        ):
            make_user()

    def test_foreign_key_passes_by_either_name(self) -> None:
        team: Any = Team.objects.create(name="blue")
        self.assertEqual(make_user(team=team).team, team)
        self.assertEqual(make_user(team_id=team.pk).team, team)

    def test_no_free_value_is_an_error_and_not_a_loop(self) -> None:
        team = Team.objects.create(name="blue")
        with (
            patch("chanx_testing.channels.users._MOST_ATTEMPTS", 0),
            self.assertRaisesMessage(
                ImproperlyConfigured,
                "make_user() found no free value for people.TeamUser.code in 0 "
                "attempts. Pass one: make_user(code=...).",
            ),
        ):
            make_user(team=team)

    def test_short_unique_text_keeps_its_number(self) -> None:
        team = Team.objects.create(name="blue")
        codes = {make_user(team=team).code for _ in range(12)}
        self.assertEqual(len(codes), 12)
