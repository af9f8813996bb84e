"""Connections in the admin: the key goes in and never comes out, a test answers before saving, everything is audited."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from integrations import credentials, keys
from integrations.models import Connection, ConnectionStatus, CredentialUse
from integrations.sandbox import SANDBOX_FITBOX_KEY, Sandbox
from schedule import store
from schedule.differences import Changes
from schedule.models import Event, SourceState
from schedule.values import EventValues, Incoming
from sync import ingest, leases
from sync.models import SyncJob
from tests.schedule.making import ZONE, read
from tests.staff import PEOPLE, Clients, clients, fitbox, gym

pytestmark = pytest.mark.django_db
LIST = "/admin/integrations/connection/"
SATURDAY = datetime(2026, 11, 21, 12, tzinfo=ZONE)
SECRET = "fbx-live-0123456789-wxyz"


@pytest.fixture
def people(settings: Any) -> Clients:
    settings.PROVIDER_URLS = {"FITBOX": "http://127.0.0.1:9"}
    gym()
    return clients()


@pytest.fixture
def connection(people: Clients) -> Connection:
    return fitbox(key=SECRET)


def form(**values: Any) -> dict[str, Any]:
    usual = {"provider": "fitbox", "name": "Our Fitbox", "base_url": "", "profile": "", "key": "", "is_enabled": "on"}
    return usual | {"timeout_seconds": 10, "retries": 3, "calls_per_minute": 60} | values


def address(connection: Connection) -> str:
    return f"{LIST}{connection.pk}/change/"


def stored_key(connection: Connection) -> str:
    return credentials.unseal(Connection.objects.get(pk=connection.pk).credentials)[keys.KEY]


# --- the key ----------------------------------------------------------------------------------------------------------


def test_a_new_connection_keeps_its_key_encrypted_and_is_due(people: Clients) -> None:
    assert people.owner.post(f"{LIST}add/", form(key=SECRET)).status_code == 302
    connection = Connection.objects.get()
    assert stored_key(connection) == SECRET
    assert SECRET not in connection.credentials.text
    assert leases.due(timezone.now(), ["fitbox"]) == [connection.pk]


@pytest.mark.req("X-02", "X-03")
def test_the_key_never_comes_out(people: Clients, connection: Connection, caplog: pytest.LogCaptureFixture) -> None:
    answers = [
        people.owner.post(address(connection), form(key="new" + SECRET), follow=True),
        people.owner.post(address(connection), form(key=SECRET, name="")),
        people.owner.get(address(connection)),
        people.owner.get(f"{LIST}{connection.pk}/history/"),
        people.onlooker.get(address(connection)),
        people.owner.get("/admin/integrations/credentialuse/"),
        people.owner.get("/admin/"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert SECRET not in answer.content.decode()
    told = [entry.change_message for entry in LogEntry.objects.all()]
    told += [str(record.__dict__) for record in Connection.history.all()]
    told += [str(use.__dict__) for use in CredentialUse.objects.all()]
    assert SECRET not in " ".join([*told, caplog.text])


def test_only_the_last_four_are_shown(people: Clients, connection: Connection) -> None:
    for person in (people.owner, people.onlooker):
        assert "The stored key ends in ••••wxyz." in person.get(address(connection)).content.decode()


def test_of_a_short_key_nothing_is_shown(people: Clients, connection: Connection) -> None:
    people.owner.post(address(connection), form(key="short-wxyz"))
    said = people.owner.get(address(connection)).content.decode()
    assert "A key is stored." in said
    assert "wxyz" not in said


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"key": SECRET}, "base_url", "Enter the address at which Fitbox is asked; none is known here."),
        ({"base_url": "https://api.example.com"}, "key", "Enter the key that Fitbox gave you; none is stored."),
    ],
)
def test_what_neither_the_form_nor_the_environment_has_is_required(
    people: Clients, settings: Any, values: dict[str, str], field: str, reason: str
) -> None:
    settings.PROVIDER_URLS = {}
    answer = people.owner.post(f"{LIST}add/", form(**values))
    assert reason in answer.context["adminform"].form.errors[field]
    assert not Connection.objects.exists()


def test_address_and_key_of_the_environment_need_not_be_entered(people: Clients, settings: Any) -> None:
    settings.FITBOX_API_KEY = SECRET
    assert people.owner.post(f"{LIST}add/", form()).status_code == 302


def test_the_hint_of_the_key_fits_what_is_stored(people: Clients, settings: Any) -> None:
    said = people.owner.get(f"{LIST}add/").content.decode()
    assert "No key is stored." in said
    assert "Leave empty to keep it" not in said
    settings.FITBOX_API_KEY = SECRET
    assert "No key is stored. Leave empty to use the one" in people.owner.get(f"{LIST}add/").content.decode()
    assert "Leave empty to keep it as it is." in people.owner.get(address(fitbox())).content.decode()


def test_the_connection_speaks_as_the_page_of_the_data_source(people: Clients, connection: Connection) -> None:
    said = people.owner.get(address(connection)).content.decode()
    for words in ("Sync by itself", "Time limit", "Retries", "Seconds that one call may take", "Tries after a call"):
        assert words in said
    assert 'href="/admin/timetable-source/#settings"' in said
    assert "Status text" not in said
    Connection.objects.update(status=ConnectionStatus.REJECTED, status_text="Fitbox refused the key.")
    assert "Fitbox refused the key." in people.owner.get(address(connection)).content.decode()


def test_an_empty_key_keeps_the_old_one(people: Clients, connection: Connection) -> None:
    people.owner.post(address(connection), form(name="Renamed"))
    connection.refresh_from_db()
    assert (connection.name, stored_key(connection)) == ("Renamed", SECRET)


@pytest.mark.req("X-02")
def test_a_new_key_takes_a_rejected_connection_back_into_work(people: Clients, connection: Connection) -> None:
    Connection.objects.update(status=ConnectionStatus.REJECTED, status_text="Fitbox refused the key.")
    later = timezone.now() + timedelta(hours=1)
    SyncJob.objects.create(connection=connection, due_at=later, not_before=later, cursor="c", failures=3)
    people.owner.post(address(connection), form(key="new" + SECRET))
    connection.refresh_from_db()
    assert (connection.status, connection.status_text) == ("active", "")
    assert leases.due(timezone.now(), ["fitbox"]) == [connection.pk]
    job = SyncJob.objects.get()
    assert (job.cursor, job.failures, job.not_before) == ("", 0, None)
    use = CredentialUse.objects.get()
    assert (use.action, use.actor.startswith("user:"), use.purpose) == ("change", True, "key entered in the admin")


def test_a_new_address_wants_the_key_again(people: Clients, connection: Connection) -> None:
    answer = people.owner.post(address(connection), form(base_url="https://elsewhere.example"))
    assert "Enter the key together with the new address" in answer.content.decode()
    connection.refresh_from_db()
    assert connection.base_url == ""


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"name": ""}, "This field is required."),
        ({"provider": "acuity"}, "Select a valid choice."),
        ({"base_url": "ftp://x", "key": SECRET}, "The address must begin with https://"),
        ({"key": "two words"}, "A key has no spaces, line breaks or accents."),
        ({"key": "kéy"}, "A key has no spaces, line breaks or accents."),
        ({"retries": 9}, "less than or equal to 5"),
    ],
)
def test_a_bad_value_is_refused_with_the_reason(people: Clients, values: dict[str, Any], reason: str) -> None:
    answer = people.owner.post(f"{LIST}add/", form(**values))
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert not Connection.objects.exists()


def test_a_second_connection_to_the_same_timetable_is_refused(people: Clients, connection: Connection) -> None:
    answer = people.owner.post(f"{LIST}add/", form(key=SECRET))
    assert "There is a connection already: Our Fitbox." in answer.content.decode()
    assert Connection.objects.count() == 1


# --- the test ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("X-02")
def test_a_key_is_tested_before_it_is_saved(people: Clients, sandbox: Sandbox) -> None:
    at = sandbox.url_of("fitbox")
    good = people.owner.post(
        f"{LIST}test/", form(base_url=at, key=SANDBOX_FITBOX_KEY), headers={"Accept": "application/json"}
    )
    bad = people.owner.post(f"{LIST}test/", form(base_url=at, key=SECRET), headers={"Accept": "application/json"})
    assert (good.status_code, good.json()["ok"]) == (200, True)
    assert (bad.status_code, bad.json()["ok"]) == (200, False)
    assert "refused the key" in bad.json()["text"]
    assert not Connection.objects.exists()
    assert [(use.action, use.connection_name) for use in CredentialUse.objects.all()] == [("test", "Our Fitbox")] * 2


@pytest.mark.req("X-02")
def test_the_stored_key_is_tested_when_none_is_entered(people: Clients, sandbox: Sandbox) -> None:
    connection = fitbox(sandbox.url_of("fitbox"))
    answer = people.owner.post(
        f"{LIST}{connection.pk}/test/", form(base_url=connection.base_url), headers={"Accept": "application/json"}
    )
    assert answer.json()["ok"] is True
    assert {(use.action, use.connection_id) for use in CredentialUse.objects.all()} == {
        ("test", connection.pk),
        ("read", connection.pk),
    }


def test_the_stored_key_is_not_sent_to_another_address(people: Clients, sandbox: Sandbox) -> None:
    connection = fitbox("https://api.example.com")
    answer = people.owner.post(
        f"{LIST}{connection.pk}/test/", form(base_url=sandbox.url_of("fitbox")), headers={"Accept": "application/json"}
    )
    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert answer.json()["text"].startswith("Key: Enter the key together with the new address")
    assert sandbox.fitbox.traffic.counters.requests == 0


def test_without_script_the_test_answers_by_a_page(people: Clients, sandbox: Sandbox) -> None:
    said = people.owner.post(
        f"{LIST}test/", form(base_url=sandbox.url_of("fitbox"), key=SECRET), headers={"Accept": "text/html"}
    )
    assert "refused the key" in said.content.decode()
    assert "Nothing was saved." in said.content.decode()
    assert SECRET not in said.content.decode()


@pytest.mark.req("X-04")
@pytest.mark.parametrize("person", PEOPLE[:-1])
def test_only_those_who_may_change_test(people: Clients, connection: Connection, person: str) -> None:
    for at in (f"{LIST}test/", f"{LIST}{connection.pk}/test/"):
        answer = people.of(person).post(at, form(key=SECRET))
        assert answer.status_code == (302 if person in ("stranger", "member") else 403)
    assert not CredentialUse.objects.exists()


@pytest.mark.req("X-04")
@pytest.mark.parametrize("person", PEOPLE)
def test_only_staff_with_the_right_look(people: Clients, connection: Connection, person: str) -> None:
    expected = {"onlooker": 200, "manager": 403, "owner": 200}.get(person, 302)
    assert people.of(person).get(address(connection)).status_code == expected
    assert people.of(person).get(LIST).status_code == expected


# --- going ------------------------------------------------------------------------------------------------------------


def event(connection: Connection) -> None:
    starts_at = timezone.now() + timedelta(days=1)
    values = EventValues("HIIT", starts_at, starts_at + timedelta(minutes=45), ZONE.key)
    changes = Changes("fitbox", connection.key, 0, creates=[Incoming.of("1", values)])
    store.apply(changes, cause="test", now=timezone.now())
    read(connection=connection.key)


@pytest.mark.req("X-02")
def test_a_deleted_connection_takes_its_classes_to_come_along(people: Clients, connection: Connection) -> None:
    event(connection)
    assert people.owner.post(f"{LIST}{connection.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Connection.objects.exists()
    assert not Event.objects.live().exists()
    assert not SourceState.objects.exists()
    use = CredentialUse.objects.get()
    assert (use.action, use.connection_name, use.connection) == ("delete", "Our Fitbox", None)


def test_a_connection_made_anew_shows_no_class_of_this_week_twice(people: Clients, sandbox: Sandbox) -> None:
    with time_machine.travel(SATURDAY, tick=True):
        sandbox.clock.set(SATURDAY)
        ingest.run(ready(fitbox(sandbox.url_of("fitbox"))))
        before = this_week()
        people.owner.post(f"{LIST}{Connection.objects.get().pk}/delete/", {"post": "yes"})
        assert this_week() == []
        people.owner.post(f"{LIST}add/", form(base_url=sandbox.url_of("fitbox"), key=SANDBOX_FITBOX_KEY))
        ingest.run(Connection.objects.get().pk)
        assert this_week() == before
    assert len(before) == 45


def test_a_deleted_connection_leaves_earlier_weeks(people: Clients, connection: Connection) -> None:
    with time_machine.travel(SATURDAY, tick=False):
        event(connection)
    with time_machine.travel(SATURDAY + timedelta(days=7), tick=False):
        people.owner.post(f"{LIST}{connection.pk}/delete/", {"post": "yes"})
    assert Event.objects.live().count() == 1


def ready(connection: Connection) -> int:
    leases.job_of(connection, timezone.now())
    return connection.pk


def this_week() -> list[tuple[datetime, str, str]]:
    monday = datetime.combine(SATURDAY.date() - timedelta(days=5), time.min, ZONE)
    rows = Event.objects.live().filter(starts_at__gte=monday, starts_at__lt=monday + timedelta(days=7))
    return sorted(rows.values_list("starts_at", "title", "room"))


def test_a_connection_at_work_is_not_deleted(people: Clients, connection: Connection) -> None:
    leases.job_of(connection, timezone.now())
    assert leases.claim(connection.pk, now=timezone.now())
    answer = people.owner.post(f"{LIST}{connection.pk}/delete/", {"post": "yes"}, follow=True)
    assert "Nothing was deleted: a sync is running just now" in answer.content.decode()
    assert Connection.objects.filter(pk=connection.pk).exists()
