"""Keys, verbs and the rate limit."""

from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from integrations.sandbox import EXPIRED_KEY, FORBIDDEN_KEY, SANDBOX_FITBOX_KEY, Sandbox
from tests.integrations.sandbox.caller import Caller
from tests.integrations.sandbox.conftest import NOW


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        (None, 401, "key_missing"),
        ("wrong", 401, "key_unknown"),
        (EXPIRED_KEY, 401, "key_expired"),
        (FORBIDDEN_KEY, 403, "key_without_permission"),
    ],
)
def test_a_key_that_may_not_read_is_refused(caller: Caller, key: str | None, status: int, code: str) -> None:
    received = caller.get("/api/v1/schedule", key=key, X_Request_Id="call-1")
    error = received.json["error"]
    assert (received.status, error["code"], error["request_id"]) == (status, code, "call-1")


def test_a_key_can_be_added_and_expire(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(keys={"new": "valid", SANDBOX_FITBOX_KEY: "expired"})
    assert (caller.get("/api/v1/schedule", key="new").status, caller.week().status) == (200, 401)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "HEAD"])
def test_another_verb_than_get_is_405_and_counted(sandbox: Sandbox, caller: Caller, method: str) -> None:
    received = caller.send(method, "/fitbox/api/v1/schedule", {"Authorization": f"Bearer {SANDBOX_FITBOX_KEY}"})
    assert (received.status, received.headers["allow"]) == (405, "GET")
    counters = sandbox.fitbox.traffic.counters
    assert (counters.by_method, counters.violations) == ({method: 1}, {"not_a_get": 1})


@pytest.mark.parametrize("query", [{"api_key": "x"}, {"note": SANDBOX_FITBOX_KEY}])
def test_a_key_in_the_url_is_counted(sandbox: Sandbox, caller: Caller, query: dict[str, str]) -> None:
    caller.get("/api/v1/schedule", query)
    assert sandbox.fitbox.traffic.counters.violations == {"key_in_url": 1}


def test_61st_call_in_60_seconds_is_refused_until_the_first_is_over(sandbox: Sandbox, caller: Caller) -> None:
    caller.week()
    sandbox.clock.advance(20)
    assert {caller.week().status for _ in range(59)} == {200}
    refused = caller.week()
    assert (refused.status, refused.headers["retry-after"]) == (429, "40")
    sandbox.clock.advance(40)
    # The window moves: the first call has left it, the 59 others have not.
    assert [caller.week().status for _ in range(2)] == [200, 429]


def test_a_304_counts_for_the_limit(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(rate_limit=2)
    etag = caller.get("/api/v1/schedule").headers["etag"]
    assert [caller.get("/api/v1/schedule", If_None_Match=etag).status for _ in range(2)] == [304, 429]


def test_each_key_has_a_limit_of_its_own(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(rate_limit=1, keys={"one": "valid", "two": "valid"})
    assert [caller.get("/api/v1/schedule", key=key).status for key in ("one", "two", "one")] == [200, 200, 429]


def test_the_limit_can_answer_with_a_date_or_nothing(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(rate_limit=1, retry_after_form="date")
    caller.week()
    assert parsedate_to_datetime(caller.week().headers["retry-after"]) == NOW + timedelta(seconds=60)
    sandbox.fitbox.switch(retry_after_form="none")
    assert "retry-after" not in caller.week().headers


def test_the_limit_can_be_raised_or_lifted(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(rate_limit=None)
    assert {caller.week().status for _ in range(70)} == {200}
