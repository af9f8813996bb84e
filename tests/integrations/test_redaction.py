"""No secret gets into a log line, and no line can be forged."""

import base64
import io
import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from integrations import redaction
from integrations.redaction import REDACTED, RedactingFilter, RedactingFormatter, redact

SECRET = "canary key/42+é"


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(RedactingFormatter("{levelname} {name} {message}", style="{"))
    logger = logging.getLogger("tests.redaction")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)
    logger.propagate = True


@pytest.mark.req("X-03")
@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        SECRET.encode().hex(),
        repr({"a": SECRET}),
    ],
)
def test_a_protected_value_goes_in_every_spelling(spelling: str) -> None:
    redaction.protect(SECRET)
    cleaned = redact(f"before {spelling} after")
    assert REDACTED in cleaned
    assert "canary" not in cleaned and spelling not in cleaned


@pytest.mark.req("X-03")
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer S3CRET-value",
        "{'Authorization': 'Bearer S3CRET-value', 'Accept': 'x'}",
        "authorization: Basic S3CRET-value",
        "authorization=S3CRET-value",
        "sent Bearer S3CRET-value to them",
        "Set-Cookie: sessionid=S3CRET-value; Path=/",
        "GET /a?key=S3CRET-value&b=1",
        "GET /a?b=1&token=S3CRET-value",
        "?secret=S3CRET-value",
        "?password=S3CRET-value",
        "?api_key=S3CRET-value",
        "?access_token=S3CRET-value",
        "?x=1;signature=S3CRET-value",
        '{"api_key": "S3CRET-value"}',
        "password = S3CRET-value",
        "https://user:S3CRET-value@gym.example/",
        "eyJhbGciOiJIUzI1NiJ9.S3CRET-value.c2ln",
        "token gAAAAABmS3CRET-value-AAAAAAAAAAAAAAAAAAAAAAAA==",
    ],
)
def test_what_looks_like_a_credential_goes(text: str) -> None:
    cleaned = redact(text)
    assert "S3CRET" not in cleaned
    assert REDACTED in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "call provider=fitbox method=GET path=/api/v1/schedule status=200 ms=12 attempt=1",
        "request=3d2d2b1e-8d0e-4a2f-9b1c-6b0e6f3a9c11",
        "fingerprint 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "/usr/lib/python3.11/site-packages/django/core/management/base.py",
        "run 17 of Main gym failed: rate_limited",
    ],
)
def test_ordinary_lines_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


def test_a_message_cannot_pass_for_another_line(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("title %s", "x\r\nERROR forged\n\x1b[31m\u2028y\x85z")
    assert stream.getvalue() == "WARNING tests.redaction title x\\r\\nERROR forged\\n\\x1b[31m\\u2028y\\x85z\n"


@pytest.mark.req("X-03")
def test_a_traceback_is_cleaned_and_marked(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    redaction.protect("canary-in-a-trace")
    try:
        raise ValueError("refused canary-in-a-trace\nCRITICAL forged line")
    except ValueError:
        logger.exception("it broke", stack_info=True)
    first, *rest = stream.getvalue().splitlines()
    assert first == "ERROR tests.redaction it broke"
    assert len(rest) > 4 and all(line.startswith(redaction.TRACE_MARK) for line in rest)
    assert "canary" not in stream.getvalue()


def test_a_wrong_call_of_the_logger_is_still_cleaned(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("two %s %s", "password=S3CRET")  # noqa: PLE1206 - the wrong call is the point
    assert "S3CRET" not in stream.getvalue()
    assert stream.getvalue().startswith("WARNING tests.redaction two ")


def test_the_formatter_alone_cleans_as_well() -> None:
    try:
        raise ValueError("token=S3CRET")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "", 0, "a %s", ("password=S3CRET\nb",), sys.exc_info())
    assert "S3CRET" not in RedactingFormatter("{message}", style="{").format(record)


def test_a_very_short_value_does_not_blank_ordinary_words() -> None:
    redaction.protect("a")
    redaction.protect("")
    assert redact("a banana") == "a banana"
