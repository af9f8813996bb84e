"""A sandbox on a free port, its clock at Monday 2 March 2026, 20:30 in Melbourne."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from integrations.sandbox import Sandbox
from tests.integrations.sandbox.caller import Caller

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.serve(seed=1) as sandbox:
        sandbox.clock.set(NOW)
        yield sandbox


@pytest.fixture
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    caller = Caller(sandbox)
    yield caller
    caller.connection.close()
