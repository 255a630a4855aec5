"""Passwords do not reach the file: whatever the notation, the case and the chunks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.recording.masks import Masker
from tests.relay.wire import command

ACK = command("REPLCONF", "ACK", "1234")
HANDSHAKE = [
    (command("PING"), command("PING")),
    (command("AUTH", "user", "se\r\n*ret"), command("AUTH", "****", "*" * 8)),
    (command("auth", ""), command("auth", "")),
    (b"AUTH user  secret\r\n", b"AUTH ****  ******\r\n"),
    (b"PING\r\n", b"PING\r\n"),
    (b'"AUTH" secret\n', b'"AUTH" ******\n'),
    (b"\n\n", b"\n\n"),
    (command("HELLO", "3", "AUTH", "user", "secret"), command("HELLO", "3", "****", "****", "******")),
    (b"*0\r\n", b"*0\r\n"),
    (command("REPLCONF", "listening-port", "6380"), command("REPLCONF", "listening-port", "6380")),
    (ACK, ACK),
    (ACK * 3, ACK * 3),
    (b"GET / HTTP/1.1\r\nAuthorization: AUTH\r\n\r\n", b"GET / HTTP/1.1\r\nAuthorization: AUTH\r\n\r\n"),
    (b"*1\r\n+what\r\nAUTH secret\r\n", b"*1\r\n+what\r\nAUTH ******\r\n"),
]


@given(st.lists(st.sampled_from(HANDSHAKE), max_size=8), st.lists(st.integers(0, 600), max_size=20))
def test_secrets_are_masked_at_equal_length_however_the_bytes_are_cut(
    said: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    data = b"".join(one for one, _ in said)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    masker = Masker()
    pieces = [masker.mask(data[begin:end]) for begin, end in itertools.pairwise(places)]
    assert b"".join(pieces) == b"".join(masked for _, masked in said)


@given(st.lists(st.binary(max_size=50)))
def test_no_bytes_change_their_number(pieces: list[bytes]) -> None:
    masker = Masker()
    assert [len(masker.mask(piece)) for piece in pieces] == [len(piece) for piece in pieces]


@pytest.mark.parametrize("seen", range(len(command("AUTH", "secret"))))
def test_behind_bytes_that_were_not_seen_no_rest_of_a_secret_shows(seen: int) -> None:
    data = command("AUTH", "secret")
    masker = Masker()
    masker.mask(data[:seen])
    masker.lost()
    out = masker.mask(data[min(seen + 1, len(data)) :] + ACK * 2)
    assert b"ret" not in out
    assert out.endswith(ACK)
