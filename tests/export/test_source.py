"""The recording that is read for an export: what is measured and remarked of it, and what it lacks of the answer."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tap.capture.pcapng import Packet
from tap.errors import ConfigError, RecordingError
from tap.export import source
from tap.export.source import Files, Source, no_progress, no_remark
from tap.recording.filters import Filters
from tap.recording.missing import Account, Missing, Whole
from tap.recording.player import Player
from tap.replication.events import Side
from tests.recording.wires import STREAM, file, streamed
from tests.relay.wire import BASE, REPLID

HOLE = Missing(
    cause="gap", link="main", connection=1, side=Side.MASTER, start=100, end=110, lost_bytes=10, is_rdb=False,
    replid=None, from_offset=None, to_offset=None, since=50.0, until=60.0, reason="",
)  # fmt: skip


def opened(files: Files = (), wanted: Filters | None = None, **options: Any) -> Source:
    return Source(files, wanted or Filters(), **{"progress": no_progress, "remark": no_remark, **options})


def account(*missing: Missing, remarks: Sequence[str] = (), problems: Sequence[str] = ()) -> Account:
    made = Account(problems=list(problems))
    for one in missing:
        made.lacks(one)
    for text in remarks:
        made.remark(text)
    return made


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[Source, Account], None]:
    """A reading that ends with that account, of three packets."""
    read: list[Packet] = [Packet(0, 101, bytes(size), 2 * size) for size in (3, 5, 7)]
    monkeypatch.setattr(source, "read", lambda files, player: iter(read))

    def run(one: Source, known: Account) -> None:
        player = Player(lambda told: None)
        player.account = known
        one.read(player)

    return run


@pytest.mark.parametrize(("files", "paths"), [("a", ["a"]), (Path("a"), ["a"]), (["a", Path("b")], ["a", "b"]), ((), [])])
def test_files_are_one_path_or_several(files: Files, paths: list[str]) -> None:
    assert opened(files).files == [Path(path) for path in paths]


@pytest.mark.parametrize("number", [0, 1])
def test_a_pipe_can_be_read_only_once(number: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    paths = [tmp_path / "file", tmp_path / "file"]
    opened(paths).check_again("rdb")
    paths[number] = tmp_path / "pipe"
    with pytest.raises(ConfigError, match="--to rdb reads a recording more than once"):
        opened(paths).check_again("rdb")


def test_each_reading_is_measured_and_the_first_is_remarked_and_remembered(
    play: Callable[[Source, Account], None],
) -> None:
    measured: list[list[int]] = []
    remarked: list[str] = []

    @contextmanager
    def progress() -> Iterator[Callable[[int], None]]:
        measured.append([])
        yield measured[-1].append

    one = opened(progress=progress, remark=remarked.append)
    assert (one.lacking, one.account.missing) == ([], [])
    first = account(HOLE, remarks=["first", "second"], problems=["a file"])
    play(one, first)
    play(one, account(remarks=["third"]))
    assert measured == [[3, 5, 7], [3, 5, 7]]
    assert remarked == ["first", "second"]
    assert one.account is first
    assert one.lacking == ["a file", str(HOLE)]


@pytest.mark.parametrize("needs_rdb", [None, False, True])
def test_what_is_missing_concerns_the_answer_if_it_is_of_its_kind_its_time_and_its_links(
    needs_rdb: bool | None, play: Callable[[Source, Account], None]
) -> None:
    """The RDB where it is needed, and the stream; of the replica nothing."""
    options: dict[str, Any] = {} if needs_rdb is None else {"needs_rdb": needs_rdb}
    for side, is_rdb, link, late in itertools.product(Side, (False, True), ("main", "other"), (False, True)):
        one = opened(wanted=Filters(links=["main"]), **options)
        one.whole = Whole((), None, 60 * 10**9 if late else 61 * 10**9)
        hole = replace(HOLE, side=side, is_rdb=is_rdb, link=link)
        play(one, account(hole))
        said = str(hole) in one.lacking
        assert said == (side is Side.MASTER and (bool(needs_rdb) or not is_rdb) and link == "main" and late)


def test_before_a_part_has_been_chosen_all_that_is_missing_concerns_the_answer(
    play: Callable[[Source, Account], None],
) -> None:
    one = opened()
    hole = replace(HOLE, since=0.0, until=0.0)
    play(one, account(hole))
    assert one.lacking == [str(hole)]


def test_what_one_connection_lacks_and_another_has_is_lacking_for_those_without_it(
    play: Callable[[Source, Account], None],
) -> None:
    for brought_by, lacks in ((2, False), (3, True)):
        one = opened(wanted=Filters(links=["main/1", "main/2"]))
        known = account(replace(HOLE, replid=REPLID, from_offset=100, to_offset=110))
        known.read("main", 1, REPLID, 0, 100)
        known.read("main", brought_by, REPLID, 100, 110)
        play(one, known)
        assert bool(one.account.missing and [text for text in one.lacking if "main/1: " in text]) == lacks


def test_an_index_of_nothing_says_what_is_lacking_where_something_is(tmp_path: Path) -> None:
    nothing = file(tmp_path / "nothing.pcapng", [], "pcapng")
    assert opened(nothing).index(None, None).links == []
    text = tmp_path / "text"
    text.write_text("no capture at all")
    with pytest.raises(RecordingError, match="no capture"):
        opened(text).index(None, None)
    capture = file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng")
    found = opened([text, capture])
    assert found.index(None, None).links == ["127.0.0.1:6379"]
    assert found.lacking
    assert found.account.last > found.account.first > 0
    with pytest.raises(ConfigError, match="--link other: no resync was recorded on a link of that name"):
        found.index("other", None)


def test_an_empty_selection_lists_what_exists_instead(tmp_path: Path) -> None:
    capture = opened(file(tmp_path / "capture.pcapng", streamed(STREAM).packets, "pcapng"))
    error = capture.nothing("no RDB", None, lambda index: [f"from {one.offset}" for one in index.stretches])
    assert error.sentences == (("no RDB; there is:", f"from {BASE}"),)
    assert capture.nothing("no RDB", None, lambda index: []).sentences == (("no RDB; the recording has none",),)
    assert capture.nothing("no RDB", None, lambda index: [], "nor any").sentences == (("no RDB; nor any",),)


def test_an_error_says_what_is_lacking_as_well_and_nothing_twice(play: Callable[[Source, Account], None]) -> None:
    one = opened()
    play(one, account(HOLE, problems=["a file"]))
    with one.completing():
        pass
    with pytest.raises(RecordingError) as caught, one.completing():
        raise RecordingError("no RDB", "a file")
    assert caught.value.sentences == ("no RDB", "a file", str(HOLE))
    with pytest.raises(ConfigError) as other, one.completing():
        raise ConfigError("wrong")
    assert other.value.sentences == ("wrong",)
