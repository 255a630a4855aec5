"""What is known about a fault before anything flows: whether it ends a server, and what it needs to see."""

from __future__ import annotations

import pytest

from tap.faults import parse


@pytest.mark.parametrize(
    "spec", ["corrupt at=stream", "corrupt command=SET", "corrupt at=offset:+1b", "cut at=rdb", "drop command=SET"]
)
def test_faults_that_servers_survive_are_not_destructive(spec: str) -> None:
    assert not parse(spec).destructive


@pytest.mark.parametrize(
    ("spec", "ends"),
    [
        ("corrupt after=1s", "a replica that loads a damaged RDB exits"),
        ("drop 1b at=rdb:50%", "a replica that loads a damaged RDB exits"),
        ("drop 1b at=waiting", "a replica that loads a damaged RDB exits"),
        ("truncate at=rdb:50%", "a replica that loads half an RDB exits"),
        ("truncate 1kb", ""),
        ("answer +continue request=PSYNC", "a replica that asked for a full resync and gets +CONTINUE crashes"),
        ("answer -ERR request=PSYNC", ""),
        ("rewrite psync='? -1'", ""),
        ("rewrite psync='? 1'", "a replica that asked for a full resync and gets +CONTINUE crashes"),
        ("drop 1b at=stream:5b", ""),
        ("drop acks", ""),
    ],
)
def test_destructive_faults_say_what_they_do(spec: str, ends: str) -> None:
    assert parse(spec).destructive == ends


@pytest.mark.parametrize(
    ("spec", "matches", "understands", "on_time"),
    [
        ("cut", False, False, True),
        ("cut at=connect", False, True, False),
        ("delay 5ms during=rdb", False, True, False),
        ("cut channel=rdb", False, True, True),
        ("drop command=SET", True, True, False),
        ("drop key=a*", True, True, False),
        ("answer +OK request=PING", True, True, False),
        ("answer +OK reply=PING", True, True, False),
        ("drop acks", False, True, False),
        ("drop 5b", False, False, True),
        ("rewrite ack=freeze", False, True, False),
        ("cut key=''", True, True, False),
        ("truncate 1kb", False, False, False),
        ("delay 5ms", False, False, True),
    ],
)
def test_a_fault_knows_what_it_needs_to_parse(spec: str, matches: bool, understands: bool, on_time: bool) -> None:
    fault = parse(spec)
    assert (fault.when.matches, fault.has_to_understand, fault.acts_on_time) == (matches, understands, on_time)


@pytest.mark.parametrize(
    ("spec", "spans", "each_time", "continuous"),
    [
        ("cut for=5s", False, False, False),
        ("stall for=5s times=all", True, False, True),
        ("stall for=5s", True, False, False),
        ("stall at=waiting for=5s", True, True, False),
        ("stall every=10s for=5s", True, True, False),
        ("stall command=SET for=5s", True, True, False),
        ("delay 5ms for=5s", True, False, True),
        ("delay 5ms during=rdb for=5s", True, True, False),
        ("throttle 1kb/s times=2", True, False, False),
        ("slice 1b", True, False, True),
    ],
)
def test_the_time_of_a_fault_counts_from_its_begin(spec: str, spans: bool, each_time: bool, continuous: bool) -> None:
    fault = parse(spec)
    assert (fault.spans, fault.lasts_each_time, fault.is_continuous) == (spans, each_time, continuous)
