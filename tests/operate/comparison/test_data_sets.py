"""What the two arguments of a comparison mean."""

from __future__ import annotations

import gzip
import re
import shutil
import socket
from datetime import datetime
from pathlib import Path

import pytest

from tap.errors import ConfigError
from tap.operate.comparison.data_sets import AppendOnly, Live, RdbFile, Recorded, parse
from tap.url import Address
from tests.recording.wires import STREAM, file, streamed
from tests.support import FIXTURES

RDB = FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://user:pw@10.0.0.5:7000/3", Address("10.0.0.5", 7000)),
        ("REDISS://example", Address("example", 6379)),
        ("valkey://example", Address("example", 6379)),
        ("unix:/run/redis.sock", Address(path="/run/redis.sock")),
        ("unix:///run/redis.sock", Address(path="/run/redis.sock")),
        ("10.0.0.5:7000", Address("10.0.0.5", 7000)),
        ("7000", Address("127.0.0.1", 7000)),
        ("[::1]:7000", Address("::1", 7000)),
        ("user:pw@example:7000", Address("example", 7000)),
    ],
)
def test_a_server_is_written_as_everywhere(text: str, address: Address) -> None:
    found = parse(text)
    assert isinstance(found, Live)
    assert found.url.address == address


def test_a_file_is_what_its_first_bytes_say(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb.gz").write_bytes(gzip.compress(RDB.read_bytes()))
    (tmp_path / "commands").write_bytes(b"*1\r\n$4\r\nPING\r\n")
    (tmp_path / "stamped").write_bytes(b"#TS:1\r\n*1\r\n$4\r\nPING\r\n")
    shutil.copy(RDB, tmp_path / "appendonly.aof")
    assert parse(str(RDB)) == RdbFile(RDB)
    assert parse(str(tmp_path / "dump.rdb.gz")) == RdbFile(tmp_path / "dump.rdb.gz")
    for name in ("commands", "stamped", "appendonly.aof"):
        path = tmp_path / name
        assert parse(str(path)) == AppendOnly(path, (path,))


def test_a_socket_is_a_server(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s"))
        found = parse(str(tmp_path / "s"))
    assert isinstance(found, Live)
    assert found.url.address.path == str(tmp_path / "s")


def test_an_append_only_file_is_what_its_manifest_names(tmp_path: Path) -> None:
    directory = tmp_path / "appendonlydir"
    directory.mkdir()
    for name in ("a.1.base.rdb", "a.1.incr.aof", "a.2.incr.aof", "a.0.incr.aof"):
        (directory / name).touch()
    (directory / "a.manifest").write_text(
        "file a.1.incr.aof seq 1 type i\nfile a.0.incr.aof seq 0 type h\nfile a.1.base.rdb seq 1 type b\n"
        'file "a.2.incr.aof" seq 2 type i startoffset 7\n'
    )
    wanted = tuple(directory / name for name in ("a.1.base.rdb", "a.1.incr.aof", "a.2.incr.aof"))
    assert parse(str(directory)) == parse(str(tmp_path)) == AppendOnly(directory, wanted)
    (directory / "a.1.incr.aof").unlink()
    with pytest.raises(ConfigError, match=r"a\.1\.incr\.aof: no such file, although a\.manifest names it"):
        parse(str(directory))
    (directory / "a.manifest").write_text("file 'a\n")
    with pytest.raises(ConfigError, match="line 1 is not one of an append-only file's manifest"):
        parse(str(directory))
    (directory / "b.manifest").touch()
    with pytest.raises(ConfigError, match=r"several append-only files: a\.manifest, b\.manifest"):
        parse(str(directory))


def test_a_recording_may_have_a_moment(tmp_path: Path) -> None:
    path = tmp_path / "day.pcapng"
    file(path, streamed(STREAM).packets, "pcapng")
    assert parse(str(path)) == Recorded(path, None)
    assert parse(str(tmp_path)) == Recorded(tmp_path, None)
    assert parse(f"{tmp_path}/@1234") == Recorded(tmp_path, 1234)
    found = parse(f"{path}@2026-01-31T12:00:04")
    assert isinstance(found, Recorded)
    assert isinstance(found.moment, datetime)
    with pytest.raises(ConfigError, match=re.escape(f"{path}@noon: write a time")):
        parse(f"{path}@noon")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere/dump.rdb", r"nowhere/dump\.rdb: No such file or directory"),
        ("dump.rdb", r"dump\.rdb: No such file or directory"),
        ("wh at", "is neither a file nor a server"),
        ("http://example", r"http:// is not the URL of a server: write redis://"),
        (f"{RDB}@12:00", r"mixed\.rdb: only a recording has several moments; leave out @12:00"),
    ],
)
def test_what_is_neither_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(text)
