"""The comments in a recording about the state of a link: those of a tap, and those that no tap has written."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tap import recording
from tap.bus import Told
from tap.capture import pcapng
from tap.capture.pcapng import MAX_TIME, Packet
from tap.errors import RecordingError
from tap.recording.comments import (
    FORMAT,
    MAX_NUMBER,
    Comment,
    LinkState,
    OpeningComment,
    carried_db_json,
    not_understood_json,
    parse,
    rdb_omitted_json,
    recording_json,
    state_json,
)  # fmt: skip
from tap.recording.player import Player
from tap.replication import events
from tap.replication.dbs import MAX_DB
from tap.replication.events import Side
from tap.replication.passing import PassingStanding
from tap.replication.standing import RdbStanding, Standing
from tests.cli.typed import tap
from tests.recording.packed import state_of
from tests.recording.wires import STREAM, Wire, file, streamed
from tests.relay.wire import command


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"db": 2**70}, f"db is {2**70}"),
        (
            {"phase": "ordinary", "passing": PassingStanding((0,) * 10, "psync", "", (0,) * 10, 2**70, True)},
            None,
        ),  # not followed
        ({"phase": "nowhere"}, "'nowhere' is not a valid Phase"),
        (
            {"phase": "rdb", "rdb": RdbStanding("1000", 0, 1000, received=2000, ended=False, mark_received=0)},
            "2000 bytes of its RDB have come, at most 1000 can",
        ),
    ],
)
def test_a_comment_with_an_impossible_state_is_reported_and_ends_nothing(
    changes: dict[str, Any], why: str | None
) -> None:
    standing = Standing(
        phase="stream", role=events.Role.REPLICA, from_master=100, from_replica=50, options={}, replid="a" * 40,
        offset=100, db=0, in_transaction=False, unfinished="", has_begun=True, acknowledges=False, rdb=None, main=None,
        awaited=(),
    )  # fmt: skip
    state = LinkState(
        time=1.0, link="main", connection=1, replica="r", peer="a:1", master="b:2", begins=False, said=(),
        standing=dataclasses.replace(standing, **changes),
    )  # fmt: skip
    wire = Wire()
    wire.send(0, command("REPLCONF", "ACK", "100"))
    wire.send(1, command("PING"))
    heard: list[Told] = []
    player = Player(heard.append)
    for (at, data), said in zip(wire.packets, [(state_json(state),), ()], strict=True):
        player.packet(Packet(at, pcapng.RAW_IP, data, len(data), said))
    player.close()
    reasons = [one.event.reason for one in heard if isinstance(one.event, events.Opaque)]
    assert len(reasons) == (why is not None)
    assert why is None or f"the recording states an impossible state of it: {why}" in reasons[0]


SAID = {
    "event": "link_opened",
    "time": 1.0,
    "link": "main",
    "connection": 1,
    "replica": "r",
    "peer": "a:1",
    "master": "b:2",
}


@pytest.mark.parametrize(
    "comment",
    [
        "[" * 60_000,
        '{"event":' * 60_000,
        json.dumps(SAID)[:-1] + ', "x": ' + "[" * 60_000,
        json.dumps(SAID).replace("1.0", "9" * 400),
        json.dumps(SAID).replace("1.0", "9" * 5000),
        json.dumps(SAID).replace("1.0", "NaN"),
        json.dumps(SAID).replace("1.0", "-Infinity"),
        json.dumps(SAID).replace(": 1,", f": {10**400},"),
        json.dumps(SAID),  # on a packet that opens nothing
    ],
    ids=lambda text: repr(text)[:60],
)
@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_no_comment_ends_the_reading(comment: str, number: int) -> None:
    wire = streamed([command("SET", "a", "b")])
    heard: list[Told] = []
    player = Player(heard.append, every_command=True)
    for place, (at, data) in enumerate(wire.packets[number:]):
        player.packet(Packet(at, pcapng.RAW_IP, data, len(data), () if place else (comment,)))
    player.close()
    assert [one.event.name for one in heard if isinstance(one.event, events.Command)] == ["SET"]


STATE = LinkState(
    time=1.5, link="main", connection=1, replica="r", peer="a:1", master="b:2", standing=None, begins=True,
    said=({"event": "tls"},), held=7, lost=(30, 40),
)  # fmt: skip


def test_comments_are_read_back_as_written() -> None:
    assert state_of(state_json(STATE)) == STATE


@pytest.mark.parametrize(
    "changes",
    [{"event": "link_opened"}, {"event": None}, {"connection": "one"}, {"lost": [1]}, {"standing": {"phase": "rdb"}}],
)
def test_a_foreign_comment_is_ignored(changes: dict[str, Any]) -> None:
    assert state_of(json.dumps({**json.loads(state_json(STATE)), **changes})) is None
    assert state_of("{}") is None


@pytest.mark.parametrize("name", ["time", "link", "begins", "standing"])
def test_a_comment_that_lacks_a_field_is_ignored(name: str) -> None:
    said = json.loads(state_json(STATE))
    del said[name]
    assert state_of(json.dumps(said)) is None


def test_the_bytes_before_a_state_are_those_lost_or_those_of_the_standing() -> None:
    assert (STATE.from_replica, STATE.from_master) == (30, 40)
    standing = Standing(
        phase="stream", role=None, from_master=100, from_replica=50, options={}, replid=None, offset=None, db=None,
        in_transaction=False, unfinished="", has_begun=True, acknowledges=False, rdb=None, main=None, awaited=(),
    )  # fmt: skip
    there = dataclasses.replace(STATE, standing=standing)
    assert (there.from_replica, there.from_master) == (50, 100)
    assert state_of(state_json(there)) == there


# ---- the format of a file ----


def stated(tmp_path: Path, *texts: str, name: str = "new.pcapng") -> Path:
    """A capture whose section has these comments."""
    whole = file(tmp_path / f"plain-{name}", streamed(STREAM).packets, "pcapng").read_bytes()
    path = tmp_path / name
    path.write_bytes(pcapng.heading("redis-tap", *texts) + whole[len(pcapng.heading("test")) :])
    return path


NEWER = json.dumps({"event": "recording", "format": FORMAT + 1})


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "--commands"],
        ["show", "--stats"],
        ["export", "--to", "rdb", "-o", "out"],
        ["export", "--to", "aof", "-o", "out"],
        ["export", "--to", "resp", "-o", "out"],
        ["export", "--to", "jsonl", "-o", "out"],
        ["replay", "--as-master", "127.0.0.1:0"],
        ["replay", "--to", "redis://127.0.0.1:1", "--yes"],
    ],
)
def test_a_newer_recording_is_refused_before_anything_is_shown(tmp_path: Path, words: list[str]) -> None:
    path = stated(tmp_path, NEWER)
    verb, *options = [str(tmp_path / word) if word == "out" else word for word in words]
    done = tap(verb, path, *options, width=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == (
        f"redis-tap: {path}: written in recording format {FORMAT + 1}, this redis-tap reads up to {FORMAT}. "
        "Upgrade redis-tap to read it; the file is intact."
    )
    assert not (tmp_path / "out").exists()


def test_a_newer_recording_is_refused_in_python(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=f"written in recording format {FORMAT + 1}"):
        recording.open(stated(tmp_path, NEWER))


def test_other_recordings_beside_a_newer_one_are_read(tmp_path: Path) -> None:
    directory = tmp_path / "day"
    directory.mkdir()
    stated(directory, NEWER, name="b.pcapng")
    with recording.open(directory) as found:
        assert list(found.commands())
        (problem,) = found.problems
    assert problem.startswith(f"{directory / 'b.pcapng'}: written in recording format")


@pytest.mark.parametrize(
    "comment",
    [
        recording_json(),
        "merged by hand",
        "[" * 60_000,
        "[]",
        '{"event": "recording"}',
        '{"event": "recording", "format": "99"}',
        '{"event": "other", "format": 99}',
    ],
)
def test_every_other_section_is_read(tmp_path: Path, comment: str) -> None:
    with recording.open(stated(tmp_path, comment)) as found:
        assert list(found.commands())
        assert not found.problems


def test_tshark_reads_the_statement(tmp_path: Path) -> None:
    if shutil.which("capinfos") is None:
        pytest.skip("capinfos is not installed")
    path = stated(tmp_path, recording_json())
    said = subprocess.run(["capinfos", "-k", path], capture_output=True, text=True, check=True).stdout
    assert recording_json() in said


# ---- what one says ----


def said(**fields: Any) -> Comment:
    found = parse(json.dumps(fields))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("fields", "left_out", "offsets"),
    [
        ({"event": "recording_gap", "side": "replica", "end": 9, "from_offset": 1, "to_offset": 2},
         (Side.REPLICA, 9), None),
        ({"event": "recording_gap", "side": "master", "end": 0, "from_offset": 1, "to_offset": 2},
         (Side.MASTER, 0), (1, 2)),
        ({"event": "recording_gap", "side": "master", "end": 9, "from_offset": "1", "to_offset": None},
         (Side.MASTER, 9), (None, None)),
        ({"event": "recording_gap", "side": "master", "end": 9}, (Side.MASTER, 9), (None, None)),
        ({"event": "recording_gap", "side": "else", "end": 9, "from_offset": 1, "to_offset": 2}, (Side.MASTER, 9), None),
        ({"event": "recording_gap", "side": "master", "end": "9"}, None, (None, None)),
        ({"event": "rdb_omitted", "start": 1, "end": 9}, (Side.MASTER, 9), None),
        ({"event": "rdb_omitted", "start": 1}, None, None),
        ({"event": "ack", "side": "master", "end": 9, "from_offset": 1, "to_offset": 2}, None, None),
    ],
)  # fmt: skip
def test_which_bytes_a_comment_says_are_left_out(
    fields: dict[str, Any], left_out: tuple[Side, int] | None, offsets: tuple[int | None, int | None] | None
) -> None:
    assert (said(**fields).left_out, said(**fields).gap_offsets) == (left_out, offsets)


@pytest.mark.parametrize(
    ("kind", "db", "carried"),
    [
        ("carried_db", 0, 0), ("carried_db", MAX_DB - 1, MAX_DB - 1), ("carried_db", MAX_DB, None),
        ("carried_db", -1, None), ("carried_db", "3", None), ("carried_db", None, None), ("ack", 3, None),
    ],
)  # fmt: skip
def test_which_db_a_comment_carries(kind: str, db: object, carried: int | None) -> None:
    assert said(event=kind, db=db).carried_db == carried


@pytest.mark.parametrize(
    ("fields", "doubts"),
    [
        ({"event": "ack_ahead_of_master"}, True),
        ({"event": "ack_ahead_of_master", "by_fault": False}, True),
        ({"event": "ack_ahead_of_master", "by_fault": True}, False),
        ({"event": "ack"}, False),
    ],
)
def test_an_acknowledgement_that_no_fault_explains_raises_doubts(fields: dict[str, Any], doubts: bool) -> None:
    assert said(**fields).doubts_stream is doubts


ADDRESSES = {"link": "a", "connection": 7, "peer": "b:1", "master": "c:2"}


def test_a_connection_is_opened_by_all_of_its_names() -> None:
    assert said(event="link_opened", **ADDRESSES).opening == OpeningComment("a", 7, "b:1", "c:2")
    assert said(event="link_opened", **ADDRESSES).connection == 7
    assert said(event="link_closed", **ADDRESSES).opening is None
    for name in ADDRESSES:
        some = {key: value for key, value in ADDRESSES.items() if key != name}
        assert said(event="link_opened", **some).opening is None


TOLD = {"event": "recording_stopped", "time": 2.5, "link": "main", "connection": 3, "replica": "r", "text": "full"}


def test_an_event_is_told_with_its_time_and_its_link() -> None:
    told = said(**TOLD).told
    assert told is not None
    assert (told.time, told.link, told.connection, told.replica, told.event.kind) == (
        2.5,
        "main",
        3,
        "r",
        "recording_stopped",
    )
    for name in ("time", "link", "connection", "replica", "text"):
        assert said(**{key: value for key, value in TOLD.items() if key != name}).told is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('{"event":"x","time":0}', True),
        ('{"event":"x","time":-0.1}', False),
        (f'{{"event":"x","time":{MAX_TIME / 1e9 - 1}}}', True),
        (f'{{"event":"x","time":{MAX_TIME / 1e9}}}', False),
        (f'{{"event":"x","n":{int(MAX_NUMBER) - 1}}}', True),
        (f'{{"event":"x","n":{int(MAX_NUMBER)}}}', False),
        (f'{{"event":"x","n":-{int(MAX_NUMBER)}}}', False),
        ('{"event":"x","n":1e400}', False),
        ('{"event":"x","n":NaN}', False),
        ('{"event":1}', False),
        ("[]", False),
        ("no json", False),
    ],
)
def test_what_a_comment_of_a_tap_is(text: str, is_one: bool) -> None:
    assert (parse(text) is not None) is is_one


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("time", [1, 1.5], ["1", None]),
        ("connection", [7], ["7", 7.0, None]),
        ("link", ["a"], [7, None]),
        ("replica", ["a"], [7, None]),
        ("peer", ["a"], [7, None]),
        ("master", ["a"], [7, None]),
    ],
)
def test_a_comment_with_a_field_of_another_type_is_foreign(name: str, right: list[Any], wrong: list[Any]) -> None:
    assert [parse(json.dumps({"event": "x", name: one})) is not None for one in right] == [True] * len(right)
    assert [parse(json.dumps({"event": "x", name: one})) for one in wrong] == [None] * len(wrong)


def test_the_names_of_a_recordings_comments_are_part_of_its_format() -> None:
    link = LinkState(
        time=1.5, link="main", connection=1, replica="r", peer="a:1", master="b:2", standing=None, begins=True, said=(),
    )  # fmt: skip
    written = [recording_json(), state_json(link), carried_db_json(3), rdb_omitted_json(5, 9), not_understood_json()]
    names = ["recording", "link_state", "carried_db", "rdb_omitted", "not_understood"]
    assert [json.loads(text)["event"] for text in written] == names
    assert json.loads(carried_db_json(3)) == {"event": "carried_db", "db": 3}
    assert json.loads(rdb_omitted_json(5, 9)).items() >= {"start": 5, "end": 9}.items()
    assert json.loads(recording_json())["format"] == 1
