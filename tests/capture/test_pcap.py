"""The classic pcap container, and the names of other files."""

from __future__ import annotations

import struct

import pytest

from tap.capture.pcap import KINDS, NotACapture, PcapReader, reader_for
from tap.capture.pcapng import MAGIC, MAX_BLOCK, Packet, PcapngReader

LINK_TYPE = 101


def pcap(magic: bytes, *records: tuple[int, int, bytes, int]) -> bytes:
    """records: seconds, fraction, captured bytes, and the size on the wire."""
    order, _ = KINDS[magic]
    said = magic + struct.pack(f"{order}HHiIII", 2, 4, 0, 0, 65_535, 0xF000_0000 | LINK_TYPE)  # with a checksum's size
    for seconds, fraction, data, size in records:
        said += struct.pack(f"{order}4I", seconds, fraction, len(data), size) + data
    return said


def read(data: bytes, step: int = 10**6) -> tuple[list[Packet], list[str]]:
    reader = PcapReader()
    found = [one for at in range(0, len(data), step) for one in reader.feed(data[at : at + step])]
    return [*found, *reader.close()], list(reader.problems)


@pytest.mark.parametrize("step", [1, 7, 23, 10**6])
@pytest.mark.parametrize(("magic", "unit"), [(magic, unit) for magic, (_, unit) in KINDS.items()])
def test_both_byte_orders_and_both_units_are_read_however_they_are_split(magic: bytes, unit: int, step: int) -> None:
    data = pcap(magic, (5, 999, b"one", 3), (2**32 - 1, 0, b"", 100), (7, 1, b"cut off", 2000))
    assert read(data, step) == (
        [
            Packet(5 * 10**9 + 999 * unit, LINK_TYPE, b"one", 3),
            Packet((2**32 - 1) * 10**9, LINK_TYPE, b"", 100),
            Packet(7 * 10**9 + unit, LINK_TYPE, b"cut off", 2000),
        ],
        [],
    )


MICRO = b"\xd4\xc3\xb2\xa1"
WHOLE = pcap(MICRO, (1, 0, b"first", 5), (2, 0, b"second", 6))


@pytest.mark.parametrize("lost", [1, 6, 7, 21])
def test_truncation_is_reported_with_its_position(lost: int) -> None:
    found, problems = read(WHOLE[:-lost])
    left = len(WHOLE) - lost - 45
    assert [one.data for one in found] == [b"first"]
    assert problems == [f"cut off: the last {left} bytes, from byte 45 on, are not a whole packet"]
    assert read(WHOLE[:45]) == (found, [])


@pytest.mark.parametrize("step", [1, 10**6])
def test_after_an_impossible_length_nothing_is_read(step: int) -> None:
    most = WHOLE + struct.pack("<4I", 3, 0, MAX_BLOCK, 9)
    assert read(most, step)[1] == ["cut off: the last 16 bytes, from byte 67 on, are not a whole packet"]
    found, problems = read(WHOLE + struct.pack("<4I", 3, 0, MAX_BLOCK + 1, 9) + WHOLE, step)
    assert len(found) == 2
    assert problems == [f"byte 67: damaged, a packet of {MAX_BLOCK + 1} bytes; the rest is not read"]


def test_four_bytes_identify_the_container() -> None:
    assert isinstance(reader_for(MAGIC), PcapngReader)
    for magic in KINDS:
        assert isinstance(reader_for(magic), PcapReader)


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"", "it is empty"),
        *(
            (magic, f"it is compressed with {name}, which is not read; decompress it first: {command} FILE")
            for magic, name, command in (
                (b"\xfd7zX", "xz", "xz -dk"),
                (b"BZh9", "bzip2", "bzip2 -dk"),
                (b"\x04\x22\x4d\x18", "lz4", "lz4 -d"),
                (b"\x1f\x9d\x90", "compress", "gzip -dk"),
                (b"PK\x03\x04", "zip", "unzip"),
                (b"7z\xbc\xaf\x27", "7-Zip", "7z x"),
                (b"LZIP\1", "lzip", "lzip -dk"),
                (b"\x89LZO\0", "lzop", "lzop -d"),
                (b"\x1f\x8b\x08\x00", "gzip twice", "gzip -dk"),
                (b"\x28\xb5\x2f\xfd", "zstd twice", "zstd -d"),
            )
        ),
        (b"REDIS0011", "it is an RDB; see redis-tap rdb"),
        (b"VALKEY080", "it is an RDB"),
        (b"\xa1\xb2\xc3", "it is not a capture, neither pcapng nor pcap: it begins with b'\\xa1\\xb2\\xc3'"),
        (b"GET / HTTP/1.1\r\nHost: x", "it begins with b'GET / HTTP/1.1\\r\\n'"),
    ],
)
def test_other_files_are_named(head: bytes, says: str) -> None:
    with pytest.raises(NotACapture) as caught:
        reader_for(head)
    assert says in str(caught.value)
