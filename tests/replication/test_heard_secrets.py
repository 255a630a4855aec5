"""Errors of a master repeat no secret of any request of the connection."""

from __future__ import annotations

import itertools

import pytest

from tap.replication.conversation import Conversation
from tap.replication.events import Event, Handshake
from tap.replication.heard_secrets import MAX_ERROR, MAX_KEPT, HeardSecrets
from tap.replication.requests import Request
from tests.recording.plants import PASSWORD, errors, shows
from tests.relay.wire import BASE, asks, command


def request(*words: bytes, sent: tuple[bytes, ...] | None = None) -> Request:
    return Request(words, 0, 1, inline=False, sent=sent)


def heard(*requests: Request) -> HeardSecrets:
    secrets = HeardSecrets()
    for one in requests:
        secrets.heard(one)
    return secrets


BEFORE = [
    [],
    [command("PING")],
    [command("AUTH", "x")],
    [command("PING"), command("GET", "a")],
    [command("REPLCONF", "a", "b")],
    [asks(BASE)],
]
AFTER = [[], [command("PING")], [command("GET", "a")], [asks(BASE)], [b"garbage\xff\r\n"]]


@pytest.mark.parametrize("error", errors(), ids=lambda error: repr(error[1])[:40])
def test_no_event_shows_a_secret_whichever_request_its_error_is_matched_with(error: tuple[bytes, bytes]) -> None:
    asked, answer = error
    for before, after, joined in itertools.product(BEFORE, AFTER, (False, True)):
        pieces = [*before, asked, *after]
        pieces = [b"".join(pieces)] if joined else pieces
        for at in range(len(pieces)):
            for answers in (answer, answer * 2, b"+OK\r\n" + answer):
                events: list[Event] = []
                conversation = Conversation(events.append, connection=1)
                for number, piece in enumerate(pieces):
                    conversation.receive_from_replica(piece)
                    if number >= at:
                        conversation.receive_from_master(answers)
                conversation.close()
                if asked in pieces[: at + 1] or joined:  # nobody can repeat what has not been said
                    assert shows(repr(events)) is None, (before, after, joined, at)


def test_an_error_after_missing_requests_ends_before_its_first_quote() -> None:
    events: list[Event] = []
    conversation = Conversation(events.append, connection=1)
    conversation.receive_from_replica(command("PING"))
    conversation.skip_from_replica(100)
    for answer in (b"+PONG\r\n", errors()[0][1], b"-NOMASTERLINK Can't SYNC while not connected\r\n"):
        conversation.receive_from_master(answer)
    assert shows(repr(events)) is None
    assert [event.reply for event in events if isinstance(event, Handshake) and event.reply is not None] == [
        "+PONG",
        "-ERR unknown command ***",
        "-NOMASTERLINK Can't SYNC while not connected",
    ]


def test_secrets_that_a_fault_puts_into_a_request_are_hidden_too() -> None:
    secrets = heard(request(b"PING", sent=(b"AUTH", b"hunter2")))
    assert secrets.hide(b"-ERR unknown command 'AUTH', with args 'hunter2'").endswith(b"args '***'")


def test_more_secrets_than_are_kept_cut_each_error_before_its_first_quote() -> None:
    secrets = heard(request(b"AUTH", bytes(range(65, 91)) * (MAX_KEPT // 26 + 1)))
    assert secrets.are_unknown
    assert secrets.hide(b"-ERR Invalid argument 'ABCDE'") == b"-ERR Invalid argument ***"
    assert secrets.hide(b"-LOADING") == b"-LOADING"
    assert secrets.hide(b"+OK 'fine'") == b"+OK 'fine'"


def test_the_same_secret_is_kept_once() -> None:
    secrets = heard(*[request(b"AUTH", PASSWORD)] * (2 * MAX_KEPT // len(PASSWORD)))
    assert not secrets.are_unknown


def test_a_cut_error_shows_no_secret() -> None:
    secret = b"hunter2" * 1000
    secrets = heard(request(b"AUTH", secret))
    for said in (b"-ERR '%b'" % secret, b"-ERR '%b' ..." % secret[:5000], b"-ERR %b" % secret):
        assert b"hunter2" not in secrets.hide(said)


def test_an_error_of_quotes_is_cut_if_it_may_repeat_secrets() -> None:
    secret = b"a'" * 4000 + b"x"
    said = b"-" + b"'a" * 32_000 + b"b"
    assert len(heard(request(b"AUTH", secret)).hide(said)) < 2 * MAX_ERROR
    assert heard(request(b"GET", secret)).hide(said) == said
