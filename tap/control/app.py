"""The FastAPI application of one tap: its groups of routes, and errors as JSON.

To add a group, write a module with `router = APIRouter()` and name it in ROUTERS. Routes are coroutine functions (FastAPI
would run others in threads, where the tap's state must not be read), take the tap as a parameter `tap: TheTap`, and raise
ConfigError or Refusal for what they refuse.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tap.control import (
    event_stream,
    fault_reference,
    fault_routes,
    health,
    link_history,
    links,
    metrics_page,
    page,
    recordings,
    resyncs,
    statistics,
    waiting,
)
from tap.control.controlled import Controlled, Shared
from tap.control.json_answers import ERRORS, JsonAnswer, Refusal, refused, status_of
from tap.control.toxiproxy.toxiproxy_routes import Toxiproxy
from tap.errors import TapError, expected
from tap.version import version

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    links.router,
    fault_routes.router,
    event_stream.router,
    waiting.router,
    resyncs.router,
    statistics.router,
    link_history.router,
    recordings.router,
    metrics_page.router,
    fault_reference.router,
    page.router,
)

log = logging.getLogger(__name__)


def make_app(tap: Controlled) -> FastAPI:
    """The application, without the layer of access.py around it."""
    app = FastAPI(
        title="redis-tap",
        version=version(),
        summary="State, events and faults of a running tap",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from another host
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=JsonAnswer,
        responses=ERRORS,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.shared = Shared(tap)
    app.state.metrics_page = metrics_page.MetricsPage(tap)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes.insert(0, Toxiproxy(tap))  # it looks at the first part of a path only
    app.add_exception_handler(Refusal, _refusal)
    app.add_exception_handler(TapError, _tap_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)
    app.openapi()  # made now: it takes longer than a link should wait
    return app


async def _refusal(_request: Request, error: Any) -> Response:
    return refused(error.status, error.sentence)


async def _tap_error(_request: Request, error: Any) -> Response:
    return refused(status_of(error), str(error))


async def _malformed(_request: Request, error: Any) -> Response:
    return refused(422, "; ".join(map(_sentence, error.errors()[:5])))


def _sentence(problem: dict[str, Any]) -> str:
    """One of pydantic's errors as a sentence: where, and what."""
    place: Sequence[Any] = problem["loc"]
    if problem["type"] == "json_invalid":
        return f"the body is not JSON: {problem.get('ctx', {}).get('error', 'it cannot be read')}"
    where = ".".join(map(str, place[1:])) or "the body"
    what = (
        "it is missing" if problem["type"] == "missing" else expected(str(problem["msg"]).removeprefix("Value error, "))
    )
    return f"{where}: {what[0].lower()}{what[1:]}"


async def _http_error(request: Request, error: Any) -> Response:
    if error.status_code == 404:
        sentence = f"no {request.url.path[:200]} here; /v1/openapi.json lists all routes"
    elif error.status_code == 405:
        sentence = f"{request.method} is not for {request.url.path[:200]}"
    else:
        sentence = str(error.detail)
    return refused(error.status_code, sentence, error.headers)


async def _bug(request: Request, error: Exception) -> Response:
    log.error("the API failed on %s %s", request.method, request.url.path, exc_info=error)
    return refused(500, "redis-tap failed on this request, which is a bug: its log has the traceback")
