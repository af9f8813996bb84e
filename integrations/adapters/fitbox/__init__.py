"""Fitbox: the class schedule of a gym, read only.

The reference profile is `GET /api/v1/schedule`: `classes[]` of weekly slots and dated occurrences, in pages that are one
unit. The profile `occurrences` is `GET /api/v1/schedulelist`: dated instants in an envelope, without pages, differences
or coaches; it shows that nothing here is tied to weekly slots and is not claimed to work with the vendor's own service.
Limits of the provider: 60 calls a minute, 10 s a call. Lists of attending people are counted and dropped at once.

`profiles` say what is asked, `answers` make one unit of the pages, `items` translate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar

from django.conf import settings

from integrations import errors
from integrations.adapters.base import Access, Capability, EventSource, Provider, Verification
from integrations.adapters.fitbox.answers import Page, next_page, read_pages
from integrations.adapters.fitbox.items import Reading
from integrations.adapters.fitbox.profiles import PROFILE_NAMES, PROFILES
from integrations.http import Client
from integrations.records import Fetched, Validator

__all__ = ["PHOTO_HOSTS", "PROFILE_NAMES", "PROVIDER", "Fitbox"]

MOST_PAGES = 20
CLOCK_SKEW = timedelta(days=2)
"""An `updated_at` further in the future is a mistake: as a cursor it would hide every change until then."""
PHOTO_HOSTS = ("fitbox.iq", "fitbox.example")
"""Whose pictures are shown, with their subdomains; a connection's setting `photo_hosts` names others."""


class Fitbox:
    """Reads one Fitbox account. See integrations.adapters.base.EventSource."""

    provider: ClassVar[str] = "fitbox"
    display_name: ClassVar[str] = "Fitbox"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.TIMETABLE, Capability.DIFFERENCES})

    def __init__(
        self,
        client: Client,
        *,
        profile: str = "",
        photo_hosts: Sequence[str] = PHOTO_HOSTS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if profile not in PROFILES:
            raise errors.NotConfigured(f"there is no profile {profile!r}", provider=self.provider)
        self.client = client
        self._profile = PROFILES[profile]
        self._photo_hosts = tuple(photo_hosts)
        self._clock = clock

    def verify(self) -> Verification:
        today = self._clock().date()
        query = self._profile.query(today, today, "", 1) | ({"page_size": "1"} if self._profile.has_differences else {})
        try:
            payload = self.client.get(self._profile.path, query).json()
            count = len(self._profile.items(payload))
        except errors.IntegrationError as error:
            return Verification(False, errors.explain_try(error, self.display_name))
        total = payload.get("total")
        count = total if type(total) is int else count
        classes = "no class" if not count else "1 class" if count == 1 else f"{count} classes"
        return Verification(True, f"{self.display_name} answers and accepts the key. It lists {classes} for today.")

    def fetch(self, since: date, until: date, cursor: str, validators: Mapping[str, Validator]) -> Fetched:
        """See EventSource.fetch. Two passes at most: pages that changed need those that did not in full as well."""
        if not self._profile.has_differences:
            cursor = ""
        covered = None if cursor else (since, until)
        pages = self._pages(since, until, cursor, validators, {})
        kept = {page.address: page.validator for page in pages if page.validator.etag or page.validator.last_modified}
        if all(page.payload is None for page in pages):
            return Fetched(covered=covered, cursor=cursor, unchanged=True, validators=kept, calls=self.client.calls)
        if any(page.payload is None for page in pages):
            complete = {page.number: page for page in pages if page.payload is not None}
            pages = self._pages(since, until, cursor, {}, complete)
            kept = {
                page.address: page.validator for page in pages if page.validator.etag or page.validator.last_modified
            }
        state = Reading(self._profile.fields, self._photo_hosts, self._clock() + CLOCK_SKEW)
        fetched = read_pages(pages, self._profile, state, cursor)
        return replace(fetched, covered=covered, validators=kept, calls=self.client.calls)

    # --- pages

    def _pages(
        self, since: date, until: date, cursor: str, validators: Mapping[str, Validator], have: Mapping[int, Page]
    ) -> list[Page]:
        """Follow the pages to the last. Raises IncompletePayload when they do not end."""
        pages: list[Page] = []
        number: int | None = 1
        while number is not None:
            if number in {page.number for page in pages}:
                raise errors.IncompletePayload(f"page {number} leads back to itself", provider=self.provider)
            if len(pages) == MOST_PAGES:
                raise errors.IncompletePayload(f"it has more than {MOST_PAGES} pages", provider=self.provider)
            page = have.get(number) or self._page(number, self._profile.query(since, until, cursor, number), validators)
            pages.append(page)
            number = page.next_page
        return pages

    def _page(self, number: int, query: dict[str, str], validators: Mapping[str, Validator]) -> Page:
        address = self.client.address(self._profile.path, query)
        known = validators.get(address)
        answer = self.client.get(self._profile.path, query, validator=known)
        if answer.not_modified and known is not None:
            return Page(number, address, None, (), known.next_page, known)
        payload = answer.json()
        items = self._profile.items(payload)
        following = next_page(payload.get("next_page"))
        return Page(number, address, payload, items, following, replace(answer.validator, next_page=following))


def _environment() -> tuple[str, Mapping[str, str]]:
    key = settings.FITBOX_API_KEY
    return settings.PROVIDER_URLS.get("FITBOX", ""), {"api_key": key} if key else {}


def _headers(access: Access) -> Mapping[str, str]:
    # A GET has no content; the provider's contract asks for its type all the same.
    return {
        "Authorization": f"Bearer {access.secrets['api_key']}",
        "User-Agent": settings.FITBOX_USER_AGENT,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def _open(client: Client, access: Access) -> EventSource:
    hosts = access.settings.get("photo_hosts")
    allowed = [str(host).lower() for host in hosts] if isinstance(hosts, list) else PHOTO_HOSTS
    return Fitbox(client, profile=access.profile, photo_hosts=allowed)


PROVIDER = Provider(
    name=Fitbox.provider,
    display_name=Fitbox.display_name,
    capabilities=Fitbox.capabilities,
    profiles=PROFILE_NAMES,
    secret_names=("api_key",),
    environment=_environment,
    headers=_headers,
    open=_open,
)
