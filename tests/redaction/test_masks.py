"""Passwords do not reach the file: in any command, any notation, after any garbage, at any split."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.redaction import masks
from tap.redaction.masks import Masker, Replies
from tests.recording.plants import ARRAYS, GARBAGE, LINES, PASSWORD, PLAIN, REPLIES, Plant, errors, shows
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
PLANTS = [*ARRAYS, *LINES, *PLAIN]


def masked(data: bytes, cuts: list[int]) -> bytes:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    masker = Masker()
    return b"".join(masker.mask(data[begin:end]) for begin, end in itertools.pairwise(places))


@given(st.lists(st.sampled_from(HANDSHAKE), max_size=8), st.lists(st.integers(0, 600), max_size=20))
def test_secrets_are_masked_at_equal_length_for_any_split(said: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    data = b"".join(one for one, _ in said)
    assert masked(data, cuts) == b"".join(masked for _, masked in said)


@pytest.mark.parametrize("plant", PLANTS, ids=repr)
def test_a_password_is_masked_wherever_the_request_is_split_and_nothing_else_is(plant: Plant) -> None:
    before, behind = command("SET", "a", "b"), command("GET", "a") + b"PING\r\n"
    data, left = before + plant.said + behind, before + plant.left + behind
    assert masked(data, list(range(len(data)))) == left
    for cut in range(len(data)):
        assert masked(data, [cut]) == left, cut


def test_a_password_of_megabytes_is_masked_as_it_comes() -> None:
    said = command("CONFIG", "SET", "requirepass", PASSWORD * 200_000, "masterauth", PASSWORD)
    masker = Masker()
    out = b"".join(masker.mask(said[at : at + 65_536]) for at in range(0, len(said), 65_536))
    assert out == said.replace(PASSWORD, b"*" * len(PASSWORD))


@given(st.lists(st.sampled_from(PLANTS), max_size=6), st.lists(st.integers(0, 10**6), max_size=12))
def test_in_any_sequence_of_requests_nothing_else_is_masked(said: list[Plant], cuts: list[int]) -> None:
    data = b"".join(one.said for one in said)
    assert masked(data, cuts) == b"".join(one.left for one in said)


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("plant", [*ARRAYS, *LINES], ids=repr)
def test_after_garbage_no_password_shows(garbage: bytes, plant: Plant) -> None:
    data = garbage + plant.said
    for cut in range(len(data)):
        out = masked(data, [cut])
        assert len(out) == len(data)
        assert shows(out) is None
    assert shows(masked(data, list(range(len(data))))) is None


@pytest.mark.parametrize("plant", ARRAYS, ids=repr)
def test_swallowing_the_beginning_of_a_request_hides_its_password_too(plant: Plant) -> None:
    name = plant.said.index(b"\r\n", plant.said.index(b"$"))
    for swallowed in range(1, name + 3):
        assert shows(masked(b"x" + plant.said[swallowed:], [])) is None


@given(st.lists(st.binary(max_size=50)))
def test_the_number_of_bytes_never_changes(pieces: list[bytes]) -> None:
    masker = Masker()
    assert [len(masker.mask(piece)) for piece in pieces] == [len(piece) for piece in pieces]


@pytest.mark.parametrize("digits", [15, 17, 400, 5000])
@pytest.mark.parametrize("kind", [b"*", b"$", b"*2\r\n$"])
def test_a_length_of_many_digits_is_nonsense_for_any_split(kind: bytes, digits: int) -> None:
    data = kind + b"9" * digits + b"\r\n" + command("AUTH", "secret")
    whole = masked(data, [])
    assert b"secret" not in whole
    assert len(whole) == len(data)
    assert masked(data, list(range(len(data)))) == whole


def test_a_length_may_have_fourteen_digits() -> None:
    said = b"*2\r\n$4\r\nAUTH\r\n$00000000000006\r\nsecret\r\n" + ACK
    left = said.replace(b"secret", b"*" * 6)
    assert masked(said, []) == left
    for cut in range(len(said)):
        assert masked(said, [cut]) == left, cut


@pytest.mark.parametrize(("before", "is_secret"), [(60, True), (61, False)])
def test_a_name_is_known_by_its_first_64_bytes_however_it_is_written(before: int, is_secret: bool) -> None:
    name = b"x" * before + b"pass"
    value = b"*" * 6 if is_secret else b"secret"
    for said in (command("CONFIG", "SET", name, "secret"), b"CONFIG SET %b secret\r\n" % name):
        for cut in range(len(said)):
            assert masked(said, [cut]) == said.replace(b"secret", value), cut


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b"AUTH \v\f\0 pw\r\n", b"AUTH \v\f\0 **\r\n"),
        (b"AUTH !pw\r\n", b"AUTH ***\r\n"),
        (b"AUTH p!w\0x\r\n", b"AUTH ***\0*\r\n"),
        (b"AUTH p\vw\r\n", b"AUTH ***\r\n"),
        *(
            (b'ACL SETUSER bob "\\%c%b" on\r\n' % (one, b"pw"), b'ACL SETUSER bob "\\%c*** on\r\n' % one)
            for one in b"><#!"
        ),
        *((line, line) for line in (b'"\\auth" pw\r\n', b'"au\\th" pw\r\n')),
        (b'"co\\nfig" set requirepass pw\r\n', b'"co\\nfig" set requirepass pw\r\n'),
        (b'"\\x!4\\x4!" pw\r\n', b'"\\x!4\\x4!" pw\r\n'),
        (b"'\\x41UTH' pw\r\n", b"'\\x41UTH' pw\r\n"),
    ],
)
def test_a_line_is_taken_apart_as_servers_do(said: bytes, left: bytes) -> None:
    """Redis 7.0 sds.c, sdssplitargs: blanks, quotes and escapes."""
    for cut in range(len(said)):
        assert masked(said, [cut]) == left, cut
        assert masked(ACK + said + ACK, [len(ACK) + cut]) == ACK + left + ACK


def test_what_has_no_secrets_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    masker = Masker()
    for said in (command("SET", "a", "b" * 100) * 3, command("PING") + command("GET", "a"), ACK * 2):
        assert masker.mask(said) is said
    monkeypatch.setattr(masks, "_after_plain", lambda data, at: pytest.fail("an acknowledgement is known at once"))
    assert masker.mask(ACK * 2) == ACK * 2


@pytest.mark.parametrize("place", range(3))
def test_behind_a_word_with_a_wrong_length_all_is_hidden_up_to_where_a_request_certainly_begins(place: int) -> None:
    words = [b"GET", b"key", b"other"]
    parts = [b"$%d\r\n%b%b" % (len(word), word, b".." if at == place else b"\r\n") for at, word in enumerate(words)]
    kept, hidden = b"*3\r\n" + b"".join(parts[: place + 1])[:-2], b"..secret\r\n*3\r\n$GET"
    data = kept + hidden + b"\r\n" + ACK
    left = kept + re.sub(rb"[^\r\n]", b"*", hidden) + b"\r\n" + ACK
    assert masked(data, []) == left
    heading = slice(len(kept + hidden), -len(b"REPLCONF\r\n$3\r\nACK\r\n$4\r\n1234\r\n"))  # hidden where it is cut
    for cut in range(len(data)):
        out = masked(data, [cut])
        assert out[: heading.start] + left[heading] + out[heading.stop :] == left, cut


def test_a_masker_goes_on_in_the_middle_of_a_request() -> None:
    rest = b"$6\r\nsecret\r\n"
    for before in (b"", b"GET se", command("AUTH", "pw")[:-4], command("GET", "k")[:-2]):
        for name, words, left in ((b"AUTH", 1, rest.replace(b"secret", b"*" * 6)), (b"GET", 1, rest), (b"AUTH", 2, None)):
            masker = Masker()
            masker.mask(before)
            masker.resume(name, words)
            assert not masker.is_between_requests
            assert masker.mask(rest) == (left or rest.replace(b"secret", b"*" * 6))
            assert masker.is_between_requests == (words == 1)


def test_one_request_is_masked_alone() -> None:
    one, other = command("AUTH", "secret"), command("GET", "secret")
    left = command("AUTH", "*" * 6)
    assert Masker().mask_one(one + other) == left
    assert Masker().mask_one(b"AUTH secret\r\n" + one) == b"AUTH ******\r\n"
    for cut in range(1, len(one)):
        masker = Masker()
        assert masker.mask_one(one[:cut]) == left[:cut]
        assert masker.mask_one(one[cut:] + one) == left[cut:]
        assert masker.is_between_requests


@pytest.mark.parametrize("seen", range(len(command("AUTH", "secret"))))
def test_after_unseen_bytes_no_rest_of_a_secret_shows(seen: int) -> None:
    data = command("AUTH", "secret")
    masker = Masker()
    masker.mask(data[:seen])
    masker.lost()
    out = masker.mask(data[min(seen + 1, len(data)) :] + ACK * 2)
    assert b"ret" not in out
    assert out.endswith(ACK)


@pytest.mark.parametrize("plant", ARRAYS, ids=repr)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_after_unseen_bytes_requests_are_followed_again(plant: Plant, size: int) -> None:
    for lost in range(len(plant.said)):
        masker = Masker()
        masker.lost()
        data = plant.said[lost:] + ACK + plant.said + ACK
        out = b"".join(masker.mask(data[at : at + size]) for at in range(0, len(data), size))
        assert shows(out) is None
        assert out.endswith(plant.left + ACK)


def test_of_bytes_that_were_not_seen_only_blanks_show() -> None:
    masker = Masker()
    masker.lost()
    assert masker.mask(b"a!b \t\r\n\0\v*1\r\n$4x") == b"*** \t\r\n\0***\r\n***"
    assert not masker.is_between_requests


@pytest.mark.parametrize(("said", "left"), REPLIES, ids=lambda value: repr(value)[:60])
def test_behind_requests_that_were_not_seen_any_reply_may_have_secrets(said: tuple[bytes, bytes], left: bytes) -> None:
    if any(size in said[0] for size in (b"200",)):
        return  # as long as no other password is: only its request says how long
    masker, replies = Masker(), Replies()
    masker.lost()
    replies.look_for(masker.asked)
    assert replies.mask(said[1]) == left


@pytest.mark.parametrize("name", [b"AUTH", b"FOO"])
def test_after_unseen_requests_no_error_repeats_a_secret(name: bytes) -> None:
    masker, replies = Masker(), Replies()
    masker.lost()
    replies.look_for(masker.asked)
    said = b"-ERR unknown command '%b', with args beginning with: '%b' \r\n" % (name, PASSWORD)
    assert PASSWORD not in replies.mask(said)


def test_an_argument_longer_than_its_length_hides_what_follows() -> None:
    out = masked(b"*2\r\n$3\r\nAUTH\r\n$%d\r\n%b\r\n" % (len(PASSWORD), PASSWORD) + ACK * 2, [])
    assert shows(out) is None
    assert out.endswith(ACK)


@pytest.mark.parametrize("longer", [1, 2, 3])
def test_a_secret_longer_than_its_length_is_hidden_to_its_end(longer: int) -> None:
    data = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n" % (len(PASSWORD) - longer, PASSWORD)
    for cut in range(len(data)):
        assert PASSWORD[-longer:] not in masked(data + ACK * 2, [cut])


INNER = command("GET", "a") + ACK  # requests in which nothing would be masked


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (command("AUTH", INNER), command("AUTH", b"*" * len(INNER))),
        (command("CONFIG", "SET", "requirepass", INNER), command("CONFIG", "SET", "requirepass", b"*" * len(INNER))),
        (command("SET", "k", INNER), command("SET", "k", INNER)),
        (b"AUTH secret\r\n", b"AUTH ******\r\n"),
    ],
)
def test_only_the_end_of_a_request_is_between_requests(said: bytes, left: bytes) -> None:
    """A secret may look like a request, and come in a piece of its own."""
    for first in range(len(said) + 1):
        masker = Masker()
        out = masker.mask(said[:first])
        assert masker.is_between_requests == (first in (0, len(said)))
        size = min(len(INNER), len(said) - first)
        out += masker.mask(said[first : first + size]) + masker.mask(said[first + size :])
        assert out == left
        assert masker.is_between_requests


# ---- replies ----


def replied(asked: bytes, reply: bytes, cuts: list[int]) -> bytes:
    masker, replies = Masker(), Replies()
    masker.mask(asked)
    replies.look_for(masker.asked)
    places = sorted({0, len(reply), *(cut % (len(reply) + 1) for cut in cuts)})
    return b"".join(replies.mask(reply[begin:end]) for begin, end in itertools.pairwise(places))


@pytest.mark.parametrize(("said", "left"), REPLIES, ids=lambda value: repr(value)[:60])
def test_no_password_is_left_in_a_reply_wherever_it_is_split(said: tuple[bytes, bytes], left: bytes) -> None:
    asked, reply = said
    before, behind = b"+OK\r\n:1\r\n$3\r\nabc\r\n", b"$-1\r\n+OK\r\n$6\r\nvalues\r\n"
    whole = before + reply + behind
    assert replied(asked, whole, list(range(len(whole)))) == before + left + behind
    for cut in range(len(whole)):
        assert replied(asked, whole, [cut]) == before + left + behind, cut


@given(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=5), st.lists(st.integers(0, 10**6), max_size=12))
def test_replies_to_many_requests_may_come_in_any_order(
    said: list[tuple[tuple[bytes, bytes], bytes]], cuts: list[int]
) -> None:
    asked = b"".join(one for (one, _), _ in said)
    reply = b"".join(one for (_, one), _ in reversed(said))
    assert replied(asked, reply, cuts) == b"".join(left for _, left in reversed(said))


def test_what_a_password_holds_that_looks_like_a_reply_hides_nothing_behind_it() -> None:
    value = b"\r\nmasterauth\r\n$30\r\nabc"
    reply = b"*2\r\n$11\r\nrequirepass\r\n$%d\r\n%b\r\n" % (len(value), value)
    left, behind = reply.replace(value, b"*" * len(value)), b"+OK\r\n$6\r\nvalues\r\n"
    for cut in range(len(reply)):
        assert replied(command("CONFIG", "GET", "requirepass"), reply + behind, [cut]) == left + behind, cut


def test_a_name_as_long_as_a_generated_password_hides_no_password() -> None:
    asked = command("ACL", "GENPASS", "44") + command("CONFIG", "GET", "requirepass")
    reply = b"$11\r\nc0ffee5badf\r\n*2\r\n$11\r\nrequirepass\r\n$%d\r\n%b\r\n" % (len(PASSWORD), PASSWORD)
    for cut in range(len(reply)):
        assert shows(replied(asked, reply, [cut])) is None


@pytest.mark.parametrize(("asked", "reply"), errors())
def test_an_error_shows_nothing_that_it_repeats(asked: bytes, reply: bytes) -> None:
    for cut in range(len(reply)):
        out = replied(asked, b"+OK\r\n" + reply + b"+OK\r\n", [cut])
        assert shows(out) is None
        assert len(out) == len(reply) + 10
        assert out.startswith(b"+OK\r\n-ERR ")
        assert out.endswith(b"\r\n+OK\r\n")


def test_the_reply_to_auth_is_searched_for_in_the_next_replies_only() -> None:
    """So that recording the replies of most clients costs no more than without a password."""
    (asked, reply) = errors()[0]
    masker, replies = Masker(), Replies()
    for _ in range(2):
        masker.mask(command("GET", "a") + asked)
        replies.look_for(masker.asked)
        masker.mask(command("GET", "a"))
        replies.look_for(masker.asked)
        assert replies.is_looking
        assert replies.mask(b"-ERR unknown command 'GET', with 'a'\r\n") == b"-ERR unknown command 'GET', with 'a'\r\n"
        assert shows(replies.mask(reply[:-5])) is None
        assert replies.mask(b"x" * 2**18) == b"*" * 2**18
        assert replies.is_looking
        assert replies.mask(b"\r\n+OK\r\n") == b"\r\n+OK\r\n"
        assert not replies.is_looking


@pytest.mark.parametrize(
    "asked",
    [
        command("CONFIG", "GET", "maxmemory*"), command("CONFIG", "GET", "save"), command("GET", "requirepass"),
        command("HELLO", "3"), command("ACL", "WHOAMI"), command("CONFIG", "SET", "save", ""),
    ],
)  # fmt: skip
def test_a_client_that_asked_for_no_passwords_gets_its_replies_recorded_unchanged(asked: bytes) -> None:
    masker, replies = Masker(), Replies()
    masker.mask(asked)
    assert not masker.asked
    replies.look_for(masker.asked)
    assert not replies.is_looking
