"""`redis-tap rdb` as a user types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.typed import tap
from tests.support import FIXTURES

RDBS = FIXTURES / "rdb"
MIXED = RDBS / "redis-8.0.2-mixed.rdb"
TAP = [sys.executable, "-m", "tap", "rdb"]


def rdb(*arguments: str | Path, data: bytes = b"", width: int = 80) -> subprocess.CompletedProcess[str]:
    return tap("rdb", *arguments, data=data, width=width)


def test_the_summary_describes_the_content() -> None:
    said = rdb(MIXED).stdout
    for words in ("12, written by Redis 8.0.2", "listpackex", "largest keys", "keys with the most elements", "ok"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize("width", [80, 120])
def test_no_column_of_the_summary_is_cut_off(width: int) -> None:
    said = rdb(MIXED, width=width).stdout
    for words in ("type", "encoding", "keys", "bytes", "share", "elements", "bytes/key", "listpackex", "hashtable"):
        assert words in said or words == "hashtable"


def test_every_key_has_a_line() -> None:
    lines = rdb(RDBS / "redis-8.0.2-keys.rdb", "--format", "keys").stdout.splitlines()
    truth = json.loads((RDBS / "redis-8.0.2-keys.json").read_text())
    assert len(lines) == 1 + len(truth["keys"])
    assert lines[0].split() == ["db", "type", "encoding", "bytes", "elements", "expires", "key"]


def test_each_key_is_a_line_of_json_also_from_a_pipe_and_before_an_aof() -> None:
    told = [json.loads(line) for line in rdb(MIXED, "--format", "jsonl").stdout.splitlines()]
    assert {line["key"] for line in told} == {
        key["key"] for key in json.loads(MIXED.with_suffix(".json").read_text())["keys"]
    }
    aof = MIXED.read_bytes() + b"*1\r\n$4\r\nPING\r\n"
    again = rdb("-", "--format", "jsonl", data=aof)
    assert [json.loads(line) for line in again.stdout.splitlines()] == told
    assert again.returncode == 0


def test_filters_select_keys() -> None:
    def keys(*filters: str) -> set[str]:
        lines = rdb(RDBS / "redis-8.0.2-multidb.rdb", "--format", "jsonl", *filters).stdout.splitlines()
        return {f"{one['db']} {one['key']} {one['type']}" for one in map(json.loads, lines)}

    everything = keys()
    assert keys("--type", "hash") == {one for one in everything if one.endswith("hash")}
    assert keys("--db", "1", "--db", "9") == {one for one in everything if one.split()[0] in ("1", "9")}
    assert keys("--key", "sam?") == {one for one in everything if " same " in one}
    assert len(keys("--type", "hash", "--limit", "2")) == 2
    for form in ("keys", "jsonl"):  # one knows the module's name when it filters, the other does not
        modules = rdb(RDBS / "redis-8.0.2-vectorset.rdb", "--format", form, "--type", "module").stdout
        assert modules.count("vectorset") == 3
    summary = rdb(RDBS / "redis-8.0.2-multidb.rdb", "--db", "9", "--type", "hash").stdout
    assert "1 in 1 db" in summary


def test_the_largest_keys_come_first() -> None:
    lines = rdb(RDBS / "redis-8.0.2-strings.rdb", "--format", "keys", "--largest", "3").stdout.splitlines()[1:]
    sizes = [int(line.split()[3]) for line in lines]
    assert len(sizes) == 3
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("form", ["summary", "keys", "jsonl"])
def test_a_broken_file_is_reported_up_to_where_it_breaks(form: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.rdb"
    broken.write_bytes(MIXED.read_bytes()[:-100])
    done = rdb(broken, "--format", form)
    assert done.returncode == 2
    assert done.stdout
    assert done.stderr.count("\n") == 1
    assert f"redis-tap: {broken}: byte" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nonexistent"], "No such file or directory"),
        ([str(RDBS)], "Is a directory"),
        (["-"], "byte 0: it is empty"),
        ([str(RDBS / "README.md")], "this is not an RDB: it begins with"),
        ([str(MIXED), "--type", "hsh"], "Did you mean 'hash'?"),
        ([str(MIXED), "--format", "jsonl", "--largest", "3"], "--largest is for summary, keys and memory"),
        ([str(MIXED), "--limit", "0"], "--limit"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    done = rdb(*arguments, data=b"")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("form", ["json", "protocol", "diff", "memory"])
def test_the_formats_of_rdbtools_are_written_for_any_version(form: str) -> None:
    done = rdb(RDBS / "valkey-9.1.2-mixed.rdb", "--format", form)
    assert done.returncode == 0
    assert done.stderr == ""
    if form == "json":
        assert json.loads(done.stdout)[0]["str"] == "hello"
    elif form == "memory":
        assert done.stdout.splitlines()[0].startswith("database,type,key,size_in_bytes")
    else:
        assert "hello" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("form", ["summary", "jsonl"])
def test_a_full_disk_is_one_line_and_exit_code_3(form: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*TAP, str(MIXED), "--format", form], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr == b"redis-tap: reading or writing failed: No space left on device\n"


def test_a_reader_that_closes_the_pipe_ends_it_quietly() -> None:
    command = f"{sys.executable} -m tap rdb {RDBS / 'redis-6.2.14-big-counts.rdb'} --format jsonl | head -c 10"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert len(done.stdout) == 10
    assert done.stderr == ""
