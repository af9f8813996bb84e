"""Log lines in which no key, token or query secret can appear, and which nobody can forge.

Two nets, one behind the other: values that were registered with `protect()` go wherever they appear, also quoted for a
URL or in base64; and whatever merely looks like a credential goes by its form. Line ends and control characters of a
message are written out, so one record is one line; the lines of a traceback are marked as belonging to it.
"""

import base64
import logging
import re
import threading
from urllib.parse import quote, quote_plus

REDACTED = "[redacted]"
SHORTEST_SECRET = 4
"""A shorter "secret" would blank ordinary words in every line."""
TRACE_MARK = "    | "

_TELLING_NAMES = (
    r"api[_-]?key|access[_-]?token|refresh[_-]?token|client[_-]?secret|sig(?:nature)?|secret|password|passwd|token"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Headers, as text or as the repr of a mapping, with or without a scheme before the value.
    (
        re.compile(
            r"(?i)((?:proxy-)?authorization['\"]?\s*[:=]\s*(?:b?['\"])?)(?:(?:bearer|basic|token|digest)\s+)?[^\s'\",;})\]]+"
        ),
        r"\1" + REDACTED,
    ),
    (re.compile(r"(?i)((?:set-)?cookie['\"]?\s*[:=]\s*(?:b?['\"])?)[^\r\n'\"]+"), r"\1" + REDACTED),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 " + REDACTED),
    # Addresses carry secrets in their query, and sometimes before the host.
    (re.compile(rf"(?i)([?&;](?:{_TELLING_NAMES}|key)=)[^&\s'\"<>#]*"), r"\1" + REDACTED),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s@'\"]+@"), r"\1" + REDACTED + "@"),
    # Named values in prose, JSON and reprs.
    (re.compile(rf"(?i)\b((?:{_TELLING_NAMES})['\"]?\s*[:=]\s*(?:b?['\"])?)[^\s'\",;&}})\]]+"), r"\1" + REDACTED),
    # JSON web tokens, Fernet tokens, and long runs of mixed letters and digits; digests in lower-case hex stay readable.
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (
        re.compile(
            r"(?<![A-Za-z0-9_-])(?=[A-Za-z_-]*[0-9])(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{32,}={0,2}"
        ),
        REDACTED,
    ),
)
# C0 and C1 controls, and the two separators that some viewers take for a line end.
_FORGING = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_FORGING |= {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}

_lock = threading.Lock()
_known: set[str] = set()
_known_pattern: re.Pattern[str] | None = None


def protect(secret: str) -> None:
    """Remove this value from everything logged from now on, in each spelling it is likely to be met in."""
    global _known_pattern  # noqa: PLW0603 - one register a process, as there is one log
    if len(secret) < SHORTEST_SECRET or secret in _known:
        return
    encoded = base64.b64encode(secret.encode()).decode()
    spellings = {secret, quote(secret, safe=""), quote_plus(secret), encoded, encoded.rstrip("=")}
    spellings |= {repr(secret)[1:-1], secret.encode().hex()}
    with _lock:
        _known.update(spellings)
        # The longest first: one secret may be the beginning of another.
        _known_pattern = re.compile("|".join(re.escape(value) for value in sorted(_known, key=len, reverse=True)))


def redact(text: str) -> str:
    """Return the text without known secrets and without what looks like one."""
    if _known_pattern is not None:
        text = _known_pattern.sub(REDACTED, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def one_line(text: str) -> str:
    """Return the text with line ends and control characters written out, so that it cannot pass for several lines."""
    return text.translate(_FORGING)


class RedactingFilter(logging.Filter):
    """Cleans a record in place, so that every handler behind it, whatever its formatter, gets clean text."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = one_line(redact(_message(record))), None
        if record.exc_info and not record.exc_text:
            record.exc_text = _marked(redact(logging.Formatter().formatException(record.exc_info)))
        return True


class RedactingFormatter(logging.Formatter):
    """Formats one record as one clean line; a traceback follows in marked lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(redact(record.message))
        return super().formatMessage(record)

    def formatException(self, ei: "logging._SysExcInfoType | tuple[None, None, None]") -> str:
        return _marked(redact(super().formatException(ei)))

    def formatStack(self, stack_info: str) -> str:
        return _marked(redact(super().formatStack(stack_info)))


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        # A wrong call of the logger must not lose the record, nor show its arguments uncleaned elsewhere.
        return f"{record.msg} {record.args!r}"


def _marked(trace: str) -> str:
    return "\n".join(TRACE_MARK + one_line(line) for line in trace.splitlines())
