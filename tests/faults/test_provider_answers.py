"""A provider that answers badly, or not at all: rows A1 to A22 of the catalogue of faults. Over real sockets."""

import time
from datetime import timedelta

import pytest
from django.urls import reverse

from integrations import breaker
from integrations.models import Breaker, Connection
from integrations.sandbox import Fault, Sandbox
from sync import held, leases
from sync.errors import TooSoon
from sync.models import HeldImport, RunResult, RunTrigger
from tests.faults.conftest import House, vevents

pytestmark = [pytest.mark.django_db]
SOON = timedelta(minutes=1)
"""How soon a run follows one that found the provider out of order."""


def add(house: House, kind: str, **said: object) -> None:
    house.sandbox.fitbox.faults.add(Fault(kind, **said))  # type: ignore[arg-type]  # fields of a fault


def statuses(house: House) -> list[int]:
    return [record.status for record in house.sandbox.fitbox.traffic.records]


# --- A1, A3, A4: errors by status -------------------------------------------------------------------------------------


@pytest.mark.req("X-08")
@pytest.mark.parametrize("status", [500, 503])
def test_one_error_is_tried_again_after_a_short_wait_and_nobody_hears_of_it(house: House, status: int) -> None:
    """A1."""
    add(house, "status", status=status, calls=1)
    shown = house.shown()
    run = house.scheduled_run()
    assert (run.result, run.error, run.error_code, run.calls) == (RunResult.SUCCESS, "", "", 2)
    assert statuses(house)[0] == status
    first, second = (record.at for record in house.sandbox.fitbox.traffic.records)
    assert second - first < timedelta(seconds=1.5)
    assert house.shown() == shown
    house.assert_no_secret(run)
    house.assert_equal()
    house.assert_mends()


@pytest.mark.req("X-08")
def test_a_provider_that_asks_for_seven_seconds_is_left_alone_for_seven(house: House) -> None:
    """A3."""
    add(house, "status", status=503, retry_after=7, retry_after_form="seconds", calls=1)
    shown = house.shown()
    run = house.scheduled_run()
    first, second = (record.at for record in house.sandbox.fitbox.traffic.records)
    assert timedelta(seconds=7) <= second - first < timedelta(seconds=9)
    assert (run.result, run.error) == (RunResult.SUCCESS, "")
    assert house.shown() == shown
    house.assert_no_secret(run)
    house.assert_mends()


@pytest.mark.req("X-08")
@pytest.mark.parametrize(
    ("form", "seconds", "waits"),
    [("date", 40, 40), ("seconds", 40, 40), ("seconds", 3600, 900), ("date", 3600, 900)],
)
def test_a_long_pause_that_the_provider_asks_for_is_kept_without_a_worker_asleep(
    house: House, form: str, seconds: int, waits: int
) -> None:
    """A4: obeyed, bounded by 15 minutes, and rescheduled. A 429 says nothing of the provider's health."""
    add(house, "status", status=429, retry_after=seconds, retry_after_form=form)
    shown, stored = house.shown(), house.stored()
    began = time.monotonic()
    run = house.scheduled_run()
    assert time.monotonic() - began < 2
    house.assert_failed(run, "rate_limited", "asked for a pause")
    assert run.completed_at is not None
    assert abs((house.job.due_at - run.completed_at).total_seconds() - waits) <= 2
    assert statuses(house) == [429]
    assert breaker.state(f"fitbox:{house.connection.key}", house.now).state is breaker.State.CLOSED
    assert (house.stored(), house.shown()) == (stored, shown)
    with pytest.raises(TooSoon):
        leases.request(house.connection, RunTrigger.MANUAL, now=house.now)
    assert leases.due(house.now, ["fitbox"]) == []
    house.assert_mends()


def test_an_error_that_stays_ends_the_run_and_the_next_comes_within_a_minute(house: House) -> None:
    add(house, "status", status=500)
    run = house.scheduled_run()
    house.assert_failed(run, "provider_unavailable", "status 500")
    assert run.error in house.staff_see(reverse("admin:timetable-source"))
    house.assert_mends(SOON)
    add(house, "status", status=500)
    house.survives("provider_unavailable", "status 500", within=SOON)
    assert statuses(house)[:2] == [500, 500]


# --- A7, A8: slow -----------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-03", "X-07")
def test_no_answer_ends_at_the_connections_time_limit_and_counts_as_failure(house: House) -> None:
    """A7."""
    assert Connection._meta.get_field("timeout_seconds").default == 10
    house.use(timeout_seconds=1, retries=0)
    add(house, "hang", delay_seconds=30)
    began = time.monotonic()
    run = house.survives("provider_unavailable", "did not answer in time", within=SOON)
    assert run.duration_seconds is not None
    assert 0.9 < run.duration_seconds < 2.5
    assert time.monotonic() - began < 6
    outcomes = [ok for _, ok in Breaker.objects.get(key=f"fitbox:{house.connection.key}").outcomes]
    assert outcomes == [False, True]


@pytest.mark.req("TT-03")
def test_an_answer_that_dribbles_in_ends_at_the_total_time_limit(house: House) -> None:
    """A8: bytes come every twentieth of a second, so a limit on silence alone would never end it."""
    house.use(timeout_seconds=1, retries=0)
    add(house, "slow_body", bytes_per_second=20)
    run = house.survives("provider_unavailable", "did not answer in time", within=SOON)
    assert run.duration_seconds is not None
    assert 0.9 < run.duration_seconds < 2.5


# --- A9: not there ----------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-27", "TT-29", "X-07")
def test_an_outage_opens_the_breaker_shows_the_manual_timetable_and_ends_by_itself(house: House) -> None:
    """A9, connection refused: from live over the saved copy to CMS and back."""
    house.use(retries=0)
    port = int(house.sandbox.url.rpartition(":")[2])
    house.sandbox.stop()
    stored, key = house.stored(), f"fitbox:{house.connection.key}"
    calls = 0
    while breaker.state(key, house.now).state is breaker.State.CLOSED:
        run = house.scheduled_run()
        house.assert_failed(run, "provider_unavailable", "refused the connection")
        calls += run.calls
        assert calls <= 5
        assert house.job.due_at > house.now
        assert house.shown()
    refused = leases.request(house.connection, RunTrigger.MANUAL, now=house.now)
    run = house.scheduled_run()
    assert run.pk == refused.pk
    house.assert_failed(run, "circuit_open", "trial call follows by itself")
    assert run.calls == 0
    assert timedelta(0) < house.job.due_at - house.now <= breaker.OPEN_FOR

    run = house.scheduled_run()
    assert run.calls == 1, "one trial after the reset time"
    house.assert_failed(run, "provider_unavailable")
    assert breaker.state(key, house.now).state is breaker.State.OPEN

    house.move_to(house.now + timedelta(minutes=61))
    answer = house.members.get("/api/v1/timetable").json()
    assert (answer["source"], bool(answer["schedule"])) == ("cms", True)
    assert "nothing current to show from the booking system" in house.members.get("/timetable/").text
    assert vevents(house.members.get("/calendar/timetable.ics").content)
    assert house.stored() == stored

    with Sandbox.serve(port=port, seed=1) as house.sandbox:
        house.sandbox.fitbox.switch(bookings_frozen=True)
        run = house.scheduled_run()
        assert (run.result, run.error) == (RunResult.SUCCESS, "")
        house.assert_equal()
        assert house.shown()
        assert breaker.state(key, house.now).state is breaker.State.CLOSED
        house.assert_mends()


def test_a_name_that_cannot_be_found_is_an_outage_too(house: House) -> None:
    """A9, DNS."""
    house.use(base_url="http://gone.invalid/fitbox", retries=0)
    shown, stored = house.shown(), house.stored()
    run = house.scheduled_run()
    house.assert_failed(run, "provider_unavailable")
    assert (house.shown(), house.stored()) == (shown, stored)
    house.use(base_url=house.sandbox.url_of("fitbox"))
    house.assert_mends(SOON)


# --- A10 to A14: broken off, cut, not data ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "reset_mid_body", "truncated_body"])
def test_a_connection_that_breaks_once_is_tried_again(house: House, kind: str) -> None:
    """A10."""
    add(house, kind, calls=1)
    run = house.scheduled_run()
    assert (run.result, run.error, run.calls) == (RunResult.SUCCESS, "", 2)
    house.assert_no_secret(run)
    house.assert_mends()


@pytest.mark.req("TT-16")
@pytest.mark.parametrize("kind", ["reset", "reset_mid_body", "truncated_body"])
def test_of_an_answer_that_breaks_off_nothing_is_stored(house: House, kind: str) -> None:
    """A11, A12. The data changed meanwhile, so that any part of them could be seen."""
    house.sandbox.fitbox.schedule.set_all(special_notes="Bring a towel.")
    add(house, kind)
    run = house.survives("provider_unavailable", within=SOON)
    assert (run.created, run.changed, run.removed) == (0, 0, 0)


@pytest.mark.req("TT-16")
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut_json", "not JSON"),
        ("html", "a web page instead of data"),
        ("empty", "an empty answer"),
        ("empty_object", "without a list of classes"),
        ("empty_list", "without a list of classes"),
        ("null", "without a list of classes"),
        ("error_true", "without a list of classes"),
        ("broken_gzip", "cannot be unpacked"),
    ],
)
def test_what_is_not_a_schedule_is_no_empty_schedule(house: House, kind: str, words: str) -> None:
    """A13, A14, A15: recognised as not data. It is not asked for again at once: it would be the same."""
    house.sandbox.fitbox.schedule.set_all(special_notes="Bring a towel.")
    add(house, kind)
    run = house.survives("invalid_payload", words)
    assert run.calls == 1
    assert not HeldImport.objects.exists()


# --- A17 to A19: pages ------------------------------------------------------------------------------------------------


@pytest.fixture
def many_pages(house: House) -> House:
    """1,200 classes on three pages, accepted by the gym."""
    house.sandbox.fitbox.schedule.set_mode("six_pages")
    run = house.scheduled_run()
    assert run.result == RunResult.HELD, "all classes of before would go"
    held.release(HeldImport.objects.get(run=run), user=house.manager, now=house.now)
    house.assert_equal()
    house.sandbox.fitbox.traffic.clear()
    return house


def test_doubled_items_become_one_row_each(house: House) -> None:
    """A17."""
    house.use(settings={"differences": False})
    house.sandbox.fitbox.schedule.set_mode("duplicates")
    run = house.scheduled_run()
    assert run.result in (RunResult.SUCCESS, RunResult.PARTIAL)
    assert {finding["rule"] for finding in run.findings} >= {"duplicate"}
    stored = house.stored()
    assert len({row[0] for row in stored}) == len(stored)
    assert set(stored) == set(house.provided())
    house.assert_no_secret(run)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("duplicate_page", "announced"),
        ("wrong_total", "announced"),
        ("looping_page", "leads back to itself"),
        ("endless_pages", "pages"),
    ],
)
def test_pages_gone_wrong_are_an_incomplete_answer(many_pages: House, kind: str, words: str) -> None:
    """A17, A18: each is noticed within a bounded number of calls, and nothing of it is used."""
    add(many_pages, kind)
    run = many_pages.survives("incomplete_payload", words)
    assert run.calls <= 20


def test_a_class_that_slips_between_two_pages_is_not_lost(many_pages: House) -> None:
    """A19: while page 1 was read its first class went, so the first of page 2 is on neither page."""
    fitbox = many_pages.sandbox.fitbox
    fitbox.switch(no_validators=True)
    fitbox.change_while_paging("remove")
    many_pages.use(settings={"differences": False})
    before, stored = many_pages.shown(), many_pages.stored()
    run = many_pages.scheduled_run()
    many_pages.assert_failed(run, "incomplete_payload", "changed while its pages were read")
    assert (many_pages.shown(), many_pages.stored()) == (before, stored)
    many_pages.assert_mends()


# --- A22: redirects ---------------------------------------------------------------------------------------------------


@pytest.mark.req("X-05")
def test_a_redirect_to_another_server_is_not_followed(house: House) -> None:
    """A22: the other server, on another port of this machine, hears nothing, least of all the key."""
    with Sandbox.serve(seed=1) as other:
        add(house, "redirect", location=f"{other.url_of('fitbox')}/api/v1/schedule")
        run = house.survives("address_refused", "redirects to another server")
        assert run.calls == 1
        assert other.fitbox.traffic.counters.requests == 0


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data/", "file:///etc/passwd", "//[::1]/"])
def test_a_redirect_to_a_forbidden_address_is_not_followed(house: House, location: str) -> None:
    """A22."""
    add(house, "redirect", location=location)
    assert house.survives("address_refused").calls == 1
