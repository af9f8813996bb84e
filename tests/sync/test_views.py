"""The staff pages without script: the data source, its settings, Sync Now, held imports, the beginning of a gym."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from integrations.models import Connection
from integrations.sandbox import SANDBOX_FITBOX_KEY
from schedule import demo, store
from schedule.differences import Changes
from schedule.models import Event, Organization, TimetableSettings
from schedule.values import EventValues, Incoming
from sync import held, leases
from sync.models import HeldImport, HeldState, Run, RunResult, RunState, RunTrigger, SyncJob
from sync.plan import Guard
from sync.proposals import Proposal
from tests.schedule.making import MONDAY, NOW, ZONE, read, session
from tests.staff import PEOPLE, Clients, clients, fitbox, gym

pytestmark = pytest.mark.django_db
PAGE = "/admin/timetable-source/"
START = "/admin/start-gym/"


@pytest.fixture(autouse=True)
def at_ten() -> Any:
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def people() -> Clients:
    gym()
    return clients()


@pytest.fixture
def connection(people: Clients) -> Connection:
    return fitbox()


def text(answer: Any) -> str:
    """Return a page as people read it."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())))


# --- who may ----------------------------------------------------------------------------------------------------------

TO_LOGIN, NO, YES, BACK, BAD = "login", 403, 200, 302, 400
MATRIX: dict[tuple[str, str], dict[str, int]] = {
    ("GET", PAGE): {"onlooker": YES, "manager": YES, "owner": YES},
    ("POST", PAGE): {"onlooker": NO, "manager": BAD, "owner": BAD},
    ("POST", f"{PAGE}sync/"): {"onlooker": NO, "manager": BACK, "owner": BACK},
    ("GET", START): {"onlooker": NO, "manager": NO, "owner": BACK},
    ("POST", START): {"onlooker": NO, "manager": NO, "owner": BACK},
}


@pytest.mark.req("X-04")
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize(("method", "address"), MATRIX)
def test_only_staff_with_the_right_come_in(people: Clients, person: str, method: str, address: str) -> None:
    answer = people.of(person).generic(method, address)
    if person in ("stranger", "member"):
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")
    else:
        assert answer.status_code == MATRIX[method, address][person]


def test_an_onlooker_finds_nothing_to_press(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    said = people.onlooker.get(PAGE).content.decode()
    assert "Sync Now" not in said
    assert "Use this source" not in said
    assert "Save settings" not in said


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-19")
def test_the_page_offers_both_sources_with_their_words(people: Clients, connection: Connection) -> None:
    said = text(people.manager.get(PAGE))
    assert "Timetable Data Source" in said
    assert "Manual CMS Our staff keep the weekly timetable here" in said
    assert "Fitbox Integration Classes come from Fitbox by themselves" in said


@pytest.mark.req("TT-19")
def test_the_difference_stands_there_before_switching(people: Clients, connection: Connection) -> None:
    organization = Organization.installation()
    session(organization, 2, "18:00", title="HIIT")
    session(organization, 3, "18:00", title="Yoga", instructor_name="Sam")
    session(organization, 3, "18:00", title="Yoga", instructor_name="Kim", source="fitbox", connection=connection.key)
    session(organization, 4, "07:00", title="Spin", source="fitbox", connection=connection.key)
    read(at=NOW, connection=connection.key)
    said = text(people.manager.get(PAGE))
    assert (
        "If you switch to Fitbox Integration This week 1 would go, 1 would come, 1 would change and 0 would stay"
        in said
    )
    assert "goes Wed 18:00 HIIT" in said
    assert "comes Fri 07:00 Spin" in said
    assert "Sam → Kim" in said


@pytest.mark.req("TT-19", "TT-21")
def test_switching_shows_with_the_next_page_view_and_back_again(people: Clients, connection: Connection) -> None:
    organization = Organization.installation()
    session(organization, 2, "18:00", title="By Staff")
    session(organization, 2, "19:00", title="By Fitbox", source="fitbox", connection=connection.key)
    read(at=NOW - timedelta(minutes=1), connection=connection.key)
    for chosen, shown in (("fitbox", "By Fitbox"), ("cms", "By Staff"), ("fitbox", "By Fitbox")):
        answer = people.manager.post(PAGE, {"data_source": chosen})
        assert answer.status_code == 302
        assert shown in Client().get("/timetable/").content.decode()
    assert Run.objects.get().trigger == RunTrigger.SWITCH


@pytest.mark.req("TT-19")
def test_a_choice_that_cannot_be_saved_keeps_the_former(people: Clients, connection: Connection) -> None:
    with patch("sync.sources.choose", side_effect=OperationalError("locked")):
        answer = people.manager.post(PAGE, {"data_source": "fitbox"})
    assert answer.status_code == 503
    assert "Fitbox Integration could not be saved, so the former choice holds." in text(answer)
    assert re.search(r'value="cms"\s+checked', answer.content.decode())


@pytest.mark.parametrize("chosen", ["acuity", "", "\x00"])
def test_an_unknown_source_is_refused_in_words(people: Clients, chosen: str) -> None:
    answer = people.manager.post(PAGE, {"data_source": chosen})
    assert answer.status_code == 400
    assert TimetableSettings.current().data_source == "cms"


@pytest.mark.req("TT-23")
def test_a_switched_off_source_is_not_offered(people: Clients, connection: Connection, settings: Any) -> None:
    settings.TIMETABLE_SOURCES = {"cms": "Manual CMS"}
    said = people.manager.get(PAGE).content.decode()
    assert "Manual CMS" in said
    assert "Fitbox Integration" not in said
    assert "Sync Now" not in said


@pytest.mark.req("TT-19")
def test_changes_say_who_and_when(people: Clients, connection: Connection) -> None:
    people.manager.post(PAGE, {"data_source": "fitbox"})
    people.owner.post(PAGE, form(interval_minutes=10))
    said = text(people.manager.get(PAGE))
    assert "Switched to Fitbox Integration by manager, 18 Nov 10:00" in said
    assert "Interval 15 → 10 minutes by owner, 18 Nov 10:00" in said


# --- the settings -----------------------------------------------------------------------------------------------------


def form(**values: Any) -> dict[str, Any]:
    """Return what the form of the settings sends."""
    usual = {"interval_minutes": 15, "timeout_seconds": 10, "retries": 3, "stale_limit_minutes": 60, "stand_in_0": ""}
    return usual | {"is_enabled": "on", "show_cancelled": "on", "save": "1"} | values


@pytest.mark.req("TT-24", "TT-25")
def test_settings_are_saved_together(people: Clients, connection: Connection) -> None:
    answer = people.manager.post(
        PAGE, form(interval_minutes=30, stale_limit_minutes=90, retries=0, stand_in_0="fitbox")
    )
    connection.refresh_from_db()
    timetable = TimetableSettings.current()
    assert answer.status_code == 302
    assert (connection.interval_minutes, connection.retries) == (30, 0)
    assert (timetable.stale_limit_minutes, timetable.fallback_order) == (90, ["fitbox", "cms"])


BAD_VALUES = [
    ("interval_minutes", 4, "greater than or equal to 5"),
    ("interval_minutes", 61, "less than or equal to 60"),
    ("interval_minutes", "", "required"),
    ("interval_minutes", "ten", "whole number"),
    ("stale_limit_minutes", 29, "With an interval of 15 minutes the limit must be at least 30"),
    ("timeout_seconds", 0, "greater than or equal to 1"),
    ("retries", 6, "less than or equal to 5"),
    ("stand_in_0", "acuity", "not one of the available choices"),
]


@pytest.mark.req("TT-24")
@pytest.mark.parametrize(("name", "value", "reason"), BAD_VALUES)
def test_a_bad_value_is_refused_at_its_field(
    people: Clients, connection: Connection, name: str, value: Any, reason: str
) -> None:
    answer = people.manager.post(PAGE, form(**{name: value}))
    row = re.search(rf'<div class="form-row errors">(.*?)id="id_{name}"', answer.content.decode(), re.DOTALL)
    assert answer.status_code == 400
    assert row is not None
    assert reason in unescape(row[1])
    connection.refresh_from_db()
    assert (connection.interval_minutes, TimetableSettings.current().stale_limit_minutes) == (15, 60)


@pytest.mark.req("TT-24")
@pytest.mark.parametrize(("interval", "warned"), [(10, False), (11, True)])
def test_the_page_says_when_the_interval_is_too_long_for_the_promise(
    people: Clients, connection: Connection, interval: int, warned: bool
) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    Connection.objects.update(interval_minutes=interval)
    assert ("can take longer than 15 minutes to show" in text(people.manager.get(PAGE))) == warned


def test_the_chosen_source_does_not_stand_in_for_itself(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox", fallback_order=["fitbox", "cms"])
    assert "Stand-in" not in text(people.manager.get(PAGE))
    people.manager.post(PAGE, form(retries=0))
    assert TimetableSettings.current().fallback_order == ["fitbox", "cms"]


def test_a_refused_form_opens_at_its_error_and_a_saved_one_at_the_message(
    people: Clients, connection: Connection
) -> None:
    said = people.manager.get(PAGE).content.decode()
    assert f'action="{PAGE}#settings"' in said
    assert f'action="{PAGE}#source"' in said
    refused = people.manager.post(PAGE, form(interval_minutes=4))
    assert '<a href="#id_interval_minutes">Update interval</a>: Ensure' in refused.content.decode()
    assert people.manager.post(PAGE, form())["Location"] == f"{PAGE}#content-start"


def test_saving_the_same_settings_again_writes_nothing(people: Clients, connection: Connection) -> None:
    people.manager.post(PAGE, form())
    before = (TimetableSettings.history.count(), Connection.history.count(), store.revision("publication"))
    people.manager.post(PAGE, form())
    assert (TimetableSettings.history.count(), Connection.history.count(), store.revision("publication")) == before


# --- Sync Now ---------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-22")
def test_sync_now_is_there_while_fitbox_is_the_source(people: Clients, connection: Connection) -> None:
    assert "Sync Now" not in text(people.manager.get(PAGE))
    TimetableSettings.objects.update(data_source="fitbox")
    said = text(people.manager.get(PAGE))
    assert "Sync Now" in said
    assert "Last sync Never" in said


@pytest.mark.req("TT-22", "X-11")
def test_sync_now_without_script_leads_to_a_page_that_follows_it(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    answer = people.manager.post(f"{PAGE}sync/", follow=True)
    run = Run.objects.get()
    said = answer.content.decode()
    assert (run.trigger, run.requested_by.get_username()) == ("manual", "manager")  # type: ignore[union-attr]
    assert "Syncing..." in said
    assert '<noscript><meta http-equiv="refresh"' in said
    assert f'data-run="{run.pk}"' in said


@pytest.mark.req("TT-22")
def test_a_pause_is_told_on_the_gyms_clock(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    until = NOW + timedelta(minutes=3)
    SyncJob.objects.create(connection=connection, due_at=until, not_before=until)
    said = text(people.manager.post(f"{PAGE}sync/", follow=True))
    assert "Fitbox asked for a pause. The next sync is possible at 10:03:00." in said
    assert "Next possible 10:03:00" in said


def test_the_page_looks_again_when_the_pause_is_over(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    until = NOW + timedelta(seconds=90.2)
    SyncJob.objects.create(connection=connection, due_at=until, not_before=until)
    assert 'data-wait="91"' in people.manager.get(PAGE).content.decode()


def test_a_refused_key_is_explained_beside_sync_now(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    Connection.objects.update(status="rejected", status_text="Fitbox refused the key.")
    answer = people.owner.get(PAGE)
    assert "Fitbox refused the key. Enter a new key" in text(answer)
    assert f'href="/admin/integrations/connection/{connection.pk}/change/">Enter a new key' in answer.content.decode()


def test_sync_now_without_a_connection_says_what_to_do(people: Clients) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    said = text(people.manager.post(f"{PAGE}sync/", follow=True))
    assert "There is no connection to Fitbox yet. Add one, with its address and key." in said


@pytest.mark.req("TT-36", "X-32")
def test_the_last_run_is_told_with_counts_error_and_findings(people: Clients, connection: Connection) -> None:
    TimetableSettings.objects.update(data_source="fitbox")
    finding = {"rule": "capacity", "message": "Capacity is 0 <b>", "record": "#3", "field": "capacity", "hard": True}
    Run.objects.create(
        connection=connection,
        source="fitbox",
        state=RunState.FAILED,
        result=RunResult.FAILED,
        trigger=RunTrigger.MANUAL,
        created_at=NOW,
        started_at=NOW,
        completed_at=NOW + timedelta(seconds=3),
        total=64,
        error="Fitbox is not answering properly.",
        findings=[finding],
    )
    answer = people.manager.get(PAGE)
    said = text(answer)
    assert "Last run: failed" in said
    assert "18 Nov 10:00:00, manual, took 3.0 s" in said
    assert "Fitbox is not answering properly." in said
    assert "#3 capacity Capacity is 0 <b> yes" in said
    assert "Capacity is 0 &lt;b&gt;" in answer.content.decode()


def failed(connection: Connection, **values: Any) -> Run:
    values = {"state": RunState.FAILED, "result": RunResult.FAILED, "created_at": NOW, "completed_at": NOW} | values
    return Run.objects.create(connection=connection, source="fitbox", **values)


def test_a_run_that_read_nothing_shows_no_row_of_zeros(people: Clients, connection: Connection) -> None:
    failed(connection, error="Fitbox is not answering properly.")
    assert 'class="counts"' not in people.manager.get(PAGE).content.decode()
    failed(connection, error="Too much cannot be read.", total=9)
    assert 'class="counts"' in people.manager.get(PAGE).content.decode()


def test_the_list_of_runs_says_first_what_happened(people: Clients, connection: Connection) -> None:
    failed(connection, error="Fitbox is not answering properly.")
    said = text(people.owner.get("/admin/sync/run/"))
    assert re.search(r"run \d+ Fitbox is not answering properly. failed schedule 18 Nov 2026, 10:00", said)


# --- held imports -----------------------------------------------------------------------------------------------------


def incoming(number: int, title: str = "HIIT") -> Incoming:
    starts_at = datetime.combine(MONDAY + timedelta(days=3), datetime.min.time(), ZONE) + timedelta(hours=6 + number)
    values = EventValues(title, starts_at, starts_at + timedelta(minutes=45), ZONE.key, class_type_name=title)
    return Incoming.of(f"{number}", values)


@pytest.fixture
def waiting(connection: Connection) -> HeldImport:
    """An import that would take nine of ten classes away and rename the tenth."""
    now = timezone.now()
    key = connection.key
    store.apply(Changes("fitbox", key, 0, creates=[incoming(n) for n in range(10)]), cause="test", now=now)
    read(at=now, connection=key)
    hold(connection, [incoming(0, "Spin")])
    return HeldImport.objects.get()


def hold(connection: Connection, said: list[Incoming]) -> None:
    now = timezone.now()
    asked = (MONDAY, MONDAY + timedelta(days=55))
    proposal = Proposal("fitbox", connection.key, ZONE.key, asked, asked, said)
    run = Run.objects.create(connection=connection, source="fitbox", state=RunState.COMPLETED, created_at=now)
    assert held.keep(run, connection, proposal, proposal.plan(now, Guard()), now) is RunResult.HELD


def decide(client: Client, waiting: HeldImport, decision: str) -> Any:
    return client.post(f"/admin/sync/heldimport/{waiting.pk}/{decision}/", follow=True)


def test_a_held_import_is_named_on_the_front_page(people: Clients, waiting: HeldImport) -> None:
    said = text(people.owner.get("/admin/"))
    assert "Needs you Held import of Our Fitbox" in said
    assert waiting.reason in said


def test_a_held_import_shows_what_would_go_and_change(people: Clients, waiting: HeldImport) -> None:
    said = text(people.owner.get(f"/admin/sync/heldimport/{waiting.pk}/change/"))
    assert "If released: 9 would go, 0 would come, 1 would change." in said
    assert "goes Thu 19 Nov 07:00 HIIT" in said
    assert "title HIIT → Spin" in said


def test_a_held_import_names_what_was_cancelled_already(people: Clients, waiting: HeldImport) -> None:
    Event.objects.filter(external_id__in=("8", "9")).update(status="cancelled")
    said = text(people.owner.get(f"/admin/sync/heldimport/{waiting.pk}/change/"))
    assert "If released: 7 classes and 2 already cancelled would go, 0 would come, 1 would change." in said
    assert "HIIT (already cancelled)" in said


def test_a_held_import_names_what_it_would_cancel(people: Clients, waiting: HeldImport, connection: Connection) -> None:
    cancelled = [
        Incoming.of(one.external_id, replace(one.values, status="cancelled")) for one in map(incoming, range(10))
    ]
    hold(connection, cancelled)
    waiting = HeldImport.objects.get(state=HeldState.OPEN)
    said = text(people.owner.get(f"/admin/sync/heldimport/{waiting.pk}/change/"))
    assert "If released: 0 would go, 0 would come, 10 would change (10 of them to cancelled)." in said


def test_release_applies_what_was_shown(people: Clients, waiting: HeldImport) -> None:
    said = text(decide(people.owner, waiting, "release"))
    assert "The import was released; members see it now." in said
    assert "released by owner, 18 Nov 10:00" in said
    assert [event.title for event in Event.objects.live()] == ["Spin"]


def test_discard_changes_nothing(people: Clients, waiting: HeldImport) -> None:
    said = text(decide(people.owner, waiting, "discard"))
    assert "The import was discarded; the timetable stays as it is." in said
    assert Event.objects.live().count() == 10


def test_a_decision_that_comes_second_is_told_so(people: Clients, waiting: HeldImport) -> None:
    decide(people.owner, waiting, "discard")
    said = text(decide(people.owner, waiting, "release"))
    assert "This import was decided or replaced by a newer one meanwhile; nothing was done." in said
    assert Event.objects.live().count() == 10


@pytest.mark.req("X-04")
@pytest.mark.parametrize("decision", ["release", "discard"])
@pytest.mark.parametrize("person", PEOPLE[:-1])
def test_only_those_with_the_right_decide(people: Clients, waiting: HeldImport, person: str, decision: str) -> None:
    answer = people.of(person).post(f"/admin/sync/heldimport/{waiting.pk}/{decision}/")
    assert answer.status_code == (302 if person in ("stranger", "member") else 403)
    waiting.refresh_from_db()
    assert waiting.state == HeldState.OPEN


def test_a_link_alone_decides_nothing(people: Clients, waiting: HeldImport) -> None:
    assert people.owner.get(f"/admin/sync/heldimport/{waiting.pk}/release/").status_code == 405


# --- the front page ---------------------------------------------------------------------------------------------------


def test_a_rejected_connection_is_named_on_the_front_page(people: Clients, connection: Connection) -> None:
    Connection.objects.update(status="rejected", status_text="Fitbox refused the key.")
    assert "Our Fitbox needs a new key Fitbox refused the key." in text(people.owner.get("/admin/"))


def test_the_front_page_says_that_the_last_sync_failed(people: Clients, connection: Connection) -> None:
    failed(connection, error="Fitbox is not answering properly.")
    said = text(people.manager.get("/admin/"))
    assert "The last sync failed , 18 Nov 10:00: Fitbox is not answering properly." in said


@pytest.mark.parametrize("person", ["onlooker", "manager", "owner"])
def test_the_front_page_leads_to_the_data_source(people: Clients, person: str) -> None:
    assert f'href="{PAGE}"' in people.of(person).get("/admin/").content.decode()


def test_without_a_gym_the_front_page_leads_to_the_beginning() -> None:
    owner = clients().owner
    assert f'href="{START}"' in owner.get("/admin/").content.decode()
    assert owner.get(PAGE)["Location"] == START


# --- a real gym -------------------------------------------------------------------------------------------------------

BEGINNING = {
    "name": "Northside",
    "zone": "Europe/London",
    "email": "desk@northside.example",
    "username": "robin",
    "password": "correct horse battery",
    "again": "correct horse battery",
}


@pytest.fixture
def demo_owner() -> Client:
    demo.make(NOW)
    client = Client()
    client.force_login(User.objects.get(username="manager"))
    return client


def test_leaving_the_demo_begins_the_gym_and_logs_its_first_person_in(demo_owner: Client) -> None:
    answer = demo_owner.post(START, BEGINNING, follow=True)
    gym = Organization.objects.get()
    assert (gym.name, gym.timezone, gym.is_installation, gym.is_demo) == ("Northside", "Europe/London", True, False)
    assert [user.username for user in User.objects.all()] == ["robin"]
    assert "Your gym stands." in text(answer)
    assert Event.objects.count() == 0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("zone", "Melbourne", "is not a time zone"),
        ("name", "", "required"),
        ("email", "desk", "valid email"),
        ("password", "short", "too short"),
        ("again", "something else", "differ"),
        ("username", "a b", "valid username"),
    ],
)
def test_a_bad_beginning_is_refused_at_its_field(demo_owner: Client, name: str, value: str, reason: str) -> None:
    answer = demo_owner.post(START, BEGINNING | {name: value})
    row = re.search(rf'<div class="form-row errors">(.*?)name="{name}"', answer.content.decode(), re.DOTALL)
    assert answer.status_code == 400
    assert row is not None
    assert reason in row[1]
    assert demo.exists()


def test_a_real_gym_is_not_begun_twice(people: Clients) -> None:
    said = text(people.owner.post(START, BEGINNING, follow=True))
    assert "This Callboard serves Harbour Gym already." in said
    assert Organization.objects.count() == 1


def test_the_demo_does_not_go_while_it_is_synced(demo_owner: Client) -> None:
    connection = fitbox(settings={"demo": True})
    leases.job_of(connection, timezone.now())
    assert leases.claim(connection.pk, now=timezone.now())
    answer = demo_owner.post(START, BEGINNING)
    assert "A sync is running just now; try again when it has ended." in text(answer)
    assert demo.exists()


def test_a_connection_with_a_key_of_its_own_survives_the_demo(demo_owner: Client) -> None:
    kept = fitbox()
    SyncJob.objects.create(connection=kept, due_at=NOW + timedelta(hours=1), cursor="2026-11-18", full_read_at=NOW)
    demo_owner.post(START, BEGINNING)
    job = SyncJob.objects.get()
    assert (job.connection_id, job.cursor, job.full_read_at, job.lease_until) == (kept.pk, "", None, None)
    assert leases.due(timezone.now(), ["fitbox"]) == [kept.pk]


@pytest.mark.parametrize(
    ("values", "stays"),
    [
        ({}, False),
        ({"key": SANDBOX_FITBOX_KEY}, False),
        ({"key": "fbx-live-0123456789"}, True),
        ({"key": SANDBOX_FITBOX_KEY, "base_url": "https://api.example.com"}, True),
    ],
)
def test_the_demos_connection_goes_unless_it_leads_elsewhere(
    demo_owner: Client, settings: Any, values: dict[str, str], stays: bool
) -> None:
    settings.PROVIDER_URLS = {"FITBOX": "http://127.0.0.1:9"}
    connection = fitbox(settings={"demo": True})
    saved = {
        "name": "Fitbox",
        "base_url": "",
        "profile": "",
        "calls_per_minute": 60,
        "timeout_seconds": 10,
        "retries": 3,
    }
    answer = demo_owner.post(f"/admin/integrations/connection/{connection.pk}/change/", saved | values)
    assert answer.status_code == 302
    assert ("The connection Fitbox stays" in text(demo_owner.get(START))) == stays
    demo_owner.post(START, BEGINNING)
    assert Connection.objects.exists() == stays


# --- every staff page -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/admin/", PAGE, "/admin/integrations/connection/add/"])
def test_pages_keep_the_policy(people: Clients, address: str) -> None:
    answer = people.owner.get(address)
    said = answer.content.decode()
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style|\sstyle=|\son\w+=", said)
