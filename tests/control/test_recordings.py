"""/v1/recordings: the next file, and marks that are read back."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tap import recording
from tap.control.recordings import RecordingsAnswer
from tap.replication import events
from tap.servers.embedded import Server
from tests.cli.typed import tap as typed
from tests.control.asking import asked
from tests.operate.pairs import load
from tests.recording.plants import ARRAYS, PASSWORD
from tests.recording.support import listening
from tests.relay.wire import BASE, GRANT, asks, command, receive
from tests.support import WITHIN, Servers, client, follow, level, wait_until


def test_without_a_recording_there_is_nothing_to_rotate_or_mark() -> None:
    with asked() as tap:
        assert tap.client.get("/v1/recordings").json == {"recordings": []}
        for path, body in (("rotate", None), ("mark", {"note": "x"})):
            reply = tap.client.post(f"/v1/recordings/{path}", body)
            assert (reply.status, reply.error) == (
                409,
                "nothing is being recorded: start a recording, or the tap with -w FILE.pcapng",
            )


def test_a_mark_becomes_a_comment_and_an_event(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    path = tmp_path / "here.pcapng"
    with asked(links=f"127.0.0.1:{master.port}", record_to=path) as tap:
        follow(replica, tap.thread.port)
        level(master, replica)
        assert tap.client.post("/v1/recordings/mark", {"note": "deployment 1234\n begins"}).status == 201
        client(master).set("key", "value")
        level(master, replica)
        assert tap.client.post("/v1/recordings/mark", {"note": "and ends"}).status == 201
        assert [one.event.note for one in tap.thread.told if one.event.kind == "recording_marked"] == [  # type: ignore[attr-defined]
            "deployment 1234\n begins",
            "and ends",
        ]
        assert tap.client.post("/v1/recordings/mark", {"note": ""}).status == 422
        assert tap.client.post("/v1/recordings/mark", {"note": "x" * 1001}).status == 422
    shown = typed("show", path, "--commands").stdout.splitlines()
    first, last = (number for number, line in enumerate(shown) if "mark:" in line)
    assert "deployment 1234" in shown[first]
    (written,) = (number for number, line in enumerate(shown) if " SET key" in line)
    assert first < written < last


def test_the_next_file_begins_on_demand(servers: Servers, any_server: str, tmp_path: Path) -> None:
    master, replica = (servers.start(any_server) for _ in range(2))
    with asked(links=f"127.0.0.1:{master.port}", record_to=tmp_path / "here.pcapng") as tap:
        follow(replica, tap.thread.port)
        level(master, replica)
        (said,) = RecordingsAnswer.model_validate(tap.client.get("/v1/recordings").json).recordings
        assert (said.path, said.lost_bytes, said.trouble) == (str(tmp_path / "here.pcapng"), 0, "")
        assert tap.client.post("/v1/recordings/rotate").status == 202
        wait_until(lambda: tap.client.get("/v1/recordings").json["recordings"][0]["path"] != said.path)
        assert len(list(tmp_path.iterdir())) == 2


def test_a_recording_is_started_and_stopped_while_a_stream_flows(
    servers: Servers, server_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written meanwhile is in it, at the master's offsets, without a gap; a replica that comes later, too."""
    monkeypatch.chdir(tmp_path)
    master, replica, later = (servers.start(server_name) for _ in range(3))
    with asked(links=f"127.0.0.1:{master.port}") as tap, load(master):
        follow(replica, tap.thread.port)
        tap.thread.wait_for(events.StreamStarted)
        reply = tap.client.post("/v1/recordings", {"name": "incident.pcapng.zst"})
        assert (reply.status, reply.json["path"]) == (201, str(tmp_path / "incident.pcapng.zst"))
        assert tap.client.post("/v1/recordings", {"name": "other.pcapng"}).status == 409
        client(master).set("in the recording", "yes")
        follow(later, tap.thread.port)
        tap.thread.wait_for(events.StreamStarted, 2)
        client(master).set("in the recording, too", "yes")
        level_key(replica, "in the recording, too")
        level_key(later, "in the recording, too")
        stopped = tap.client.delete("/v1/recordings")
        assert (stopped.status, stopped.json["trouble"], stopped.json["lost_bytes"]) == (200, "", 0)
        client(master).set("after it", "yes")
        level_key(replica, "after it")
        assert tap.client.get("/v1/recordings").json == {"recordings": []}
        assert tap.thread.events(events.RecordingGap) == []
        assert tap.thread.events(events.Opaque) == []
        again = tap.client.post("/v1/recordings", {"name": "again.pcapng"})
        assert again.status == 201
        client(master).set("in the next", "yes")
        level_key(later, "in the next")
    with recording.open(tmp_path / "incident.pcapng.zst") as found:
        commands = [one for one in found.commands() if one.name == "SET"]
    by_connection: dict[int, list[bytes]] = {}
    for one in commands:
        by_connection.setdefault(one.connection, []).append(one.args[0])
    assert len(by_connection) >= 2
    assert sum(b"in the recording, too" in keys for keys in by_connection.values()) == 2
    assert any(b"in the recording" in keys for keys in by_connection.values())
    assert not any(b"after it" in keys for keys in by_connection.values())
    shown = typed("show", tmp_path / "again.pcapng", "--key", "in the*", "--commands")
    assert "in the next" in shown.stdout
    assert shown.returncode == 0, shown.stderr


def level_key(replica: Server, key: str) -> None:
    with client(replica) as one:
        wait_until(lambda: one.exists(key) == 1)


@pytest.mark.parametrize("name", ["../x.pcapng", "/tmp/x.pcapng", "x.txt", ".x.pcapng", "", "x.pcapng\n", "a/b.pcapng"])
def test_a_client_names_a_file_and_no_directory(name: str) -> None:
    with asked() as tap:
        assert tap.client.post("/v1/recordings", {"name": name}).status == 422


def test_no_file_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pcapng").write_text("precious")
    with asked() as tap:
        reply = tap.client.post("/v1/recordings", {"name": "x.pcapng"})
        assert reply.status == 400
        assert "already exists and is not overwritten" in reply.error
        assert tap.client.get("/v1/recordings").json == {"recordings": []}
    assert (tmp_path / "x.pcapng").read_text() == "precious"


def test_a_directory_is_no_file_to_record_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.pcapng").mkdir()
    with asked() as tap:
        reply = tap.client.post("/v1/recordings", {"name": "x.pcapng"})
        assert reply.status == 409
        assert "is a directory: give the recording another name" in reply.error
    assert not list((tmp_path / "x.pcapng").iterdir())


@pytest.mark.parametrize("redact", [[], ["values"]])
def test_a_recording_that_begins_in_a_stream_holds_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redact: list[str]
) -> None:
    """Wherever it begins: before a command with one, or at any byte of it."""
    monkeypatch.chdir(tmp_path)
    said = command("SET", "before", "1") + ARRAYS[2].said + command("SET", "after", "2")
    rest, last = b"".join(plant.said for plant in ARRAYS), command("SET", "last", "3")
    cuts = [0, 5, len(command("SET", "before", "1")), *range(40, len(said) - 20, 23), len(said) - 1, len(said)]
    with listening() as listener, asked(links=f"127.0.0.1:{listener.getsockname()[1]}") as tap:
        with socket.create_connection(("127.0.0.1", tap.thread.port), WITHIN) as replica:
            master, _ = listener.accept()
            with master:
                replica.sendall(asks(BASE))
                receive(master, len(asks(BASE)))
                master.sendall(GRANT)
                receive(replica, len(GRANT))
                for cut in cuts:
                    name = f"{cut}.pcapng"
                    master.sendall(said[:cut])
                    receive(replica, cut)
                    assert tap.client.post("/v1/recordings", {"name": name, "redact": redact}).status == 201
                    for more in (said[cut:], rest, last):  # it begins where a read ends, at the latest
                        master.sendall(more)
                        receive(replica, len(more))
                    replica.sendall(command("REPLCONF", "ACK", str(BASE)))
                    receive(master, len(command("REPLCONF", "ACK", str(BASE))))
                    assert tap.client.delete("/v1/recordings").json["lost_bytes"] == 0
        assert tap.thread.events(events.Opaque) == []
    for cut in cuts:
        path = tmp_path / f"{cut}.pcapng"
        assert PASSWORD not in path.read_bytes(), cut
        with recording.open(path) as found:
            sets = [(one.args[0], one.offset) for one in found.commands(command="SET")]
        if not redact:
            assert sets[-1] == (b"last", BASE + (1 + cuts.index(cut)) * len(said + rest + last)), cut
            assert (b"before" in [key for key, _ in sets]) == (cut == 0), cut
