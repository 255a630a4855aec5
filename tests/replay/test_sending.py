"""Sending without a server: which bytes are a part, and what a sender makes of the replies that a test gives."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import IO, Any

import hiredis
import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.recording.history import Index, Marks, Stretch
from tap.replay import sending
from tap.replay.commands import Choice
from tap.replay.sending import Interrupted, Part, Sender, copied, part_between, streams_of
from tests.relay.wire import BASE, command

SECOND = 10**9
SELECT = command("SELECT", "0")
MULTI, EXEC, INCR = command("MULTI"), command("EXEC"), command("INCR", "n")
PAIR = MULTI + INCR + INCR + EXEC


@pytest.fixture
def file() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as one:
        yield one


def stretch(size: int, *, offset: int = BASE, placed: bool = True, **more: Any) -> Stretch:
    said: dict[str, Any] = {"link": "main", "connection": 1, "number": 1, "db": None, **more}
    return Stretch(
        start=0, end=size, replid="a" * 40 if placed else "", offset=offset if placed else 0, began=0, ended=SECOND,
        is_placed=placed, **said,
    )  # fmt: skip


def marks(*came: tuple[float, int]) -> Marks:
    """When, in seconds, all up to which offset was there."""
    return Marks(array("q", [round(at * SECOND) for at, _ in came]), array("q", [offset for _, offset in came]))


def part(file: IO[bytes], *pieces: bytes, begin: Any = None, end: Any = None, **more: Any) -> Part | None:
    """Of pieces that came a second apart, from second 1 on."""
    ends = list(itertools.accumulate(map(len, pieces)))
    file.truncate(0)
    file.seek(0)
    file.write(b"".join(pieces))
    base = more.get("offset", BASE) if more.get("placed", True) else 0
    came = marks(*((number, base + end) for number, end in enumerate(ends, 1)))
    db = more.pop("at_db", -1)
    return part_between(file, [stretch(ends[-1], **more)], came, begin, end, db)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


# ---- which bytes ----


def test_a_part_begins_and_ends_where_no_transaction_is_open(file: IO[bytes]) -> None:
    data = SELECT + PAIR + INCR + PAIR + INCR
    borders = [len(SELECT), len(SELECT + PAIR), len(SELECT + PAIR + INCR), len(SELECT + PAIR + INCR + PAIR), len(data)]
    for limit in range(len(data) + 1):
        last = max((one for one in [0, *borders] if one <= limit), default=0)
        until = part(file, data, end=BASE + limit)
        assert (0 if until is None else until.end) == last
        assert until is None or until.start == 0
        behind = part(file, data, begin=BASE + limit + 1)
        assert (len(data) if behind is None else behind.start) == last
        assert behind is None or behind.end == len(data)


@pytest.mark.parametrize("left", range(1, len(EXEC) + 1))
def test_a_transaction_whose_end_has_not_come_is_none_of_it(file: IO[bytes], left: int) -> None:
    found = part(file, SELECT + INCR + PAIR[:-left])
    assert found is not None
    assert found.end == len(SELECT + INCR)
    assert part(file, PAIR[:-left]) is None


def test_the_db_at_its_beginning(file: IO[bytes]) -> None:
    data = command("SELECT", "7") + INCR * 2
    found = part(file, data, begin=BASE + len(command("SELECT", "7") + INCR) + 1)
    assert found is not None
    assert (found.db, found.start) == (7, len(command("SELECT", "7") + INCR))
    for more, db in (({"db": 4}, 4), ({"db": None}, -1), ({"db": None, "at_db": 5}, 5), ({"db": 4, "at_db": 5}, 4)):
        one = part(file, INCR, **more)
        assert one is not None
        assert one.db == db


@pytest.mark.parametrize(
    ("begin", "end", "numbers"),
    [
        (None, None, (0, 5)),
        (1.0, 5.0, (0, 5)),
        (1.1, 4.9, (1, 4)),
        (2.0, 4.0, (1, 4)),
        (2.0, 2.0, (1, 2)),
        (0.5, 0.9, None),
        (5.1, None, None),
        (None, 1.0, (0, 1)),
    ],
)
def test_moments_are_inclusive(
    file: IO[bytes], begin: float | None, end: float | None, numbers: tuple[int, int] | None
) -> None:
    moments = [None if one is None else at(one) for one in (begin, end)]
    found = part(file, *[INCR] * 5, begin=moments[0], end=moments[1])
    size = len(INCR)
    assert (None if found is None else (found.start // size, found.end // size)) == numbers


def test_places_and_moments_of_a_part(file: IO[bytes]) -> None:
    one = part(file, *[INCR] * 3)
    assert one is not None
    size = len(INCR)
    assert (one.offset, one.is_placed, one.place(4)) == (BASE, True, f"offset {BASE + 4}")
    assert [one.when(position) // SECOND for position in (1, size, size + 1, 3 * size)] == [1, 1, 2, 3]
    other = part(file, *[INCR] * 3, placed=False)
    assert other is not None
    assert (other.offset, other.is_placed, other.place(4)) == (0, False, "byte 4")


def test_streams_are_chosen_by_link_and_without_offsets_only_one() -> None:
    one, two = stretch(10), stretch(10, link="other", connection=2, number=2)
    assert streams_of(Index([], [one]), []) == [(one,)]
    assert streams_of(Index([], [one, two]), ["other"]) == [(two,)]
    with pytest.raises(ConfigError, match="--link nope: no stream of it in the recording, but of main"):
        streams_of(Index([], [one]), ["nope"])
    with pytest.raises(ConfigError, match="but of none"):
        streams_of(Index([], []), ["nope"])
    loose = [stretch(10, placed=False, number=number, connection=number) for number in (1, 2)]
    assert streams_of(Index([], [], loose[:1]), []) == [(loose[0],)]
    with pytest.raises(ConfigError, match="choose with --link main/1 or --link main/2"):
        streams_of(Index([], [], loose), [])
    assert streams_of(Index([], [], loose), ["main/2"]) == [(loose[1],)]


# ---- what comes back ----


class Played:
    """A target that answers each command as a test says, and keeps what it was sent."""

    name = "played:6379"

    def __init__(self, answer: Callable[[list[bytes]], bytes | None] = lambda words: b"+OK\r\n") -> None:
        self.heard: list[list[bytes]] = []
        self.checked: list[int] = []
        self._answer = answer
        self.has_ended = False

    async def connect(self) -> Any:
        self._over = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())

        async def disconnect(nowait: bool) -> None:
            assert nowait
            self.has_ended = True
            writer.close()
            self._server.close()
            await self._over.wait()

        return SimpleNamespace(_reader=reader, _writer=writer, disconnect=disconnect)

    async def check_db(self, db: int) -> None:
        self.checked.append(db)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await self._answer_all(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        self._over.set()

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = hiredis.Reader()
        while data := await reader.read(2**16):
            parser.feed(data)
            while (words := parser.gets()) is not False:
                self.heard.append(words)
                reply = self._answer(words)
                if reply is None:
                    return
                writer.write(reply)


def sender(target: Played, *parts: Part | None, speed: float = math.inf, **options: Any) -> Sender:
    to: Any = target
    return Sender(to, [one for one in parts if one is not None], options.pop("choice", Choice()), speed, **options)


def test_all_is_sent_in_order_and_each_reply_counted(file: IO[bytes]) -> None:
    target = Played()
    one = sender(target, part(file, SELECT + INCR + PAIR + INCR))
    assert one.progress == 0.0
    asyncio.run(one.run())
    assert [words[0] for words in target.heard] == [
        b"SELECT", b"INCR", b"MULTI", b"INCR", b"INCR", b"EXEC", b"INCR"
    ]  # fmt: skip
    assert (one.commands, one.replies) == (6, 6)  # the SELECT is ours
    assert one.acknowledged == BASE + len(SELECT + INCR + PAIR + INCR)
    assert (one.progress, one.error_count, one.came, one.unplaced) == (1.0, 0, 4, 0)
    assert target.checked == [0]
    assert target.has_ended
    assert one.seconds > 0


def test_parts_come_one_behind_the_other_and_a_db_is_selected_once(file: IO[bytes]) -> None:
    with tempfile.TemporaryFile() as second:
        target = Played()
        one = sender(target, part(file, SELECT + INCR), part(second, INCR, db=0, offset=BASE + 500))
        asyncio.run(one.run())
        assert target.heard == [[b"SELECT", b"0"], [b"INCR", b"n"], [b"INCR", b"n"]]
        assert one.acknowledged == BASE + 500 + len(INCR)
        assert one.commands == 2


def test_errors_are_counted_by_kind_and_the_first_of_each_kept(file: IO[bytes]) -> None:
    def answer(words: list[bytes]) -> bytes:
        if words[0] == b"EXEC":
            return b"*2\r\n:1\r\n-WRONGTYPE no list\r\n"
        return {b"INCR": b"-ERR no number\r\n", b"SELECT": b"+OK\r\n"}.get(words[0], b"+QUEUED\r\n")

    one = sender(Played(answer), part(file, SELECT + INCR * 4 + MULTI + command("LPUSH", "n", "x") + EXEC))
    asyncio.run(one.run())
    assert one.error_count == 5
    assert one.errors["ERR"].count == 4
    places = [BASE + len(SELECT) + len(INCR) * number for number in (1, 2, 3)]
    assert one.errors["ERR"].first == [f"offset {place}, db 0: INCR n: ERR no number" for place in places]
    (where,) = one.errors["WRONGTYPE"].first
    assert where.endswith("db 0: EXEC: WRONGTYPE no list")


def test_kinds_beyond_the_limit_are_one_kind(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "KINDS", 2)
    replies = itertools.count()
    answer = {b"SELECT": b"+OK\r\n"}
    one = sender(
        Played(lambda words: answer.get(words[0]) or b"-E%d x\r\n" % next(replies)), part(file, SELECT + INCR * 5)
    )
    asyncio.run(one.run())
    assert {kind: tally.count for kind, tally in one.errors.items()} == {"E0": 1, "E1": 1, "(other)": 3}


@pytest.mark.parametrize("state", ["NOAUTH", "READONLY", "LOADING", "BUSY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS"])
def test_an_error_about_the_state_of_the_server_ends_it(file: IO[bytes], state: str) -> None:
    one = sender(Played(lambda words: b"-%s not now\r\n" % state.encode()), part(file, SELECT + INCR))
    with pytest.raises(EnvironmentFailure, match=f"played:6379: {state} not now"):
        asyncio.run(one.run())


def test_of_an_open_transaction_nothing_is_acknowledged(file: IO[bytes]) -> None:
    """Its replies say QUEUED: a server that goes away has executed none of it."""
    answers = iter([b"+OK\r\n", b":1\r\n", b"+OK\r\n", b"+QUEUED\r\n", None])
    one = sender(Played(lambda words: next(answers, None)), part(file, SELECT + INCR + PAIR))
    with pytest.raises(EnvironmentFailure, match="played:6379"):
        asyncio.run(one.run())
    assert one.acknowledged == BASE + len(SELECT + INCR)
    assert one.replies == 3


def test_the_last_transaction_is_acknowledged_with_its_exec(file: IO[bytes]) -> None:
    target = Played()
    one = sender(target, part(file, SELECT + PAIR + PAIR))
    asyncio.run(one.run())
    assert [words[0] for words in target.heard[-2:]] == [b"INCR", b"EXEC"]
    assert one.acknowledged == BASE + len(SELECT + PAIR + PAIR)


def test_without_offsets_nothing_is_acknowledged(file: IO[bytes]) -> None:
    one = sender(Played(), part(file, SELECT + INCR, placed=False))
    asyncio.run(one.run())
    assert (one.acknowledged, one.replies) == (None, 1)


def test_what_is_no_reply_is_told(file: IO[bytes]) -> None:
    one = sender(Played(lambda words: b"HTTP/1.1 400\r\n"), part(file, SELECT + INCR))
    with pytest.raises(EnvironmentFailure, match="what it says is no reply of Redis"):
        asyncio.run(one.run())


def test_no_more_is_sent_than_the_window_holds(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "WINDOW_COMMANDS", 10)
    monkeypatch.setattr(sending, "CHUNK", 4 * len(INCR))
    target = Played(lambda words: b"")  # takes all, and answers nothing

    async def story() -> int:
        one = sender(target, part(file, INCR * 100, db=0))
        run = asyncio.create_task(one.run())
        await asyncio.sleep(0.2)
        one.stop()
        monkeypatch.setattr(sending, "FAREWELL_SECONDS", 0.05)
        with pytest.raises(Interrupted):
            await run
        assert one.progress == pytest.approx(one.commands / 100, abs=0.05)
        return one.commands

    assert 10 <= asyncio.run(story()) < 10 + 4


def test_who_stops_hears_the_replies_to_what_was_sent(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> Sender:
        one = sender(Played(), part(file, *[SELECT + INCR, *[INCR] * 50]), speed=1.0)
        run = asyncio.create_task(one.run())
        while not one.replies:
            await asyncio.sleep(0.001)
        one.stop()
        with pytest.raises(Interrupted):
            await run
        return one

    one = asyncio.run(story())
    assert one.commands == one.replies == 1
    assert one.acknowledged == BASE + len(SELECT + INCR)


@pytest.mark.parametrize(("speed", "least"), [(20.0, 0.1), (math.inf, 0.0)])
def test_the_pace_is_that_of_the_recording(file: IO[bytes], speed: float, least: float) -> None:
    heard: list[float] = []
    target = Played(lambda words: heard.append(time.monotonic()) or b"+OK\r\n")  # type: ignore[func-returns-value]
    asyncio.run(sender(target, part(file, SELECT + INCR, INCR, INCR), speed=speed).run())
    gaps = [after - before for before, after in itertools.pairwise(heard[1:])]
    assert len(gaps) == 2
    assert sum(gaps) >= least - 0.01
    assert sum(gaps) < 5


def test_a_value_larger_than_a_chunk_goes_in_pieces(file: IO[bytes]) -> None:
    target = Played()
    big = command("SET", "k", b"v" * (3 * 2**18 + 7))
    one = sender(target, part(file, SELECT + big + INCR))
    asyncio.run(one.run())
    assert target.heard[1:] == [[b"SET", b"k", b"v" * (3 * 2**18 + 7)], [b"INCR", b"n"]]
    assert one.acknowledged == BASE + len(SELECT + big + INCR)


def test_a_directory_for_copies_that_is_full_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tap.replay.sending.copy_streams", full)
    with contextlib.ExitStack() as files, pytest.raises(EnvironmentFailure, match=r"No space .*; set TMPDIR to"):
        copied(lambda player: None, [], None, None, files)
