"""The house: who may import whom, read from the imports themselves, and where the tests of each module are."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

from tests.support import ROOT

# A room, and the rooms of the house it may use. The modules beside the rooms (config, errors, bus) stand under most.
MAY_USE = {
    "rdb": {"errors", "glob"},
    "replication": {"rdb"},
    "faults": {"replication", "rdb", "glob", "units", "errors"},
    "capture": {"errors", "units"},
    "redaction": {"replication"},
    "recorder": {"recording", "capture", "redaction", "replication", "paths", "errors", "bus", "units"},
    "recording": {"capture", "replication", "verdict", "key_groups", "glob", "errors", "bus", "units"},
    "export": {"recording", "capture", "replication", "paths", "errors", "bus"},
    "replay": {
        "version",
        "glob",
        "hints",
        "recording",
        "capture",
        "replication",
        "servers",
        "listening",
        "config",
        "url",
        "errors",
        "bus",
    },
    "operate": {
        "replication",
        "rdb",
        "recording",
        "export",
        "replay",
        "capture",
        "servers",
        "verdict",
        "observers",
        "config",
        "status",
        "thresholds",
        "glob",
        "url",
        "paths",
        "errors",
        "bus",
        "tap",
    },
    "relay": {"replication", "faults", "listening", "config", "url", "secret", "errors", "bus", "status"},
    "verdict": {"replication", "bus", "units", "status", "thresholds"},
    "status": {"replication", "url"},
    "listening": {"errors", "port_owner", "url"},
    "port_owner": set(),
    "secret": {"errors"},
    "url": {"errors"},
    "hints": {"errors"},
    "events": {"replication"},
    "paths": {"errors"},
    "glob": set(),
    "key_groups": {"errors", "glob"},
    "printable": set(),
    "units": {"errors"},
    "thresholds": {"errors", "units"},
    "scenario": {
        "replication",
        "conditions",
        "faults",
        "status",
        "servers",
        "config",
        "url",
        "errors",
        "units",
        "toml",
        "bus",
        "tap",
    },
    "console": {
        "replication",
        "rdb",
        "recording",
        "recorder",
        "faults",
        "relay",
        "replay",
        "operate",
        "servers",
        "scenario",
        "config",
        "printable",
        "key_groups",
        "url",
        "errors",
        "bus",
        "status",
        "tap",
        "units",
    },
    "control": {
        "paths",
        "replication",
        "observers",
        "faults",
        "relay",
        "recorder",
        "verdict",
        "listening",
        "config",
        "url",
        "errors",
        "bus",
        "status",
        "version",
        "secret",
        "kept_events",
        "conditions",
        "units",
    },
    "servers": {"replication", "errors", "url"},
    "cli": {
        "control",
        "replication",
        "rdb",
        "faults",
        "scenario",
        "glob",
        "key_groups",
        "units",
        "relay",
        "recording",
        "recorder",
        "export",
        "capture",
        "operate",
        "replay",
        "verdict",
        "console",
        "servers",
        "printable",
        "config",
        "url",
        "paths",
        "version",
        "errors",
        "bus",
        "tap",
    },
    "observers": {"replication", "relay", "servers", "printable", "config", "url", "errors", "bus", "status"},
    "link_set": {
        "observers",
        "relay",
        "faults",
        "replication",
        "config",
        "url",
        "errors",
        "bus",
        "thresholds",
        "verdict",
    },
    "tap": {
        "hints",
        "kept_events",
        "control",
        "link_set",
        "observers",
        "conditions",
        "relay",
        "recorder",
        "faults",
        "replication",
        "config",
        "url",
        "errors",
        "bus",
        "status",
        "thresholds",
        "units",
        "verdict",
    },
    "bus": {"replication", "errors"},
    "conditions": {"replication", "bus", "errors"},
    "kept_events": {"bus"},
    "config": {"errors", "hints", "key_groups", "paths", "thresholds", "toml", "units", "url"},
    "version": set(),
    "toml": {"errors"},
    "claims": set(),
    "uncompiled": set(),
    "errors": set(),
}
IO = {"asyncio", "socket", "time", "os", "threading", "random", "logging", "pathlib", "datetime"}
# A fault's dice come in as a generator made from the seed; the class alone draws nothing.
SANS_IO = {"replication": IO, "rdb": IO, "redaction": IO, "verdict": IO, "faults": IO - {"random"}}


def modules() -> list[tuple[Path, str]]:
    """Every module of the package, and the room it is in: its folder, or itself."""
    found = []
    for path in sorted((ROOT / "tap").rglob("*.py")):
        inside = path.relative_to(ROOT / "tap")
        if len(inside.parts) > 1 or path.stem not in ("__init__", "__main__"):
            found.append((path, inside.parts[0] if len(inside.parts) > 1 else path.stem))
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" if node.module == "tap" else node.module for alias in node.names}
    return names


def test_no_room_imports_from_above_or_next_door() -> None:
    offenders = []
    for path, room in modules():
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "tap" and len(parts) > 1 and parts[1] not in MAY_USE[room] | {room}:
                offenders.append(f"{path.relative_to(ROOT)} imports {name}; {room} may use {sorted(MAY_USE[room])}")
    assert not offenders


def test_the_rooms_of_bytes_open_no_socket_and_read_no_clock() -> None:
    offenders = []
    for path, room in modules():
        for name in imports(path):
            if name.split(".")[0] in SANS_IO.get(room, set()):
                offenders.append(
                    f"{path.relative_to(ROOT)} imports {name}; {room}/ is sans-IO, move the waiting to relay/"
                )
    assert not offenders


def test_no_files_import_each_other_in_a_circle() -> None:
    """Every import counts: at the head of a file, under TYPE_CHECKING, inside a function, from a declaration (.pxd).

    `from tap.room import module` counts as an import of the room's __init__, too. `from tap.room.module import name` does
    not, although Python loads the __init__ for it: a package hands on what is inside.
    """
    arrows = {file: uses(file) for file in files().values()}
    circling = {str(file.relative_to(ROOT / "tap")) for file in arrows if file in reached(file, arrows)}
    assert not circling, "these import each other in a circle: move what both need below them"


@cache
def files() -> dict[str, Path]:
    """Every file of the package, by its name in an import."""
    found = {}
    for path in (ROOT / "tap").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if path.stem == "__init__" else parts)] = path
    return found


@cache
def uses(path: Path) -> set[Path]:
    """The files of the package that this one imports."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.removeprefix("cython.cimports.")
            named = {f"{module}.{alias.name}" for alias in node.names}
            found |= named if module == "tap" else named | {module}
    return {files()[name] for name in found & files().keys()} - {path}


def reached(start: Path, arrows: dict[Path, set[Path]]) -> set[Path]:
    """The files that are imported from this one, and from those, and so on."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        new = arrows[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_only_one_room_talks_to_servers() -> None:
    users = {room for path, room in modules() if any(name.split(".")[0] == "redis" for name in imports(path))}
    assert users == {"servers"}


# A module whose name stands twice, and why.
NAMED_ALIKE = {
    "events": "tap/events.py is the door for users to tap/replication/events.py",
}


def test_no_two_modules_have_one_name() -> None:
    """A reader looks a file up by its name, and `see frames.py` says no room."""
    names = Counter(path.stem for path, _ in modules() if path.stem not in ("__init__", "__main__"))
    alike = {name for name, count in names.items() if count > 1}
    assert not alike - NAMED_ALIKE.keys(), "name each for what it holds, or say in NAMED_ALIKE why both have the name"
    assert not NAMED_ALIKE.keys() - alike, "these names stand once"


# A class whose name stands twice, and why.
CLASSES_ALIKE = {
    "Command": "tap.events.Command is the event; tap.recording.Command is one command of a recording. Both are public",
}


def test_no_two_classes_have_one_name() -> None:
    """A name that stands twice makes a reader look up which of the two an import means."""
    names = Counter(
        node.name for path, _ in modules() for node in ast.walk(parsed(path)) if isinstance(node, ast.ClassDef)
    )
    alike = {name for name, count in names.items() if count > 1}
    assert not alike - CLASSES_ALIKE.keys(), "name each for what it is, or say in CLASSES_ALIKE why both have the name"
    assert not CLASSES_ALIKE.keys() - alike, "these names stand once"


MAX_LINES = 700
# A longer module that is neither compiled nor to be taken apart, and why.
LONG = {
    "replication/events.py": "a table: one class for each event",
}


def test_no_module_is_long_but_tables_and_compiled_loops() -> None:
    """A long module has two nouns. A compiled loop stays in one module, because calls within it are cheap."""
    long = set()
    for path, _ in modules():
        text = path.read_text()
        if text.count("\n") > MAX_LINES and not re.search("^# (cython|distutils):", text, re.MULTILINE):
            long.add(str(path.relative_to(ROOT / "tap")))
    assert not long - LONG.keys(), "take these apart along their nouns"
    assert not LONG.keys() - long, "these are short"


def named(docstring: str) -> set[str]:
    """The modules that a room's docstring names: in the first column of a table, or with .py."""
    rows = re.findall(r"^ *(\w+(?:, \w+)*) {2,}\S", docstring, re.MULTILINE)
    return {name for row in rows for name in row.split(", ")} | set(re.findall(r"\b(\w+)\.py\b", docstring))


def test_the_docstring_of_a_room_says_what_each_of_its_modules_is() -> None:
    """From `ls tap/` and these a reader finds the place of a change. kinds/ has a file for each kind of fault."""
    rooms = {path.parent for path, _ in modules()} - {ROOT / "tap", ROOT / "tap" / "faults" / "kinds"}
    for room in rooms:
        said = named(ast.get_docstring(ast.parse((room / "__init__.py").read_text()), clean=False) or "")
        inside = {path.stem for path in room.glob("*.py")} - {"__init__"}
        assert not inside - said, f"give each a phrase in the docstring of tap/{room.name}/__init__.py"


def test_the_guide_names_each_room_and_each_module_beside_them() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    places = {f"{room}/" if (ROOT / "tap" / room).is_dir() else f"{room}.py" for _, room in modules()}
    assert not {place for place in places if f"`{place}`" not in guide}


# A module whose tests are not in a file of its name, and the file where they are: it is a part of what that one is
# about, or a few lines of types that are used there.
TESTED_ELSEWHERE = {
    "control/link_samples.py": "control/test_link_history.py",
    "cli/plain.py": "cli/test_cli.py",
    "console/control_tables.py": "cli/test_ctl.py",
    "control/announcement.py": "cli/test_ctl.py",
    "control/api_client.py": "cli/test_ctl.py",
    "cli/chaos_campaign.py": "cli/test_chaos.py",
    "cli/replay_as_master.py": "cli/test_replay.py",
    "control/api.py": "control/test_door.py",
    "control/controlled.py": "control/test_app.py",
    "control/json_answers.py": "control/test_app.py",
    "control/link_answers.py": "control/test_links.py",
    "console/rdb_formats.py": "cli/test_rdb.py",
    "console/rdbtools_callbacks.py": "console/test_rdbtools_formats.py",
    "console/demo_story.py": "cli/test_demo.py",
    "console/followed.py": "console/test_live.py",
    "console/pages.py": "console/test_live.py",
    "console/parts.py": "console/test_screen.py",
    "console/picture.py": "console/test_screen.py",
    "faults/armed.py": "faults/test_plan.py",
    "faults/context.py": "faults/test_places.py",
    "faults/flow_items.py": "faults/test_flow.py",
    "faults/scope.py": "faults/test_spec.py",
    "faults/shaper.py": "faults/kinds/test_slice.py",
    "faults/site.py": "faults/test_work.py",
    "faults/taken_command.py": "faults/test_changes.py",
    "faults/when.py": "faults/test_spec.py",
    "observers/observer.py": "observers/test_attached.py",
    "operate/comparison/details.py": "operate/comparison/test_second_look.py",
    "operate/comparison/dumped.py": "operate/comparison/test_second_look.py",
    "operate/comparison/reader_processes.py": "operate/comparison/test_comparison.py",
    "recorder/master_secrets.py": "recorder/test_recorded_connection.py",
    "rdb/states.py": "rdb/test_tokens.py",
    "redaction/grammars.py": "redaction/test_redactor.py",
    "recording/link.py": "recording/test_recording.py",
    "recording/batch.py": "recording/test_stats.py",
    "recording/byte_observer.py": "recording/test_history.py",
    "recording/copying.py": "recording/test_history.py",
    "recording/playing.py": "recording/test_player.py",
    "recording/reader.py": "recording/test_player.py",
    "capture/segments.py": "capture/test_packets.py",
    "capture/tcp_connection.py": "capture/test_assembly.py",
    "capture/tunnels.py": "capture/test_layers.py",
    "servers/undo.py": "servers/test_server_settings.py",
    "servers/key_scan.py": "scenario/test_pair_difference_played.py",
    "relay/outline.py": "test_tap.py",
    "relay/sink.py": "recorder/test_recorder.py",
    "relay/tls_contexts.py": "relay/test_tls_transport.py",
    "relay/tls_failure.py": "relay/test_tls_transport.py",
    "relay/tls_probe.py": "relay/test_tls_transport.py",
    "relay/connection_interface.py": "relay/test_performer.py",
    "replay/stream_parts.py": "replay/test_sender.py",
    "replication/inspected.py": "observers/test_inspection.py",
    "replication/number_lines.py": "replication/test_request_follower.py",
    "replication/standing.py": "replication/test_resuming.py",
    "verdict/rounds.py": "verdict/test_loops.py",
    "replication/watcher.py": "faults/test_link_faults.py",
}


def test_the_tests_of_a_module_are_in_the_file_of_its_name() -> None:
    tests = ROOT / "tests"
    without = set()
    for path, _ in modules():
        module = path.relative_to(ROOT / "tap")
        if path.stem != "__init__" and not (tests / module.with_name(f"test_{path.stem}.py")).exists():
            without.add(str(module))
    assert not without - TESTED_ELSEWHERE.keys(), "add tests/ROOM/test_MODULE.py, or a line to TESTED_ELSEWHERE"
    assert not TESTED_ELSEWHERE.keys() - without, "these have a file of their own, or are gone"
    assert [file for file in TESTED_ELSEWHERE.values() if not (tests / file).exists()] == []


def test_every_file_that_ci_runs_exists() -> None:
    """pytest with several workers ends silently if one of its files does not exist."""
    for script in (ROOT / ".ci").iterdir():
        for named in re.findall(r"tests/[a-z_/]+\b(?:\.py)?", script.read_text()):
            assert (ROOT / named).exists(), f"{script.name} names {named}"
