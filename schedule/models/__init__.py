"""What is on, who runs it, who comes."""

from schedule.models.events import Change, ChangeKind, Counter, Event, EventKind, EventStatus
from schedule.models.people import Organization, Person, Place
from schedule.models.timetable import (
    ClassType,
    Closure,
    SourceState,
    SpecialEvent,
    TimetableSettings,
    WeeklySlot,
)

__all__ = [
    "Change",
    "ChangeKind",
    "ClassType",
    "Closure",
    "Counter",
    "Event",
    "EventKind",
    "EventStatus",
    "Organization",
    "Person",
    "Place",
    "SourceState",
    "SpecialEvent",
    "TimetableSettings",
    "WeeklySlot",
]
