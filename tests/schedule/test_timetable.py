"""Wall-clock times over clock changes, and weeks by their names."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedule.timetable import Week, horizon, local_today, occurrences, resolve, span

MELBOURNE = ZoneInfo("Australia/Melbourne")
NEW_YORK = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")
APIA = ZoneInfo("Pacific/Apia")
CASABLANCA = ZoneInfo("Africa/Casablanca")
# Files that are there for other programs: zones with leap seconds, a template, the machine's own zone.
ZONES = sorted(
    name for name in available_timezones() if not name.startswith(("right/", "posix")) and name not in {"localtime"}
)
days = st.dates(date(1950, 1, 1), date(2100, 12, 31))
clocks = st.times().map(lambda wall: wall.replace(microsecond=0))
zones = st.sampled_from(ZONES).map(ZoneInfo)

# Zone, day, local time -> instant, and what the clocks did.
CLOCK_CHANGES = [
    (MELBOURNE, "2026-10-04", "01:59", "2026-10-03T15:59Z", ""),
    (MELBOURNE, "2026-10-04", "02:30", "2026-10-03T16:30Z", "skipped"),
    (MELBOURNE, "2026-10-04", "03:00", "2026-10-03T16:00Z", ""),
    (MELBOURNE, "2026-04-05", "02:30", "2026-04-04T15:30Z", "repeated"),
    (MELBOURNE, "2026-04-05", "03:00", "2026-04-04T17:00Z", ""),
    (NEW_YORK, "2026-03-08", "02:30", "2026-03-08T07:30Z", "skipped"),
    (NEW_YORK, "2026-11-01", "01:30", "2026-11-01T05:30Z", "repeated"),
    (NEW_YORK, "2026-11-01", "02:00", "2026-11-01T07:00Z", ""),
    (LONDON, "2026-03-29", "01:00", "2026-03-29T01:00Z", "skipped"),
    (LONDON, "2026-10-25", "01:59", "2026-10-25T00:59Z", "repeated"),
    # Samoa left out a whole day when it crossed the date line: noon of it is noon of the next.
    (APIA, "2011-12-29", "12:00", "2011-12-29T22:00Z", ""),
    (APIA, "2011-12-30", "12:00", "2011-12-30T22:00Z", "skipped"),
    (APIA, "2011-12-31", "12:00", "2011-12-30T22:00Z", ""),
    # Morocco goes back for Ramadan, and forward after it.
    (CASABLANCA, "2026-02-15", "02:30", "2026-02-15T01:30Z", "repeated"),
    (CASABLANCA, "2026-02-16", "18:00", "2026-02-16T18:00Z", ""),
    (CASABLANCA, "2026-03-22", "02:30", "2026-03-22T02:30Z", "skipped"),
    (CASABLANCA, "2026-03-23", "18:00", "2026-03-23T17:00Z", ""),
]


@pytest.mark.req("TT-07")
@pytest.mark.parametrize(("zone", "day", "wall", "at", "note"), CLOCK_CHANGES)
def test_a_local_time_around_a_clock_change(zone: ZoneInfo, day: str, wall: str, at: str, note: str) -> None:
    resolved = resolve(date.fromisoformat(day), time.fromisoformat(wall), zone)
    assert (resolved.at, resolved.note) == (datetime.fromisoformat(at), note)


@pytest.mark.req("TT-07", "X-29")
@given(days, clocks, zones)
def test_every_local_time_has_one_instant_in_utc(day: date, wall: time, zone: ZoneInfo) -> None:
    resolved = resolve(day, wall, zone)
    assert resolved.at.tzinfo is UTC
    if resolved.note != "skipped":
        assert resolved.at.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, wall)


@pytest.mark.req("TT-07")
@given(days, clocks, zones)
def test_a_skipped_time_moves_forward_and_a_repeated_one_is_the_first(day: date, wall: time, zone: ZoneInfo) -> None:
    resolved = resolve(day, wall, zone)
    asked, shown = datetime.combine(day, wall), resolved.at.astimezone(zone)
    if resolved.note == "skipped":
        assert shown.replace(tzinfo=None) > asked
    if resolved.note == "repeated":
        assert shown.fold == 0
        assert shown.replace(fold=1).astimezone(UTC) > resolved.at


@pytest.mark.req("X-29")
def test_a_wall_clock_time_with_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no zone of its own"):
        resolve(date(2026, 11, 18), time(6, tzinfo=UTC), MELBOURNE)


@pytest.mark.req("TT-07")
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        (MELBOURNE, date(2026, 4, 5)),
        (MELBOURNE, date(2026, 10, 4)),
        (NEW_YORK, date(2026, 3, 8)),
        (NEW_YORK, date(2026, 11, 1)),
        (LONDON, date(2026, 3, 29)),
        (LONDON, date(2026, 10, 25)),
        (CASABLANCA, date(2026, 2, 15)),
        (CASABLANCA, date(2026, 3, 22)),
    ],
)
def test_a_weekly_slot_keeps_its_wall_clock_time_over_the_change(zone: ZoneInfo, change: date) -> None:
    weeks = list(occurrences(change.isoweekday(), change - timedelta(weeks=1), change + timedelta(weeks=1)))
    starts = [resolve(day, time(6), zone).at for day in weeks]
    assert [start.astimezone(zone).time() for start in starts] == [time(6)] * 3
    hours = [(later - earlier) / timedelta(hours=1) for earlier, later in pairwise(starts)]
    assert sorted(hours) in ([167, 168], [168, 169])


# --- spans ------------------------------------------------------------------------------------------------------------


def length(day: str, start: str, end: str | None = None, minutes: int | None = None) -> tuple[int, tuple[str, ...]]:
    """Return how many minutes it really lasts in Melbourne, and what was noted."""
    wall = time.fromisoformat(end) if end else None
    day_, start_ = date.fromisoformat(day), time.fromisoformat(start)
    found = span(day_, start_, end=wall, minutes=minutes, zone=MELBOURNE, default_minutes=45)
    return int((found.ends_at - found.starts_at) / timedelta(minutes=1)), found.notes


def test_an_end_wins_over_minutes_and_minutes_over_the_default() -> None:
    day = "2026-11-18"
    assert length(day, "18:00", "19:00", 30) == (60, ())
    assert length(day, "18:00", minutes=30) == (30, ())
    assert length(day, "18:00") == (45, ())


@pytest.mark.parametrize(("end", "minutes"), [("00:30", 90), ("23:00", 24 * 60), ("22:59", 24 * 60 - 1)])
def test_an_end_that_is_not_after_the_start_is_of_the_next_day(end: str, minutes: int) -> None:
    assert length("2026-11-18", "23:00", end) == (minutes, ())


@pytest.mark.req("TT-07")
@pytest.mark.parametrize(
    ("day", "start", "end", "minutes", "notes"),
    [
        ("2026-10-03", "23:00", "04:00", 240, ()),  # an hour is missing from that night
        ("2026-04-04", "23:00", "04:00", 360, ()),  # and one too many in this
        ("2026-10-04", "02:15", "02:45", 30, ("skipped",)),
        ("2026-10-04", "02:30", "03:00", 30, ("skipped",)),  # the end would lie before the moved start
        ("2026-10-04", "01:30", "02:30", 60, ("skipped",)),
        ("2026-04-05", "02:15", "02:45", 30, ("repeated",)),
    ],
)
def test_a_class_over_a_clock_change_ends_after_it_began(
    day: str, start: str, end: str, minutes: int, notes: tuple[str, ...]
) -> None:
    assert length(day, start, end) == (minutes, notes)


@given(days, clocks, st.none() | clocks, st.none() | st.integers(1, 600), zones)
def test_every_span_ends_after_it_begins(
    day: date, start: time, end: time | None, minutes: int | None, zone: ZoneInfo
) -> None:
    found = span(day, start, end=end, minutes=minutes, zone=zone, default_minutes=60)
    assert found.starts_at < found.ends_at
    if end is None:
        assert found.ends_at - found.starts_at == timedelta(minutes=60 if minutes is None else minutes)


# --- days and weeks ---------------------------------------------------------------------------------------------------


@given(st.integers(1, 7), days, st.integers(-3, 70))
def test_occurrences_are_that_weekday_with_both_ends_included(weekday: int, first: date, length_days: int) -> None:
    last = first + timedelta(days=length_days)
    expected = [first + timedelta(days=n) for n in range(length_days + 1)]
    assert list(occurrences(weekday, first, last)) == [day for day in expected if day.isoweekday() == weekday]


@pytest.mark.req("X-29")
def test_today_is_the_day_of_the_zone() -> None:
    now = datetime(2026, 11, 18, 20, tzinfo=UTC)
    assert (local_today(now, MELBOURNE), local_today(now, NEW_YORK)) == (date(2026, 11, 19), date(2026, 11, 18))
    with pytest.raises(ValueError, match="naive"):
        local_today(datetime(2026, 11, 18, 20), MELBOURNE)


@pytest.mark.req("TT-18")
@given(days)
def test_the_horizon_is_eight_whole_weeks_from_monday_of_this_week(today: date) -> None:
    first, last = horizon(today)
    assert (first.isoweekday(), last.isoweekday(), (last - first).days) == (1, 7, 55)
    assert 0 <= (today - first).days < 7


@given(days)
def test_a_week_is_found_again_by_its_code(day: date) -> None:
    week = Week.of(day)
    assert Week.parse(week.code) == week
    assert day in week.days
    assert (week.previous.next, week.next.previous) == (week, week)
    assert (week.first, week.last) == (week.days[0], week.days[6])


@pytest.mark.parametrize(
    "code",
    ["", "2026", "2026-47", "2026-W54", "2025-W53", "2026-W00", "0000-W01", "2026-W1", "２０２６-W47", "2026-W47\n"],
)
def test_what_names_no_week_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)week|year"):
        Week.parse(code)


def test_a_week_begins_on_a_monday() -> None:
    with pytest.raises(ValueError, match="no Monday"):
        Week(date(2026, 11, 17))


@pytest.mark.req("TT-07")
@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (MELBOURNE, date(2026, 11, 18), 168),
        (MELBOURNE, date(2026, 10, 4), 167),
        (MELBOURNE, date(2026, 4, 5), 169),
        (APIA, date(2011, 12, 30), 144),
    ],
)
def test_a_week_lasts_from_midnight_to_midnight_of_the_gym(zone: ZoneInfo, day: date, hours: int) -> None:
    start, end = Week.of(day).bounds(zone)
    assert (end - start) / timedelta(hours=1) == hours
    assert start.astimezone(zone).time() == end.astimezone(zone).time() == time.min


@given(days, zones)
def test_weeks_follow_each_other_without_gap_or_overlap(day: date, zone: ZoneInfo) -> None:
    week = Week.of(day)
    assert week.bounds(zone)[1] == week.next.bounds(zone)[0]


@pytest.mark.parametrize(
    ("day", "heading"),
    [
        (date(2026, 11, 25), "Mon 23 – Sun 29 November"),
        (date(2026, 12, 1), "Mon 30 November – Sun 6 December"),
        (date(2027, 1, 1), "Mon 28 December 2026 – Sun 3 January 2027"),
    ],
)
def test_a_week_in_words(day: date, heading: str) -> None:
    assert Week.of(day).heading == heading
