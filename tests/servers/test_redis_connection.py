"""redis-py's connections by the URL of a server: what they are given, and what they do not show."""

from __future__ import annotations

from redis.asyncio import ConnectionPool, Redis

from tap.servers.redis_connection import connection_to
from tap.url import Url


def test_a_client_shows_its_login_nowhere() -> None:
    kind, options = connection_to(Url.parse("redis://ann:sesame@h:1"))
    client = Redis.from_pool(ConnectionPool(connection_class=kind, **options))
    assert "sesame" not in repr(client) + repr(kind(**options)) + repr(options)
