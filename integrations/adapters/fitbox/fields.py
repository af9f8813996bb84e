"""Under which names each profile of Fitbox sends what we read: data, so that another spelling is another table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fields:
    """Under which names a profile sends what we read; an empty name is a field it does not have."""

    id: str = "id"
    series: str = "series_id"
    weekday: str = "day_of_week"
    date: str = "date"
    start: str = "start_time"
    end: str = "end_time"
    minutes: str = "duration_minutes"
    zone: str = "timezone"
    class_type: str = "class_type"
    instructor: str = "instructor"
    capacity: str = "max_capacity"
    booked: str = "current_bookings"
    waitlist: str = "waitlist_count"
    notes: str = "special_notes"
    status: str = "status"
    place: str = "location"
    updated: str = "updated_at"


SCHEDULE_FIELDS = Fields()
OCCURRENCE_FIELDS = Fields(
    series="event_id",
    weekday="",
    date="",
    start="start",
    end="end",
    minutes="",
    zone="event_timezone",
    class_type="class",
    instructor="",
    capacity="attendance_limit",
    booked="attendances",
    notes="description",
    status="is_active",
    place="venue",
)
