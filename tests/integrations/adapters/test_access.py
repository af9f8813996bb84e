"""Where an account's address and key come from, what happens without them, and that a key never shows."""

import json
import logging
from io import StringIO
from typing import Any

import pytest

from integrations import adapters, errors
from integrations.adapters import fitbox
from integrations.models import Connection, CredentialUse
from integrations.redaction import RedactingFilter, RedactingFormatter
from integrations.sandbox import Sandbox
from integrations.sandbox.faults import Fault
from integrations.sandbox.fitbox import SANDBOX_FITBOX_KEY
from tests.integrations.adapters.conftest import Read

CANARY = "canary-Zq7-0123456789-key"


@pytest.mark.req("TT-02")
def test_address_and_key_come_from_the_environment(db: None, sandbox: Sandbox, settings: Any) -> None:
    settings.PROVIDER_URLS = {"FITBOX": sandbox.url_of("fitbox")}
    settings.FITBOX_API_KEY = SANDBOX_FITBOX_KEY
    connection = Connection.objects.create(provider="fitbox", name="Main gym")
    with adapters.open_source(connection, actor="test", purpose="test") as source:
        assert source.verify().ok


@pytest.mark.req("TT-02")
def test_the_connections_own_address_and_key_win(
    connection: Connection, sandbox: Sandbox, read: Read, settings: Any
) -> None:
    settings.PROVIDER_URLS = {"FITBOX": "http://127.0.0.1:9"}
    settings.FITBOX_API_KEY = "wrong"
    assert read().records


@pytest.mark.parametrize(
    ("url", "key", "text"), [("", "k", "it has no address"), ("http://127.0.0.1:9", "", "it has no key")]
)
def test_a_missing_address_or_key_is_named(db: None, settings: Any, url: str, key: str, text: str) -> None:
    settings.PROVIDER_URLS, settings.FITBOX_API_KEY = {}, ""
    connection = Connection.objects.create(
        provider="fitbox", name="x", base_url=url, credentials={"api_key": key} if key else {}
    )
    with (
        pytest.raises(errors.NotConfigured, match=text),
        adapters.open_source(connection, actor="test", purpose="test"),
    ):
        pass


@pytest.mark.req("X-02")
def test_each_opening_leaves_an_audit_row_without_the_key(connection: Connection, read: Read) -> None:
    with adapters.open_source(connection, actor="run:17", purpose="sync"):
        pass
    use = CredentialUse.objects.get()
    assert (use.connection, use.connection_name, use.action, use.actor, use.purpose) == (
        connection,
        "Main gym",
        "read",
        "run:17",
        "sync",
    )


@pytest.mark.req("X-01")
@pytest.mark.parametrize("stored", ["fernet:gAAAAABnot-a-token", "fernet:", '{"api_key": "plain"}', "fernet:é"])
def test_a_damaged_credential_is_named_and_never_believed(
    connection: Connection, sandbox: Sandbox, stored: str
) -> None:
    from integrations.credentials import Sealed

    Connection.objects.filter(pk=connection.pk).update(credentials=Sealed(stored))
    connection.refresh_from_db()
    with (
        pytest.raises(errors.CredentialDamaged) as raised,
        adapters.open_source(connection, actor="test", purpose="test"),
    ):
        pass
    assert isinstance(raised.value, errors.CredentialRejected)
    assert "plain" not in str(raised.value)
    assert "encryption keys" in errors.explain(raised.value, "Fitbox")
    assert sandbox.fitbox.traffic.counters.requests == 0


def test_trying_an_account_answers_in_words_and_keeps_nothing(db: None, sandbox: Sandbox) -> None:
    url = sandbox.url_of("fitbox")
    good = adapters.try_source("fitbox", url, "", {"api_key": SANDBOX_FITBOX_KEY})
    bad = adapters.try_source("fitbox", url, "", {"api_key": "wrong"})
    nowhere = adapters.try_source("fitbox", f"{url}/elsewhere", "", {"api_key": SANDBOX_FITBOX_KEY})
    assert [good.ok, bad.ok, nowhere.ok] == [True, False, False]
    assert bad.text == "Fitbox refused the key."
    assert "404" in nowhere.text
    assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("provider", "url", "profile"),
    [
        ("fitbox", "ftp://x", ""),
        ("fitbox", "", ""),
        ("fitbox", "http://127.0.0.1:9", "no such"),
        ("acme", "http://x", ""),
    ],
)
def test_trying_what_cannot_work_answers_in_words(
    db: None, settings: Any, provider: str, url: str, profile: str
) -> None:
    settings.PROVIDER_URLS = {}
    assert not adapters.try_source(provider, url, profile, {"api_key": "k"}).ok


def test_trying_again_and_again_never_waits_for_a_breaker(db: None, sandbox: Sandbox) -> None:
    sandbox.fitbox.faults.add(Fault("status", status=500, calls=6))
    tries = [
        adapters.try_source("fitbox", sandbox.url_of("fitbox"), "", {"api_key": SANDBOX_FITBOX_KEY}) for _ in range(7)
    ]
    assert [each.ok for each in tries] == [False] * 6 + [True]


def test_private_addresses_are_refused_in_words(db: None, sandbox: Sandbox, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = settings.ALLOW_LOOPBACK_ADDRESSES = False
    tried = adapters.try_source("fitbox", sandbox.url_of("fitbox"), "", {"api_key": "k"})
    assert tried.text.startswith("The address of Fitbox is not allowed: 127.0.0.1 is a private or special address.")
    assert sandbox.fitbox.traffic.counters.requests == 0


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "[fd00::1]", "0.0.0.0", "127.1"])
def test_where_loopback_is_allowed_other_private_addresses_are_not(db: None, settings: Any, host: str) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES, settings.ALLOW_LOOPBACK_ADDRESSES = False, True
    tried = adapters.try_source("fitbox", f"http://{host}:9", "", {"api_key": "k"})
    assert tried.text.startswith("The address of Fitbox is not allowed: ")


def test_loopback_is_reached_where_it_is_allowed(db: None, sandbox: Sandbox, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES, settings.ALLOW_LOOPBACK_ADDRESSES = False, True
    for url in (sandbox.url_of("fitbox"), sandbox.url_of("fitbox").replace("127.0.0.1", "localhost")):
        assert adapters.try_source("fitbox", url, "", {"api_key": SANDBOX_FITBOX_KEY}).ok


def test_a_provider_that_is_switched_off_is_not_there() -> None:
    assert adapters.table(fitbox_enabled=False) == {}
    assert set(adapters.table(fitbox_enabled=True)) == {"fitbox"}
    assert adapters.display_name("fitbox") == "Fitbox"
    with pytest.raises(errors.NotConfigured):
        adapters.find("acuity")


def test_an_unknown_profile_is_a_mistake_of_the_settings() -> None:
    with pytest.raises(errors.NotConfigured):
        fitbox.Fitbox(None, profile="no such")  # type: ignore[arg-type]


@pytest.mark.req("X-03", "TT-02")
@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=401),
        Fault("status", status=500),
        Fault("html"),
        Fault("reset"),
        Fault("hang"),
        Fault("redirect"),
        Fault("oversized"),
        Fault("broken_gzip"),
        Fault("status", status=429, retry_after=3600, retry_after_form="seconds"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_no_key_in_any_log_error_or_address(connection: Connection, sandbox: Sandbox, read: Read, fault: Fault) -> None:
    """Everything at DEBUG, urllib3 included, through the formatter of the settings; the error and all its causes too."""
    sandbox.fitbox.switch(keys={CANARY: "valid"})
    connection.credentials = {"api_key": CANARY}
    connection.timeout_seconds = 1
    connection.save()
    sandbox.fitbox.faults.add(fault)
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(RedactingFormatter())
    root = logging.getLogger()
    level, urllib3 = root.level, logging.getLogger("urllib3")
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    urllib3.setLevel(logging.DEBUG)
    try:
        with pytest.raises(errors.IntegrationError) as raised:
            read()
        logging.getLogger("anywhere").error("it failed", exc_info=raised.value)
        logging.getLogger("anywhere").error("headers %s", {"Authorization": f"Bearer {CANARY}"})
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        urllib3.setLevel(logging.WARNING)
    assert "call provider=fitbox" in stream.getvalue()
    told = [stream.getvalue(), str(raised.value), errors.explain(raised.value, "Fitbox"), repr(vars(raised.value))]
    told += [record.as_json()["path"] + json.dumps(record.query) for record in sandbox.fitbox.traffic.records]
    told += [repr(values) for values in CredentialUse.objects.values_list()]
    told += [repr(values) for values in Connection.history.values_list()]
    assert not [text for text in told if CANARY in text or CANARY.encode().hex() in text]
    assert sandbox.fitbox.traffic.counters.violations == {}


def test_the_environments_key_is_not_sent_to_another_address(settings) -> None:  # type: ignore[no-untyped-def]
    settings.PROVIDER_URLS = {"FITBOX": "https://api.fitbox.example"}
    settings.FITBOX_API_KEY = "the-environments-key"
    tried = adapters.try_source("fitbox", "https://elsewhere.example", "", {})
    assert not tried.ok
    assert "no key" in tried.text
