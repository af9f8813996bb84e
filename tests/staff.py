"""People of the admin, and what they work with, for tests of staff pages and API."""

from dataclasses import dataclass

from django.contrib.auth.models import Permission, User
from django.test import Client

from integrations import keys
from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY
from schedule.models import Organization, TimetableSettings

PEOPLE = ("stranger", "member", "onlooker", "manager", "owner")


@dataclass(frozen=True)
class Clients:
    """One browser for each kind of person, from nobody to the superuser."""

    stranger: Client
    member: Client
    onlooker: Client
    """Staff who may look at everything and change nothing."""
    manager: Client
    """Staff with the right to change the timetable's settings and nothing else."""
    owner: Client

    def of(self, name: str) -> Client:
        found: Client = getattr(self, name)
        return found


def clients() -> Clients:
    # Without passwords: hashing four of them takes most of a second.
    member = User.objects.create_user("member")
    onlooker = User.objects.create_user("onlooker", is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    manager = User.objects.create_user("manager", is_staff=True)
    manager.user_permissions.set(Permission.objects.filter(codename="change_timetablesettings"))
    owner = User.objects.create_superuser("owner")
    return Clients(Client(), *(_logged_in(user) for user in (member, onlooker, manager, owner)))


def _logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def gym(data_source: str = "cms", name: str = "Harbour Gym") -> Organization:
    organization = Organization.objects.create(name=name, timezone="Australia/Melbourne", is_installation=True)
    TimetableSettings.objects.create(organization=organization, data_source=data_source)
    return organization


def fitbox(base_url: str = "", key: str = SANDBOX_FITBOX_KEY, **values: object) -> Connection:
    connection = Connection(provider="fitbox", name="Our Fitbox", base_url=base_url, **values)
    keys.enter(connection, key)
    connection.save()
    return connection
