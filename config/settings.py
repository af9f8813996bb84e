"""Django's settings, for both ways to run: embedded (SQLite, no server) and production (PostgreSQL, Redis)."""

import sys
from typing import Any

import environ as django_environ
from csp.constants import NONE, SELF

from config import environment

try:
    ENVIRONMENT = environment.read()
except environment.EnvironmentFault as fault:
    sys.exit(str(fault))

ROOT = environment.ROOT
DATA_DIR = ENVIRONMENT.data_dir
DEBUG = False
SECRET_KEY = ENVIRONMENT.secret_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
BASE_URL = ENVIRONMENT.base_url
CSRF_TRUSTED_ORIGINS = [BASE_URL] if ENVIRONMENT.secure else []
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "config.apps.StaffAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "simple_history",
    "csp",
    "schedule",
    "integrations",
    "sync",
    "calendars",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "schedule.middleware.GymZoneMiddleware",
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# --- database -------------------------------------------------------------------------------------------------------
if ENVIRONMENT.database_url:
    DATABASES: dict[str, dict[str, Any]] = {"default": dict(django_environ.Env.db_url_config(ENVIRONMENT.database_url))}
    DATABASES["default"].update(CONN_MAX_AGE=600, CONN_HEALTH_CHECKS=True)
    DATABASES["default"].setdefault("OPTIONS", {}).update(connect_timeout=5)
else:
    DATA_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "callboard.sqlite3",
            # IMMEDIATE takes the write lock at BEGIN: two writers wait for each other instead of failing at commit.
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        }
    }

# --- cache and broker -----------------------------------------------------------------------------------------------
if ENVIRONMENT.redis_url:
    CACHES: dict[str, dict[str, Any]] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": ENVIRONMENT.redis_url,
            "KEY_PREFIX": ENVIRONMENT.key_prefix,
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }
    CELERY_BROKER_URL = ENVIRONMENT.redis_url
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "global_keyprefix": f"{ENVIRONMENT.key_prefix}:celery:",
        "socket_connect_timeout": 2,
        "socket_timeout": 10,
    }
else:
    # Files of the data folder, not the application's database: a cache must not wait for a writer.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": DATA_DIR / "cache",
            "KEY_PREFIX": ENVIRONMENT.key_prefix,
        }
    }
    CELERY_BROKER_URL = "filesystem://"
    # The stock transport lets a worker take a message that is not written yet, and die of it.
    CELERY_BROKER_TRANSPORT = "config.queue_files:Transport"
    # kombu's transport gives up when its folders are missing.
    (DATA_DIR / "queue" / "control").mkdir(parents=True, exist_ok=True, mode=0o700)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(DATA_DIR / "queue"),
        "data_folder_out": str(DATA_DIR / "queue"),
        "control_folder": str(DATA_DIR / "queue" / "control"),
        # The default of one look a second would mean one task a second for each worker.
        "polling_interval": 0.1,
    }

CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_PUBLISH_RETRY = False
TICK_SECONDS = 15
CELERY_BEAT_SCHEDULE = {
    "tick": {"task": "sync.tasks.tick", "schedule": float(TICK_SECONDS), "options": {"expires": TICK_SECONDS}},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "beat-schedule")

# --- time, language -------------------------------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"  # the gym's own zone is a field of its Organization; DEFAULT_GYM_ZONE is what a new one starts with
DEFAULT_GYM_ZONE = ENVIRONMENT.time_zone
LANGUAGE_CODE = "en-gb"
USE_I18N = True
FORMAT_MODULE_PATH = "config.formats"  # the 24-hour clock

# --- security -------------------------------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGOUT_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = ENVIRONMENT.secure
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENVIRONMENT.secure
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # probes ask the process itself, inside the proxy
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.trust_proxy else None
SECURE_REFERRER_POLICY = "strict-origin-when-cross-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "https:", "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "object-src": [NONE],
    }
}

# --- static files ---------------------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
if not ENVIRONMENT.production:
    STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # empty here, but WhiteNoise warns when it is missing
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if ENVIRONMENT.production
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# Without a collectstatic step the embedded mode serves straight from the folders.
WHITENOISE_USE_FINDERS = not ENVIRONMENT.production

# --- API ------------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "sync.api.error_answer",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Callboard",
    "DESCRIPTION": "A gym's week: the public timetable and the staff's controls.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "RunState": "sync.models.RunState",
        "SessionStatus": ["confirmed", "tentative", "cancelled"],
    },
}

# --- mail, logs -----------------------------------------------------------------------------------------------------
if ENVIRONMENT.email_url:
    vars().update(django_environ.Env.email_url_config(ENVIRONMENT.email_url))
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"redact": {"()": "integrations.redaction.RedactingFilter"}},
    "formatters": {
        "line": {
            "()": "integrations.redaction.RedactingFormatter",
            "format": "{asctime} {levelname} {name} {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact"]}},
    "root": {"handlers": ["console"], "level": ENVIRONMENT.log_level},
    "loggers": {"urllib3": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}

# --- Callboard ------------------------------------------------------------------------------------------------------
CREDENTIAL_KEYS = ENVIRONMENT.credential_keys
PROVIDER_URLS = dict(ENVIRONMENT.provider_urls)
FITBOX_ENABLED = ENVIRONMENT.fitbox_enabled
FITBOX_API_KEY = ENVIRONMENT.fitbox_api_key
FITBOX_USER_AGENT = ENVIRONMENT.fitbox_user_agent
ALLOW_PRIVATE_ADDRESSES = ENVIRONMENT.allow_private_addresses
ALLOW_LOOPBACK_ADDRESSES = ENVIRONMENT.allow_loopback_addresses
# What a row of the event table may come from; `schedule` itself names no provider.
EVENT_SOURCES = ("cms", "manual", "fitbox", "acuity", "calendly", "gibney", "google", "outlook", "apple", "timeback")
# Sources that hold a public timetable, with the words people read.
TIMETABLE_SOURCES = {"cms": "Manual CMS"} | ({"fitbox": "Fitbox Integration"} if FITBOX_ENABLED else {})
SILENCED_SYSTEM_CHECKS: list[str] = []
