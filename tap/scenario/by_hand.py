"""What gives a running pair back what it had, for whoever has to do it: a run that is killed cleans nothing up."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Sequence

from redis.exceptions import RedisError

from tap.errors import EnvironmentFailure
from tap.replication.passwords import is_secret_setting
from tap.scenario.load import Scenario
from tap.scenario.pair import Node, Pair, introduced
from tap.scenario.run import PRIVATE, can_run
from tap.scenario.workload import PREFIX
from tap.url import Url


async def undoing(master: Url, replica: Url, scenarios: Sequence[Scenario], *, tap_speaks_tls: bool) -> list[str]:
    """Shell commands, without passwords: redis-cli takes them from REDISCLI_AUTH. None where the pair cannot be asked,
    which the runs will tell.
    """
    nodes = Node("master", master), Node("replica", replica)
    try:
        return [line async for line in _commands(*nodes, scenarios, tap_speaks_tls)]
    except (RedisError, OSError, EnvironmentFailure):
        return []
    finally:
        for node in nodes:
            await node.disconnect()


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
            for name, value in (await node.options(option)).items():
                if (name, value) != ("tls-replication", "no") and name not in PRIVATE:
                    yield _set(node, name, value)
    followed = (str(info["master_host"]), str(info["master_port"])) if info["role"] == "slave" else ("NO", "ONE")
    yield _cli(replica, "REPLICAOF", *followed)
    yield f"{_cli(master, '--scan', '--pattern', f'{PREFIX}*')} | xargs -r {_cli(master, 'UNLINK')}"


def _changed(scenario: Scenario, node: Node) -> set[str]:
    """The options of that server that the scenario changes."""
    of_node = scenario.master if node.name == "master" else scenario.replica
    steps = [step.do for step in scenario.steps if step.do is not None and step.do.verb == "set"]
    return {*scenario.both, *of_node, *(action.words[0] for action in steps if action.target == node.name)}


def _set(node: Node, option: str, value: str) -> str:
    """A secret is not shown: its line is a comment, so that none is set to what stands there in its place."""
    if is_secret_setting(option.encode()):
        return f"# {_cli(node, 'CONFIG', 'SET', option)} '***'"
    return _cli(node, "CONFIG", "SET", option, value)


def _cli(node: Node, *words: str) -> str:
    address, url = node.address, node.url
    where = ["-s", address.path] if address.path else ["-h", address.host, "-p", str(address.port)]
    if url.tls:
        where.append("--tls")
    if url.username:
        where += ["--user", url.username]
    if node.db:
        where += ["-n", str(node.db)]
    return shlex.join(["redis-cli", *where, *words])
