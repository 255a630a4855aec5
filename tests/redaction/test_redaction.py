"""A recording made with --redact: none of the data is in the file, and it can be read as any other."""

from __future__ import annotations

import itertools
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from tap.config import Config, LinkConfig
from tap.errors import ConfigError
from tap.recorder import filling
from tap.redaction.redaction import LinkRedaction, Redaction
from tap.redaction.strict import ReplyMasker, StrictMasker
from tap.replication import events, json_values
from tap.replication.phase import Phase
from tap.url import Address
from tests.recording.support import comments, config, drain, exchange, hang, linked, listening, sides, tshark
from tests.recording.wires import of, replayed
from tests.relay.wire import BASE, GRANT, asks, command
from tests.replication.talk import ID, PING, PSYNC, Talk, following
from tests.support import WITHIN, Servers, TapThread, client, follow, is_up, level, wait_until

BOTH = ("values", "keys")
STREAM = b"".join(
    (
        command("SELECT", "0"),
        command("SET", "hidden-key", "hidden-value" * 20_000),
        command("MULTI"),
        command("SADD", "{hidden-key}:s", "hidden-member"),
        command("EXEC"),
        b"\n",
        command("REPLCONF", "GETACK", "*"),
    )
)


def hides(path: Path) -> bool:
    return b"hidden" not in path.read_bytes()


def test_of_a_real_pair_names_and_offsets_remain_and_no_data(tmp_path: Path, servers: Servers, server_name: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica = servers.start(server_name), servers.start(server_name)
    client(master).set("hidden-key-of-the-snapshot", "hidden-value" * 10_000)
    with TapThread(config(master.port, path, record_redact=BOTH, every_command=True)) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(client(master))
        level(master, replica)
    assert hides(path)
    assert "rdb_omitted" in [said["event"] for said in comments(path)]
    live, read = (of(told, events.Command) for told in (tap.told, replayed(path, every_command=True)))
    assert [frame(one) for one in read] == [frame(one) for one in live]
    assert len(live) > 20
    assert tshark(path, "-d", f"tcp.port=={master.port},resp", "-Y", "_ws.malformed") == ""


def frame(one: events.Command) -> tuple[Any, ...]:
    return one.offset, one.db, one.name, one.in_transaction, [len(argument) for argument in one.args]


def write(master: redis.Redis) -> None:
    """What a server propagates for every type."""
    master.set("hidden-key", "hidden-value", ex=1000)
    master.set("hidden-counter", 17)
    master.incrby("hidden-counter", 25)
    master.incrbyfloat("hidden-counter", 1.5)
    master.set("hidden-large", "hidden" * 50_000)
    master.rpush("hidden-list", "hidden-1", "hidden-2", "hidden-3")
    master.lrem("hidden-list", 1, "hidden-2")
    master.linsert("hidden-list", "before", "hidden-3", "hidden-4")
    master.hset("hidden-hash", mapping={"hidden-field": "hidden", "number": "9223372036854775000"})
    master.hincrby("hidden-hash", "number", 5)
    master.hdel("hidden-hash", "hidden-field")
    master.sadd("hidden-set", "hidden-1", "hidden-2")
    master.smove("hidden-set", "hidden-set-2", "hidden-1")
    master.srem("hidden-set", "hidden-2")
    master.zadd("hidden-zset", {"hidden-1": 1.5, "hidden-2": float("inf"), "hidden-3": 3})
    master.zincrby("hidden-zset", 2.25, "hidden-1")
    master.zremrangebyscore("hidden-zset", "(2", "+inf")
    master.geoadd("hidden-geo", (13.361389, 38.115556, "hidden-place"))
    master.setbit("hidden-bits", 7, 1)
    master.setrange("hidden-bits", 3, "hidden")
    master.execute_command("BITFIELD", "hidden-bits", "SET", "u8", "#1", "200", "INCRBY", "i5", "100", "1")
    master.pfadd("hidden-log", "hidden-1", "hidden-2")
    master.xgroup_create("hidden-stream", "hidden-group", mkstream=True)
    first = master.xadd("hidden-stream", {"hidden-field": "hidden"}, maxlen=100)
    master.xreadgroup("hidden-group", "hidden-consumer", {"hidden-stream": ">"})
    master.xack("hidden-stream", "hidden-group", first)
    master.xtrim("hidden-stream", maxlen=0)
    master.eval("redis.call('set', KEYS[1], ARGV[1]); redis.call('pexpire', KEYS[1], 5000)", 1, "hidden-script", "hidden")
    with master.pipeline() as pipeline:
        pipeline.set("hidden-1", "hidden")
        pipeline.expire("hidden-1", 500)
        pipeline.rename("hidden-1", "hidden-2")
        pipeline.unlink("hidden-2")
        pipeline.execute()
    master.publish("hidden-channel", "hidden-message")
    master.copy("hidden-key", "hidden-copy")
    master.flushdb()


def test_a_recording_without_values_can_be_replayed(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master, replica, other = servers.start(any_server), servers.start(any_server), servers.start(any_server)
    with TapThread(config(master.port, path, record_redact=("values",))) as tap:
        follow(replica, tap.port)
        wait_until(lambda: is_up(replica))
        write(client(master))
        level(master, replica)
    target = client(other).connection_pool.get_connection()
    for one in of(replayed(path, every_command=True), events.Command):
        if one.name != "REPLCONF":
            target.send_command(one.name, *one.args)
            target.read_response()  # raises on an error
    target.disconnect()


@pytest.mark.parametrize("redact", [("values",), BOTH])
def test_bytes_keep_their_positions(tmp_path: Path, redact: tuple[str, ...]) -> None:
    path = tmp_path / "one.pcapng"
    pieces = [(0, asks(BASE)), (1, GRANT), *((1, STREAM[at : at + 997]) for at in range(0, len(STREAM), 997))]
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, record_redact=redact)) as tap:
            sent = exchange(tap, listener, [*pieces, (0, command("REPLCONF", "ACK", "1200"))])
    from_replica, from_master = sides(path)
    assert from_replica == sent[0]
    assert len(from_master) == len(sent[1])
    assert from_master.startswith(GRANT + command("SELECT", "0") + b"*3\r\n$3\r\nSET\r\n$10\r\n")
    assert from_master.endswith(command("EXEC") + b"\n" + command("REPLCONF", "GETACK", "*"))
    assert b"hidden-value" not in from_master
    assert hides(path) == (redact == BOTH)


def test_a_command_that_never_ends_has_all_its_bytes_counted(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    cut_off = command("SET", "hidden-key" * 6_500, "")[:-10]
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, record_redact=BOTH)) as tap:
            sent = exchange(tap, listener, [(0, asks(BASE)), (1, GRANT + cut_off)])
    assert len(sides(path)[1]) == len(sent[1])
    assert hides(path)


def test_no_word_of_clients_remains(tmp_path: Path, servers: Servers, any_server: str) -> None:
    path = tmp_path / "one.pcapng"
    master = servers.start(any_server)
    with TapThread(config(master.port, path, record_redact=("values",))) as tap:
        with redis.Redis(port=tap.port) as through:
            through.set("hidden-key", "hidden-value")
            assert through.get("hidden-key") == b"hidden-value"
        with socket.create_connection(("127.0.0.1", tap.port), WITHIN) as inline:
            for piece in (b"PING hidden\r\n", b"GET hid", b"den-key\r\n", b"QUIT\r\n"):
                inline.sendall(piece)
            drain(inline)
        wait_until(lambda: len(tap.events(events.LinkClosed)) == 2)
    assert hides(path)


def test_bytes_that_are_not_understood_do_not_remain(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, record_redact=BOTH)) as tap:
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT + STREAM + b"hidden-nonsense"), (1, STREAM)])
            exchange(tap, listener, [(0, asks(BASE)), (1, b"hidden-answer\r\n"), (1, b"hidden\r\n")])
            exchange(tap, listener, [(0, b"hidden-protocol\r\nhidden\r\n"), (1, b"hidden\r\n")])
    assert hides(path)


def test_events_hold_no_keys_of_faults(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    fault = "drop command=SET key=hidden-key times=1"
    with listening() as listener:
        wanted = config(listener.getsockname()[1], path, record_redact=("keys",), faults=(fault,))
        with TapThread(wanted) as tap:
            exchange(tap, listener, [(0, asks(BASE)), (1, GRANT + STREAM.replace(b"hidden-value", b"plain-value."))])
            tap.wait_for(events.FaultFired)
    said = [one for one in comments(path) if one["event"].startswith("fault")]
    assert {one["event"] for one in said} >= {"fault_armed", "fault_fired"}
    assert "hidden-key" not in str(said)


def test_after_a_gap_everything_is_masked_up_to_the_next_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "one.pcapng"
    monkeypatch.setattr(filling, "QUEUE_BYTES", 300_000)
    inner = command("SET", "hidden-inner", "hidden")  # the RESP of a command, inside a value
    value = inner * 20_000
    outer = command("SET", "hidden-key", value)
    with listening() as listener:
        with TapThread(config(listener.getsockname()[1], path, record_redact=("values",))) as tap:
            may_write = hang(monkeypatch)
            with linked(tap, listener) as (replica, master):
                reader = threading.Thread(target=drain, args=(replica,))
                replica.sendall(asks(BASE))
                assert master.recv(1000)
                reader.start()
                master.sendall(GRANT + outer[:700_000])
                tap.wait_for(events.RecordingStopped)
                wait_until(lambda: tap.tap.links[0].conversation.from_master == len(GRANT) + 700_000)
                may_write.set()
                wait_until(lambda: tap.tap.recorder is not None and tap.tap.recorder.waiting == 0)
                master.sendall(outer[700_000:])
                wait_until(lambda: tap.tap.links[0].conversation.from_master == len(GRANT + outer))
                master.sendall(command("SET", "key-behind", "hidden"))
                gap = tap.wait_for(events.RecordingGap)
                assert gap.bytes
                master.shutdown(socket.SHUT_WR)
                reader.join(WITHIN)
    written = path.read_bytes()
    assert b"hidden-inner" not in written
    assert b"SET\r\n$10\r\nkey-behind\r\n$6\r\n" in written


def test_without_a_recording_there_is_nothing_to_redact(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give -w"):
        Config(links=(LinkConfig(master=Address("127.0.0.1", 1)),), record_redact=("keys",))
    with pytest.raises(ConfigError, match="passwords: values or keys"):
        config(1, tmp_path / "one.pcapng", record_redact=("passwords",))


# ---- before the stream ----

SAID = [
    (command("PING"), command("PING")),
    (command("PING", "secret"), command("PING", "******")),
    (command("AUTH", "user", "secret"), command("AUTH", "****", "******")),
    (command("REPLCONF", "capa", "eof"), command("REPLCONF", "capa", "eof")),
    (command("PSYNC", "?", "-1"), command("PSYNC", "?", "-1")),
    (command("GET", "secret"), command("***", "******")),
    (command("SELECTsecret", "secret"), command("SELECT******", "******")),
    (b"ping\r\n", b"ping\r\n"),
    (b"get secret\r\n", b"x** ******\r\n"),
    (b"+secret 1\r\n", b"+****** *\r\n"),
    (b"-ERR secret\r\n", b"-*** ******\r\n"),
    (b"\n", b"\n"),
]
REPLIED = [
    (b"+OK\r\n", b"+OK\r\n"),
    (b"-ERR no such thing\r\n", b"-ERR no such thing\r\n"),
    (b"-ERR what is 'secret'?\r\n", b"-ERR what is '********\r\n"),
    (b"$6\r\nsecret\r\n", b"$6\r\n******\r\n"),
    (b"$8\r\n+se\r\ncre\r\n", b"$8\r\n********\r\n"),
    (b"$-1\r\n", b"$-1\r\n"),
    (b"*2\r\n$1\r\nx\r\n:5\r\n", b"*2\r\n$1\r\n*\r\n:5\r\n"),
    (b"\n", b"\n"),
    (b"$EOF:0123456789\r\n", b"$EOF:0123456789\r\n"),
    (b"secret+\r\n", b"*********"),
]
CUTS = st.lists(st.integers(0), max_size=20)


def cut_up(said: list[tuple[bytes, bytes]], cuts: list[int]) -> tuple[list[bytes], bytes]:
    data = b"".join(one for one, _ in said)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)], b"".join(masked for _, masked in said)


@given(st.lists(st.sampled_from(SAID), max_size=8), CUTS)
def test_only_requests_of_a_replica_remain(said: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    pieces, masked = cut_up(said, cuts)
    masker = StrictMasker()
    assert b"".join(masker.mask(piece) for piece in pieces) == masked


@given(st.lists(st.sampled_from(REPLIED), max_size=8), CUTS)
def test_of_replies_only_lines_remain(said: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    pieces, masked = cut_up(said, cuts)
    masker = ReplyMasker()
    assert b"".join(masker.mask(piece) for piece in pieces) == masked


def test_after_lost_requests_only_acknowledgements_remain() -> None:
    masker = StrictMasker()
    masker.lost()
    value = command("REPLCONF", "secret")
    assert masker.mask(b"\n" + value) == b"*" * (len(value) + 1)
    ack = command("REPLCONF", "ACK", "1234")
    assert masker.mask(ack) == ack


# ---- the bytes of one master ----


def redaction_of(talk: Talk) -> LinkRedaction:
    return Redaction(("values",)).of(talk.conversation)


def test_after_lost_bytes_the_stream_is_hidden_up_to_the_first_certain_command() -> None:
    talk = following()
    redaction, at = redaction_of(talk), talk.conversation.from_master
    assert redaction.hidden(at - 5, at) == at - 5
    redaction.lost()
    talk.M(PING + PING[:5])
    assert redaction.hidden(at + 3, at + len(PING) + 5) == at + len(PING)
    assert redaction.hidden(at + 3, at + 5) == at + 3  # known from then on
    redaction.lost()
    assert redaction.hidden(at + len(PING) + 1, at + len(PING) + 5) == at + len(PING) + 5
    talk.M(PING[5:])
    end = talk.conversation.from_master
    assert redaction.hidden(end, end) == end
    redaction.lost()
    redaction.found()
    assert redaction.hidden(end - 3, end) == end - 3


def test_a_command_that_begins_at_the_first_byte_after_lost_ones_is_kept() -> None:
    talk = following()
    redaction, at = redaction_of(talk), talk.conversation.from_master
    redaction.lost()
    talk.M(PING[:5])
    assert redaction.hidden(at, at + 5) == at
    assert redaction.hidden(at, at + 5) == at


def test_before_the_stream_replies_are_kept_and_answers_to_a_client_are_hidden() -> None:
    talk = Talk().R(PING).M(b"+PONG\r\n")
    assert redaction_of(talk).hidden(2, 7) == 2
    lost = redaction_of(talk)
    lost.lost()
    assert lost.hidden(2, 7) == 7
    client = Talk().R(command("GET", "hidden")).M(b"$6\r\nhidden\r\n")
    assert redaction_of(client).hidden(0, 12) == 12
    turned = Talk().R(command("GET", "hidden")).M(b"$6\r\nhidden\r\n").R(PSYNC)
    turned.M(f"+FULLRESYNC {ID} 0\r\n".encode())
    end = turned.conversation.from_master
    assert redaction_of(turned).hidden(4, end) == 12
    assert redaction_of(turned).hidden(14, end) == 14
    assert redaction_of(turned).hidden(4, 9) == 9


@pytest.mark.parametrize(
    ("phase", "rdb_start", "ordinary_until", "hidden"),
    [
        *((phase, None, None, 10) for phase in Phase if phase not in (Phase.ORDINARY, Phase.OPAQUE, Phase.DONE)),
        *((phase, None, None, 20) for phase in (Phase.ORDINARY, Phase.OPAQUE, Phase.DONE)),
        *((phase, 11, None, 10) for phase in (Phase.ORDINARY, Phase.OPAQUE, Phase.DONE)),  # replies before an RDB
        *((phase, 10, None, 20) for phase in (Phase.ORDINARY, Phase.OPAQUE, Phase.DONE)),
        *((Phase.PSYNC, None, until, max(10, min(20, until))) for until in (0, 9, 10, 11, 19, 20, 21)),
        (Phase.OPAQUE, 11, 15, 15),
    ],
)
def test_without_a_stream_what_is_hidden_depends_on_what_has_been_said(
    phase: Phase, rdb_start: int | None, ordinary_until: int | None, hidden: int
) -> None:
    """Of the bytes 10 to 20."""
    said: Any = SimpleNamespace(stream=None, phase=phase, rdb_start=rdb_start, ordinary_until=ordinary_until)
    redaction = Redaction(("values",)).of(said)
    assert redaction.hidden(10, 20) == hidden
    redaction.lost()
    assert redaction.hidden(10, 20) == 20
    redaction.found()
    assert redaction.hidden(10, 20) == hidden


@pytest.mark.parametrize("begins_at", [None, 79, 80, 81, 85, 91, 94, 200])
def test_bytes_before_the_stream_are_replies_and_those_in_it_commands(begins_at: int | None) -> None:
    """The data are at position 80."""
    data = b"+OK 'x'\r\n+OK\r\n"
    said: Any = SimpleNamespace(stream=None if begins_at is None else SimpleNamespace(begins_at=begins_at))
    replies = len(data) if begins_at is None else min(max(begins_at - 80, 0), len(data))
    left = data[:replies] + b"*" * (len(data) - replies)  # as commands they are nonsense
    redaction = Redaction(("values",)).of(said)
    assert redaction.mask(data, 80, hide=False) == left


def test_replies_and_the_stream_in_the_same_bytes_are_redacted_each_in_its_way() -> None:
    talk = Talk().R(f"PSYNC {ID} 101\r\n".encode())
    grant, said = f"+CONTINUE {ID}\r\n".encode(), command("SET", "key", "hidden")
    begin = talk.conversation.from_master
    talk.M(grant + said).quiet()
    redaction = redaction_of(talk)
    out = redaction.mask(grant + said, begin, hide=False)
    assert out.startswith(grant + said[: -len("hidden\r\n")])
    assert b"hidden" not in out
    assert len(out) == len(grant + said)
    assert redaction.mask(said[:-3], begin + len(out), hide=False) == said[: -len("hidden\r\n")][: -len("$6\r\n")]
    left = b"$6\r\n" + b"*" * 5
    assert redaction.mask(b"hidden", 0, hide=True) == left + b"*" * 6
    assert redaction.flush() == b""


def test_redactions_of_one_recording_replace_equal_words_alike() -> None:
    said, whole = command("SET", "key", "hidden-value"), Redaction(("values",))
    one, same, other = (
        kind.of(following().conversation).mask(said, 10**6, hide=False) for kind in (whole, whole, Redaction(("values",)))
    )
    assert one == same != other


WIRE: dict[str, Any] = {"start": 10, "end": 20}
EVENTS = [
    events.FaultArmed(fault="1", spec="drop key=hidden times=1", seed=7),
    events.FaultExpired(fault="1", spec="drop key=hidden times=1", fired=1, bytes=9),
    events.FaultFired(
        fault="1", spec="drop key=hidden", text="hidden", side=events.Side.MASTER, phase="stream", position=3,
        offset=4, bytes=9,
    ),
    events.FullResync(**WIRE, replid=ID, offset=1, reason=events.Reason(code="forced_by_fault", text="hidden")),
    events.RdbProblem(**WIRE, problem="damaged", text="hidden", position=3, keys=1, db=0, key=b"hidden"),
    events.Opaque(**WIRE, side=events.Side.MASTER, reason="hidden"),
    events.ReplicaTalkedBack(**WIRE, what="error", text="hidden", count=1),
]  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_keeps_its_numbers_and_no_words_of_the_data(event: events.Event) -> None:
    before, after = events.as_dict(event), events.as_dict(Redaction.event(event))
    assert "hidden" in str(before)
    changed = {name: after[name] for name in before if after[name] != before[name]}
    assert before.keys() == after.keys()
    assert (
        changed
        == {
            "fault_armed": {"spec": "drop (redacted)"},
            "fault_expired": {"spec": "drop (redacted)"},
            "fault_fired": {"spec": "drop (redacted)", "text": "(redacted)"},
            "full_resync": {"reason": json_values.plain(events.Reason(code="forced_by_fault", text="(redacted)"))},
            "rdb_problem": {"key": None, "text": "(redacted)"},
            "opaque": {"reason": "(redacted)"},
            "replica_talked_back": {"text": "(redacted)"},
        }[event.kind]
    )


def test_an_event_without_words_of_the_data_stays_unchanged() -> None:
    told = events.FullResync(
        **WIRE, replid=ID, offset=1, reason=events.Reason(code="no_psync", text="the replica sent SYNC")
    )
    assert Redaction.event(told) is told
