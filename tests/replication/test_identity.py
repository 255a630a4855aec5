"""Names of replicas, and which of their words are kept."""

from __future__ import annotations

import pytest

from tap.replication.events import Role
from tap.replication.identity import MAX_NAME, MAX_NOVELTIES, Identity
from tap.replication.requests import Request


def identity(*lines: str, host: str = "10.0.0.7", port: int = 4711) -> Identity:
    one = Identity(host, port)
    for line in lines:
        one.heard(Request(tuple(word.encode() for word in line.split()), 0, 0, inline=False))
    return one


@pytest.mark.parametrize(
    ("lines", "role", "name"),
    [
        ((), None, "10.0.0.7"),
        ((), Role.REPLICA, "10.0.0.7:4711"),  # announces nothing: its source address
        (("REPLCONF listening-port 0",), None, "10.0.0.7:4711"),  # as RedisShake does
        (("REPLCONF listening-port 6380",), Role.REPLICA, "10.0.0.7:6380"),
        (("REPLCONF listening-port 6380 ip-address 9.9.9.9",), Role.REPLICA, "9.9.9.9:6380"),
        (("REPLCONF IP-Address fe80::1 Listening-Port 6380",), Role.REPLICA, "[fe80::1]:6380"),
    ],
)
def test_a_replica_is_named_by_what_it_announces_or_by_its_source(
    lines: tuple[str, ...], role: Role | None, name: str
) -> None:
    assert identity(*lines).name(role) == name


def test_another_connection_of_the_replica_takes_its_address_and_nothing_else() -> None:
    main, channel = identity("REPLCONF ip-address 9.9.9.9 rdb-only 1"), identity("REPLCONF listening-port 6380")
    channel.take_address(main)
    assert channel.options == {"ip-address": "9.9.9.9", "listening-port": "6380"}


def test_its_own_name_is_kept_in_part() -> None:
    one = identity(f"CLIENT SETNAME {'n' * 1000}", f"AUTH {'u' * 1000} password", f"REPLCONF ip-address {'h' * 1000}")
    assert (len(one.called), len(one.user), len(one.options["ip-address"])) == (MAX_NAME,) * 3
    assert not identity("AUTH password").user
    assert not identity("CLIENT SETNAME x").has_configured
    assert one.has_configured


def test_unknown_capabilities_are_named_with_a_way_out() -> None:
    assert not identity("REPLCONF capa eof capa psync2").way_out
    one = identity("REPLCONF capa warp capa zstd capa lz4")
    assert one.way_out == (
        "; the replica offered capa warp, zstd, lz4, which redis-tap cannot read: "
        "--mask capa:warp --mask capa:compression has them do without"
    )
    many = identity(*[f"REPLCONF capa new{number}" for number in range(20)])
    assert many.way_out.count("--mask") == MAX_NOVELTIES
