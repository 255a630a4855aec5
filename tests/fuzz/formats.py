"""Every format that the tap reads, by name."""

from __future__ import annotations

from tests.fuzz import captures, observed, rdbs, servers, texts, wire
from tests.fuzz.check import Format

FORMATS = {
    one.name: one
    for one in (
        Format("pcap", captures.pcap, captures.complaints, "pcap"),
        Format("pcapng", captures.ng, captures.complaints, "pcapng"),
        Format("recording", captures.recording, captures.complaints, "pcapng"),
        Format("compressed", captures.compressed, captures.complaints, "pcapng.zst"),
        Format("rdb", rdbs.rdb, rdbs.rdb_complaints, "rdb"),
        Format("talk", wire.talk, wire.complaints, weight=2),
        Format("stream", wire.stream, wire.stream_complaints, "resp", weight=2),
        Format("answers", servers.answers, servers.answers_complaints, "resp", weight=2),
        Format("aof", servers.timed, servers.aof_complaints, "resp", weight=2),
        Format("figures", observed.figures, observed.figures_complaints),
        Format("script", observed.script, observed.script_complaints, "py", weight=2),
        Format("messages", observed.messages, observed.messages_complaints, "json", weight=5),
        Format("fault", texts.fault, texts.fault_complaints, weight=5),
        Format("url", texts.url, texts.url_complaints, weight=5),
        Format("value", texts.value, texts.value_complaints, weight=5),
        Format("config", texts.config_file, texts.config_complaints, "toml", weight=2),
        Format("scenario", texts.scenario_file, texts.scenario_complaints, "toml"),
    )
}
