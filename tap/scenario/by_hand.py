"""Shell commands that undo, by hand, what runs change on a given pair: a run that is killed restores nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tap.errors import EnvironmentFailure
from tap.scenario.experiment import PRIVATE, can_run
from tap.scenario.load import Scenario
from tap.scenario.pair import Node, Pair, introduced
from tap.scenario.workload import PREFIX
from tap.servers.failures import FAILURES
from tap.servers.shell import config_set, redis_cli, replicaof
from tap.url import Url


async def undoing(master: Url, replica: Url, scenarios: Sequence[Scenario], *, tap_speaks_tls: bool) -> list[str]:
    """The commands, without passwords: redis-cli takes those from REDISCLI_AUTH.

    Empty when the pair does not answer, which the runs will report.
    """
    nodes = Node("master", master), Node("replica", replica)
    try:
        return [line async for line in _commands(*nodes, scenarios, tap_speaks_tls)]
    except (*FAILURES, EnvironmentFailure):
        return []
    finally:
        for node in nodes:
            await node.client.close()


async def _commands(
    master: Node, replica: Node, scenarios: Sequence[Scenario], tap_speaks_tls: bool
) -> AsyncIterator[str]:
    await introduced(master)
    info = await introduced(replica)
    pair = Pair(master, replica, given=True)
    scenarios = [one for one in scenarios if one.fits(master.version) and can_run(one, pair)]
    if not scenarios:
        return
    for node in (master, replica):
        changed = {option for scenario in scenarios for option in _changed(scenario, node)}
        if node is replica and not tap_speaks_tls:
            changed.add("tls-replication")
        for option in sorted(changed):
            for name, value in (await node.options.get(option)).items():
                if (name, value) != ("tls-replication", "no") and name not in PRIVATE:
                    yield config_set(node.url, name, value)
    yield replicaof(replica.url, info.master)
    scan = redis_cli(master.url, "--scan", "--pattern", f"{PREFIX}*")
    yield f"{scan} | xargs -r {redis_cli(master.url, 'UNLINK')}"


def _changed(scenario: Scenario, node: Node) -> set[str]:
    """The options that the scenario changes on that server."""
    of_node = scenario.master if node.name == "master" else scenario.replica
    steps = [step.do for step in scenario.steps if step.do is not None and step.do.verb == "set"]
    return {*scenario.both, *of_node, *(action.words[0] for action in steps if action.target == node.name)}
