"""What a source says of one event, in our terms: the values that are fingerprinted, and the live counts that are not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

import orjson


@dataclass(frozen=True, slots=True)
class EventValues:
    """The meaningful fields of one event. Instants are aware, `ends_at` is excluded; empty text means "not said"."""

    title: str
    starts_at: datetime
    ends_at: datetime
    timezone: str
    kind: str = "class_session"
    status: str = "confirmed"
    description: str = ""
    all_day: bool = False
    series_id: str = ""
    original_start: datetime | None = None
    place_id: int | None = None
    location: str = ""
    room: str = ""
    instructor_id: int | None = None
    instructor_key: str = ""
    instructor_name: str = ""
    instructor_image: str = ""
    class_type_id: int | None = None
    class_type_name: str = ""
    level: str = ""
    capacity: int | None = None
    price: str = ""
    is_private: bool = False
    external_url: str = ""


VALUE_FIELDS = tuple(EventValues.__dataclass_fields__)
INSTANT_FIELDS = ("starts_at", "ends_at", "original_start")
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z


@dataclass(frozen=True, slots=True)
class Live:
    """Counts that move all day. They are outside the fingerprint, the history and the VEVENT text."""

    booked: int | None = None
    waitlist: int | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event as a source has it now. `text` is the canonical form of the values, `fingerprint` its hash."""

    external_id: str
    values: EventValues
    live: Live
    text: str
    fingerprint: str
    payload: bytes | None = None
    """JSON of what the source sent."""

    @classmethod
    def of(cls, external_id: str, values: EventValues, live: Live = Live(), payload: bytes | None = None) -> "Incoming":
        text = canonical(values)
        return cls(external_id, values, live, text.decode(), blake2b(text, digest_size=16).hexdigest(), payload)


def canonical(values: EventValues) -> bytes:
    """Return the one spelling of these values: UTC instants with `Z`, sorted keys, no spaces."""
    return orjson.dumps(
        {
            name: value.astimezone(UTC) if name in INSTANT_FIELDS and value is not None else value
            for name, value in ((name, getattr(values, name)) for name in VALUE_FIELDS)
            if value is not None and value != "" and value is not False
        },
        option=_CANONICAL,
    )


def from_canonical(said: dict[str, object]) -> EventValues:
    """Return the values that `canonical` spelled, as read back from `Event.provider_values` or a `Change`."""
    plain = dict(said)
    for name in INSTANT_FIELDS:
        if isinstance(text := plain.get(name), str):
            plain[name] = datetime.fromisoformat(text)
    return EventValues(**plain)  # type: ignore[arg-type]  # the fields were spelled from an EventValues
