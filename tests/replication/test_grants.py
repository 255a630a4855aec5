"""The lines that grant a resync, and those that only resemble them."""

from __future__ import annotations

import pytest

from tap.replication.grants import (
    DualChannelGrant,
    EndOffset,
    FullGrant,
    Grant,
    PartialGrant,
    RdbChannelGrant,
    announces_rdb,
    is_grant,
    read_end_offset,
    read_grant,
    stands_near,
)

A = "a" * 40


@pytest.mark.parametrize(
    ("line", "grant", "is_certain"),
    [
        (f"+FULLRESYNC {A} 77", FullGrant(A, 77), True),
        (f"+FULLRESYNC {A} 77 more", FullGrant(A, 77), True),
        (f"+FULLRESYNC {A} {'9' * 20}", None, False),  # more than 64 bits
        (f"+FULLRESYNC {A} -1", None, False),
        (f"+FULLRESYNC {A}", None, False),
        (f"+CONTINUE {A}", PartialGrant(A), True),
        ("+CONTINUE", PartialGrant(None), False),  # Redis before 4.0; also a possible answer of a script
        ("+CONTINUE soon", PartialGrant("soon"), False),
        ("+RDBCHANNELSYNC 12", RdbChannelGrant("12"), True),
        ("+RDBCHANNELSYNC", None, False),
        ("+DUALCHANNELSYNC", DualChannelGrant(), True),
        ("+OK", None, False),
        ("", None, False),
    ],
)
def test_a_line_grants_by_its_words_and_is_certain_by_all_of_them(
    line: str, grant: Grant | None, is_certain: bool
) -> None:
    assert read_grant(line.encode()) == grant
    assert is_grant(line.encode()) is is_certain


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"$ENDOFF:77 {A} 3 12", EndOffset(77, A, 3, "12")),
        (f"$ENDOFF:77 {A} -1 12", EndOffset(77, A, None, "12")),
        (f"$ENDOFF:77 {A} {2**31 - 1} 12", EndOffset(77, A, 2**31 - 1, "12")),
        (f"$ENDOFF:77 {A} {2**31} 12", EndOffset(77, A, None, "12")),
        (f"$ENDOFF:77 {A} 9999999999999999999 12", EndOffset(77, A, None, "12")),
        (f"$ENDOFF:77 {A} 3", None),
        (f"$ENDOFF:x {A} 3 12", None),
    ],
)
def test_the_announcement_of_valkey_on_the_rdb_channel_is_read(line: str, said: EndOffset | None) -> None:
    assert read_end_offset(line.encode()) == said
    assert announces_rdb(line.encode())


def test_a_plain_length_may_be_any_reply() -> None:
    assert announces_rdb(b"$EOF:" + A.encode())
    assert not announces_rdb(b"$EOF:" + A.encode()[1:])
    assert not announces_rdb(b"$77")


@pytest.mark.parametrize(
    "line", [f"+FULLRESYNC {A} 77\r\n", f"$EOF:{A}\r\n", f"$ENDOFF:77 {A} 3 12\r\n", f"+CONTINUE {A}\r\n"]
)
def test_a_grant_is_found_after_replies_and_not_inside_a_value(line: str) -> None:
    grant = line.encode()
    assert stands_near(grant, 4096)
    assert stands_near(b"\n+PONG\r\n+OK\r\n-ERR x\r\n" + grant, 4096)
    assert not stands_near(b"$100\r\n" + grant, 4096)
    assert not stands_near(b"+OK\r\n" * 10 + grant, 50)
    assert not stands_near(grant[:30], 4096)
