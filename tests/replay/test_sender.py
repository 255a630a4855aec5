"""Sending without a server: which bytes are a part, and how a sender handles the replies that a test gives."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import math
import os
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import IO, Any

import hiredis
import pytest

from tap.errors import ConfigError, EnvironmentFailure
from tap.recording.copying import Marks
from tap.recording.history import Index, Stretch
from tap.replay import sender as module
from tap.replay.client_commands import Choice, Pipeline
from tap.replay.sender import Interrupted, Sender
from tap.replay.stream_parts import StreamPart, copied, part_between, streams_of
from tests.jumping import acted
from tests.relay.wire import BASE, command
from tests.support import WITHIN, wait_inside

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
    """When, in seconds, everything up to each offset was there."""
    return Marks(array("q", [round(at * SECOND) for at, _ in came]), array("q", [offset for _, offset in came]))


def part(file: IO[bytes], *pieces: bytes, begin: Any = None, end: Any = None, **more: Any) -> StreamPart | None:
    """A part of pieces that came a second apart, from second 1 on."""
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


# ---- choosing bytes ----


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
def test_an_unfinished_transaction_is_left_out(file: IO[bytes], left: int) -> None:
    found = part(file, SELECT + INCR + PAIR[:-left])
    assert found is not None
    assert found.end == len(SELECT + INCR)
    assert part(file, PAIR[:-left]) is None


def test_the_db_at_its_beginning_is_known(file: IO[bytes]) -> None:
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


def test_a_part_knows_offsets_and_moments(file: IO[bytes]) -> None:
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


def test_streams_of_several_masters_are_not_mixed() -> None:
    one, other = stretch(10), stretch(10, link="other", connection=2, number=2)
    found = Index([], [one, dataclasses.replace(other, replid="b" * 40)])
    with pytest.raises(ConfigError, match="the streams of several masters: choose with --link main or --link other"):
        streams_of(found, [])
    assert streams_of(found, ["main"]) == [(one,)]
    with pytest.raises(ConfigError, match="several masters"):
        streams_of(found, ["main", "other/2"])
    far = stretch(10, offset=BASE + 50)
    assert streams_of(Index([], [one, far]), []) == [(one,), (far,)]  # of one link, with a hole between them


def test_links_of_streams_without_offsets_are_known_too() -> None:
    loose = stretch(10, placed=False)
    with pytest.raises(ConfigError, match="--link nope: no stream of it in the recording, but of main"):
        streams_of(Index([], [], [loose]), ["main", "nope"])
    assert streams_of(Index([], [stretch(10, link="other")], [loose]), ["main"]) == [(loose,)]
    assert streams_of(Index(), []) == []


def test_only_parts_of_streams_with_writes_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [(stretch(len(INCR) * 2),), (stretch(len(INCR), offset=BASE + 500),)]
    readers: list[Any] = []

    def copy_streams(read: Any, wanted: Any) -> list[Marks]:
        readers.append(read)
        for (first,), file in wanted:
            file.write(INCR * ((first.end - first.start) // len(INCR)))
        return [marks((1, BASE + len(INCR)), (2, BASE + 2 * len(INCR))), marks((3, BASE + 500 + len(INCR)))]

    monkeypatch.setattr("tap.replay.stream_parts.copy_streams", copy_streams)
    reader: Any = object()
    with contextlib.ExitStack() as files:
        first, second = copied(reader, streams, None, None, files)
        assert [one.offset for one in (first, second)] == [BASE, BASE + 500]
        assert (first.start, first.end, first.db, first.stretches) == (0, 2 * len(INCR), -1, streams[0])
        assert os.pread(first.file.fileno(), 1000, 0) == INCR * 2
        (only,) = copied(reader, streams, at(1.5), at(2.5), files, db=3)
        assert (only.start, only.end, only.db) == (len(INCR), 2 * len(INCR), 3)
    assert readers == [reader] * 2
    assert first.file.closed


# ---- replies ----


class Played:
    """A target that answers each command as a test says, and keeps what it was sent."""

    name = "played:6379"

    def __init__(self, answer: Callable[[list[bytes]], bytes | None] = lambda words: b"+OK\r\n") -> None:
        self.heard: list[list[bytes]] = []
        self.checked: list[int] = []
        self._answer = answer
        self.has_ended = False

    @contextlib.asynccontextmanager
    async def streams(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        self._over = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())

        try:
            yield reader, writer
        finally:
            self.has_ended = True
            writer.close()
            self._server.close()
            await self._over.wait()

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


def sender(target: Played, *parts: StreamPart | None, speed: float = math.inf, **options: Any) -> Sender:
    to: Any = target
    return Sender(to, [one for one in parts if one is not None], options.pop("choice", Choice()), speed, **options)


def test_everything_is_sent_in_order_and_each_reply_counted(file: IO[bytes]) -> None:
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


def test_parts_are_sent_one_after_the_other_and_a_db_is_selected_once(file: IO[bytes]) -> None:
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
    monkeypatch.setattr(module, "KINDS", 2)
    replies = itertools.count()
    answer = {b"SELECT": b"+OK\r\n"}
    one = sender(
        Played(lambda words: answer.get(words[0]) or b"-E%d x\r\n" % next(replies)), part(file, SELECT + INCR * 5)
    )
    asyncio.run(one.run())
    assert {kind: tally.count for kind, tally in one.errors.items()} == {"E0": 1, "E1": 1, "(other)": 3}


@pytest.mark.parametrize("state", ["NOAUTH", "READONLY", "LOADING", "BUSY", "OOM", "MISCONF", "MASTERDOWN", "NOREPLICAS"])
def test_an_error_about_the_state_of_the_server_ends_the_sending(file: IO[bytes], state: str) -> None:
    one = sender(Played(lambda words: b"-%s not now\r\n" % state.encode()), part(file, SELECT + INCR))
    with pytest.raises(EnvironmentFailure, match=f"played:6379: {state} not now"):
        asyncio.run(one.run())


def test_nothing_of_an_open_transaction_is_acknowledged(file: IO[bytes]) -> None:
    """Its replies are QUEUED: a server that goes away has executed none of it."""
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


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400\r\n",
        pytest.param(b"%1\r\n*0\r\n+v\r\n", id="a map whose key is an array"),
        pytest.param(b"+OK\r\n" * 10, id="more replies than commands"),
    ],
)
def test_anything_but_a_reply_is_reported(file: IO[bytes], said: bytes) -> None:
    one = sender(Played(lambda words: said), part(file, SELECT + INCR))
    with pytest.raises(EnvironmentFailure, match="its answer is not a reply of Redis"):
        asyncio.run(one.run())


@pytest.mark.parametrize("said", [b"*2147483647\r\n", b"$2147483647\r\n", b"*10000000\r\n" * 7])
def test_what_a_reply_announces_is_not_believed(file: IO[bytes], said: bytes) -> None:
    one = sender(Played(lambda words: said), part(file, SELECT + INCR))
    with pytest.raises(EnvironmentFailure, match=r"it announces a reply of|its reply is longer than"):
        asyncio.run(one.run())


def test_no_more_is_sent_than_the_window_holds(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_COMMANDS", 10)
    monkeypatch.setattr(module, "CHUNK", 4 * len(INCR))
    target = Played(lambda words: b"")  # accepts everything, and answers nothing

    async def story() -> int:
        one = sender(target, part(file, INCR * 100, db=0))
        run = asyncio.create_task(one.run())
        await wait_inside(lambda: one.commands >= 10)
        await asyncio.sleep(0.05)  # in which it could send more
        one.stop()
        monkeypatch.setattr(module, "FAREWELL_SECONDS", 0.05)
        with pytest.raises(Interrupted):
            await run
        assert one.progress == pytest.approx(one.commands / 100, abs=0.05)
        return one.commands

    assert 10 <= asyncio.run(story()) < 10 + 4


def test_a_stop_waits_for_the_replies_to_what_was_sent(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
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
    begin = time.monotonic()
    asyncio.run(sender(target, part(file, SELECT + INCR, INCR, INCR), speed=speed).run())
    assert len(heard) == 4
    assert least <= heard[-1] - begin < WITHIN


# ---- pace ----


def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock of the loop, which jumps."""
    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(module, "time", clock)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 1.0), (4.0, 0.25), (0.5, 2.0)])
def test_each_command_is_sent_as_long_after_the_first_as_it_came(
    file: IO[bytes], monkeypatch: pytest.MonkeyPatch, speed: float, seconds: float
) -> None:
    timed(monkeypatch)
    heard: list[tuple[float, float]] = []

    def answer(words: list[bytes]) -> bytes:
        if words == [b"INCR", b"n"]:
            heard.append((asyncio.get_running_loop().time() - 1000, one.progress))
        return b"+OK\r\n"

    with tempfile.TemporaryFile() as second:
        parts = part(file, SELECT + INCR, INCR, INCR, begin=at(1.0)), part(second, *[INCR] * 6, begin=at(5), db=0)
        one = sender(Played(answer), *parts, speed=speed)
        assert one.progress == 0.0
        acted(one.run())
    assert [when for when, _ in heard] == pytest.approx([seconds * second for second in (0, 1, 2, 4, 5)])
    assert [done for _, done in heard] == pytest.approx([0, 0.2, 0.4, 0.8, 1])
    assert one.seconds == pytest.approx(5 * seconds)


def test_time_before_the_beginning_does_not_delay_the_sending(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    timed(monkeypatch)
    one = sender(Played(), part(file, *[INCR] * 9, begin=at(7.5), db=0), speed=1.0)
    acted(one.run())
    assert one.seconds == pytest.approx(1)
    assert one.commands == 2


def test_a_stop_waits_briefly_for_what_was_sent_and_not_for_what_is_due_later(
    file: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(monkeypatch)

    async def story(target: Played, stop_at: float) -> Sender:
        one = sender(target, part(file, SELECT + INCR, *[INCR] * 99), speed=1.0)
        asyncio.get_running_loop().call_later(stop_at, one.stop)
        with pytest.raises(Interrupted):
            await one.run()
        assert target.has_ended
        assert one.progress == pytest.approx(min(one.seconds, 11) / 99)
        return one

    one = acted(story(Played(), 10.5))
    assert (round(one.seconds, 6), one.commands, one.replies) == (10.5, 11, 11)
    one = acted(story(Played(lambda words: b""), 10.5))
    assert (round(one.seconds, 6), one.commands, one.replies) == (10.5 + module.FAREWELL_SECONDS, 11, 0)


def test_a_stop_after_the_end_stops_nothing(file: IO[bytes]) -> None:
    one = sender(Played(lambda words: one.stop() or b"+OK\r\n"), part(file, INCR, db=0))  # type: ignore[func-returns-value]
    acted(one.run())
    assert (one.commands, one.replies, one.progress) == (1, 1, 1.0)


def test_a_stop_before_the_beginning_sends_nothing(file: IO[bytes]) -> None:
    target = Played()
    one = sender(target, part(file, INCR, db=0))
    one.stop()
    with pytest.raises(Interrupted):
        acted(one.run())
    assert (one.commands, target.heard) == (0, [])


def test_steps_end_with_a_chunk_and_with_a_pace_at_the_same_moment(
    file: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 2 * len(INCR))
    size = len(INCR)
    pieces = [INCR, INCR * 5, INCR, INCR * 2]
    one = part(file, *pieces, db=0)
    assert one is not None
    assert list(sender(Played(), one)._steps(one)) == [(size * end, 0.0) for end in (2, 4, 6, 8, 9)]
    paced = list(sender(Played(), one, speed=1.0)._steps(one))
    assert paced == [(size * end, due) for end, due in ((1, 0), (3, 1), (5, 1), (6, 1), (7, 2), (9, 3))]
    later = part(file, *pieces, db=0, begin=BASE + size + 1)
    assert later is not None
    assert list(sender(Played(), later, speed=1.0)._steps(later)) == [
        (size * end, due) for end, due in ((3, 0), (5, 0), (6, 0), (7, 1), (9, 2))
    ]


@pytest.mark.parametrize(
    ("waiting", "end", "has_room"),
    [
        (0, 10 * module.WINDOW_BYTES, True),
        (module.WINDOW_COMMANDS - 1, 100, True),
        (module.WINDOW_COMMANDS, 100, False),
        (1, 50 + module.WINDOW_BYTES - 1, True),
        (1, 50 + module.WINDOW_BYTES, False),
    ],
)
def test_the_window_is_limited_by_commands_and_bytes(file: IO[bytes], waiting: int, end: int, has_room: bool) -> None:
    one = sender(Played(), part(file, INCR, db=0))
    one._expected.extend([(50, 60, 0, False), *[(0, 0, 0, False)] * waiting][:waiting])
    assert one._has_room(end) == has_room


def test_a_pipeline_is_sent_in_pieces_of_about_a_chunk(file: IO[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 10)
    file.write(bytes(range(100)))
    file.flush()
    data = bytes(range(100))
    pieces = list(module._pieces(file.fileno(), Pipeline([b"abc", (5, 9), b"de", (9, 44), (50, 53), b"fg"], [])))
    assert b"".join(pieces) == b"abc" + data[5:9] + b"de" + data[9:44] + data[50:53] + b"fg"
    assert [len(piece) for piece in pieces] == [19, 10, 10, 10]
    assert list(module._pieces(file.fileno(), Pipeline([(0, 10)], []))) == [data[:10]]
    assert list(module._pieces(file.fileno(), Pipeline())) == []


# ---- dbs and reports ----


def test_each_db_is_checked_once_and_what_is_left_out_is_summed_up(file: IO[bytes]) -> None:
    def in_db(db: int) -> bytes:
        return command("SELECT", str(db)) + INCR

    swap = command("SWAPDB", "0", "5")
    with tempfile.TemporaryFile() as second:
        target = Played()
        parts = part(file, INCR + in_db(0) + in_db(3) + in_db(0) + swap), part(second, INCR + in_db(3) + in_db(4) + swap)
        one = sender(target, *parts, choice=Choice(dbs=frozenset({0, 3})))
        assert (one.unplaced, one.unfilled, one.came, one.dbs, one.seconds, one.errors) == (0, 0, 0, set(), 0.0, {})
        asyncio.run(one.run())
    assert sorted(target.checked) == [0, 3]
    assert (one.unplaced, one.unfilled, one.came, one.dbs) == (2, 2, 9, {0, 3, 4})
    assert (one.commands, one.replies) == (4, 4)


def test_all_of_it_may_go_to_one_db(file: IO[bytes]) -> None:
    target = Played()
    asyncio.run(sender(target, part(file, SELECT + INCR + command("SELECT", "3") + INCR), to_db=9).run())
    assert target.heard == [[b"SELECT", b"9"], [b"INCR", b"n"], [b"INCR", b"n"]]
    assert target.checked == [9]


def refusing(file: IO[bytes], sent: bytes, refusal: bytes, **more: Any) -> list[str]:
    """The errors kept from a server that answers this to all of these."""
    one = sender(Played(lambda words: b"-" + refusal + b"\r\n"), part(file, sent, **more))
    asyncio.run(one.run())
    return [line for tally in one.errors.values() for line in tally.first]


def test_an_error_is_reported_with_its_place_its_command_and_its_key(file: IO[bytes]) -> None:
    place, long = BASE + len(INCR), "k" * 150
    assert refusing(file, INCR, b"ERR no", db=3) == [
        f"offset {BASE}: SELECT 3: ERR no", f"offset {place}, db 3: INCR n: ERR no",
    ]  # fmt: skip
    assert refusing(file, INCR, b"ERR no", db=3, placed=False)[1] == f"byte {len(INCR)}, db 3: INCR n: ERR no"
    assert refusing(file, command("incr", long), b"X", db=0)[1].endswith(f": INCR {'k' * 100}: X")
    assert refusing(file, command("FLUSHDB"), b"X", db=0)[1].endswith("db 0: FLUSHDB: X")
    assert refusing(file, command("MSET", b"a\xff", "1", "b", "2"), b"X", db=0)[1].endswith("MSET a\\xff: X")


def test_a_password_that_a_server_repeats_is_hidden(file: IO[bytes]) -> None:
    sent = command("CONFIG", "SET", "requirepass", "a-great-secret")
    said = refusing(file, sent, b"ERR cannot set 'a-great-secret'", db=0)
    assert said[1].endswith(": ERR cannot set '***'")
    assert "a-great-secret" in said[0]  # our own SELECT carried none


def test_errors_of_a_known_kind_are_counted_beyond_the_limit_of_kinds(
    file: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KINDS", 2)
    replies = iter([b"+OK\r\n", b"-A x\r\n", b"-B x\r\n", b"-A x\r\n", b"-C x\r\n", b"-B\r\n", b"-D x\r\n"])
    one = sender(Played(lambda words: next(replies)), part(file, INCR * 6, db=0))
    asyncio.run(one.run())
    assert {kind: tally.count for kind, tally in one.errors.items()} == {"A": 2, "B": 2, "(other)": 2}
    assert one.error_count == 6


def test_in_a_transaction_only_errors_are_errors(file: IO[bytes]) -> None:
    replies = iter([b"+OK\r\n"] * 4 + [b"*4\r\n:1\r\n-A x\r\n*0\r\n-B x\r\n"])
    one = sender(Played(lambda words: next(replies)), part(file, PAIR, db=0))
    asyncio.run(one.run())
    assert sorted(one.errors) == ["A", "B"]
    assert one.replies == 4


def test_a_server_that_goes_away_is_reported_and_its_last_reply_first(file: IO[bytes]) -> None:
    target = Played(lambda words: None)
    with pytest.raises(EnvironmentFailure, match=r"^played:6379: closed the connection$"):
        asyncio.run(sender(target, part(file, INCR, db=0)).run())
    assert target.has_ended


def test_a_broken_connection_is_reported_in_the_systems_words(file: IO[bytes]) -> None:
    class Broken(Played):
        async def check_db(self, db: int) -> None:
            raise ConnectionResetError(104, "Connection reset by peer")

    target = Broken()
    with pytest.raises(EnvironmentFailure, match=r"^played:6379: Connection reset by peer$"):
        asyncio.run(sender(target, part(file, INCR, db=0)).run())
    assert target.has_ended


def test_a_value_larger_than_a_chunk_is_sent_in_pieces(file: IO[bytes]) -> None:
    target = Played()
    big = command("SET", "k", b"v" * (3 * 2**18 + 7))
    one = sender(target, part(file, SELECT + big + INCR))
    asyncio.run(one.run())
    assert target.heard[1:] == [[b"SET", b"k", b"v" * (3 * 2**18 + 7)], [b"INCR", b"n"]]
    assert one.acknowledged == BASE + len(SELECT + big + INCR)


def test_a_full_directory_for_copies_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tap.replay.stream_parts.copy_streams", full)
    with contextlib.ExitStack() as files, pytest.raises(EnvironmentFailure, match=r"No space .*; set TMPDIR to"):
        copied(lambda player: None, [], None, None, files)
