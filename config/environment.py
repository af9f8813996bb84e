"""The environment, read here and nowhere else, checked whole at start.

`read()` gives one frozen `Environment` or raises `EnvironmentFault`, whose text names every fault at once and how to mend it.
Embedded mode (the default) needs nothing set: it makes its secrets at first start into a file that only its owner can read.
Production mode (`CALLBOARD_MODE=production`) takes every secret from the environment and refuses to start without one.
"""

import base64
import binascii
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ROOT = Path(__file__).resolve().parent.parent
PROVIDERS = ("FITBOX", "ACUITY", "CALENDLY", "GIBNEY", "GOOGLE", "OUTLOOK", "APPLE", "TIMEBACK")
MINIMUM_SECRET_LENGTH = 50
"""Django's own deployment check asks for as many characters (security.W009)."""
SANDBOX_FILE = "sandbox.url"
"""In the data folder while `make run` runs: where its sandbox is, for commands that are started beside it."""


class EnvironmentFault(Exception):
    """The environment cannot be used; the text lists every fault, one to a line."""


@dataclass(frozen=True)
class Environment:
    production: bool
    data_dir: Path
    secret_key: str
    credential_keys: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    base_url: str
    time_zone: str
    port: int
    database_url: str
    redis_url: str
    key_prefix: str
    email_url: str
    log_level: str
    fitbox_enabled: bool
    allow_private_addresses: bool
    allow_loopback_addresses: bool
    trust_proxy: bool
    provider_urls: Mapping[str, str]
    fitbox_api_key: str
    fitbox_user_agent: str

    @property
    def secure(self) -> bool:
        """Whether people reach Callboard by https, so that cookies and redirects may insist on it."""
        return self.base_url.startswith("https://")


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Return the checked environment. Raises EnvironmentFault with every fault named."""
    faults: list[str] = []
    mode = environ.get("CALLBOARD_MODE", "embedded")
    if mode not in ("embedded", "production"):
        faults.append(f"CALLBOARD_MODE is {mode!r}; it must be 'embedded' or 'production'.")
    production = mode == "production"
    data_dir = Path(environ.get("CALLBOARD_DATA_DIR") or ROOT / "data").resolve()
    port = _port(environ.get("PORT", "8000"), faults)
    made = {} if production else _embedded_secrets(data_dir, environ)
    secret_key = environ.get("SECRET_KEY") or made.get("SECRET_KEY", "")
    keys = tuple(
        key.strip()
        for key in (environ.get("CREDENTIAL_KEYS") or made.get("CREDENTIAL_KEYS", "")).split(",")
        if key.strip()
    )
    hosts = tuple(host.strip() for host in environ.get("ALLOWED_HOSTS", "").split(",") if host.strip())
    base_url = (environ.get("BASE_URL") or ("" if production else f"http://127.0.0.1:{port}")).rstrip("/")
    zone = environ.get("TIME_ZONE") or "Australia/Melbourne"
    _check_zone(zone, faults)
    _check_keys(keys, faults)
    if production:
        _check_production(environ, secret_key, keys, hosts, base_url, faults)
    if faults:
        raise EnvironmentFault("Callboard cannot start:\n- " + "\n- ".join(faults))
    return Environment(
        production=production,
        data_dir=data_dir,
        secret_key=secret_key,
        credential_keys=keys,
        allowed_hosts=hosts or ("127.0.0.1", "localhost", "[::1]"),
        base_url=base_url,
        time_zone=zone,
        port=port,
        database_url=environ.get("DATABASE_URL", ""),
        redis_url=environ.get("REDIS_URL", ""),
        key_prefix=environ.get("CALLBOARD_KEY_PREFIX", "callboard"),
        email_url=environ.get("EMAIL_URL", ""),
        log_level=environ.get("LOG_LEVEL", "INFO"),
        fitbox_enabled=_flag(environ, "FITBOX_ENABLED", default=True),
        allow_private_addresses=_flag(environ, "ALLOW_PRIVATE_ADDRESSES", default=False),
        # The embedded mode's sandbox is on this machine; nothing else private needs to be reached unasked.
        allow_loopback_addresses=_flag(environ, "ALLOW_PRIVATE_ADDRESSES", default=not production),
        trust_proxy=_flag(environ, "TRUST_PROXY", default=False),
        provider_urls=({} if production else _running_sandbox(data_dir))
        | {name: environ[f"{name}_API_URL"] for name in PROVIDERS if environ.get(f"{name}_API_URL")},
        fitbox_api_key=environ.get("FITBOX_API_KEY", ""),
        fitbox_user_agent=environ.get("FITBOX_USER_AGENT", "Callboard/1.0"),
    )


def sandbox_urls(sandbox: str) -> dict[str, str]:
    """Return the addresses of the providers for which the sandbox at this address stands in."""
    return {"FITBOX": f"{sandbox}/fitbox"}


def _running_sandbox(data_dir: Path) -> dict[str, str]:
    try:
        return sandbox_urls((data_dir / SANDBOX_FILE).read_text().strip())
    except FileNotFoundError:
        return {}


def _embedded_secrets(data_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets kept beside the data, making them at the first start; never printed, mode 0600.

    Two processes may start at once: the file is written whole under another name and linked into place, so the first
    one wins and both read the same keys.
    """
    if environ.get("SECRET_KEY") and environ.get("CREDENTIAL_KEYS"):
        return {}
    path = data_dir / "secrets.json"
    if not path.exists():
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "CREDENTIAL_KEYS": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        }
        draft = data_dir / f".secrets.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process of the same start was first; its keys hold
        finally:
            draft.unlink()
    stored: dict[str, str] = json.loads(path.read_text())
    return stored


def _check_production(
    environ: Mapping[str, str],
    secret_key: str,
    keys: tuple[str, ...],
    hosts: tuple[str, ...],
    base_url: str,
    faults: list[str],
) -> None:
    make_key = 'python -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
    if not secret_key:
        faults.append('SECRET_KEY is missing. Make one: python -c "import secrets; print(secrets.token_urlsafe(50))".')
    elif len(secret_key) < MINIMUM_SECRET_LENGTH or len(set(secret_key)) < 5:
        faults.append(
            f"SECRET_KEY is weak: it needs at least {MINIMUM_SECRET_LENGTH} varied characters. "
            'Make one: python -c "import secrets; print(secrets.token_urlsafe(50))".'
        )
    if not keys:
        faults.append(f"CREDENTIAL_KEYS is missing: provider keys are encrypted under it. Make one: {make_key}.")
    elif secret_key in keys:
        faults.append(f"CREDENTIAL_KEYS must not be SECRET_KEY. Make one: {make_key}.")
    if not hosts:
        faults.append(
            "ALLOWED_HOSTS is missing: the comma-separated host names people use, e.g. timetable.example.com."
        )
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        faults.append("BASE_URL is missing or no http(s) address, e.g. https://timetable.example.com.")
    for name in ("DATABASE_URL", "REDIS_URL"):
        if not environ.get(name):
            faults.append(f"{name} is missing: production mode needs PostgreSQL and Redis.")


def _check_keys(keys: tuple[str, ...], faults: list[str]) -> None:
    for position, key in enumerate(keys, start=1):
        if not _is_fernet_key(key):
            faults.append(f"CREDENTIAL_KEYS: key {position} is no Fernet key (32 bytes, URL-safe base64).")


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key)) == 32
    except binascii.Error:
        return False


def _check_zone(zone: str, faults: list[str]) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        faults.append(f"TIME_ZONE is {zone!r}; it must be an IANA name such as Australia/Melbourne.")


def _port(text: str, faults: list[str]) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    faults.append(f"PORT is {text!r}; it must be a number from 1 to 65535.")
    return 0


def _flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environ.get(name, "").strip().lower()
    return default if not text else text in ("1", "true", "yes", "on")
