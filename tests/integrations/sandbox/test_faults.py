"""Each fault as a client meets it on the wire, and the calls it applies to."""

import http.client
import json
import time
import zlib
from datetime import timedelta
from email.utils import parsedate_to_datetime

import pytest

from integrations.sandbox import Fault, Sandbox, standard_outage
from integrations.sandbox.messages import BadRequest
from tests.integrations.sandbox.caller import Caller
from tests.integrations.sandbox.conftest import NOW


def statuses(caller: Caller, count: int) -> list[int]:
    return [caller.week().status for _ in range(count)]


def test_a_fault_for_calls_ends_after_them(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status", status=500, calls=2))
    assert statuses(caller, 4) == [500, 500, 200, 200]


def test_faults_follow_each_other_in_order(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status", status=502, calls=1), Fault("status", status=504, calls=1))
    assert statuses(caller, 3) == [502, 504, 200]


def test_a_fault_can_skip_calls_first(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status", skip=2, calls=1))
    assert statuses(caller, 4) == [200, 200, 500, 200]


def test_a_share_of_calls_is_drawn_from_the_seed(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.switch(rate_limit=None)
    sandbox.fitbox.faults.add(Fault("status", share=0.3))
    first = statuses(caller, 100)
    sandbox.fitbox.reset()
    sandbox.fitbox.switch(rate_limit=None)
    sandbox.fitbox.faults.add(Fault("status", share=0.3))
    assert 15 <= first.count(500) <= 45
    with Sandbox.serve(seed=1) as other:
        other.fitbox.switch(rate_limit=None)
        other.fitbox.faults.add(Fault("status", share=0.3))
        assert statuses(Caller(other), 100) == first


def test_a_fault_for_a_period_ends_by_the_sandbox_clock(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status", status=503, seconds=60))
    assert statuses(caller, 2) == [503, 503]
    sandbox.clock.advance(60)
    assert statuses(caller, 1) == [200]


def test_a_fault_can_be_for_one_page_only(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status", match="page=2"))
    assert [caller.week(page_size=20, page=page).status for page in (1, 2, 3)] == [200, 500, 200]


def test_cleared_faults_are_gone(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("status"))
    sandbox.fitbox.faults.clear()
    assert statuses(caller, 1) == [200]


def test_an_outage_script_follows_the_set_clock(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.run_outage(standard_outage())
    seen = []
    for _ in range(62):
        seen.append(caller.week().status)
        sandbox.clock.advance(60)
    assert seen == [200] * 10 + [503] * 40 + [200, 503] * 5 + [200] * 2


def test_slow_start_answers_late(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("slow_start", delay_seconds=0.2))
    began = time.monotonic()
    assert caller.week().status == 200
    assert time.monotonic() - began >= 0.2


def test_slow_body_sends_few_bytes_a_second(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.schedule.set_mode("empty")
    sandbox.fitbox.faults.add(Fault("slow_body", bytes_per_second=500))
    began = time.monotonic()
    received = caller.week()
    assert received.json["total"] == 0
    assert time.monotonic() - began >= len(received.body) / 500 * 0.9


def test_a_hang_gives_no_answer(sandbox: Sandbox) -> None:
    sandbox.fitbox.faults.add(Fault("hang", delay_seconds=30))
    with pytest.raises(TimeoutError):
        Caller(sandbox, timeout_seconds=0.2).week()
    assert sandbox.fitbox.traffic.records[-1].status == 0


def test_reset_comes_before_any_answer(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("reset", calls=1))
    with pytest.raises(ConnectionResetError):
        caller.week()


def test_reset_mid_body_breaks_the_reading(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("reset_mid_body", calls=1))
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        caller.week()


def test_a_truncated_body_announces_its_full_length(sandbox: Sandbox, caller: Caller) -> None:
    full = len(caller.week().body)
    sandbox.fitbox.faults.add(Fault("truncated_body", calls=1))
    with pytest.raises(http.client.IncompleteRead) as raised:
        caller.week()
    assert (len(raised.value.partial), raised.value.expected) == (full // 2, full - full // 2)


def test_cut_json_has_the_right_length_but_no_end(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("cut_json", calls=1))
    received = caller.week()
    assert int(received.headers["content-length"]) == len(received.body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(received.body)


@pytest.mark.parametrize(
    ("kind", "body"), [("empty", b""), ("empty_object", b"{}"), ("empty_list", b"[]"), ("null", b"null")]
)
def test_an_empty_answer_comes_with_200(sandbox: Sandbox, caller: Caller, kind: str, body: bytes) -> None:
    sandbox.fitbox.faults.add(Fault(kind, calls=1))
    received = caller.week()
    assert (received.status, received.headers["content-type"], received.body) == (200, "application/json", body)


def test_a_login_page_comes_with_200(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("html", calls=1))
    received = caller.week()
    assert (received.status, received.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<form>" in received.body


def test_error_true_comes_with_200(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("error_true", calls=1))
    received = caller.week()
    assert (received.status, received.json["error"]) == (200, True)


def test_a_wrong_content_type_leaves_the_data(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("wrong_content_type", calls=1))
    received = caller.week()
    assert (received.headers["content-type"], len(received.classes)) == ("text/plain; charset=utf-8", 45)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_a_status_has_the_error_body(sandbox: Sandbox, caller: Caller, status: int) -> None:
    sandbox.fitbox.faults.add(Fault("status", status=status, calls=1))
    received = caller.week()
    assert (received.status, list(received.json["error"])) == (status, ["code", "message", "request_id"])
    assert "retry-after" not in received.headers


def test_retry_after_comes_in_seconds_or_as_a_date(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(
        Fault("status", status=503, calls=1, retry_after=7, retry_after_form="seconds"),
        Fault("status", status=429, calls=1, retry_after=90, retry_after_form="date"),
    )
    assert caller.week().headers["retry-after"] == "7"
    assert parsedate_to_datetime(caller.week().headers["retry-after"]) == NOW + timedelta(seconds=90)


def test_a_redirect_names_another_host(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("redirect", location="http://10.0.0.1/api", calls=1))
    received = caller.week()
    assert (received.status, received.headers["location"]) == (302, "http://10.0.0.1/api")


def test_an_oversized_body_is_streamed_without_a_length(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("oversized", calls=1))
    received = caller.week()
    assert "content-length" not in received.headers
    assert len(received.body) > 5 * 1024 * 1024
    assert received.classes == []


def test_gzip_unpacks_to_the_same_data(sandbox: Sandbox, caller: Caller) -> None:
    plain = caller.week().body
    sandbox.fitbox.faults.add(Fault("gzip", calls=1))
    received = caller.week()
    assert received.headers["content-encoding"] == "gzip"
    assert zlib.decompress(received.body, wbits=31) == plain


def test_broken_gzip_does_not_unpack(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("broken_gzip", calls=1))
    with pytest.raises(zlib.error):
        zlib.decompress(caller.week().body, wbits=31)


def test_a_gzip_bomb_is_small_on_the_wire(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("gzip_bomb", size=20_000_000, calls=1))
    received = caller.week()
    assert len(received.body) < 100_000
    assert len(zlib.decompress(received.body, wbits=31)) > 19_000_000


def test_a_fault_of_the_body_is_seen_by_a_client_with_validators(sandbox: Sandbox, caller: Caller) -> None:
    etag = caller.week().headers["etag"]
    sandbox.fitbox.faults.add(Fault("cut_json", calls=1))
    assert caller.get("/api/v1/schedule", {"from": "2026-03-02", "to": "2026-03-08"}, If_None_Match=etag).status == 200


def test_faults_are_counted_by_kind(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.fitbox.faults.add(Fault("null", calls=2))
    statuses(caller, 3)
    assert sandbox.fitbox.traffic.counters.by_fault == {"null": 2}


def test_an_unknown_fault_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(BadRequest, match="There is no fault 'earthquake'"):
        sandbox.fitbox.faults.add(Fault("earthquake"))
