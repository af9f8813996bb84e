"""What runs where: the same suite meets PostgreSQL with Redis in one target, SQLite with files in the other."""

import pytest
from celery import current_app
from django.conf import settings
from django.db import connection

from config import queue_files


@pytest.mark.req("X-24")
@pytest.mark.postgresql_only
def test_with_servers_the_suite_meets_postgresql_and_redis() -> None:
    assert connection.vendor == "postgresql"
    assert settings.CACHES["default"]["BACKEND"].endswith("RedisCache")
    assert current_app.connection().transport_cls == "redis"


@pytest.mark.req("X-23")
@pytest.mark.embedded_only
def test_without_a_server_the_suite_meets_sqlite_and_files() -> None:
    assert connection.vendor == "sqlite"
    assert settings.CACHES["default"]["BACKEND"].endswith("FileBasedCache")
    assert isinstance(current_app.connection().transport, queue_files.Transport)


def test_tasks_speak_json_and_nothing_else() -> None:
    assert (settings.CELERY_TASK_SERIALIZER, settings.CELERY_ACCEPT_CONTENT) == ("json", ["json"])


def test_the_cache_is_not_in_the_applications_database() -> None:
    assert "db" not in settings.CACHES["default"]["BACKEND"].rsplit(".", 1)[0].rsplit(".", 1)[1]
