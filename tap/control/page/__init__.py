"""The page at `/`: plain HTML, CSS and ES modules, which ask this API as any client does.

The files are read once, when the API starts. Nothing in them comes from elsewhere, and the Content-Security-Policy allows
nothing else: no inline script or style, no other host, no frame.

Where the API needs a token the page does, too: access.py also takes the token as the password of HTTP Basic, for which a
browser asks, and which it then sends with each request of the page.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from tap.control.json_answers import Refusal

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

router = APIRouter(include_in_schema=False)

_FILES = {path.name: path.read_bytes() for path in (Path(__file__).parent / "static").iterdir() if path.suffix in TYPES}


def _file(name: str) -> Response:
    if name not in _FILES:
        raise Refusal(404, f"no /page/{name[:200]} here; the page is at /")
    return Response(_FILES[name], headers={**HEADERS, "content-type": TYPES[Path(name).suffix]})


@router.get("/")
async def show_page() -> Response:
    return _file("index.html")


@router.get("/page/{name}")
async def show_page_file(name: str) -> Response:
    return _file(name)
