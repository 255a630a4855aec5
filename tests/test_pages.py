"""The pages promise what exists: commands are accepted, examples run, tables match the code, links lead somewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fixtures.pages.record import is_short_for
from tap.cli.attach import NOT_HERE
from tap.config import Config, LinkConfig
from tap.config import file as config_file
from tap.config.option import in_order
from tap.replication import events
from tap.scenario.actions import ACTIONS
from tap.scenario.load import CONDITIONS, Expect
from tap.servers.embedded import Server, find_server
from tap.verdict.causes import CAUSES
from tests import declared, fault_page, metric_page
from tests.cli.running import TAP
from tests.cli.test_export import synced
from tests.cli.typed import command
from tests.cli.typed import tap as typed
from tests.control.asking import LOOPBACK_API, asked
from tests.operate.pairs import start_pair
from tests.operate.watching.watched import may_capture
from tests.recording.wires import STREAM, file, streamed
from tests.relay.certificates import Certificates
from tests.replay.support import captured
from tests.support import FIXTURES, ROOT, Servers, all_subclasses, programs

DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md")))
}


FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(language: str, pages: str = "") -> list[str]:
    """The blocks of every page, or of those whose path holds *pages*; language "" is for output."""
    found = [found for path, text in PAGES.items() if pages in path for found in FENCED.findall(text)]
    return [block for of, block in found if of == language]


def example(language: str, holds: str) -> str:
    """The only block that holds these words."""
    (found,) = (block for block in blocks(language) if holds in block)
    return found


def table(page: str, head: str) -> list[str]:
    """The rows below a table's head."""
    return PAGES[page].split(f"{head}\n")[1].split("\n\n")[0].splitlines()[1:]


def first_cells(rows: list[str]) -> str:
    return "".join(row.split("|")[1] for row in rows)


COMMANDS = list(dict.fromkeys(line for block in blocks("sh") for line in block.splitlines()))


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("redis-tap")])
def test_a_command_of_the_pages_is_accepted(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run for a moment, on ports of the system's choosing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tap.toml").write_text(re.sub(r"(\S+):64\d\d", r"\1:0", example("toml", "# tap.toml")))
    (tmp_path / "webhook.py").write_text(example("python", "# webhook.py"))
    (tmp_path / "stalled.toml").write_text(example("toml", "# stalled.toml"))
    words = shlex.split(re.sub(r"(127\.0\.0\.1|\*):64\d\d", r"\1:0", line))
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    if words[1] == "show":
        file(tmp_path / words[2], streamed(STREAM).packets, "pcapng")
    if "--tls" in words:
        made = Certificates(tmp_path / "made")
        shutil.copy(made.ca, tmp_path / "ca.crt")
        for name in ("tap.crt", "tap.key"):
            shutil.copy(made.leaf, tmp_path / name)
    if "--on-rotate" in words:
        uploads = tmp_path / "bin" / "aws"
        uploads.parent.mkdir()
        uploads.write_text('#!/bin/sh\ntest "$1 $2" = "s3 cp" && test -f "$3"\n')
        uploads.chmod(0o755)
        monkeypatch.setenv("PATH", f"{uploads.parent}:{os.environ['PATH']}")
    if words[1] == "export":
        file(tmp_path / words[2], synced(*STREAM).packets, "pcapng")
    if words[1] == "replay" and "--to" in words:
        file(tmp_path / words[2], streamed(STREAM).packets, "pcapng")
        with Server(find_server()) as target:
            done = typed(*[word.replace("127.0.0.1:6390", f"127.0.0.1:{target.port}") for word in words[1:]])
        assert done.returncode == 0, done.stderr
        return
    if words[1] == "ctl":
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        monkeypatch.setattr("tap.control.announcement.SERVICES", tmp_path)
        records: dict[str, Any] = {} if "start" in words else {"record_to": tmp_path / "now.pcapng"}
        with asked(**records) as tap:
            tap.client.post("/v1/faults", {"spec": "delay 20ms name=slow"})
            if words[2] == "events":
                words.remove("--follow")
            done = typed(*(word.replace("127.0.0.1:0", str(tap.address)) for word in words[1:]))
        assert done.returncode == 0, done.stderr
        return
    if words[1] in ("attach", "detach"):
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
        with contextlib.closing(Servers()) as servers:
            pair = start_pair(servers, next(iter(programs())))
            done = typed(words[1], str(pair.url), *(["--duration", "1500ms"] if words[1] == "attach" else []))
        assert done.returncode == 0, done.stderr
        return
    if words[1] == "diff":
        with Server(find_server()) as target:
            done = typed(*[word.replace("127.0.0.1:6390", f"127.0.0.1:{target.port}") for word in words[1:]])
        assert done.returncode == 1, done.stderr
        return
    if words[1] == "doctor":
        with Server(find_server(), "save", "3600 1") as master:
            done = typed("doctor", master.url, *words[words.index("--for") :])
        assert done.returncode == 0, done.stderr
        return
    if words[1] == "replay":
        captured("redis-7.0-diskless", tmp_path / words[2])
        with subprocess.Popen([*TAP, *words[1:]], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert "listening on" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        return
    if words[1] == "watch":
        if not may_capture():
            pytest.skip("tcpdump is not installed, or may not capture")
        # Ports of no server: of busy ones, this machine may lose packets.
        here = {"eth0": "lo", "any": "lo", "10.0.0.7": "127.0.0.1", "6379": "1", "6380": "2"}
        words = [here.get(word, word).replace("/var/tmp/", "") for word in words]
        words += ["--port", "1"] if "-i" in words else []
        file(tmp_path / "link.pcapng", streamed(STREAM).packets, "pcapng")
    if words[1] in ("run", "watch"):
        words += ["--duration", "100ms"]
    done = typed(*words[1:])
    if "Cannot assign requested address" in done.stderr or "Address family" in done.stderr:
        pytest.skip("no IPv6 on this machine")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("curl")])
def test_a_request_of_the_pages_is_answered(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    by_socket = "--unix-socket" in line
    records: dict[str, Any] = (
        {"record_to": tmp_path / "today.pcapng"} if "/recordings/" in line or "DELETE" in line else {}
    )
    with asked(f"unix:{tmp_path}/tap.sock" if by_socket else LOOPBACK_API, **records) as tap:
        words = shlex.split(line.replace("127.0.0.1:6474", str(tap.address)))
        goes_on = "/v1/events" in line
        words[1:1] = ["--fail", "--show-error", *(["--max-time", "0.5"] if goes_on else [])]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    if goes_on:
        assert done.stdout.startswith("retry: 1000\nid: "), done.stderr
        return
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith(("make", ".ci/"))])
def test_a_target_of_the_pages_exists(line: str) -> None:
    words = line.split()
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    else:
        assert os.access(ROOT / words[0], os.X_OK)


# Words in the output of each example.
SAID = {
    "# webhook.py": "",
    "a_lost_link_costs_no_snapshot": "",
    "an_outage_longer_than_the_backlog": "",
    "class Pager(Observer)": "no more pages",
    "tap.bus.subscribe": "REPLICAOF 127.0.0.1",
    'LinkConfig(master="10.0.0.5:6379"': "",
    'recording.open("today.pcapng")': "127.0.0.1:6379 127.0.0.1:50000 1000",
    "export.rdb": " ()",
    'ReplayMaster("orders.pcapng"': "up to offset",
    "from tap.rdb import keys": "0 b'httl' hash 44 None",
    "operate.diff(": "True 0 0",
}


def test_every_python_example_has_a_known_output() -> None:
    assert sorted(blocks("python")) == sorted(example("python", holds) for holds in SAID)


@pytest.mark.parametrize("holds", SAID)
def test_a_python_example_runs(
    holds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(FIXTURES / "rdb" / "redis-8.0.2-mixed.rdb", tmp_path / "dump.rdb")
    captured("redis-7.0-diskless", tmp_path / "orders.pcapng")
    file(tmp_path / "today.pcapng", streamed(STREAM).packets, "pcapng")
    monkeypatch.chdir(tmp_path)
    exec(example("python", holds), {})
    assert SAID[holds] in capsys.readouterr().out


@pytest.mark.parametrize("holds", ["a_lost_link_costs_no_snapshot", "an_outage_longer_than_the_backlog"])
def test_a_test_of_the_pages_passes_with_pytest_alone_and_at_once(holds: str, tmp_path: Path) -> None:
    path = tmp_path / "test_lost_link.py"
    path.write_text(example("python", holds))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "pytest", "-W", "error", "--durations=1", "--durations-min=0", path.name]
    done = subprocess.run(
        arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "1 passed" in done.stdout, done.stdout
    took = re.search(r"([0-9.]+)s call ", done.stdout)
    assert took
    assert float(took[1]) < 4  # 0.6 s, or 1.6; the delay before a diskless transfer alone would be 5


def test_the_configuration_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(example("toml", "# tap.toml"))
    loaded = config_file.load(path)
    assert [link.name for link in loaded.links] == ["orders", "sessions"]
    assert loaded.duration == 12 * 3600


def test_every_line_of_json_can_be_read() -> None:
    for block in blocks("json"):
        for line in block.splitlines():
            json.loads(line)


def test_an_event_in_an_example_has_only_fields_that_exist() -> None:
    for line in "".join(blocks("json")).splitlines():
        said = json.loads(line)
        if "event" in said:
            assert set(said) <= {*fields(said["event"]), "event", "time", "link", "connection", "replica"}, line


def fields(kind: str) -> set[str]:
    """The fields of an event."""
    return {field.name for field in dataclasses.fields(events.EVENTS[kind])}


# ---- output ----


@pytest.fixture(scope="module")
def recordings() -> list[Path]:
    """The recordings whose output the pages show; see the README there."""
    return sorted((FIXTURES / "pages").glob("*.pcapng.zst"))


def test_output_of_the_tap_on_the_pages_is_genuine(recordings: list[Path]) -> None:
    """Except times, which the pages shorten. They wrap long lines, and "…" at an end stands for more."""
    printed = [
        line.split(" ", 1)[1] for path in recordings for line in typed("show", path, "--commands").stdout.splitlines()
    ]
    lines = [line for block in blocks("") for line in re.sub(r"\n {13}", " ", block).splitlines()]
    shown = [line for line in lines if re.match(r"(\d{4}-\d\d-\d\dT)?\d\d:\d\d:\d\d\.\d{3}", line)]
    assert len(shown) > 30
    for line in shown:
        said = line.split(" ", 1)[1]
        assert said in printed or any(one.startswith(said.removesuffix("…")) for one in printed if said.endswith("…")), (
            line
        )


def test_events_on_the_page_of_replication_are_those_of_the_recordings(recordings: list[Path]) -> None:
    """The page leaves fields out, shortens replication IDs and rounds times."""
    told = [
        json.loads(line)
        for path in recordings
        for line in typed("show", path, "--commands", "--format", "json").stdout.splitlines()
    ]
    for line in "".join(blocks("json", "understand.md")).splitlines():
        shown = json.loads(line)
        assert any(all(is_short_for(value, one.get(name)) for name, value in shown.items()) for one in told), line


# ---- the tables ----


def test_every_step_and_expectation_is_in_the_reference() -> None:
    steps = "\n".join(table("docs/reference/scenarios.md", "| step | does |"))
    for verb in ACTIONS:
        assert re.search(rf"`{verb}[ `]", steps), verb
    for condition in CONDITIONS:
        assert f"`{condition}`" in steps, condition
    expectations = first_cells(table("docs/reference/scenarios.md", "| expectation | is met if |"))
    assert set(re.findall(r"`(\w+)`", expectations)) == set(Expect.model_fields) - {"on", "settle"}


def test_every_cause_of_a_loop_is_in_the_reference() -> None:
    rows = table("docs/reference/events.md", "| cause | what ends each round | what ends the loop |")
    assert set(re.findall(r"`(\w+)`", first_cells(rows))) == set(CAUSES)


def test_every_event_is_in_the_reference_with_every_field_and_no_others() -> None:
    named = []
    for row in table("docs/reference/events.md", "| event | says |"):
        for kind in re.findall(r"`(\w+)`", row.split("|")[1]):
            named.append(kind)
            for field in fields(kind) - {"start", "end"}:
                assert f"`{field}`" in row, f"{kind}: {field}"
    leaves = {kind for kind in all_subclasses(events.Event) if kind is not events.WireEvent}
    assert sorted(named) == sorted(kind.kind for kind in leaves)


@pytest.mark.parametrize(
    ("verb", "head"),
    [
        ("run", "| option | in a file | does |"),
        ("attach", "| option of `attach` | does |"),
        ("watch", "| option of `watch` | does |"),
        ("rdb", "| option of `rdb` | does |"),
        ("diff", "| option of `diff` | does |"),
        ("doctor", "| option of `doctor` | does |"),
        ("chaos", "| option of `chaos` | does |"),
        ("show", "| option of `show` | does |"),
        ("export", "| option of `export` | does |"),
        ("replay", "| option of `replay` | does |"),
    ],
)
def test_every_option_is_in_the_reference(verb: str, head: str) -> None:
    options = {option for parameter in command(verb).params for option in parameter.opts if option.startswith("--")}
    if verb == "attach":  # the options of run are in the table of run
        options -= {flag for one in in_order(LinkConfig, Config) if one.name not in NOT_HERE for flag in one.flags}
    if verb == "watch":  # so are those that it refuses
        options -= {flag for one in in_order(LinkConfig, Config) for flag in one.flags}
    rows = table("docs/reference/options.md", head)
    assert options == set(re.findall(r"`(--[a-z-]+)", first_cells(rows)))


def test_the_page_of_faults_equals_the_code() -> None:
    assert PAGES["docs/reference/faults.md"] == fault_page.page(), "run: python -m tests.fault_page"


def test_the_table_of_options_equals_the_declarations() -> None:
    assert PAGES["docs/reference/options.md"] == declared.page(), "run: python -m tests.declared"


def test_the_tables_of_metrics_equal_the_declarations() -> None:
    assert PAGES["docs/reference/metrics.md"] == metric_page.page(), "run: python -m tests.metric_page"


def test_every_room_is_in_the_contributors_table() -> None:
    rooms = {path.name for path in (ROOT / "tap").iterdir() if (path / "__init__.py").exists()}
    named = re.findall(r"`(\w+)/`", first_cells(table("CONTRIBUTING.md", "| room | what lives there |")))
    assert rooms == set(named)


# ---- the pages as a whole ----


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150


def test_every_page_is_in_the_navigation_once() -> None:
    said = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    named = [path for entry in said for value in entry.values() for path in _paths(value)]
    assert sorted(named) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def _paths(entry: str | list[dict[str, str]]) -> list[str]:
    return [entry] if isinstance(entry, str) else [path for one in entry for path in one.values()]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_page_and_a_heading(page: str) -> None:
    """`make docs` checks links between pages of the site; this also checks those of the README."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", PAGES[page])):
        assert "://" not in target, target
        path, _, anchor = target.partition("#")
        where = (ROOT / page).parent / path if path else ROOT / page
        assert where.exists(), target
        if anchor:
            assert anchor in anchors(where.read_text()), target


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub and Python-Markdown both make them."""
    outside = FENCED.sub("", text)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
