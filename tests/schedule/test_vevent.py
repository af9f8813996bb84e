"""The calendar text of one event, read back by another program's parser."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Event as ReadEvent

from schedule.vevent import escape, fold, render

STARTS = datetime(2026, 11, 18, 7, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    uid: str = "6b1f3c1e-5d0e-4a53-9d0c-0f6a7c0f5a11@callboard"
    sequence: int = 2
    kind: str = "class_session"
    title: str = "CrossFit"
    description: str = "Bring a towel."
    starts_at: datetime = STARTS
    ends_at: datetime = STARTS + timedelta(hours=1)
    timezone: str = "Australia/Melbourne"
    all_day: bool = False
    status: str = "confirmed"
    status_reason: str = ""
    location: str = "Riverside"
    room: str = "Main floor"
    instructor_name: str = "Ari Fontaine"
    class_type_name: str = "CrossFit"
    external_url: str = "https://book.example.com/c/1?a=1,2;b"
    revised_at: datetime = datetime(2026, 11, 17, 22, 10, 5, tzinfo=UTC)
    # What moves all day, and must not be in the text.
    capacity: int = 4242
    booked: int = 4141


def read(**values: object) -> ReadEvent:
    return ReadEvent.from_ical(render(replace(Row(), **values)))


def lines(**values: object) -> list[str]:
    return render(replace(Row(), **values)).replace("\r\n ", "").split("\r\n")


def test_the_whole_text_of_an_event() -> None:
    assert render(Row()) == (
        "BEGIN:VEVENT\r\n"
        "UID:6b1f3c1e-5d0e-4a53-9d0c-0f6a7c0f5a11@callboard\r\n"
        "DTSTAMP:20261117T221005Z\r\n"
        "LAST-MODIFIED:20261117T221005Z\r\n"
        "SEQUENCE:2\r\n"
        "DTSTART:20261118T070000Z\r\n"
        "DTEND:20261118T080000Z\r\n"
        "SUMMARY:CrossFit\r\n"
        "DESCRIPTION:With Ari Fontaine\\nBring a towel.\r\n"
        "LOCATION:Main floor\\, Riverside\r\n"
        "CATEGORIES:CrossFit\r\n"
        "STATUS:CONFIRMED\r\n"
        "TRANSP:TRANSPARENT\r\n"
        "URL:https://book.example.com/c/1?a=1,2;b\r\n"
        "END:VEVENT\r\n"
    )


def test_what_is_not_known_is_left_out() -> None:
    bare = read(description="", instructor_name="", location="", room="", class_type_name="", external_url="")
    assert sorted(bare) == [
        "DTEND", "DTSTAMP", "DTSTART", "LAST-MODIFIED", "SEQUENCE", "STATUS", "SUMMARY", "TRANSP", "UID",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("room", "location", "place"), [("Rig", "", "Rig"), ("", "Pier", "Pier"), ("Rig", "Pier", "Rig, Pier")]
)
def test_the_place_is_room_and_location(room: str, location: str, place: str) -> None:
    assert read(room=room, location=location)["LOCATION"] == place


def test_a_cancelled_event_says_so_and_why_first() -> None:
    event = read(status="cancelled", status_reason="Melbourne Cup", kind="appointment")
    assert (event["STATUS"], event["TRANSP"]) == ("CANCELLED", "TRANSPARENT")
    assert event["DESCRIPTION"] == "Cancelled: Melbourne Cup\nWith Ari Fontaine\nBring a towel."


@pytest.mark.parametrize(("kind", "transparency"), [("class_session", "TRANSPARENT"), ("appointment", "OPAQUE")])
def test_a_class_on_offer_takes_up_nobodys_time(kind: str, transparency: str) -> None:
    assert read(kind=kind)["TRANSP"] == transparency


def test_an_all_day_event_has_the_dates_of_its_own_zone() -> None:
    midnight = datetime(2026, 11, 18, tzinfo=ZoneInfo("Australia/Melbourne"))
    event = read(
        all_day=True, starts_at=midnight.astimezone(UTC), ends_at=(midnight + timedelta(days=1)).astimezone(UTC)
    )
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (date(2026, 11, 18), date(2026, 11, 19))
    assert "DTSTART;VALUE=DATE:20261118" in lines(all_day=True, starts_at=midnight)


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "//host/x",
        "https://a.example/\r\nX-EVIL:1",
        "http://[bad",
        "https://a b",
    ],
)
def test_only_web_addresses_become_links(address: str) -> None:
    assert "URL" not in read(external_url=address)


def test_the_text_holds_no_counts() -> None:
    assert "4242" not in render(Row())
    assert "4141" not in render(Row())


@pytest.mark.req("X-29")
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(-840, 840))
def test_instants_leave_in_utc_from_whatever_offset(local: datetime, minutes: int) -> None:
    at = local.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    event = read(starts_at=at, ends_at=at + timedelta(hours=1), revised_at=at)
    assert (event["DTSTART"].dt, event["DTEND"].dt, event["DTSTAMP"].dt) == (at, at + timedelta(hours=1), at)
    assert [line[-1] for line in lines(starts_at=at) if line.startswith("DT")] == ["Z"] * 3


@pytest.mark.req("X-29")
@pytest.mark.parametrize("name", ["starts_at", "ends_at", "revised_at"])
@pytest.mark.parametrize("all_day", [False, True])
def test_a_naive_time_is_refused(name: str, all_day: bool) -> None:
    with pytest.raises(ValueError, match="naive"):
        render(replace(Row(all_day=all_day), **{name: datetime(2026, 11, 18, 7)}))


# --- hostile text -----------------------------------------------------------------------------------------------------

PIECES = (
    "🏋🏽\u200d♀️", "普拉提课程", "تمارين", "é", ";", ",", "\\", "\\n", "\n", "\r\n", "\r", "\t", " ", '"', ":", "\x00", "\x07",
    "\x1b", "\x7f", "\x85", "\u2028", "\ud800", "BEGIN:VEVENT", "\r\nEND:VEVENT\r\n", "word", "x" * 80,
)  # fmt: skip
texts = st.text() | st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def kept(text: str) -> str:
    """Return what a calendar can hold of `text`, said in another way than the code says it."""
    for line_break in ("\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"):
        text = text.replace(line_break, "\n")
    return "".join(c for c in text if c in "\n\t" or not (c < " " or "\x7f" <= c < "\xa0" or "\ud800" <= c <= "\udfff"))


@given(texts, texts, texts, texts)
def test_text_is_read_back_as_it_was(title: str, notes: str, coach: str, place: str) -> None:
    event = read(title=title, description=notes, instructor_name=coach, room="", location=place)
    assert event["SUMMARY"] == kept(title)
    assert event.get("LOCATION", "") == kept(place)
    said = [f"With {coach}"] * bool(coach) + [notes] * bool(notes)
    assert event.get("DESCRIPTION", "") == kept("\n".join(said))


@given(texts)
def test_a_text_cannot_add_lines_of_its_own(text: str) -> None:
    names = ("title", "description", "status_reason", "room", "location", "instructor_name", "class_type_name", "uid")
    hostile = render(replace(Row(), **dict.fromkeys((*names, "external_url"), text)))
    logical = hostile.replace("\r\n ", "").split("\r\n")
    known = {line.split(":")[0].split(";")[0] for line in render(Row()).split("\r\n")}
    assert {line.split(":")[0].split(";")[0] for line in logical} <= known
    assert hostile.count("\r\n") == hostile.count("\r") == hostile.count("\n")


@given(texts, texts)
def test_no_line_is_over_75_octets_and_no_character_is_split(title: str, notes: str) -> None:
    text = render(replace(Row(), title=title, description=notes))
    for line in text.encode().split(b"\r\n"):
        assert len(line) <= 75
        line.decode()  # raises when a character was split


@given(texts.map(escape))
def test_a_folded_line_is_unfolded_by_taking_the_folds_out(line: str) -> None:
    assert fold(line).replace("\r\n ", "") == line


@pytest.mark.parametrize("length", [74, 75, 76, 149, 150])
def test_lines_are_filled_to_75_octets(length: int) -> None:
    sizes = [len(piece) for piece in fold("x" * length).split("\r\n")]
    assert sizes == {74: [74], 75: [75], 76: [75, 2], 149: [75, 75], 150: [75, 75, 2]}[length]
