"""Which source a week is shown from, and the words that say so. Pure: it knows facts about sources, not the sources.

The order: the chosen source while fresh, its saved rows up to the stale limit, the sources that stand in for it (CMS
always last), its last good rows with a notice. A page is empty only where the source that is trusted says that nothing is
on, or where nobody has anything. Whether a source is fresh follows from its last accepted reading alone, so one that comes
and goes does not make the page come and go: it is back with its next accepted sync, and saved until the limit after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from schedule.timetable import MONTH_NAMES, Week

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CMS = "cms"
"""The manual timetable: always the last to stand in, and never old, since staff keep it here."""
NOTHING_NEWER = "nothing newer to show from the booking system"
NOTHING_CURRENT = "nothing current to show from the booking system"


class Word(StrEnum):
    """Why this source is shown."""

    LIVE = "live"
    """The chosen source, read in time."""
    SAVED = "saved"
    """The chosen source's rows from its last reading, while they are younger than the stale limit."""
    FALLBACK = "fallback"
    """Another source stands in for the chosen one."""
    STAFF = "staff"
    """The manual timetable, because it was chosen."""
    NOT_COVERED = "not_covered"
    """The manual timetable, because the chosen source says nothing about this week."""
    LAST_GOOD = "last_good"
    """Rows past the stale limit, because there is nothing better."""
    NOTHING = "nothing"
    """Nobody has rows for a week that the chosen source should tell of and cannot be trusted for."""
    NOT_YET = "not_yet"
    """Nobody has rows for this week, which is later than what the chosen source tells of."""
    NO_MORE = "no_more"
    """Nobody has rows for this week, which is earlier than what the chosen source tells of."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of a source: its last complete reading, and how many rows it has in the week that is asked for."""

    source: str
    last_complete_at: datetime | None
    fresh_for: timedelta
    covered_from: date | None
    covered_until: date | None
    """Included."""
    rows: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What a week shows and why. `data_at` is when the shown data were read from their source; None for CMS."""

    source: str
    word: Word
    data_at: datetime | None
    age: timedelta | None
    stale: bool
    """The shown data are older than they should be."""
    chosen: str


# --- deciding ---------------------------------------------------------------------------------------------------------


def decide(
    *,
    chosen: str,
    fallback_order: Sequence[str],
    facts: Mapping[str, SourceFacts],
    stale_limit: timedelta,
    week: Week,
    now: datetime,
) -> Decision:
    """Return which source `week` is shown from at `now`. A source without facts is one that was never read."""
    if chosen == CMS:
        return Decision(CMS, Word.STAFF, None, None, False, CMS)
    question = _Question(chosen, facts, stale_limit, week, now)
    mine = question.facts_of(chosen)
    age = question.age(mine)
    if age is None:
        return question.without_chosen(fallback_order)
    if not _covers(mine, week):
        return question.outside(mine)
    if age <= mine.fresh_for:
        return question.show(mine, Word.LIVE)
    if age <= stale_limit:
        return question.show(mine, Word.SAVED)
    return question.without_chosen(fallback_order)


def _covers(facts: SourceFacts, week: Week) -> bool:
    """Whether the last reading says something about the week, be it only about some of its days."""
    if facts.covered_from is None or facts.covered_until is None:
        return False
    return facts.covered_from <= week.last and week.first <= facts.covered_until


@dataclass(frozen=True, slots=True)
class _Question:
    chosen: str
    facts: Mapping[str, SourceFacts]
    stale_limit: timedelta
    week: Week
    now: datetime

    def facts_of(self, source: str) -> SourceFacts:
        return self.facts.get(source) or SourceFacts(source, None, timedelta(0), None, None, 0)

    def age(self, facts: SourceFacts) -> timedelta | None:
        """Return how old the data are. A clock that was set back makes them new, never younger than nothing."""
        if facts.source == CMS or facts.last_complete_at is None:
            return None
        return max(timedelta(0), self.now - facts.last_complete_at)

    def show(self, facts: SourceFacts, word: Word) -> Decision:
        age = self.age(facts)
        stale = word is Word.LAST_GOOD or (age is not None and age > facts.fresh_for)
        data_at = None if age is None else facts.last_complete_at
        return Decision(facts.source, word, data_at, age, stale, self.chosen)

    def outside(self, mine: SourceFacts) -> Decision:
        """Decide a week of which the chosen source's last reading says nothing."""
        past = mine.covered_from is not None and self.week.last < mine.covered_from
        if past and mine.rows:
            # Rows of the past stay as the source last gave them; an outage today changes nothing about them.
            return self.show(mine, self._word_by_age(mine))
        cms = self.facts_of(CMS)
        if cms.rows:
            return self.show(cms, Word.NOT_COVERED)
        return self.last_resort(Word.NO_MORE if past else Word.NOT_YET)

    def _word_by_age(self, facts: SourceFacts) -> Word:
        age = self.age(facts)
        if age is None or age > self.stale_limit:
            return Word.LAST_GOOD
        return Word.LIVE if age <= facts.fresh_for else Word.SAVED

    def without_chosen(self, fallback_order: Sequence[str]) -> Decision:
        """Decide a week for which the chosen source cannot be trusted any more, or not yet."""
        others = (self.facts_of(source) for source in fallback_order)
        stand_in = next((facts for facts in others if self._can_stand_in(facts)), self.facts_of(CMS))
        return self.show(stand_in, Word.FALLBACK) if stand_in.rows else self.last_resort(Word.NOTHING)

    def _can_stand_in(self, facts: SourceFacts) -> bool:
        """Whether a source other than CMS may: it has rows for this week from a reading within the stale limit."""
        age = self.age(facts)
        return bool(facts.rows) and age is not None and age <= self.stale_limit and _covers(facts, self.week)

    def last_resort(self, nothing: Word) -> Decision:
        """Show rows that anybody has, however old: the chosen source's first, then the newest; else say `nothing`."""
        mine = self.facts_of(self.chosen)
        with_rows = [facts for facts in self.facts.values() if facts.rows]
        if not with_rows:
            return self.show(self.facts_of(CMS), nothing)
        return self.show(mine if mine.rows else min(with_rows, key=self._by_age), Word.LAST_GOOD)

    def _by_age(self, facts: SourceFacts) -> timedelta:
        age = self.age(facts)
        return timedelta.max if age is None else age


# --- saying -----------------------------------------------------------------------------------------------------------


def status_line(
    decision: Decision, *, names: Mapping[str, str], zone: ZoneInfo, now: datetime, edited_at: datetime | None
) -> str:
    """Return the line under the week's heading: what is shown, from when, and why. Times are the gym's, on 24 hours.

    `names` are the words for sources; `edited_at` is when staff last changed the manual timetable. A source's data grow
    old for many reasons (it is down, the key is refused, an import is held, the sync is paused), so no line names one.
    """
    at = _moment(decision.data_at, zone, now) if decision.data_at else ""
    edited = f" · last edited {_edited(edited_at, zone, now)}" if edited_at else ""
    match decision.word:
        case Word.LIVE:
            return f"Live from the booking system · updated {at}"
        case Word.SAVED:
            return f"Saved copy from {at} – {NOTHING_NEWER}"
        case Word.STAFF:
            return f"Entered by our staff{edited}"
        case Word.FALLBACK if decision.source == CMS:
            return f"Entered by our staff – {NOTHING_CURRENT}{edited}"
        case Word.FALLBACK:
            return f"From {names.get(decision.source, 'another booking system')} · updated {at} – {NOTHING_CURRENT}"
        case Word.NOT_COVERED:
            return f"Entered by our staff – the booking system does not reach this week{edited}"
        case Word.LAST_GOOD:
            # A connection that was deleted takes with it when its rows were read.
            since = f", from {at}" if at else ""
            return f"Last known timetable{since} – {NOTHING_NEWER}, so please ask us before you come"
        case Word.NOTHING:
            return f"No timetable for this week – {NOTHING_CURRENT}"
        case Word.NOT_YET:
            return "No timetable for this week yet"
        case Word.NO_MORE:
            return "No timetable for this week any more"


def _moment(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """Return "14:05" for today, "Friday 14:05" within a week, else "3 November 14:05"."""
    day = _day(at, zone, now)
    return f"{day} {at.astimezone(zone):%H:%M}".strip()


def _edited(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    return _day(at, zone, now) or f"today {at.astimezone(zone):%H:%M}"


def _day(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    """Return the day of `at` in words, as one would say it today: nothing for today itself."""
    then, today = at.astimezone(zone).date(), now.astimezone(zone).date()
    if then == today:
        return ""
    if timedelta(0) < today - then < timedelta(days=7):
        return WEEKDAYS[then.weekday()]
    return f"{then.day} {MONTH_NAMES[then.month - 1]}" + (f" {then.year}" if then.year != today.year else "")
