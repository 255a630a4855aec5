"""Where commands carry passwords: words of requests, first lines of replies, and the commands of a stream."""

from __future__ import annotations

import pytest

from tap.replication.conversation import Conversation
from tap.replication.events import Command, Event
from tap.replication.passwords import (
    LONGEST,
    Secrets,
    hidden,
    hidden_reply,
    is_secret_setting,
    unquoted,
)
from tap.replication.requests import Request, masked
from tests.recording.plants import ARRAYS, LINES, PASSWORD, PLAIN, TYPED, Plant, shows
from tests.relay.wire import BASE, GRANT, asks, command


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("AUTH pw", "AUTH ***"),
        ("auth user pw", "auth *** ***"),
        ("HELLO 3 AUTH user pw", "HELLO 3 *** *** ***"),
        ("CONFIG SET requirepass pw maxmemory 5 masterauth pw", "CONFIG SET requirepass *** maxmemory 5 masterauth ***"),
        ("CONFIG SET maxmemory requirepass save pw", "CONFIG SET maxmemory requirepass save pw"),
        ("CONFIG GET requirepass", "CONFIG GET requirepass"),
        ("ACL SETUSER bob on >pw <pw #ab !ab ~>x +@all", "ACL SETUSER bob on >*** <*** #*** !*** ~>x +@all"),
        ("ACL DELUSER >bob", "ACL DELUSER >bob"),
        ("ACL DRYRUN bob AUTH pw", "ACL DRYRUN bob AUTH ***"),
        ("ACL DRYRUN bob CONFIG SET requirepass pw", "ACL DRYRUN bob CONFIG SET requirepass ***"),
        ("MIGRATE h 1 k 0 9 COPY AUTH pw KEYS AUTH b", "MIGRATE h 1 k 0 9 COPY AUTH *** KEYS AUTH b"),
        ("MIGRATE h 1 k 0 9 AUTH2 user pw REPLACE", "MIGRATE h 1 k 0 9 AUTH2 *** *** REPLACE"),
        ("MIGRATE AUTH AUTH AUTH 0 9", "MIGRATE AUTH AUTH AUTH 0 9"),
        ("SENTINEL SET m auth-pass pw quorum 2 auth-user u", "SENTINEL SET m auth-pass *** quorum 2 auth-user ***"),
        ("SENTINEL CONFIG SET sentinel-pass pw x y", "SENTINEL CONFIG SET sentinel-pass *** x y"),
        ("SENTINEL MONITOR auth-pass h 1 2", "SENTINEL MONITOR auth-pass h 1 2"),
        ("SET AUTH pw", "SET AUTH pw"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(line: str, shown: str) -> None:
    assert b" ".join(hidden(line.encode().split())).decode() == shown


@pytest.mark.parametrize(
    "name", ["requirepass", "MasterAuth", "masteruser", "primaryauth", "tls-key-file-pass", "sentinel-user", "x.my_token"]
)
def test_some_settings_are_secret(name: str) -> None:
    assert is_secret_setting(name.encode())


@pytest.mark.parametrize("name", ["maxmemory", "tls-auth-clients", "repl-timeout", "aclfile", "user", "save"])
def test_settings_without_secrets_are_shown(name: str) -> None:
    assert not is_secret_setting(name.encode())


@pytest.mark.parametrize(
    ("word", "plain"),
    [
        (b"a", b"a"), (b'"a"', b"a"), (b"'a'", b"a"), (b'"\\x41\\n\\"b"', b'A\n"b'), (b"'\\'\\n'", b"'\\n"),
        (b'a"b"c', b"abc"), (b'"open', b"open"), (b'"open\\', b"open\\"), (b"", b""), (b'"\\xZ"', b"xZ"),
    ],
)  # fmt: skip
def test_words_of_a_line_lose_their_quotes(word: bytes, plain: bytes) -> None:
    assert unquoted(word) == plain


REQUEST = [b"ACL", b"SETUSER", b"bob", b">se'cr\r\net"]


@pytest.mark.parametrize(
    ("words", "said", "shown"),
    [
        (REQUEST, "-ERR Error in modifier '>se'cr  et': Syntax error", "-ERR Error in modifier '>***': Syntax error"),
        (REQUEST, "-NOPERM no permission to run the 'acl|setuser' command", None),
        (REQUEST, "+OK", None),
        ([b"CONFIG", b"SET", b"requirepass", b"OK"], "-ERR OK is not what it is", None),
        ([b"HELLO", b"3", b"AUTH", b"u", b"pw"], "-WRONGPASS invalid username-password pair or user is disabled.", None),
        (
            [b"HELLO", b"3", b"AUTH", b"user", b"secret"],
            "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `user`, `secr",
            "-ERR unknown command `HELLO`, with args beginning with: `3`, `***`, `***`, `***",
        ),
        ([b"GET", b"secret"], "-ERR unknown command 'GET', with args beginning with: 'secret' ", None),
    ],
)  # fmt: skip
def test_an_error_does_not_repeat_a_secret(words: list[bytes], said: str, shown: str | None) -> None:
    assert hidden_reply(words, said.encode()).decode() == (said if shown is None else shown)


def test_an_error_may_end_anywhere_in_what_it_repeats() -> None:
    whole = b"-ERR Invalid argument '%b" % PASSWORD
    for end in range(24, len(whole) + 1):
        assert shows(hidden_reply([b"CONFIG", b"SET", b"requirepass", PASSWORD], whole[:end])) is None


@pytest.mark.parametrize("plant", ARRAYS + LINES, ids=repr)
def test_no_event_of_a_handshake_shows_a_password(plant: Plant) -> None:
    told: list[Event] = []
    conversation = Conversation(told.append)
    for piece in (command("PING"), plant.said):
        conversation.receive_from_replica(piece)
    said = PASSWORD if PASSWORD in plant.said else TYPED
    conversation.receive_from_master(b"+PONG\r\n-ERR what is '%b'?\r\n" % said)
    conversation.close()
    assert told
    assert shows(repr(told)) is None


@pytest.mark.parametrize("plant", ARRAYS, ids=repr)
def test_commands_of_a_stream_are_reported_without_their_passwords(plant: Plant) -> None:
    told: list[Event] = []
    conversation = Conversation(told.append, every_command=True)
    conversation.receive_from_replica(asks(BASE))
    conversation.receive_from_master(GRANT + command("SET", "a", "b") + plant.said + command("SET", "AUTH", "c"))
    conversation.close()
    commands = [event for event in told if isinstance(event, Command)]
    assert [one.name for one in commands][::2] == ["SET", "SET"]
    assert commands[2].args == (b"AUTH", b"c")
    assert shows(repr(commands)) is None
    assert commands[1].end - commands[1].start == len(plant.said)


@pytest.mark.parametrize("plant", PLAIN, ids=repr)
def test_other_words_are_shown(plant: Plant) -> None:
    told: list[Event] = []
    conversation = Conversation(told.append, every_command=True)
    conversation.receive_from_replica(asks(BASE))
    conversation.receive_from_master(GRANT + plant.said)
    conversation.close()
    assert not [one for one in told if isinstance(one, Command) and b"***" in b" ".join(one.args)]


def test_an_inline_request_hides_everything_after_its_first_secret() -> None:
    """It may have had blanks in it."""
    assert masked(Request((b"CONFIG", b"SET", b"requirepass", b'"my', b'secret"'), 0, 0, inline=True)) == (
        "CONFIG", "SET", "requirepass", "***", "***",
    )  # fmt: skip


# ---- secrets in replies ----

SETTINGS = [
    "masterauth", "masteruser", "primaryauth", "primaryuser", "requirepass", "sentinel-pass", "sentinel-user",
    "tls-client-key-file-pass", "tls-key-file-pass", "auth-pass", "auth-user",
]  # fmt: skip


def asked(*words: str) -> str | int | None:
    secrets = Secrets()
    for word in words:
        secrets.follow(word.encode()[:LONGEST])
    return secrets.reply


@pytest.mark.parametrize("name", SETTINGS)
def test_a_secret_setting_may_be_asked_for_by_any_beginning_of_its_name(name: str) -> None:
    assert asked("CONFIG", "GET", name) == asked("config", "get", name.upper()) == "settings"
    assert asked("SENTINEL", "CONFIG", "GET", name) == "settings"
    assert asked("CONFIG", "GET", "save", name) == "settings"
    for end in range(len(name) + 1):
        for glob in "*?[\\":
            assert asked("CONFIG", "GET", name[:end] + glob) == "settings"
    assert asked("CONFIG", "GET", "module.*") == "settings"  # whatever modules call theirs
    assert asked("CONFIG", "SET", name, "x") is None


@pytest.mark.parametrize("name", ["save", "maxmemory*", "x*", "requirepast*", "GET", "tls-port"])
def test_other_settings_are_not_secret(name: str) -> None:
    assert asked("CONFIG", "GET", name) is None


@pytest.mark.parametrize(
    ("words", "reply"),
    [
        ("ACL GETUSER bob", "hashes"),
        ("ACL LIST", "hashes"),
        ("ACL WHOAMI", None),
        ("ACL GENPASS", 64),
        ("ACL genpass 1", 1),
        ("ACL GENPASS 4", 1),
        ("ACL GENPASS 5", 2),
        ("ACL GENPASS 256", 64),
        ("ACL GENPASS 99999", 25_000),
        ("ACL GENPASS 100000", 64),
        ("ACL GENPASS x", 64),
        ("CONFIG", None),
        ("GET requirepass", None),
    ],
)
def test_some_other_replies_hold_secrets(words: str, reply: str | int | None) -> None:
    assert asked(*words.split()) == reply


def test_an_error_may_repeat_a_secret_and_of_auth_only_if_it_is_unknown() -> None:
    def may(*words: str) -> str | None:
        secrets = Secrets()
        for word in words:
            secrets.follow(word.encode())
        return secrets.may_be_repeated

    assert may("AUTH", "pw") == "auth"
    assert may("HELLO", "3", "AUTH", "u", "pw") == "errors"
    assert may("CONFIG", "SET", "requirepass", "pw")
    assert not may("CONFIG", "SET", "save", "pw")
    assert may("ACL", "SETUSER", "bob", ">pw")
    assert not may("ACL", "SETUSER", "bob", "on")
    assert may("MIGRATE", "h", "1", "k", "0", "9", "AUTH", "pw")
    assert not may("MIGRATE", "h", "1", "k", "0", "9", "AUTH")


def test_a_request_that_begins_again_is_followed_from_there() -> None:
    secrets = Secrets()
    for word in (b"ACL", b"SETUSER", b"bob", b">pw"):
        secrets.follow(word)
    secrets.clear()
    assert (secrets.has_secrets, secrets.reply, secrets.next) == (False, None, 0)
    secrets.follow(b"GET")
    assert secrets.next == 0


def test_an_error_of_quotes_does_not_take_quadratic_time() -> None:
    secret = b"a'" * 4000 + b"x"
    said = b"-" + b"'a" * 32_000 + b"b"
    assert hidden_reply([b"AUTH", secret], said) == said
