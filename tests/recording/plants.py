"""One password, wherever commands and replies carry it: what is sent, and what is left of it at equal length."""

from __future__ import annotations

from dataclasses import dataclass

from tests.relay.wire import command

PASSWORD = b"Zq7Xw9Kp'Vj\"5"  # none of its pieces stands in anything else; quotes are where errors repeat it
DIGEST = b"c0ffee5badf00d5b" * 4  # as a SHA-256; a generated password looks the same
PIECE = 3  # bytes of it in a row that nothing may show

_HIDDEN = b"*" * len(PASSWORD)


@dataclass(frozen=True)
class Plant:
    """said: by a client. left: what remains of it."""

    said: bytes
    left: bytes

    def __repr__(self) -> str:
        return repr(self.said[:60])


def array(*words: bytes | str) -> Plant:
    """As RESP, with asterisks for the password."""
    said = command(*words)
    return Plant(said, said.replace(PASSWORD, _HIDDEN))


def line(text: str, left: str = "") -> Plant:
    """@ in it is the password; left: of it, if there are more asterisks."""
    hidden = (left or text).encode().replace(b"@", b"*" * len(TYPED))
    return Plant(text.encode().replace(b"@", TYPED) + b"\r\n", hidden + b"\r\n")


TYPED = b"Zq7Xw9Kp5Vj"  # a password that needs no quotes in a line

ARRAYS = [
    array("AUTH", PASSWORD),
    array("auth", PASSWORD),
    array("CONFIG", "SET", "requirepass", PASSWORD),
    array("config", "set", "maxmemory", "1gb", "MASTERAUTH", PASSWORD, "appendonly", "no"),
    array("CONFIG", "SET", "masterauth", PASSWORD, "tls-key-file-pass", PASSWORD, "primaryauth", PASSWORD),
    array("CONFIG", "SET", "ldap.search_bind_passwd", PASSWORD),
    array("ACL", "SETUSER", "bob", "on", b">" + PASSWORD, "~*", "+@all"),
    array("acl", "setuser", "bob", b"<" + PASSWORD, b"#" + PASSWORD, b"!" + PASSWORD, "(+get ~x*)"),
    array("ACL", "DRYRUN", "bob", "AUTH", PASSWORD),
    array("ACL", "DRYRUN", "bob", "CONFIG", "SET", "requirepass", PASSWORD),
    array("MIGRATE", "h", "6379", "k", "0", "100", "COPY", "AUTH", PASSWORD, "KEYS", "AUTH", "b"),
    array("SENTINEL", "SET", "mymaster", "quorum", "2", "auth-pass", PASSWORD),
    array("SENTINEL", "CONFIG", "SET", "sentinel-pass", PASSWORD, "announce-port", "1"),
    Plant(command("AUTH", "user", PASSWORD), command("AUTH", "****", _HIDDEN)),
    Plant(command("HELLO", "3", "AUTH", "user", PASSWORD), command("HELLO", "3", "****", "****", _HIDDEN)),
    Plant(
        command("MIGRATE", "h", "1", "", "0", "9", "AUTH2", "user", PASSWORD, "KEYS", "a"),
        command("MIGRATE", "h", "1", "", "0", "9", "AUTH2", "****", _HIDDEN, "KEYS", "a"),
    ),
]
LINES = [
    line("AUTH @"),
    line("  auth\t@ "),
    line("CONFIG SET requirepass @ save 60"),
    line("config SET 'requirepass' @"),
    line('CONFIG SET require"pass" @'),
    line('"\\x41UTH" @'),
    line('"A\\x55TH" "@ @\\"@"', '"A\\x55TH" *@*@**@*'),
    line("ACL SETUSER bob on >@ +get"),
    line("ACL SETUSER bob '>@' on", "ACL SETUSER bob '>@* on"),
    line('ACL SETUSER bob "\\x3e@" on', 'ACL SETUSER bob "\\x3e@* on'),
    line("SENTINEL SET m auth-pass @"),
]
# After bytes that are not a request: a server may close the connection there, or read on.
GARBAGE = [
    b"\x00\x01\xfe",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\n\n\r\n",
    b"*1\r\n+what\r\n",
    b"*1\r\n$4\r\nPING\r\n$4\r\nPING\r\n",
    b"*-1\r\n",
    b"$",
    b"*",
]
PLAIN = [
    Plant(one, one)
    for one in (
        command("SET", "AUTH", "hello"),
        command("GET", "requirepass"),
        command("CONFIG", "GET", "maxmemory"),
        command("CONFIG", "SET", "maxmemory", "1gb"),
        command("CONFIG", "RESETSTAT"),
        command("ACL", "WHOAMI"),
        command("ACL", "SETUSER", "bob", "~>x", "+@all", "allkeys"),
        command("MIGRATE", "AUTH", "1", "auth", "0", "9", "KEYS", "AUTH", "x"),
        command("SENTINEL", "SET", "m", "quorum", "2"),
        command("HELLO", "3"),
        command("SET", "k", "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n" * 3),
        command("REPLCONF", "ACK", "1234"),
        b"set AUTH hello\r\n",
        b"PING\r\n",
        b"set \"a b\" 'c\\' d'\r\n",
        b"\r\n",
    )
]


def bulk(*parts: bytes) -> bytes:
    return b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def listed(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + bulk(*parts)


def mapped(*parts: bytes) -> bytes:
    return b"%%%d\r\n" % (len(parts) // 2) + bulk(*parts)


def replies(password: bytes, digest: bytes, short: bytes) -> list[tuple[bytes, bytes]]:
    """What a client asks, and what its master answers with these in it. short: fifty digits that were generated."""
    user = bulk(b"passwords") + listed(digest, digest) + bulk(b"commands", b"+@all")
    return [
        (command("CONFIG", "GET", "*"), listed(b"maxmemory", b"0", b"requirepass", password, b"save", b"")),
        (command("CONFIG", "GET", "requirepass"), mapped(b"requirepass", password)),
        (command("CONFIG", "GET", "REQUIRE*"), listed(b"RequirePass", password)),
        (command("CONFIG", "GET", "port", "masterauth"), listed(b"port", b"1", b"masterauth", password)),
        (b"config get 'tls-*'\r\n", listed(b"tls-key-file-pass", password, b"tls-port", b"0")),
        (command("SENTINEL", "CONFIG", "GET", "*"), mapped(b"sentinel-pass", password, b"announce-port", b"1")),
        (command("ACL", "GETUSER", "bob"), b"%2\r\n" + user),
        (command("ACL", "LIST"), listed(b"user bob on #%b #%b ~* +@all" % (digest, digest), b"user default on nopass")),
        (command("ACL", "GENPASS"), bulk(digest)),
        (command("ACL", "GENPASS", "200"), bulk(short)),
        (
            command("MULTI") + command("CONFIG", "GET", "requirepass") + command("EXEC"),
            b"+OK\r\n+QUEUED\r\n*1\r\n" + listed(b"requirepass", password),
        ),
    ]


def errors() -> list[tuple[bytes, bytes]]:
    """As replies(); everything after the first quote is left out."""
    return [
        (
            command("AUTH", "user", PASSWORD),
            b"-ERR unknown command 'AUTH', with args beginning with: 'user' '%b' \r\n" % PASSWORD,
        ),
        (
            command("ACL", "SETUSER", "bob", b">" + PASSWORD, "bad"),
            b"-ERR Error in ACL SETUSER modifier '>%b': Syntax error\r\n" % PASSWORD,
        ),
        (
            command("HELLO", "3", "AUTH", "u", PASSWORD),
            b"-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `u`, `%b`, \r\n" % PASSWORD,
        ),
    ]


REPLIES = list(
    zip(
        replies(PASSWORD, DIGEST, DIGEST[:50]),
        (reply for _, reply in replies(_HIDDEN, b"*" * len(DIGEST), b"*" * 50)),
        strict=True,
    )
)


def shows(output: bytes | str) -> bytes | None:
    """A piece of a password that the output shows; None if it shows none."""
    data = output.encode() if isinstance(output, str) else output
    for secret in (PASSWORD, TYPED, DIGEST[:16]):
        for at in range(len(secret) - PIECE):
            if secret[at : at + PIECE + 1] in data:
                return secret[at : at + PIECE + 1]
    return None
