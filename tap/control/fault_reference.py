"""/v1/fault-kinds: the faults there are, and the places where they can fire; what a form needs to offer them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tap.control.controlled import TheTap
from tap.control.json_answers import JsonAnswer
from tap.faults.at import PLACES
from tap.faults.kinds import KINDS

router = APIRouter(prefix="/v1/fault-kinds", tags=["faults"])


class FaultKindAnswer(BaseModel):
    """A kind of fault, as `redis-tap faults` explains it."""

    kind: str
    does: str = Field(description="What it does, in a paragraph")
    example: str = Field(description="A spec")


class FaultKindsAnswer(BaseModel):
    kinds: list[FaultKindAnswer]
    places: dict[str, str] = Field(description="What at= may name, and what that means")
    read_only: bool = Field(description="Whether this tap refuses every fault")


@router.get("", response_model=FaultKindsAnswer, summary="The kinds of faults, and the places where they can fire")
async def list_fault_kinds(tap: TheTap) -> Any:
    kinds = [
        {"kind": name, "does": " ".join((kind.__doc__ or "").split()), "example": kind.example}
        for name, kind in KINDS.items()
    ]
    return JsonAnswer({"kinds": kinds, "places": PLACES, "read_only": tap.config.read_only})
