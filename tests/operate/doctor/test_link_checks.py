"""What keeps a replica from its master: each cause, and what is no cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tap.operate.doctor import examination
from tap.operate.doctor.check import Severity
from tap.operate.doctor.pair_facts import HIDDEN, Dial, PairFacts, ReplicaFacts, ServerFacts
from tap.url import Address, Url
from tests.operate.doctor.pairs import DOWN, MASTER, RUN, found, pair

AT = Address("10.0.0.5", MASTER)
NOAUTH = Dial(AT, refused="Authentication required.")
WRONGPASS = Dial(AT, refused="invalid username-password pair or user is disabled.", with_login=True)
UNWANTED = Dial(
    AT, refused="AUTH <password> called without any password configured for the default user.", with_login=True
)
OTHER = Dial(AT, run_id="e" * 40)
CUT_OFF = Dial(AT, run_id="e" * 40, is_cut_off=True)
RESET = Dial(AT, failure="Connection reset by peer")
UNTRUSTED = Dial(AT, failure="TLS: self-signed certificate in certificate chain")
TLS = {"tls-replication": "yes"}
NO_CA = {"tls-ca-cert-file": "", "tls-ca-cert-dir": ""}
OVER_TLS: dict[str, Any] = {"of_replica": TLS, "of_master": {"port": "0", "tls-port": "6379"}}
UNLISTED = {"slave0": None, "connected_slaves": 0}

WRONG: list[tuple[str, Severity, dict[str, Any], str]] = [
    (
        "not_a_replica",
        "broken",
        {"replica": {"role": "master", "master_host": None}},
        "redis-cli -h 10.0.0.5 -p 6380 REPLICAOF 10.0.0.5 6379",
    ),
    ("link_down", "broken", {"replica": DOWN}, "CONFIG GET logfile"),
    (
        "resync_in_progress",
        "warning",
        {"replica": DOWN, "master": {"slave0": "ip=10.0.0.5,port=6380,state=wait_bgsave,offset=0,lag=0"}},
        "",
    ),
    ("follows_another_master", "broken", {"dial": OTHER, "replica": DOWN}, "REPLICAOF 10.0.0.5 6379"),
    ("follows_another_master", "broken", {"dial": OTHER, "replica": {"master_replid": "b" * 40}}, "REPLICAOF"),
    ("master_address_unreachable", "broken", {"dial": Dial(AT, failure="Connection refused"), "replica": DOWN}, ""),
    ("masterauth_missing", "broken", {"dial": NOAUTH, "replica": DOWN}, 'CONFIG SET masterauth "$MASTERAUTH"'),
    (
        "masterauth_wrong",
        "broken",
        {"dial": WRONGPASS, "replica": DOWN, "of_replica": {"masterauth": HIDDEN, "masteruser": "repl"}},
        'CONFIG SET masterauth "$MASTERAUTH"',
    ),
    (
        "masterauth_not_wanted",
        "broken",
        {"dial": UNWANTED, "replica": DOWN, "of_replica": {"masterauth": HIDDEN}},
        "CONFIG SET masterauth ''",
    ),
    (
        "acl_missing",
        "broken",
        {"allowed": {"ping": True, "replconf": False, "psync": False}, "of_replica": {"masteruser": "repl"}},
        "redis-cli -h 10.0.0.5 -p 6379 ACL SETUSER repl +psync +replconf +ping",
    ),
    (
        "tls_mismatch",
        "broken",
        {"replica": DOWN, "dial": RESET, "of_master": {"port": "0", "tls-port": "6379"}},
        "-p 6380 CONFIG SET tls-replication yes",
    ),
    (
        "tls_mismatch",
        "broken",
        {"replica": DOWN, "dial": RESET, "of_replica": NO_CA, "of_master": {"port": "0", "tls-port": "6379"}},
        'CONFIG SET tls-ca-cert-file "$CA" tls-cert-file "$CERT" tls-key-file "$KEY" tls-replication yes',
    ),
    ("tls_mismatch", "broken", {"replica": DOWN, "dial": RESET, "of_replica": TLS}, "tls-replication no"),
    (
        "tls_mismatch",
        "broken",
        {"replica": DOWN, "dial": RESET, "of_replica": TLS, "of_master": {"tls-port": "6390"}},
        "REPLICAOF 10.0.0.5 6390",
    ),
    (
        "tls_distrust",
        "warning",
        {"replica": DOWN, "master": UNLISTED, "dial": UNTRUSTED, **OVER_TLS},
        'tls-ca-cert-file "$CA"',
    ),
    ("tls_distrust", "warning", {"replica": DOWN, "master": UNLISTED, **OVER_TLS}, 'tls-ca-cert-file "$CA"'),
    ("link_down_above", "broken", {"dial": CUT_OFF}, "redis-cli -h 10.0.0.5 -p 6379 INFO replication"),
    ("link_down_above", "broken", {"dial": CUT_OFF, "replica": DOWN}, "INFO replication"),
    (
        "master_address_unreachable",
        "broken",
        {"dial": Dial(Address("10.9.9.9", MASTER), failure="no answer within 10 s"), "replica": DOWN},
        "redis-cli -h 10.0.0.5 -p 6380 REPLICAOF 10.0.0.5 6379",
    ),
    (
        "bound_to_loopback",
        "broken",
        {"replica": DOWN, "of_master": {"bind": "127.0.0.1 -::1"}},
        "CONFIG SET bind '127.0.0.1 -::1 10.0.0.5'",
    ),
    ("protected_mode", "broken", {"replica": DOWN}, 'CONFIG SET requirepass "$PASSWORD"'),
    ("rdb_not_loadable", "broken", {"replica": {"redis_version": "6.2.14"}}, "upgrade replicas before"),
    ("versions_unknown", "note", {"master": {"redis_version": "9.9.9"}}, ""),
]


@pytest.mark.parametrize(("code", "severity", "situation", "remedy"), WRONG)
def test_a_situation_is_found(code: str, severity: Severity, situation: dict[str, Any], remedy: str) -> None:
    one = found(pair(**situation))[code]
    assert one.severity == severity
    assert remedy in "\n".join(one.remedy)
    assert one.evidence
    assert all(line.startswith(("#", "redis-cli ")) for line in one.remedy)


RIGHT: list[tuple[str, dict[str, Any]]] = [
    # What only this machine cannot reach, or a login that only INFO needs, is not the replica's trouble.
    ("master_address_unreachable", {"dial": Dial(AT, failure="Connection refused")}),
    ("masterauth_missing", {"dial": NOAUTH}),
    ("masterauth_missing", {"dial": NOAUTH, "replica": DOWN, "of_replica": {"masterauth": None}}),
    (
        "masterauth_wrong",
        {"dial": Dial(AT, refused="NOPERM User repl has no permissions", with_login=True), "replica": DOWN},
    ),
    # In a chain, the history is the same.
    ("follows_another_master", {"dial": OTHER}),
    ("follows_another_master", {"dial": Dial(AT), "replica": DOWN}),
    ("follows_another_master", {"dial": CUT_OFF, "replica": DOWN}),
    ("link_down", {"replica": {"role": "master", "master_host": None}}),
    # Which CA this machine knows, a mismatch that says more, a link that is up or being made.
    ("master_address_unreachable", {"replica": DOWN, "dial": UNTRUSTED, **OVER_TLS}),
    ("tls_distrust", {"replica": DOWN, "dial": RESET, "of_replica": TLS}),
    ("tls_distrust", {"master": UNLISTED, **OVER_TLS}),
    ("tls_distrust", {"replica": DOWN, **OVER_TLS}),
    ("tls_distrust", {"replica": DOWN, "master": UNLISTED, "dial": NOAUTH, **OVER_TLS}),
    ("tls_mismatch", {"replica": DOWN, "of_replica": TLS}),
    # Until Redis 6.2 any bind switches it off.
    ("protected_mode", {"replica": DOWN, "master": {"redis_version": "6.2.14"}}),
    ("tls_mismatch", {"replica": DOWN, "dial": RESET, "of_replica": TLS, "of_master": {"port": "7000"}}),
    ("protected_mode", {"replica": DOWN, "of_master": {"requirepass": HIDDEN}}),
    ("protected_mode", {"replica": {**DOWN, "master_host": "127.0.0.1"}}),
    ("protected_mode", {"replica": DOWN, "of_master": {"protected-mode": "no"}}),
    ("protected_mode", {}),
    ("bound_to_loopback", {"replica": {**DOWN, "master_host": "localhost"}, "of_master": {"bind": "127.0.0.1"}}),
    ("acl_missing", {"allowed": {"psync": None}}),
    ("rdb_not_loadable", {"master": {"redis_version": "6.2.14"}}),
    ("versions_unknown", {"master": {"redis_version": "9.9.9"}, "replica": {"redis_version": "9.9.9"}}),
]


@pytest.mark.parametrize(("code", "situation"), RIGHT)
def test_the_nearest_situation_that_is_right_is_not_found(code: str, situation: dict[str, Any]) -> None:
    assert code not in found(pair(**situation))


def gone(host: str, *, given: bool) -> ReplicaFacts:
    return ReplicaFacts(ServerFacts(Url(Address(host, 6380)), failure="Connection refused"), given)


def test_a_replica_that_was_given_has_to_be_there() -> None:
    assert found(pair(replicas=(gone("10.0.0.6", given=True),)))["replica_unreachable"].severity == "broken"


def test_an_announced_address_that_does_not_answer_is_a_warning_and_nothing_else() -> None:
    announced = (Dial(Address("172.17.0.2", 6380), failure="no answer within 3 s"), Dial(AT))
    facts = pair(replicas=(gone("172.17.0.2", given=False),), announced=announced)
    assert set(found(facts)) == {"announced_address_unreachable"}
    assert found(facts)["announced_address_unreachable"].severity == "warning"


def test_a_node_that_a_cluster_lists_where_nothing_answers() -> None:
    away = Dial(Address("172.17.0.2", 6380), failure="Connection refused")
    one = found(pair(announced_in_cluster=(away, Dial(AT))))["announced_address_unreachable"]
    assert one.server == "172.17.0.2:6380"
    both = examination.judge(pair(announced=(away,), announced_in_cluster=(away,))).findings
    assert [one.code for one in both].count("announced_address_unreachable") == 1
    assert "# redis-cli CONFIG SET cluster-announce-ip ADDRESS" in one.remedy


def test_no_replica_elsewhere_is_made_to_follow_its_own_loopback() -> None:
    facts = pair(replica={"role": "master", "master_host": None})
    master = replace(facts.master, url=Url(Address("127.0.0.1", MASTER)))
    remedy = found(replace(facts, master=master))["not_a_replica"].remedy[-1]
    assert remedy.startswith("#")
    assert remedy.endswith("REPLICAOF ADDRESS 6379")
    master = replace(facts.master, url=Url(Address(path="/run/redis.sock")))
    assert found(replace(facts, master=master))["not_a_replica"].remedy[-1] == remedy
    aside = pair(replica=DOWN, dial=RESET)
    aside = replace(aside, master=replace(aside.master, url=Url(Address("127.0.0.1", MASTER))))
    assert found(aside)["master_address_unreachable"].remedy == ()


@pytest.mark.parametrize(("tls", "port"), [("yes", 6390), ("no", 6379)])
def test_a_replica_is_sent_to_the_port_that_speaks_as_it_does(tls: str, port: int) -> None:
    facts = pair(
        replica={"role": "master", "master_host": None},
        of_replica={"tls-replication": tls},
        of_master={"tls-port": "6390"},
    )
    assert found(facts)["not_a_replica"].remedy[-1].endswith(f"REPLICAOF 10.0.0.5 {port}")


def test_a_listed_replica_that_wants_a_login_is_not_examined() -> None:
    def text(why: str) -> str:
        one = ReplicaFacts(ServerFacts(Url(Address("10.0.0.6", 6380)), failure=why), given=False)
        said = found(pair(replicas=(one,), announced=(Dial(Address("10.0.0.6", 6380)),)))
        assert set(said) == {"replica_not_examined"}
        return said["replica_not_examined"].text

    assert "without a login" in text("Authentication required; the URL has to give USER:PASSWORD@")
    assert "without a login" not in text("no answer within 10 s")


def test_what_is_known_of_a_link_that_is_up_is_said_with_it() -> None:
    def text(code: str, facts: PairFacts) -> str:
        return found(facts)[code].text

    assert "until the next one the link works" in text("rdb_not_loadable", pair(replica={"redis_version": "6.2.14"}))
    assert "the next one will be refused" in text("acl_missing", pair(allowed={"ping": False}))
    three = pair(allowed={"ping": False, "replconf": False, "psync": False})
    assert "from PING, REPLCONF and PSYNC" in text("acl_missing", three)
    assert text("link_down", pair(replica={**DOWN, "master_link_down_since_seconds": -1})).startswith(
        "its link to the master has been down;"
    )


def test_no_login_of_the_master_is_judged_by_another_server() -> None:
    facts = pair(dial=Dial(AT, run_id=RUN))
    (one,) = facts.replicas
    assert "follows_another_master" not in found(replace(facts, replicas=(replace(one, dial=None),)))
