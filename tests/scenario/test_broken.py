"""Chaos notices a broken tap, each of broken.py, and says how it is broken."""

from __future__ import annotations

import asyncio
import re

import pytest

from tap.scenario import Result
from tap.scenario.campaign import Campaign
from tap.scenario.load import find
from tests.conftest import need
from tests.scenario.broken import BROKEN, broken
from tests.support import programs, versions

CUTS = ("cut-in-command", "cut-at-any-byte")
FLAPPING = ("flapping-link",)
STREAMS = ("stall-shorter-than-timeout", "loading-master")

# By defect: scenarios, and what one of them at least says, "name: found".
SEEN = {
    "a_byte_of_a_value_is_flipped": (STREAMS, r"converged: different: .*\(another value\).*some came changed, or in"),
    "a_byte_is_passed_on_twice": (STREAMS, r"bytes: it has applied 1 bytes more: some came twice"),
    "two_commands_are_swapped": (STREAMS, r"converged: different: .*\(in another order\)"),
    "a_command_is_told_and_not_passed_on": (STREAMS, r"bytes: it has applied \d+ bytes less"),
    "a_command_is_passed_on_twice": (STREAMS, r"bytes: it has applied \d+ bytes more: some came twice"),
    "one_ack_in_ten_is_dropped": (STREAMS, r"acks: the master heard \d+: [12] of \d+ did not reach it"),
    "one_ack_in_ten_is_passed_on_twice": (STREAMS, r"acks: the master heard \d+: [12] more than the tap reports"),
    "the_last_command_before_a_cut_is_swallowed": (
        (*CUTS, *FLAPPING),
        r"cut: the replica asks again for what follows .* bytes of that",
    ),
    "a_fault_tells_that_it_cut_and_did_not": (FLAPPING, r"cut: fault cut-1 reports that it cut main/\d+ .* still there"),
    "a_delay_does_not_delay": (("slow-link",), r"delay: one was acknowledged after \d+\.\d ms"),
    "a_stall_does_not_stall": (("stall-in-stream",), r"stall: fault stall-1 reports .* the replica acknowledges \d+"),
    "the_offset_of_commands_is_one_too_high": (STREAMS, r"offsets: commands of main/\d+ reports offset \d+; byte"),
    "the_offset_of_a_fault_is_one_too_low": (CUTS, r"offsets: fault_fired of main/\d+ reports offset \d+; byte"),
    "the_offset_of_a_closed_link_is_one_too_high": (CUTS, r"offsets: fault cut-1 reports .* and link_closed that"),
    "the_offset_of_an_ack_is_one_too_low": (STREAMS, r"offsets: the replica last acknowledged \d+, as the tap reports"),
    "a_reconnect_is_not_told": (
        FLAPPING,
        r"counters: the master counts sync_full \+0, sync_partial_ok \+\d; the tap",
    ),
}


def results(server: str, scenarios: tuple[str, ...], seed: int = 7) -> list[Result]:
    async def story() -> list[Result]:
        campaign = Campaign(
            scenarios=[find(name) for name in scenarios], programs=[(programs()[server], server)], seed=seed
        )
        return [result async for result in campaign.results()]

    return asyncio.run(story())


def said(found: list[Result]) -> list[str]:
    return [f"{verdict.name}: {verdict.found}" for result in found for verdict in result.verdicts if not verdict.met] + [
        result.failure for result in found if result.failure
    ]


def test_each_broken_tap_has_scenarios_that_notice_it() -> None:
    assert set(SEEN) == set(BROKEN)


# A defect in the data, and one at a cut.
QUICK = ("two_commands_are_swapped", "the_last_command_before_a_cut_is_swallowed")


@pytest.mark.long
@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SEEN])
def test_a_broken_tap_turns_scenarios_red_and_is_named(any_server: str, name: str) -> None:
    scenarios, words = SEEN[name]
    lines: list[str] = []
    with broken(name):
        for scenario in scenarios:
            lines += said(results(any_server, (scenario,)))
            if any(re.match(words, line) for line in lines):
                return
    pytest.fail("\n".join(lines) or "all are met")


@pytest.mark.long
@pytest.mark.parametrize("name", versions(["redis-6.2", "valkey-newest"], quick=["redis-6.2"]))
@pytest.mark.servers
def test_an_honest_tap_turns_none_of_them_red(name: str) -> None:
    """Of the others, the whole library is met."""
    found = results(need(name), (*CUTS, *FLAPPING, *STREAMS, "slow-link", "stall-in-stream"))
    assert not said(found)
    for result in found:
        (tap,) = (verdict for verdict in result.verdicts if verdict.name == "tap")
        assert re.fullmatch(r"compared: \d+ offsets?, [1-9]\d* commands?, \d+ ACKs?, \d+ cuts?", tap.found)
