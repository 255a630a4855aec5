"""/v1/recordings: the recording of this tap: how it stands, its next file, marks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from tap.config.config import Redact
from tap.control.controlled import TheTap
from tap.control.json_answers import ErrorAnswer, JsonAnswer, Refusal
from tap.recorder.recorder import MAX_NOTE, Recorder

router = APIRouter(prefix="/v1/recordings", tags=["recordings"])

NOTHING: dict[int | str, dict[str, Any]] = {409: {"model": ErrorAnswer, "description": "Nothing is being recorded"}}


class RecordingAnswer(BaseModel):
    """The recording in progress."""

    path: str = Field(description="The file that is being written")
    waiting: int = Field(description="Bytes that are not in a file yet")
    lost_bytes: int = Field(description="Left out because the disk could not keep up")
    lost_links: int = Field(description="Connections that are not recorded because too much waited for the disk")
    trouble: str = Field(description='What went wrong; "" if nothing did')


class RecordingsAnswer(BaseModel):
    recordings: list[RecordingAnswer] = Field(description="At most one at a time")


class NewRecording(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "incident.pcapng.zst"}]})

    name: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.pcapng(\.zst)?$",
        description="Of a new file, beside that of -w or in the tap's working directory; .zst compresses it",
    )
    without_rdb: bool = Field(False, description="Leave the payload of full resyncs out")
    redact: list[Redact] = Field([], max_length=2, description="Replace values, or keys")


class Mark(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"note": "deployment 1234 begins"}]})

    note: str = Field(min_length=1, max_length=MAX_NOTE, description="What the mark says")


@router.get("", response_model=RecordingsAnswer, summary="The recording in progress, if there is one")
async def list_recordings(tap: TheTap) -> Any:
    return JsonAnswer({"recordings": [] if tap.recorder is None else [_answer(tap.recorder)]})


@router.post(
    "",
    response_model=RecordingAnswer,
    responses={409: {"model": ErrorAnswer, "description": "Something is being recorded, or the name is taken"}},
    status_code=201,
    summary="Start a recording; connections that are open are in it from one of their next commands on",
)
async def start_recording(tap: TheTap, new: Annotated[NewRecording, Body()]) -> Any:
    if tap.recorder is not None:
        raise Refusal(409, f"this tap records into {tap.recorder.path} already: stop that first")
    path = _directory(tap.config.record_to) / new.name
    if path.is_dir():  # which the recorder would fill with files
        raise Refusal(409, f"{path} is a directory: give the recording another name")
    return JsonAnswer(_answer(tap.start_recording(path, without_rdb=new.without_rdb, redact=new.redact)), 201)


@router.delete("", response_model=RecordingAnswer, responses=NOTHING, summary="Stop the recording, and close its file")
async def stop_recording(tap: TheTap) -> Any:
    _recorder(tap)
    return JsonAnswer(_answer(await tap.stop_recording()))


@router.post("/rotate", response_model=RecordingAnswer, responses=NOTHING, status_code=202, summary="Begin the next file")
async def rotate_recording(tap: TheTap) -> Any:
    recorder = _recorder(tap)
    recorder.rotate()
    return JsonAnswer(_answer(recorder), 202)


@router.post(
    "/mark",
    response_model=RecordingAnswer,
    responses=NOTHING,
    status_code=201,
    summary="Put a note into the recording, as a packet comment and an event",
)
async def mark_recording(tap: TheTap, mark: Annotated[Mark, Body()]) -> Any:
    recorder = _recorder(tap)
    recorder.mark(mark.note)
    return JsonAnswer(_answer(recorder), 201)


def _directory(given: Path | None) -> Path:
    """Where recordings go that are started here. A client names no directory: it may have fewer rights than the tap."""
    if given is None:
        return Path.cwd()
    return given if given.is_dir() else given.parent


def _recorder(tap: TheTap) -> Recorder:
    if tap.recorder is None:
        raise Refusal(409, "nothing is being recorded: start a recording, or the tap with -w FILE.pcapng")
    return tap.recorder


def _answer(recorder: Recorder) -> dict[str, Any]:
    return {
        "path": str(recorder.path),
        "waiting": recorder.waiting,
        "lost_bytes": recorder.lost_bytes,
        "lost_links": recorder.lost_links,
        "trouble": recorder.trouble,
    }
