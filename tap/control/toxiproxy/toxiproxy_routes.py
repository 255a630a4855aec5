"""The routes of Toxiproxy: which path and method does what, and the form of the answers.

One route of the application takes every path whose first part is one of ROOTS. Matching is exact, and on the path as it
came: so a name that contains a slash can be addressed, as %2F, which an application does not see.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from tap.control.controlled import Controlled
from tap.control.json_answers import JSON, shortened
from tap.control.toxiproxy.proxies import PartlyPopulated, Proxies
from tap.control.toxiproxy.proxy import WantedProxy
from tap.control.toxiproxy.request_body import ToxiproxyError, first_value, written

VERSION = "2.12.0"
ROOTS = frozenset({"proxies", "populate", "reset", "version"})
PLAIN = "text/plain; charset=utf-8"
_DIGITS = string.ascii_lowercase + string.digits

Handler = Callable[["Toxiproxy", Request, list[str]], Awaitable[Response]]


def _json(value: Any, status: int = 200) -> Response:
    return Response(written(value), status, media_type=JSON)


class Toxiproxy(BaseRoute):
    """Answers for one tap."""

    def __init__(self, tap: Controlled) -> None:
        self._proxies = Proxies(tap)

    # ---- see BaseRoute ----

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        is_ours = scope["type"] == "http" and _clean(_path(scope)).split("/")[1] in ROOTS
        return (Match.FULL if is_ours else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> Any:
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    # ---- routing ----

    async def _answer(self, request: Request) -> Response:
        path = _path(request.scope)
        clean = _clean(path)
        if clean != path:
            query = request.url.query
            return Response(status_code=301, headers={"location": f"{clean}?{query}" if query else clean})
        first, *rest = [unquote(part) for part in path.split("/")[1:]]
        methods = _ROUTES.get((first, len(rest)))
        if methods is None or "" in rest or (len(rest) > 1 and rest[1] != "toxics"):
            return Response("404 page not found\n", 404, {"x-content-type-options": "nosniff"}, PLAIN)
        handler = methods.get(request.method)
        if handler is None:
            return Response(status_code=405)
        if request.headers.get("user-agent", "").startswith("Mozilla/"):
            answer = Response("User agent not allowed\n", 403, {"x-content-type-options": "nosniff"}, PLAIN)
        else:
            try:
                answer = await handler(self, request, rest[::2])
            except ToxiproxyError as error:
                answer = _json({"error": shortened(error.text), "status": error.status}, error.status)
        answer.headers["x-toxiproxy-request-id"] = "".join(random.choices(_DIGITS, k=20))  # noqa: S311  # no secret
        return answer

    # ---- proxies ----

    async def _list(self, request: Request, names: list[str]) -> Response:
        return _json({one.name: one.as_dict() for one in self._proxies.all()})

    async def _create(self, request: Request, names: list[str]) -> Response:
        proxy = await self._proxies.create(WantedProxy.read(first_value(await request.body())))
        return _json(proxy.as_dict(), 201)

    async def _populate(self, request: Request, names: list[str]) -> Response:
        try:
            done = await self._proxies.populate(WantedProxy.read_list(first_value(await request.body())))
        except ToxiproxyError as error:
            done = list(error.done) if isinstance(error, PartlyPopulated) else []
            said = {"error": error.text, "status": error.status, "proxies": [one.as_dict() for one in done]}
            return _json(said, error.status)
        return _json({"proxies": [one.as_dict() for one in done]}, 201)

    async def _show(self, request: Request, names: list[str]) -> Response:
        return _json(self._proxies.named(names[0]).as_dict())

    async def _update(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxies.named(names[0])
        await self._proxies.update(proxy, first_value(await request.body()))
        return _json(proxy.as_dict())

    async def _delete(self, request: Request, names: list[str]) -> Response:
        await self._proxies.delete(names[0])
        return Response(status_code=204)

    async def _reset(self, request: Request, names: list[str]) -> Response:
        await self._proxies.reset()
        return Response(status_code=204)

    async def _version(self, request: Request, names: list[str]) -> Response:
        return Response(f'{{"version": "{VERSION}"}}\n', headers={"content-type": f"{JSON};charset=utf-8"})

    # ---- toxics ----

    async def _list_toxics(self, request: Request, names: list[str]) -> Response:
        return _json([one.as_dict() for one in self._proxies.named(names[0]).toxics])

    async def _add_toxic(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxies.named(names[0])
        return _json(proxy.add(first_value(await request.body())).as_dict())

    async def _show_toxic(self, request: Request, names: list[str]) -> Response:
        return _json(self._proxies.named(names[0]).toxic(names[1]).as_dict())

    async def _update_toxic(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxies.named(names[0])
        toxic = proxy.toxic(names[1])
        proxy.update(toxic, first_value(await request.body()))
        return _json(toxic.as_dict())

    async def _delete_toxic(self, request: Request, names: list[str]) -> Response:
        proxy = self._proxies.named(names[0])
        proxy.remove(proxy.toxic(names[1]))
        return Response(status_code=204)


# By the first part of the path and the number of parts after it: the handler of each method.
_ROUTES: Mapping[tuple[str, int], Mapping[str, Handler]] = {
    ("proxies", 0): {"GET": Toxiproxy._list, "POST": Toxiproxy._create},
    ("proxies", 1): {
        "GET": Toxiproxy._show,
        "POST": Toxiproxy._update,
        "PATCH": Toxiproxy._update,
        "DELETE": Toxiproxy._delete,
    },
    ("proxies", 2): {"GET": Toxiproxy._list_toxics, "POST": Toxiproxy._add_toxic},
    ("proxies", 3): {
        "GET": Toxiproxy._show_toxic,
        "POST": Toxiproxy._update_toxic,
        "PATCH": Toxiproxy._update_toxic,
        "DELETE": Toxiproxy._delete_toxic,
    },
    ("populate", 0): {"POST": Toxiproxy._populate},
    ("reset", 0): {"POST": Toxiproxy._reset},
    ("version", 0): {"GET": Toxiproxy._version},
}


def _path(scope: Scope) -> str:
    """The path as it came, percent-encoded."""
    raw = scope.get("raw_path")
    return str(scope["path"]) if raw is None else raw.decode("latin-1").partition("?")[0]


def _clean(path: str) -> str:
    """Without the slashes, dots and pairs of dots that a browser would remove."""
    parts: list[str] = []
    for part in re.split("/+", path)[1:]:
        if part == "..":
            parts[-1:] = []
        elif part != ".":
            parts.append(part)
    return f"/{'/'.join(parts)}"
