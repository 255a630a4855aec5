"""Whole comparisons, of files: what is planted is found, whatever the number of keys, in bounded memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tap import operate
from tap.errors import ConfigError, EnvironmentFailure, RdbError
from tap.operate import Compared, Difference
from tap.operate.comparison import comparison
from tap.operate.comparison.reader_processes import Progress
from tests.rdb import make
from tests.support import FIXTURES, ROOT, Servers, thinned

S = make.string


def rdb(path: Path, *records: bytes, version: int = 12) -> Path:
    path.write_bytes(make.rdb(version, *records))
    return path


def string(name: bytes, text: bytes = b"v") -> bytes:
    return make.key(0, S(name), S(text))


def compared(a: Path, b: Path, **more: object) -> tuple[Compared, list[Difference]]:
    found: list[Difference] = []
    return operate.diff(a, b, found=found.append, **more), found  # type: ignore[arg-type]


SCENARIOS = ("strings", "lists", "sets", "hashes", "zsets", "keys", "multidb")


@pytest.mark.parametrize("scenario", thinned(SCENARIOS, 3))
def test_the_same_data_in_two_servers_are_equal(scenario: str) -> None:
    paths = [FIXTURES / "rdb" / f"{server}-{scenario}.rdb" for server in ("redis-6.2.14", "redis-8.0.6", "valkey-9.1.2")]
    there = [path for path in paths if path.exists()]
    assert len(there) > 1
    for other in there[1:]:
        done, found = compared(there[0], other)
        assert {one.how for one in found} <= {"only_in_a", "only_in_b"}  # a few values need a newer server
        assert done.differing < done.a.keys / 2


def test_one_of_each_kind_of_difference_is_found_and_named(tmp_path: Path) -> None:
    expiring = b"\xfc" + (10**13).to_bytes(8, "little")
    pair = make.length(2) + S(b"f") + S(b"1") + S(b"g") + S(b"2")
    other = make.length(3) + S(b"g") + S(b"2") + S(b"f") + S(b"x") + S(b"h") + S(b"3")
    same = [string(b"k%d" % number) for number in range(1000)]
    a = rdb(tmp_path / "a", *same, string(b"mine"), make.key(4, S(b"hash"), pair), string(b"kind"), string(b"lives"))
    b = rdb(
        tmp_path / "b",
        b"\xfe\x00", *reversed(same), make.key(4, S(b"hash"), other), make.key(2, S(b"kind"), make.length(1) + S(b"v")),
        expiring, string(b"lives"), b"\xfe\x05", string(b"mine"), version=11,
    )  # fmt: skip
    done, found = compared(a, b)
    assert [(one.db, one.key, one.how, one.elements) for one in found] == [
        (0, b"hash", "value", 2),
        (0, b"kind", "type", None),
        (0, b"lives", "expiry", None),
        (0, b"mine", "only_in_a", None),
        (5, b"mine", "only_in_b", None),
    ]
    assert done.equal is False
    assert done.by_how == {"value": 1, "type": 1, "expiry": 1, "only_in_a": 1, "only_in_b": 1}
    assert compared(a, b, ignore_expiry=True)[0].differing == 4
    assert [one.key for one in compared(a, b, db=5)[1]] == [b"mine"]
    assert [one.key for one in compared(a, b, key="l*")[1]] == [b"lives"]
    assert compared(a, b, key=["h*", b"k[0-9]*"])[0].differing == 1
    done, found = compared(a, b, limit=2)
    assert (len(found), done.differing) == (2, 5)
    assert compared(a, a)[0] == Compared(
        a=done.a, b=done.a, differing=0, by_how={}, vanished=0, expired=0, close_expiries=0, lacking=()
    )


def test_expiries_may_differ_by_so_much(tmp_path: Path) -> None:
    a, b = (
        rdb(tmp_path / name, b"\xfc" + (10**13 + more).to_bytes(8, "little"), string(b"k"))
        for name, more in (("a", 0), ("b", 900))
    )
    done = compared(a, b)[0]
    assert (done.differing, done.close_expiries) == (1, 1)
    assert compared(a, b, expiry_within=1.0)[0].equal is True
    assert compared(a, b, expiry_within=0.5)[0].differing == 1


def test_a_key_that_had_expired_when_a_side_was_written_need_not_be_there(tmp_path: Path) -> None:
    a = rdb(
        tmp_path / "a",
        make.aux(S(b"ctime"), S(b"1700000000")),
        b"\xfd" + (1600000000).to_bytes(4, "little"),
        string(b"k"),
    )
    b = rdb(tmp_path / "b", make.aux(S(b"ctime"), S(b"1500000000")))
    done, found = compared(a, b)
    assert (done.equal, done.expired, found) == (True, 1, [])
    assert compared(b, a)[0].expired == 1


def test_values_of_modules_in_two_encodings_leave_the_answer_open(tmp_path: Path) -> None:
    a, b = (
        rdb(tmp_path / name, make.key(7, S(b"m"), make.length(2**40 + version) + make.module_parts()))
        for name, version in (("a", 0), ("b", 1))
    )
    done, found = compared(a, b)
    assert (done.equal, done.differing, [one.how for one in found]) == (None, 0, ["not_comparable"])
    assert "1 values of modules are not comparable" in done.lacking[0]


def test_bytes_after_an_rdb_leave_the_answer_open(tmp_path: Path) -> None:
    a = rdb(tmp_path / "a", string(b"k"))
    (tmp_path / "b").write_bytes(a.read_bytes() + b"*1\r\n$4\r\nPING\r\n")
    done, _ = compared(a, tmp_path / "b")
    assert done.equal is None
    assert "bytes follow the RDB" in done.lacking[0]


def test_more_differences_than_are_held_are_all_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "HELD", 10)
    a = rdb(tmp_path / "a", *(string(b"%d" % number) for number in range(3000)))
    b = rdb(tmp_path / "b")
    done, found = compared(a, b)
    assert len(found) == done.differing == len({one.key for one in found}) == 3000


def test_progress_ends_with_all_that_was_read(tmp_path: Path) -> None:
    a = rdb(tmp_path / "a", *(string(b"%d" % number) for number in range(300)))
    last: dict[str, Progress] = {}
    operate.diff(a, a, advance=last.__setitem__)
    assert last == dict.fromkeys("ab", Progress(a.stat().st_size, a.stat().st_size, 300))


def test_a_side_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = rdb(tmp_path / "a", string(b"k"))
    (tmp_path / "b").write_bytes(a.read_bytes()[:-12])
    with pytest.raises(RdbError, match=f"^{tmp_path}/b: "):
        compared(a, tmp_path / "b")
    with pytest.raises(ConfigError, match=r"^127\.0\.0\.1:1: .*--db 3 in place of the db in its URL"):
        operate.diff(a, "redis://:pw@127.0.0.1:1/3")
    with pytest.raises(ConfigError, match="unknown option"):
        operate.diff(a, "redis://127.0.0.1:1?what=1")
    monkeypatch.setattr("tap.operate.comparison.reader_processes.BEGIN", "import sys; sys.exit(7)")
    with pytest.raises(EnvironmentFailure, match=r"the process that reads it has ended \(7\)"):
        compared(a, a)


EQUAL = """
import sys
from tap.operate.comparison.comparison import diff
assert diff(*sys.argv[1:]).equal
print("redis" in sys.modules)
"""


def test_servers_make_their_snapshots_before_this_process_imports_a_client(servers: Servers) -> None:
    urls = [servers.start("redis-7.0", "repl-diskless-sync-delay", "0").url for _ in "ab"]
    done = subprocess.run([sys.executable, "-c", EQUAL, *urls], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def large(path: Path, keys: int) -> Path:
    def parts() -> Iterator[bytes]:
        for number in range(keys):
            yield string(b"key:%012d" % number)

    return rdb(path, *parts())


@pytest.mark.slow
def test_memory_does_not_depend_on_the_number_of_keys(tmp_path: Path) -> None:
    """Twenty times as many keys, all of which differ, and the peak stays the same, in this process and its children."""
    peaks = []
    for keys in (20_000, 400_000):
        a, b = large(tmp_path / f"a{keys}", keys), rdb(tmp_path / f"b{keys}")
        # ru_maxrss of a process itself would begin with that of its parent.
        code = (
            "import resource, sys; from tap import operate; from tests.rdb.large import peak\n"
            "done = operate.diff(sys.argv[1], sys.argv[2], limit=100)\n"
            "print(done.differing, peak(), 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        said = subprocess.check_output([sys.executable, "-c", code, str(a), str(b)], text=True, cwd=ROOT).split()
        assert int(said[0]) == keys
        peaks.append([int(one) for one in said[1:]])
    for few, many in zip(*peaks, strict=True):
        assert many - few < 16 * 2**20


@pytest.mark.parametrize(("limit", "shown"), thinned([(0, 0), (5, 5), (10, 10), (25, 25), (100, 30), (None, 30)], 3))
def test_no_more_than_the_limit_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, shown: int
) -> None:
    monkeypatch.setattr(comparison, "HELD", 10)
    a, b = rdb(tmp_path / "a", *(string(b"%02d" % number) for number in range(30))), rdb(tmp_path / "b")
    done, found = compared(a, b, limit=limit)
    assert (len(found), done.differing) == (shown, 30)
    held = [one.key for one in found[-10:]]
    assert held == sorted(held)
