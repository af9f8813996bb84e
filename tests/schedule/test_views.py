"""The public page: what it says, how it is kept, and what it does when things are down."""

import re
from datetime import timedelta
from itertools import product

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schedule import answers, cache
from schedule.models import ClassType, Closure, Event, Organization, TimetableSettings
from schedule.store import bump_publication
from tests.schedule.making import MONDAY, NOW, gym, no_database, no_redis, read, session
from tests.schedule.page import Page

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("at_ten")]
PAGE = "/timetable/"
HOSTILE = [
    "</li></ol><script>alert(1)</script>",
    "<!--/status-->",
    "{{ settings.SECRET_KEY }}",
    '" onload="x',
    "&amp;",
    "\u202eesrever",
]


def page(client: Client, address: str = PAGE) -> Page:
    response = client.get(address)
    assert response.status_code == 200
    return Page(response.content.decode())


# --- what it says -----------------------------------------------------------------------------------------------------


def test_home_leads_to_the_timetable(client: Client) -> None:
    response = client.get("/")
    assert (response.status_code, response["Location"]) == (302, PAGE)


def test_a_class_is_shown_with_time_name_coach_room_length_and_space(client: Client) -> None:
    session(gym(), 2, "18:00", instructor_name="Alex Reed", room="Studio 2", location="Pier 4", capacity=20, booked=17)
    shown = page(client)
    assert shown.days["Wednesday"] == [
        "18:00 to – 18:45 HIIT Alex Reed Studio 2 Pier 4 45 min ◕ Few spots left · 3 left",
    ]


def test_the_week_is_named_and_its_neighbours_are_links(client: Client) -> None:
    gym()
    shown = page(client)
    assert "Mon 16 – Sun 22 November" in shown.text
    assert shown.links["Previous week"] == "/timetable/?week=2026-W46"
    assert shown.links["This week"] == PAGE
    assert shown.links["Next week"] == "/timetable/?week=2026-W48"
    assert page(client, "/timetable/?week=2026-W48").links["Previous week"] == PAGE


def test_the_last_years_end_without_a_link_beyond_them(client: Client) -> None:
    gym()
    assert "Next week" not in page(client, "/timetable/?week=2100-W52").links
    assert "Previous week" not in page(client, "/timetable/?week=2000-W01").links


@pytest.mark.req("TT-08")
def test_a_cancelled_class_stays_struck_with_the_word_and_the_reason(client: Client) -> None:
    organization = gym()
    session(organization, 2, "18:00", title="Yoga", status="cancelled", status_reason="Cup Day", capacity=20, booked=3)
    html = client.get(PAGE).content.decode()
    assert re.search(r'<s class="name">Yoga</s>', html)
    assert Page(html).days["Wednesday"] == ["18:00 to – 18:45 Yoga ✕ Cancelled: Cup Day 45 min"]
    TimetableSettings.objects.update(show_cancelled=False)
    assert "Yoga" not in client.get(PAGE).content.decode()


@pytest.mark.req("TT-09")
@pytest.mark.parametrize(("booked", "word"), [(20, "Full"), (16, "Few spots left"), (2, "Spots available")])
def test_space_is_said_in_a_word_and_never_as_a_bare_ratio(client: Client, booked: int, word: str) -> None:
    session(gym(), capacity=20, booked=booked)
    [text] = page(client).days["Wednesday"]
    assert word in text
    assert not re.search(r"\d\s*(/|of)\s*20", text)


def test_past_running_and_coming_classes_differ_in_words(client: Client) -> None:
    organization = gym()
    for clock in ("08:00", "09:30", "10:30"):
        session(organization, 2, clock, capacity=20, booked=1)
    over, running, coming = page(client).days["Wednesday"]
    assert "Over" in over
    assert "On now" not in over
    assert "On now" in running
    assert "Over" not in coming
    assert "On now" not in coming


def test_an_empty_day_and_an_empty_week_say_where_to_go(client: Client) -> None:
    organization = gym()
    assert "Nothing is listed for this week" in page(client).text
    assert page(client).links["03 5550 0100"] == "tel:0355500100"
    session(organization, 4)
    shown = page(client)
    assert "No classes. Next: Friday" in shown.text
    assert shown.links["Friday"] == "#d2026-11-20"


def test_a_closed_day_is_named(client: Client) -> None:
    organization = gym()
    session(organization)
    Closure.objects.create(organization=organization, name="Cup Day", first_on=MONDAY, last_on=MONDAY)
    assert "Closed: Cup Day" in page(client).text


@pytest.mark.req("TT-29")
def test_the_source_and_its_time_are_named_in_words(client: Client) -> None:
    organization = gym(data_source="fitbox")
    session(organization, source="fitbox")
    read(at=NOW - timedelta(minutes=5))
    fresh = page(client)
    assert "09:55" in fresh.status
    assert "Saved copy" not in fresh.status
    read(at=NOW - timedelta(minutes=40))
    stale = page(client)
    assert "Saved copy" in stale.status
    assert "09:20" in stale.status
    assert stale.status.startswith("!")


@pytest.mark.req("TT-29")
@pytest.mark.parametrize(("week", "said"), [("2020-W01", "any more"), ("2027-W04", "yet")])
def test_a_week_that_nobody_has_is_no_alarm_while_the_source_is_live(client: Client, week: str, said: str) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read()
    shown = page(client, f"/timetable/?week={week}")
    assert shown.status == f"● No timetable for this week {said}"
    assert ("so far" in shown.text) is (said == "yet")


def test_a_week_that_is_none_gets_a_page_that_helps(client: Client) -> None:
    gym()
    for text in ("2026-W99", "soon", "<script>", "2500-W01", "-1"):
        response = client.get(PAGE, {"week": text})
        assert response.status_code == 404
        assert Page(response.content.decode()).links["Go to this week"] == PAGE
        assert "<script>" not in response.content.decode()


def test_without_a_gym_the_page_says_how_to_begin(client: Client) -> None:
    response = client.get(PAGE)
    assert response.status_code == 200
    assert "manage.py start_gym" in response.content.decode()
    assert response["Cache-Control"] == "no-store"


def test_health_is_one_word(client: Client) -> None:
    with no_database():
        response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok")


@pytest.mark.parametrize("address", ["/nowhere", "/timetable/../etc/passwd", "/timetable/x"])
def test_an_unknown_address_is_a_plain_404(client: Client, address: str) -> None:
    response = client.get(address)
    assert response.status_code == 404
    text = response.content.decode()
    assert "There is no such page" in text
    assert "urlconf" not in text.lower()


# --- as sent ----------------------------------------------------------------------------------------------------------


def test_the_page_touches_neither_session_nor_user(client: Client) -> None:
    session(gym())
    client.cookies["sessionid"] = "x" * 32
    with CaptureQueriesContext(connection) as queries:
        response = client.get(PAGE)
    assert "Vary" not in response.headers
    assert not response.cookies
    assert not [query for query in queries if "django_session" in query["sql"] or "auth_user" in query["sql"]]


def test_nothing_in_the_page_breaks_the_content_security_policy(client: Client) -> None:
    session(gym())
    response = client.get(PAGE)
    html = response.content.decode()
    assert "'unsafe-inline'" not in response["Content-Security-Policy"]
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", html)
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)


def test_colours_come_as_a_stylesheet_that_never_changes_under_its_name(client: Client) -> None:
    organization = gym()
    yoga = ClassType.objects.create(organization=organization, name="Yoga", colour="#123456")
    session(organization, class_type=yoga)
    address = re.search(r'"(/timetable/types\.css\?v=\w+)"', client.get(PAGE).content.decode())
    assert address
    response = client.get(address[1])
    assert response.content.decode() == f".t{yoga.pk}{{--type:#123456}}\n"
    assert response["Content-Type"] == "text/css; charset=utf-8"
    assert "immutable" in response["Cache-Control"]
    ClassType.objects.update(colour="#654321")
    assert "immutable" not in client.get(address[1])["Cache-Control"]


def test_only_safe_methods_are_answered(client: Client) -> None:
    gym()
    for method in (client.post, client.put, client.delete):
        assert method(PAGE).status_code == 405


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
        st.sampled_from(HOSTILE),
    )
)
def test_hostile_texts_leave_the_page_whole(client: Client, text: str) -> None:
    Organization.objects.all().delete()
    cache.forget()
    hostile = dict.fromkeys(
        ("title", "description", "instructor_name", "room", "location", "level", "status_reason"), text
    )
    session(gym(), 2, "18:00", external_url=text, status="cancelled", **hostile)
    html = client.get(PAGE).content.decode()
    assert html.count("<script") == 2
    assert html.count("<!--status-->") == html.count("<!--/status-->") == 1
    shown = Page(html)
    assert list(shown.days) == ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
    assert len(shown.days["Wednesday"]) == 1
    assert all(not link.startswith("javascript") for link in shown.links.values())


# --- kept -------------------------------------------------------------------------------------------------------------


def test_a_known_page_costs_two_queries(client: Client) -> None:
    session(gym())
    client.get(PAGE)
    with CaptureQueriesContext(connection) as queries:
        client.get(PAGE)
    assert len(queries) == 2


def test_weeks_far_away_are_not_kept(client: Client) -> None:
    session(gym())
    far = "/timetable/?week=2031-W01"
    etag = client.get(far)["ETag"]
    with CaptureQueriesContext(connection) as queries:
        assert client.get(far)["ETag"] == etag
    assert len(queries) == 6
    with no_database():
        assert client.get(far).status_code == 503


@pytest.mark.req("TT-21")
def test_a_switch_of_the_source_shows_with_the_next_request(client: Client) -> None:
    organization = gym()
    read()
    session(organization, source="cms", title="Our own")
    session(organization, source="fitbox", title="Their own")
    assert page(client).days["Wednesday"][0].startswith("18:00 to – 18:45 Our own")
    for source, title in (("fitbox", "Their own"), ("cms", "Our own")):
        TimetableSettings.objects.update(data_source=source)
        bump_publication()
        response = client.get(PAGE)
        assert title in response.content.decode()
        assert "max-age=0" in response["Cache-Control"]


@pytest.mark.req("TT-32")
def test_a_new_revision_is_shown_at_once_and_no_new_one_is_304(client: Client) -> None:
    organization = gym()
    session(organization)
    etag = client.get(PAGE)["ETag"]
    assert client.get(PAGE, headers={"If-None-Match": etag}).status_code == 304
    session(organization, title="New class")
    response = client.get(PAGE, headers={"If-None-Match": etag})
    assert response.status_code == 200
    assert "New class" in response.content.decode()


def test_conditions_are_understood_in_every_form(client: Client) -> None:
    session(gym())
    etag = client.get(PAGE)["ETag"]
    strong = etag.removeprefix("W/")
    for sent in (etag, strong, f'"other", {etag}', "*"):
        response = client.get(PAGE, headers={"If-None-Match": sent})
        assert (response.status_code, response.content) == (304, b"")
        assert response["ETag"] == etag
        assert "s-maxage=30" in response["Cache-Control"]
    assert client.get(PAGE, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.req("TT-31")
@pytest.mark.parametrize(
    ("address", "keep"),
    [(PAGE, (30, 60, 3600)), ("/api/v1/timetable", (30, 60, 3600)), ("/calendar/timetable.ics", (60, 300, 86400))],
)
@pytest.mark.parametrize("again", [False, True], ids=["200", "304"])
def test_only_shared_caches_may_answer_before_they_asked(
    client: Client, address: str, keep: tuple[int, int, int], again: bool
) -> None:
    """Browsers obey stale-while-revalidate too, and would show the former source once more after a switch."""
    session(gym())
    seconds, renewing, failing = keep
    headers = {"If-None-Match": client.get(address)["ETag"]} if again else {}
    response = client.get(address, headers=headers)
    assert response.status_code == (304 if again else 200)
    assert response["Cache-Control"] == f"public, max-age=0, s-maxage={seconds}, stale-if-error={failing}"
    expected = f"public, max-age={seconds}, stale-while-revalidate={renewing}, stale-if-error={failing}"
    assert response["CDN-Cache-Control"] == expected


def test_head_is_get_without_the_body(client: Client) -> None:
    session(gym())
    got, head = client.get(PAGE), client.head(PAGE)
    assert head.content == b""
    assert head["Content-Length"] == str(len(got.content))
    assert (head["ETag"], head["Cache-Control"]) == (got["ETag"], got["Cache-Control"])


def test_the_time_of_the_last_change_is_told_once_its_second_is_over(client: Client) -> None:
    session(gym())
    assert "Last-Modified" not in client.get(PAGE).headers
    with time_machine.travel(NOW + timedelta(seconds=3), tick=False):
        told = client.get(PAGE)["Last-Modified"]
        assert told == "Tue, 17 Nov 2026 23:00:00 GMT"
        assert client.get(PAGE, headers={"If-Modified-Since": told}).status_code == 304


def test_a_new_version_of_callboard_does_not_answer_with_old_bodies(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    session(gym())
    etag = client.get(PAGE)["ETag"]
    monkeypatch.setattr(answers, "template_version", lambda: "another")
    assert client.get(PAGE)["ETag"] != etag


# --- in need ----------------------------------------------------------------------------------------------------------


@pytest.mark.req("TT-27")
def test_without_the_database_the_saved_copy_is_shown_and_says_so(client: Client) -> None:
    session(gym(data_source="fitbox"), source="fitbox")
    read()
    live = page(client)
    with time_machine.travel(NOW + timedelta(minutes=20), tick=False), no_database():
        response = client.get(PAGE)
    shown = Page(response.content.decode())
    assert shown.days == live.days
    assert (
        shown.status
        == "! Saved copy from 10:00 – our own records cannot be read just now, so later changes may be missing."
    )
    assert response["Age"] == "1200"
    assert response["Callboard-Saved-Copy"] == "2026-11-17T23:00:00+00:00"
    assert "ETag" not in response.headers


@pytest.mark.req("TT-27")
def test_a_process_that_never_saw_the_page_takes_the_shared_copy(client: Client) -> None:
    session(gym())
    client.get(PAGE)
    cache.forget()
    with no_database():
        assert "HIIT" in page(client).text


@pytest.mark.req("TT-28")
def test_the_saved_copy_is_shown_for_an_hour_since_it_was_last_true(client: Client) -> None:
    session(gym())
    client.get(PAGE)
    with no_database():
        with time_machine.travel(NOW + timedelta(seconds=3599), tick=False):
            assert client.get(PAGE).status_code == 200
        with time_machine.travel(NOW + timedelta(seconds=3600), tick=False):
            assert client.get(PAGE).status_code == 503


def test_without_database_and_copy_the_page_asks_to_try_again(client: Client) -> None:
    with no_database():
        response = client.get(PAGE)
    assert response.status_code == 503
    assert response["Retry-After"] == "30"
    assert "The timetable is out of reach" in response.content.decode()


@pytest.mark.req("TT-27")
def test_without_the_cache_pages_are_built_from_the_database(client: Client) -> None:
    organization = gym()
    session(organization)
    with no_redis():
        assert "HIIT" in page(client).text
        session(organization, title="New class")
        assert "New class" in page(client).text


@pytest.mark.req("TT-27")
@pytest.mark.parametrize(
    ("database", "shared_cache", "process", "age"),
    list(product(["up", "down"], ["up", "down"], ["warm", "new"], [timedelta(minutes=m) for m in (2, 40, 90)])),
)
def test_no_combination_of_failures_gives_an_empty_or_broken_page(
    client: Client, database: str, shared_cache: str, process: str, age: timedelta
) -> None:
    organization = gym(data_source="fitbox")
    session(organization, source="fitbox")
    session(organization, source="cms")
    read(at=NOW - age)
    client.get(PAGE)
    if process == "new":
        cache.forget()
    with Down(database=database == "down", cache=shared_cache == "down"):
        response = client.get(PAGE)
    lost = database == "down" and shared_cache == "down" and process == "new"
    assert response.status_code == (503 if lost else 200)
    assert ("HIIT" in response.content.decode()) != lost


class Down:
    def __init__(self, *, database: bool, cache: bool) -> None:
        self.faults = ([no_database()] if database else []) + ([no_redis()] if cache else [])

    def __enter__(self) -> None:
        for fault in self.faults:
            fault.__enter__()

    def __exit__(self, *error: object) -> None:
        for fault in reversed(self.faults):
            fault.__exit__(None, None, None)


@pytest.mark.req("TT-27")
@pytest.mark.req("TT-29")
def test_each_age_of_the_provider_has_its_source_and_its_words(client: Client) -> None:
    organization = gym(data_source="fitbox", stale_limit_minutes=60)
    session(organization, source="fitbox", title="Their own")
    own = session(organization, source="cms", title="Our own")
    said = []
    for minutes in (2, 40, 90):
        read(at=NOW - timedelta(minutes=minutes))
        shown = page(client)
        said.append(("Their own" in shown.text, shown.status))
    Event.objects.filter(pk=own.pk).delete()
    bump_publication()
    last = page(client)
    assert [theirs for theirs, _ in said] == [True, True, False]
    assert "Their own" in last.text
    assert len({*(words for _, words in said), last.status}) == 4
