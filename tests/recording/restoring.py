"""A pair under mixed load, recorded through resyncs; servers that boot from exports of it; and the data they must hold.

The suite runs it for some seconds. `python -m tests.recording.restoring 60 -p-pf--p-- [SERVER...]` runs it for longer.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import redis

from tap.replication import events
from tap.servers.embedded import Server
from tests.recording.support import config
from tests.support import Servers, TapThread, client, digest, follow, is_up, level, programs, some_servers, wait_until

KEYS = 200  # of each type
TAP = [sys.executable, "-m", "tap"]


@dataclass(frozen=True)
class Truth:
    """What the master held at an offset: the counter; and, at a quiet point, the time and the digest."""

    offset: int
    counter: int
    digest: bytes | None = None
    at: float = 0.0


class Load:
    """Writes of every kind by two clients; one of them counts, in two dbs at once, and notes offsets."""

    def __init__(self, master: Server) -> None:
        self.truths: list[Truth] = []
        self.counter = 0
        self._master = master
        self._may_run = threading.Event()
        self._may_run.set()
        self._stop = False
        self._busy = [threading.Lock(), threading.Lock()]
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._loop, args=(job, lock))
            for job, lock in zip((self._count, self._write), self._busy, strict=True)
        ]
        self._random = random.Random(5)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._may_run.set()
        for thread in self._threads:
            thread.join()
        assert not self._failures

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is written inside this context."""
        self._may_run.clear()
        for lock in self._busy:
            lock.acquire()
        try:
            yield
        finally:
            for lock in self._busy:
                lock.release()
            self._may_run.set()

    def _loop(self, job: Any, lock: threading.Lock) -> None:
        try:
            connection = client(self._master)
            while not self._stop:
                self._may_run.wait()
                with lock:
                    job(connection)
        except BaseException as error:
            self._failures.append(error)
            raise

    def _count(self, master: redis.Redis) -> None:
        pipeline = master.pipeline(transaction=False)
        for words in (("MULTI",), ("INCR", "counter"), ("SELECT", 3), ("INCR", "counter"), ("SELECT", 0), ("EXEC",)):
            pipeline.execute_command(*words)
        pipeline.info("replication")
        *_, info = pipeline.execute()
        self.counter += 1
        self.truths.append(Truth(info["master_repl_offset"], self.counter))

    def _write(self, master: redis.Redis) -> None:
        dice = self._random
        pipeline = master.pipeline(transaction=False)
        for _ in range(20):
            number = dice.randrange(KEYS)
            value = dice.randbytes(dice.randrange(1, 300))
            pipeline.execute_command("SELECT", dice.choice([0, 0, 1, 7]))
            pipeline.set(f"string:{number}", value, ex=86_400 + number)
            pipeline.set(f"gone:{number}", value, px=50)
            pipeline.set(f"unset:{number}", "SET 1 2 PX 3")
            pipeline.expire(f"unset:{number}", 90_000)
            pipeline.hset(f"hash:{number % 20}", f"field:{number}", value)
            pipeline.rpush(f"list:{number % 20}", value)
            pipeline.ltrim(f"list:{number % 20}", -50, -1)
            pipeline.sadd(f"set:{number % 10}", number, value)
            pipeline.spop(f"set:{number % 10}")
            pipeline.zadd(f"zset:{number % 10}", {f"member:{number}": dice.random()})
            pipeline.xadd(f"stream:{number % 3}", {"field": value}, maxlen=100)
            pipeline.eval("redis.call('INCR', KEYS[1]) return redis.call('APPEND', KEYS[2], ARGV[1])", 2, "n", "log", "x")
            pipeline.publish("channel", value)
        if dice.random() < 0.005:
            pipeline.set("large", dice.randbytes(3_000_000))
        pipeline.execute()
        time.sleep(0.02)  # otherwise it is as much as the disk takes


def at_rest(load: Load, master: Server, replica: Server) -> Truth:
    """What it holds while nothing is written, and no key waits for its expiry."""
    with load.quiet():
        with client(master) as one:
            for db in (0, 1, 7):
                one.execute_command("SELECT", db)
                wait_until(lambda: not one.exists(*(f"gone:{number}" for number in range(KEYS))))  # this sends DEL
        offset = level(master, replica)
        truth = Truth(offset, load.counter, digest(master), time.time())
        wait_until(lambda: time.time() > truth.at + 0.002)  # another millisecond, in which nothing came
    return truth


def record(servers: Servers, name: str, path: Path, seconds: float, plan: str) -> list[Truth]:
    """A recording, and the truths at its quiet points and at as many others.

    plan: what comes before each quiet point: p a partial resync, f a full one, - none.
    """
    master, replica = servers.start(name, "repl-backlog-size", "64mb"), servers.start(name)
    rests: list[Truth] = []
    holes: list[tuple[int, int]] = []  # offsets between which no replica was there
    with TapThread(config(master.port, path)) as tap, Load(master) as load:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        for step in plan:
            end = time.monotonic() + seconds / len(plan)
            wait_until(lambda: time.monotonic() > end, seconds + 1)  # noqa: B023
            if step == "p":
                before = len(tap.events(events.PartialResync))
                tap.cut()
                tap.wait_for(events.PartialResync, before + 1)
            if step == "f":
                with load.quiet():
                    alone = level(master, replica)
                    client(replica).replicaof("no", "one")
                client(replica).set("of its own", "x")
                follow(replica, tap.port)
                offset = tap.wait_for(events.FullResync, 2).offset
                assert offset is not None
                holes.append((alone, offset))
            wait_until(lambda: is_up(replica))
            rests.append(at_rest(load, master, replica))
        resyncs = len(tap.events(events.PartialResync)), len(tap.events(events.FullResync))
        assert resyncs == (plan.count("p"), plan.count("f") + 1)
    # Offsets at which the replica was there, whatever it was in the middle of.
    seen = [
        one
        for one in load.truths
        if one.offset < rests[-1].offset and not any(begin < one.offset < end for begin, end in holes)
    ]
    return rests + random.Random(3).sample(seen, len(plan))


def export(path: Path, to: str, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [*TAP, "export", str(path), "--to", to, "-o", str(output), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def restored(name: str, directory: Path) -> Iterator[Server]:
    """A server that boots from an exported directory."""
    server = Server(programs()[name], "appendonly", "yes", "appenddirname", "restored", name=name)
    shutil.copytree(directory, server.directory / "restored")
    with server:
        with client(server) as one:
            wait_until(lambda: not one.info("persistence")["loading"], 120)
        yield server


def holds(server: Server, truth: Truth) -> None:
    with redis.Redis(port=server.port) as one, redis.Redis(port=server.port, db=3) as other:
        assert int(one.get("counter") or 0) == int(other.get("counter") or 0) == truth.counter
    if truth.digest is not None:
        assert digest(server) == truth.digest


def until(truth: Truth, number: int) -> str:
    """An offset, or a time at a quiet point, in turn."""
    return datetime.fromtimestamp(truth.at).isoformat() if truth.at and number % 2 else str(truth.offset)


def main(seconds: float, plan: str, names: list[str]) -> None:
    for name in names or list(programs()):
        with some_servers() as servers, tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "one.pcapng"
            boots = name if not name.startswith("redis-6") else "redis-7.0"
            good = refused = 0
            truths = record(servers, name, path, seconds, plan)
            print(f"{name}: recorded {path.stat().st_size / 2**20:.0f} MB", flush=True)
            for number, truth in enumerate(truths):
                out = Path(scratch) / f"aof-{number}"
                said = export(path, "aof", out, "--until", until(truth, number))
                if said.returncode:
                    refused += 1
                    print(said.stderr)
                    continue
                with restored(boots, out) as server:
                    holds(server, truth)
                shutil.rmtree(out)
                good += 1
            print(f"{name}: {good} restores into {boots} held what the master did, {refused} refused", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2], sys.argv[3:])
