"""What the door does with each kind of answer: errors, waits, repeats, and what is sent."""

import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import connection
from django.utils import timezone

from integrations import breaker, errors
from integrations.addresses import origin_of
from integrations.http import Answer, Client, Limits, wire
from integrations.records import Validator
from integrations.sandbox import Sandbox
from integrations.sandbox.faults import Fault
from tests.integrations.conftest import SCHEDULE, Door, OddServer

pytestmark = pytest.mark.django_db
MakeServer = Callable[[Callable[..., None]], OddServer]


def fail(sandbox: Sandbox, kind: str, **named: object) -> None:
    sandbox.fitbox.faults.add(Fault(kind, **named))  # type: ignore[arg-type]


def statuses(sandbox: Sandbox) -> list[int]:
    return [record.status for record in sandbox.fitbox.traffic.records]


# --- what is sent


@pytest.mark.req("TT-34")
def test_clients_of_one_process_share_a_connection(sandbox: Sandbox, door: Door) -> None:
    for _ in range(3):
        with door.client() as client:
            client.get(SCHEDULE)
    assert sandbox.fitbox.traffic.counters.connections_opened == 1


def test_an_idle_connection_is_closed_and_made_anew(sandbox: Sandbox, door: Door) -> None:
    door.client().get(SCHEDULE)
    wire._pools.close_idle(0)
    door.client().get(SCHEDULE)
    assert sandbox.fitbox.traffic.counters.connections_opened == 2


def test_a_connection_that_the_server_closed_meanwhile_costs_no_repeat(odd_server: MakeServer) -> None:
    def answer_and_close(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        sock.shutdown(socket.SHUT_RDWR)

    door = Door(odd_server(answer_and_close).url)
    client = door.client()
    client.get("/")
    time.sleep(0.1)
    client.get("/")
    assert (client.calls, door.naps) == (2, [])


def test_each_request_has_an_id_of_its_own_that_is_logged(
    sandbox: Sandbox, door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "integrations.http")
    fail(sandbox, "status", calls=1)
    door.client().get(SCHEDULE)
    ids = [record.header("x-request-id") for record in sandbox.fitbox.traffic.records]
    assert len({uuid.UUID(found) for found in ids if found}) == 2
    logged = [record.getMessage() for record in caplog.records if record.name.startswith("integrations.http")]
    assert [f"request={found} " in line for found, line in zip(ids, logged, strict=True)] == [True, True]
    assert [line.split(" attempt=")[1] for line in logged] == ["1", "2"]


def test_a_validator_asks_for_changes_only(door: Door) -> None:
    first = door.client().get(SCHEDULE)
    again = door.client().get(SCHEDULE, validator=first.validator)
    assert (again.status, again.not_modified, again.body) == (304, True, b"")


def test_an_unasked_304_is_no_answer(odd_server: MakeServer) -> None:
    server = odd_server(lambda sock: sock.sendall(b"HTTP/1.1 304 Not Modified\r\n\r\n"))
    with pytest.raises(errors.InvalidPayload):
        Door(server.url).client().get("/")


def test_cookies_are_not_kept(odd_server: MakeServer) -> None:
    server = odd_server(lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"))
    client = Door(server.url).client()
    client.get("/")
    client.get("/")
    assert len(server.heads) == 2
    assert not [head for head in server.heads if b"cookie" in head.lower()]


def test_the_environments_proxy_is_not_used(sandbox: Sandbox, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy")
    assert door.client().get(SCHEDULE).status == 200


# --- what a status means


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.RequestRejected),
        (401, errors.CredentialRejected),
        (403, errors.AccessDenied),
        (404, errors.NotConfigured),
        (410, errors.CursorExpired),
        (412, errors.PreconditionFailed),
        (418, errors.RequestRejected),
    ],
)
@pytest.mark.req("X-08")
def test_what_cannot_succeed_later_is_asked_once(
    sandbox: Sandbox, door: Door, status: int, error: type[errors.IntegrationError]
) -> None:
    fail(sandbox, "status", status=status)
    with pytest.raises(error) as raised:
        door.client().get(SCHEDULE)
    assert (type(raised.value), raised.value.status, raised.value.provider) == (error, status, "fitbox")
    assert statuses(sandbox) == [status]
    assert breaker.state("fitbox:1", timezone.now()).state is breaker.State.CLOSED


@pytest.mark.req("X-08")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_single_server_error_is_repeated_after_a_random_wait(sandbox: Sandbox, door: Door, status: int) -> None:
    fail(sandbox, "status", status=status, calls=1)
    assert door.client().get(SCHEDULE).status == 200
    assert statuses(sandbox) == [status, 200]
    assert len(door.naps) == 1 and 0 <= door.naps[0] <= 1


@pytest.mark.req("X-08", "TT-03")
def test_repeats_are_bounded_and_their_waits_grow(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=500)
    with pytest.raises(errors.ProviderUnavailable, match="status 500"):
        door.client(breaker_key="").get(SCHEDULE)
    assert statuses(sandbox) == [500] * 4
    assert all(0 <= nap <= most for nap, most in zip(door.naps, (1, 2, 4), strict=True))


@pytest.mark.req("X-08")
def test_waits_are_spread_over_their_whole_range(sandbox: Sandbox, door: Door) -> None:
    sandbox.fitbox.switch(rate_limit=None)
    fail(sandbox, "status", status=500)
    for _ in range(30):
        with pytest.raises(errors.ProviderUnavailable):
            door.client(breaker_key="", limits=Limits(retries=1, calls=1000)).get(SCHEDULE)
    assert min(door.naps) < 0.35 < 0.65 < max(door.naps)


@pytest.mark.req("TT-03")
def test_the_number_of_tries_is_a_setting(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=500)
    with pytest.raises(errors.ProviderUnavailable):
        door.client(limits=Limits(retries=1)).get(SCHEDULE)
    assert statuses(sandbox) == [500, 500]


@pytest.mark.req("X-08")
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_short_retry_after_is_waited_for(sandbox: Sandbox, door: Door, form: str) -> None:
    fail(sandbox, "status", status=503, retry_after=7, retry_after_form=form, calls=1)
    assert door.client().get(SCHEDULE).status == 200
    assert len(door.naps) == 1 and 7 <= door.naps[0] <= 8


@pytest.mark.req("X-08")
@pytest.mark.parametrize("form", ["seconds", "date"])
@pytest.mark.parametrize(("asked", "told"), [(11, 11.0), (3600, 900.0)])
def test_a_long_retry_after_ends_the_run_and_is_capped(
    sandbox: Sandbox, door: Door, form: str, asked: int, told: float
) -> None:
    fail(sandbox, "status", status=429, retry_after=asked, retry_after_form=form)
    with pytest.raises(errors.RateLimited) as raised:
        door.client().get(SCHEDULE)
    assert raised.value.retry_after == told
    assert (statuses(sandbox), door.naps) == ([429], [])


def test_a_long_retry_after_of_maintenance_ends_the_run(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=503, retry_after=600, retry_after_form="seconds")
    with pytest.raises(errors.ProviderUnavailable) as raised:
        door.client().get(SCHEDULE)
    assert (raised.value.retry_after, statuses(sandbox), door.naps) == (600.0, [503], [])


def test_retry_after_is_measured_on_the_providers_clock(odd_server: MakeServer) -> None:
    theirs = datetime.now(UTC) + timedelta(days=1)
    head = f"HTTP/1.1 503 No\r\nDate: {format_datetime(theirs, usegmt=True)}\r\nContent-Length: 0\r\n"
    head += f"Retry-After: {format_datetime(theirs + timedelta(seconds=40), usegmt=True)}\r\n\r\n"
    server = odd_server(lambda sock: sock.sendall(head.encode()))
    with pytest.raises(errors.ProviderUnavailable) as raised:
        Door(server.url).client().get("/")
    assert raised.value.retry_after == 40


@pytest.mark.parametrize("text", ["soon", "-5", "1e9", "٣", "99999999999999999999", "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_an_unreadable_retry_after_counts_as_none(odd_server: MakeServer, text: str) -> None:
    head = f"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: {text}\r\n\r\n"
    server = odd_server(lambda sock: sock.sendall(head.encode()))
    with pytest.raises(errors.ProviderUnavailable) as raised:
        Door(server.url).client(limits=Limits(retries=0)).get("/")
    assert raised.value.retry_after is None


@pytest.mark.req("X-08")
def test_a_storm_of_429_brings_few_requests_and_opens_nothing(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=429)
    with pytest.raises(errors.RateLimited) as raised:
        door.client().get(SCHEDULE)
    assert statuses(sandbox) == [429] * 4
    assert len(door.naps) == 3 and raised.value.retry_after is None
    assert breaker.state("fitbox:1", timezone.now()).state is breaker.State.CLOSED


# --- time


@pytest.mark.req("TT-03", "X-07")
@pytest.mark.parametrize("kind", ["hang", "slow_start", "slow_body"])
def test_one_call_ends_on_time_however_its_bytes_come(sandbox: Sandbox, door: Door, kind: str) -> None:
    fail(sandbox, kind)
    began = time.monotonic()
    with pytest.raises(errors.ProviderUnavailable, match="in time"):
        door.client(limits=Limits(total_seconds=0.6, retries=0)).get(SCHEDULE)
    assert 0.5 < time.monotonic() - began < 1.2


def test_a_head_that_dribbles_ends_on_time(odd_server: MakeServer) -> None:
    def dribble(sock: socket.socket) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" * 40:
            sock.sendall(bytes([byte]))
            time.sleep(0.02)

    began = time.monotonic()
    with pytest.raises(errors.ProviderUnavailable, match="in time"):
        Door(odd_server(dribble).url).client(limits=Limits(total_seconds=0.5, retries=0)).get("/")
    assert time.monotonic() - began < 1.0


def test_a_name_that_takes_long_to_resolve_ends_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **named: time.sleep(3) or [])
    began = time.monotonic()
    with pytest.raises(errors.ProviderUnavailable):
        Door("http://gym.example").client(limits=Limits(connect_seconds=0.3, retries=0)).get("/")
    assert time.monotonic() - began < 1.0


def test_a_run_that_is_over_asks_nothing(sandbox: Sandbox, door: Door) -> None:
    with pytest.raises(errors.ProviderUnavailable, match="time is used up"):
        door.client(deadline=time.monotonic() - 1).get(SCHEDULE)
    assert statuses(sandbox) == []


def test_a_wait_beyond_the_end_of_the_run_is_not_begun(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=503, retry_after=7, retry_after_form="seconds")
    with pytest.raises(errors.ProviderUnavailable, match="503"):
        door.client(deadline=time.monotonic() + 5).get(SCHEDULE)
    assert (statuses(sandbox), door.naps) == ([503], [])


# --- bodies


@pytest.mark.parametrize("kind", ["reset", "reset_mid_body", "truncated_body"])
@pytest.mark.req("X-08")
def test_a_broken_connection_is_asked_again(sandbox: Sandbox, door: Door, kind: str) -> None:
    fail(sandbox, kind, calls=1)
    assert door.client().get(SCHEDULE).json()["total"] > 0
    assert len(statuses(sandbox)) == 2


@pytest.mark.parametrize("kind", ["reset", "reset_mid_body", "truncated_body"])
def test_half_an_answer_is_none(sandbox: Sandbox, door: Door, kind: str) -> None:
    fail(sandbox, kind)
    with pytest.raises(errors.ProviderUnavailable, match="broke off"):
        door.client(limits=Limits(retries=0)).get(SCHEDULE)


@pytest.mark.parametrize(
    ("kind", "named"), [("oversized", {}), ("oversized", {"size": 200 * 2**20}), ("gzip_bomb", {})]
)
def test_an_answer_above_the_limit_is_refused_while_it_is_read(
    sandbox: Sandbox, door: Door, kind: str, named: dict[str, int]
) -> None:
    fail(sandbox, kind, **named)
    began = time.monotonic()
    with pytest.raises(errors.PayloadTooLarge):
        door.client().get(SCHEDULE)
    assert len(statuses(sandbox)) == 1
    assert time.monotonic() - began < 3


def test_an_announced_length_above_the_limit_is_not_read_at_all(odd_server: MakeServer) -> None:
    server = odd_server(lambda sock: sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 209715200\r\n\r\n"))
    with pytest.raises(errors.PayloadTooLarge):
        Door(server.url).client().get("/")


def test_gzip_is_read(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "gzip")
    assert door.client().get(SCHEDULE).json()["classes"]


def test_broken_gzip_is_refused(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "broken_gzip")
    with pytest.raises(errors.InvalidPayload, match="cannot be unpacked"):
        door.client().get(SCHEDULE)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "an empty answer"),
        (b" \n", "an empty answer"),
        (b"<html>", "a web page instead of data"),
        (b"{", "not JSON"),
    ],
)
def test_what_is_not_json_is_named(body: bytes, text: str) -> None:
    with pytest.raises(errors.InvalidPayload, match=text):
        Answer(200, {}, body, "", False, 0.0).json()


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(errors.InvalidPayload):
        Answer(200, {}, b"[" * 100_000 + b"]" * 100_000, "", False, 0.0).json()


# --- sharing


@pytest.mark.req("TT-34")
@pytest.mark.django_db(transaction=True)
def test_equal_reads_at_the_same_time_are_one_request(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "slow_start", delay_seconds=0.4)
    answers = in_threads(6, lambda: door.client().get(SCHEDULE).body)
    assert len(answers) == 6 and len(set(answers)) == 1
    assert len(statuses(sandbox)) == 1


@pytest.mark.req("TT-34")
@pytest.mark.django_db(transaction=True)
def test_equal_reads_share_a_failure_too(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "hang", delay_seconds=5)

    def read() -> str:
        with pytest.raises(errors.ProviderUnavailable) as raised:
            door.client(limits=Limits(retries=0, total_seconds=0.5)).get(SCHEDULE)
        return str(raised.value)

    assert len(set(in_threads(4, read))) == 1
    assert len(statuses(sandbox)) == 1


@pytest.mark.postgresql_only  # two threads write at once, which SQLite in memory refuses
@pytest.mark.django_db(transaction=True)
def test_another_key_never_shares_an_answer(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "slow_start", delay_seconds=0.3)
    keys = iter(["sandbox-fitbox-key", "wrong"])

    def read() -> str:
        try:
            door.client(headers={"Authorization": f"Bearer {next(keys)}"}).get(SCHEDULE)
        except errors.CredentialRejected:
            return "refused"
        return "let in"

    assert sorted(in_threads(2, read)) == ["let in", "refused"]


def test_at_most_two_calls_are_under_way_at_a_time(sandbox: Sandbox) -> None:
    fail(sandbox, "slow_start", delay_seconds=0.2)
    url = sandbox.url_of("fitbox") + SCHEDULE

    def read() -> int:
        times = wire.Times(time.monotonic() + 5, 3, 5)
        return wire.get(origin_of(url), url, {}, times, body_bytes=1000, allow_private=True).status

    assert in_threads(5, read) == [401] * 5
    assert sandbox.fitbox.traffic.counters.max_parallel == 2


def in_threads(count: int, work: Callable[[], object]) -> list[object]:
    """Do the same in several threads at once and return their results; each closes its own database connection."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- limits and breaker


@pytest.mark.req("TT-03", "X-06")
def test_a_call_above_the_rate_limit_is_not_sent(sandbox: Sandbox, door: Door) -> None:
    client = door.client(limits=Limits(calls=3))
    for _ in range(3):
        client.get(SCHEDULE)
    with pytest.raises(errors.RateLimited) as raised:
        client.get(SCHEDULE)
    assert len(statuses(sandbox)) == 3
    assert 55 < (raised.value.retry_after or 0) <= 60
    assert door.naps == []


@pytest.mark.req("TT-03", "X-06")
def test_repeats_count_against_the_rate_limit(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=500)
    with pytest.raises(errors.RateLimited):
        door.client(limits=Limits(calls=2)).get(SCHEDULE)
    assert statuses(sandbox) == [500, 500]


@pytest.mark.req("X-07")
def test_the_breaker_opens_at_the_fourth_failure_and_then_nothing_is_sent(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "status", status=500)
    with pytest.raises(errors.ProviderUnavailable):
        door.client().get(SCHEDULE)
    with pytest.raises(errors.CircuitOpen) as raised:
        door.client().get(SCHEDULE)
    assert statuses(sandbox) == [500] * 4
    assert raised.value.until is not None
    assert timedelta(seconds=25) < raised.value.until - timezone.now() <= timedelta(seconds=30)


@pytest.mark.req("X-07")
def test_a_304_counts_as_a_success(door: Door) -> None:
    client = door.client()
    first = client.get(SCHEDULE)
    client.get(SCHEDULE, validator=first.validator)
    assert [ok for _, ok in breaker_outcomes("fitbox:1")] == [True, True]


@pytest.mark.req("X-07")
def test_a_call_that_is_too_slow_is_a_failure(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "slow_start", delay_seconds=5)
    with pytest.raises(errors.ProviderUnavailable):
        door.client(limits=Limits(retries=0, total_seconds=0.3)).get(SCHEDULE)
    assert [ok for _, ok in breaker_outcomes("fitbox:1")] == [False]


def test_a_refused_certificate_is_not_tried_again(odd_server: MakeServer) -> None:
    server = odd_server(lambda sock: sock.sendall(b"HTTP/1.1 400 Plain text here\r\n\r\n"))
    door = Door(server.url.replace("http://", "https://"))
    with pytest.raises(errors.CertificateRefused):
        door.client().get("/")
    assert door.naps == []


def test_nobody_listening_is_unavailable(odd_server: MakeServer) -> None:
    server = odd_server(lambda sock: None)
    server.close()
    with pytest.raises(errors.ProviderUnavailable, match="refused the connection"):
        Door(server.url).client(limits=Limits(retries=0)).get("/")


def test_a_name_that_does_not_exist_is_unavailable() -> None:
    with pytest.raises(errors.ProviderUnavailable, match="name cannot be found"):
        Door("http://no-such-host.invalid").client(limits=Limits(retries=0)).get("/")


def test_the_caller_hears_of_every_call(sandbox: Sandbox, door: Door) -> None:
    heard: list[int] = []
    fail(sandbox, "status", status=500, calls=1)
    client = door.client(on_call=heard.append)
    client.get(SCHEDULE)
    assert (heard, client.calls, len(client.latencies_ms)) == ([1, 2], 2, 2)


# --- redirects and addresses


def test_another_server_is_not_asked(sandbox: Sandbox, door: Door) -> None:
    with Sandbox.serve() as elsewhere:
        fail(sandbox, "redirect", location=f"{elsewhere.url_of('fitbox')}{SCHEDULE}")
        with pytest.raises(errors.AddressRefused):
            door.client().get(SCHEDULE)
        assert elsewhere.fitbox.traffic.counters.requests == 0
    assert len(statuses(sandbox)) == 1


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:1/", "https://127.0.0.1/", "file:///etc/passwd", "//127.0.0.2/"]
)
def test_a_redirect_elsewhere_is_refused(sandbox: Sandbox, door: Door, location: str) -> None:
    fail(sandbox, "redirect", location=location)
    with pytest.raises(errors.AddressRefused):
        door.client().get(SCHEDULE)


def test_a_redirect_within_the_origin_is_followed(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "redirect", location=f"/fitbox{SCHEDULE}?page=1", calls=1)
    assert door.client().get(SCHEDULE).status == 200
    assert statuses(sandbox) == [302, 200]


def test_a_circle_of_redirects_ends(sandbox: Sandbox, door: Door) -> None:
    fail(sandbox, "redirect", location=f"/fitbox{SCHEDULE}")
    with pytest.raises(errors.InvalidPayload, match="circle"):
        door.client().get(SCHEDULE)
    assert len(statuses(sandbox)) == 4


def test_private_addresses_are_refused_before_anything_is_sent(sandbox: Sandbox, door: Door) -> None:
    with pytest.raises(errors.AddressRefused):
        door.client(allow_private=False).get(SCHEDULE)
    assert sandbox.fitbox.traffic.counters.requests == 0


def test_a_name_is_resolved_once_and_that_address_is_used(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a public address first and to loopback at the second look must find no second look."""
    port = int(sandbox.url.rpartition(":")[2])
    looks: list[str] = []
    ask = socket.getaddrinfo

    def answer(host: str, *args: object, **named: object) -> object:
        looks.append(host)
        return ask("127.0.0.1", *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    answer_ = Door(f"http://gym.example:{port}/fitbox").client().get(SCHEDULE)
    assert (answer_.status, looks) == (200, ["gym.example"])
    assert sandbox.fitbox.traffic.records[0].header("host") == f"gym.example:{port}"


def test_a_name_that_turns_private_is_refused_at_the_next_connection(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *args, **named: ask("127.0.0.1", *args, **named))
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(errors.AddressRefused):
        Door(f"http://gym.example:{port}/fitbox").client(allow_private=False).get(SCHEDULE)
    assert sandbox.fitbox.traffic.counters.requests == 0


@pytest.mark.parametrize(
    "address",
    [
        "ftp://gym.example",
        "https://user:secret@gym.example",
        "https://",
        "gym.example",
        "http://[::1",
        "http://x:99999",
    ],
)
def test_an_address_of_a_wrong_form_is_refused(address: str) -> None:
    with pytest.raises(errors.AddressRefused) as raised:
        Client("fitbox", "1", address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", ["ETag", "Last-Modified"])
def test_a_huge_validator_is_as_good_as_none(name: str) -> None:
    assert Answer(200, {name: '"x"' * 999}, b"", "", False, 0.0).validator == Validator()


def breaker_outcomes(key: str) -> list[tuple[float, bool]]:
    from integrations.models import Breaker

    found: list[tuple[float, bool]] = Breaker.objects.get(key=key).outcomes
    return found
