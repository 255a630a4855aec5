"""Which fault each toxic is, and which attributes it has."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tap.control.toxiproxy.proxy import Toxic
from tap.control.toxiproxy.request_body import Fields, ToxiproxyError
from tap.control.toxiproxy.toxic_types import TOXIC_TYPES
from tap.faults.spec import parse

HUGE = 2**63 - 1


@pytest.mark.parametrize(
    ("name", "given", "spec"),
    [
        ("latency", {}, "delay 0ms fin=prompt"),
        ("latency", {"latency": 80, "jitter": 15}, "delay 80ms jitter=15ms fin=prompt"),
        ("latency", {"latency": 80, "jitter": -15}, "delay 80ms fin=prompt"),
        ("bandwidth", {"rate": 100}, "throttle 100000b/s wait=before"),
        ("slow_close", {"delay": 300}, "slow-close 300ms"),
        ("slow_close", {"delay": -1}, "slow-close 0ms"),
        ("timeout", {}, "mute"),
        ("timeout", {"timeout": 1500}, "mute 1500ms"),
        ("reset_peer", {}, "reset 0ms"),
        ("reset_peer", {"timeout": 200}, "reset 200ms"),
        ("slicer", {}, "slice 1b"),
        ("slicer", {"average_size": 64, "size_variation": 32, "delay": 10}, "slice 64b variation=32b gap=10us"),
        ("slicer", {"average_size": 64, "size_variation": 64, "delay": -1}, "slice 64b variation=63b"),
        ("slicer", {"average_size": -5, "size_variation": 9}, "slice 1b"),
        ("limit_data", {"bytes": 1000}, "limit 1000b"),
        ("limit_data", {"bytes": -1}, "limit 0b"),
        ("packet_loss", {"loss_rate": 0.2, "correlation": 0.5}, "lose 0.2 burst=0.5"),
        ("packet_loss", {"loss_rate": 7}, "lose 1"),
    ],
)
def test_a_toxic_is_a_fault_which_its_spec_describes(name: str, given: dict[str, Any], spec: str) -> None:
    attributes = TOXIC_TYPES[name].read(Fields(given, "Toxic"), {})
    assert {one: attributes[one] for one in given} == given
    toxic = Toxic("t", name, "upstream", 0.25, attributes)
    fault = toxic.fault("main", "main.t")
    assert fault is not None
    assert fault.spec == f"{spec} from=replica link=main name=main.t probability=0.25"
    assert fault == dataclasses.replace(parse(fault.spec), spec=fault.spec)


@pytest.mark.parametrize("value", [0, -1, 1, HUGE, -HUGE])
def test_any_integers_make_a_fault(value: int) -> None:
    for name, one in TOXIC_TYPES.items():
        toxic = Toxic("t", name, "downstream", 1, one.read(Fields(dict.fromkeys(one.attributes, value), "Toxic"), {}))
        fault = toxic.fault("any name's", "x")
        assert (fault is None) == (name == "noop")
        if fault is not None:
            assert fault.when.probability is None
            assert fault.is_continuous
            assert not fault.has_to_understand


@pytest.mark.parametrize(("toxicity", "chance"), [(-1, 0.0), (0, 0.0), (0.5, 0.5), (1, None), (7, None)])
def test_toxicity_is_the_chance_of_a_connection(toxicity: float, chance: float | None) -> None:
    fault = Toxic("t", "timeout", "downstream", toxicity, {"timeout": 0}).fault("main", "x")
    assert fault is not None
    assert fault.when.probability == chance


def test_all_attributes_are_answered_and_others_left_out() -> None:
    read = TOXIC_TYPES["latency"].read
    assert read(Fields({"jitter": 5, "size": 7}, "Toxic"), {}) == {"latency": 0, "jitter": 5}
    assert read(Fields({"jitter": 6}, "Toxic"), {"latency": 80, "jitter": 5}) == {"latency": 80, "jitter": 6}
    assert TOXIC_TYPES["noop"].read(Fields({"size": 7}, "Toxic"), {}) == {}
    for wrong in (1.5, 100.0, "5", True):
        with pytest.raises(ToxiproxyError, match="bad request body"):
            read(Fields({"latency": wrong}, "Toxic"), {})


def test_attributes_of_packet_loss_are_fractions() -> None:
    assert TOXIC_TYPES["packet_loss"].read(Fields({"loss_rate": 0.1}, "Toxic"), {}) == {
        "loss_rate": 0.1,
        "correlation": 0,
    }
