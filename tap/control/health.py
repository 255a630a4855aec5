"""/healthz and /readyz, for a supervisor."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from tap.control.controlled import Sharing
from tap.control.json_answers import JsonAnswer

router = APIRouter(tags=["health"])


class HealthAnswer(BaseModel):
    status: Literal["ok"] = Field(description="The process runs, and its event loop answers")


class ReadyAnswer(BaseModel):
    ready: bool = Field(description="Every link that is enabled listens, and the tap is not about to end")
    text: str = Field(description='Why it is not ready; "" if it is')


@router.get("/healthz", response_model=HealthAnswer, summary="Whether the tap runs; needs no token")
async def healthz() -> Any:
    return JsonAnswer({"status": "ok"})


@router.get(
    "/readyz",
    response_model=ReadyAnswer,
    responses={503: {"model": ReadyAnswer, "description": "It is not ready"}},
    summary="Whether every link takes connections",
)
async def readyz(shared: Sharing) -> Any:
    closed = [one.config.name for one in shared.tap.listeners if one.config.enabled and not one.is_listening]
    text = f"these links do not listen at present: {', '.join(closed)}" if closed else ""
    if shared.ending.is_set():
        text = "the tap is about to end"
    return JsonAnswer({"ready": not text, "text": text}, 503 if text else 200)
