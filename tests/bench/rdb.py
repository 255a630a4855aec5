"""RDB: how fast a snapshot of all kinds of keys is read, checked and written out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import redis

from tap.errors import EnvironmentFailure
from tap.rdb import JsonLines, KeyReader, Summary, Tape, parser, read
from tap.servers.embedded import Server
from tests.support import ROOT, programs, some_servers

from .pair import PREFERRED
from .results import Figures, Metric, Outcome, Result, Say, take_turns

METRICS = (
    Metric("seconds", "wall s", 2),
    Metric("rate", "MB/s", 0, compared=True),
)
CHECK = "redis-check-rdb"
BATCH = 10_000  # keys that one script makes
SAVE_SECONDS = 300
SMALL = 20_000  # keys, for what is not compiled

# Half strings, of each size and kind; the rest hashes, lists, sets and sorted sets of a few to forty elements.
SCRIPT = """
for i = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  local kind = i % 20
  if kind < 6 then redis.call('SET', 'str:' .. i, 'value number ' .. i .. ' with some text, ' .. (i * 7919 % 1000003))
  elseif kind < 8 then redis.call('SET', 'int:' .. i, i * 31)
  elseif kind < 10 then redis.call('SET', 'ttl:' .. i, string.rep('abcdef' .. i, 12), 'PX', 100000000 + i)
  elseif kind < 14 then
    redis.call('HSET', 'user:' .. i, 'name', 'user ' .. i, 'age', i % 90, 'email', 'user' .. i .. '@example.com',
      'score', i % 1000 / 7)
  elseif kind < 16 then redis.call('RPUSH', 'list:' .. i, 'a' .. i, 'b' .. i, i, 'another element', 'x')
  elseif kind < 17 then redis.call('SADD', 'set:' .. i, 'm' .. i, 'n' .. i, 'o', i)
  elseif kind < 18 then redis.call('SADD', 'ints:' .. i, i, i + 1, i + 2, i + 70000)
  elseif kind < 19 then redis.call('ZADD', 'zset:' .. i, 1.5, 'm' .. i, 2, 'n' .. i, i, 'o')
  else
    local pairs = {}
    for j = 1, 40 do pairs[#pairs + 1] = 'f' .. j pairs[#pairs + 1] = string.rep('v' .. j .. i, 5) end
    redis.call('HSET', 'big:' .. i, unpack(pairs))
  end
end
"""


def run(quick: bool, say: Say) -> Iterator[Outcome]:
    keys = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="redis-tap-bench-") as directory, some_servers() as servers:
        say(f"making {keys} keys")
        server = servers.start(PREFERRED if PREFERRED in programs() else next(iter(programs())))
        file = Path(directory) / "dump.rdb"
        make(server, keys, file)
        rows: dict[str, Callable[[], Figures]] = {}
        check = check_program(server)
        if check is not None:
            rows[CHECK] = partial(process, [check, str(file)], file)
        if parser.COMPILED:
            rows["summary"] = partial(in_process, file, lambda: Summary())
            rows["keys"] = partial(in_process, file, lambda: KeyReader(lambda keys: None))
            rows["jsonl"] = partial(in_process, file, lambda: JsonLines(lambda text: None), values=True)
        command = [sys.executable, "-m", "tap", "rdb", str(file)]
        rows["redis-tap rdb, whole process"] = partial(process, command, file)
        rows["redis-tap rdb --format jsonl, whole process"] = partial(process, [*command, "--format", "jsonl"], file)
        other = shutil.which("rdb-cli")
        if other is not None:
            rows["rdb-cli json"] = partial(process, [other, str(file), "-l", os.devnull, "json", "-o", os.devnull], file)
        taken = take_turns(rows, 2 if quick else 3, say)
        say("uncompiled")
        taken["summary, not compiled"] = [uncompiled(server, directory)]
        size, version = file.stat().st_size, server.version
    yield Result(
        group="rdb",
        about=f"an RDB of {size / 1e6:.0f} MB with {keys} keys of all kinds, read from the page cache",
        metrics=METRICS,
        rows=taken,
        against=(CHECK, "rdb-cli json"),
        notes=[
            f"Written by {version}. All verify the checksum. summary, keys and jsonl: the engine, without the start "
            "of a process.",
            f"Not compiled: the same sources without a compiler, on {SMALL:,} keys.",
            *([] if check is not None else [f"{CHECK} is left out: not found beside the server or on PATH."]),
            *([] if other is not None else ["rdb-cli (librdb) is left out: not on PATH."]),
        ],
    )


def make(server: Server, keys: int, file: Path) -> None:
    """Fill the server and keep its snapshot as *file*."""
    with redis.Redis(port=server.port, socket_timeout=SAVE_SECONDS) as client:
        client.flushall()
        script = client.register_script(SCRIPT)
        for begin in range(0, keys, BATCH):
            script(args=[begin, min(BATCH, keys - begin)])
        client.save()
    shutil.copy(server.directory / "dump.rdb", file)


def check_program(server: Server) -> str | None:
    beside = server.program.with_name(CHECK)
    return str(beside) if beside.exists() else shutil.which(CHECK)


def figures(file: Path, seconds: float) -> Figures:
    return {"seconds": seconds, "rate": file.stat().st_size / 1e6 / seconds}


def in_process(file: Path, reader: Callable[[], Callable[[Tape], None]], values: bool = False) -> Figures:
    begin = time.perf_counter()
    with file.open("rb", buffering=0) as source:
        done = read(source, reader(), values=values)
    seconds = time.perf_counter() - begin
    assert done.checksum == "ok", done.problem
    return figures(file, seconds)


def process(command: list[str], file: Path) -> Figures:
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise EnvironmentFailure(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-300:]}")
    return figures(file, seconds)


def uncompiled(server: Server, directory: str) -> Figures:
    """A summary by a copy of the sources that has nothing compiled in it."""
    make(server, SMALL, Path(directory) / "small.rdb")
    copy = Path(directory) / "plain"
    shutil.copytree(ROOT / "tap", copy / "tap", ignore=shutil.ignore_patterns("*.so", "*.c", "*.pxd"))
    program = (
        "import sys, time; from tap.rdb import Summary, parser, read; assert not parser.COMPILED;"
        "begin = time.perf_counter(); read(open(sys.argv[1], 'rb', buffering=0), Summary());"
        "print(time.perf_counter() - begin)"
    )
    command = [sys.executable, "-c", program, str(Path(directory) / "small.rdb")]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=True)
    return figures(Path(directory) / "small.rdb", float(done.stdout))
