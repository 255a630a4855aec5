"""What a URL says of the server that it names, and what is said of one that is wrong."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.servers.target import Target


@pytest.mark.parametrize(
    ("url", "name", "db"),
    [
        ("redis://somewhere", "somewhere:6379", None),
        ("redis://user:pass@somewhere:1/", "somewhere:1", None),
        ("redis://somewhere/3", "somewhere:6379", 3),
        ("redis://[::1]:7000/0", "[::1]:7000", 0),
        ("rediss://:pass@somewhere:1?ssl_check_hostname=no", "somewhere:1", None),
        ("rediss://somewhere?sni=redis.example&insecure=yes", "somewhere:6379", None),
        ("redis://somewhere?socket_timeout=3", "somewhere:6379", None),
        ("somewhere:1", "somewhere:1", None),
        ("unix:///run/redis.sock", "unix:/run/redis.sock", None),
        ("unix://user:pass@/run/redis.sock?db=2", "unix:/run/redis.sock", 2),
    ],
)
def test_a_url_names_a_server(url: str, name: str, db: int | None) -> None:
    target = Target(url)
    assert (target.name, target.db) == (name, db)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://user:secret@somewhere", "http:// is not the URL of a server"),
        ("redis://user:secret/x@somewhere", "in a password, / is written %2F"),
        ("redis://somewhere:secret", "the port is (in a password, / is written"),
        ("redis://somewhere/x", "the db after the last / is a number"),
        ("redis://:secret@somewhere?colour=red", "the URL has an option that is not known: 'colour'"),
        (
            "redis://:secret@somewhere?socket_timeout=soon",
            "the URL's option socket_timeout cannot be",
        ),
        ("rediss://:secret@somewhere?cacert=/nowhere.pem", "/nowhere.pem: No such file or directory"),
    ],
)
def test_a_url_that_is_none_is_told_without_what_may_be_a_secret(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Target(url)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
