"""Edits of the sandbox's schedule as they come over the control API."""

from collections.abc import Callable
from datetime import date
from typing import Any

from integrations.sandbox.fitbox.schedule import Schedule
from integrations.sandbox.messages import BadRequest


def apply_edit(schedule: Schedule, body: Any) -> dict[str, Any]:
    """Perform {"action": ..., ...}. Raises BadRequest, or LookupError for a class that is not there."""
    if not isinstance(body, dict) or body.get("action") not in EDITS:
        raise BadRequest(f"action is one of {', '.join(sorted(EDITS))}.")
    arguments = {name: value for name, value in body.items() if name != "action"}
    try:
        result = EDITS[body["action"]](schedule, **arguments)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadRequest(f"{body['action']}: {error}.") from error
    return {"version": schedule.version, "generated_at": schedule.generated_at().isoformat(), "id": result}


def _cancel(schedule: Schedule, id: str) -> None:
    schedule.cancel(id)


def _restore(schedule: Schedule, id: str) -> None:
    schedule.restore(id)


def _move(schedule: Schedule, id: str, start_time: str, date: str | None = None) -> None:
    schedule.move(id, start_time=start_time, on=_day(date) if date else None)


def _swap_coach(schedule: Schedule, id: str, coach: int | None = None) -> None:
    schedule.swap_coach(id, coach)


def _cut_capacity(schedule: Schedule, id: str, capacity: int) -> None:
    schedule.cut_capacity(id, capacity)


def _set_bookings(schedule: Schedule, id: str, bookings: int) -> None:
    schedule.set_bookings(id, bookings)


def _remove(schedule: Schedule, id: str) -> None:
    schedule.remove(id)


def _add(schedule: Schedule, date: str, start_time: str, fields: dict[str, Any] | None = None) -> str:
    return schedule.add(_day(date), start_time, **(fields or {}))


def _set(schedule: Schedule, fields: dict[str, Any], id: str | None = None) -> None:
    if id is None:
        schedule.set_all(**fields)
    else:
        schedule.set_fields(id, **fields)


def _shift(schedule: Schedule, minutes: int = 60) -> None:
    schedule.shift(minutes)


def _grow_bookings(schedule: Schedule, by: int = 1) -> None:
    schedule.grow_bookings(by)


def _vanish(schedule: Schedule, share: float = 0.5) -> None:
    schedule.vanish(share)


def _undo_edits(schedule: Schedule) -> None:
    schedule.undo_edits()


def _day(text: str) -> date:
    return date.fromisoformat(text)


EDITS: dict[str, Callable[..., str | None]] = {
    "cancel": _cancel,
    "restore": _restore,
    "move": _move,
    "swap_coach": _swap_coach,
    "cut_capacity": _cut_capacity,
    "set_bookings": _set_bookings,
    "remove": _remove,
    "add": _add,
    "set": _set,
    "shift": _shift,
    "grow_bookings": _grow_bookings,
    "vanish": _vanish,
    "undo_edits": _undo_edits,
}
