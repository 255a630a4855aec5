"""Why it was a full resync, of real servers, where an obvious cause is not the true one."""

from __future__ import annotations

import os
import shutil
import signal

import pytest

from tap.config import Config, LinkConfig
from tap.replication import events
from tap.replication.events import Reason
from tap.servers.embedded import Server
from tap.url import Address
from tests.conftest import need
from tests.support import Servers, TapThread, client, follow, is_up, level, master_offset, versions, wait_until

NAMES = versions(["redis-7.0", "redis-newest", "valkey-newest"])


class Taps(TapThread):
    """A tap with a link in front of each server, by name. is_asking: it may ask each about itself."""

    def __init__(self, is_asking: bool = False, **masters: Server) -> None:
        super().__init__(
            Config(
                links=tuple(
                    LinkConfig(
                        name=name,
                        master=Address("127.0.0.1", one.port),
                        listen="127.0.0.1:0",
                        inspect=f"redis://127.0.0.1:{one.port}" if is_asking else None,
                    )
                    for name, one in masters.items()
                )
            )
        )

    def hears(self, link: str, **fields: object) -> None:
        """Wait until the master of the link has said this of itself."""

        def has_said() -> bool:
            said = next(one.inspected for one in self.tap.status().links if one.name == link)
            return said is not None and all(getattr(said, name) == value for name, value in fields.items())

        wait_until(has_said, what=f"{link} says {fields}")

    def port_of(self, link: str) -> int:
        return next(one.address.port for one in self.tap.status().links if one.name == link)

    def follow(self, replica: Server, link: str) -> None:
        follow(replica, self.port_of(link))
        wait_until(lambda: is_up(replica))

    def reasons(self, link: str) -> list[Reason]:
        return [
            told.event.reason for told in self.told if told.link == link and isinstance(told.event, events.FullResync)
        ]


@pytest.mark.parametrize("name", NAMES)
def test_a_backlog_that_was_freed_is_among_the_causes_of_an_id_that_is_not_known(
    servers: Servers, name: str, nobody: int
) -> None:
    master, replica = servers.start(name, "repl-backlog-ttl", "1"), servers.start(name)
    with Taps(a=master) as tap:
        tap.follow(replica, "a")
        level(master, replica)
        former = client(master).info("replication")["master_replid"]
        follow(replica, nobody)
        wait_until(lambda: client(master).info("replication")["master_replid"] != former)
        tap.follow(replica, "a")
        reason = tap.reasons("a")[-1]
        assert reason.code == "replication_id_unknown"
        assert reason.causes == ("backlog_freed", "master_restarted", "master_replaced")
        assert (reason.known_from, "restarted" in reason.text) == ("wire", False)


@pytest.mark.parametrize("name", NAMES)
def test_a_master_that_is_back_from_an_older_snapshot_says_how_much_is_lost(servers: Servers, name: str) -> None:
    master, replica = servers.start(name, "save", ""), servers.start(name)
    with Taps(a=master) as tap:
        tap.follow(replica, "a")
        client(master).set("in", "the snapshot")
        level(master, replica)
        wait_until(lambda: not client(master).info("persistence")["rdb_bgsave_in_progress"])
        saved = master_offset(master)
        client(master).save()
        for number in range(100):
            client(master).set(f"key:{number}", "v" * 100)
        held = level(master, replica)
        os.kill(master.pid, signal.SIGKILL)
        back = Server(master.program, "port", str(master.port), name=name)
        shutil.copy(master.directory / "dump.rdb", back.directory / "dump.rdb")
        wait_until(lambda: not is_up(replica))
        with back:
            wait_until(lambda: len(tap.reasons("a")) == 2)
            reason = tap.reasons("a")[-1]
            assert reason.causes[0] == "older_snapshot"
            granted = tap.events(events.FullResync)[-1].offset
            assert granted is not None
            assert saved <= granted < held
            assert f"{held - granted} bytes lower" in reason.text
            assert f"at least {held - granted} bytes of writes that the replica holds are lost" in reason.inference


@pytest.mark.parametrize("name", NAMES)
def test_a_master_that_resynced_in_full_itself_has_a_new_backlog(servers: Servers, name: str, nobody: int) -> None:
    top = servers.start(name, "repl-backlog-size", "16kb")
    middle, replica = servers.start(name), servers.start(name)
    with Taps(top=top, middle=middle) as tap:
        tap.follow(middle, "top")
        tap.follow(replica, "middle")
        client(top).set("key", "value")
        level(top, middle, replica)
        follow(middle, nobody)
        for number in range(100):
            client(top).set("big", str(number) * 20_000)
        tap.follow(middle, "top")
        wait_until(lambda: len(tap.reasons("middle")) == 2)
        assert tap.reasons("top")[-1].causes == ("backlog_too_small", "backlog_reset")
        assert tap.reasons("middle")[-1].causes == ("backlog_reset",)
        assert "no repl-backlog-size of this master would have saved it" in tap.reasons("middle")[-1].text
        wait_until(lambda: is_up(replica))


@pytest.mark.parametrize("name", NAMES)
def test_pings_that_were_written_after_a_promotion_are_no_lost_writes(servers: Servers, name: str) -> None:
    old = servers.start(name, "repl-ping-replica-period", "1")
    new, other = servers.start(name), servers.start(name)
    with Taps(old=old, new=new) as tap:
        tap.follow(new, "old")
        tap.follow(other, "old")  # without a replica a master writes no PINGs
        client(old).set("key", "value")
        written = level(old, new, other)
        wait_until(lambda: master_offset(old) >= written + 3 * 14)  # so the write is in a batch before the promotion
        level(old, new, other)
        client(new).execute_command("REPLICAOF", "NO", "ONE")
        branch = client(new).info("replication")["second_repl_offset"] - 1
        wait_until(lambda: master_offset(old) >= branch + 2 * 14)
        tap.follow(old, "new")
        reason = tap.reasons("new")[-1]
        assert (reason.code, reason.causes) == ("offset_ahead_of_master", ("promoted_before",))
        assert "bytes more, PINGs and no writes, as other connections show: nothing is lost" in reason.text


# ---- with what the masters say ----

ASKED = ["redis-7.0", *(pytest.param(name, marks=pytest.mark.slow) for name in ("redis-newest", "valkey-newest"))]


@pytest.mark.parametrize("name", ASKED)
def test_a_master_that_is_asked_says_that_it_has_freed_its_backlog(servers: Servers, name: str, nobody: int) -> None:
    master, replica = servers.start(name, "repl-backlog-ttl", "1"), servers.start(name)
    with Taps(is_asking=True, a=master) as tap:
        tap.follow(replica, "a")
        level(master, replica)
        former = client(master).info("replication")["master_replid"]
        tap.hears("a", replid=former)
        follow(replica, nobody)
        wait_until(lambda: client(master).info("replication")["master_replid"] != former)
        tap.hears("a", replid=client(master).info("replication")["master_replid"])
        tap.follow(replica, "a")
        reason = tap.reasons("a")[-1]
        assert (reason.code, reason.causes) == ("replication_id_unknown", ("backlog_freed",))
        assert (reason.known_from, reason.inference) == ("master", "")
        assert "the same process" in reason.text


@pytest.mark.parametrize("name", ASKED)
def test_a_master_that_is_asked_says_what_an_older_snapshot_costs(servers: Servers, name: str) -> None:
    """To the byte: the offset at the snapshot is where its former history ends."""
    master, replica = servers.start(name, "save", ""), servers.start(name)
    with Taps(is_asking=True, a=master) as tap:
        tap.follow(replica, "a")
        client(master).set("in", "the snapshot")
        level(master, replica)
        former = client(master).info("replication")["master_replid"]
        tap.hears("a", replid=former)
        wait_until(lambda: not client(master).info("persistence")["rdb_bgsave_in_progress"])
        client(master).save()
        for number in range(100):
            client(master).set(f"key:{number}", "v" * 100)
        held = level(master, replica)
        os.kill(master.pid, signal.SIGKILL)
        back = Server(master.program, "port", str(master.port), name=name)
        shutil.copy(master.directory / "dump.rdb", back.directory / "dump.rdb")
        wait_until(lambda: not is_up(replica))
        follow(replica, 1)
        with back:
            info = client(back).info("replication")
            assert info["master_replid2"] == former
            tap.hears("a", replid=info["master_replid"])
            tap.follow(replica, "a")
            reason = tap.reasons("a")[-1]
            assert (reason.code, reason.known_from) == ("offset_ahead_of_master", "master")
            assert reason.causes == ("older_snapshot", "promoted_before")
            branch = info["second_repl_offset"] - 1
            told = int(reason.text.split(": ")[1].split(" ")[0])
            assert f"up to offset {branch} (second_repl_offset in its INFO)" in reason.text
            assert told == past(tap) - branch
            assert held <= past(tap)


def past(tap: Taps) -> int:
    """What the replica had when it asked last."""
    return tap.events(events.PsyncRequested)[-1].offset - 1


@pytest.mark.parametrize("name", ASKED)
def test_a_master_that_is_asked_says_that_it_is_a_replica_with_a_new_backlog(
    servers: Servers, name: str, nobody: int
) -> None:
    """The tap is in front of the middle server only."""
    top = servers.start(name, "repl-backlog-size", "16kb")
    middle, replica = servers.start(name), servers.start(name)
    with Taps(is_asking=True, middle=middle) as tap:
        follow(middle, top.port)
        wait_until(lambda: is_up(middle))
        tap.follow(replica, "middle")
        client(top).set("key", "value")
        level(top, middle, replica)
        follow(replica, nobody)
        follow(middle, nobody)
        for number in range(100):
            client(top).set("big", str(number) * 20_000)
        follow(middle, top.port)
        offset = level(top, middle)
        tap.hears("middle", role="slave", offset=offset)
        tap.follow(replica, "middle")
        reason = tap.reasons("middle")[-1]
        assert (reason.code, reason.causes) == ("offset_out_of_backlog", ("backlog_reset",))
        assert (reason.known_from, reason.inference) == ("master", "")


@pytest.mark.parametrize("name", ASKED)
def test_a_master_that_is_asked_says_where_it_was_promoted(servers: Servers, name: str) -> None:
    """The tap is in front of the new master only, and its history before the promotion went another way."""
    old = servers.start(name, "repl-ping-replica-period", "1")
    new, other = servers.start(name), servers.start(name)
    with Taps(is_asking=True, new=new) as tap:
        for one in (new, other):
            follow(one, old.port)
            wait_until(lambda one=one: is_up(one))  # type: ignore[misc]
        client(old).set("key", "value")
        level(old, new, other)
        client(new).execute_command("REPLICAOF", "NO", "ONE")
        info = client(new).info("replication")
        branch = info["second_repl_offset"] - 1
        tap.hears("new", replid=info["master_replid"])
        wait_until(lambda: master_offset(old) >= branch + 2 * 14)
        tap.follow(old, "new")
        reason = tap.reasons("new")[-1]
        assert (reason.code, reason.causes) == ("offset_ahead_of_master", ("promoted_before",))
        assert (reason.known_from, reason.inference) == ("master", "")
        assert f"up to offset {branch} (second_repl_offset in its INFO)" in reason.text
        assert f": {past(tap) - branch} bytes more, " in reason.text


@pytest.mark.parametrize("name", ["redis-6.2", "redis-7.0"])
def test_a_connection_that_breaks_before_psync_is_answered_costs_redis_6_its_history(servers: Servers, name: str) -> None:
    master, replica = servers.start(need(name)), servers.start(name)
    with Taps(a=master) as tap:
        tap.follow(replica, "a")
        client(master).set("key", "value")
        level(master, replica)
        tap.call(lambda: tap.tap.faults.add("stall from=replica at=psync name=unanswered"))
        tap.cut()
        tap.wait_for(events.FaultFired)
        tap.cut()
        tap.call(lambda: tap.tap.faults.remove("unanswered"))
        if name == "redis-7.0":
            tap.wait_for(events.PartialResync)
            assert len(tap.reasons("a")) == 1
            return
        wait_until(lambda: len(tap.reasons("a")) == 2)
        reason = tap.reasons("a")[-1]
        assert (reason.code, reason.causes[0]) == ("first_sync", "psync_unanswered")
        assert "its last connection ended before it had acknowledged an answer to PSYNC" in reason.text
        assert "Unexpected reply to PSYNC" in replica.log
