"""The application as a whole: what OpenAPI says of its routes, and how errors look."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest
from fastapi.routing import APIRoute

from tap import Config, Tap
from tap.control import app as app_module
from tap.control.app import make_app
from tap.errors import EnvironmentFailure
from tests.control.asking import NOWHERE, asked
from tests.support import ROOT


@pytest.fixture(scope="module")
def routes() -> list[APIRoute]:
    return [one for router in app_module.ROUTERS for one in router.routes if isinstance(one, APIRoute)]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return make_app(Tap(Config(links=NOWHERE))).openapi()


def test_every_route_runs_in_the_loop(routes: list[APIRoute]) -> None:
    """FastAPI runs functions that are not async in threads, where the tap's state must not be read."""
    assert [one.path for one in routes if not inspect.iscoroutinefunction(one.endpoint)] == []


def test_every_route_is_described(described: dict[str, Any]) -> None:
    for path, methods in described["paths"].items():
        for method, about in methods.items():
            where = f"{method} {path}"
            assert about["summary"], where
            assert about["tags"], where
            answers = about["responses"]
            assert {"400", "401", "403", "413", "422"} <= set(answers), where
            if "{" in path:
                assert "404" in answers, where
            good = [answers[status] for status in answers if status.startswith("2")]
            assert good, where
            for one in good:
                assert all(
                    "$ref" in content["schema"]
                    for media, content in one["content"].items()
                    if media == "application/json"
                ), where


def test_operations_have_different_names(described: dict[str, Any]) -> None:
    names = [about["operationId"] for methods in described["paths"].values() for about in methods.values()]
    assert len(names) == len(set(names))


def test_nothing_is_fetched_from_elsewhere() -> None:
    with asked() as tap:
        assert tap.client.get("/docs").status == 404
        assert tap.client.get("/redoc").status == 404
        reply = tap.client.get("/v1/openapi.json")
        assert reply.status == 200
        assert "/v1/links" in reply.json["paths"]


def test_unknown_paths_and_methods_are_errors_like_others() -> None:
    with asked() as tap:
        reply = tap.client.get("/v1/nothing")
        assert (reply.status, reply.error) == (404, "no /v1/nothing here; /v1/openapi.json lists all routes")
        reply = tap.client.post("/v1/links")
        assert (reply.status, reply.error, reply.headers["allow"]) == (405, "POST is not for /v1/links", "GET")


def test_errors_of_the_tap_and_bugs_become_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with asked() as tap:

        def fail(most: int | None = None) -> Any:
            raise failure

        monkeypatch.setattr(tap.thread.tap, "status", fail)
        failure: Exception = EnvironmentFailure("the disk is full")
        reply = tap.client.get("/v1/links")
        assert (reply.status, reply.error) == (503, "the disk is full")
        failure = ZeroDivisionError()
        reply = tap.client.get("/v1/links")
        assert (reply.status, reply.error) == (
            500,
            "redis-tap failed on this request, which is a bug: its log has the traceback",
        )
        assert "GET /v1/links" in caplog.text
        assert tap.client.get("/healthz").status == 200


def test_a_tap_without_an_api_imports_nothing_for_one() -> None:
    code = "import asyncio, sys; from tap.cli import run; from tap import Tap; Tap('h:1'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"fastapi", "starlette", "uvicorn", "h11", "tap.control"} & set(done.stdout.split())


def test_the_whole_description_is_json(described: dict[str, Any]) -> None:
    assert json.loads(json.dumps(described)) == described
