"""Several faults on one link, with their own clock: each at its byte, for any chunks, and none after a cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.faults.flow_items import CloseLink
from tap.replication.events import Event, FaultArmed, FaultFired
from tests.faults.lab import (
    ASKS_ALL,
    CAPA,
    EXEC,
    FULL,
    INCR,
    MARK,
    MULTI,
    PING,
    PORT,
    RDB,
    SET,
    Lab,
    ack,
    command,
    pieces,
    resync_partially,
)


def test_adding_and_removing_a_fault_disturbs_nothing_else() -> None:
    lab = Lab()
    begin = resync_partially(lab)
    sent = b""
    for number in range(100):
        name = f"f{number}"
        spec = ["delay 50ms", "throttle 10kb", "slice 2b gap=1ms", "stall", "drop command=NOPE", "drop key=nope"][
            number % 6
        ]
        data = SET + INCR
        lab.master(*pieces(data, {number % 40}))
        lab.plan.add(f"{spec} name={name}")
        lab.master(*pieces(data, 9))
        lab.wait(0.01)
        lab.plan.remove(name)
        sent += data + data
    assert lab.at_replica[begin:] == sent


def test_a_fault_that_did_nothing_says_so() -> None:
    lab = Lab("cut at=offset:99999", "drop command=NOPE")
    resync_partially(lab)
    lab.master(SET)
    lab.plan.clear()
    assert [(event.fault, event.fired) for event in lab.expired] == [("cut-1", 0), ("drop-1", 0)]
    assert [armed.name for armed in lab.plan.never_fired] == ["cut-1", "drop-1"]
    assert [event.seed for event in lab.told if isinstance(event, FaultArmed)] == [1, 1]


SPECS = [
    "cut at=stream:100b..300b",
    "cut at=rdb:10%..90%",
    "cut at=rdb:key:3",
    "cut command=SET nth=3 edge=inside",
    "cut at=stream:60b edge=transaction",
    "drop command=SET key='user:1' nth=2",
    "drop key=n",
    "drop 7b at=stream:33b",
    "drop keepalives",
    "drop acks",
    "duplicate command=INCR",
    "reorder command=SET nth=2",
    "corrupt command=SET nth=2 mask=0x55",
    "corrupt reply=PSYNC",
    "truncate at=rdb:50%",
    "answer +NO request=REPLCONF nth=2",
    "answer '-ERR no' reply=REPLCONF",
    "rewrite capa=-eof",
    "rewrite ack=-1b",
]


@given(
    specs=st.lists(st.sampled_from(SPECS), min_size=1, max_size=3, unique=True),
    cuts=st.lists(st.integers(1, 3000), max_size=12),
    disk=st.booleans(),
    seed=st.integers(0, 3),
)
def test_the_output_does_not_depend_on_how_tcp_split_the_input(
    specs: list[str], cuts: list[int], disk: bool, seed: int
) -> None:
    def play(cuts: list[int]) -> tuple[bytes, bytes, list[tuple[object, ...]], CloseLink | None]:
        lab = Lab(*specs, seed=seed)
        header = b"$%d\r\n" % len(RDB) if disk else b"$EOF:" + MARK + b"\r\n"
        payload = RDB if disk else RDB + MARK
        turns = [
            (lab.replica, PING),
            (lab.master, b"+PONG\r\n"),
            (lab.replica, PORT + CAPA),
            (lab.master, b"+OK\r\n+OK\r\n"),
            (lab.replica, ASKS_ALL),
            (lab.master, b"\n\n" + FULL + header + payload),
            (lab.replica, b"\n\n" + ack(500)),
            (lab.master, SET + INCR + SET + MULTI + SET + INCR + EXEC + command("ping") + SET),
            (lab.replica, ack(600) + ack(700)),
        ]
        for say, data in turns:
            say(*pieces(data, {cut for cut in cuts if cut < len(data)}))
        return lab.at_replica, lab.at_master, [_place(event) for event in lab.told], lab.cut

    def _place(event: Event) -> tuple[object, ...]:
        return (event.fault, event.position, event.text, event.phase) if isinstance(event, FaultFired) else ()

    whole, cut = play([]), play(cuts)
    assert cut[0] == whole[0]
    assert cut[3] == whole[3]
    assert sorted(filter(None, cut[2]), key=str) == sorted(filter(None, whole[2]), key=str)
    if whole[3] is None:
        assert cut[1] == whole[1]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_no_fault_fires_after_a_cut(size: int) -> None:
    """Even if more came in the same chunk."""
    lab = Lab("cut at=stream:40b", "drop command=SET times=all name=set", "duplicate command=INCR times=all name=incr")
    resync_partially(lab)
    lab.master(*pieces((SET + INCR) * 5, size))
    lab.faults.close()
    lab.plan.clear()
    assert [fired.fault for fired in lab.fired] == ["set", "cut-1"]
    assert {event.fault: event.fired for event in lab.expired} == {"cut-1": 1, "set": 1, "incr": 0}


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "spec", ["drop request=REPLCONF", "rewrite capa=-eof", "stall request=REPLCONF", "answer +OK request=REPLCONF"]
)
def test_no_fault_fires_after_a_cut_request(spec: str, size: int) -> None:
    lab = Lab("cut request=PING edge=end", f"{spec} times=all name=other")
    lab.replica(*pieces(PING + PORT + CAPA, size))
    lab.faults.close()
    lab.plan.clear()
    assert [fired.fault for fired in lab.fired] == ["cut-1"]
    assert {event.fault: event.fired for event in lab.expired} == {"cut-1": 1, "other": 0}
