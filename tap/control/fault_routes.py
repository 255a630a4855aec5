"""/v1/faults: arm by a spec or by fields, list with how often each has fired, disarm."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Path
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from tap.control.controlled import TheTap
from tap.control.json_answers import NOT_FOUND, JsonAnswer, Refusal
from tap.errors import did_you_mean
from tap.faults.armed import Armed

router = APIRouter(prefix="/v1/faults", tags=["faults"])

MOST = 1000  # armed at once: each is asked for every piece of every link
EXAMPLES: Any = [
    {"spec": "cut at=rdb:50% mode=reset"},
    {"kind": "delay", "time": "200ms", "from": "master", "name": "slow"},
]

Value = Annotated[str, StringConstraints(max_length=1000)]


class NewFault(BaseModel):
    """A fault to arm: `spec`, as on the command line, or `kind` and its parameters, each by its name in a spec."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": EXAMPLES})
    __pydantic_extra__: dict[str, Value | int | float | StrictBool] = Field(init=False)

    spec: str | None = Field(None, max_length=4000, description="As of --fault: 'cut at=rdb:50%'")
    kind: str | None = Field(None, max_length=100, description="cut, delay and so on; see `redis-tap faults`")

    @model_validator(mode="after")
    def _is_one_form(self) -> NewFault:
        if (self.spec is None) == (self.kind is None):
            raise ValueError('give either a spec, as {"spec": "cut at=rdb:50%"}, or a kind and its parameters')
        if self.spec is not None and self.model_extra:
            raise ValueError(f"a spec has everything in it: write {', '.join(self.model_extra)} there, too")
        return self


class FaultAnswer(BaseModel):
    """One fault."""

    name: str
    spec: str = Field(description="As on the command line")
    kind: str
    fired: int = Field(description="How often it has fired")
    bytes: int = Field(description="Total number of bytes that it has affected")
    at_work: int = Field(description="Effects in progress: connections it is applied to, commands it is changing")
    is_over: bool = Field(description="It will not fire again")
    seed: int = Field(description="Decides its random choices")


class FaultsAnswer(BaseModel):
    faults: list[FaultAnswer] = Field(description="Those that are armed, in their order")
    ended: list[FaultAnswer] = Field(description="The last hundred that are over, oldest first")


class RemovedAnswer(BaseModel):
    removed: list[FaultAnswer] = Field(description="As they ended")


@router.get("", response_model=FaultsAnswer, summary="Every fault, with how often it has fired")
async def list_faults(tap: TheTap) -> Any:
    plan = tap.faults
    return JsonAnswer(
        {
            "faults": [_answer(one, plan.seed) for one in plan.armed],
            "ended": [_answer(one, plan.seed) for one in plan.ended],
        }
    )


@router.post("", response_model=FaultAnswer, status_code=201, summary="Arm a fault")
async def add_fault(tap: TheTap, new: Annotated[NewFault, Body()]) -> Any:
    if len(tap.faults.armed) >= MOST:
        raise Refusal(400, f"{MOST} faults are armed, which is the most: remove one first")
    if new.spec is not None:
        armed = tap.faults.add(new.spec)
    else:
        assert new.kind is not None
        # Apart from a spec, so that no value of a field is read as another parameter.
        armed = tap.faults.add(new.kind, **{name: _text(value) for name, value in (new.model_extra or {}).items()})
    return JsonAnswer(_answer(armed, tap.faults.seed), 201)


@router.delete("", response_model=RemovedAnswer, summary="Disarm every fault")
async def clear_faults(tap: TheTap) -> Any:
    armed = list(tap.faults.armed)
    tap.faults.clear()
    return JsonAnswer({"removed": [_answer(one, tap.faults.seed) for one in armed]})


@router.delete("/{name}", response_model=FaultAnswer, responses=NOT_FOUND, summary="Disarm one fault")
async def remove_fault(tap: TheTap, name: Annotated[str, Path(max_length=200)]) -> Any:
    armed = _named(tap, name)
    tap.faults.remove(name)
    return JsonAnswer(_answer(armed, tap.faults.seed))


@router.get("/{name}", response_model=FaultAnswer, responses=NOT_FOUND, summary="One fault that is armed, or was")
async def show_fault(tap: TheTap, name: Annotated[str, Path(max_length=200)]) -> Any:
    ended = next((one for one in reversed(tap.faults.ended) if one.name == name), None)
    is_armed = any(one.name == name for one in tap.faults.armed)
    return JsonAnswer(_answer(ended if ended is not None and not is_armed else _named(tap, name), tap.faults.seed))


def _named(tap: TheTap, name: str) -> Armed:
    """The armed fault of this name. Raises Refusal."""
    found = next((one for one in tap.faults.armed if one.name == name), None)
    if found is None:
        names = [one.name for one in tap.faults.armed]
        raise Refusal(404, f"no fault is named {name!r}; armed: {', '.join(names) or 'none'}.{did_you_mean(name, names)}")
    return found


def _text(value: str | float | bool) -> str:
    """A value as a spec spells it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _answer(armed: Armed, seed: int) -> dict[str, Any]:
    return {
        "name": armed.name,
        "spec": armed.spec,
        "kind": armed.fault.kind,
        "fired": armed.fired,
        "bytes": armed.bytes,
        "at_work": armed.at_work,
        "is_over": armed.is_over,
        "seed": seed,
    }
