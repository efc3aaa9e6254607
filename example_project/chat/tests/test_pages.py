"""The pages and the API around the sockets: nothing here needs a connection."""

from io import StringIO

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import TestCase
from django.urls import reverse

from chanx_testing.core.testing import capture_broadcast_events
from example_project.chat.consumers import RoomConsumer
from example_project.chat.models import Room


class PageTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.alice = get_user_model().objects.create_user("alice")
        cls.room = Room.objects.create(name="Lobby")
        cls.room.members.add(cls.alice)

    def setUp(self):
        self.client.force_login(self.alice)

    def test_who_is_not_logged_in_is_asked_to(self):
        self.client.logout()
        response = self.client.get(self.room.get_absolute_url())
        self.assertRedirects(response, f"/login/?next=/rooms/{self.room.pk}/")

    def test_the_list_has_the_rooms_of_the_user(self):
        Room.objects.create(name="Kitchen")
        response = self.client.get(reverse("room-list"))
        self.assertContains(response, "Lobby")
        self.assertNotContains(response, "Kitchen")

    def test_who_creates_a_room_is_its_first_member(self):
        response = self.client.post(reverse("room-list"), {"name": "Kitchen"})
        room = Room.objects.get(name="Kitchen")
        self.assertRedirects(response, room.get_absolute_url())
        self.assertEqual(list(room.members.all()), [self.alice])

    def test_a_room_shows_what_was_said(self):
        self.room.messages.create(author=self.alice, text="<b>Hello</b>")
        response = self.client.get(self.room.get_absolute_url())
        self.assertContains(response, "&lt;b&gt;Hello&lt;/b&gt;")

    def test_a_room_is_not_shown_to_others(self):
        room = Room.objects.create(name="Kitchen")
        response = self.client.get(room.get_absolute_url())
        self.assertEqual(response.status_code, 404)

    def test_leaving_tells_the_room(self):
        with capture_broadcast_events(RoomConsumer) as captured:
            self.client.post(reverse("leave-room", args=[self.room.pk]))

        self.assertEqual(captured[0].event.payload.user_id, self.alice.pk)
        self.assertEqual(captured[0].groups, f"room_{self.room.pk}")

    def test_a_room_without_members_goes(self):
        with capture_broadcast_events(RoomConsumer):
            self.client.post(reverse("leave-room", args=[self.room.pk]))

        self.assertFalse(Room.objects.exists())

    def test_the_assistant_has_a_page(self):
        self.assertContains(self.client.get(reverse("assistant")), "Assistant")

    def test_signing_up_logs_in(self):
        self.client.logout()
        password = {"password1": "correct horse", "password2": "correct horse"}
        response = self.client.post(
            reverse("signup"), {"username": "bob", **password}, follow=True
        )
        self.assertEqual(response.context["user"].username, "bob")

    def test_the_api_creates_and_lists_rooms(self):
        created = self.client.post(reverse("api-rooms"), {"name": "Kitchen"})
        self.assertEqual(created.status_code, 201)
        listed = self.client.get(reverse("api-rooms")).json()
        self.assertEqual([room["name"] for room in listed], ["Kitchen", "Lobby"])


class CreateDemoTests(TestCase):
    def test_the_users_can_log_in_and_share_a_room(self):
        call_command("create_demo", stdout=StringIO())

        for username in ("alice", "bob"):
            self.assertTrue(self.client.login(username=username, password="demo"))
            self.assertContains(self.client.get(reverse("room-list")), "Lobby")

    def test_a_second_run_changes_nothing(self):
        call_command("create_demo", stdout=StringIO())
        call_command("create_demo", stdout=StringIO())

        self.assertEqual(Room.objects.count(), 1)
        self.assertEqual(get_user_model().objects.count(), 2)
