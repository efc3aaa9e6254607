"""User models as projects have them, and a room that has an owner."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class Team(models.Model):
    """What a user may belong to."""

    name: Any = models.CharField(max_length=20)

    def __str__(self) -> str:
        return str(self.name)


class EmailUser(AbstractBaseUser):
    """Logs in by email; there is no username."""

    email: Any = models.EmailField(unique=True)
    birthday: Any = models.DateField()
    phone: Any = models.CharField(max_length=16, unique=True)
    plan: Any = models.CharField(
        max_length=8, choices=[("free", "Free"), ("pro", "Pro")]
    )
    nickname: Any = models.CharField(max_length=8, blank=True, unique=True)
    is_active: Any = models.BooleanField(default=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["birthday", "phone"]

    objects: ClassVar[Any] = BaseUserManager()


class CardUser(AbstractBaseUser):
    """Is known by a number of four digits."""

    card: Any = models.PositiveIntegerField(primary_key=True)

    USERNAME_FIELD = "card"

    objects: ClassVar[Any] = BaseUserManager()


class StaffUser(CardUser):
    """Has a table beside that of its parent."""

    badge: Any = models.UUIDField(unique=True)


class TeamUser(AbstractBaseUser):
    """Cannot be without a team."""

    code: Any = models.CharField(max_length=4, unique=True)
    team: Any = models.ForeignKey(Team, on_delete=models.CASCADE)

    USERNAME_FIELD = "code"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["team"]

    objects: ClassVar[Any] = BaseUserManager()


class Room(models.Model):
    """Belongs to the user whose primary key it keeps."""

    name: Any = models.SlugField(unique=True)
    owner_pk: Any = models.IntegerField()

    def __str__(self) -> str:
        return str(self.name)
