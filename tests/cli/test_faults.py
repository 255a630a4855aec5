"""`redis-tap faults`: the list, and the page of each fault."""

from __future__ import annotations

import json

from tests.cli.typed import tap

# ---- faults ----


def test_the_list_of_faults_is_complete_and_each_has_a_page() -> None:
    said = tap("faults").stdout
    for word in ("cut", "rewrite", "at=PLACE", "rdb:key:1000", "from=master|replica|both", "[default: 1]"):
        assert word in said
    assert "[latency=]TIME" in tap("faults", "delay").stdout
    assert "rdb:key:1000" in tap("faults", "cut").stdout
    assert "Places" not in tap("faults", "refuse").stdout
    assert "--destructive" in tap("faults", "truncate").stdout
    assert {fault["fault"] for fault in json.loads(tap("faults", "--json").stdout)} >= {"cut", "answer"}
    unknown = tap("faults", "dealy")
    assert (unknown.returncode, "Did you mean 'delay'?" in unknown.stderr) == (2, True)


def test_json_of_one_fault_is_that_fault_alone() -> None:
    [one] = json.loads(tap("faults", "delay", "--json").stdout)
    assert one["fault"] == "delay"
