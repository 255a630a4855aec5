"""Requests with other words, and acknowledgements with other offsets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tap.faults import parse
from tap.replication.events import FullResync
from tap.replication.requests import Request
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    FULL,
    PING,
    PORT,
    Lab,
    ack,
    asks,
    command,
    pieces,
    resync_partially,
    shake_hands,
)


@pytest.mark.parametrize(
    ("spec", "sent", "expected"),
    [
        ("rewrite psync='? -1'", asks(100), ASKS_ALL),
        ("rewrite capa=-psync2", CAPA, command("REPLCONF", "capa", "eof")),
        ("rewrite capa=-eof", CAPA, command("REPLCONF", "capa", "psync2")),
        ("rewrite capa=+foo", CAPA, command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "foo")),
        ("rewrite listening-port=7", PORT, command("REPLCONF", "listening-port", "7")),
        ("rewrite ip-address=1.2.3.4", PORT, command("REPLCONF", "listening-port", "6380", "ip-address", "1.2.3.4")),
        ("rewrite ip-address=1.2.3.4", command("REPLCONF", "ip-address", "x"),
         command("REPLCONF", "ip-address", "1.2.3.4")),
    ],
)  # fmt: skip
def test_a_request_is_rewritten(spec: str, sent: bytes, expected: bytes) -> None:
    for size in (1, 1000):
        lab = Lab(spec)
        lab.replica(PING)
        lab.master(b"+PONG\r\n")
        lab.replica(*pieces(sent, size))
        assert lab.at_master == PING + expected


def test_a_forced_full_resync_gives_its_reason() -> None:
    lab = Lab("rewrite psync='? -1' times=1")
    shake_hands(lab)
    lab.replica(asks(1001))
    lab.master(FULL)
    (full,) = [event for event in lab.told if isinstance(event, FullResync)]
    assert full.reason.code == "forced_by_fault"
    assert "PSYNC ? -1 instead of PSYNC" in full.reason.text


@pytest.mark.parametrize(
    ("how", "sees"), [("-10b", [90, 100, 0]), ("+1kb", [1124, 1134, 1025]), ("freeze", [100, 100, 100])]
)
def test_acknowledged_offsets_are_changed(how: str, sees: list[int]) -> None:
    lab = Lab(f"rewrite ack={how}")
    resync_partially(lab)
    before = lab.at_master
    lab.replica(ack(100), ack(110) + ack(1))
    assert lab.at_master.removeprefix(before) == b"".join(ack(offset) for offset in sees)


def rewriter(spec: str) -> Any:
    """Rewritten by the fault on one connection."""
    site: Any = SimpleNamespace(notes={})
    what = parse(f"rewrite {spec}").what
    return SimpleNamespace(rewritten=lambda request: what.rewritten(site, request))


def request(*words: bytes) -> Request:
    return Request(words, 0, 100, inline=False)


@pytest.mark.parametrize(
    ("spec", "asked", "becomes", "said"),
    [
        ("psync='? -1'", (b"psync", b"abc", b"5"), (b"PSYNC", b"?", b"-1"), "PSYNC ? -1 instead of psync abc 5"),
        ("psync='? -1'", (b"PSYNC", b"?", b"-1"), None, ""),
        ("psync='? -1'", (b"REPLCONF", b"ACK", b"5"), None, ""),
        ("capa=-eof", (b"REPLCONF", b"capa", b"EOF", b"capa", b"psync2"), (b"REPLCONF", b"capa", b"psync2"),
         "capa eof taken away"),
        ("capa=+x", (b"REPLCONF", b"capa", b"eof"), (b"REPLCONF", b"capa", b"eof", b"capa", b"x"), "capa x added"),
        ("capa=+eof", (b"REPLCONF", b"capa", b"eof"), None, ""),
        ("capa=+x", (b"REPLCONF", b"listening-port", b"1"), None, ""),
        ("listening-port=7", (b"REPLCONF", b"listening-port", b"1"), (b"REPLCONF", b"listening-port", b"7"),
         "listening-port 7 instead of 1"),
        ("listening-port=7", (b"REPLCONF", b"listening-port", b"7"), None, ""),
        ("listening-port=7", (b"REPLCONF", b"listening-port"), None, ""),
        ("ip-address=h", (b"REPLCONF", b"listening-port", b"1"),
         (b"REPLCONF", b"listening-port", b"1", b"ip-address", b"h"), "ip-address h added"),
        ("ip-address=h", (b"REPLCONF", b"capa", b"eof"), None, ""),
    ],
)  # fmt: skip
def test_a_request_gets_new_words_or_stays(
    spec: str, asked: tuple[bytes, ...], becomes: tuple[bytes, ...] | None, said: str
) -> None:
    found = rewriter(spec).rewritten(request(*asked))
    assert found == (None if becomes is None else (list(becomes), said))


@pytest.mark.parametrize(
    ("how", "acks", "become"),
    [
        ("-100b", [250, 50, 0], [150, 0, 0]),
        ("+1kb", [0, 2**40], [1024, 2**40 + 1024]),
        ("freeze", [7, 8, 3], [7, 7, 7]),
    ],
)
def test_offsets_are_lowered_raised_or_frozen_and_later_words_stay(how: str, acks: list[int], become: list[int]) -> None:
    one = rewriter(f"ack={how}")
    for before, after in zip(acks, become, strict=True):
        found = one.rewritten(request(b"REPLCONF", b"ack", b"%d" % before, b"FACK", b"9"))
        assert found == ([b"REPLCONF", b"ack", b"%d" % after, b"FACK", b"9"], f"ACK {after} instead of {before}")


@pytest.mark.parametrize("words", [(b"ACK",), (b"ACK", b"x"), (b"ACK", b"-1"), (b"ACK", b"1" * 20), (b"GETACK", b"*")])
def test_anything_but_an_acknowledgement_is_left_alone(words: tuple[bytes, ...]) -> None:
    assert rewriter("ack=freeze").rewritten(request(b"REPLCONF", *words)) is None
