"""The start of the command when something is missing: one line, the right exit code, no traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.typed import tap
from tests.support import FIXTURES, ROOT, WITHIN, crossed

CAPTURE = str(FIXTURES / "captures" / "replica-whole.pcap")
RDB = str(FIXTURES / "rdb" / "redis-7.0.15-mixed.rdb")
OUTPUTS = [
    ["show", CAPTURE],
    ["show", "--format", "json", "--commands", CAPTURE],
    ["show", "--stats", CAPTURE],
    ["export", CAPTURE, "--to", "jsonl", "-o", "-"],
    ["rdb", RDB],
    *(["rdb", "--format", form, RDB] for form in ("keys", "jsonl", "json", "protocol", "diff", "memory")),
    ["faults"],
    ["chaos", "--list"],
    ["--help"],
    ["show", "--help"],
    ["--version"],
]


def ended(words: list[str], shell: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as a shell starts it with these redirections."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", "tap", *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env=os.environ | environment,
    )


def said_in_one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("redis-tap: ")
    return line.removeprefix("redis-tap: ")


@pytest.mark.parametrize("words", [["show", CAPTURE], ["--version"]], ids=lambda words: words[0])
def test_unwritable_output_is_reported(words: list[str]) -> None:
    """In a process of its own; all outputs, in this one, are below."""
    done = ended(words, ">&-")
    assert (done.returncode, said_in_one_line(done)) == (3, "reading or writing failed: Bad file descriptor")
    done = ended(words, ">/dev/full")
    assert (done.returncode, said_in_one_line(done)) == (3, "reading or writing failed: No space left on device")


@pytest.mark.parametrize("words", OUTPUTS, ids=lambda words: " ".join(words[:3]).replace(str(FIXTURES), ""))
@pytest.mark.parametrize(
    ("path", "flags", "says"),
    [
        (os.devnull, os.O_RDONLY, "Bad file descriptor"),  # what Python opens at the start for a closed stdout
        ("/dev/full", os.O_WRONLY, "No space left on device"),
    ],
    ids=["closed", "full"],
)
def test_every_unwritable_output_is_reported(words: list[str], path: str, flags: int, says: str) -> None:
    with os.fdopen(os.open(path, flags), "w", encoding="utf-8") as nowhere:
        done = tap(*words, stdout=nowhere)
        assert (done.returncode, said_in_one_line(done)) == (3, f"reading or writing failed: {says}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rdb", "-"], "stdin is not open for reading"),
        (["show", "-"], "stdin: byte 0: Bad file descriptor; the rest is not read"),
    ],
)
def test_closed_input_is_reported(words: list[str], said: str) -> None:
    done = ended(words, "<&-")
    assert (done.returncode, said_in_one_line(done)) == (2, said)


def test_without_stderr_a_mistake_has_the_same_exit_code() -> None:
    done = ended(["show", "/nowhere"], "2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")
    done = ended(["show", CAPTURE], "<&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    path = tmp_path / "here.pcapng"
    done = ended(["run", "--master", "127.0.0.1:1", "-w", str(path), "--ui", "log", "--duration", "1s"], ">&- 2>&-")
    assert (done.stdout, done.stderr) == ("", "")
    assert path.read_bytes()[:4] == b"\n\r\r\n"
    assert b"listening" not in path.read_bytes()


@pytest.mark.parametrize("width", [0, 1, 9999])
def test_any_width_will_do(width: int) -> None:
    for words in (["show", "--stats", CAPTURE], ["rdb", RDB], ["show", "--help"]):
        done = tap(*words, width=width)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("9" * 20, ["show", "--help"]),
        pytest.param("-5", ["rdb", RDB], marks=pytest.mark.slow),
        pytest.param("x", ["show", "--stats", CAPTURE], marks=pytest.mark.slow),
    ],
)
def test_an_impossible_width_counts_as_none(columns: str, words: list[str]) -> None:
    done = ended(words, COLUMNS=columns)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "unknown", "LC_ALL": "xx_YY.none", "TZ": "Foo/Bar+99999"}, {"TZ": ":/etc/passwd", "LANG": "C"}],
    ids=repr,
)
def test_any_environment_will_do(environment: dict[str, str]) -> None:
    done = ended(["show", "--stats", CAPTURE], "", **environment)
    assert (done.returncode, done.stderr) == (0, "")


AT_AN_IMPORT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background ignores it
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            {does}
sys.meta_path.insert(0, Finder())
sys.argv = ["redis-tap", "faults"]
import redis_tap
redis_tap.main()
"""


def begun(name: str, does: str) -> subprocess.CompletedProcess[str]:
    """The command, with something that happens while that module is imported."""
    code = AT_AN_IMPORT.format(name=name, does=does)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)


@pytest.mark.parametrize("name", ["tap.cli", "typer", "tap.console.stderr"])
def test_ctrl_c_during_imports_ends_it_silently(name: str) -> None:
    done = begun(name, "os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_while_a_verb_is_imported_ends_it_silently() -> None:
    done = begun("tap.cli.faults", "os.kill(os.getpid(), signal.SIGINT)")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("name", "does", "said"),
    [
        ("tap.cli", "raise MemoryError", "it cannot be loaded: there is not enough memory"),
        ("typer", "raise ImportError('failed to map segment')", "it cannot be loaded: failed to map segment"),
        (
            "tap.cli.faults",
            "raise MemoryError",
            "there is not enough memory; a limit of this shell (ulimit -v) may be too low",
        ),
        ("tap.cli.faults", "raise ImportError('no map')", "a part of redis-tap cannot be loaded: no map"),
    ],
)
def test_too_little_memory_is_reported(name: str, does: str, said: str) -> None:
    done = begun(name, does)
    assert (done.returncode, said_in_one_line(done)) == (3, said)


GOING_ON = {
    "run log": ["run", "--master", "127.0.0.1:1", "--ui", "log"],
    "run json": ["run", "--master", "127.0.0.1:1", "--ui", "json"],
    "replay json": ["replay", CAPTURE, "--as-master", "127.0.0.1:0", "--ui", "json"],
}
NOWHERE = {
    ">/dev/full": (3, "No space left on device"),
    ">&-": (3, "Bad file descriptor"),
    "| true": (128 + signal.SIGPIPE, "Broken pipe"),
}


@pytest.mark.parametrize(("verb", "shell"), crossed(list(GOING_ON), list(NOWHERE)))
def test_a_verb_that_continues_reports_unwritable_output_once_and_fails_at_its_end(verb: str, shell: str) -> None:
    """The links continue: there is one, after the output has failed."""
    code, why = NOWHERE[shell]
    running = subprocess.Popen(
        ["bash", "-c", f'"$@" {shell}; exit "${{PIPESTATUS[0]}}"', "bash", sys.executable, "-m", "tap", *GOING_ON[verb]],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        process_group=0,
    )
    with running:
        assert running.stderr is not None
        lines = [running.stderr.readline()]
        port = int(lines[0].split("listening on 127.0.0.1:")[1].split(" ")[0].strip(","))
        for _ in range(3):
            with (
                contextlib.suppress(ConnectionResetError),  # by a tap without a master
                socket.create_connection(("127.0.0.1", port), WITHIN) as one,
            ):
                one.sendall(b"PING\r\n")
                one.recv(100)
        while why not in lines[-1]:
            lines.append(running.stderr.readline())
            assert lines[-1]
        os.killpg(running.pid, signal.SIGINT)
        lines += running.stderr.readlines()
    assert running.returncode == code
    said = f"redis-tap: the output can no longer be written: {why}; all else goes on\n"
    assert [line for line in lines[1:] if "WARNING" not in line] == [said]
