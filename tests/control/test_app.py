"""The application as a whole: what OpenAPI says of its routes, and how errors look."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import time
from typing import Any

import pytest
from fastapi.routing import APIRoute

from tap import Config, Tap
from tap.control import app as app_module
from tap.control.app import make_app
from tap.control.json_answers import shortened
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


ENORMOUS = [text * 300_000 for text in ("x", "*a", "[a]")]  # 900 KB at most: a body with one of them is not too large


# A request for each place where a client may write text.
WITH_TEXT: list[tuple[str, Any]] = [
    ("/v1/wait", {"event": "TEXT"}),
    ("/v1/wait", {"event": ["listening", "TEXT"]}),
    ("/v1/wait", {"event": "listening", "where": {"TEXT": 1}, "after": "start"}),
    ("/v1/wait", {"event": "listening", "where": {"address": "TEXT"}, "after": "start", "within": 0}),
    ("/v1/wait", {"event": "listening", "link": "TEXT"}),
    ("/v1/wait", {"event": "listening", "within": "TEXT"}),
    ("/v1/faults", {"spec": "TEXT"}),
    ("/v1/faults", {"kind": "TEXT"}),
    ("/v1/faults", {"kind": "delay", "TEXT": 1}),
    ("/v1/faults", {"kind": "cut", "at": "TEXT"}),
    ("/v1/recordings", {"name": "TEXT"}),
    ("/v1/recordings/mark", {"note": "TEXT"}),
    ("/proxies", {"name": "TEXT", "listen": "127.0.0.1:0", "upstream": NOWHERE}),
    ("/proxies", {"name": "it", "listen": "TEXT", "upstream": NOWHERE}),
    ("/proxies", {"name": "it", "listen": "127.0.0.1:0", "upstream": "TEXT"}),
    ("/populate", [{"name": "TEXT", "upstream": NOWHERE}]),
    ("/proxies/main/toxics", {"type": "noop", "name": "TEXT"}),
    ("/proxies/main/toxics", {"type": "latency", "name": "TEXT"}),
    ("/proxies/main/toxics", {"type": "TEXT"}),
]


@pytest.mark.parametrize("text", ENORMOUS, ids=["letters", "stars", "brackets"])
def test_text_of_any_length_is_refused_soon_and_in_few_words(text: str) -> None:
    """A glob of 600 KB took fourteen seconds of the links' time, and a name of 900 KB made /metrics 34 MB longer."""
    with asked() as tap:
        for path, member in WITH_TEXT:
            body = json.dumps(member).replace("TEXT", text).encode()
            began = time.process_time()
            reply = tap.client.post(path, body)
            assert time.process_time() - began < 0.5, (path, member)
            assert reply.status in (400, 409, 422), (path, member)
            assert len(reply.body) < 20_000, (path, member)
        assert list(tap.client.get("/proxies").json) == ["main"]
        assert tap.client.get("/proxies").json["main"]["toxics"] == []


def test_a_shortened_error_keeps_its_beginning_and_its_end() -> None:
    assert shortened("x" * 4000) == "x" * 4000
    assert shortened("begin" + "x" * 5000 + "end") == "begin" + "x" * 1995 + " ... " + "x" * 1997 + "end"
