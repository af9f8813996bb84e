"""The public page in a real browser: with and without script, by keyboard, narrow and wide, light and dark."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from pytest_django.live_server_helper import LiveServer

from schedule.models import ClassType, Organization, TimetableSettings
from schedule.store import bump_publication
from tests.schedule.making import NOW, ZONE, gym, read, session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("from_ten")]
WIDE, PHONE, SMALL = {"width": 1280, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}

LINES = """() => [...document.querySelectorAll(".facts, .word:not([hidden])")].flatMap(list => {
    const cut = parseFloat(getComputedStyle(list).clipPath.split(" ").pop());
    const tops = new Set();
    return [...list.children].filter(item => {
        const top = Math.round(item.getBoundingClientRect().top);
        return !tops.has(top) && tops.add(top);
    }).map(item => ({
        after: getComputedStyle(item, "::after").content,
        left: Math.round(item.getBoundingClientRect().left - list.getBoundingClientRect().left),
        uncut: parseFloat(getComputedStyle(item).paddingLeft) - cut,
    }));
})"""
"""The first item of each line: what follows it, how far in it stands, and how much of the separator's room is painted."""


@pytest.fixture
def from_ten() -> Iterator[None]:
    """Let the server's clock start at 10:00 on a Wednesday; browsers are told so one by one."""
    with time_machine.travel(NOW):
        yield


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, live_server: LiveServer) -> Iterator[Any]:
    """Open a public address; what the browser complains about (its policy, missing files) fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(address: str = "/timetable/", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": WIDE, "timezone_id": ZONE.key, **options})
        contexts.append(context)
        page = context.new_page()
        page.clock.set_fixed_time(NOW)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(live_server.url + address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def full_week() -> Organization:
    """Make a week with every state that a class can be in."""
    organization = gym(data_source="fitbox")
    hiit = ClassType.objects.create(organization=organization, name="HIIT", colour="#c0392b")
    common = {
        "source": "fitbox",
        "class_type": hiit,
        "instructor_name": "Alex Reed",
        "room": "Studio 2",
        "capacity": 20,
    }
    for day in range(7):
        session(organization, day, "06:00", booked=day * 3, **common)
    session(organization, 2, "09:50", title="Running", booked=20, external_url="https://book.example/1", **common)
    session(organization, 2, "18:00", title="Later", booked=17, external_url="https://book.example/2", **common)
    session(organization, 2, "19:00", title="Dropped", status="cancelled", status_reason="Coach unwell", **common)
    session(organization, 5, "10:00", title="Open day", source="manual", description="Friends and family are welcome.")
    read()
    return organization


def test_the_week_is_seven_columns_on_a_wide_screen(open_page: Any, full_week: Organization) -> None:
    tops = {box["y"] for box in _boxes(open_page().locator(".day"))}
    assert len(tops) == 1


def test_the_week_is_a_list_under_seven_day_links_on_a_phone(open_page: Any, full_week: Organization) -> None:
    page = open_page(viewport=PHONE, java_script_enabled=False)
    lefts = {box["x"] for box in _boxes(page.locator(".day"))}
    assert len(lefts) == 1
    links = page.get_by_role("navigation", name="Days").get_by_role("link")
    expect(links).to_have_count(7)
    links.nth(6).click()
    expect(page.get_by_role("heading", name=re.compile("^Sunday"))).to_be_in_viewport()


@pytest.mark.parametrize("viewport", [SMALL, PHONE, WIDE], ids=["320", "390", "1280"])
def test_nothing_reaches_beyond_the_screen(open_page: Any, full_week: Organization, viewport: Any) -> None:
    session(full_week, 1, "12:00", source="fitbox", title="Schwangerschaftsrückbildungsgymnastik" * 3, room="x" * 90)
    page = open_page(viewport=viewport)
    expect(page.get_by_text("Schwangerschaft")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.req("TT-29")
def test_without_script_everything_is_there(open_page: Any, full_week: Organization) -> None:
    page = open_page(java_script_enabled=False)
    expect(page.get_by_role("status")).to_have_text(re.compile("Live from the booking system · updated 09:58"))
    running = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Running"))
    expect(running.get_by_text("On now")).to_be_visible()
    expect(running.get_by_text("Full", exact=False)).to_be_visible()
    later = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Later"))
    expect(later.get_by_text("Few spots left · 3 left")).to_be_visible()
    page.get_by_role("link", name="Next week").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mon 23 – Sun 29 November")
    page.get_by_role("link", name="This week", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Mon 16 – Sun 22 November")


@pytest.mark.req("TT-08")
def test_a_cancelled_class_is_struck_and_says_why_until_the_setting_drops_it(
    open_page: Any, full_week: Organization
) -> None:
    page = open_page()
    dropped = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Dropped"))
    expect(dropped.get_by_text("Cancelled: Coach unwell")).to_be_visible()
    assert "line-through" in dropped.locator(".name").evaluate("name => getComputedStyle(name).textDecorationLine")
    TimetableSettings.objects.update(show_cancelled=False)
    bump_publication()
    page.reload()
    expect(page.get_by_text("Dropped")).to_have_count(0)


@pytest.mark.req("TT-09")
def test_how_much_room_there_is_stands_in_words(open_page: Any, full_week: Organization) -> None:
    words = open_page().locator(".word:visible").all_inner_texts()
    assert any("Full" in word for word in words)
    assert any("Few spots left" in word for word in words)
    assert not any(re.search(r"\d+\s*/\s*\d+", word) for word in words)


@pytest.mark.req("TT-29")
def test_old_data_are_marked_in_words_and_not_by_colour_alone(open_page: Any, full_week: Organization) -> None:
    read(at=NOW - timedelta(minutes=40))
    status = open_page().get_by_role("status")
    expect(status).to_contain_text("Saved copy from 09:20 – nothing newer to show from the booking system")


@pytest.mark.req("TT-21")
def test_a_switch_of_the_source_shows_with_the_next_view(open_page: Any, full_week: Organization) -> None:
    session(full_week, 3, "12:00", source="cms", title="Entered by hand")
    page = open_page()
    expect(page.get_by_text("Entered by hand")).to_have_count(0)
    for source, seen in (("cms", 1), ("fitbox", 0)):
        TimetableSettings.objects.update(data_source=source)
        bump_publication()
        page.reload()
        expect(page.get_by_text("Entered by hand")).to_have_count(seen)


@pytest.mark.req("TT-21")
def test_a_switch_of_the_source_shows_with_the_next_fetch_of_a_script(open_page: Any, full_week: Organization) -> None:
    # The browser's own cache goes by the machine's clock, and would find an answer from another day too old to reuse.
    now = datetime.fromtimestamp(time_machine.escape_hatch.time.time(), UTC)
    with time_machine.travel(now):
        read(at=now, covered_from=now.date() - timedelta(days=7), covered_until=now.date() + timedelta(days=7))
        page = open_page()
        fetched = "fetch('/api/v1/timetable').then(answer => answer.json()).then(week => week.source)"
        assert page.evaluate(fetched) == "fitbox"
        for source in ("cms", "fitbox", "cms"):
            TimetableSettings.objects.update(data_source=source)
            bump_publication()
            assert page.evaluate(fetched) == source


@pytest.mark.parametrize("viewport", [SMALL, PHONE, WIDE], ids=["320", "390", "1280"])
def test_no_line_begins_or_ends_with_a_separator(open_page: Any, full_week: Organization, viewport: Any) -> None:
    where = {"room": "Main floor", "location": "Riverside", "level": "All levels", "instructor_name": "Alex Reed"}
    for day in range(7):
        session(full_week, day, "12:00", source="fitbox", title="Wrapped", **where)
    lines = open_page(viewport=viewport).evaluate(LINES)
    assert len(lines) > 20
    # A separator stands in the room before its item; where a line begins, that room is not painted.
    assert {(line["after"], line["left"], line["uncut"]) for line in lines} == {("none", 0, 0)}


def test_the_keyboard_reaches_the_content_and_every_link_in_order(open_page: Any, full_week: Organization) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert [re.sub(r"\W", "", name) for name in reached[:3]] == ["Previousweek", "Thisweek", "Nextweek"]
    assert reached[3].startswith("Book")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_chosen_appearance_is_remembered_before_anything_is_painted(
    open_page: Any, full_week: Organization
) -> None:
    page = open_page(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="dark").click()
    dark = page.evaluate(paper)
    assert dark != light
    page.reload(wait_until="commit")
    page.wait_for_selector("h1")
    assert page.evaluate(paper) == dark
    page.get_by_role("button", name="system").click()
    assert page.evaluate(paper) == light


def test_today_opens_on_a_phone_at_the_class_that_comes_or_runs(open_page: Any, full_week: Organization) -> None:
    page = open_page(viewport=PHONE)
    expect(page.locator(".day.is-today .session:not(.is-over)").first).to_be_in_viewport()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, WIDE], ids=["390", "1280"])
def test_axe_finds_nothing(open_page: Any, full_week: Organization, viewport: Any, scheme: str) -> None:
    # axe is put into the page as an inline script, which the page's own policy forbids.
    page = open_page(viewport=viewport, color_scheme=scheme, bypass_csp=True)
    assert _findings(page) == []


@pytest.mark.parametrize("address", ["/timetable/?week=2031-W01", "/timetable/?week=never", "/nowhere"])
def test_axe_finds_nothing_on_the_pages_beside(browser: Browser, live_server: LiveServer, address: str) -> None:
    gym()
    page = browser.new_page(bypass_csp=True)
    page.goto(live_server.url + address)
    assert _findings(page) == []
    page.close()


def test_without_a_gym_the_page_tells_how_to_begin(open_page: Any) -> None:
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text("The board is still empty")
    expect(page.get_by_text("manage.py start_gym")).to_be_visible()


def _findings(page: Page) -> list[tuple[str, str]]:
    found = Axe().run(page).response["violations"]
    return [(violation["id"], node["html"]) for violation in found for node in violation["nodes"]]


def _boxes(locator: Any) -> list[dict[str, float]]:
    boxes = [found.bounding_box() for found in locator.all()]
    assert len(boxes) == 7
    return boxes
