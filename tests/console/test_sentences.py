"""Events in words."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tap.console.sentences import is_alarming, sentence
from tap.replication import events
from tap.replication.events import Event, Reason, Role, Side, Transfer
from tests.console.telling import COMMANDS, FULL, ID, undialled, verdict


def rdb_finished(**changes: Any) -> events.RdbFinished:
    whole = events.RdbFinished(
        start=0,
        end=1,
        transfer=Transfer.DISK,
        bytes=176,
        seconds=0.0009,
        keys=1,
        expiring=0,
        functions=0,
        by_type={"hash": events.TypeShare(keys=1, bytes=9, elements=2)},
        largest=(events.LargeKey(db=0, key=b"k", type="hash", serialized_bytes=9, elements=2),),
        checksum="ok",
    )
    return dataclasses.replace(whole, **changes)


def alert(figure: str, unit: str, **fields: Any) -> events.Alert:
    given: dict[str, Any] = {"at_least": False, "known_from": "wire", "side": None, "seconds": 0.0}
    return events.Alert(rule="lag > 50mb", figure=figure, unit=unit, limit=0, **given | fields)


def alert_over(value: float | None) -> events.AlertOver:
    return events.AlertOver(
        rule="lag > 50mb",
        figure="lag",
        unit="bytes",
        limit=50 * 2**20,
        value=value,
        peak=60 * 2**20,
        at_least=False,
        seconds=34.0,
        how="back",
    )


def pressure(**fields: Any) -> events.Pressure:
    given: dict[str, Any] = {
        "limit": "hard",
        "phase": "rdb",
        "buffer": 74 * 2**20,
        "limit_bytes": 100 * 2**20,
        "soft_seconds": 0.0,
        "write_rate": 2.0**20,
        "seconds_to_close": None,
        "rdb_seconds_left": None,
        "needed": None,
    }
    return events.Pressure(**given | fields)


def silent(**fields: Any) -> events.Silent:
    whole: dict[str, Any] = {
        "side": events.Side.REPLICA,
        "seconds": 6.0,
        "period": None,
        "phase": "stream",
        "offset": 70,
        "lag_bytes": None,
        "lag_at_least": False,
        "timeout_in": None,
    }
    return events.Silent(**{**whole, **fields})


def caught_up(size: int | None, at_least: int, at_most: int) -> events.CaughtUp:
    return events.CaughtUp(
        start=0, end=1, offset=70, bytes=size, at_least=at_least, at_most=at_most, seconds=0.25, known_from="wire"
    )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (FULL, "FULL RESYNC, 8371a4ee… at offset 7. Why: first_sync: it is new"),
        (
            events.PartialResync(start=0, end=1, replid=ID, previous_replid="b" * 40, offset=5, bytes_behind=9),
            "partial resync: goes on with 8371a4ee… (until now bbbbbbbb…) after offset 5, 9 bytes behind",
        ),
        (
            events.PartialResync(start=0, end=1, replid=ID, previous_replid=None, offset=5, bytes_behind=None),
            "partial resync: goes on with 8371a4ee… after offset 5",
        ),
        (
            events.PartialResync(
                start=0,
                end=1,
                replid=ID,
                previous_replid=None,
                offset=5,
                bytes_behind=None,
                bytes_behind_at_least=9,
            ),
            "partial resync: goes on with 8371a4ee… after offset 5, at least 9 bytes behind",
        ),
        (
            silent(side=events.Side.MASTER, seconds=16.0, period=10.0),
            "SILENT: the master has sent nothing for 16.0 s in phase stream, although it sends PING every 10.0 s",
        ),
        (
            silent(seconds=6.0, lag_bytes=2**20, lag_at_least=True, timeout_in=54.0),
            "SILENT: the replica has acknowledged nothing for 6.0 s in phase stream, at least 1.0 MB behind; its master "
            "ends the connection in 54.0 s",
        ),
        (
            silent(phase="loading", seconds=31.0),
            "SILENT: the replica has sent nothing for 31.0 s in phase loading",
        ),
        (
            events.SilentOver(side=events.Side.MASTER, seconds=22.0),
            "the master sends again, after 22.0 s of silence",
        ),
        (
            alert("lag", "bytes", value=60 * 2**20, at_least=True),
            "ALERT lag > 50mb: lag is at least 60.0 MB",
        ),
        (
            alert("silence", "seconds", value=8.0, side=events.Side.MASTER, seconds=3.0),
            "ALERT lag > 50mb: silence of the master is 8.0 s, for 3.0 s so far",
        ),
        (
            alert("resyncs", "resyncs", value=3),
            "ALERT lag > 50mb: resyncs are 3",
        ),
        (
            alert_over(value=2**20),
            "alert over: lag > 50mb for 34.0 s, 60.0 MB at its peak; now 1.0 MB",
        ),
        (
            alert_over(value=None),
            "alert over: lag > 50mb for 34.0 s, 60.0 MB at its peak; the connection has ended",
        ),
        (
            verdict(),
            "LOOP of full resyncs, 3 so far, one every 40.0 s: output_buffer. On the master: "
            'CONFIG SET client-output-buffer-limit "replica 310mb 310mb 60". Why: the master ends each round',
        ),
        (
            verdict(setting="repl-timeout", value="120", server="replica", alternatives=("a", "b"), decide="its log"),
            "LOOP of full resyncs, 3 so far, one every 40.0 s: output_buffer (or a, or b). On the replica: "
            "CONFIG SET repl-timeout 120. Why: the master ends each round. What decides: its log",
        ),
        (
            verdict(at_least=True),
            "LOOP of full resyncs, 3 so far, one every 40.0 s: output_buffer. On the master, at least: "
            'CONFIG SET client-output-buffer-limit "replica 310mb 310mb 60". Why: the master ends each round',
        ),
        (
            verdict(setting="repl-timeout", value="120", present="60"),
            "LOOP of full resyncs, 3 so far, one every 40.0 s: output_buffer. On the master: "
            "CONFIG SET repl-timeout 120 (now 60). Why: the master ends each round",
        ),
        (
            verdict(setting="", value=""),
            "LOOP of full resyncs, 3 so far, one every 40.0 s: output_buffer. Why: the master ends each round",
        ),
        (
            events.VerdictOver(cause="output_buffer", count=12, seconds=600.0),
            "the loop of full resyncs is over (output_buffer): 12 in 10 min 0 s, then the stream",
        ),
        (
            events.VerdictOver(cause="output_buffer", count=12, seconds=600.0, how="gone"),
            "the loop of full resyncs is over (output_buffer): 12 in 10 min 0 s, and the replica has not come back since",
        ),
        (
            pressure(level=60, seconds_to_close=12.0, rdb_seconds_left=40.0, needed=310 * 2**20),
            "PRESSURE: the master's output buffer for this replica holds 74.0 MB, 74 % of its hard limit of 100.0 MB; "
            "as it grows, the master closes this link in 12.0 s; the RDB needs about 40.0 s more; output buffer >= "
            "310.0 MB would do until then",
        ),
        (
            pressure(level=60, limit="soft"),
            "PRESSURE: the master's output buffer for this replica holds 74.0 MB, 74 % of its soft limit of 100.0 MB",
        ),
        (
            events.PressureOver(limit="hard", limit_bytes=2**20, buffer=None, peak=2**19, seconds=3.0, how="closed"),
            "pressure over, after 3.0 s: 512.0 KB of 1.0 MB at its peak; the connection has ended",
        ),
        (
            events.InspectLacks(master="h:1", commands=("CLIENT LIST", "CONFIG GET"), text="NOPERM; x stay unknown"),
            "--inspect: the master h:1 refuses CLIENT LIST and CONFIG GET: NOPERM; x stay unknown",
        ),
        (caught_up(0, 0, 0), "caught up at offset 70: it lacked nothing"),
        (
            caught_up(65, 65, 65),
            "caught up at offset 70: it lacked 65 bytes, which passed within 0.2 s of the grant",
        ),
        (
            caught_up(None, 0, 65),
            "caught up at offset 70: it lacked at most 65 bytes, which passed within 0.2 s of the grant",
        ),
        (
            caught_up(None, 9, 65),
            "caught up at offset 70: it lacked 9 to 65 bytes, which passed within 0.2 s of the grant",
        ),
        (
            rdb_finished(bytes=2**20, seconds=0.5),
            "RDB complete: 1.0 MB in 0.5 s, 2.0 MB/s; 1 key (1 hash 9 B); largest k (hash, 9 B); checksum ok",
        ),
        (
            rdb_finished(keys=0, by_type={}, largest=(), checksum="wrong"),
            "RDB complete: 176 B; 0 keys; checksum WRONG",
        ),
        (
            events.RdbProblem(start=0, end=0, problem="unknown", text="type 99", position=70, keys=3, db=1, key=b"a b"),
            'the RDB cannot be read beyond byte 70, in key "a b" of db 1 (after 3 keys): type 99. Bytes still flow',
        ),
        (
            events.RdbStarted(
                start=0,
                end=0,
                transfer=Transfer.DISK,
                size=176,
                version=80,
                aux={"valkey-ver": "9.1.2", "used-mem": "2048"},
            ),
            "RDB begins (176 B, RDB 80 by Valkey 9.1.2, 2.0 KB in use there)",
        ),
        (
            events.Opaque(start=12, end=12, side=Side.MASTER, reason="nonsense"),
            "no longer understood: byte 12 from the master: nonsense. Bytes still flow",
        ),
        (
            events.Handshake(start=0, end=1, request=("AUTH", "***"), reply="-WRONGPASS no"),
            "AUTH ***: the master answered -WRONGPASS no",
        ),
        (events.Handshake(start=0, end=1, request=("PING",), reply="+PONG"), None),
        (
            events.Handshake(start=0, end=1, request=("A", "b", "c"), reply="+OK", sent=("A", "b")),
            "A b c, sent to the master as A b",
        ),
        (
            events.Handshake(start=0, end=1, request=("A", "b", "c"), reply="-ERR no", sent=("A", "b")),
            "A b c, sent to the master as A b: the master answered -ERR no",
        ),
        (
            events.Command(
                start=0, end=1, offset=50, db=0, name="SET", args=(b"k", b"a b", b"\x00"), in_transaction=False
            ),
            '50 db0 SET k "a b" "\\x00"',
        ),
        (COMMANDS, None),
    ],
)
def test_each_event_has_its_sentence(event: Event, words: str | None) -> None:
    assert sentence(event) == words


def test_a_failure_of_the_tap_is_not_blamed_on_the_master() -> None:
    closed = undialled(Side.TAP, "error", "Too many open files (limit 16); raise it with ulimit -n")
    assert sentence(closed) == (
        "cannot dial the master: Too many open files (limit 16); raise it with ulimit -n; the connection is closed, "
        "the replica will try again"
    )
    assert is_alarming(closed)


def test_every_event_can_be_put_into_words() -> None:
    """No sentence fails on a field that is None."""
    closed = undialled(Side.MASTER, "refused", "no")
    for event in [
        closed,
        events.FullResync(start=0, end=0, replid=None, offset=None, reason=Reason(code="legacy_sync", text="x")),
        events.StreamStarted(start=0, end=0, replid=None, offset=None, db=None, buffered=5),
        events.RdbStarted(start=0, end=0, transfer=Transfer.DISKLESS, size=None, version=None, aux={}),
        events.Identified(start=0, end=0, role=Role.RDB_CLIENT, replica="x", text="a client"),
        events.PsyncRequested(start=0, end=0, replid=None, offset=-1),
        events.SyncRequested(start=0, end=0, inline=True),
    ]:
        assert sentence(event)
