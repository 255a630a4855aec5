"""Strategies for packets, and what a reader of pcapng finds."""

from __future__ import annotations

from hypothesis import strategies as st

from tap.capture.pcapng import Packet, PcapngReader
from tap.recording.comments import LinkState, parse

times = st.integers(0, 2**63)
comments = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=3).map(tuple)


def unpacked(pieces: list[bytes]) -> tuple[list[Packet], list[str]]:
    reader = PcapngReader()
    found = [packet for piece in pieces for packet in reader.feed(piece)]
    found += reader.close()
    return found, list(reader.problems)


def state_of(comment: str) -> LinkState | None:
    """The state of a connection in a comment; None for every other comment."""
    said = parse(comment)
    return None if said is None else said.state
