"""A conversation with a Toxiproxy server, and what can be compared of its answers.

`python -m tests.control.toxiproxy.conversation HOST:PORT` has it with a server that has no proxies yet, and prints the
answers: those of the original are in fixtures/toxiproxy/answers.json.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support import WITHIN


@dataclass(frozen=True)
class Step:
    """body: an object, or text that is sent as it is. {P1} in it and in the path is the first port that was answered,
    {TAKEN} a port that another socket listens on.
    """

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


UP = "127.0.0.1:1"
PROXIES = "/proxies"
A = "/proxies/replica-a"
TOXICS = f"{A}/toxics"


def _posts(path: str, *bodies: Any) -> list[Step]:
    return [Step("POST", path, body) for body in bodies]


STEPS: list[Step] = [
    Step("GET", "/version"),
    Step("GET", PROXIES),
    # ---- create ----
    *_posts(
        PROXIES,
        {"name": "replica-a", "listen": "localhost:0", "upstream": UP},
        {"name": "replica-a", "upstream": "127.0.0.1:6380"},
        {"name": "replica-a", "listen": "nonsense", "upstream": "x"},
        {"name": "replica-b", "listen": "127.0.0.1:0"},
        {"upstream": UP},
        {},
        "null",
        '{"name": "repl',
        "",
        " ",
        "tru",
        "[]",
        '"text"',
        "nonsense",
        '{"name": 5, "upstream": "x"}',
        '{"name": "x", "upstream": "x", "enabled": "yes"}',
        '{"name": "x", "upstream": "x", "listen": {}}',
        {"name": "x", "listen": "xyz", "upstream": UP},
        {"name": "x", "listen": "a:b:c", "upstream": UP},
        {"name": "x", "listen": "[::1", "upstream": UP},
        {"name": "x", "listen": "localhost:99999", "upstream": UP},
        {"name": "x", "listen": "localhost:-1", "upstream": UP},
        {"name": "x", "listen": "localhost:no-such-service", "upstream": UP},
        {"name": "x", "listen": "nohost.invalid:1", "upstream": UP},
        {"name": "x", "listen": "192.0.2.7:80", "upstream": UP},
        {"name": "x", "listen": "127.0.0.1:{TAKEN}", "upstream": UP},
        {"name": "x", "listen": "127.0.0.1:{P1}", "upstream": UP},
        {"name": "asleep", "listen": "localhost:26379", "upstream": UP, "enabled": False, "toxics": None},
        {"name": "unread", "listen": "no-port", "upstream": "nonsense", "enabled": False, "toxics": [{"a": 1}]},
        {"name": "empty", "upstream": UP, "enabled": False},
        '{"name": "null", "listen": null, "enabled": false, "upstream": "u:1", "other": [1]} trailing',
        '{"name": "a", "name": "twice", "upstream": "u:1", "enabled": false}',
        {"name": "any text: é 日本 / \"'&?", "listen": "127.0.0.1:0", "upstream": "redis.example:6379"},
        {"name": "everywhere", "listen": ":0", "upstream": UP},
        {"name": "everywhere-4", "listen": "0.0.0.0:0", "upstream": UP},
        {"name": "six", "listen": "[::1]:0", "upstream": UP},
    ),
    Step("GET", PROXIES),
    Step("GET", A),
    Step("GET", "/proxies/nope"),
    Step("GET", "/proxies/twice"),
    # ---- transport ----
    Step("GET", PROXIES, None, {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}),
    Step("POST", "/reset", None, {"User-Agent": "Mozilla/5.0"}),
    Step("GET", A, None, {"User-Agent": "mozilla/5.0"}),
    Step("GET", A, None, {"User-Agent": "x Mozilla/5.0"}),
    Step("PUT", PROXIES),
    Step("PATCH", PROXIES),
    Step("DELETE", PROXIES),
    Step("PUT", A),
    Step("GET", "/populate"),
    Step("GET", "/reset"),
    Step("POST", "/version"),
    Step("DELETE", TOXICS),
    Step("PUT", f"{TOXICS}/x"),
    Step("GET", "/proxies/"),
    Step("GET", f"{A}/"),
    Step("GET", f"{A}/nonsense"),
    Step("GET", f"{TOXICS}/a/b"),
    Step("GET", "/version/"),
    Step("GET", "//proxies"),
    Step("GET", "/proxies/../version?a=b"),
    Step("GET", "/proxies/replica%2Da"),
    Step("POST", PROXIES, {"name": "no type", "upstream": UP, "enabled": False}, {"Content-Type": "text/plain"}),
    Step("GET", "/proxies/no%20type"),
    Step("DELETE", "/proxies/no%20type"),
    # ---- toxics ----
    Step("GET", TOXICS),
    *_posts(
        TOXICS,
        {"type": "slow_close"},
        {"name": "far-away", "type": "latency", "stream": "upstream", "toxicity": 0.25, "attributes": {"latency": 80}},
        {"type": "latency", "stream": "sideways"},
        {"type": "latency", "stream": ""},
        {"name": "far-away", "type": "noop"},
        {"name": "far-away", "type": "noop", "stream": "upstream", "attributes": {"x": 1}},
        {"type": "slow_close", "attributes": {"delay": "x"}},
        {"type": "Latency"},
        {"type": "nonsense", "stream": "nonsense"},
        {"type": "packet-loss"},
        {},
        "",
        "[]",
        '{"type": "latency", "attributes": 5}',
        '{"type": "nonsense", "attributes": 5}',
        {"type": "latency", "attributes": {"latency": 1.5}},
        '{"type": "latency", "attributes": {"latency": 100.0}}',
        {"type": "latency", "attributes": {"latency": "5"}},
        {"type": "latency", "attributes": {"latency": 2**63}},
        {"type": "latency", "toxicity": "high"},
        {"type": "latency", "toxicity": 1e39},
        {"type": "latency", "name": 7},
        {"type": "bandwidth", "name": "", "stream": "UpStream", "attributes": {"rate": 100, "other": "x"}},
        {"type": "timeout", "toxicity": None, "attributes": None, "name": None, "stream": None},
        {"type": "reset_peer", "toxicity": 0.1234567891, "attributes": {"timeout": None}},
        {"type": "limit_data", "toxicity": 7, "attributes": {"bytes": -5}},
        {"type": "slicer", "toxicity": -0.5, "attributes": {"average_size": 64, "size_variation": 32, "delay": 10}},
        {"type": "noop", "stream": "upstream", "attributes": {"x": 1}},
        {"type": "latency", "name": "any é/? name", "attributes": {"latency": -(2**63), "jitter": 2**63 - 1}},
    ),
    Step("GET", TOXICS),
    Step("GET", A),
    Step("GET", f"{TOXICS}/far-away"),
    Step("GET", f"{TOXICS}/nope"),
    Step("GET", "/proxies/nope/toxics"),
    Step("GET", "/proxies/nope/toxics/x"),
    Step("POST", "/proxies/nope/toxics", ""),
    Step("POST", f"{TOXICS}/nope", ""),
    Step("PATCH", f"{TOXICS}/far-away", {"name": "near", "type": "timeout", "attributes": {"jitter": 15}}),
    Step("POST", f"{TOXICS}/far-away", {"toxicity": 0.5, "stream": "downstream"}),
    Step("PATCH", f"{TOXICS}/far-away", {"attributes": {"latency": "x"}}),
    Step("PATCH", f"{TOXICS}/far-away", {"toxicity": "x"}),
    Step("PATCH", f"{TOXICS}/far-away", ""),
    Step("PATCH", f"{TOXICS}/far-away", "[]"),
    Step("PATCH", f"{TOXICS}/far-away", "null"),
    Step("PATCH", f"{TOXICS}/far-away", '{"name": 5, "attributes": {"latency": 81, "latency": 82}}'),
    Step("PATCH", f"{TOXICS}/noop_upstream", {"attributes": {"x": 5}}),
    Step("DELETE", f"{TOXICS}/timeout_downstream"),
    Step("DELETE", f"{TOXICS}/timeout_downstream"),
    Step("DELETE", "/proxies/nope/toxics/x"),
    *_posts("/proxies/asleep/toxics", {"type": "latency", "attributes": {"latency": 5}}),
    Step("GET", "/proxies/asleep"),
    # ---- update ----
    Step("POST", A, {}),
    Step("PATCH", A, "null"),
    Step("POST", A, {"enabled": False}),
    Step("POST", A, {"enabled": False}),
    Step("PATCH", A, {"enabled": True}),
    Step("PATCH", A, {"name": "other", "listen": "localhost:{P1}", "upstream": UP, "enabled": True, "toxics": None}),
    Step("PATCH", A, {"upstream": "127.0.0.1:2"}),
    Step("PATCH", A, {"listen": "nonsense"}),
    Step("PATCH", A, {"listen": "localhost:99999", "enabled": False}),
    Step("PATCH", A, {"listen": "127.0.0.1:{TAKEN}"}),
    Step("GET", A),
    Step("PATCH", A, {"enabled": True}),
    Step("PATCH", A, {"listen": "127.0.0.1:{P1}"}),
    Step("PATCH", A, {"enabled": True}),
    Step("PATCH", A, {"listen": 5}),
    Step("PATCH", A, {"enabled": 1}),
    Step("PATCH", A, '{"name": 5}'),
    Step("PATCH", A, ""),
    Step("PATCH", "/proxies/nope", ""),
    Step("PATCH", "/proxies/unread", {"enabled": False}),
    Step("PATCH", "/proxies/unread", {"enabled": True}),
    Step("PATCH", "/proxies/unread", {"listen": "127.0.0.1:0", "enabled": True}),
    Step("PATCH", "/proxies/unread", {"listen": "127.0.0.1:0", "enabled": False}),
    # ---- populate ----
    *_posts(
        "/populate",
        "",
        "{}",
        "null",
        "[]",
        "[5]",
        [{"name": "x", "listen": "127.0.0.1:0", "upstream": UP}, {"name": "y"}],
        [{"name": "x", "listen": "127.0.0.1:0", "upstream": UP}, {"upstream": "u"}],
        "[null]",
        [{"name": "x", "upstream": 5}],
        [
            {"name": "x", "listen": "127.0.0.1:0", "upstream": UP},
            {"name": "y", "listen": "no-port", "upstream": UP},
            {"name": "z", "listen": "127.0.0.1:0", "upstream": UP},
        ],
        [{"name": "x", "listen": "no-port", "upstream": UP}],
        [{"name": "x", "listen": "127.0.0.1:{TAKEN}", "upstream": UP}],
        [{"name": "replica-b", "listen": "127.0.0.1:0", "upstream": UP, "enabled": False}],
        [{"name": "replica-a", "listen": "localhost:{P1}", "upstream": "127.0.0.1:2", "enabled": False}],
        [{"name": "replica-a", "listen": "localhost:{P1}", "upstream": "127.0.0.1:3"}],
        [{"name": "new", "listen": "127.0.0.1:0", "upstream": UP}],
        [{"name": "new", "listen": "127.0.0.1:0", "upstream": UP}],
        [{"name": "asleep", "listen": "localhost:26379", "upstream": "127.0.0.1:7"}],
        [{"name": "asleep", "listen": "127.0.0.1:26379", "upstream": "127.0.0.1:7", "enabled": False}],
    ),
    Step("GET", "/proxies/x"),
    Step("GET", "/proxies/z"),
    # ---- delete and reset ----
    Step("DELETE", "/proxies/unread"),
    Step("DELETE", "/proxies/empty"),
    Step("DELETE", "/proxies/null"),
    Step("DELETE", "/proxies/twice"),
    Step("DELETE", "/proxies/x"),
    Step("DELETE", "/proxies/x"),
    Step("POST", "/proxies/six/toxics", {"type": "timeout", "stream": "upstream"}),
    Step("POST", "/reset", "any body"),
    Step("GET", "/proxies/six"),
    Step("GET", "/proxies/asleep"),
    Step("GET", PROXIES),
]  # fmt: skip


def answers(host: str, port: int) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Each step, and what can be compared of its answer."""
    ports: dict[str, str] = {}  # as answered, and as named
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        names = {"TAKEN": str(taken.getsockname()[1])}
        connection = http.client.HTTPConnection(host, port, timeout=WITHIN)
        for step in STEPS:
            path, body = (_filled(one, names) for one in (step.path, _text(step.body)))
            connection.request(step.method, path, None if body is None else body.encode(), dict(step.headers))
            answer = connection.getresponse()
            text = answer.read().decode()
            for found in re.findall(r'"listen":"[^"]*:(\d+)"', text):
                if found != "26379" and found not in ports and int(found):
                    ports[found] = f"P{len(ports) + 1}"
                    names[ports[found]] = found
            yield step, _comparable(step, answer, _named(text, names))
        connection.close()


def _text(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)


def _filled(text: str | None, names: Mapping[str, str]) -> Any:
    return text if text is None else re.sub(r"\{(P\d+|TAKEN)\}", lambda one: names[one[1]], text)


def _named(text: str, names: Mapping[str, str]) -> str:
    named = {actual: name for name, actual in names.items()}
    return re.sub(r":(\d+)", lambda one: f":{named.get(one[1], one[1])}", text)


def _comparable(step: Step, answer: http.client.HTTPResponse, text: str) -> dict[str, Any]:
    """Without accidents: the type of errors, Go's own reasons, "Logger", null for no proxies, resolver detail."""
    is_error = answer.status >= 400
    said: Any = text
    if step.path != "/version":
        with contextlib.suppress(ValueError):
            said = _without_accidents(json.loads(text))
    has_id = answer.getheader("X-Toxiproxy-Request-Id") is not None
    return {
        "request": f"{step.method} {step.path}",
        "body": step.body,
        "status": answer.status,
        "type": None if is_error or not text else answer.getheader("Content-Type"),
        "location": answer.getheader("Location"),
        "has_id": has_id,
        "answer": said,
    }


def _without_accidents(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_accidents(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _without_accidents(one) for name, one in value.items() if name != "Logger"}
    if found.get("proxies", []) is None:
        found["proxies"] = []
    if "error" in found:
        found["error"] = re.sub(r"(?<=bad request body: )(?!EOF|unexpected EOF).*", "...", found["error"])
        found["error"] = re.sub(
            r"(lookup [^ ]+?)( on [^ ]+)?: .*(no such host|name resolution).*", r"\1: ...", found["error"]
        )
    return found


if __name__ == "__main__":
    host, _, number = sys.argv[1].rpartition(":")
    print(json.dumps([answer for _, answer in answers(host, int(number))], indent=1, ensure_ascii=False))
