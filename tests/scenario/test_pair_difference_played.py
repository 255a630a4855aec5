"""Two data sets compared, of played servers: digests, keys, values still on their way."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tap.scenario import pair_difference
from tap.scenario.pair_difference import NAMED, READS, TTL_SLACK_MS, PairDifference, compare
from tap.servers import key_scan
from tap.servers.failures import InvalidReply
from tap.servers.info import Info
from tap.servers.key_scan import BATCH
from tests.servers.infos import info


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_difference, "MOMENT", 0.0)


class Db:
    """A client: by key its kind, its value, its dump, and its PTTL."""

    def __init__(self) -> None:
        self.keys: dict[bytes, tuple[bytes, Any, bytes, int]] = {}
        self.reads: list[str] = []
        self.changes: dict[int, dict[bytes, tuple[bytes, Any, bytes, int]]] = {}  # before the nth pipeline
        self.forgets = False  # all keys, before the first pipeline
        self.scans: Iterator[Any] | None = None  # the answers to SCAN, whatever the keys
        self._pipelines = 0

    async def ask(self, name: str, *words: Any) -> Any:
        if name == "SCAN":
            if self.scans is not None:
                return next(self.scans)
            cursor, _, count, *kind = words
            found = sorted(key for key, (of, *_) in self.keys.items() if not kind or of == kind[1].encode())
            end = cursor + count
            return (end if end < len(found) else 0), found[cursor:end]
        if name == "TYPE":
            return self.keys[words[0]][0]
        self.reads.append(name)
        value = self.keys[words[0]][1]
        if isinstance(value, Exception):
            raise value
        return value

    async def ask_all(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        self._pipelines += 1
        if self.forgets:
            self.keys.clear()
        self.keys.update(self.changes.get(self._pipelines, {}))
        return [self._dumped(*words) for words in commands]

    def _dumped(self, name: str, key: bytes) -> Any:
        _, _, dump, ttl = self.keys.get(key, (None, None, None, -2))
        return dump if name == "DUMP" else ttl


class Node:
    name = "h:1"

    def __init__(self, version: str = "Redis 7.0") -> None:
        self.version = version
        self.digest = "0"
        self.dbs: dict[int, Db] = defaultdict(Db)

    @property
    def client(self) -> Node:
        return self

    async def ask(self, *words: Any, db: int = 0) -> Any:
        return self.digest if words == ("DEBUG", "DIGEST") else await self.dbs[db].ask(*words)

    async def ask_all(self, commands: list[tuple[Any, ...]], *, db: int = 0) -> list[Any]:
        return await self.dbs[db].ask_all(commands)

    async def info(self, section: str) -> Info:
        return info({f"db{number}": f"keys={len(db.keys)}" for number, db in self.dbs.items() if db.keys})


def put(node: Node, key: str, value: Any, *, db: int = 0, kind: str = "string", dump: str = "", ttl: int = -1) -> None:
    node.dbs[db].keys[key.encode()] = kind.encode(), value, (dump or repr(value)).encode(), ttl


def pair(version: str = "Redis 7.0") -> tuple[Node, Node]:
    return Node(), Node(version)


def found(master: Node, replica: Node, *, debug: bool = False) -> PairDifference:
    both: Any = (master, replica)
    return asyncio.run(compare(*both, debug=debug))


def test_equal_keys_in_every_db_are_equal() -> None:
    master, replica = pair()
    for node in (master, replica):
        put(node, "a", "1")
        put(node, "b", "2", db=3)
    assert found(master, replica) == PairDifference(equal=True, by="keys")
    assert found(Node(), Node()) == PairDifference(equal=True, by="keys")


def test_each_difference_is_named() -> None:
    master, replica = pair()
    for node in (master, replica):
        put(node, "same", "x")
    put(master, "here", "x")
    put(replica, "there", "x", db=2)
    put(master, "value", "1")
    put(replica, "value", "2")
    put(master, "kind", "1")
    put(replica, "kind", ["1"], kind="list")
    assert sorted(found(master, replica).keys) == [
        "db 0: here (only on the master)",
        "db 0: kind (of another type)",
        "db 0: value (another value)",
        "db 2: there (only on the replica)",
    ]


@pytest.mark.parametrize(
    ("scans", "says"),
    [
        (((7, []) for _ in itertools.count()), "it comes to cursor 7 again"),
        ((cursor for _ in itertools.count() for cursor in ((5, []), (6, [b"a"]), (7, []))), "it comes to cursor . again"),
        (itertools.chain([(1, [])], ((2 + n % 50, []) for n in itertools.count())), r"it comes to cursor \d+ again"),
        (((n, []) for n in itertools.count(1)), "1000 answers, and INFO counts 1 keys"),
    ],
)
@pytest.mark.parametrize("of", [0, 1])
def test_an_endless_scan_is_abandoned(scans: Iterator[Any], says: str, of: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_scan, "MAX_SCANS", 1000)
    both = pair()
    for node in both:
        put(node, "a", "1")
    both[of].dbs[0].scans = scans
    with pytest.raises(InvalidReply, match=f"SCAN of db 0 at h:1 does not end: {says}"):
        found(*both)


@pytest.mark.parametrize(
    ("of", "says"), [(0, "1004 answers, and INFO counts 5 keys"), (1, "1001 answers, and INFO counts 2 ")]
)
def test_a_scan_may_take_longer_for_the_keys_that_its_own_db_has(
    of: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_scan, "MAX_SCANS", 1000)
    both = pair()
    for node, count in zip(both, (5, 2), strict=True):
        put(node, "a", "1")
        for number in range(count):
            put(node, f"key:{number}", "1", db=3)
    both[of].dbs[3].scans = ((n, []) for n in itertools.count(1))
    with pytest.raises(InvalidReply, match=f"SCAN of db 3 at h:1 does not end: {says}"):
        found(*both)


@pytest.mark.parametrize("answer", [(0, None), (0, [1]), (5, {}), (5, [[b"a"]])])
def test_a_scan_reply_without_keys_is_rejected(answer: Any) -> None:
    both = pair()
    put(both[0], "a", "1")
    both[0].dbs[0].scans = iter([answer])
    with pytest.raises(InvalidReply, match="its answer is not a reply of Redis"):
        found(*both)


def test_a_scan_continues_after_empty_pages() -> None:
    both = pair()
    for node in both:
        put(node, "a", "1")
        node.dbs[0].scans = iter([*((n, []) for n in range(9000, 1, -1)), (1, [b"a"]), (0, [])])
    assert found(*both).equal


def test_another_encoding_of_the_same_value_is_no_difference() -> None:
    master, replica = pair()
    put(master, "list", ["x"], kind="list", dump="packed")
    put(replica, "list", ["x"], kind="list", dump="linked")
    assert found(master, replica).equal
    assert set(master.dbs[0].reads) == set(replica.dbs[0].reads) == {"LRANGE"}
    put(master, "module", "m", kind="json", dump="1")
    put(replica, "module", "m", kind="json", dump="2")  # which cannot be read
    assert found(master, replica).keys == ("db 0: module (another value)",)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("string", "GET"), ("list", "LRANGE"), ("hash", "HGETALL"), ("set", "SMEMBERS"), ("zset", "ZRANGE")],
)  # fmt: skip
def test_a_value_of_each_kind_is_read_if_its_dumps_differ(kind: str, asked: str) -> None:
    master, replica = pair()
    put(master, "a", "same", kind=kind, dump="1")
    put(replica, "a", "same", kind=kind, dump="2")
    assert found(master, replica).equal
    assert set(master.dbs[0].reads) == {asked}


@pytest.mark.parametrize(
    ("mine", "theirs", "differs"),
    [
        (-1, -1, False),
        (-1, 100, True),
        (100, -1, True),
        (0, 100, False),
        (1000, 1000 + TTL_SLACK_MS, False),
        (1000 + TTL_SLACK_MS, 1000, False),
        (1000, 1001 + TTL_SLACK_MS, True),
        (1001 + TTL_SLACK_MS, 1000, True),
    ],
)
def test_expiries_may_differ_by_the_travel_time(mine: int, theirs: int, differs: bool) -> None:
    master, replica = pair()
    put(master, "a", "x", ttl=mine)
    put(replica, "a", "x", ttl=theirs)
    assert found(master, replica).keys == (("db 0: a (another expiry)",) if differs else ())


@pytest.mark.parametrize("read", range(2, READS + 2))
def test_a_difference_that_a_later_read_does_not_find_does_not_count(read: int) -> None:
    master, replica = pair()
    put(master, "a", "new")
    put(replica, "a", "old")
    replica.dbs[0].changes[read] = dict(master.dbs[0].keys)
    assert found(master, replica).equal == (read <= READS)


def test_a_key_that_is_gone_on_both_is_no_difference() -> None:
    master, replica = pair()
    put(master, "a", "x")
    master.dbs[0].forgets = True
    assert found(master, replica).equal


def test_a_key_that_becomes_another_type_is_another_value() -> None:
    master, replica = pair()
    put(master, "a", "1")
    put(replica, "a", ResponseError("WRONGTYPE"), dump="2")
    assert found(master, replica).keys == ("db 0: a (another value)",)


def test_only_the_first_differences_are_named_and_all_are_examined() -> None:
    master, replica = pair()
    for number in range(2 * BATCH + 5):
        for node in (master, replica):
            put(node, f"key:{number:04}", "x")
    put(replica, f"key:{2 * BATCH + 4:04}", "y")
    assert found(master, replica).keys == (f"db 0: key:{2 * BATCH + 4:04} (another value)",)
    for number in range(NAMED - 1):
        put(master, f"more:{number}", "x")
    several = found(master, replica)
    assert len(several.keys) == NAMED
    assert str(several).endswith(", ...")
    put(master, "one:more", "x")
    assert len(found(master, replica).keys) == NAMED


def test_equal_digests_are_believed_and_others_investigated() -> None:
    master, replica = pair()
    put(master, "a", "1")
    put(replica, "a", "2")
    assert found(master, replica, debug=True) == PairDifference(equal=True, by="digest")
    replica.digest = "1"
    assert found(master, replica, debug=True).keys == ("db 0: a (another value)",)
    put(replica, "a", "1")
    difference = found(master, replica, debug=True)
    assert difference == PairDifference(equal=False, by="digest")
    assert str(difference) == "different, by digest"


def test_digests_of_other_versions_are_not_compared() -> None:
    master, replica = pair("Redis 8.0")
    master.digest = "never asked"
    for node in (master, replica):
        put(node, "a", "1")
    assert found(master, replica, debug=True) == PairDifference(equal=True, by="keys")


def test_a_difference_is_described() -> None:
    assert str(PairDifference(equal=True, by="keys")) == "equal, by keys"
    assert str(PairDifference(equal=False, by="keys", keys=("db 0: a (x)",))) == "different: db 0: a (x)"
