"""What could not be read is said once, and nothing is found because of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tap.operate.doctor import examination
from tap.operate.doctor.check import findings
from tap.operate.doctor.pair_facts import PairFacts
from tests.operate.doctor.pairs import CONFIG, DOWN, found, pair

NO_CONFIG = dict.fromkeys(CONFIG)
REFUSED = {"CONFIG GET": "unknown command 'CONFIG'"}


def managed(facts: PairFacts) -> PairFacts:
    """Both servers without CONFIG."""
    (one,) = facts.replicas
    return replace(
        facts,
        master=replace(facts.master, config={}, refused=REFUSED),
        replicas=(replace(one, server=replace(one.server, config={}, refused=REFUSED)),),
    )


@pytest.mark.parametrize("facts", [pair(), pair(written=(0, 10**9)), pair(master={"rdb_last_bgsave_time_sec": 1000})])
def test_servers_without_config_are_not_called_broken(facts: PairFacts) -> None:
    done = examination.judge(managed(facts))
    assert [(one.code, one.server, one.severity) for one in done.lacking] == [
        ("options_unread", "10.0.0.5:6379", "note"),
        ("options_unread", "10.0.0.5:6380", "note"),
    ]
    assert done.healthy is None
    assert done.lacking[0].evidence[0].value == "unknown command 'CONFIG'"


def test_a_link_that_is_down_is_found_without_config() -> None:
    assert examination.judge(managed(pair(replica=DOWN))).healthy is False


def test_unread_rights_and_clocks_lack_nothing_that_matters() -> None:
    facts = pair(allowed={"ping": True, "replconf": None, "psync": None})
    facts = replace(facts, master=replace(facts.master, refused={"TIME": "NOPERM"}))
    assert set(found(facts)) == {"rights_unread", "clock_unread"}
    assert "REPLCONF, PSYNC" in found(facts)["rights_unread"].text
    assert examination.judge(facts).healthy is True


def test_a_master_that_wrote_nothing_is_said_to() -> None:
    assert "no_writes" in {one.code for one in findings(pair())}
    assert "no_writes" not in {one.code for one in findings(pair(written=(0, 1)))}
