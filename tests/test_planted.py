"""Escape sequences, line breaks, markup, overrides of the writing direction and bytes that are no UTF-8, in every field
that a peer, a client, a file or a script decides: no output shows one of them as it is.

Fields and outputs follow from the code. Every event, and a result of chaos, is made by the types of its fields. Every
verb, with every choice that an option of it has, is in VERBS below, or the test that looks for them fails; each option
and argument of each verb is given the plant, too.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import csv
import dataclasses
import inspect
import io
import json
import logging
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal
from xml.etree import ElementTree

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap import Address, Config, LinkConfig, Tap
from tap.bus import Bus, Told
from tap.capture import pcapng
from tap.cli import VERBS
from tap.console import chaos_report, demo_story, junit, picture, screen, send_report, stderr
from tap.console.lines import ConciseLog, json_line, log_line
from tap.console.live import LiveView
from tap.console.replay_view import ReplayView
from tap.console.sentences import sentence
from tap.console.terminal import Terminal
from tap.errors import RecordingError
from tap.observers.statsd import Figures, datagrams
from tap.recorder.recorder import Recorder
from tap.replay.client_commands import Choice
from tap.replay.sender import ErrorTally
from tap.replication import events
from tap.replication.conversation import Conversation
from tap.replication.events import Side
from tap.scenario import Result, Scenario
from tap.scenario.journal import JournalEntry
from tap.status import LinkStatus, Status, connection_status
from tests.cli.typed import tap
from tests.planted import BYTES, LINE, NAME, PLANT, SEEN, TEXT, WORD, all_events, harm, harm_json, made
from tests.rdb import make
from tests.recording.support import block, connect
from tests.recording.wires import Wire
from tests.relay.wire import BASE, GRANT, REPLID, asks, command
from tests.support import ROOT, WITHIN, thinned

WIDE = 100_000  # columns: nothing is wrapped, so that what is shown is found


def told(event: events.Event, connection: int = 3) -> Told:
    return Told(1e9, PLANT, connection, PLANT, event)


def drawn(*what: Any, width: int = WIDE, height: int = 100) -> str:
    terminal = Terminal(file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height)
    for one in what:
        terminal.print(one)
    return terminal.file.getvalue()  # type: ignore[attr-defined, no-any-return]


# ---- the border itself ----


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_harms_a_terminal(text: str) -> None:
    assert harm(drawn(text), lines=False) is None


def test_only_the_border_makes_consoles_and_texts() -> None:
    """So everything that others draw passes it. rich's Text takes line breaks as they come."""
    offenders = []
    for path in sorted((ROOT / "tap").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                wrong = {alias.name for alias in node.names} & {"Console", "Text", "print", "Markdown", "Syntax"}
                if wrong and path.name != "terminal.py":
                    offenders.append(f"{path.relative_to(ROOT)} imports {wrong}; take Terminal and Words")
    assert not offenders


# ---- events ----

EVENTS = all_events()


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_is_written_without_harm(event: events.Event) -> None:
    assert harm(sentence(event) or "") is None
    assert "\n" not in (sentence(event) or "")
    for connection in (0, 3):
        line = log_line(told(event, connection)) or f"{SEEN}{SEEN}"
        assert harm(line, below=isinstance(event, events.ObserverTrouble)) is None
        assert line.count(SEEN) >= 1
        assert [one for one in line.split("\n")[1:] if not one.startswith("  ")] == []
        assert harm_json(json_line(told(event, connection))) is None
    assert json.loads(json_line(told(event)))["replica"] == PLANT


def test_the_journal_sums_up_without_harm() -> None:
    journal = ConciseLog()
    closed = made(events.LinkClosed)
    refused = events.LinkClosed(**{**{name: getattr(closed, name) for name in closed.__slots__}, "how": "refused"})
    said = [journal(told(one)) or "" for _ in range(3) for one in (*EVENTS, refused)]
    assert harm("\n".join(said), below=True) is None


def test_the_live_view_draws_without_harm() -> None:
    view = LiveView(Tap(Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),))), Terminal(file=io.StringIO()))
    for event in EVENTS:
        view(told(event))
    view.complain(PLANT)
    assert harm(view.summary()) is None
    frame = made(picture.Frame)
    pages = [dataclasses.replace(frame, page=page, chosen=0) for page in ("overview", "link", "faults", "events", "help")]
    empty = dataclasses.replace(pages[0], lines=(), chosen=None)
    without = dataclasses.replace(pages[0], lines=(dataclasses.replace(frame.lines[0], replica=""),))
    for frame in (view.frame(time.time()), *pages, empty, without):
        for width in (40, 60, 75, 125, 170, 5000):
            said = drawn(screen.draw(frame, width, 60), width=width)
            assert harm(said, lines=width == 5000) is None
            assert max(map(len, said.splitlines())) <= width
        assert SEEN in said or frame.page == "help"


def test_a_replay_draws_without_harm() -> None:
    parts = [SimpleNamespace(offset=0, end=10, rdb_size=5)]
    replica = SimpleNamespace(is_follower=True, name=PLANT, phase=None, acknowledged=5)
    master: Any = SimpleNamespace(
        parts=parts, part=parts[0], offset=5, replicas=[replica], seconds_left=None, is_over=False
    )
    out = io.StringIO()
    view = ReplayView(master, Terminal(file=out, width=WIDE, force_terminal=True, color_system=None))
    for event in EVENTS:
        view(told(event))
    said = out.getvalue() + drawn(view.draw(), width=1000)
    assert harm(said, below=True) is None
    assert said.count(SEEN) > len(EVENTS)


def test_the_demo_is_shown_without_harm() -> None:
    story: Any = demo_story._Story.__new__(demo_story._Story)
    story._told, story._news, story._console = (
        [],
        SimpleNamespace(set=lambda: None),
        Terminal(file=io.StringIO(), width=WIDE),
    )
    for event in EVENTS:
        story._hear(told(event))
    said = story._console.file.getvalue()
    assert harm(said) is None
    assert SEEN in said


def test_a_progress_bar_and_its_report_are_harmless() -> None:
    out = io.StringIO()
    bar = send_report.Bar(Terminal(file=out, width=1000, force_terminal=True, color_system=None), PLANT)
    bar._progress.refresh()
    assert SEEN in drawn(bar._progress.get_renderable())
    bar.close()
    assert harm(drawn(bar._progress.get_renderable())) is None
    sender: Any = SimpleNamespace(
        errors={PLANT: ErrorTally(1, [PLANT])}, error_count=1, commands=1, replies=1, seconds=0.0, acknowledged=5,
        choice=Choice(), came=1, dbs={0}, unplaced=1, unfilled=1,
    )  # fmt: skip
    said = send_report.report(sender, PLANT)
    assert harm(said) is None
    assert said.count(SEEN) == 3


def test_datagrams_have_no_characters_chosen_by_others() -> None:
    figures = Figures()
    for event in EVENTS:
        figures.hear(told(event))
    conversation = Conversation(lambda event: None, peer_host="10.0.0.7")
    conversation.receive_from_replica(b"*1\r\n$4\r\nPING\r\n")
    one = connection_status(conversation, 1e9, number=3, link=PLANT, peer="10.0.0.7:1", master=None, opened=1e9)
    status = Status(1e9, (LinkStatus(PLANT, Address("127.0.0.1", 6400), None, (one,)),))
    lines = b"\n".join(datagrams(figures.lines(status, 5))).decode().splitlines()
    assert len(lines) > 10
    assert [one for one in lines if not re.fullmatch(r"redis_tap(\.[\w-]+)+:[0-9.-]+\|(c|g|ms)", one, re.ASCII)] == []


# ---- chaos ----


@pytest.fixture(scope="module")
def result() -> Result:
    found: Result = made(Result)
    object.__setattr__(found, "story", tuple(JournalEntry(0.5, told(event)) for event in EVENTS))
    object.__setattr__(found, "logs", {PLANT: PLANT})
    return found


def variants(result: Result) -> list[Result]:
    """One that failed, one that was skipped, one that was not met, and one that was met."""
    import dataclasses

    not_met = dataclasses.replace(result, failure="", skipped="")
    met = tuple(dataclasses.replace(one, met=True) for one in result.verdicts)
    return [
        dataclasses.replace(result, skipped=""),
        dataclasses.replace(result, failure="", verdicts=()),
        not_met,
        dataclasses.replace(not_met, verdicts=met),
    ]


def test_results_of_chaos_are_shown_without_harm(result: Result) -> None:
    found = variants(result)
    for one in found:
        for what in (chaos_report.run_line(one), chaos_report.trouble(one), chaos_report.single(one, 200)):
            said = drawn(what)
            assert harm(said, below=bool(one.failure or one.skipped)) is None
            assert SEEN in said
        assert harm_json(json.dumps(one.as_dict())) is None
    for width in (80, 200):
        said = drawn(chaos_report.table(found, width), chaos_report.matrix(found))
        assert harm(said, below=True) is None
        assert said.count(SEEN) > 10
    scenario = Scenario.model_validate({"title": PLANT, "why": PLANT, "steps": [], "expect": {"converged": True}})
    assert harm(drawn(chaos_report.listing([scenario]))) is None


def test_junit_is_xml_without_harm(tmp_path: Path, result: Result) -> None:
    path = tmp_path / "junit.xml"
    junit.write(path, variants(result))
    text = path.read_bytes()
    assert harm(text.replace(b"&#10;", b"\n"), below=True) is None
    root = ElementTree.fromstring(text)
    attributes = [value for one in root.iter() for value in one.attrib.values()]
    assert harm("\n".join(attributes)) is None
    assert sum(SEEN in value for value in attributes) > 10
    assert SEEN in (root.findtext(".//system-out") or "")


# ---- stderr ----


def test_output_on_stderr_is_harmless(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(RuntimeError):
        def __str__(self) -> str:
            return PLANT

    for hook in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook, getattr(sys, hook))
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr("warnings.showwarning", None)
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(logging.getLogger("tap"), "propagate", False)
    stderr.take_over()
    stderr.say(PLANT, (PLANT, PLANT), *RecordingError(PLANT, (PLANT, PLANT)).sentences)
    log = logging.getLogger("tap.planted")
    try:
        raise Broken(PLANT)
    except Broken as error:
        log.exception("link %s: %r", PLANT, BYTES)
        sys.excepthook(Broken, error, error.__traceback__)
        threading.excepthook(threading.ExceptHookArgs([Broken, error, error.__traceback__, None]))
        sys.unraisablehook(SimpleNamespace(err_msg=PLANT, exc_value=error, exc_type=Broken, object=None))
    import warnings

    warnings.showwarning(PLANT, UserWarning, PLANT, 1)
    said = capsys.readouterr().err
    assert harm(said, below=True) is None
    assert said.count(SEEN) >= 10
    assert said.count("Traceback") == 4
    assert [line for line in said.splitlines() if not line.startswith(("redis-tap: ", "  "))] == []


# ---- files ----


def rdb() -> bytes:
    plant = make.string(BYTES)
    return make.rdb(
        11,
        *(make.aux(make.string(name), plant) for name in (b"redis-ver", b"ctime", b"used-mem", b"repl-id", BYTES)),
        b"\xf5" + make.string(b"#!lua name=" + LINE + b"\n" + BYTES),
        b"\xfe\x00",
        make.key(0, plant, plant),
        make.key(1, make.string(BYTES + b"list"), make.length(1) + plant),
        make.key(2, make.string(BYTES + b"set"), make.length(1) + plant),
        make.key(4, make.string(BYTES + b"hash"), make.length(1) + plant + plant),
        make.key(5, make.string(BYTES + b"zset"), make.length(1) + plant + struct.pack("<d", 1.5)),
    )


def talk() -> list[tuple[int, bytes]]:
    """The bytes of a replica, 0, and its master, 1: a full resync and a stream, planted."""
    payload = rdb()
    said: list[tuple[int, bytes]] = []
    for words in (
        ("PING",),
        ("AUTH", BYTES),
        ("CLIENT", "SETNAME", BYTES),
        ("REPLCONF", "listening-port", BYTES),
        ("REPLCONF", "ip-address", BYTES),
        ("REPLCONF", "capa", "eof", "capa", BYTES, BYTES, BYTES),
        ("REPLCONF", "version", BYTES),
        ("REPLCONF", "rdb-filter-only", BYTES),
        ("INFO", BYTES),
        (BYTES, BYTES),
    ):
        said += [(0, command(*words)), (1, b"-ERR " + LINE + b"\r\n")]
    said += [(0, command("REPLCONF", "ip-address", "[fd00::5]")), (1, b"+OK\r\n")]
    said += [(0, command("PSYNC", "?", "-1"))]
    said += [(1, b"+FULLRESYNC %b 0\r\n$%d\r\n" % (REPLID.encode(), len(payload)) + payload)]
    said += [(0, command("REPLCONF", "ACK", "0"))]
    said += [(1, one) for one in stream()]
    said += [(0, command("REPLCONF", "ACK", "10")), (0, b"-ERR " + LINE + b"\r\n" + command(BYTES, BYTES))]
    return said


def stream() -> list[bytes]:
    return [
        command("SELECT", "0"),
        *(command("SET", BYTES + bytes([n]), BYTES * 3) for n in range(65, 91)),
        command(BYTES, BYTES, BYTES),
        command("EVAL", BYTES, "1", BYTES, BYTES),
        command("FUNCTION", "LOAD", b"#!lua name=" + BYTES),
        command("MODULE", "LOAD", BYTES),
        command("PUBLISH", BYTES, BYTES),
    ]


def foreign(path: Path) -> Path:
    """A pcapng as another program writes it, with options in every block; and links of IPv4 and of IPv6."""

    def option(code: int, value: bytes) -> bytes:
        return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)

    def blocked(kind: int, body: bytes) -> bytes:
        return struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    everything = b"".join(option(code, BYTES) for code in (1, 2, 3, 4, 2988)) + option(0, b"")
    section = blocked(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + everything)
    of_interface = (
        b"".join(option(code, BYTES) for code in (1, 2, 3, 11, 12, 13, 15)) + option(9, b"\x09") + option(0, b"")
    )
    out = section + blocked(1, struct.pack("<HHI", 101, 0, 0) + of_interface)
    out += blocked(4, struct.pack("<HH", 1, 4 + len(BYTES) + 1) + bytes(4) + BYTES + b"\0" + bytes(-(len(BYTES) + 5) % 4)
                   + struct.pack("<HH", 0, 0))  # fmt: skip
    for number, hosts in enumerate((("127.0.0.1", "127.0.0.1"), ("fd00::5", "fd00::6"))):
        wire = Wire(50000 + number, hosts)
        wire.open()
        for side, data in talk():
            wire.send(side, data)
        out += b"".join(
            block(at, data, [PLANT.encode(errors="replace").decode(), "{" + TEXT]) for at, data in wire.packets
        )
    path.write_bytes(out + blocked(6, b"damaged") + blocked(0x40000BAD, BYTES))
    return path


def recorded(path: Path) -> Path:
    """A tap's recording, with events of every kind that it keeps, and text planted in them."""

    async def record() -> None:
        bus = Bus()
        writes = Recorder(path, bus)
        writes.open()
        conversation = Conversation(lambda event: None, connection=1)
        link = connect(bus, writes, 1, conversation)
        for side, data in ((Side(["replica", "master"][one]), data) for one, data in talk()):
            receive = conversation.receive_from_replica if side is Side.REPLICA else conversation.receive_from_master
            receive(data)
            link.received(side, memoryview(data))
        for kind in events._KEPT:
            for connection in (0, 1):
                event = made(kind, TEXT)
                if kind is not events.LinkOpened:
                    bus.publish(TEXT if connection == 0 else "link", connection, TEXT, event)
        await writes.close()

    asyncio.run(record())
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """One of each kind, in a directory and with a name that are planted."""
    folder = tmp_path_factory.mktemp("planted") / NAME[:60]
    folder.mkdir()
    (folder / "planted.rdb").write_bytes(rdb())
    partial = Wire()
    partial.open()
    partial.send(0, asks(BASE))
    partial.send(1, GRANT + b"".join(stream()))
    (folder / "stream.pcapng").write_bytes(
        pcapng.heading("test") + b"".join(block(at, data) for at, data in partial.packets)
    )
    (folder / "script.py").write_text(f"def on_event(told):\n    raise ValueError({TEXT!r} + repr(told.event))\n")
    (folder / "tap.toml").write_text(f"[links.{json.dumps(TEXT)}]\nmaster = {json.dumps(TEXT)}\n")
    (folder / "names.toml").write_text(f'{json.dumps(TEXT)} = 1\n[links.a]\nmaster = "127.0.0.1:1"\n')
    (folder / "scenario.toml").write_text(f"title = {json.dumps(TEXT)}\nsteps = [{{ do = {json.dumps(TEXT)} }}]\n")
    return SimpleNamespace(
        folder=folder,
        rdb=folder / "planted.rdb",
        foreign=foreign(folder / "foreign.pcapng"),
        recorded=recorded(folder / "recorded.pcapng"),
        stream=folder / "stream.pcapng",
        config=folder / "tap.toml",
        names=folder / "names.toml",
        scenario=folder / "scenario.toml",
        script=folder / "script.py",
    )


# ---- peers ----


class Server(threading.Thread):
    """Answers every command with a planted line, INFO with mostly planted fields, PSYNC with an RDB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.knows_itself = True
        self.tells: list[bytes] = []  # further fields of INFO
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._listener.accept()[0],), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        fields = [name + b":" + LINE for name in (b"redis_version", b"role", b"master_replid", LINE)]
        info = b"\r\n".join([*fields, b"tcp_port:1", *self.tells] if self.knows_itself else fields[3:])
        payload = rdb()
        answers = {
            b"PSYNC": b"+FULLRESYNC %b 0\r\n$%d\r\n" % (REPLID.encode(), len(payload)) + payload + b"".join(stream()),
            b"SELECT": b"+OK\r\n",
            b"INFO": b"$%d\r\n%b\r\n" % (len(info), info),
        }
        requests = hiredis.Reader()
        with connection, contextlib.suppress(OSError, hiredis.ProtocolError):
            while data := connection.recv(2**20):
                requests.feed(data)
                while (words := requests.gets()) is not False:
                    if not isinstance(words, list):  # a replica that talks back
                        continue
                    answer = answers.get(words[0], b"-ERR " + LINE + b"\r\n")
                    connection.sendall(b"$0\r\n\r\n" if words[-1] == b"keyspace" else answer)

    def close(self) -> None:
        self._listener.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    one.start()
    yield one
    one.close()


def replicas(port: int) -> None:
    """The bytes of a replica, and of another client."""
    with contextlib.suppress(OSError):
        for said in ([data for side, data in talk() if side == 0], [command(BYTES, BYTES)], [LINE + b"\r\n"], [BYTES]):
            with socket.create_connection(("127.0.0.1", port), WITHIN) as replica:
                replica.settimeout(0.05)
                for data in said:
                    replica.sendall(data)
                    with contextlib.suppress(TimeoutError):
                        replica.recv(2**20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def visited(port: int, *, ends: bool = False) -> Iterator[None]:
    """Let replicas connect, as soon as the port is open. ends: Ctrl-C, when they have gone."""
    is_over = threading.Event()

    def talk_to_it() -> None:
        while not is_over.wait(0.01):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                replicas(port)
                break
        if ends and not is_over.wait(0.2):
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=talk_to_it, daemon=True)
    thread.start()
    yield
    is_over.set()
    thread.join(WITHIN)


# ---- every verb, every choice ----


def shown_json(said: str) -> str | None:
    return harm_json(said)


def whole_json(said: str) -> str | None:
    """rdbtools' JSON, whose own escapes keep what JSON does not allow."""
    json.loads(said)
    return None


def rows(said: str) -> str | None:
    """CSV: quoted text is the reader's to show."""
    found = list(csv.reader(io.StringIO(said, newline="")))
    return None if {len(row) for row in found} == {8} else f"rows of {sorted({len(row) for row in found})} columns"


def resp(said: str) -> str | None:
    """Commands as servers accept them, with any content."""
    data = said.encode(errors="surrogateescape")
    at = 0
    while at < len(data):
        head = re.compile(rb"\*([0-9]+)\r\n").match(data, at)
        if head is None:
            return f"no RESP at {at}: {data[at : at + 60]!r}"
        at = head.end()
        for _ in range(int(head[1])):
            size = re.compile(rb"\$([0-9]+)\r\n").match(data, at)
            if size is None:
                return f"no RESP at {at}: {data[at : at + 60]!r}"
            at = size.end() + int(size[1]) + 2
    return None


def a_file(said: str) -> str | None:
    """Output that is not for a terminal."""
    return None


Files = Any
Check = Callable[[str], str | None]


def shows(form: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    def lines(files: Files, server: Server) -> Iterator[list[Any]]:
        for path in (files.recorded, files.foreign, files.stream):
            yield ["show", path, "--format", form]
            yield ["show", path, "--format", form, "--commands", "--rdb-keys"]
            yield ["show", path, "--format", form, "--stats"]
            yield ["show", path, "--format", form, "--stats", "--once"]
            yield ["show", path, "--format", form, "--key", "*", "--once"]

    return lines


def exports(form: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    def lines(files: Files, server: Server) -> Iterator[list[Any]]:
        for number, path in enumerate((files.recorded, files.foreign, files.stream)):
            to = files.folder / f"{form} {number}" if form in ("aof", "parquet") else "-"
            yield ["export", path, "--to", form, "-o", to]
            yield ["export", path, "--to", form, "-o", files.folder / f"{form} {number}.gz", "--link", WORD]

    return lines


def looks(form: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    return lambda files, server: iter([["rdb", files.rdb, "--format", form]])


def runs(ui: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    def lines(files: Files, server: Server) -> Iterator[list[Any]]:
        port = free_port()
        with visited(port, ends=True):
            yield [
                *("run", "--master", f"127.0.0.1:{server.port}", "--listen", f"127.0.0.1:{port}", "--ui", ui),
                *("--commands", "--rdb-keys", "--duration", "9s", "-w", files.folder / f"{ui}.pcapng"),
            ]

    return lines


def replays(ui: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    def lines(files: Files, server: Server) -> Iterator[list[Any]]:
        for path in (files.stream, files.recorded, files.foreign):
            yield ["replay", path, "--to", f"127.0.0.1:{server.port}", "--yes", "--speed", "max", "--ui", ui]
        port = free_port()
        with visited(port, ends=True):
            yield ["replay", files.recorded, "--as-master", f"127.0.0.1:{port}", "--speed", "max", "--ui", ui]

    return lines


def compares(files: Files, server: Server) -> Iterator[list[Any]]:
    yield ["diff", files.rdb, ROOT / "fixtures" / "rdb" / "redis-8.0.2-empty.rdb"]
    yield ["diff", files.rdb, f"127.0.0.1:{server.port}"]


def examines(files: Files, server: Server) -> Iterator[list[Any]]:
    server.tells = [b"connected_slaves:1", b"master_repl_offset:1", b"slave0:ip=" + LINE + b",port=1,state=x,offset=1"]
    yield ["doctor", f"127.0.0.1:{server.port}", "--for", "1ms"]
    yield ["doctor", f"127.0.0.1:{server.port}", f"127.0.0.1:{server.port}", "--for", "1ms"]
    server.tells = []


def watches(ui: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    def lines(files: Files, server: Server) -> Iterator[list[Any]]:
        for path in (files.stream, files.recorded, files.foreign):
            yield ["watch", path, "--ui", ui, "--commands", "--rdb-keys", "--duration", "500ms"]

    return lines


def told_of_itself(verb: str) -> Callable[[Files, Server], Iterator[list[Any]]]:
    return lambda files, server: iter([[verb], [verb, "--help"]])


# By verb and choice: what to type, how its stdout is read, and whether the plant must be seen there.
OUTPUTS: dict[str, tuple[Callable[[Files, Server], Iterator[list[Any]]], Check, bool]] = {
    "run --ui log": (runs("log"), harm, True),
    "run --ui json": (runs("json"), shown_json, True),
    "run --ui none": (runs("none"), harm, False),
    "show --format text": (shows("text"), harm, True),
    "show --format json": (shows("json"), shown_json, True),
    "export --to rdb": (exports("rdb"), a_file, False),
    "export --to aof": (exports("aof"), harm, False),
    "export --to resp": (exports("resp"), resp, True),
    "export --to jsonl": (exports("jsonl"), shown_json, False),
    "export --to parquet": (exports("parquet"), harm, False),
    "rdb --format summary": (looks("summary"), harm, True),
    "rdb --format keys": (looks("keys"), harm, True),
    "rdb --format jsonl": (looks("jsonl"), shown_json, False),
    "rdb --format json": (looks("json"), whole_json, True),
    "rdb --format protocol": (looks("protocol"), resp, True),
    "rdb --format diff": (looks("diff"), lambda said: harm(said.replace("\r\n", "\n")), True),
    "rdb --format memory": (looks("memory"), rows, True),
    "replay --ui log": (replays("log"), harm, True),
    "replay --ui json": (replays("json"), shown_json, True),
    "replay --ui none": (replays("none"), harm, False),
    "faults": (told_of_itself("faults"), harm, False),
    "diff": (compares, harm, True),
    "watch --ui log": (watches("log"), harm, True),
    "watch --ui json": (watches("json"), shown_json, True),
    "watch --ui none": (watches("none"), harm, False),
    "doctor": (examines, harm, True),
    "chaos": (lambda files, server: iter([["chaos", "--list"], ["chaos", files.scenario], ["chaos", NAME]]), harm, False),
}
# Choices that change no output, and those that need a terminal: the tests of views above cover them.
NO_OUTPUT = re.compile(
    r"(run|attach|watch) --(sync|announce|statsd-tags) \w+|(run|replay|attach|watch) --ui (live|auto)|attach --ui \w+"
)
# demo: on servers of its own, its lines are those of test_the_demo_is_shown_without_harm.
# detach: it prints addresses, of a state file that says them.
# ctl: tests/cli/test_ctl.py plants into what a tap answers, and into --api.
ELSEWHERE = {"ctl", "demo", "detach"}


def options(verb: str) -> Iterator[tuple[str, Any]]:
    """As they are typed, "" for arguments, and their types."""
    function = getattr(import_module(f"tap.cli.{verb}"), verb)
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        hint = parameter.annotation
        kind, info = typing.get_args(hint) if typing.get_origin(hint) is Annotated else _annotated(hint)
        named = [one for one in (info.default, *(info.param_decls or ())) if str(one).startswith("--")]
        spelt = str((named or [f"--{name.replace('_', '-')}"])[0])
        yield spelt if type(info).__name__ == "OptionInfo" else "", kind


def _annotated(hint: Any) -> Any:
    """The inside of an Annotated[...] | None."""
    return next((typing.get_args(one) for one in typing.get_args(hint) if typing.get_origin(one) is Annotated), None)


def words_of(kind: Any) -> tuple[str, ...]:
    """The words of a Literal, also of an optional one."""
    if typing.get_origin(kind) is Literal:
        return typing.get_args(kind)
    return tuple(word for one in typing.get_args(kind) for word in words_of(one))


def choices() -> list[str]:
    found = []
    for verb in VERBS:
        if verb in ELSEWHERE:
            continue
        of_verb = [f"{verb} {option} {word}" for option, kind in options(verb) for word in words_of(kind)]
        found += [one for one in of_verb or [verb] if not NO_OUTPUT.fullmatch(one)]
    return found


def test_every_verb_and_every_choice_is_read() -> None:
    assert set(choices()) == set(OUTPUTS)


@pytest.mark.parametrize("choice", thinned([*OUTPUTS], 3))
def test_a_verb_is_harmless(
    choice: str, files: Files, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    type_them, check, is_seen = OUTPUTS[choice]
    monkeypatch.chdir(tmp_path)
    seen = 0
    for words in type_them(files, server):
        said = tap(*words, width=WIDE)
        assert check(said.stdout) is None, words
        assert harm(said.stderr) is None, words
        assert [line for line in said.stderr.splitlines() if not line.startswith(("redis-tap", "  "))] == [], words
        assert "Traceback" not in said.stdout + said.stderr
        seen += said.stdout.count(SEEN)
    assert seen or not is_seen


# Further arguments of each verb, so that it gets as far as it can without waiting.
BESIDE: dict[str, list[str]] = {
    "run": ["--master", "127.0.0.1:1", "--duration", "1ms", "--ui", "log"],
    "faults": [],
    "chaos": ["no-such-scenario"],
    "show": ["{stream}"],
    "export": ["{stream}", "--to", "resp", "-o", "-"],
    "replay": ["{stream}", "--to", "127.0.0.1:1", "--yes"],
    "rdb": ["{rdb}"],
    "diff": ["{rdb}", "{rdb}"],
    "attach": ["127.0.0.1:1"],
    "watch": ["{stream}", "--duration", "1ms"],
    "doctor": ["127.0.0.1:1"],
}


def planted_options() -> list[tuple[str, str]]:
    return [
        (verb, option)
        for verb in VERBS
        if verb not in ELSEWHERE
        for option, kind in options(verb)
        if kind is not bool and not words_of(kind)
    ]


@pytest.mark.parametrize(("verb", "option"), thinned(planted_options(), 6))
def test_typed_text_is_harmless(
    verb: str, option: str, files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    beside = [one.format(**vars(files)) if one.startswith("{") else one for one in BESIDE[verb]]
    for plant in (WORD, f"{NAME[:60]}=127.0.0.1:0->{WORD}", str(files.config), str(files.names), f"1{WORD}"):
        words = [*beside, option, plant] if option else [plant, *(beside[1:] if verb != "chaos" else [])]
        said = tap(verb, *words, width=WIDE)
        assert harm(said.stderr, below=True) is None, words
        assert [line for line in said.stderr.splitlines() if not line.startswith(("redis-tap", "  "))] == [], words
        assert "Traceback" not in said.stderr


@pytest.mark.parametrize("master", ["is not there", "lies", "knows nothing", "refuses"])
def test_a_given_pair_is_harmless(files: Files, server: Server, master: str, tmp_path: Path) -> None:
    """Its INFO, and its errors."""
    port = 1 if master == "is not there" else server.port
    server.knows_itself = master != "knows nothing"
    url = f"redis://{'ann:pw@' if master == 'refuses' else ''}127.0.0.1:{port}"
    path = tmp_path / "junit.xml"
    for form in ([], ["--json"], ["--junit", path]):
        said = tap("chaos", "cut-in-command", "--master", url, "--replica", url, *form, width=WIDE)
        assert harm(said.stderr + said.stdout, below=True) is None
        assert "cut-in-command" in said.stdout or "master" in said.stderr
    assert harm(path.read_bytes() if path.exists() else b"", below=True) is None


@pytest.mark.parametrize("ends", ["raises", "prints", "fails to load", "exits"])
def test_a_script_is_harmless(
    files: Files, server: Server, ends: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    what = {
        "raises": f"def on_listening(told):\n    raise ValueError({WORD!r})\n",
        "prints": f"def on_listening(told):\n    print({WORD!r})\n",
        "fails to load": f"raise ValueError({WORD!r})\n",
        "exits": f"import sys\ndef on_listening(told):\n    print({WORD!r}, file=sys.stderr)\n    sys.exit({WORD!r})\n",
    }[ends]
    script.write_text(what)
    said = tap("run", "--master", "127.0.0.1:1", "--duration", "400ms", "--ui", "log", "--script", script, width=WIDE)
    printed = capfd.readouterr().err  # of the script's process
    assert harm(said.stdout + said.stderr, below=True) is None
    assert harm(printed, lines=False) is None
    assert (said.stdout + said.stderr + printed).count(SEEN) >= (ends != "exits" or SEEN in printed)
