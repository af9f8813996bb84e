"""The suite's own fixtures do no harm to what others keep on the same servers."""

import os

import pytest

from tests.conftest import forget_shared_cache


@pytest.mark.postgresql_only
def test_forgetting_the_cache_leaves_other_keys_of_the_same_redis():
    import redis
    from django.core.cache import cache

    with redis.Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as client:
        other = f"of-somebody-else:{os.environ['CALLBOARD_KEY_PREFIX']}"
        client.set(other, "stays", ex=60)
        cache.set("shown", "goes")
        forget_shared_cache()
        assert (client.get(other), cache.get("shown")) == ("stays", None)
        client.delete(other)
