"""Writing while an experiment runs, to a real master."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tap.scenario.pair import Pair
from tap.scenario.stage import until
from tap.scenario.workload import Workload
from tests.scenario.support import on_pair
from tests.support import WITHIN, wait_inside

EVERY_TYPE: set[bytes | str] = {b"string", b"hash", b"list", b"set", b"zset", b"stream"}


def test_it_writes_every_type_into_several_dbs_with_expiries_and_big_values(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> tuple[set[bytes | str], Mapping[str, str]]:
        workload = Workload(pair.master, seed=3, rate=2000)
        await workload.preload(300_000)
        workload.start()
        await wait_inside(lambda: workload.written >= 2500)
        await workload.stop()
        client = pair.master.client
        kinds = {await client.ask("TYPE", key) for key in await client.ask("KEYS", "*")}
        keyspace = await client.info("keyspace")
        before = await client.replication()
        await client.close()  # the server executes what is still in a socket before it sees the end

        async def is_alone() -> bool:
            return bytes(await client.ask("CLIENT", "LIST", "TYPE", "NORMAL")).count(b"\n") == 1

        await until(is_alone, WITHIN)
        assert before.master_repl_offset == (await client.replication()).master_repl_offset
        assert not workload.refused
        assert not workload.running
        return kinds, keyspace.fields

    kinds, keyspace = on_pair(any_server, tmp_path, job)
    assert kinds == EVERY_TYPE
    assert set(keyspace) == {"db0", "db1", "db3"}
    assert ",expires=0" not in keyspace["db0"]


def test_the_seed_decides_every_command(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> list[bytes]:
        digests = []
        for seed in (3, 3, 4):
            await pair.master.client.ask("FLUSHALL")
            # without streams, whose IDs are the master's clock
            await Workload(pair.master, seed=seed, rate=1).preload(100_000)
            for db in (0, 1, 3):
                for key in await pair.master.client.ask("KEYS", "*", db=db):
                    if await pair.master.client.ask("TYPE", key, db=db) == b"stream":
                        await pair.master.client.ask("DEL", key, db=db)
            digests.append(await pair.master.client.ask("DEBUG", "DIGEST"))
        return digests

    first, second, third = on_pair(any_server, tmp_path, job)
    assert first == second != third


def test_refused_writes_are_counted_and_a_lost_master_is_survived(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> Workload:
        workload = Workload(pair.master, seed=3, rate=500)
        await pair.master.options.set("min-replicas-to-write", "1")
        workload.start()
        await wait_inside(lambda: workload.refused)
        await pair.master.options.set("min-replicas-to-write", "0")
        await pair.master.kill()
        await wait_inside(lambda: workload.unreachable)
        await pair.master.start()
        written = workload.written
        await wait_inside(lambda: workload.written > written)
        await workload.stop()
        return workload

    workload = on_pair(any_server, tmp_path, job)
    assert set(workload.refused) <= {"NOREPLICAS", "EXECABORT", "ERR"}  # EXEC without MULTI: Redis 6.2


def test_each_write_of_the_ledger_lies_before_its_offset(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> Workload:
        await pair.replica.follow(pair.master.address)
        workload = Workload(pair.master, seed=3, rate=500, ledger=True)
        workload.start()
        await wait_inside(lambda: len(workload.ledger) >= 5 and workload.ledger[-1].offset)
        await workload.stop()
        offset = (await pair.master.client.replication()).master_repl_offset
        assert all(one.offset <= offset for one in workload.ledger)
        for one in workload.ledger:
            assert await pair.master.client.ask("GET", one.key) == one.value.encode()
        return workload

    offsets = [one.offset for one in on_pair(any_server, tmp_path, job).ledger]
    assert offsets == sorted(offsets)


def test_its_keys_are_removed_and_no_others(any_server: str, tmp_path: Path) -> None:
    async def job(pair: Pair) -> int:
        await pair.master.client.ask("SET", "mine", "1")
        workload = Workload(pair.master, seed=3, rate=500)
        await workload.preload(50_000)
        await workload.clean()
        return sum((await pair.master.client.info("keyspace")).keyspace.values())

    assert on_pair(any_server, tmp_path, job) == 1
