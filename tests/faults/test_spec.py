"""Faults as people write them, and the errors for mistakes."""

from __future__ import annotations

import pytest

from tap.errors import ConfigError
from tap.faults import Plan, parse
from tap.faults.kinds import KINDS
from tap.faults.kinds.cut import Cut
from tap.faults.kinds.delay import Delay
from tap.faults.kinds.throttle import Throttle
from tap.replication.events import Channel, Side


def test_a_spec_has_its_parts() -> None:
    fault = parse("cut at=rdb:50% mode=reset times=3 from=master link=orders channel=rdb after=2s name=half")
    assert fault.what == Cut(mode="reset")
    assert fault.when.at is not None
    assert (fault.when.at.place, fault.when.at.unit, fault.when.at.low) == ("rdb", "percent", 50)
    assert fault.when.after == 2
    assert (fault.scope.times, fault.scope.side, fault.scope.link) == (3, Side.MASTER, "orders")
    assert (fault.scope.channel, fault.scope.name) == (Channel.RDB, "half")


def test_the_first_value_needs_no_name_and_units_are_those_of_the_field() -> None:
    assert parse("delay 200ms").what == parse("delay latency=0.2s").what == Delay(latency=0.2)
    assert parse("throttle 1mb/s").what == parse("throttle rate=1048576b").what == Throttle(rate=2**20)
    assert parse("drop command=SET key='a b*'").when.key == b"a b*"


def test_python_passes_parameters_by_name() -> None:
    assert parse("stall", at="waiting", for_="5s", from_="master") == parse("stall at=waiting for=5s from=master")
    assert parse("rewrite", listening_port=7) == parse("rewrite listening-port=7")
    assert parse("rewrite", ip_address="10.0.0.1") == parse("rewrite ip-address=10.0.0.1")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "nothing is written; known faults: cut,"),
        ("cutt", f"unknown fault 'cutt'; known: {', '.join(KINDS)}. Did you mean 'cut'?"),
        ("cut 'at=rdb", "a quote that does not end"),
        ("cut moed=fin", "unknown parameter 'moed' of cut; allowed: mode, legs, at, command, key, request, reply, nth, "
         "edge, after, every, probability, from, link, channel, times, for, name. Did you mean 'mode'?"),
        ("cut mode=rst", "mode: 'rst'; allowed: fin, reset. Did you mean 'reset'?"),
        ("cut rdb", "'rdb': parameters are written name=value; cut takes mode, legs,"),
        ("cut at=rbd:50%", "at: 'rbd' is not a place; allowed: connect, handshake, ping, auth, replconf, psync, waiting, "
         "rdb, loading, stream, transaction, offset. Did you mean 'rdb'?"),
        ("cut at=psync:5", "at: psync takes nothing after a colon; only rdb, stream and offset do"),
        ("cut at=rdb:500%", "at: 'rdb:500%': '500%' is not a percentage"),
        ("cut at=rdb:90%..10%", "a range goes from low to high"),
        ("cut at=offset", "at: offset needs a number: offset:123456, or offset:+1mb from now on"),
        ("cut at=offset:+1tb", "'1tb' is not a size: write a number with b, kb, mb or gb, as 10mb"),
        ("cut at=stream:key:4", "keys are counted in the RDB only"),
        ("cut at=rdb command=SET", "command and at: one trigger at a time"),
        ("cut every=5s at=rdb", "every is a trigger of its own"),
        ("cut every=0s", "every: '0s' is too often: 1ms at the least"),
        ("cut at=connect channel=rdb", "at=connect: a connection says which channel it is only later; take at=replconf "
         "or at=psync"),
        ("cut at=auth channel=main", "request=AUTH: a connection says which channel it is only later"),
        ("drop reply=PING channel=rdb", "reply=PING: a connection says which channel it is only later"),
        ("cut nth=3", "nth counts matches: it goes with command, key, request or reply"),
        ("cut command=SET edge=byte", "edge=byte goes with at=offset or at=stream; a match has start, inside and end"),
        ("cut at=rdb edge=end", "edge with at= is byte, command or transaction"),
        ("cut at=rdb edge=command", "edge with at= is byte, command or transaction"),
        ("cut at=connect edge=byte", "edge with at= is byte, command or transaction"),
        ("cut at=stream:5b edge=start", "edge with at= is byte, command or transaction"),
        ("cut at=offset:5 edge=end", "edge with at= is byte, command or transaction"),
        ("cut edge=command", "edge=command goes with at=offset or at=stream"),
        ("cut key=a edge=transaction", "edge=transaction goes with at=offset or at=stream"),
        ("cut at=rdb key=a", "key and at: one trigger at a time"),
        ("cut request=PING reply=PING", "request and reply: one trigger at a time"),
        ("cut command=SET key=a reply=PING", "command and reply: one trigger at a time"),
        ("cut key=a reply=PING", "reply and key: one trigger at a time"),
        ("cut at=ping reply=PING", "request and reply: one trigger at a time"),
        ("cut every=5s command=SET", "every is a trigger of its own"),
        ("cut every=5s key=a", "every is a trigger of its own"),
        ("cut at=rdb nth=2", "nth counts matches: it goes with command, key, request or reply"),
        ("cut at=handshake channel=main", "at=handshake: a connection says which channel it is only later"),
        ("drop request=AUTH channel=rdb", "request=AUTH: a connection says which channel it is only later"),
        ("cut times=0", "times: '0' is not a number from 1 upwards"),
        ("cut probability=2", "probability: '2' is not a probability: above 0 and up to 1, as 0.01, or 1%"),
        ("cut after=soon", "after: 'soon' is not a time"),
        ("cut mode=fin mode=fin", "mode is given twice"),
        ("delay", "how long? write for example 'delay 200ms jitter=50ms from=master'"),
        ("throttle", "to how much?"),
        ("throttle 0", "a rate is more than 0; to stop all bytes, take stall"),
        ("drop", "drop what? acks, pings, keepalives, a size, or a match"),
        ("drop acks at=stream:5b", "acks are dropped wherever they are, not at a place"),
        ("drop keepalives at=rdb", "keepalives are dropped wherever they are, not at a place"),
        ("drop acks command=SET", "drop what? acks, pings, keepalives, a size, or a match"),
        ("drop akcs", "target: 'akcs'; allowed: acks, pings, keepalives or a size, as 100b. Did you mean 'acks'?"),
        ("duplicate", "which command?"),
        ("duplicate at=stream", "unknown parameter 'at' of duplicate"),
        ("corrupt", "where? give at=,"),
        ("corrupt at=stream mask=0x100", "mask: '0x100' is not a mask of bits to flip: 0x01 to 0xff"),
        ("truncate", "where? write 'truncate at=rdb:50%' for an RDB, or 'truncate 1mb' for a"),
        ("truncate at=stream:5b", "only an RDB can end early"),
        ("answer request=PSYNC", "answer with what?"),
        ("answer -LOADING", "to which request?"),
        ("rewrite", "one thing at a time"),
        ("rewrite capa=psync2", "capa: 'psync2'; allowed: - or + and a name, as -psync2"),
        ("rewrite ack=5", "ack: '5'; allowed: freeze, or + or - and a size, as -100b"),
        ("rewrite psync='? x'", "psync: '? x'; allowed: a replication ID and an offset, as '? -1'"),
        ("rewrite listening-port=70000", "listening-port: '70000' is not a port (1 to 65535)"),
        ("answer 'a\r\nb' request=PSYNC", "one line, without its end"),
        ("slice 0", "size: '0': at least one byte"),
        ("cut link=", "link: '' is not a name: letters, digits, _ . - and at most 64 of them"),
        ("refuse at=rdb", "unknown parameter 'at' of refuse"),
        ("refuse times=2", "refuse mode=refuse never sees a connection to count"),
        ("refuse closed", "mode: 'closed'; allowed: refuse, close, blackhole. Did you mean 'close'?"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_word_and_the_alternatives(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("delay 200", "latency: '200' needs its unit: write 200ms or 200s"),
        ("delay 200ms jitter=50", "jitter: '50' needs its unit: write 50ms or 50s"),
        ("delay 200ms for=1.5", "for: '1.5' needs its unit: write 1.5ms or 1.5s"),
        ("cut after=10", "after: '10' needs its unit: write 10ms or 10s"),
        ("cut every=10", "every: '10' needs its unit: write 10ms or 10s"),
        ("slice 1b gap=5", "gap: '5' needs its unit: write 5ms or 5s"),
        ("slice 1", "size: '1' needs its unit: write 1b, 1kb or 1mb"),
        ("throttle 100", "rate: '100' needs its unit: write 100b/s, 100kb/s or 100mb/s"),
        ("throttle 100/s", "rate: '100/s' needs its unit: write 100b/s, 100kb/s or 100mb/s"),
        ("throttle 1mb/s burst=64", "burst: '64' needs its unit: write 64b, 64kb or 64mb"),
        ("drop 5 at=stream", "target: '5' needs its unit: write 5b, 5kb or 5mb"),
        ("truncate 1000", "size: '1000' needs its unit: write 1000b, 1000kb or 1000mb"),
        ("rewrite ack=-100", "ack: '100' needs its unit: write 100b, 100kb or 100mb"),
        ("cut at=rdb:10", "at: '10' needs its unit: write 10b, 10kb or 10mb"),
        ("cut at=rdb:-8", "at: '8' needs its unit: write 8b, 8kb or 8mb"),
        ("cut at=stream:1kb..2", "at: '2' needs its unit"),
        ("cut at=offset:+1000", "at: '1000' needs its unit: write 1000b, 1000kb or 1000mb"),
    ],
)
def test_a_time_and_a_size_need_their_unit(spec: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(spec)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "spec", ["delay 0", "delay 1ms jitter=0", "slice 1b gap=0.0", "throttle 1kb burst=0", "cut at=stream:0..1kb after=0"]
)
def test_zero_needs_no_unit(spec: str) -> None:
    assert parse(spec)


@pytest.mark.parametrize(
    ("spec", "what", "when"),
    [
        ("cut at=stream:5b edge=byte", {}, {"edge": "byte"}),
        ("cut at=offset:5 edge=command", {}, {"edge": "command"}),
        ("cut at=stream edge=transaction", {}, {"edge": "transaction"}),
        ("cut command=SET edge=inside nth=2", {}, {"edge": "inside", "command": b"SET", "nth": 2}),
        ("cut command=SET key=a", {}, {"command": b"SET", "key": b"a"}),
        ("cut at=psync", {}, {"request": b"PSYNC", "at": None}),
        ("cut at=replconf nth=2", {}, {"request": b"REPLCONF", "at": None, "nth": 2}),
        ("cut at=transaction nth=2", {}, {"command": b"MULTI", "at": None, "nth": 2}),
        ("rewrite ack=freeze nth=2", {"ack": "freeze"}, {"nth": 2}),
        ("cut at=replconf channel=rdb", {}, {"request": b"REPLCONF"}),
        ("drop reply=PSYNC channel=rdb", {}, {"reply": b"PSYNC"}),
        ("answer '-ERR a=b c' request=PSYNC", {"line": b"-ERR a=b c"}, {"request": b"PSYNC"}),
        ("answer line='-ERR a=b c' request=PSYNC", {"line": b"-ERR a=b c"}, {"request": b"PSYNC"}),
        ("drop 5b after=1s", {"target": 5}, {"after": 1.0}),
        ("drop target=acks", {"target": "acks"}, {}),
    ],
)
def test_triggers_that_belong_together_are_accepted(spec: str, what: dict[str, object], when: dict[str, object]) -> None:
    fault = parse(spec)
    assert {name: getattr(fault.what, name) for name in what} == what
    assert {name: getattr(fault.when, name) for name in when} == when


def test_an_offset_is_a_place_without_a_unit() -> None:
    at = parse("cut at=offset:123456").when.at
    assert at is not None
    assert (at.unit, at.low) == ("absolute", 123456)


@pytest.mark.parametrize(
    "spec",
    [
        "corrupt at=rdb:50%",
        "corrupt at=loading",
        "corrupt every=1s",
        "truncate at=rdb:1kb",
        "drop 1b at=rdb",
        "answer +CONTINUE request=PSYNC",
        "rewrite psync='abc 5'",
    ],
)
def test_destructive_faults_are_refused_unless_allowed(spec: str) -> None:
    careful, wild, watching = (
        Plan(1, lambda event: None, lambda: 0.0, destructive=destructive, read_only=read_only)
        for destructive, read_only in ((False, False), (True, False), (True, True))
    )
    assert wild.add(spec)
    with pytest.raises(ConfigError, match=r"is destructive: .* exits|crashes"):
        careful.add(spec)
    with pytest.raises(ConfigError, match="read-only"):
        watching.add(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "cut at=connect",
        "delay 1s during=rdb",
        "cut channel=rdb",
        "duplicate command=SET",
        "answer +OK request=PING",
        "rewrite ack=freeze",
        "drop acks",
    ],
)
def test_an_opaque_tap_refuses_faults_that_need_parsing(spec: str) -> None:
    plan = Plan(1, lambda event: None, lambda: 0.0)
    plan.set_link("main", is_opaque=True)
    with pytest.raises(ConfigError, match="needs to parse the traffic"):
        plan.add(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "cut after=1s mode=reset",
        "refuse close",
        "delay 1ms",
        "throttle 1kb/s",
        "slice 1b",
        "stall for=1s",
        "truncate 1mb",
    ],
)
def test_an_opaque_tap_accepts_other_faults(spec: str) -> None:
    plan = Plan(1, lambda event: None, lambda: 0.0)
    plan.set_link("main", is_opaque=True)
    assert plan.add(spec)


def test_a_plan_knows_the_names_of_its_links() -> None:
    plan = Plan(1, lambda event: None, lambda: 0.0, links=["orders"])
    assert [plan.add("cut").name, plan.add("cut").name, plan.add("cut name=mine").name] == ["cut-1", "cut-2", "mine"]
    with pytest.raises(ConfigError, match="another one is named 'mine'"):
        plan.add("stall name=mine")
    with pytest.raises(ConfigError, match=r"no fault is named 'mien'; armed: cut-1, cut-2, mine. Did you mean 'mine'"):
        plan.remove("mien")
    with pytest.raises(ConfigError, match=r"no link is named 'order'; known: orders. Did you mean 'orders'"):
        plan.add("cut link=order")


ALL = {"at", "command", "key", "request", "reply", "nth", "edge", "every"}
COMMANDS = {"command", "key", "nth"}
TAKES = {
    "cut": ALL | {"mode", "legs"},
    "refuse": {"mode"},
    "stall": ALL,
    "delay": {"at", "during", "latency", "jitter", "distribution", "fin"},
    "throttle": {"at", "during", "rate", "burst", "wait"},
    "slice": {"at", "during", "size", "gap", "variation"},
    "slow-close": {"at", "delay"},
    "mute": {"at", "timeout"},
    "reset": {"at", "timeout"},
    "limit": {"at", "size"},
    "lose": {"at", "during", "rate", "burst"},
    "drop": ALL | {"target"},
    "duplicate": COMMANDS,
    "reorder": COMMANDS,
    "corrupt": ALL | {"mask", "bytes"},
    "truncate": {"at", "size"},
    "answer": {"request", "reply", "nth", "line"},
    "rewrite": {"nth", "psync", "capa", "ip-address", "listening-port", "ack"},
}
EVERYWHERE = {"after", "probability", "from", "link", "channel", "times", "for", "name"}


@pytest.mark.parametrize("kind", TAKES)
def test_each_kind_accepts_what_makes_sense_with_it(kind: str) -> None:
    assert parse(KINDS[kind].example).kind == kind
    with pytest.raises(ConfigError) as raised:
        parse(f"{kind} nonsense=1")
    allowed = str(raised.value).partition("allowed: ")[2].partition(".")[0].split(", ")
    expected = TAKES[kind] | (EVERYWHERE - {"from", "channel"} if kind == "refuse" else EVERYWHERE)
    assert sorted(allowed) == sorted(expected)


@pytest.mark.parametrize(
    ("spec", "name", "words"),
    [
        ("cut", "mode", ["fin", "reset"]),
        ("cut", "legs", ["both", "master", "replica"]),
        ("refuse", "mode", ["refuse", "close", "blackhole"]),
        ("delay 1ms", "distribution", ["uniform", "normal"]),
        ("delay 1ms", "fin", ["delayed", "prompt"]),
        ("throttle 1kb/s", "wait", ["after", "before"]),
    ],
)
def test_a_choice_has_to_be_one_of_its_words(spec: str, name: str, words: list[str]) -> None:
    for word in words:
        assert getattr(parse(f"{spec} {name}={word}").what, name) == word
    with pytest.raises(ConfigError, match=f"allowed: {', '.join(words)}"):
        parse(f"{spec} {name}=none")


@pytest.mark.parametrize(
    ("kind", "once"),
    [("cut", True), ("stall", True), ("corrupt command=SET", True), ("truncate 1b", True), ("duplicate key=a", True),
     ("reorder key=a", True), ("answer +OK request=PING", True), ("delay 1ms", False), ("throttle 1kb/s", False),
     ("slice", False), ("drop acks", False), ("refuse close", False), ("rewrite ack=freeze", False)],
)  # fmt: skip
def test_numbers_of_firings_are_complete(kind: str, once: bool) -> None:
    assert parse(kind).scope.times == (1 if once else None)
    assert parse(f"{kind} times=all").scope.times is None
    if "every" in TAKES[kind.split()[0]] and "command" not in kind and "acks" not in kind:
        assert parse(f"{kind} every=1s").scope.times is None


def test_parameters_have_defaults() -> None:
    assert parse("cut").what == Cut(mode="fin", legs="both")
    assert parse("delay 1ms").what == Delay(latency=0.001, jitter=0.0, distribution="uniform")
    assert parse("throttle 1kb/s").what == Throttle(rate=1024, burst=0)
    fault = parse("cut")
    assert (fault.when.nth, fault.when.after, fault.when.edge, fault.when.every) == (1, 0.0, "", None)
    assert (fault.scope.side, fault.scope.link, fault.scope.channel, fault.scope.name) == (None, None, None, "")
