"""/v1/fault-kinds: each example can be armed as it stands."""

from __future__ import annotations

from tap.control.fault_reference import FaultKindsAnswer
from tap.faults.at import PLACES
from tap.faults.kinds import KINDS
from tests.control.asking import asked


def test_every_kind_is_there_and_its_example_can_be_armed() -> None:
    with asked(destructive=True) as tap:
        said = FaultKindsAnswer.model_validate(tap.client.get("/v1/fault-kinds").json)
        assert [one.kind for one in said.kinds] == list(KINDS)
        assert list(said.places) == list(PLACES)
        assert not said.read_only
        for one in said.kinds:
            assert one.does
            assert tap.client.post("/v1/faults", {"spec": one.example}).status == 201, one


def test_a_tap_that_refuses_every_fault_says_so() -> None:
    with asked(read_only=True) as tap:
        assert tap.client.get("/v1/fault-kinds").json["read_only"] is True
