"""A connection to the sandbox's Fitbox, and reads through it as a run would make them."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import pytest

from integrations import adapters
from integrations.models import Connection
from integrations.records import Fetched, Validator
from integrations.sandbox import Sandbox
from integrations.sandbox.fitbox import SANDBOX_FITBOX_KEY

Read = Callable[..., Fetched]


@pytest.fixture
def connection(db: None, sandbox: Sandbox) -> Connection:
    sandbox.fitbox.switch(rate_limit=None)
    return Connection.objects.create(
        provider="fitbox",
        name="Main gym",
        base_url=sandbox.url_of("fitbox"),
        credentials={"api_key": SANDBOX_FITBOX_KEY},
        retries=0,
        calls_per_minute=1000,
    )


@pytest.fixture
def span(sandbox: Sandbox) -> tuple[date, date]:
    """Monday of this week and Sunday, eight weeks."""
    monday = sandbox.fitbox.schedule.whole_range()[0]
    return monday, monday + timedelta(days=55)


@pytest.fixture
def read(connection: Connection, span: tuple[date, date]) -> Read:
    def fetch(cursor: str = "", validators: Mapping[str, Validator] | None = None) -> Fetched:
        with adapters.open_source(connection, actor="test", purpose="test") as source:
            return source.fetch(*span, cursor, validators or {})

    return fetch
