"""An examination on the screen and as JSON: the worst first, commands whole, nothing from outside obeyed."""

from __future__ import annotations

import json
from dataclasses import replace

from tap.console import doctor_report
from tap.operate.doctor import examination
from tap.operate.doctor.pair_facts import ReplicaFacts, ServerFacts
from tap.url import Address, Url
from tests.operate.doctor.pairs import DOWN, pair

MB = 2**20


def text(done: examination.Examination, width: int = 0) -> str:
    return "\n".join(line.plain for line in doctor_report.lines(done, width))


def test_the_worst_comes_first_and_how_the_pair_stands_last() -> None:
    done = examination.judge(
        pair(replica=DOWN, of_master={"repl-backlog-size": str(MB), "protected-mode": "no"}, written=(0, MB))
    )
    assert (
        text(done)
        == """\
BROKEN  10.0.0.5:6380  link_down
  its link to the master has been down for 7 s; the replica's log says what it waits for
    master_host: 10.0.0.5  (INFO of 10.0.0.5:6380)
    master_port: 6379  (INFO of 10.0.0.5:6380)
    master_link_status: down  (INFO of 10.0.0.5:6380)
    master_link_down_since_seconds: 7  (INFO of 10.0.0.5:6380)
  redis-cli -h 10.0.0.5 -p 6380 CONFIG GET logfile

WARNING 10.0.0.5:6380  stale_reads
  while its link is down, this replica answers reads from old data
    replica-serve-stale-data: yes  (CONFIG of 10.0.0.5:6380)
  # to have it refuse them instead (MASTERDOWN):
  # redis-cli -h 10.0.0.5 -p 6380 CONFIG SET replica-serve-stale-data no

WARNING 10.0.0.5:6379  backlog_too_small
  at the peak rate of 1.0 MB/s the backlog of 1.0 MB covers an outage of 1.0 s; a longer one costs a full resync. \
For 60 s it needs 1.0 MB/s x 60 s x 1.5 (margin) = 90mb
    repl-backlog-size: 1048576  (CONFIG of 10.0.0.5:6379)
    peak write rate: 1.0 MB/s  (master_repl_offset in INFO of 10.0.0.5:6379, for 1 s)
    mean write rate: 1.0 MB/s  (master_repl_offset in INFO of 10.0.0.5:6379, for 1 s)
  # on each replica that may become the master, too:
  redis-cli -h 10.0.0.5 -p 6379 CONFIG SET repl-backlog-size 90mb

CONFIG SET lasts until the server restarts: CONFIG REWRITE writes it to its file.

master 10.0.0.5:6379: Redis 7.0.15, wrote up to 1.0 MB/s, 1.0 MB/s on average, in 1.0 s, backlog 1.0 MB \
(1.0 s at that peak), 10.0 MB in memory, 1 replica
replica 10.0.0.5:6380: Redis 7.0.15, follows 10.0.0.5:6379, link down, 0 B to go at the end of the watch
not healthy (1 broken, 2 warnings)"""
    )


def test_sentences_are_wrapped_and_commands_are_not() -> None:
    lines = text(examination.judge(pair(of_master={"save": ""}, written=(0, 1))), 40).split("\n")
    assert lines[1].startswith("  the master keeps nothing on its disk:")
    assert all(len(line) <= 40 for line in lines[1:6])
    assert "  redis-cli -h 10.0.0.5 -p 6379 CONFIG SET save '3600 1 300 100 60 10000'" in lines


def test_only_commands_are_wider_than_the_terminal() -> None:
    done = examination.judge(pair(replica=DOWN, of_master={"repl-backlog-size": str(MB)}, written=(0, MB)))
    lines = text(done, 50).split("\n")
    assert [line for line in lines if len(line) > 50 and not line.startswith(("  redis-cli ", "  # "))] == []
    assert "    peak write rate: 1.0 MB/s  (master_repl_offset" in lines
    assert "      in INFO of 10.0.0.5:6379, for 1 s)" in lines
    assert " ".join(" ".join(lines).split()) == " ".join(text(done).split())


def test_a_healthy_pair_is_said_to_be_one() -> None:
    said = text(examination.judge(pair(written=(0, 1)))).splitlines()
    assert said[-2:] == [
        "replica 10.0.0.5:6380: Redis 7.0.15, follows 10.0.0.5:6379, link up, 0 B to go at the end of the watch",
        "healthy: nothing is broken",
    ]


def test_what_could_not_be_read_shows_in_the_last_line() -> None:
    facts = pair(written=(0, 1))
    gone = ReplicaFacts(ServerFacts(Url(Address("10.0.0.6", 6380)), failure="Authentication required"), given=False)
    alone = ReplicaFacts(replace(facts.replicas[0].server, info=facts.master.info))
    said = text(examination.judge(replace(facts, replicas=(gone,)))).splitlines()
    assert said[-2:] == [
        "replica 10.0.0.6:6380: Authentication required",
        "nothing broken was found, but not everything could be read (1 note)",
    ]
    assert "follows no master" in text(examination.judge(replace(facts, replicas=(alone,))))


def test_text_of_a_server_is_escaped() -> None:
    said = text(examination.judge(pair(replica={**DOWN, "master_host": "a\x1b[2Jb\nforged"})))
    assert "\x1b" not in said
    assert "forged" not in {line.strip()[:6] for line in said.splitlines()}


def test_json_is_one_object_with_all_that_was_found() -> None:
    done = examination.judge(pair(replica=DOWN, written=(0, MB), of_replica={"save": None}))
    said = json.loads(doctor_report.json_object(done))
    assert said["healthy"] is False
    assert [one["code"] for one in said["findings"]] == [one.code for one in done.findings]
    assert said["findings"][0]["evidence"][0] == {
        "what": "master_host",
        "value": "10.0.0.5",
        "source": "INFO of 10.0.0.5:6380",
    }
    assert (said["watched_seconds"], said["peak_bytes_per_second"], said["mean_bytes_per_second"]) == (1.0, MB, MB)
    assert said["master"]["version"] == "Redis 7.0.15"
    assert said["replicas"][0]["link"] == "down"
    gone = ReplicaFacts(ServerFacts(Url(Address("10.0.0.6", 6380)), failure="Connection refused"))
    said = json.loads(doctor_report.json_object(examination.judge(pair(replicas=(gone,)))))
    assert said["replicas"] == [
        {
            "address": "10.0.0.6:6380",
            "failure": "Connection refused",
            "version": None,
            "role": None,
            "replication_id": None,
            "offset": None,
            "given": True,
            "link": None,
            "lag_bytes": None,
        }
    ]
