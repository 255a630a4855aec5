"""What of a recording is to be sent to a server, without the server."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tap.errors import ConfigError, RecordingError, TapError
from tap.replay.client_commands import Choice
from tap.replay.excerpt import Excerpt
from tap.replay.server_replay import ServerReplay
from tap.servers.target import Target
from tests.replay.commands import SELECT, counted, offset, recorded


def replay(path: Path, url: str = "h:1", choice: Choice = Choice(), **excerpt: Any) -> tuple[ServerReplay, list[str]]:  # noqa: B008
    remarks: list[str] = []
    return ServerReplay([path], Target(url), Excerpt(**excerpt), choice, remark=remarks.append), remarks


def test_the_bytes_to_send_are_there_until_the_context_ends(tmp_path: Path) -> None:
    pieces = counted(10)
    one, remarks = replay(recorded(tmp_path, *pieces), begin=offset(pieces, 4) + 1)
    with one.sender() as sender:
        (part,) = sender._parts
        assert part.end - part.start == sum(map(len, pieces[4:]))
        assert part.place(part.end) == f"offset {offset(pieces, 11)}"
    assert part.file.closed
    assert (one.lacking, remarks) == ([], [])


@pytest.mark.parametrize(
    ("excerpt", "error", "says"),
    [
        ({"begin": 10**9}, ConfigError, "no whole command lies between --from and --until: the recording has "),
        ({"links": ["nix"]}, ConfigError, "--link nix: no stream of it in the recording"),
        ({"end": datetime(1999, 1, 1, tzinfo=UTC)}, ConfigError, "no whole command lies between --from and --until"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    tmp_path: Path, excerpt: dict[str, Any], error: type[TapError], says: str
) -> None:
    one, _ = replay(recorded(tmp_path, *counted(3)), **excerpt)
    with pytest.raises(error, match=says), one.sender():
        pass


def test_a_recording_without_a_stream_is_refused(tmp_path: Path) -> None:
    one, _ = replay(recorded(tmp_path))
    with pytest.raises(RecordingError), one.sender():
        pass


def test_one_db_of_the_server_takes_the_commands_of_one_db(tmp_path: Path) -> None:
    path = recorded(tmp_path, SELECT)
    for choice in (Choice(), Choice.of(dbs=[0, 3])):
        with pytest.raises(ConfigError, match=r"^h:1, db 5: each command goes to its own db"):
            replay(path, "redis://h:1/5", choice)
    replay(path, "redis://h:1/5", Choice.of(dbs=[3]))


def test_names_are_chosen_in_either_case() -> None:
    chosen = Choice.of([1], ["set", "DEL"], ["user:*"])
    assert chosen.dbs == frozenset({1})
    assert chosen.names == frozenset({b"SET", b"DEL"})
    assert chosen.has_key([b"other", b"user:7"])
    assert not chosen.has_key([b"other"])
