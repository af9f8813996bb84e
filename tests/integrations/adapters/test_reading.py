"""Single values: every accepted form, every refused one, and bounds that hold for anything."""

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.adapters import reading
from integrations.adapters.reading import Unreadable

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.req("TT-06")
@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("monday", 1),
        ("MONDAY", 1),
        (" Monday ", 1),
        ("mon", 1),
        ("Tue", 2),
        ("WED", 3),
        ("thu", 4),
        ("fri", 5),
        ("Saturday", 6),
        ("sun", 7),
        (1, 1),
        (7, 7),
        ("3", 3),
    ],
)
def test_weekdays_are_read_in_any_form(value: object, number: int) -> None:
    assert reading.weekday(value) == number


@pytest.mark.parametrize("value", [0, 8, -1, "0", "", "someday", "mo", "montag", None, True, False, 1.0, "m" * 10**6])
def test_other_weekdays_are_refused(value: object) -> None:
    reading.weekday(1)
    with pytest.raises(Unreadable):
        reading.weekday(value)


@pytest.mark.req("TT-06")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("06:00", time(6)),
        ("6:00", time(6)),
        (" 06:00 ", time(6)),
        ("06:00:30", time(6, 0, 30)),
        ("00:00", time(0)),
        ("23:59", time(23, 59)),
        ("6:30 AM", time(6, 30)),
        ("6:30 pm", time(18, 30)),
        ("6:30PM", time(18, 30)),
        ("6:30 p.m.", time(18, 30)),
        ("12:00 AM", time(0)),
        ("12:15 pm", time(12, 15)),
        ("06:00:00 AM", time(6)),
    ],
)
def test_times_are_read_in_any_form(value: str, expected: time) -> None:
    assert reading.clock_time(value) == expected


@pytest.mark.parametrize(
    "value",
    ["24:00", "25:61", "6", "06", "6:0", "0:30 AM", "13:00 PM", "06:00Z", "06.00", "٠٦:٠٠", "", None, 600, True],
)
def test_other_times_are_refused(value: object) -> None:
    with pytest.raises(Unreadable):
        reading.clock_time(value)


@pytest.mark.parametrize("value", ["2026-02-30", "20260302", "2026-3-2", "2026-W10-1", "today", "", None, 20260302])
def test_other_dates_are_refused(value: object) -> None:
    with pytest.raises(Unreadable):
        reading.day(value)


def test_dates_are_read() -> None:
    assert (reading.day("2026-03-02"), reading.day("9999-12-31")) == (date(2026, 3, 2), date.max)


@pytest.mark.parametrize(
    "value", ["2026-03-02T10:00:00", "2026-03-02", "9999-12-31T23:59:59Z", "0001-01-01T00:00Z", "x", 5]
)
def test_an_instant_needs_an_offset_and_a_year_that_zones_can_shift(value: object) -> None:
    with pytest.raises(Unreadable):
        reading.instant(value)


def test_instants_are_read_with_any_offset() -> None:
    expected = datetime(2026, 3, 2, tzinfo=UTC)
    assert reading.instant("2026-03-02T00:00:00Z") == reading.instant("2026-03-02T11:00:00+11:00") == expected


@pytest.mark.req("TT-06")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  Open   Gym ", "Open Gym"),
        ("Open\tGym\r\nnow", "Open Gym now"),
        ("Control \x00\x07\x1b[31m\x7f\x85\u2028 characters", "Control [31m characters"),
        ("\u202eright to left\u202c שלום مرحبا", "right to left שלום مرحبا"),
        ("Emoji 🏋️‍♀️ 👩🏽‍🤝‍👨🏿 é 日本語", "Emoji 🏋️‍♀️ 👩🏽‍🤝‍👨🏿 é 日本語"),
        ("a\u00a0b\u3000c", "a b c"),
        ("<b>Title</b>", "<b>Title</b>"),
        (None, ""),
    ],
)
def test_text_is_one_clean_line(value: object, expected: str) -> None:
    assert reading.text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<p>Bring <b>shoes</b></p><p>and water</p>", "Bring shoes\nand water"),
        ("one<br>two<BR />three", "one\ntwo\nthree"),
        ("<script>alert('x')</script>after", "after"),
        ('"><img src=x onerror=alert(1)>', '">'),
        ("&lt;p&gt;escaped once more&lt;/p&gt;", "escaped once more"),
        ("5 < 6 & 7 > 3", "5 < 6 & 7 > 3"),
        ("a\r\n\r\n\r\n\r\nb  c", "a\n\nb c"),
        ("tab\tand \x00 nul", "tab and nul"),
        ("<style>p{}</style>x", "x"),
        (None, ""),
    ],
)
def test_notes_keep_their_lines_and_lose_their_markup(value: object, expected: str) -> None:
    assert reading.notes(value, 2000) == expected


def test_notes_are_bounded() -> None:
    assert reading.notes("a" * 10**6, 2000) == "a" * 2000
    assert len(reading.notes("<b>" * 10**6, 2000)) <= 2000


@pytest.mark.parametrize(
    ("value", "number"), [(5, 5), (0, 0), (-3, -3), (12.0, 12), ("16", 16), (" 7 ", 7), (None, None)]
)
def test_whole_numbers_are_read(value: object, number: int | None) -> None:
    assert reading.whole_number(value) == number


@pytest.mark.parametrize(
    "value", [True, 1.5, "sixteen", "1.5", "--5", "", "1e9", [], {}, 2**31, -(2**31), "9" * 5000, float("inf")]
)
def test_other_numbers_are_refused(value: object) -> None:
    with pytest.raises(Unreadable):
        reading.whole_number(value)


@pytest.mark.parametrize(
    ("value", "said"), [(True, True), (1, True), ("1", True), ("true", True), (False, False), (0, False)]
)
def test_flags_are_read_in_every_form(value: object, said: bool) -> None:
    assert reading.truth(value) is said
    assert [reading.truth(value) for value in ("0", None, "", "no", [])] == [False] * 5


@pytest.mark.parametrize("value", ["Mars/Olympus", "", "../../etc/passwd", "/etc/passwd", "x" * 10**5, None, 3])
def test_unknown_zones_are_refused(value: object) -> None:
    with pytest.raises(Unreadable):
        reading.zone_name(value)


@given(st.text())
def test_text_never_holds_a_control_character_or_a_double_space(value: str) -> None:
    read = reading.text(value)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in read)
    assert "  " not in read and read == read.strip()


@given(ANYTHING)
def test_what_cannot_be_read_is_always_refused_in_words(value: object) -> None:
    for read in (reading.text, reading.identifier, reading.whole_number, reading.instant):
        try:
            read(value)
        except Unreadable as fault:
            assert 0 < len(str(fault)) < 120
    assert len(reading.shown(value)) <= 60
