"""Where commands carry passwords: the only such table, for recordings, events and logs.

    AUTH [user] password                            every word but the name
    HELLO version [AUTH user password]              every word after the version
    CONFIG SET name value [name value ...]          the values of names that is_secret_setting() knows
    SENTINEL CONFIG SET name value [...]            the same
    SENTINEL SET master option value [...]          the same: auth-pass, auth-user
    ACL SETUSER user [>pw <pw #hash !hash ...]      what follows the first character of these rules
    ACL DRYRUN user command ...                     as in the command
    MIGRATE ... [AUTH pw | AUTH2 user pw] [KEYS]    the words after AUTH and AUTH2

Whether a word is a secret is known before its first byte, or before the second one of a rule of ACL SETUSER. Code that
copies bytes can therefore mask them as they arrive. The user of AUTH is treated as a part of the password.

Replies with passwords in them: CONFIG GET and SENTINEL CONFIG GET, alternating names and values; ACL GETUSER and ACL
LIST, the SHA-256 of each password; ACL GENPASS; and errors that quote words of a request with secrets.

Redis 8.0: acl.c, config.c, cluster.c (migrateCommand), sentinel.c, networking.c (helloCommand), server.c (rejectCommand).
Valkey 9.1: config.c for the names with "primary".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Kinds of words: what follow() says of the next one.
PLAIN = 0
SECRET = 1
RULE = 2  # of ACL SETUSER: a secret after its first character, if that is one of RULES

RULES = b"><#!"
LONGEST = 64  # bytes of a word that are needed to classify it; no name and no option is longer

# scanner.py has these names as numbers, in _is_secretive(); test_scanner.py compares the two.
SECRETIVE = frozenset({b"ACL", b"AUTH", b"CONFIG", b"HELLO", b"MIGRATE", b"SENTINEL"})

# Users are treated as parts of their passwords. Secret settings that are not listed here, such as those of modules, have
# "pass" in their names.
_SETTINGS = (
    b"masterauth",
    b"masteruser",
    b"primaryauth",
    b"primaryuser",
    b"requirepass",
    b"sentinel-pass",
    b"sentinel-user",
    b"tls-client-key-file-pass",
    b"tls-key-file-pass",
)
_OPTIONS = (b"auth-pass", b"auth-user")
_SECRET_SETTING = re.compile(rb"pass|secret|token|(?:master|primary)(?:auth|user)|(?:sentinel|auth)-user", re.IGNORECASE)
SETTING = _SECRET_SETTING.pattern  # to be matched without regard to case

_GLOB = re.compile(rb"[*?\[\\]")
_TRAILING_LETTERS = re.compile(rb"[A-Za-z]*\Z")
_NO_NAME = re.compile(rb"[^\w.|:-]")

_DEFAULT_GENPASS = 64  # hexadecimal digits: 256 bits


def is_secret_setting(name: bytes) -> bool:
    return _SECRET_SETTING.search(name) is not None


class Secrets:
    """Follows the words of one request.

    next: the kind of the next word. has_secrets: a secret was among the words so far. reply: which secrets the reply may
    hold: "settings", "hashes", or the number of digits of a generated password; None: no secrets.
    """

    __slots__ = (
        "_count", "_done", "_garbage", "_left", "_name", "_nested", "_pairs", "_sub", "has_secrets", "next", "reply",
    )  # fmt: skip

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin a new request."""
        self.next = PLAIN
        self.has_secrets = False
        self.reply: str | int | None = None
        self._count = 0
        self._name = b""
        self._sub = b""
        self._pairs = 0  # the number of the word where alternating names and values begin; 0: there are none
        self._left = 0  # secrets to come after a keyword of MIGRATE
        self._done = False
        self._garbage = False
        self._nested: Secrets | None = None

    def follow(self, word: bytes, *, typed: bool = False, restarts: bool = False) -> None:
        """Take the next word, of which LONGEST bytes are enough. typed: an inline request, which may begin with garbage.

        restarts: the word may be a command's name, if the words before it mean nothing.
        """
        if self.next == SECRET or (self.next == RULE and word[:1] in _RULES):
            self.has_secrets = True
        number = self._count
        self._count += 1
        if self._nested is not None:
            self._nested.follow(word)
            self.next = self._nested.next
        elif number == 0:
            self._garbage = typed and _NO_NAME.search(word) is not None
            self._named(word, typed)
        elif self._name in _FOLLOW:
            _FOLLOW[self._name](self, word, number)
        elif self._garbage or restarts:
            self._count = 1
            self._named(word, typed)

    @property
    def may_be_repeated(self) -> str | None:
        """Which errors in reply may repeat secrets: "errors": any; "auth": only one that AUTH is an unknown command."""
        if not self.has_secrets:
            return None
        return "auth" if self._name == b"AUTH" else "errors"

    def _named(self, word: bytes, typed: bool) -> None:
        self._name = word.upper()
        if typed and self._name not in SECRETIVE:
            letters = _TRAILING_LETTERS.search(self._name)
            assert letters is not None
            found = next((name for name in SECRETIVE if letters[0].endswith(name)), None)
            self._name = found or self._name
        self.next = SECRET if self._name == b"AUTH" else PLAIN

    def _hello(self, word: bytes, number: int) -> None:
        self.next = SECRET

    def _config(self, word: bytes, number: int) -> None:
        if number == 1:
            self._sub = word.upper()
            self._pairs = 2 if self._sub == b"SET" else 0
        self._setting(word, number)

    def _sentinel(self, word: bytes, number: int) -> None:
        if number == 1 or (number == 2 and self._sub == b"CONFIG"):
            self._sub = word.upper()
            self._pairs = 3 if self._sub == b"SET" else 0
        self._setting(word, number)

    def _setting(self, word: bytes, number: int) -> None:
        """A word of SET, with alternating names and values, or of GET, with names only."""
        self.next = PLAIN
        if self._pairs and number >= self._pairs:
            if (number - self._pairs) % 2 == 0 and is_secret_setting(word):
                self.next = SECRET
        elif self._sub == b"GET" and number > 1 and _may_be_secret(word):
            self.reply = "settings"

    def _acl(self, word: bytes, number: int) -> None:
        if number == 1:
            self._sub = word.upper()
            if self._sub in (b"GETUSER", b"LIST"):
                self.reply = "hashes"
            elif self._sub == b"GENPASS":
                self.reply = _DEFAULT_GENPASS
        elif self._sub == b"SETUSER":
            self.next = RULE
        elif self._sub == b"DRYRUN" and number == 2:
            self._nested = Secrets()
        elif self._sub == b"GENPASS" and number == 2 and word.isdigit() and len(word) < 6:
            self.reply = (int(word) + 3) // 4

    def _migrate(self, word: bytes, number: int) -> None:
        option = word.upper()
        if self._left:
            self._left -= 1
        elif number < 6 or self._done:
            pass
        elif option == b"KEYS":
            self._done = True
        else:
            self._left = {b"AUTH": 1, b"AUTH2": 2}.get(option, 0)
        self.next = SECRET if self._left else PLAIN


_FOLLOW = {
    b"ACL": Secrets._acl,
    b"AUTH": Secrets._hello,
    b"CONFIG": Secrets._config,
    b"HELLO": Secrets._hello,
    b"MIGRATE": Secrets._migrate,
    b"SENTINEL": Secrets._sentinel,
}


def _may_be_secret(pattern: bytes) -> bool:
    """Whether CONFIG GET with this pattern may return a secret. Of a glob, only the literal prefix is considered."""
    glob = _GLOB.search(pattern)
    if glob is None:
        return is_secret_setting(pattern)
    start = pattern[: glob.start()].lower()
    return b"." in start or any(name.startswith(start) for name in (*_SETTINGS, *_OPTIONS))


# ---- of whole requests ----

HIDDEN = b"***"


def hidden(words: Sequence[bytes], *, inline: bool = False) -> tuple[bytes, ...]:
    """The words of a request, name first, with HIDDEN in place of each secret. inline: a line's words, split at blanks.

    In a line everything from the first secret on is hidden, because the secret may contain blanks.
    """
    secrets = Secrets()
    out: list[bytes] = []
    for word in words:
        secret = secrets.next
        plain = unquoted(word) if inline else word
        if secret == SECRET or (inline and secrets.has_secrets):
            out.append(HIDDEN)
        elif secret == RULE and plain[:1] in _RULES:
            out.append(plain[:1] + HIDDEN)
        else:
            out.append(word)
        secrets.follow(plain[:LONGEST], typed=inline)
    return tuple(out)


_RULES = tuple(RULES[k : k + 1] for k in range(len(RULES)))

QUOTES = b"'`"  # around words that an error repeats; ` up to Redis 6
_BREAKS = bytes.maketrans(b"\r\n", b"  ")  # servers write line breaks as blanks into an error
_CERTAIN = 4  # bytes; a shorter secret is searched for only in quotes


def secrets_of(words: Sequence[bytes], *, inline: bool = False) -> list[bytes]:
    """The secrets among the words of a request, as an error in reply would repeat them."""
    found = []
    for word, shown in zip(words, hidden(words, inline=inline), strict=True):
        if word != shown:
            secret = (unquoted(word) if inline else word).translate(_BREAKS)
            found.append(secret.removeprefix(shown.removesuffix(HIDDEN)))
    return found


def hidden_reply(words: Sequence[bytes], line: bytes) -> bytes:
    """The first line of the reply to a request in the form of an array, without secrets that an error repeats."""
    return without_secrets(line, secrets_of(words))


def without_secrets(line: bytes, secrets: Iterable[bytes], *, most: int | None = None) -> bytes:
    """The first line of a reply; if it is an error, without these secrets, and without their beginnings in quotes.

    most: if there are secrets, an error is cut after this many bytes, because each quote is compared with each secret.
    """
    if not line.startswith(b"-"):
        return line
    secrets = sorted(secrets, key=len, reverse=True)  # a secret may be the beginning of another
    for secret in secrets:
        if len(secret) >= _CERTAIN:
            line = line.replace(secret, HIDDEN)
    cut = b""
    if secrets and most is not None and len(line) > most:
        line, cut = line[:most], b"..."
    for secret in secrets:
        line = _without_beginning(line, secret)
    return line + cut


def before_quotes(line: bytes) -> bytes:
    """The first line of a reply; of an error only what precedes its first quoted word, which may be any secret."""
    quoted = _QUOTED.search(line) if line.startswith(b"-") else None
    return line if quoted is None else line[: quoted.start()] + HIDDEN


def _without_beginning(line: bytes, secret: bytes) -> bytes:
    """The line with HIDDEN for each beginning of the secret in quotes, or between a quote and the line's end."""
    at = 0
    while secret and (opened := _OPENED.search(line, at)):
        at = opened.end()
        end = at + _in_common(line, at, secret)
        if end > at and (end == len(line) or line[end] == line[at - 1]):
            line = line[:at] + HIDDEN + line[end:]
    return line


def _in_common(line: bytes, at: int, secret: bytes) -> int:
    """How many bytes of the line from *at* on equal the beginning of the secret.

    Binary search: comparing byte by byte would take quadratic time for a long line of quotes.
    """
    low, high = 0, min(len(secret), len(line) - at) if line[at : at + 1] == secret[:1] else 0
    while low < high:
        middle = (low + high + 1) // 2
        if line.startswith(secret[:middle], at):
            low = middle
        else:
            high = middle - 1
    return low


_OPENED = re.compile(b"[" + QUOTES + b"][" + RULES + b"]?")
_QUOTED = re.compile(b'(?<![A-Za-z])["' + QUOTES + b"]")  # not the apostrophe in "Can't SYNC"

_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_ESCAPED = re.compile(rb"\\x([0-9a-fA-F]{2})|\\(.)", re.DOTALL)


def unquoted(word: bytes) -> bytes:
    """A word of a line without its quotes; an open quote extends to the end. Redis 7.0 sds.c, sdssplitargs."""
    if b'"' not in word and b"'" not in word:
        return word
    out = b""
    at = 0
    while at < len(word):
        quote = word[at : at + 1]
        if quote == b'"':
            end = _end_of_quotes(word, at)
            out += _ESCAPED.sub(_unescaped, word[at + 1 : end])
            at = end + 1
        elif quote == b"'":
            end = _end_of_quotes(word, at)
            out += word[at + 1 : end].replace(b"\\'", b"'")
            at = end + 1
        else:
            out += quote
            at += 1
    return out


def _end_of_quotes(word: bytes, at: int) -> int:
    end = at + 1
    while end < len(word) and word[end] != word[at]:
        end += 2 if word[end] == 0x5C else 1
    return min(end, len(word))


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else _ESCAPES.get(found[2], found[2])
