"""Two real worker processes of the embedded mode, on one SQLite file: one rate limit and one breaker between them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from integrations.sandbox import Sandbox
from integrations.sandbox.faults import Fault

ROOT = Path(settings.ROOT)
WORKER = """
import sys
import django
django.setup()
from integrations import errors
from integrations.http import Client, Limits
url, count, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = Client(
    "fitbox", "1", url, Limits(retries=0, calls=limit), {"Authorization": "Bearer sandbox-fitbox-key"}, allow_private=True
)
for _ in range(count):
    try:
        client.get("/api/v1/schedule", {"page_size": "1"})
    except errors.IntegrationError as error:
        print(error.code)
    else:
        print("ok")
"""


@pytest.fixture
def embedded(tmp_path: Path) -> dict[str, str]:
    """The environment of an embedded installation of its own, its database made."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    environment |= {
        "CALLBOARD_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "ERROR",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True, timeout=90)
    return environment


def outcomes(environment: dict[str, str], url: str, *, count: int, limit: int) -> list[str]:
    command = [sys.executable, "-c", WORKER, url, str(count), str(limit)]
    workers = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    return [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]


@pytest.mark.embedded_only
@pytest.mark.req("X-06", "X-07", "TT-03")
def test_two_processes_share_rate_limit_and_breaker(embedded: dict[str, str], sandbox: Sandbox) -> None:
    sandbox.fitbox.switch(rate_limit=None)
    url = sandbox.url_of("fitbox")
    both = outcomes(embedded, url, count=25, limit=30)
    assert sorted(both) == ["ok"] * 30 + ["rate_limited"] * 20
    assert sandbox.fitbox.traffic.counters.requests == 30

    sandbox.fitbox.traffic.clear()
    sandbox.fitbox.faults.add(Fault("status", status=500))
    both = outcomes(embedded, url, count=10, limit=1000)
    sent = sandbox.fitbox.traffic.counters.requests
    # Ten successes are known: of the last ten calls five have to fail; the other process may have one on its way.
    assert 5 <= sent <= 6
    assert sorted(both) == ["circuit_open"] * (20 - sent) + ["provider_unavailable"] * sent
