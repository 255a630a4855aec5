"""Lines of a replica other than acknowledgements: counted by kind, reported at 1, 10, 100 and at the end."""

from __future__ import annotations

from tap.replication.events import Event, ReplicaTalkedBack
from tap.replication.requests import Request
from tap.replication.talkback import MAX_TEXT, TalkBack


class Ear:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []
        self.spans: list[tuple[int, int]] = []
        self.talk = TalkBack(self._hear)
        self._at = 0

    def _hear(self, event: Event) -> None:
        assert isinstance(event, ReplicaTalkedBack)
        self.told.append((event.what, event.text, event.count))
        self.spans.append((event.start, event.end))

    def line(self, text: bytes) -> None:
        """A line with its CRLF."""
        end = self._at + len(text) + 2
        self.talk.heard(Request(tuple(text.split()), self._at, end, inline=True))
        self._at = end


def test_each_kind_is_reported_with_its_first_tenth_and_hundredth_line() -> None:
    ear = Ear()
    for number in range(1, 101):
        ear.line(b"-ERR %d" % number)
    assert ear.told == [("error", "-ERR 1", 1), ("error", "-ERR 10", 9), ("error", "-ERR 100", 90)]
    ear.line(b"+OK")
    ear.line(b":1")
    assert ear.told[3:] == [("reply", "+OK", 1)]
    ear.line(b"-ERR 101")
    ear.talk.close()
    assert ear.told[4:] == [("error", "-ERR 101", 1), ("reply", ":1", 1)]
    assert ear.spans[0] == (0, 8)
    assert ear.spans[3][1] - ear.spans[3][0] == 5


def test_at_the_end_nothing_is_reported_twice() -> None:
    ear = Ear()
    ear.line(b"-ERR")
    ear.talk.close()
    assert ear.told == [("error", "-ERR", 1)]


def test_a_line_is_classified_by_its_first_byte() -> None:
    for text, what in ((b"-ERR", "error"), (b"+OK", "reply"), (b"SET a 1", "command"), (b"_", "reply"), (b">3", "reply")):
        ear = Ear()
        ear.line(text)
        assert ear.told == [(what, text.decode(), 1)]
    ear = Ear()
    ear.talk.heard(Request((b"-ERR", b"x"), 0, 20, inline=False))  # an array: a command, whatever its name
    assert ear.told == [("command", "-ERR x", 1)]


def test_the_body_of_a_bulk_reply_is_not_a_line_of_its_own() -> None:
    for size, body, is_body in ((5, b"hello", True), (5, b"hel", False), (5, b"hello!", False), (0, b"x", False)):
        ear = Ear()
        ear.line(b"$%d" % size)
        ear.line(body)
        assert ear.told == [("reply", f"${size}", 1)] + ([] if is_body else [("command", body.decode(), 1)])
    ear = Ear()
    ear.line(b"$5")
    ear.line(b"hello")
    ear.line(b"hello")  # only the one after the heading is its body
    assert [what for what, _, _ in ear.told] == ["reply", "command"]


def test_an_endless_length_is_not_a_heading() -> None:
    ear = Ear()
    ear.line(b"$" + b"9" * 11)
    assert ear.talk._body == int("9" * 11)
    ear.line(b"$" + b"9" * 12)
    assert ear.talk._body == 0
    ear.line(b"$x")
    assert ear.talk._body == 0


def test_long_lines_are_cut_and_secrets_hidden() -> None:
    ear = Ear()
    ear.line(b"+" + b"x" * 200)
    assert ear.told[0][1] == ("+" + "x" * 200)[:MAX_TEXT]
    ear = Ear()
    ear.line(b"AUTH hunter2")
    assert "hunter2" not in ear.told[0][1]
