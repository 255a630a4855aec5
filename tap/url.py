"""The one grammar for addresses and URLs of servers, wherever a user writes one.

    HOST:PORT   [IPV6]:PORT   :PORT   PORT   HOST   /PATH
    redis://[[USER:]PASSWORD@]HOST[:PORT][/DB][?OPTION=VALUE&...]
    rediss://...                                 the same over TLS
    unix://[[USER:]PASSWORD@]/PATH[?OPTION=VALUE&...]

valkey://, valkeys://, tcp:// and unix:/PATH are accepted, too, and redis:// may be left out. Parts are percent-encoded.
Options of TLS have their names of the command line (cacert, cert, key, sni, insecure) or of redis-py (ssl_ca_certs,
ssl_certfile, ssl_keyfile, ssl_cert_reqs); db, username and password may be given as options, too. All others are left to
the caller.

No message, and no Url as text, repeats what may be a password.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from tap.errors import ConfigError

DEFAULT_PORT = 6379
EVERY_HOST = "*"  # to listen on every address of this machine, IPv4 and IPv6
FORM = "redis://[USER:PASSWORD@]HOST:PORT[/DB], rediss:// for TLS, unix:///PATH, or HOST:PORT"
SCHEMES = {"": False, "redis": False, "valkey": False, "tcp": False, "unix": False, "rediss": True, "valkeys": True}
ENCODED = "in a password, / is written %2F, ? is %3F, and @ is %40"

# redis-py's names of TLS options.
_ALIASES = {"ssl_ca_certs": "cacert", "ssl_certfile": "cert", "ssl_keyfile": "key"}
_ERRORS = "surrogateescape"  # as Python decodes arguments, which may be any bytes
_FILES = ("cacert", "cert", "key")
_YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP endpoint, or with *path* a Unix socket. Port 0: the system chooses (listening only)."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str, *, default_host: str = "127.0.0.1", default_port: int = DEFAULT_PORT) -> Address:
        """Read HOST:PORT, [IPV6]:PORT, :PORT, PORT, HOST (with the default port), unix:/PATH or /PATH.

        Raises ConfigError, also for a URL that says more than an address.
        """
        url = Url.parse(text, default_host=default_host, default_port=default_port)
        url.check("an address", ())
        return url.address

    @property
    def to_dial(self) -> str:
        """The host for a client to connect to; a placeholder if we listen on every address."""
        return "<this machine>" if self.host in (EVERY_HOST, "0.0.0.0", "::") else self.host  # noqa: S104

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Url:
    """A server's URL. db: None if the URL names none. tls_options: those given of cacert, cert, key, sni and insecure.
    options: all others, as text.
    """

    address: Address
    tls: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    db: int | None = None
    tls_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        default_host: str = "127.0.0.1",
        default_port: int = DEFAULT_PORT,
        every_host: bool = False,
    ) -> Url:
        """Read a URL or an address. every_host: accept *:PORT, every address of this machine. Raises ConfigError."""
        text = text.strip()
        scheme, rest = _scheme(text)
        if scheme not in SCHEMES:
            shown = f"{scheme}:// is" if re.fullmatch(r"[a-z][a-z0-9+.-]{0,19}", scheme) else "this is"
            raise ConfigError(f"{shown} not the URL of a server: write {FORM}")
        if text.startswith("/"):
            return cls(Address(path=text))
        authority, slash, path, query = _parts(rest)
        if "@" in query or ("@" in path and "@" not in authority):
            raise ConfigError(f"this is not the URL of a server: {ENCODED}; write {FORM}")
        userinfo, _, place = authority.rpartition("@")
        username, colon, password = userinfo.partition(":")
        if not colon:  # as redis-cli reads it
            username, password = "", username
        db, tls_options, options = _options(query)
        username, password = (unquote(one, errors=_ERRORS) for one in (username, password))
        username, password = options.pop("username", username), options.pop("password", password)
        if scheme == "unix":
            if place or not slash or not path:
                raise ConfigError(f"{quoted(text)} is not an address: a Unix socket is written unix:/path/to/socket")
            address = Address(path=unquote(f"/{path}", errors=_ERRORS))
        else:
            if path.strip("/"):
                if not re.fullmatch(r"[0-9]{1,9}/*", path):
                    raise ConfigError(
                        f"{quoted(text)} is not an address: the db after the last / is a number; write {FORM}"
                    )
                if db is not None:
                    raise ConfigError(f"{quoted(text)}: the db is given twice, after the last / and as db=")
                db = int(path.strip("/"))
            place = unquote(place) if scheme else place
            if every_host and place.startswith(f"{EVERY_HOST}:"):
                place, default_host = place.removeprefix(EVERY_HOST), EVERY_HOST
            address = _address(place, text, default_host=default_host, default_port=default_port)
        tls = SCHEMES[scheme]
        if tls_options and not tls:
            raise ConfigError(f"{', '.join(tls_options)}: for TLS only, and this is a URL without: write rediss://")
        return cls(address, tls, username, password, db, tls_options, options)

    def check(self, what: str, allowed: tuple[str, ...]) -> None:
        """Raise ConfigError if the URL has more than *allowed*: "login", "db", "tls" and names of options.

        what: a name for the thing that the URL gives.
        """
        if (self.username or self.password) and "login" not in allowed:
            raise ConfigError(f"{what} is written without a user or a password")
        if self.db is not None and "db" not in allowed:
            raise ConfigError(f"{what} is written without a db")
        if self.tls and "tls" not in allowed:
            raise ConfigError(f"{what} is written without rediss://: it speaks no TLS")
        known = [one for one in allowed if one not in ("login", "db", "tls")]
        for name in (*self.tls_options, *self.options):
            if name not in known:
                raise ConfigError(f"{what} has no option {name!r}; known: {', '.join(known) or 'none'}")

    @property
    def endpoint(self) -> Url:
        """The same server and TLS, without login, db and options of a client."""
        return Url(self.address, self.tls, tls_options=self.tls_options)

    def __str__(self) -> str:
        """The URL for people, with *** for a password; once that is filled in it can be typed again."""
        scheme = "unix" if self.address.path else "rediss" if self.tls else "redis"
        login = f"{quote(self.username, safe='', errors=_ERRORS)}:***@" if self.username or self.password else ""
        if not self.tls and not login and not self.options and self.db is None:
            return str(self.address)
        given = {name: "yes" if value is True else str(value) for name, value in self.tls_options.items()}
        given |= {name: "***" if "password" in name else value for name, value in self.options.items()}
        if self.address.path:
            given |= {} if self.db is None else {"db": str(self.db)}
            place = quote(self.address.path, errors=_ERRORS)
        else:
            place = str(self.address) + ("" if self.db is None else f"/{self.db}")
        query = urlencode(given, safe="/*", errors=_ERRORS, quote_via=quote)
        return f"{scheme}://{login}{place}{'?' if query else ''}{query}"


def relative_socket(text: str) -> Address | None:
    """The Unix socket that unix:PATH names, with a path from this directory; None if the text is something else."""
    if not text.startswith("unix:") or text.startswith("unix:/") or text == "unix:":
        return None
    return Address(path=str(Path(text.removeprefix("unix:")).absolute()))


def _scheme(text: str) -> tuple[str, str]:
    """The scheme in lower case, "" if there is none; and the rest."""
    scheme, mark, rest = text.partition("://")
    if mark and not re.search(r"[/?@]", scheme):
        return scheme.lower(), rest
    return ("unix", text[5:]) if text.lower().startswith("unix:") else ("", text)


def _parts(rest: str) -> tuple[str, str, str, str]:
    """Split authority/path?query into authority, slash, path and query; missing parts are ""."""
    front, _, query = rest.partition("?")
    authority, slash, path = front.partition("/")
    return authority, slash, path, query


def _options(query: str) -> tuple[int | None, dict[str, Any], dict[str, str]]:
    """The db, the options of TLS, and the others."""
    db = None
    of_tls: dict[str, Any] = {}
    others: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors=_ERRORS):
        ours = _ALIASES.get(name, name)
        if ours in of_tls or ours in others:
            raise ConfigError(f"the URL gives {name} twice")
        if not value:
            raise ConfigError(f"the URL gives {name} without a value")
        if ours == "db":
            if not re.fullmatch(r"[0-9]{1,9}", value):
                raise ConfigError("the URL's db is a number")
            db = int(value)
        elif ours in _FILES:
            of_tls[ours] = Path(value)
        elif ours == "sni":
            of_tls[ours] = value
        elif ours == "insecure":
            if value.lower() not in _YES:
                raise ConfigError("the URL's option insecure is yes or no")
            if _YES[value.lower()]:
                of_tls[ours] = True
        elif name == "ssl_cert_reqs" and value in ("none", "required"):
            if value == "none":
                of_tls["insecure"] = True
        else:
            others[name] = value
    return db, of_tls, others


def _address(place: str, text: str, *, default_host: str, default_port: int) -> Address:
    """Read HOST:PORT in all its forms. text: what the user wrote, for messages."""
    shown = quoted(text)
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", place)
    if bracketed:
        host, port = bracketed[1], bracketed[2]
    elif place.count(":") > 1:
        raise ConfigError(f"{shown} is not an address: an IPv6 address is written in brackets, as [::1]:6379")
    elif re.fullmatch(r"[0-9]+", place):
        host, port = "", place
    else:
        host, colon, port = place.partition(":")
        if not place or (colon and not port):
            raise ConfigError(f"{shown} is not an address: write HOST:PORT, as 127.0.0.1:6379")
    port = port or str(default_port)
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        if shown == repr(text):
            raise ConfigError(f"{shown} is not an address: {port!r} is not a port (0 to 65535)")
        hint = f"; {ENCODED}" if "://" in text else ""
        raise ConfigError(f"this is not an address: its port is not a number from 0 to 65535{hint}")
    if not re.fullmatch(r"[A-Za-z0-9._-]*|[0-9A-Fa-f:.]+(%\w+)?", host):
        raise ConfigError(f"{shown} is not an address: write HOST:PORT, [IPV6]:PORT or unix:/PATH")
    return Address(host or default_host, int(port))


# What follows a recording's name where a moment of it is meant; no host looks like that.
_MOMENT = re.compile(r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?[0-9]{1,2}:[0-9]{2}(?:[:.+Z-].*)?")


def without_logins(text: str, words: Iterable[str]) -> str:
    """The text without the logins that these words contain, even if the words are not valid URLs.

    words: the arguments that a user typed. A URL among them may have been mistaken for a file name or an option.
    """
    for word in words:
        for secret, shown in _secrets(word):
            # As typed, as quoted by Python and by a shell, and as a path.
            forms = {secret, repr(secret)[1:-1], secret.replace("'", "'\"'\"'"), re.sub("/+", "/", secret)}
            for one in sorted(forms, key=len, reverse=True):
                text = text.replace(one, shown)
    return text


def _secrets(word: str) -> Iterator[tuple[str, str]]:
    """The parts of a word that may be a login, with the character that ends them, and what to show instead of each."""
    _, scheme, rest = word.partition(":/")
    login, _, place = (rest if scheme else word).rpartition("@")
    login = login.lstrip("/") if scheme else login.partition("=")[2] if word.startswith("-") else login
    is_of_a_file = ":" not in login and (":" not in place or _MOMENT.fullmatch(place))  # dump@host, day.pcapng@12:00
    if login and (scheme or not is_of_a_file):
        yield f"{login}@", "***@"
        # Taken for a path, the word may be shown as far as any of its slashes.
        yield from ((part, "***") for part in (login[:at] for at in _places(login, "/")) if len(part) > 3)
    for option in re.split("[?&]", place)[1:]:
        name, _, value = option.partition("=")
        if "password" in name.lower() and value:
            yield f"{name}={value}", f"{name}=***"


def _places(text: str, what: str) -> list[int]:
    """The places of a character, the last one first."""
    return [at for at in range(len(text) - 1, -1, -1) if text[at] == what]


def quoted(text: str) -> str:
    """The text for a message; "this" if it may hold a password."""
    return "this" if "@" in text or "://" in text else repr(text)


def is_ip(host: str) -> bool:
    """Whether it is an address, not a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only processes of the same machine reach this host. False for names other than localhost, unresolved."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
