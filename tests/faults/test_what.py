"""Each kind of fault as a person writes it."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.faults import parse
from tap.faults.what import KINDS, What


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_example_of_each_fault_is_one(kind: type) -> None:
    fault = parse(kind.example)  # type: ignore[attr-defined]
    assert isinstance(fault.what, kind)
    assert parse(fault.spec) == fault


def test_every_kind_is_registered_by_its_name_and_says_what_it_does() -> None:
    assert all(what.kind == name for name, what in KINDS.items())
    assert {what.__name__.lower() for what in What.__subclasses__()} == set(KINDS)
    for what in KINDS.values():
        assert what.__doc__
        assert what.takes <= {"at", "command", "key", "request", "reply", "edge", "nth", "every", "during"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("drop ack", "target: 'ack'; allowed: acks, pings, keepalives or a size, as 100b. Did you mean 'acks'?"),
        ("drop 0b", "target: "),
        ("rewrite ack=100b", "ack: '100b'; allowed: freeze, or + or - and a size, as -100b"),
        ("refuse shut", "mode: 'shut'; allowed: refuse, close, blackhole"),
        ("corrupt mask=0x100", "mask: "),
        ("corrupt bytes=0", "bytes: "),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_parameter(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert said in str(caught.value)
