"""TLS connections are recognized by their records, whatever their segments, wherever a capture begins."""

from __future__ import annotations

import itertools
import random
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.capture.segments import Endpoint
from tap.capture.tcp_connection import TcpConnection
from tap.capture.tls import MAX_PLACES, MAX_SEGMENTS, PROOF, TlsConnections, TlsFinder
from tap.recording.player import Player
from tap.recording.reader import nothing
from tests.recording.test_captures import cut
from tests.recording.wires import STREAM, Wire, streamed, told
from tests.relay.certificates import Certificates


def talk(certificates: Certificates, version: ssl.TLSVersion) -> list[tuple[int, bytes]]:
    """What a client, 0, and a server send each other: a handshake, and a stream."""
    contexts = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts[0].check_hostname, contexts[0].verify_mode = False, ssl.CERT_NONE
    contexts[1].load_cert_chain(certificates.leaf)
    pairs = [(ssl.MemoryBIO(), ssl.MemoryBIO()) for _ in contexts]
    for context in contexts:
        context.minimum_version = context.maximum_version = version
    ends = [contexts[side].wrap_bio(*pairs[side], server_side=bool(side)) for side in (0, 1)]
    said: list[tuple[int, bytes]] = []
    done = [False, False]
    while not all(done):
        for side in (0, 1):
            try:
                ends[side].do_handshake()
                done[side] = True
            except ssl.SSLWantReadError:
                pass
            if data := pairs[side][1].read():
                said.append((side, data))
                pairs[1 - side][0].write(data)
    for piece in [b"".join(STREAM)] * 10:
        ends[1].write(piece)
        said.append((1, pairs[1][1].read()))
        ends[0].write(b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$4\r\n1500\r\n")
        said.append((0, pairs[0][1].read()))
    return said


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name)
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, bytes]]:
    return talk(Certificates(tmp_path_factory.mktemp("certificates")), request.param)


def wire(said: list[tuple[int, bytes]], size: int = 1448) -> Wire:
    wire = Wire(hosts=("10.0.0.2", "10.0.0.1"))
    wire.open()
    for side, data in said:
        for at in range(0, len(data), size):
            wire.send(side, data[at : at + size])
    return wire


def found(pieces: list[tuple[int, bytes]], from_start: bool) -> bool | None:
    finder = TlsFinder(from_start)
    for side, data in pieces:
        if finder.see(side, data) is not None:
            break
    return finder.is_tls


@pytest.mark.parametrize("size", [1, 3, 5, 6, 100, 1448, 10**6])
def test_tls_is_recognized_by_its_beginning(said: list[tuple[int, bytes]], size: int) -> None:
    pieces = [(side, data[at : at + size]) for side, data in said for at in range(0, len(data), size)]
    assert found(pieces, from_start=True)
    for only in (0, 1):
        assert found([piece for piece in pieces if piece[0] == only], from_start=True)


@pytest.mark.parametrize("size", [100, 1448, 10**6])
@pytest.mark.parametrize("first", [0, 3, 5, 8])
def test_tls_is_recognized_in_its_middle(said: list[tuple[int, bytes]], size: int, first: int) -> None:
    pieces = [(side, data[at : at + size]) for side, data in said for at in range(0, len(data), size)]
    assert found(pieces[first:], from_start=False)


def test_tls_is_recognized_again_after_missing_bytes(said: list[tuple[int, bytes]]) -> None:
    finder = TlsFinder(from_start=True)
    assert finder.see(0, said[0][1][:3]) is None
    finder.missing(0)
    assert any(finder.see(side, data) for side, data in said[1:])


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=40)), max_size=30), st.booleans())
def test_no_bytes_raise_an_exception(pieces: list[tuple[int, bytes]], from_start: bool) -> None:
    found(pieces, from_start)


def test_other_bytes_are_not_tls() -> None:
    dice = random.Random(1)
    for _ in range(300):
        noise = [(dice.randint(0, 1), dice.randbytes(100)) for _ in range(MAX_SEGMENTS)]
        assert not found(noise, from_start=False)
    assert found([(0, b"\x16\x03\x01\x00\x05\x0b")], from_start=True) is False
    assert found([(0, b"*1\r\n$4\r\nPING\r\n")], from_start=True) is False
    assert found([(1, piece) for piece in STREAM * 2], from_start=False) is False


@pytest.mark.parametrize("begin", [0, 12])
def test_a_capture_of_tls_is_reported(said: list[tuple[int, bytes]], begin: int) -> None:
    player = Player(lambda told: None)
    for packet in cut(wire(said).packets[begin:], 2**16):
        player.packet(packet)
    player.close()
    text = nothing(player)
    assert text is not None
    assert text.startswith("no replication can be seen in it: 1 TCP connection; 1 connection is TLS (")
    assert ("to 10.0.0.1:6379)" in text) == (begin == 0)
    assert "--keylog" in text


def test_beside_a_readable_link_it_is_only_a_remark(said: list[tuple[int, bytes]]) -> None:
    player = Player(lambda told: None)
    packets = sorted([*wire(said).packets, *streamed(STREAM).packets])
    for packet in cut(packets, 2**16):
        player.packet(packet)
    player.close()
    assert nothing(player) is None
    (remark,) = player.remarks
    assert remark.startswith("1 connection is TLS (to 10.0.0.1:6379), and cannot be read from a capture: ")
    assert len(told(packets, every_command=True)) == len(told(streamed(STREAM).packets, every_command=True))


def test_a_sentence_names_a_few_of_many() -> None:
    many = TlsConnections()
    for number in itertools.count(1):
        many.add(TcpConnection((Endpoint("10.0.0.2", 40000), Endpoint("10.0.0.1", 6378 + number)), from_start=True))
        if number > MAX_PLACES + 5:
            break
    assert str(many).startswith(
        "9 connections are TLS (to 10.0.0.1:6379, to 10.0.0.1:6380, to 10.0.0.1:6381, and others), and cannot be read"
    )


def record(kind: int = 23, version: bytes = b"\3\3", size: int = 10) -> bytes:
    return bytes([kind]) + version + size.to_bytes(2, "big") + bytes(size)


def is_tls(*records: bytes) -> bool | None:
    """A connection whose beginning was not captured, in one segment and with one byte per segment."""
    whole, bytewise = TlsFinder(from_start=False), TlsFinder(from_start=False)
    whole.see(1, b"".join(records))
    for part in b"".join(records)[: MAX_SEGMENTS - 1]:
        bytewise.see(1, bytes([part]))
    assert len(b"".join(records)) >= MAX_SEGMENTS or bytewise.is_tls == whole.is_tls
    return whole.is_tls


@pytest.mark.parametrize(
    "last",
    [
        record(),
        *(record(kind) for kind in (20, 21, 22)),
        record(version=b"\3\0"),
        record(version=b"\3\4"),
        record(size=1),
    ],
)
def test_three_consecutive_headers_are_tls(last: bytes) -> None:
    assert is_tls(record(), record()) is None
    assert is_tls(record(), record(), last) is True
    assert is_tls(record(), last[:4]) is is_tls(record(), record(), last[:4]) is None
    assert is_tls(record(size=2**14 + 2048), record(), record()) is True


@pytest.mark.parametrize(
    "last",
    [
        record(19),
        record(24),
        record(version=b"\2\3"),
        record(version=b"\4\3"),
        record(version=b"\3\5"),
        record(size=0),
        record(size=2**14 + 2049),
    ],
)
def test_anything_but_a_header_resets_the_count(last: bytes) -> None:
    finder = TlsFinder(from_start=False)
    assert finder.see(1, record() + record() + last) is None
    assert finder.see(1, record() + record()) is None
    assert finder.see(0, record()) is None  # from the other side
    assert finder.see(1, record()) is True


def test_a_connection_without_headers_in_its_segments_is_not_tls() -> None:
    finder = TlsFinder(from_start=False)
    assert [finder.see(1, b"plain") for _ in range(MAX_SEGMENTS)] == [None] * (MAX_SEGMENTS - 1) + [False]


def test_a_beginning_is_a_hello_in_a_handshake() -> None:
    def begins(data: bytes) -> bool | None:
        return TlsFinder(from_start=True).see(0, data)

    head = record(22, b"\3\1", 100)[:5]
    assert begins(head) is None
    assert [begins(head + bytes([kind])) for kind in (0, 1, 2, 3)] == [False, True, True, False]
    assert begins(record(23, b"\3\1", 100)[:5] + b"\1") is False


def test_after_missing_bytes_a_side_counts_again_and_the_other_continues() -> None:
    finder = TlsFinder(from_start=False)
    finder.see(0, record() + record() + record()[:3])
    finder.see(1, record() + record())
    finder.missing(0)
    assert finder.see(0, record()) is None
    assert finder.see(1, record()) is True


@pytest.mark.parametrize(("count", "named"), [(1, 1), (2, 2), (3, 3)])
def test_a_sentence_names_all_if_they_are_few(count: int, named: int) -> None:
    few = TlsConnections()
    assert not few
    for number in range(count):
        few.add(TcpConnection((Endpoint("10.0.0.2", 40000), Endpoint("10.0.0.1", 6379 + number)), from_start=False))
    places = ", ".join(f"between 10.0.0.2:40000 and 10.0.0.1:{6379 + number}" for number in range(named))
    what = "1 connection is TLS" if count == 1 else f"{count} connections are TLS"
    assert str(few).startswith(f"{what} ({places}), and cannot")


HELLO = b"\x16\x03\x01\x00\x20"  # the header of a handshake record


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (HELLO + b"\1", True),
        (HELLO + b"\2", True),
        (HELLO, None),
        (HELLO[:4], None),
        (HELLO + b"\0", False),
        (HELLO + b"\3", False),
        (b"\x17" + HELLO[1:] + b"\1", False),
        (b"\x15" + HELLO[1:] + b"\1", False),
        (b"\x16\x02" + HELLO[2:] + b"\1", False),
        (b"\x16\x03\x05" + HELLO[3:] + b"\1", False),
        (b"\x16\x03\x04" + HELLO[3:] + b"\1", True),
        (b"\x16\x03\x01\x00\x00\1", False),
        (b"\x16\x03\x01\x48\x00\1", True),
        (b"\x16\x03\x01\x48\x01\1", False),
    ],
)
@pytest.mark.parametrize("side", [0, 1])
def test_the_first_bytes_of_a_connection_decide(side: int, said: bytes, expected: bool | None) -> None:
    whole, bytewise = TlsFinder(from_start=True), TlsFinder(from_start=True)
    assert whole.see(side, said) is expected
    assert [bytewise.see(side, bytes([byte])) for byte in said][-1] is expected


def test_after_missing_bytes_of_a_side_its_headers_are_counted_again() -> None:
    finder = TlsFinder(from_start=False)
    assert finder.see(1, record() + record() + record()[:3]) is None
    finder.missing(1)
    assert finder.see(1, record() + record()) is None
    finder.missing(0)
    assert finder.see(1, record()) is True
    begun = TlsFinder(from_start=True)
    begun.missing(0)
    assert begun.see(0, b"plain") is None  # the missing bytes may have been the beginning
    assert begun.see(0, record() * PROOF) is True
