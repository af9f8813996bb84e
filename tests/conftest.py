"""Fixtures that every part of the suite may use; what concerns one part stands beside its tests."""

from collections.abc import Iterator

import pytest
from django.conf import settings

# A slow hash protects real passwords; people invented for a test would spend most of its time on it.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def fresh_publication_cache() -> Iterator[None]:
    """Forget what other tests showed: revisions begin anew with each test's database, and bodies are kept by revision."""
    from schedule import cache

    forget_shared_cache()
    cache.forget()
    yield
    cache.forget()


def forget_shared_cache() -> None:
    """Empty the shared cache of this test process alone: Django's own `clear` empties a whole Redis, others' keys too."""
    from django.core.cache import cache as shared

    if not settings.CACHES["default"]["BACKEND"].endswith("RedisCache"):
        shared.clear()
        return
    client = shared._cache.get_client(None, write=True)
    keys = list(client.scan_iter(match=f"{settings.CACHES['default']['KEY_PREFIX']}:*", count=1000))
    if keys:
        client.delete(*keys)
