"""Samples of commands: all of a slow stream, a fair part of a fast one, and nothing else changes."""

from __future__ import annotations

import random

import pytest

from tap.replication.events import Event
from tap.replication.head_samples import PIECE, RATE, SAVED, HeadSamples
from tap.replication.heads import Head
from tap.replication.memory import Memory
from tap.replication.stream import Stream
from tests.relay.wire import REPLID, command
from tests.support import thinned


def streamed(samples: HeadSamples | None, told: list[Event], *, every_command: bool = False) -> Stream:
    return Stream(told.append, Memory(), 0, replid=REPLID, base=0, db=0, every_command=every_command, samples=samples)


def sampled(chunks: list[bytes], seconds: float) -> tuple[HeadSamples, list[Head]]:
    """The samples of these reads, which come at equal distances."""
    samples, heads = HeadSamples(), list[Head]()
    samples.take = heads.extend
    told: list[Event] = []
    stream = streamed(samples, told)
    for number, chunk in enumerate(chunks):
        stream.receive(chunk, 1000.0 + number * seconds / len(chunks))
    assert samples.passed == sum(map(len, chunks))
    return samples, heads


COMMANDS = [
    command("SELECT", "3"),
    *(command("SET", f"key:{number}", "v" * (number * 37 % 900)) for number in range(300)),
    command("MSET", "a", "1", "b", "2"),
    command("PING"),
    command("SET", "large", "v" * 40_000),
    *(command("DEL", f"k:{number}") for number in range(50)),
]
DATA = b"".join(COMMANDS)


@pytest.mark.parametrize("size", [1, 7, 100, 5000, 10**6])
def test_of_a_slow_stream_all_is_taken_however_it_is_split(size: int) -> None:
    chunks = [DATA[at : at + size] for at in range(0, len(DATA), size)]
    seconds = 10.0 * len(DATA) / RATE
    if size > PIECE:  # a larger read is not looked at as a whole
        chunks = [DATA[at : at + PIECE] for at in range(0, len(DATA), PIECE)]
    samples, heads = sampled(chunks, seconds)
    assert samples.looked_at == samples.passed
    assert sum(head[1] for head in heads) == len(DATA)
    assert len(heads) == len(COMMANDS)
    assert [head[4] for head in heads if head[3] == "MSET"] == [(b"a", b"b")]
    assert [head[1] for head in heads if head[4] == (b"large",)] == [len(command("SET", "large", "v" * 40_000))]
    assert heads[1][2] == 3


def test_of_a_fast_stream_a_part_is_taken_within_the_budget() -> None:
    dice = random.Random(1)
    small = [command("SET", f"small:{dice.randrange(10**6)}", "v" * 100) for _ in range(40_000)]
    large = [command("SET", f"large:{number}", "v" * 50_000) for number in range(100)]
    every = small + large
    dice.shuffle(every)
    data = b"".join(every)
    chunks, at = [], 0
    while at < len(data):
        size = dice.randrange(1, 200_000)
        chunks.append(data[at : at + size])
        at += size
    samples, heads = sampled(chunks, 2.0)
    assert samples.looked_at <= SAVED + 2 * RATE
    assert samples.looked_at > SAVED
    assert all(head[4] and head[4][0].startswith((b"small:", b"large:")) for head in heads)
    share = sum(head[1] for head in heads if head[4][0].startswith(b"large")) / sum(head[1] for head in heads)
    exact = sum(map(len, large)) / len(data)
    assert abs(share - exact) < 0.35


def test_a_large_command_at_the_end_of_each_read_is_taken_as_often_as_it_should_be() -> None:
    small = command("SET", "small", "v" * 400)
    large = command("SET", "large", "v" * 30_000)
    samples, heads = sampled([small * 40 + large] * 2000, 400.0)
    assert 0.05 < samples.looked_at / samples.passed < 0.5
    share = sum(head[1] for head in heads if head[4] == (b"large",)) / sum(head[1] for head in heads)
    assert abs(share - len(large) / (len(large) + 40 * len(small))) < 0.05


@pytest.mark.parametrize("size", thinned([4000, 1, 13, 10**6], 4))
def test_the_stream_reports_the_same(size: int) -> None:
    reported: list[list[str]] = []
    for samples in (None, HeadSamples(), HeadSamples()):
        if reported and samples is not None:
            samples.take = list[Head]().extend
        told: list[Event] = []
        stream = streamed(samples, told)
        data = DATA + b"nonsense\r\n" + DATA
        for number, at in enumerate(range(0, len(data), size)):
            stream.receive(memoryview(data)[at : at + size], 1000.0 + number)
        stream.end()
        reported.append([repr(one) for one in told])
    assert reported[0] == reported[1] == reported[2]


def test_nothing_is_looked_at_while_nothing_is_wanted() -> None:
    samples = HeadSamples()
    stream = streamed(samples, [])
    stream.receive(DATA, 1.0)
    assert (samples.passed, samples.looked_at) == (0, 0)


def test_commands_that_are_all_reported_are_not_sampled() -> None:
    samples = HeadSamples()
    samples.take = list[Head]().extend
    stream = streamed(samples, [], every_command=True)
    stream.receive(DATA, 1.0)
    assert samples.passed == 0


def test_samples_may_end_while_a_stream_goes_on() -> None:
    samples, heads = HeadSamples(), list[Head]()
    samples.take = heads.extend
    stream = streamed(samples, [])
    stream.receive(command("SET", "a", "1"), 1.0)
    samples.take = None
    stream.receive(command("SET", "b", "1") + b"*3\r\n$3\r\nSET\r\n$1\r\nc\r\n", 2.0)
    samples.take = heads.extend
    stream.receive(b"$1\r\n1\r\n", 3.0)
    assert [head[4] for head in heads] == [(b"a",), (b"c",)]
