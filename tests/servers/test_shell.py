"""Shell commands with which a user does what we would have done."""

from __future__ import annotations

import pytest

from tap.servers.shell import cluster_check, config_set, redis_cli, replicaof
from tap.url import Address, Url

LOCAL = Url.parse("127.0.0.1:7")


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("redis://:sesame@127.0.0.1:7/2", "redis-cli -h 127.0.0.1 -p 7 -n 2 PING"),
        ("redis://127.0.0.1:7/0", "redis-cli -h 127.0.0.1 -p 7 PING"),
        ("rediss://bob:sesame@h:7", "redis-cli -h h -p 7 --tls --user bob PING"),
        (
            "rediss://h:7?ssl_ca_certs=/a b.pem&ssl_certfile=/c&ssl_keyfile=/k&sni=x",
            "redis-cli -h h -p 7 --tls --cacert '/a b.pem' --cert /c --key /k --sni x PING",
        ),
        ("rediss://h:7?insecure=yes", "redis-cli -h h -p 7 --tls --insecure PING"),
        ("unix:///tmp/a b.sock", "redis-cli -s '/tmp/a b.sock' PING"),
    ],
)
def test_a_server_is_named_as_redis_cli_accepts_it(url: str, line: str) -> None:
    assert redis_cli(Url.parse(url), "PING") == line


def test_a_cluster_is_examined_through_the_url_of_a_node() -> None:
    assert cluster_check(LOCAL) == "redis-cli --cluster check 127.0.0.1:7"
    assert cluster_check(Url.parse("rediss://bob:x@h:7")) == "redis-cli --tls --user bob --cluster check h:7"


def test_a_secret_is_not_shown_and_its_line_is_a_comment() -> None:
    said = config_set(LOCAL, "tls-key-file-pass", "sesame")
    assert said == "# redis-cli -h 127.0.0.1 -p 7 CONFIG SET tls-key-file-pass '***'"
    assert config_set(LOCAL, "maxclients", "5 6").endswith("CONFIG SET maxclients '5 6'")


def test_replicaof_names_a_master_or_none() -> None:
    assert replicaof(LOCAL, Address("::1", 5)) == "redis-cli -h 127.0.0.1 -p 7 REPLICAOF ::1 5"
    assert replicaof(LOCAL, None) == "redis-cli -h 127.0.0.1 -p 7 REPLICAOF NO ONE"
