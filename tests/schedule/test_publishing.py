"""Which source a week is shown from: the decision table, and the words for it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedule.publishing import Decision, SourceFacts, Word, decide, status_line
from schedule.timetable import Week

ZONE = ZoneInfo("Australia/Melbourne")
NOW = datetime(2026, 11, 18, 14, 30, tzinfo=ZONE)
WEEK = Week.of(date(2026, 11, 18))
LIMIT = timedelta(minutes=60)
FRESH = timedelta(minutes=20)
NAMES = {"cms": "Manual CMS", "fitbox": "Fitbox Integration", "other": "Other Bookings"}


def source(name: str, minutes: int | None, rows: int, *, weeks: tuple[int, int] = (0, 7)) -> SourceFacts:
    """Return a source that was read `minutes` ago for the weeks `weeks` (both included, counted from this one)."""
    if minutes is None:
        return SourceFacts(name, None, timedelta(0), None, None, rows)
    first, last = (WEEK.first + timedelta(weeks=n) for n in weeks)
    return SourceFacts(name, NOW - timedelta(minutes=minutes), FRESH, first, last + timedelta(days=6), rows)


def cms(rows: int) -> SourceFacts:
    return source("cms", None, rows)


def ask(
    *facts: SourceFacts,
    chosen: str = "fitbox",
    order: tuple[str, ...] = ("cms",),
    week: Week = WEEK,
    now: datetime = NOW,
) -> Decision:
    by_name = {fact.source: fact for fact in facts}
    return decide(chosen=chosen, fallback_order=order, facts=by_name, stale_limit=LIMIT, week=week, now=now)


def shown(*facts: SourceFacts, **question: object) -> tuple[str, str]:
    decision = ask(*facts, **question)  # type: ignore[arg-type]  # the question's own names
    return decision.source, decision.word.name


# Fitbox is chosen: minutes since it was read (None: never), its rows, CMS's rows -> what is shown.
TABLE = [
    (0, 45, 35, "fitbox", "LIVE"),
    (20, 45, 35, "fitbox", "LIVE"),
    (20, 0, 35, "fitbox", "LIVE"),  # a person accepted that nothing is on
    (21, 45, 35, "fitbox", "SAVED"),
    (60, 45, 35, "fitbox", "SAVED"),
    (60, 45, 0, "fitbox", "SAVED"),
    (61, 45, 35, "cms", "FALLBACK"),
    (61, 45, 0, "fitbox", "LAST_GOOD"),
    (61, 0, 35, "cms", "FALLBACK"),
    (61, 0, 0, "cms", "NOTHING"),
    (60 * 24 * 30, 45, 0, "fitbox", "LAST_GOOD"),
    (None, 0, 35, "cms", "FALLBACK"),
    (None, 45, 35, "cms", "FALLBACK"),
    (None, 45, 0, "fitbox", "LAST_GOOD"),
    (None, 0, 0, "cms", "NOTHING"),
    (-90, 45, 35, "fitbox", "LIVE"),  # the clock was set back
]


@pytest.mark.req("TT-27")
@pytest.mark.parametrize(("minutes", "rows", "cms_rows", "name", "word"), TABLE)
def test_what_members_see(minutes: int | None, rows: int, cms_rows: int, name: str, word: str) -> None:
    assert shown(source("fitbox", minutes, rows), cms(cms_rows)) == (name, word)


@pytest.mark.req("TT-18")
@pytest.mark.parametrize("rows", [0, 35])
def test_the_manual_timetable_stands_when_it_is_chosen(rows: int) -> None:
    decision = ask(source("fitbox", 5, 45), cms(rows), chosen="cms")
    assert decision == Decision("cms", Word.STAFF, None, None, False, "cms")
    assert ask(chosen="cms") == decision


# Week (from this one), weeks covered, minutes since the reading, fitbox rows, CMS rows -> what is shown.
OUTSIDE = [
    (7, (0, 7), 5, 45, 35, "fitbox", "LIVE"),
    (8, (0, 7), 5, 0, 35, "cms", "NOT_COVERED"),
    (8, (0, 7), 5, 45, 35, "cms", "NOT_COVERED"),
    (8, (0, 7), 5, 45, 0, "fitbox", "LAST_GOOD"),
    (8, (0, 7), 5, 0, 0, "cms", "NOT_YET"),
    (8, (0, 7), 61, 0, 0, "cms", "NOT_YET"),
    (2, (0, 1), 61, 45, 35, "cms", "NOT_COVERED"),
    (3, (0, 7), 61, 45, 35, "cms", "FALLBACK"),
    (-1, (0, 7), 5, 45, 35, "fitbox", "LIVE"),
    (-1, (0, 7), 30, 45, 35, "fitbox", "SAVED"),
    (-1, (0, 7), 61, 45, 35, "fitbox", "LAST_GOOD"),
    (-1, (0, 7), 5, 0, 35, "cms", "NOT_COVERED"),
    (-1, (0, 7), 5, 0, 0, "cms", "NO_MORE"),
]


@pytest.mark.req("TT-27")
@pytest.mark.parametrize(("week", "weeks", "minutes", "rows", "cms_rows", "name", "word"), OUTSIDE)
def test_a_week_that_the_reading_did_not_cover(
    week: int, weeks: tuple[int, int], minutes: int, rows: int, cms_rows: int, name: str, word: str
) -> None:
    wanted = Week.of(WEEK.first + timedelta(weeks=week))
    assert shown(source("fitbox", minutes, rows, weeks=weeks), cms(cms_rows), week=wanted) == (name, word)


def test_a_week_that_was_read_in_part_is_covered() -> None:
    part = replace(source("fitbox", 5, 12), covered_from=WEEK.first + timedelta(days=2), covered_until=WEEK.last)
    assert shown(part, cms(35)) == ("fitbox", "LIVE")
    assert shown(replace(part, covered_until=WEEK.first + timedelta(days=2)), cms(35)) == ("fitbox", "LIVE")


# --- who stands in ----------------------------------------------------------------------------------------------------

DOWN = source("fitbox", 61, 45)


@pytest.mark.req("TT-25")
def test_the_configured_order_of_stand_ins_is_followed() -> None:
    first, second = source("other", 5, 20), source("third", 5, 20)
    assert shown(DOWN, first, second, cms(35), order=("other", "third", "cms")) == ("other", "FALLBACK")
    assert shown(DOWN, first, second, cms(35), order=("third", "other", "cms")) == ("third", "FALLBACK")
    assert shown(DOWN, first, second, cms(35), order=("cms",)) == ("cms", "FALLBACK")


@pytest.mark.req("TT-25")
@pytest.mark.parametrize("order", [(), ("other",), ("cms", "other"), ("fitbox", "cms", "other")])
def test_cms_is_always_the_last_and_cannot_be_removed(order: tuple[str, ...]) -> None:
    assert shown(DOWN, source("other", 61, 20), cms(35), order=order) == ("cms", "FALLBACK")
    expected = "other" if "other" in order else "cms"
    assert shown(DOWN, source("other", 5, 20), cms(35), order=order) == (expected, "FALLBACK")


@pytest.mark.req("TT-25")
@pytest.mark.parametrize(
    "other",
    [
        source("other", 61, 20),
        source("other", None, 20),
        source("other", 5, 0),
        source("other", 5, 20, weeks=(1, 7)),
    ],
    ids=["too old", "never read", "empty", "of other weeks"],
)
def test_a_source_that_cannot_stand_in_is_passed_over(other: SourceFacts) -> None:
    assert shown(DOWN, other, cms(35), order=("other", "cms")) == ("cms", "FALLBACK")


@pytest.mark.req("TT-29")
def test_a_stand_in_past_its_own_interval_is_marked_as_old() -> None:
    assert ask(DOWN, source("other", 5, 20), order=("other",)).stale is False
    assert ask(DOWN, source("other", 21, 20), order=("other",)).stale is True


@pytest.mark.req("TT-29")
def test_the_decision_says_how_old_its_data_are() -> None:
    saved = ask(source("fitbox", 30, 45), cms(35))
    assert (saved.data_at, saved.age, saved.stale) == (NOW - timedelta(minutes=30), timedelta(minutes=30), True)
    assert ask(source("fitbox", -90, 45)).age == timedelta(0)  # the clock was set back
    live = ask(source("fitbox", 3, 45), cms(35))
    assert (live.age, live.stale) == (timedelta(minutes=3), False)
    staff = ask(DOWN, cms(35))
    assert (staff.data_at, staff.age, staff.stale, staff.chosen) == (None, None, False, "fitbox")


# --- over time --------------------------------------------------------------------------------------------------------

counts = st.integers(0, 3)
ages = st.none() | st.integers(-30, 3000)
coverage = st.tuples(st.integers(-3, 3), st.integers(-1, 10))


@st.composite
def situations(draw: st.DrawFn) -> tuple[dict[str, SourceFacts], str, tuple[str, ...], Week]:
    facts = {
        name: source(name, None if name == "cms" else draw(ages), draw(counts), weeks=draw(coverage))
        for name in draw(st.sets(st.sampled_from(["fitbox", "other", "cms"])))
    }
    order = tuple(draw(st.lists(st.sampled_from(["fitbox", "other", "cms", "gone"]), max_size=4)))
    return (
        facts,
        draw(st.sampled_from(["fitbox", "other", "cms"])),
        order,
        Week.of(WEEK.first + timedelta(weeks=draw(st.integers(-4, 12)))),
    )


@pytest.mark.req("TT-27")
@given(situations())
def test_a_week_is_never_empty_while_somebody_has_rows(
    situation: tuple[dict[str, SourceFacts], str, tuple[str, ...], Week],
) -> None:
    facts, chosen, order, week = situation
    decision = ask(*facts.values(), chosen=chosen, order=order, week=week)
    rows = facts[decision.source].rows if decision.source in facts else 0
    # Only a source that is trusted for this week may say that nothing is on.
    if decision.word not in (Word.STAFF, Word.LIVE, Word.SAVED) and any(fact.rows for fact in facts.values()):
        assert rows > 0
    if decision.word in (Word.NOTHING, Word.NOT_YET, Word.NO_MORE):
        assert not any(fact.rows for fact in facts.values())
    if decision.word in (Word.LIVE, Word.SAVED):
        assert decision.source == chosen
        assert decision.age is not None
        assert decision.age <= LIMIT


@pytest.mark.req("TT-30")
def test_an_outage_goes_from_live_to_saved_to_cms_once_and_back_with_the_next_reading() -> None:
    read_at = NOW
    words = []
    for minute in range(0, 121, 5):
        if minute >= 100:
            read_at = NOW + timedelta(minutes=100)
        fitbox = replace(source("fitbox", 0, 45), last_complete_at=read_at)
        words.append(ask(fitbox, cms(35), now=NOW + timedelta(minutes=minute)).word.name)
    assert words == ["LIVE"] * 5 + ["SAVED"] * 8 + ["FALLBACK"] * 7 + ["LIVE"] * 5


@pytest.mark.req("TT-30")
@given(st.lists(st.booleans(), min_size=12, max_size=48))
def test_a_source_that_comes_and_goes_within_the_limit_never_brings_in_cms(answers: list[bool]) -> None:
    """Each entry is a poll after 15 minutes; after three failures in a row the fourth succeeds."""
    read_at, failures = NOW, 0
    for poll, answered in enumerate(answers, start=1):
        now = NOW + timedelta(minutes=15 * poll)
        failures = 0 if answered or failures == 3 else failures + 1
        if failures == 0:
            read_at = now
        fitbox = replace(source("fitbox", 0, 45), last_complete_at=read_at)
        assert ask(fitbox, cms(35), now=now).source == "fitbox"


# --- in words ---------------------------------------------------------------------------------------------------------

MONDAY = datetime(2026, 11, 16, 9, 15, tzinfo=ZONE)
FRIDAY = datetime(2026, 11, 13, 17, 45, tzinfo=ZONE)
FAR_AHEAD, LONG_AGO = Week.parse("2027-W04"), Week.parse("2020-W01")


def said(decision: Decision, edited_at: datetime | None = None) -> str:
    return status_line(decision, names=NAMES, zone=ZONE, now=NOW.astimezone(UTC), edited_at=edited_at)


@pytest.mark.req("TT-29")
@pytest.mark.parametrize(
    ("decision", "line"),
    [
        (ask(source("fitbox", 25 - 5, 45)), "Live from the booking system · updated 14:10"),
        (ask(source("fitbox", 50, 45)), "Saved copy from 13:40 – nothing newer to show from the booking system"),
        (
            ask(DOWN, cms(35)),
            "Entered by our staff – nothing current to show from the booking system · last edited Friday",
        ),
        (
            ask(source("fitbox", None, 0), cms(35)),
            "Entered by our staff – nothing current to show from the booking system · last edited Friday",
        ),
        (
            ask(DOWN, source("other", 5, 9), order=("other",)),
            "From Other Bookings · updated 14:25 – nothing current to show from the booking system",
        ),
        (ask(cms(35), chosen="cms"), "Entered by our staff · last edited Friday"),
        (
            ask(source("fitbox", 5, 0, weeks=(1, 2)), cms(35)),
            "Entered by our staff – the booking system does not reach this week · last edited Friday",
        ),
        (
            ask(source("fitbox", 24 * 60, 45), cms(0)),
            "Last known timetable, from Tuesday 14:30 – nothing newer to show from the booking system, "
            "so please ask us before you come",
        ),
        (
            ask(source("fitbox", None, 45), cms(0)),  # its connection was deleted: nobody knows when it was read
            "Last known timetable – nothing newer to show from the booking system, so please ask us before you come",
        ),
        (
            ask(DOWN, source("fitbox", 61, 0)),
            "No timetable for this week – nothing current to show from the booking system",
        ),
        (ask(source("fitbox", 5, 0), week=FAR_AHEAD), "No timetable for this week yet"),
        (ask(source("fitbox", 5, 0), week=LONG_AGO), "No timetable for this week any more"),
    ],
    ids=lambda value: value.word.name if isinstance(value, Decision) else "",
)
def test_the_status_line(decision: Decision, line: str) -> None:
    assert said(decision, FRIDAY) == line


@pytest.mark.req("TT-29")
@pytest.mark.parametrize(
    ("edited_at", "words"),
    [
        (NOW - timedelta(hours=1), " · last edited today 13:30"),
        (MONDAY, " · last edited Monday"),
        (NOW - timedelta(days=7), " · last edited 11 November"),
        (datetime(2025, 12, 1, tzinfo=ZONE), " · last edited 1 December 2025"),
        (None, ""),
    ],
)
def test_when_staff_last_edited(edited_at: datetime | None, words: str) -> None:
    assert said(ask(chosen="cms"), edited_at) == "Entered by our staff" + words


@pytest.mark.req("TT-29")
@given(situations())
def test_no_line_shows_a_word_of_the_machine(
    situation: tuple[dict[str, SourceFacts], str, tuple[str, ...], Week],
) -> None:
    facts, chosen, order, week = situation
    line = said(ask(*facts.values(), chosen=chosen, order=order, week=week))
    assert not any(token in line for token in ("cms", "fitbox", "_", "None", "unknown"))
    assert len(line) > 15
