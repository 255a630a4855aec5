"""What the workload writes, to a played master: by the seed, at its rate, and whatever the master answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError

from tap.scenario import workload
from tap.scenario.workload import BURST_VALUE, PREFIX, PROBE, Workload
from tests.servers.infos import MASTER
from tests.support import WITHIN


class Master:
    """replies: its replies to commands by name; an exception is one of redis-py's."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, tuple[Any, ...]]] = []
        self.replies: dict[str, Any] = {}
        self.offset = 0
        self.is_there = True
        self.unlinked: dict[int, set[str]] = {}

    @property
    def client(self) -> Master:
        return self

    async def ask_all(self, commands: Iterable[tuple[Any, ...]], *, db: int = 0) -> list[Any]:
        if not self.is_there:
            raise Unreachable("gone")
        return [self._answer(words, db) for words in commands]

    def _answer(self, words: tuple[Any, ...], db: int) -> Any:
        if words[0] == "UNLINK":
            self.unlinked.setdefault(db, set()).add(words[1])
        elif words[0] == "INFO":
            self.offset += 10
            fields = {**MASTER, "master_repl_offset": self.offset}
            return "".join(f"{name}:{value}\r\n" for name, value in fields.items()).encode()
        else:
            self.heard.append((db, words))
        return self.replies.get(words[0], True)


def made(master: Master, seed: int = 1, **options: Any) -> Workload:
    node: Any = master
    return Workload(node, seed, options.pop("rate", 1000), **options)


def test_the_seed_decides_every_command() -> None:
    def heard(seed: int) -> list[Any]:
        master = Master()
        asyncio.run(made(master, seed).preload(10_000))
        return master.heard

    assert heard(1) == heard(1)
    assert heard(1) != heard(2)


def test_every_kind_of_value_is_written_and_related_commands_stay_together() -> None:
    one = made(Master())
    kinds: Counter[str] = Counter()
    for _ in range(20_000):
        commands = one._mixed()
        names = [str(command[0]) for command in commands]
        kinds[names[0]] += 1
        if names[0] == "MULTI":
            assert names == ["MULTI", "INCR", "SET", "RPUSH", "LTRIM", "EXEC"]
        else:  # of one key, and of its neighbours
            first = str(commands[0][1])
            assert all(str(command[1]).startswith(first) for command in commands)
        assert all(str(command[1]).startswith(PREFIX) for command in commands if len(command) > 1)
    shares = {kind: count / 20_000 for kind, count in kinds.items()}
    assert {"SET", "INCR", "HSET", "RPUSH", "SADD", "SREM", "ZADD", "XADD", "DEL", "MULTI"} <= shares.keys()
    assert min(shares.values()) > 0.01


class Dice:
    """kind: what the first throw says. Of any other numbers the last but one is drawn, and all bytes are the same."""

    def __init__(self, kind: float, run: int = 0) -> None:
        self.kind, self.run = kind, run
        self.ranges: list[tuple[int, ...]] = []

    def random(self) -> float:
        return self.kind

    def randrange(self, *limits: int) -> int:
        self.ranges.append(limits)
        return self.run if limits == (4,) else limits[-1] - 2

    def randbytes(self, size: int) -> bytes:
        return b"v" * size


K = PREFIX
VALUE = b"v" * 198  # of the number 298


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ((0.4, 0.5299), [("SET", f"{K}string:298", VALUE)]),
        ((0.53, 0.5999), [("HSET", f"{K}hash:48", "field:298", VALUE)]),
        ((0.60, 0.6599), [("RPUSH", f"{K}list:18", VALUE, "item 298"), ("LTRIM", f"{K}list:18", -100, -1)]),
        ((0.66, 0.6999), [("SADD", f"{K}set:18", 298, b"v" * 8)]),
        ((0.70, 0.7199), [("SREM", f"{K}set:18", 298)]),
        ((0.72, 0.7699), [("ZADD", f"{K}zset:18", 998, "member:298")]),
        ((0.77, 0.8199), [("XADD", f"{K}stream:3", "MAXLEN", 200, "*", "field", VALUE)]),
        ((0.82, 0.8599), [("SET", f"{K}expiring:298", VALUE, "EX", 86_400 + 298)]),
        ((0.86, 0.8799), [("DEL", f"{K}string:298")]),
        ((0.88, 0.8929), [("SET", f"{K}big:2", b"v" * 77)]),
        (
            (0.893, 0.9999),
            [
                ("MULTI",), ("INCR", f"{K}counter:transactions"), ("SET", f"{K}string:298", VALUE),
                ("RPUSH", f"{K}list:transactions", 298), ("LTRIM", f"{K}list:transactions", -100, -1), ("EXEC",),
            ],
        ),
    ],
)  # fmt: skip
def test_each_random_draw_writes_its_commands(kinds: tuple[float, float], expected: list[Any]) -> None:
    for kind in kinds:
        one = made(Master(), big=77)
        dice: Any = Dice(kind)
        one._random = dice
        assert one._mixed() == expected
        assert dice.ranges[:2] == [(300,), (1, 200)]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (0, [[("RPUSH", f"{K}log:{n % 10}", f"{n}.{item}") for item in range(5)] for n in (0, 1, 11, 2001)]),
        (
            1,
            [
                [
                    ("INCR", f"{K}count:{n}"), ("COPY", f"{K}count:{n}", f"{K}count:{n}:seen", "REPLACE"),
                    ("APPEND", f"{K}count:{n}:seen", "!"), ("INCR", f"{K}count:{n}"),
                ]
                for n in (0, 1, 11, 1)
            ],
        ),
        (2, [[("SET", f"{K}last:{n % 2000}", f"{n}.{item}") for item in range(4)] for n in (0, 1, 11, 2001)]),
        (
            3,
            [
                [("SET", f"{K}text:{n % 2000}", n), *(("APPEND", f"{K}text:{n % 2000}", f".{item}") for item in range(4))]
                for n in (0, 1, 11, 2001)
            ],
        ),
    ],
)  # fmt: skip
def test_each_run_writes_its_commands(run: int, expected: list[list[Any]]) -> None:
    one = made(Master())
    dice: Any = Dice(0.3999, run)
    one._random = dice
    found = [one._mixed(), one._mixed()]
    for one._runs in (11, 2001):
        found.append(one._mixed())
    assert found == expected


def test_accepted_and_refused_commands_are_counted_separately() -> None:
    master = Master()
    master.replies = {
        "INCR": ResponseError("NOREPLICAS Not enough good replicas to write."),
        "SADD": ReadOnlyError("You can't write against a read only replica."),
        "HSET": OutOfMemoryError("command not allowed"),
        "DEL": ResponseError("something odd"),
    }
    one = made(master)
    commands: Any = [("INCR", "a"), ("SADD", "b", 1), ("HSET", "c", "d", b"e"), ("DEL", "f"), ("SET", "g", b"12345")]
    asyncio.run(one._send(commands, 0))
    assert one.refused == {"NOREPLICAS": 1, "READONLY": 1, "OOM": 1, "ERR": 1}
    assert one.written == 1
    assert one.bytes == len("SET") + len("g") + 5
    assert one.keys == {PROBE, "a", "b", "c", "f", "g"}


def test_a_master_that_breaks_off_fails_the_batch() -> None:
    master = Master()
    master.replies = {"SET": Unreachable("gone")}
    with pytest.raises(Unreachable):
        asyncio.run(made(master)._send([("SET", "a", "b")], 0))


@pytest.mark.parametrize("size", [0, 1, BURST_VALUE, BURST_VALUE + 1, 20 * BURST_VALUE + 7])
def test_a_burst_writes_the_requested_bytes(size: int) -> None:
    master = Master()
    asyncio.run(made(master, dbs=(4, 5)).burst(size))
    values = [words[2] for db, words in master.heard]
    assert sum(map(len, values)) == size
    assert all(len(value) <= BURST_VALUE for value in values)
    assert {db for db, _ in master.heard} <= {4}
    keys = [words[1] for _, words in master.heard]
    assert keys == [f"{PREFIX}burst:{number % 200}" for number in range(len(keys))]


def test_a_preload_has_something_in_each_db_and_zero_means_nothing() -> None:
    master = Master()
    asyncio.run(made(master, dbs=(0, 0, 3)).preload(1))
    count = Counter(db for db, _ in master.heard)
    assert set(count) == {0, 3}
    assert min(count.values()) >= 200
    asyncio.run(made(other := Master()).preload(0))
    assert other.heard == []


def test_written_keys_are_removed_by_name_in_every_db() -> None:
    master = Master()
    one = made(master, dbs=(0, 0, 3))
    asyncio.run(one._send([("SET", "a", "b")], 0))
    asyncio.run(one.clean())
    assert master.unlinked == {0: {PROBE, "a"}, 3: {PROBE, "a"}}


def test_the_ledger_notes_accepted_writes_with_an_offset_at_or_after_them() -> None:
    async def story() -> None:
        master = Master()
        one = made(master, ledger=True)
        await one._note()
        await one._note()
        master.replies = {"SET": ResponseError("READONLY")}
        await one._note()
        assert [(noted.offset, noted.key, noted.value) for noted in one.ledger] == [
            (10, f"{PREFIX}ledger:0", "0"),
            (20, f"{PREFIX}ledger:1", "1"),
        ]
        assert f"{PREFIX}ledger:2" in one.keys  # refused, or accepted without an answer

    asyncio.run(story())


def test_it_writes_until_stopped_and_survives_an_absent_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workload, "MOMENT", 0.001)

    async def story() -> None:
        master = Master()
        one = made(master, ledger=True)
        assert not one.running
        one.start()
        one.start()  # it has already
        assert one.running
        async with asyncio.timeout(WITHIN):
            while one.written < 100 or len(one.ledger) < 2:
                await asyncio.sleep(0.005)
            master.is_there = False
            while one.unreachable < 3:
                await asyncio.sleep(0.005)
            master.is_there = True
            before = one.written
            while one.written == before:
                await asyncio.sleep(0.005)
        await one.stop()
        assert not one.running
        written = one.written
        await asyncio.sleep(0.05)
        assert one.written == written
        await one.stop()
        one.start()
        async with asyncio.timeout(WITHIN):
            while one.written == written:
                await asyncio.sleep(0.005)
        await one.stop()

    asyncio.run(story())


@pytest.mark.parametrize("rate", [25, 50, 1000])
def test_a_batch_has_what_the_rate_gives_on_average(rate: int) -> None:
    async def story() -> float:
        master = Master()
        one = made(master, rate=rate)
        starts = 0
        for _ in range(400):
            before = len(master.heard)
            await one._batch()
            starts += min(len(master.heard) - before, int(rate * workload.BATCH_SECONDS) or 1)
        return starts / 400

    assert asyncio.run(story()) == pytest.approx(rate * workload.BATCH_SECONDS, rel=0.2)
