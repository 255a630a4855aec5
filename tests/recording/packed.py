"""Packets to draw, and what a reader of pcapng finds."""

from __future__ import annotations

from hypothesis import strategies as st

from tap.capture.pcapng import Packet, PcapngReader

times = st.integers(0, 2**63)
comments = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=3).map(tuple)


def unpacked(pieces: list[bytes]) -> tuple[list[Packet], list[str]]:
    reader = PcapngReader()
    found = [packet for piece in pieces for packet in reader.feed(piece)]
    found += reader.close()
    return found, list(reader.problems)
