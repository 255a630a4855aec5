"""What one tap is asked to do: parsed and checked here, at the edge, and only read afterwards."""

import random
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt, model_validator

from tap import toml
from tap.errors import ConfigError
from tap.hints import explained, refuse
from tap.paths import in_a_directory
from tap.toml import parsed
from tap.units import Limits, parse_duration
from tap.url import Address, Url, quoted

DEFAULT_LINK = "main"
STATSD_PORT = 8125
MAX_CONNECTIONS = 10_000  # as many as Redis takes (maxclients)
SMALLEST_FILE = 4096  # bytes of a recording in many files
# Of a link, and named so everywhere: on the command line, in the file, in Python.
MASTER_TLS = ("cacert", "cert", "key", "sni", "insecure")
LISTEN_TLS = ("cert", "key", "cacert")
Ui = Literal["auto", "live", "log", "json", "none"]
Sync = Literal["none", "interval", "always"]
Redact = Literal["values", "keys"]
ONE_MASTER = "give either a master, or transparent, which goes by where each redirected connection was going"
Announce = Literal["keep", "tap"]
Accepted = TypeVar("Accepted")
Kept = TypeVar("Kept")
CAPA = "capa:"  # before the capability, in what is to be masked


class _Given(Generic[Accepted, Kept]):
    """A field of a frozen dataclass that accepts more forms than it keeps."""

    def __init__(self, default: Kept, read: Callable[[Any], Any] = lambda value: value) -> None:
        self._default = default
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, one: object | None, owner: type) -> Kept:
        return self._default if one is None else one.__dict__[self._name]

    def __set__(self, one: object, value: Accepted) -> None:
        one.__dict__[self._name] = self._read(value)


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    """One word may stand for a list of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def _recording(value: str | Path | None) -> Path | None:
    return recording_path(value) if isinstance(value, str) else value


def _statsd(value: str | Address | None) -> Address | None:
    return statsd_address(value) if isinstance(value, str) else value


def _maybe_words(value: str | Iterable[str] | None) -> tuple[str, ...] | None:
    return None if value is None else _words(value)


def _seconds(value: str | float | None) -> float | None:
    return parse_duration(value) if isinstance(value, str) else value


# By a name that somebody may try first: of the command line, of the file, of other proxies.
_ELSEWHERE = {
    "commands": "every_command=True",
    "rdb_keys": "every_key=True",
    "fault": "faults=['cut at=rdb:50%']",
    "write": "record_to='today.pcapng'",
    "record": "record_to='today.pcapng'",
    "rotate": "record_rotate=['1gb']",
    "keep": "record_keep=['50gb']",
    "sync": "record_sync='always'",
    "without_rdb": "record_without_rdb=True",
    "redact": "record_redact=['values']",
    "link": "links={'orders': '127.0.0.1:6400->10.0.0.5:6379'}",
    "maxclients": "max_connections=1000",
    "maxconn": "max_connections=1000",
    "port": "listen='127.0.0.1:6400'",
    "host": "listen='127.0.0.1:6400'",
    "upstream": "master='127.0.0.1:6379'",
}


@explained(_ELSEWHERE, "LinkConfig(master='127.0.0.1:6379', listen='127.0.0.1:6400')")
@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """Where replicas connect to, and the master behind it. Loopback by default: a tap sees every key.

    master, listen: also text, as on the command line: HOST:PORT, or a URL with options of TLS, see tap.url.
    transparent: in place of a master. Connections are redirected here by the system, and each goes on to where it was
    going; links are then named by that address. announce, mask: as those of the Config, which count where these are None.
    tls: to the master, whose certificate is checked: against cacert, by default the system's CAs, and for the name sni,
    by default the host's. insecure: it is not. cert, key: ours, for a master that requires one; without a key that in
    cert. listen_cert, listen_key: replicas speak TLS with us. listen_cacert: they have to have a certificate of this CA.
    """

    master: _Given[Address | Url | str | int | None, Address | None] = _Given(None)
    transparent: bool = False
    listen: _Given[Address | Url | str | int, Address] = _Given(Address("127.0.0.1", 0))
    name: str = DEFAULT_LINK
    announce: Announce | None = None
    mask: _Given[str | Iterable[str] | None, tuple[str, ...] | None] = _Given(None, _maybe_words)
    tls: bool = False
    cacert: _Given[Path | str | None, Path | None] = _Given(None, _path)
    cert: _Given[Path | str | None, Path | None] = _Given(None, _path)
    key: _Given[Path | str | None, Path | None] = _Given(None, _path)
    sni: str | None = None
    insecure: bool = False
    listen_cert: _Given[Path | str | None, Path | None] = _Given(None, _path)
    listen_key: _Given[Path | str | None, Path | None] = _Given(None, _path)
    listen_cacert: _Given[Path | str | None, Path | None] = _Given(None, _path)

    def __post_init__(self) -> None:
        self._read("master", _master, MASTER_TLS, "")
        self._read("listen", listening, LISTEN_TLS, "listen_")
        for one in self.mask or ():
            _mask(one)
        if self.announce is not None:
            _check_word("announce", self.announce, Announce)
        if (self.master is None) != self.transparent:
            raise ConfigError(f"link {self.name}: {ONE_MASTER}")
        if self.tls and self.master is not None and self.master.path:
            raise ConfigError(f"link {self.name}: {self.master} is a Unix socket, and servers speak no TLS there")
        needs = {"cacert": "tls", "cert": "tls", "key": "cert", "sni": "tls", "insecure": "tls"}
        needs |= {"listen_key": "listen_cert", "listen_cacert": "listen_cert"}
        for name, needed in needs.items():
            if getattr(self, name) and not getattr(self, needed):
                option, other = (f"--{one.replace('_', '-')}" for one in (name, needed))
                raise ConfigError(f"link {self.name}: {option} says nothing without {other}")
        if self.sni is not None and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,252}", self.sni):
            raise ConfigError(f"link {self.name}: {self.sni!r} is not the name of a server (--sni)")

    def _read(self, name: str, parse: Callable[[str | Url], Url], options: tuple[str, ...], prefix: str) -> None:
        """Take text, or a URL, for an address and options of TLS. Those that are given beside it win."""
        given: Address | Url | str | int | None = getattr(self, name)
        if given is None or isinstance(given, Address):
            return
        if isinstance(given, int):  # a port
            given = str(given)
        if not isinstance(given, str | Url):
            raise ConfigError(f"{name} is of type {type(given).__name__}: write HOST:PORT, as '127.0.0.1:6379'")
        url = parse(given)
        if prefix and url.tls and "cert" not in url.tls_options and self.listen_cert is None:
            raise ConfigError(f"link {self.name}: TLS for replicas needs a certificate: rediss://HOST:PORT?cert=FILE.pem")
        object.__setattr__(self, name, url.address)
        if not prefix and url.tls:
            object.__setattr__(self, "tls", True)
        for option in options:
            if option in url.tls_options and not getattr(self, f"{prefix}{option}"):
                object.__setattr__(self, f"{prefix}{option}", url.tls_options[option])

    @classmethod
    def parse(cls, text: str, **options: Any) -> "LinkConfig":
        """Read NAME=LISTEN->MASTER. options: other fields. Raises ConfigError."""
        name, equals, route = text.partition("=")
        listen, arrow, master = route.partition("->")
        if not equals or not arrow:
            raise ConfigError(
                f"{quoted(text)} is not a link: write 'NAME=LISTEN->MASTER', as 'orders=127.0.0.1:6400->10.0.0.5:6379', "
                "in quotes: the shell takes > for itself"
            )
        return cls(name=_link_name(name), listen=listen, master=master, **options)


Links = LinkConfig | str | Iterable[LinkConfig | str] | Mapping[str, LinkConfig | Address | Url | str | Mapping[str, Any]]


def _links(given: Links) -> tuple[LinkConfig, ...]:
    """Links in the forms in which they may be written in Python. Raises ConfigError."""
    if isinstance(given, Mapping):
        return tuple(_named_link(_link_name(name), one) for name, one in given.items())
    if isinstance(given, LinkConfig | str):
        given = (given,)
    return tuple(_link(one) for one in given)


def _named_link(name: str, given: LinkConfig | Address | Url | str | Mapping[str, Any]) -> LinkConfig:
    if isinstance(given, LinkConfig):
        return replace(given, name=name)
    if isinstance(given, Mapping):
        return LinkConfig(**{"name": name, **given})
    if isinstance(given, str) and "->" in given:
        return LinkConfig.parse(f"{name}={given}")
    return LinkConfig(name=name, master=given)


def _link(given: LinkConfig | str) -> LinkConfig:
    if isinstance(given, LinkConfig):
        return given
    if isinstance(given, str):
        return LinkConfig.parse(given) if "->" in given else LinkConfig(master=given)
    what = type(given).__name__
    raise ConfigError(f"a link is not of type {what}: write LinkConfig(name='orders', master='10.0.0.5:6379')")


@explained(
    {**_ELSEWHERE, "master": "links='127.0.0.1:6379'", "listen": "links={'main': '127.0.0.1:6400->10.0.0.5:6379'}"},
    "Config(links={'orders': '127.0.0.1:6400->10.0.0.5:6379'})",
)
@dataclass(frozen=True, kw_only=True)
class Config:
    """What one tap is asked to do. Text is read as on the command line: duration="10m", record_to="today.pcapng".

    links: LinkConfigs; also by name, {"orders": "127.0.0.1:6400->10.0.0.5:6379"}, or the master's address alone.
    duration: seconds until it ends by itself, None for never. every_command: tell commands one by one, too.
    every_key: tell the keys of an RDB one by one. connect_timeout: seconds a master has to accept a connection.
    drain_timeout: seconds that bytes for one peer may wait after the other has gone. max_connections: that are let in at
    once, and max_connections_per_address: from one IPv4 address or IPv6 network (/64), None for as many; beyond them some
    places are kept for the addresses of replicas, see tap.relay.admission. faults: armed from the start, as
    tap.faults.parse() takes them. seed: decides every random choice of theirs. destructive: those that end a server
    process are allowed. read_only: no fault is, ever. opaque: nothing of what flows is understood, it is only passed on.
    record_to: a new file for what flows, or a directory. record_rotate: when the next file begins, at a size and after a
    time, as "1gb" and "10m", one of each at most. record_keep: the oldest of these files go when all exceed this size, or
    at this age. record_sync: when it is forced to the disk: never, once a second, with every write. record_without_rdb:
    snapshots are left out. record_redact: what is replaced in the recording, which then holds no snapshots either.
    announce: the address at which masters see a replica: its own, or the tap's, as TCP has it. mask: "capa:NAME" for each
    capability of replicas that masters do not hear of. keylog: a file that gets the secrets of every TLS connection
    appended, for Wireshark to read them. statsd: where figures go once a second, over UDP. script: a file of Python whose
    functions hear events, see tap.observers.script.
    """

    links: _Given[Links, tuple[LinkConfig, ...]] = _Given((), _links)
    ui: Ui = "auto"
    duration: _Given[float | str | None, float | None] = _Given(None, _seconds)
    every_command: bool = False
    every_key: bool = False
    connect_timeout: _Given[float | str, float] = _Given(10.0, _seconds)
    drain_timeout: _Given[float | str, float] = _Given(60.0, _seconds)
    max_connections: int = MAX_CONNECTIONS
    max_connections_per_address: int | None = None
    faults: _Given[str | Iterable[str], tuple[str, ...]] = _Given((), _words)
    seed: int = field(default_factory=lambda: random.randrange(2**32))  # noqa: S311
    destructive: bool = False
    read_only: bool = False
    opaque: bool = False
    record_to: _Given[Path | str | None, Path | None] = _Given(None, _recording)
    record_rotate: _Given[str | Iterable[str], tuple[str, ...]] = _Given((), _words)
    record_keep: _Given[str | Iterable[str], tuple[str, ...]] = _Given((), _words)
    record_sync: Sync = "interval"
    record_without_rdb: bool = False
    record_redact: _Given[str | Iterable[str], tuple[Redact, ...]] = _Given((), _words)
    announce: Announce = "tap"
    mask: _Given[str | Iterable[str], tuple[str, ...]] = _Given((), _words)
    keylog: _Given[Path | str | None, Path | None] = _Given(None, _path)
    statsd: _Given[Address | str | None, Address | None] = _Given(None, _statsd)
    script: _Given[Path | str | None, Path | None] = _Given(None, _path)

    def __post_init__(self) -> None:
        for one in self.mask:
            _mask(one)
        for name, kind in (("ui", Ui), ("record_sync", Sync), ("announce", Announce)):
            _check_word(name, getattr(self, name), kind)
        if not isinstance(self.seed, int):
            raise ConfigError(f"seed {self.seed!r}: a whole number is expected")
        if self.connect_timeout <= 0 or self.drain_timeout <= 0:
            raise ConfigError("a timeout of nothing: give connect_timeout and drain_timeout some time, as 10s")
        for name, most in (
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
        ):
            if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
                raise ConfigError(f"{name} {most!r}: a number of connections is expected, 1 or more")
        rotate = Limits.parse(self.record_rotate)
        if rotate.size is not None and rotate.size < SMALLEST_FILE:
            raise ConfigError(
                f"--rotate {rotate.size}b: every file begins with where each link stands, so give it {SMALLEST_FILE}b or "
                "more; 1gb is usual"
            )
        rotates = bool(rotate) or (self.record_to is not None and self.record_to.is_dir())
        if rotates and self.record_to is None:
            raise ConfigError("--rotate says when a recording goes on in the next file; say with -w FILE.pcapng where to")
        if Limits.parse(self.record_keep) and not rotates:
            raise ConfigError(
                "--keep deletes the oldest files of a rotation, and there is none; with --rotate 1gb a file of that size "
                "is followed by the next"
            )
        for one in self.record_redact:
            if one not in get_args(Redact):
                raise ConfigError(f"--redact {one}: values or keys can be redacted, and with the option twice both")
        if self.record_redact and self.record_to is None:
            raise ConfigError("--redact is for a recording, and there is none: give -w FILE.pcapng, too")
        if self.opaque:
            self._check_opaque()
        if not self.links:
            raise ConfigError(
                "no link: give --master HOST:PORT, --transparent, --link NAME=LISTEN->MASTER or --config FILE.toml"
            )
        names = [link.name for link in self.links]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two links are named {name!r}; give each its own name")
        masters = {link.listen: link.master for link in self.links if link.listen.port and link.master is not None}
        for first in masters:
            seen, at = [first], masters[first]
            while at in masters and at not in seen:
                seen.append(at)
                at = masters[at]
            if at in seen:
                raise ConfigError(f"a circle: what connects to {first} would be sent to {at}, and so on for ever")
        listens = [str(link.listen) for link in self.links if link.listen.port]
        for listen in listens:
            if listens.count(listen) > 1:
                raise ConfigError(f"two links listen on {listen}; give each its own port")

    def _check_opaque(self) -> None:
        """Nothing else may want what flows to be understood; the plan sees to the faults."""
        keeps_address = "keep" in (self.announce, *(link.announce for link in self.links))
        needing = {
            "--commands": self.every_command,
            "--rdb-keys": self.every_key,
            "--announce keep": keeps_address,
            "--mask": self.mask or any(link.mask for link in self.links),
            "--without-rdb": self.record_without_rdb,
            "--redact": self.record_redact,
        }
        for option, is_given in needing.items():
            if is_given:
                raise ConfigError(f"{option} needs to understand what flows, and --opaque is to understand nothing of it")


def of_a_tap(given: "Config | Address | Url | str | int | None", options: Mapping[str, Any]) -> Config:
    """The Config that Tap() is given: whole, or as the master of its one link, with options of both classes beside it.

    Raises ConfigError, and TypeError for an option that is not known.
    """
    if isinstance(given, Config):
        if options:
            raise TypeError(f"a Tap takes a Config or options: put {', '.join(options)} into the Config")
        return given
    of_link = {one.name for one in fields(LinkConfig)} - {"announce", "mask"}  # which a Config has, too
    of_config = {one.name for one in fields(Config)}
    refuse("a Tap", options, ["master", *sorted((of_link | of_config) - {"master"})], _ELSEWHERE)
    rest = {name: value for name, value in options.items() if name not in of_link}
    link = {name: value for name, value in options.items() if name in of_link}
    if given is not None:
        if "master" in link or "links" in rest:
            raise TypeError("a Tap is given its master once: Tap('127.0.0.1:6379'), Tap(master=...) or Tap(links={...})")
        link["master"] = given
    if "links" in rest:
        if link:
            raise TypeError(f"{', '.join(link)}: of one link; with links=..., each has its own: LinkConfig(master=...)")
        return Config(**rest)
    if "master" not in link and "transparent" not in link:
        raise TypeError("a Tap needs a master: Tap('127.0.0.1:6379'), or Tap(Config(links={...})) for several links")
    return Config(links=LinkConfig(**link), **rest)


def recording_path(text: str) -> Path:
    """A file, which may be there or not, or a directory that is. Raises ConfigError."""
    if text.endswith("/") and not Path(text).is_dir():
        raise ConfigError(f"{text}: no such directory; make it first, or name a file")
    path = in_a_directory(Path(text))
    if path.suffix in (".gz", ".bz2", ".xz", ".lz4"):
        raise ConfigError(f"{text}: a recording is compressed with zstd only: {path.with_suffix('.zst')}")
    return path


def _link_name(text: str) -> str:
    name = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise ConfigError(f"{quoted(name)} is not a name for a link: letters, digits, _ . - and at most 64 of them")
    return name


def listening(text: str | Url) -> Url:
    """Where to listen: HOST:PORT, *:PORT for every address of this machine, or rediss:// with a certificate.

    Raises ConfigError.
    """
    url = Url.parse(text, every_host=True) if isinstance(text, str) else text
    url.check("where to listen", ("tls", *LISTEN_TLS))
    if url.address.path:
        raise ConfigError(f"{url.address}: replicas connect over TCP, so a link listens on HOST:PORT")
    return url


def statsd_address(text: str) -> Address:
    """Where a StatsD listens: HOST:PORT, or a HOST alone. Raises ConfigError."""
    address = Address.parse(text, default_port=STATSD_PORT)
    if address.path or not address.port:
        raise ConfigError(
            f"{text!r} is not the address of a StatsD: write HOST:PORT, for UDP, as 127.0.0.1:{STATSD_PORT}"
        )
    return address


def _mask(text: str) -> str:
    if not re.fullmatch(rf"{CAPA}[A-Za-z0-9_.-]{{1,64}}", text):
        raise ConfigError(f"{text!r} cannot be masked: write {CAPA} and the name of a capability, as {CAPA}psync2")
    return text


def _check_word(name: str, word: object, kind: object) -> None:
    """For Python: the command line and the file have checked theirs. kind: the Literal."""
    if word not in get_args(kind):
        raise ConfigError(f"{name} {word!r}: it is one of {', '.join(get_args(kind))}")


def _master(text: str | Url) -> Url:
    url = Url.parse(text) if isinstance(text, str) else text
    url.check("a link's master", ("tls", *MASTER_TLS))
    if not url.address.path and not url.address.port:
        raise ConfigError(f"{url.address}: a master's port is never 0")
    return url


# ---- the file ----


class _LinkTable(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    master: Annotated[Url, parsed(_master)] | None = None
    transparent: StrictBool = False
    listen: Annotated[Url, parsed(listening)] = Url(Address("127.0.0.1", 0))
    announce: Announce | None = None
    mask: tuple[Annotated[str, parsed(_mask)], ...] | None = None
    tls: StrictBool = False
    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    sni: str | None = None
    insecure: StrictBool = False
    listen_cert: Path | None = None
    listen_key: Path | None = None
    listen_cacert: Path | None = None

    @model_validator(mode="after")
    def _has_one_master(self) -> "_LinkTable":
        if (self.master is None) != self.transparent:
            raise ValueError(ONE_MASTER)
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    ui: Ui = "auto"
    duration: Annotated[float, parsed(parse_duration)] | None = None
    commands: StrictBool = False
    rdb_keys: StrictBool = False
    faults: tuple[str, ...] = ()
    seed: int | None = None
    destructive: StrictBool = False
    read_only: StrictBool = False
    opaque: StrictBool = False
    record_to: Annotated[Path, parsed(recording_path)] | None = None
    record_rotate: tuple[str, ...] = ()
    record_keep: tuple[str, ...] = ()
    record_sync: Sync = "interval"
    record_without_rdb: StrictBool = False
    record_redact: tuple[Redact, ...] = ()
    announce: Announce = "tap"
    mask: tuple[Annotated[str, parsed(_mask)], ...] = ()
    keylog: Path | None = None
    statsd: Annotated[Address, parsed(statsd_address)] | None = None
    script: Path | None = None
    connect_timeout: Annotated[float, parsed(parse_duration)] = 10.0
    drain_timeout: Annotated[float, parsed(parse_duration)] = 60.0
    max_connections: StrictInt = MAX_CONNECTIONS
    max_connections_per_address: StrictInt | None = None
    links: dict[Annotated[str, parsed(_link_name)], _LinkTable]


def load(path: Path) -> Config:
    """Read a TOML file as docs/reference/options.md shows it. Raises ConfigError naming file, line and key."""
    file = toml.load(path, _File, table='[links.orders] with master = "127.0.0.1:6379"')
    named = {"commands": "every_command", "rdb_keys": "every_key"}
    given = {named.get(name, name): getattr(file, name) for name in file.model_fields_set - {"links"}}
    try:
        links = tuple(LinkConfig(name=name, **dict(link)) for name, link in file.links.items())
        return Config(links=links, **given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
