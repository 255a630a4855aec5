"""Answers of the API: JSON, and errors as {"error": sentence} with the sentence that the command line prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic_core
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tap.errors import ConfigError, EnvironmentFailure, RecordingError, TapError

JSON = "application/json"
LONGEST_SENTENCE = 4000  # characters of an error, which may quote the request


class ErrorAnswer(BaseModel):
    """Any request that was refused."""

    error: str = Field(description="What is wrong, where, and what to do: the sentence that the command line prints")


class Refusal(Exception):
    """Raised by a route that refuses a request. status: of HTTP."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class JsonAnswer(JSONResponse):
    """An answer whose content is rendered here, in one call. Routes return it in place of their model.

    FastAPI would otherwise validate what we have just made, which takes longer than making it. The tests validate.
    """

    def render(self, content: Any) -> bytes:
        return pydantic_core.to_json(content, inf_nan_mode="null")


def refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JsonAnswer:
    return JsonAnswer({"error": shortened(sentence)}, status, dict(headers or {}))


def shortened(sentence: str) -> str:
    """The sentence of an error, without its middle if that is longer than anyone reads."""
    if len(sentence) <= LONGEST_SENTENCE:
        return sentence
    half = LONGEST_SENTENCE // 2
    return f"{sentence[:half]} ... {sentence[-half:]}"


def status_of(error: TapError) -> int:
    """The status of HTTP for an error that the tap raised."""
    if isinstance(error, ConfigError | RecordingError):
        return 400
    return 503 if isinstance(error, EnvironmentFailure) else 500


# For routes: the errors that any of them may answer, for OpenAPI.
ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "The request asks for something impossible"},
    401: {"model": ErrorAnswer, "description": "The token is missing or wrong"},
    403: {"model": ErrorAnswer, "description": "Refused: --read-only, a foreign Host or a foreign Origin"},
    413: {"model": ErrorAnswer, "description": "The body is too large"},
    422: {"model": ErrorAnswer, "description": "The body or a parameter is not of the form that is described here"},
}
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "Nothing has this name"}}
