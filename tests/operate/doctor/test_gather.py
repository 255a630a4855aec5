"""Real servers are asked: what they say, what they refuse, and where a login goes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tap.errors import EnvironmentFailure
from tap.operate.doctor import examination
from tap.operate.doctor import gather as gathering
from tap.operate.doctor.pair_facts import HIDDEN, PairFacts
from tap.url import Address, Url
from tests.operate.doctor.pasting import codes, examined, finds, paste
from tests.servers.standin import StandIn, following, stand_ins
from tests.support import Servers, client, follow, is_up, wait_until

SECRET = "wJalrXUtnFEMI"


def gather(master: str | Url, *replicas: str | Url, seconds: float = 0.01) -> PairFacts:
    urls = [one if isinstance(one, Url) else Url.parse(one) for one in (master, *replicas)]
    return asyncio.run(gathering.gather(urls[0], urls[1:], seconds, 60, lambda _: None))


def test_a_pair_of_each_version_is_read(servers: Servers, server_name: str) -> None:
    """And a login that is missing or wrong, and rights that are missing, are found and mended by what is pasted."""
    master, replica = servers.start(server_name), servers.start(server_name)
    follow(replica, master.port)
    wait_until(lambda: is_up(replica))
    facts = gather(master.url)
    (one,) = facts.replicas
    assert one.server.url.address.port == replica.port
    assert one.server.version == facts.master.version == replica.version
    assert one.dial is not None
    assert one.dial.run_id == facts.master.info.server.run_id
    assert one.allowed == {"ping": True, "replconf": True, "psync": True}
    assert facts.master.number("repl-timeout") == 60
    assert facts.master.output_buffer_limit == (256 * 2**20, 64 * 2**20, 60)
    assert facts.master.clock is not None
    assert abs(facts.master.clock) < 1
    assert [dial.failure for dial in facts.announced] == [None]
    assert not [found for found in examined(master.url).findings if found.severity == "broken"]

    rules = ("on", f">{SECRET}", "-@all", "+ping", "+info")
    client(master).execute_command("ACL", "SETUSER", "repl", *rules)
    client(replica).config_set("masteruser", "repl")
    client(replica).config_set("masterauth", "wrong")
    client(master).execute_command("CLIENT", "KILL", "TYPE", "replica")
    finding = finds("masterauth_wrong", master.url, replica.url)
    assert finding.evidence[0].value == "repl"
    paste(finding.remedy, {"MASTERAUTH": SECRET})
    finding = finds("acl_missing", master.url, replica.url)
    assert "from REPLCONF and PSYNC" in finding.text
    paste(finding.remedy)
    wait_until(lambda: is_up(replica))
    assert not codes(examined(master.url, replica.url)) & {"masterauth_wrong", "acl_missing", "link_down"}


def test_the_login_of_the_master_is_sent_to_no_listed_address() -> None:
    """A replica chooses the address under which it is listed."""

    async def story() -> None:
        master, replica = StandIn(password=SECRET), StandIn()
        async with stand_ins(master, replica):
            replica.options["masterauth"] = SECRET
            await following(replica, master)
            facts = await gathering.gather(master.url, [], 0.01, 60, lambda _: None)
            (one,) = facts.replicas
            assert one.server.is_up
            assert not [words for words in replica.heard if SECRET in words]
            assert one.server.config["masterauth"] == HIDDEN
            assert SECRET not in repr(facts)

    asyncio.run(story())


@pytest.mark.parametrize("refused", ["CONFIG", "TIME", "ACL"])
def test_what_a_server_refuses_is_a_fact(refused: str) -> None:
    async def story() -> PairFacts:
        master, replica = StandIn(), StandIn()
        async with stand_ins(master, replica):
            await following(replica, master)
            for one in (master, replica):
                one.refuses[refused] = f"NOPERM this user has no permissions to run the '{refused.lower()}' command"
            return await gathering.gather(master.url, [replica.url], 0.01, 60, lambda _: None)

    facts = asyncio.run(story())
    (one,) = facts.replicas
    asked = {"CONFIG": "CONFIG GET", "TIME": "TIME"}
    for server in (facts.master, one.server):
        assert server.is_up
        assert (asked.get(refused) in server.refused) == (refused != "ACL")
    assert set(one.allowed.values()) == {None if refused == "ACL" else True}


def test_a_master_is_watched_once_a_second(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server)
    passed: list[float] = []
    client(master).set("k", "v")
    facts = asyncio.run(gathering.gather(Url.parse(master.url), [], 1.2, 60, passed.append))
    assert len(facts.samples) == len(passed) == 3
    assert 1.2 <= facts.watched < 3
    assert passed[-1] == 1.2


def test_a_master_that_is_not_there_or_is_no_server_is_one_sentence(nobody: int) -> None:
    with pytest.raises(EnvironmentFailure, match=f"127.0.0.1:{nobody}: Connection refused"):
        gather(f"127.0.0.1:{nobody}")

    async def story(tells: dict[str, Any]) -> None:
        master = StandIn()
        master.tells = tells
        async with stand_ins(master):
            await gathering.gather(master.url, [], 0.01, 60, lambda _: None)

    for tells in ({"master_repl_offset": "many"}, {"slave0": "ip=::1,port=x,state=online,offset=1"}):
        with pytest.raises(EnvironmentFailure, match="in its INFO"):
            asyncio.run(story(tells))


def test_addresses_that_cannot_exist_are_not_dialled() -> None:
    async def story() -> PairFacts:
        master = StandIn()
        lines = ["ip=127.0.0.1,port=0", "ip=127.0.0.1,port=99999", "ip=no host at all,port=1", "ip=127.0.0.1,port=1"]
        master.tells = {f"slave{at}": f"{line},state=online,offset=0,lag=0" for at, line in enumerate(lines)}
        async with stand_ins(master):
            return await gathering.gather(master.url, [], 0.01, 60, lambda _: None)

    facts = asyncio.run(story())
    assert [dial.address.port for dial in facts.announced] == [1, 1]
    assert all(dial.failure for dial in facts.announced)
    assert all(not one.server.is_up for one in facts.replicas)


@pytest.mark.parametrize(("host", "lists"), [("127.0.0.1", True), ("localhost", True), ("127.0.0.1", False)])
def test_of_replicas_with_one_port_each_has_the_line_of_its_host(host: str, lists: bool) -> None:
    async def story() -> PairFacts:
        master, replica = StandIn(), StandIn()
        async with stand_ins(master, replica):
            hosts = ["127.9.9.9", "127.0.0.1" if lists else "127.9.9.8"]
            line = f"port={replica.port},state=online,offset=0,lag=0"
            master.tells = {f"slave{at}": f"ip={one},{line}" for at, one in enumerate(hosts)}
            given = Url(Address(host, replica.port))
            return await gathering.gather(master.url, [given], 0.01, 60, lambda _: None)

    (one,) = asyncio.run(story()).replicas
    assert one.server.is_up
    assert (one.listed and one.listed.host) == ("127.0.0.1" if lists else None)


def test_sentinels_and_a_cluster_are_heard(servers: Servers, any_server: str) -> None:
    master = servers.start(any_server, "cluster-enabled", "yes")
    said = f"127.0.0.1,26379,{'f' * 40},3,orders,127.0.0.1,{master.port},2"

    async def story() -> PairFacts:
        passed: list[float] = []
        gathering_ = asyncio.create_task(gathering.gather(Url.parse(master.url), [], 3.0, 60, passed.append))
        async with asyncio.timeout(30):
            while not client(master).execute_command("PUBLISH", "__sentinel__:hello", said):
                await asyncio.sleep(0.01)
        return await gathering_

    facts = asyncio.run(story())
    assert [str(one.master) for one in facts.hellos] == [f"127.0.0.1:{master.port}"]
    assert facts.master.cluster["cluster_state"] == "fail"
    assert len(facts.master.cluster["myid"]) == 40
    assert {"cluster_down", "few_sentinels"} <= codes(examination.judge(facts))
