"""What one tap is asked to do: parsed and checked here, at the edge, and only read afterwards."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, StrictBool, model_validator

from tap import toml
from tap.errors import ConfigError
from tap.toml import parsed
from tap.units import Limits, parse_duration

DEFAULT_LINK = "main"
STATSD_PORT = 8125
SMALLEST_FILE = 4096  # bytes of a recording in many files
EVERY_HOST = "*"  # to listen on every address of this machine, IPv4 and IPv6
# Of a link, and named so everywhere: on the command line, in the file, in Python.
TLS_OPTIONS = ("tls", "cacert", "cert", "key", "sni", "insecure", "listen_cert", "listen_key", "listen_cacert")
Ui = Literal["auto", "live", "log", "json", "none"]
Sync = Literal["none", "interval", "always"]
Redact = Literal["values", "keys"]
ONE_MASTER = "give either a master, or transparent, which goes by where each redirected connection was going"
Announce = Literal["keep", "tap"]
CAPA = "capa:"  # before the capability, in what is to be masked


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP endpoint, or with *path* a Unix socket. Port 0: the system chooses (listening only)."""

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(cls, text: str, *, default_host: str = "127.0.0.1", default_port: int = 6379) -> "Address":
        """Read HOST:PORT, [IPV6]:PORT, :PORT, PORT, HOST (with the default port), unix:/PATH or /PATH.

        Raises ConfigError.
        """
        text = text.strip()
        if text.startswith(("unix:", "/")):
            path = text.removeprefix("unix:").removeprefix("//")
            if not path.startswith("/"):
                raise ConfigError(f"{text!r} is no address: a Unix socket is written unix:/path/to/socket")
            return cls(path=path)
        if "@" in text:  # a password may stand before it: not to be repeated
            raise ConfigError("an address is written HOST:PORT, without a user or a password")
        text = text.removeprefix("redis://").removeprefix("tcp://").rstrip("/")
        if "/" in text:
            raise ConfigError(f"{text!r} is no address: write HOST:PORT, [IPV6]:PORT or unix:/PATH")
        bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text)
        if bracketed:
            host, port = bracketed[1], bracketed[2]
        elif text.count(":") > 1:
            raise ConfigError(f"{text!r} is no address: an IPv6 address is written in brackets, as [::1]:6379")
        elif re.fullmatch(r"[0-9]+", text):
            host, port = "", text
        else:
            host, colon, port = text.partition(":")
            if not text or (colon and not port):
                raise ConfigError(f"{text!r} is no address: write HOST:PORT, as 127.0.0.1:6379")
        port = port or str(default_port)
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
            raise ConfigError(f"{text!r} is no address: {port!r} is no port (0 to 65535)")
        if not re.fullmatch(r"[A-Za-z0-9._-]*|[0-9A-Fa-f:.]+(%\w+)?", host):
            raise ConfigError(f"{text!r} is no address: write HOST:PORT, [IPV6]:PORT or unix:/PATH")
        return cls(host=host or default_host, port=int(port))

    @property
    def to_dial(self) -> str:
        """The host as others write it; listening on every address has no name."""
        return "<this machine>" if self.host in (EVERY_HOST, "0.0.0.0", "::") else self.host  # noqa: S104

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """Where replicas connect to, and the master behind it. Loopback by default: a tap sees every key.

    transparent: in place of a master. Connections are redirected here by the system, and each goes on to where it was
    going; links are then named by that address. announce, mask: as those of the Config, which count where these are None.
    tls: to the master, whose certificate is checked: against cacert, by default the system's CAs, and for the name sni,
    by default the host's. insecure: it is not. cert, key: ours, for a master that requires one; without a key that in
    cert. listen_cert, listen_key: replicas speak TLS with us. listen_cacert: they have to have a certificate of this CA.
    """

    master: Address | None = None
    transparent: bool = False
    listen: Address = field(default=Address("127.0.0.1", 0))
    name: str = DEFAULT_LINK
    announce: Announce | None = None
    mask: tuple[str, ...] | None = None
    tls: bool = False
    cacert: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    sni: str | None = None
    insecure: bool = False
    listen_cert: Path | None = None
    listen_key: Path | None = None
    listen_cacert: Path | None = None

    def __post_init__(self) -> None:
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
            raise ConfigError(f"link {self.name}: {self.sni!r} is no name of a server (--sni)")

    @classmethod
    def parse(cls, text: str) -> "LinkConfig":
        """Read NAME=LISTEN->MASTER. Raises ConfigError."""
        name, equals, route = text.partition("=")
        listen, arrow, master = route.partition("->")
        if not equals or not arrow:
            raise ConfigError(
                f"{text!r} is no link: write 'NAME=LISTEN->MASTER', as 'orders=127.0.0.1:6400->10.0.0.5:6379', in "
                "quotes: the shell takes > for itself"
            )
        return cls(name=_link_name(name), listen=listening(listen), master=_master(master))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What one tap is asked to do.

    duration: seconds until it ends by itself, None for never. every_command: tell commands one by one, too.
    every_key: tell the keys of an RDB one by one. connect_timeout: seconds a master has to accept a connection.
    drain_timeout: seconds that bytes for one peer may wait after the other has gone. faults: armed from the start, as
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

    links: tuple[LinkConfig, ...]
    ui: Ui = "auto"
    duration: float | None = None
    every_command: bool = False
    every_key: bool = False
    connect_timeout: float = 10.0
    drain_timeout: float = 60.0
    faults: tuple[str, ...] = ()
    seed: int = field(default_factory=lambda: random.randrange(2**32))  # noqa: S311
    destructive: bool = False
    read_only: bool = False
    opaque: bool = False
    record_to: Path | None = None
    record_rotate: tuple[str, ...] = ()
    record_keep: tuple[str, ...] = ()
    record_sync: Sync = "interval"
    record_without_rdb: bool = False
    record_redact: tuple[Redact, ...] = ()
    announce: Announce = "tap"
    mask: tuple[str, ...] = ()
    keylog: Path | None = None
    statsd: Address | None = None
    script: Path | None = None

    def __post_init__(self) -> None:
        for one in self.mask:
            _mask(one)
        for name, kind in (("ui", Ui), ("record_sync", Sync), ("announce", Announce)):
            _check_word(name, getattr(self, name), kind)
        if self.connect_timeout <= 0 or self.drain_timeout <= 0:
            raise ConfigError("a timeout of nothing: give connect_timeout and drain_timeout some time, as 10s")
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


def recording_path(text: str) -> Path:
    """A file, which may be there or not, or a directory that is. Raises ConfigError."""
    if text.endswith("/") and not Path(text).is_dir():
        raise ConfigError(f"{text}: no such directory; make it first, or name a file")
    path = Path(text)
    if path.suffix in (".gz", ".bz2", ".xz", ".lz4"):
        raise ConfigError(f"{text}: a recording is compressed with zstd only: {path.with_suffix('.zst')}")
    return path


def _link_name(text: str) -> str:
    name = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise ConfigError(f"{name!r} is no name for a link: letters, digits, _ . - and at most 64 of them")
    return name


def listening(text: str) -> Address:
    """Where to listen: an address, or *:PORT for every one of this machine. Raises ConfigError."""
    text = text.strip()
    if text.startswith(f"{EVERY_HOST}:"):
        return Address.parse(text.removeprefix(EVERY_HOST), default_host=EVERY_HOST)
    address = Address.parse(text)
    if address.path:
        raise ConfigError(f"{address}: replicas connect over TCP, so a link listens on HOST:PORT")
    return address


def statsd_address(text: str) -> Address:
    """Where a StatsD listens: HOST:PORT, or a HOST alone. Raises ConfigError."""
    address = Address.parse(text, default_port=STATSD_PORT)
    if address.path or not address.port:
        raise ConfigError(f"{text!r} is no address of a StatsD: write HOST:PORT, for UDP, as 127.0.0.1:{STATSD_PORT}")
    return address


def _mask(text: str) -> str:
    if not re.fullmatch(rf"{CAPA}[A-Za-z0-9_.-]{{1,64}}", text):
        raise ConfigError(f"{text!r} cannot be masked: write {CAPA} and the name of a capability, as {CAPA}psync2")
    return text


def _check_word(name: str, word: object, kind: object) -> None:
    """For Python: the command line and the file have checked theirs. kind: the Literal."""
    if word not in get_args(kind):
        raise ConfigError(f"{name} {word!r}: it is one of {', '.join(get_args(kind))}")


def _master(text: str) -> Address:
    address = Address.parse(text)
    if not address.path and not address.port:
        raise ConfigError(f"{address}: a master's port is never 0")
    return address


# ---- the file ----


class _LinkTable(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    master: Annotated[Address, parsed(_master)] | None = None
    transparent: StrictBool = False
    listen: Annotated[Address, parsed(listening)] = Address("127.0.0.1", 0)
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
    links: dict[Annotated[str, parsed(_link_name)], _LinkTable]


def load(path: Path) -> Config:
    """Read a TOML file as the README shows it. Raises ConfigError naming file, line and key."""
    file = toml.load(path, _File, table='[links.orders] with master = "127.0.0.1:6379"')
    named = {"commands": "every_command", "rdb_keys": "every_key"}
    given = {named.get(name, name): getattr(file, name) for name in file.model_fields_set - {"links"}}
    try:
        links = tuple(LinkConfig(name=name, **dict(link)) for name, link in file.links.items())
        return Config(links=links, **given)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
