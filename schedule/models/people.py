"""Organizations, their places and their people."""

from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.db import models


def validate_zone(name: str) -> None:
    """Raise ValidationError unless `name` is an IANA zone such as Australia/Melbourne."""
    if name not in available_timezones():
        raise ValidationError(
            "%(name)s is not a time zone. Use an IANA name such as Australia/Melbourne.", params={"name": name}
        )


class Organization(models.Model):
    """A gym, studio or school. One of them is the gym that this installation serves."""

    name = models.CharField(max_length=200)
    timezone = models.CharField(
        max_length=64, validators=[validate_zone], help_text="IANA name, e.g. Australia/Melbourne"
    )
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    website = models.URLField(blank=True)
    is_installation = models.BooleanField("the gym of this installation", default=False)
    is_demo = models.BooleanField(default=False, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["is_installation"], condition=models.Q(is_installation=True), name="one_installation_gym"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @staticmethod
    def installation() -> "Organization":
        """Return the gym that this installation serves; the one function that may ask for "the" organization.

        Raises Organization.DoesNotExist before `start_gym` or the demo made one.
        """
        return Organization.objects.get(is_installation=True)


class Place(models.Model):
    """A location of the organization, with its rooms as free text on what happens there."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="places")
    name = models.CharField(max_length=200)
    address = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="place_name_once")]

    def __str__(self) -> str:
        return self.name


class Person(models.Model):
    """Somebody who runs or attends what is on."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="people")
    name = models.CharField(max_length=200)
    email = models.EmailField(blank=True)
    photo_url = models.URLField(max_length=500, blank=True)
    is_coach = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name
