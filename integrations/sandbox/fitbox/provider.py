"""Fitbox: the schedule contract, the occurrence list, and the control API's part for both."""

import threading
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import date
from typing import Any, ClassVar, TypeVar
from zoneinfo import ZoneInfoNotFoundError

from integrations.sandbox.clock import Clock
from integrations.sandbox.faults import Fault
from integrations.sandbox.fitbox import occurrences
from integrations.sandbox.fitbox.access import RateLimiter, Switches, has_key_in_url, refusal
from integrations.sandbox.fitbox.edits import apply_edit
from integrations.sandbox.fitbox.modes import MODES
from integrations.sandbox.fitbox.pages import (
    Page,
    ScheduleQuery,
    check_range,
    conditional,
    day_parameter,
    filtered,
    parse_query,
    render,
    schedule_body,
)
from integrations.sandbox.fitbox.schedule import Listing, Schedule
from integrations.sandbox.fitbox.week import instant_text
from integrations.sandbox.messages import Answer, BadRequest, Request, error_answer, json_answer
from integrations.sandbox.provider import Provider

PAGES_KEPT = 256
CHANGES_WHILE_PAGING = ("remove", "edit")
T = TypeVar("T")


class Fitbox(Provider):
    """A Fitbox of its own, with its data in `schedule` and its behaviour in `switches`."""

    name: ClassVar[str] = "fitbox"
    own_faults: ClassVar[frozenset[str]] = frozenset({"endless_pages", "looping_page", "duplicate_page", "wrong_total"})

    def __init__(self, clock: Clock, seed: int) -> None:
        super().__init__(clock, seed)
        self.schedule = Schedule(clock, seed)
        self.switches = Switches()
        self._limiter = RateLimiter()
        self._rendering = threading.RLock()
        self._kept_state: tuple[object, ...] = ()
        self._pages: dict[tuple[object, ...], Page] = {}
        self._listings: dict[tuple[object, ...], Listing] = {}
        self._changes_while_paging: list[str] = []

    def switch(self, **changes: Any) -> None:
        """Change switches by name. Raises BadRequest for a name or value there is not."""
        names = {field.name for field in fields(Switches)}
        for name in changes:
            if name not in names:
                raise BadRequest(f"There is no switch {name!r}; there are {', '.join(sorted(names))}.")
        switches = replace(self.switches, **changes)
        if switches.timezone != self.switches.timezone:
            try:
                self.schedule.set_zone(switches.timezone)
            except (ZoneInfoNotFoundError, ValueError, TypeError) as error:
                raise BadRequest(f"There is no time zone {switches.timezone!r}.") from error
        if switches.bookings_frozen != self.switches.bookings_frozen:
            self.schedule.freeze_bookings(switches.bookings_frozen)
        self.switches = switches
        self._forget_pages()

    def change_while_paging(self, kind: str = "remove", times: int = 1) -> None:
        """Change the data right after the next answers for page 1 of several: `remove` its first class, which moves
        the first of page 2 to page 1, or `edit` a class on page 2."""
        if kind not in CHANGES_WHILE_PAGING:
            raise BadRequest(f"A change while paging is one of {', '.join(CHANGES_WHILE_PAGING)}.")
        self._changes_while_paging += [kind] * times

    def restore(self) -> None:
        self.schedule.restore_start()
        self.switches = Switches()
        self._changes_while_paging.clear()
        self._limiter.clear()
        self._forget_pages()

    def describe(self) -> dict[str, Any]:
        return {
            "mode": self.schedule.mode,
            "modes": sorted(MODES),
            "version": self.schedule.version,
            "generated_at": instant_text(self.schedule.generated_at()),
            "switches": asdict(self.switches),
        }

    # Requests

    def answer(self, request: Request, own_fault: Fault | None) -> Answer:
        if has_key_in_url(request, self.switches.keys):
            self.traffic.violation("key_in_url")
        if request.method != "GET":
            self.traffic.violation("not_a_get")
            return error_answer(405, "method_not_allowed", "This address is for reading.", request, ("Allow", "GET"))
        refused = refusal(request, self.switches, self._limiter, self.clock.now())
        if refused:
            return refused
        match request.path:
            case "/api/v1/schedule":
                return self._schedule(request, own_fault)
            case "/api/v1/schedulelist":
                return self._enveloped(request, self._occurrence_list)
            case "/api/v1/schedule-detail":
                return self._enveloped(request, self._occurrence_detail)
            case "/api/v1/gym/venues":
                return self._enveloped(request, self._venues)
        return error_answer(404, "not_found", f"There is nothing at {request.path}.", request)

    def _schedule(self, request: Request, own_fault: Fault | None) -> Answer:
        try:
            page = self._page(request, own_fault)
        except BadRequest as error:
            return error_answer(400, "bad_request", str(error), request)
        return self._validated(page, request)

    def _page(self, request: Request, own_fault: Fault | None) -> Page:
        """The rendered page, from the cache unless a fault bends it."""
        state = self._state()
        key = (*state, request.target)
        page = self._pages.get(key) if own_fault is None else None
        if page is None:
            with self._rendering:
                page = self._render(state, request, own_fault)
                if own_fault is None:
                    _keep(self._pages, key, page)
        return page

    def _render(self, state: tuple[object, ...], request: Request, own_fault: Fault | None) -> Page:
        query, listing = self._asked(state, request)
        head = {"generated_at": instant_text(self.schedule.generated_at()), "timezone": str(self.schedule.zone)}
        body = schedule_body(listing, query, head, own_fault)
        page = self._rendered(body, listing)
        if query.page == 1 and body["next_page"] and self._changes_while_paging:
            self._change(self._changes_while_paging.pop(0), listing, query)
        return page

    def _asked(self, state: tuple[object, ...], request: Request) -> tuple[ScheduleQuery, Listing]:
        if self.switches.ignore_parameters:
            first, last = self.schedule.whole_range()
            listing = filtered(self._listing(state, first, last, False), ScheduleQuery(first, last, None, None, 1, 1))
            return ScheduleQuery(first, last, None, None, 1, max(len(listing.items), 1)), listing
        query = parse_query(request.query, self.schedule.today())
        return query, filtered(self._listing(state, query.first, query.last, query.since is not None), query)

    def _listing(self, state: tuple[object, ...], first: date, last: date, moved_away: bool) -> Listing:
        key = (*state, first, last, moved_away)
        listing = self._listings.get(key)
        if listing is None:
            listing = self.schedule.listing(first, last, moved_away=moved_away)
            _keep(self._listings, key, listing)
        return listing

    def _change(self, kind: str, listing: Listing, query: ScheduleQuery) -> None:
        chosen = listing.items[0] if kind == "remove" else listing.items[query.page_size]
        if kind == "remove":
            self.schedule.remove(chosen["id"])
        else:
            self.schedule.set_bookings(chosen["id"], chosen["current_bookings"] + 1)

    # The occurrence list

    def _enveloped(self, request: Request, render_data: Callable[[Request], tuple[Any, Listing]]) -> Answer:
        """Data in the second profile's envelope; its failures come with status 200, as the vendor's do."""
        key = (*self._state(), request.target)
        page = self._pages.get(key)
        if page is None:
            with self._rendering:
                try:
                    data, listing = render_data(request)
                except (BadRequest, LookupError) as error:
                    return json_answer(200, occurrences.envelope(None, str(error.args[0]), error=True))
                page = self._rendered(occurrences.envelope(data), listing)
                _keep(self._pages, key, page)
        return self._validated(page, request)

    def _occurrence_list(self, request: Request) -> tuple[Any, Listing]:
        first, last = day_parameter(request.query, "start"), day_parameter(request.query, "end")
        check_range(first, last)
        listing = self._listing(self._state(), first, last, False)
        return occurrences.occurrence_list(listing.items, self.schedule.zone, first, last), listing

    def _occurrence_detail(self, request: Request) -> tuple[Any, Listing]:
        text = request.query.get("id", "")
        if not text.isdigit():
            raise BadRequest("id is missing or no number.")
        for first, last in self._ranges_known():
            listing = self._listing(self._state(), first, last, False)
            found = occurrences.find_occurrence(listing.items, int(text), first, last)
            if found:
                return occurrences.detail(found[0], self.schedule.zone, found[1]), listing
        raise LookupError("There is no such class.")

    def _ranges_known(self) -> list[tuple[date, date]]:
        """The ranges listed since the last change, newest first, and the current weeks: where an id can come from."""
        listed = [(key[-3], key[-2]) for key in reversed(self._listings)]
        ranges = [(first, last) for first, last in listed if isinstance(first, date) and isinstance(last, date)]
        return [*ranges, self.schedule.whole_range()]

    def _venues(self, request: Request) -> tuple[Any, Listing]:
        listing = self._listing(self._state(), *self.schedule.whole_range(), False)
        return occurrences.venues(listing.items), listing

    # Rendering and its cache

    def _state(self) -> tuple[object, ...]:
        """What an answer depends on beside the request; a new value makes all kept pages useless."""
        state = (self.schedule.version, self.schedule.seen_at(), self.schedule.today())
        if state != self._kept_state:
            self._kept_state = state
            self._forget_pages()
        return state

    def _rendered(self, body: dict[str, Any], listing: Listing) -> Page:
        return render(
            body,
            listing.newest,
            no_validators=self.switches.no_validators,
            frozen_etag=self.switches.frozen_etag,
        )

    def _validated(self, page: Page, request: Request) -> Answer:
        return page.full if self.switches.no_validators else conditional(page, request)

    def _forget_pages(self) -> None:
        with self._rendering:
            self._pages.clear()
            self._listings.clear()

    # Control

    def control(self, request: Request) -> Any:
        match request.method, request.path:
            case "POST", "/mode":
                return self._control_mode(request.json())
            case "POST", "/classes":
                return self._control_classes(request.json())
            case "GET", "/classes":
                query = parse_query(request.query, self.schedule.today())
                return self.schedule.listing(query.first, query.last).items
            case "POST", "/holidays":
                return self._control_holidays(request.json())
            case "POST", "/edit":
                return apply_edit(self.schedule, request.json())
            case "POST", "/switches":
                return self._control_switches(request.json())
            case "POST", "/change-while-paging":
                return self._control_paging(request.json())
            case "GET", "/cms-baseline":
                return self.schedule.baseline()
        raise LookupError(f"The control API of Fitbox has no {request.method} {request.path}.")

    def _control_mode(self, body: Any) -> dict[str, Any]:
        match body:
            case {"mode": str(mode)}:
                count = body.get("count")
                if count is not None and (not isinstance(count, int) or not 0 <= count <= 1_000_000):
                    raise BadRequest("count is a whole number up to 1000000.")
                self.schedule.set_mode(mode, count)
                return self.describe()
        raise BadRequest('Send {"mode": name}, with "count" for bulk.')

    def _control_classes(self, body: Any) -> dict[str, Any]:
        match body:
            case {"classes": list(items)}:
                self.schedule.set_classes(items)
                return self.describe()
        raise BadRequest('Send {"classes": [...]}.')

    def _control_holidays(self, body: Any) -> dict[str, Any]:
        match body:
            case {"holidays": (list() | None) as holidays}:
                if not all(isinstance(day, dict) and isinstance(day.get("date"), str) for day in holidays or []):
                    raise BadRequest("Each holiday is an object with a date.")
                self.schedule.set_holidays(holidays)
                return self.describe()
        raise BadRequest('Send {"holidays": [...]} or {"holidays": null}.')

    def _control_switches(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise BadRequest("Send an object of switches.")
        self.switch(**body)
        return self.describe()

    def _control_paging(self, body: Any) -> dict[str, Any]:
        times = body.get("times", 1) if isinstance(body, dict) else 0
        if not isinstance(times, int) or times < 1:
            raise BadRequest('Send {"kind": "remove" or "edit", "times": n}.')
        self.change_while_paging(str(body.get("kind", "remove")), times)
        return self.describe()


def _keep(kept: dict[tuple[object, ...], T], key: tuple[object, ...], value: T) -> None:
    if len(kept) >= PAGES_KEPT:
        kept.clear()
    kept[key] = value
