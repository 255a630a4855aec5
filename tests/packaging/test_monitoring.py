"""Alert rules and the dashboard: what promtool says of them, and a Prometheus that scrapes a tap in each situation."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tap.control.metrics_page import exposed_name
from tap.observers.metrics import METRICS, Histogram
from tap.servers.embedded import free_port
from tests.control.asking import asked
from tests.support import ROOT, Servers, client, follow, level, wait_until

PROMETHEUS = ROOT / "packaging" / "prometheus"
RULES = PROMETHEUS / "redis-tap.rules.yml"
DASHBOARD = ROOT / "packaging" / "grafana" / "redis-tap.json"
needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="Debian's prometheus is not installed",
)
ALERT_WITHIN = 60.0  # seconds


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_promtool_accepts_the_rules_their_tests_and_the_configuration() -> None:
    promtool("check", "config", PROMETHEUS / "prometheus.yml")
    promtool("check", "rules", "--lint-fatal", RULES)
    promtool("test", "rules", PROMETHEUS / "redis-tap.test.yml")


def exposed() -> set[str]:
    """The names of all series that a tap may expose."""
    names = {"redis_tap_build_info"}
    for one in METRICS:
        suffixes = ("_bucket", "_sum", "_count") if isinstance(one, Histogram) else ("",)
        names.update(exposed_name(one) + suffix for suffix in suffixes)
    return names


def queries(board: Any) -> list[str]:
    """Every query of the dashboard."""
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in board["annotations"]["list"]]
    return found + [one["query"]["query"] for one in board["templating"]["list"] if one["type"] == "query"]


@pytest.mark.parametrize("path", [RULES, PROMETHEUS / "redis-tap.test.yml", DASHBOARD], ids=lambda path: path.name)
def test_only_metrics_that_exist_are_named(path: Path) -> None:
    text = "\n".join(queries(json.loads(path.read_text()))) if path == DASHBOARD else path.read_text()
    named = set(re.findall(r"\bredis_tap_\w+", text))
    assert named
    assert named <= exposed()


@needs_prometheus
def test_every_query_of_the_dashboard_can_be_parsed(tmp_path: Path) -> None:
    rules = []
    for number, query in enumerate(queries(json.loads(DASHBOARD.read_text()))):
        if not query.startswith("label_values"):
            plain = query.replace("$__rate_interval", "1m").replace("$__range", "1h")
            rules.append({"record": f"query_{number}", "expr": plain})
    path = tmp_path / "queries.json"  # JSON is YAML
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    promtool("check", "rules", path)


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


# ---- a real Prometheus ----


class Scraper:
    """A Prometheus that scrapes each second; its rules wait for a second where they would wait for longer."""

    def __init__(self, directory: Path, target: str) -> None:
        self._directory = directory
        self._url = f"http://127.0.0.1:{free_port()}"
        rules = re.sub(r"for: \w+", "for: 1s", RULES.read_text())
        rules = rules.replace("lag_seconds > 10", "lag_seconds > 3").replace("up offset 5m", "up")
        (directory / RULES.name).write_text(rules)
        config = (PROMETHEUS / "prometheus.yml").read_text().replace("15s", "1s").replace("127.0.0.1:6474", target)
        (directory / "prometheus.yml").write_text(config)

    def __enter__(self) -> Scraper:
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={self._directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self._directory / 'data'}",
                f"--web.listen-address={self._url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._is_ready, ALERT_WITHIN)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(ALERT_WITHIN)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self._url}/api/v1/{path}", timeout=5) as reply:
            return json.load(reply)["data"]

    def firing(self) -> set[str]:
        return {one["labels"]["alertname"] for one in self._ask("alerts")["alerts"] if one["state"] == "firing"}

    def value(self, query: str) -> float:
        found = self._ask(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return sum(float(one["value"][1]) for one in found)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(condition, ALERT_WITHIN, what)


@pytest.fixture
def scraped(servers: Servers, any_server: str, tmp_path: Path) -> Iterator[tuple[Any, Scraper, Any, Any, Path]]:
    """A pair, inspected and recorded, and a Prometheus that scrapes its tap."""
    master = servers.start(any_server, "client-output-buffer-limit", "replica 256mb 0 0")
    replica = servers.start(any_server)
    link = {"master": f"127.0.0.1:{master.port}", "inspect": f"redis://127.0.0.1:{master.port}"}
    with asked(links={"main": link}, record_to=tmp_path / "r.pcapng") as tap:
        with Scraper(tmp_path, str(tap.thread.tap.api.address)) as prometheus:  # type: ignore[union-attr]
            yield tap, prometheus, master, replica, tmp_path / "r.pcapng"


@needs_prometheus
@pytest.mark.slow
def test_each_situation_raises_its_alert(scraped: Any) -> None:
    tap, prometheus, master, replica, recording = scraped
    prometheus.wait_for(lambda: prometheus.value("redis_tap_build_info") == 1, "the first scrape")
    assert prometheus.firing() == set()

    follow(replica, tap.thread.port)
    level(master, replica)
    prometheus.wait_for(lambda: prometheus.firing() == {"RedisFullResync"}, "RedisFullResync alone")

    # A replica that hangs: it falls silent, its lag grows, and the master's output buffer fills.
    os.kill(replica.pid, signal.SIGSTOP)
    wanted = {"RedisReplicaLag", "RedisReplicationSilent", "RedisOutputBufferNearLimit"}
    ratio = "redis_tap_output_buffer_bytes / on (link) redis_tap_output_buffer_limit_bytes"

    def all_fire() -> bool:
        if prometheus.value(ratio) < 0.62:  # a figure of 2 s ago: slowly, for beyond the limit the link is closed
            client(master).set("key", b"v" * 1_000_000)
        seen.update(prometheus.firing())
        return wanted <= seen

    seen: set[str] = set()
    try:
        prometheus.wait_for(all_fire, f"alerts on a replica that hangs, after {seen}")
    finally:
        os.kill(replica.pid, signal.SIGCONT)
    prometheus.wait_for(lambda: not wanted & prometheus.firing(), "the end of these alerts")

    # A loop: each RDB is cut, and the replica asks again.
    tap.client.post("/v1/faults", {"spec": "cut at=rdb:50% times=5 name=loop"})
    client(replica).execute_command("REPLICAOF", "NO", "ONE")
    client(replica).flushall()
    follow(replica, tap.thread.port)
    prometheus.wait_for(lambda: "RedisResyncLoop" in prometheus.firing(), "RedisResyncLoop")

    recording.unlink()  # another process deletes it
    client(master).set("key", "value")
    prometheus.wait_for(lambda: "RedisTapRecordingGap" in prometheus.firing(), "RedisTapRecordingGap")

    tap.thread.end()
    prometheus.wait_for(lambda: "RedisTapDown" in prometheus.firing(), "RedisTapDown")
