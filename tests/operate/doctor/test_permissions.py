"""The rules of ACL GETUSER, for servers that cannot be asked with ACL DRYRUN."""

from __future__ import annotations

import pytest

from tap.operate.doctor.permissions import HANDSHAKE, allows


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ("+@all", {"ping", "replconf", "psync"}),
        ("-@all", set()),
        ("", set()),
        ("-@all +psync +replconf +ping", {"ping", "replconf", "psync"}),
        ("-@all +PSYNC", {"psync"}),
        ("+@all -@dangerous", {"ping"}),
        ("+@all -@admin +psync", {"ping", "psync"}),
        ("-@all +@fast", {"ping"}),
        ("-@all +@connection +@read", {"ping"}),
        ("+psync -@all", set()),
    ],
)
def test_the_last_rule_that_fits_decides(rules: str, allowed: set[str]) -> None:
    user = [b"flags", [b"on"], b"passwords", [b"hash"], b"commands", rules.encode(), b"keys", []]
    assert {command for command in HANDSHAKE if allows(user, command)} == allowed


def test_a_reply_without_rules_says_nothing() -> None:
    assert allows([], "psync") is None
    assert allows([b"flags", [b"on"]], "psync") is None
    assert allows([b"commands", [b"+@all"]], "psync") is None
