"""/v1/recordings: the next file, and marks that are read back."""

from __future__ import annotations

from pathlib import Path

from tap.control.recordings import RecordingsAnswer
from tests.cli.typed import tap as typed
from tests.control.asking import asked
from tests.support import Servers, client, follow, level, wait_until


def test_without_a_recording_there_is_nothing_to_rotate_or_mark() -> None:
    with asked() as tap:
        assert tap.client.get("/v1/recordings").json == {"recordings": []}
        for path, body in (("rotate", None), ("mark", {"note": "x"})):
            reply = tap.client.post(f"/v1/recordings/{path}", body)
            assert (reply.status, reply.error) == (409, "nothing is being recorded: start the tap with -w FILE.pcapng")


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
