"""The configuration of one link: where replicas connect, their master, and TLS on both sides."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tap.config.option import File, FromText, FromWords, Given, Option, check_words, declared, described
from tap.errors import ConfigError
from tap.hints import explained
from tap.thresholds import threshold_text
from tap.url import Address, Url, quoted

DEFAULT_LINK = "main"
# A link's options of TLS, with the same names on the command line, in the file and in Python.
MASTER_TLS = ("cacert", "cert", "key", "sni", "insecure")
LISTEN_TLS = ("cert", "key", "cacert")
Announce = Literal["keep", "tap"]
ONE_MASTER = "give either a master, or transparent, which takes each redirected connection to its original destination"
CAPA = "capa:"  # precedes the name of a capability in mask


def link_name(text: str) -> str:
    """Read the name of a link. Raises ConfigError."""
    name = text.strip()
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise ConfigError(f"{quoted(name)} is not a name for a link: letters, digits, _ . - and at most 64 of them")
    return name


def listening(text: str | Url) -> Url:
    """Read an address to listen on: HOST:PORT, *:PORT for every address of this machine, or rediss:// with a certificate.

    Raises ConfigError.
    """
    url = Url.parse(text, every_host=True) if isinstance(text, str) else text
    url.check("where to listen", ("tls", *LISTEN_TLS))
    if url.address.path:
        raise ConfigError(f"{url.address}: replicas connect over TCP, so a link listens on HOST:PORT")
    return url


def capability(text: str) -> str:
    """Check the name of something that can be masked. Raises ConfigError."""
    if not re.fullmatch(rf"{CAPA}[A-Za-z0-9_.-]{{1,64}}", text):
        raise ConfigError(f"{text!r} cannot be masked: write {CAPA} and the name of a capability, as {CAPA}psync2")
    return text


def _master(text: str | Url) -> Url:
    url = Url.parse(text) if isinstance(text, str) else text
    url.check("a link's master", ("tls", *MASTER_TLS))
    if not url.address.path and not url.address.port:
        raise ConfigError(f"{url.address}: a master's port is never 0")
    return url


# Hints by names that users may try first: those of the command line, of the file, of other proxies.
ELSEWHERE = {
    "commands": "every_command=True",
    "rdb_keys": "every_key=True",
    "alert": "alerts=['lag > 10s']",
    "group": "groups=['session:*']",
    "fault": "faults=['cut at=rdb:50%']",
    "write": "record_to='today.pcapng'",
    "record": "record_to='today.pcapng'",
    "rotate": "record_rotate=['1gb']",
    "keep": "record_keep=['50gb']",
    "on_rotate": "record_on_rotate='aws s3 cp \"$1\" s3://bucket/'",
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


@described
@explained(ELSEWHERE, "LinkConfig(master='127.0.0.1:6379', listen='127.0.0.1:6400')")
@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """One link: where replicas connect, and their master. Loopback by default: a tap sees every key.

    An address may be text, as on the command line: HOST:PORT, or a URL with options of TLS, see tap.url. If opaque,
    announce, mask or alerts is None, the Config's value applies.
    """

    master: Annotated[
        Given[Address | Url | str | int | None, Address | None],
        Option(
            "HOST:PORT",
            "The real master; also unix:/PATH, or rediss://HOST:PORT for TLS.",
            page="the real master; also `[IPV6]:PORT`, `unix:/PATH` or `rediss://HOST:PORT`, see [URLs](#urls)",
            topic="links",
        ),
    ] = Given(None, FromText(_master, later=True))
    listen: Annotated[
        Given[Address | Url | str | int, Address],
        Option(
            "HOST:PORT",
            "Where replicas connect; *:PORT: on every address; a free port on 127.0.0.1 if not given.",
            page="where replicas connect; `*:PORT` is every address of the machine; a free port on 127.0.0.1 if not "
            "given",
            topic="links",
        ),
    ] = Given(Address("127.0.0.1", 0), FromText(listening, later=True))
    transparent: Annotated[
        bool,
        Option(
            "",
            "Accept connections that iptables or nftables redirects, each for the master it was meant for; listens on "
            "*:6400 unless --listen says otherwise. Linux only.",
            page="in place of `--master`, on Linux: accept redirected connections, each for "
            "[the master it was meant for](../network.md#without-telling-the-servers); listens on `*:6400` unless "
            "`--listen` says otherwise",
            topic="links",
        ),
    ] = False
    name: Annotated[
        str, Option("NAME", "The name of the link, in events and faults.", on_command_line=False, in_file=False)
    ] = DEFAULT_LINK
    enabled: Annotated[
        bool,
        Option(
            "",
            "Whether the link listens; false keeps it for later.",
            on_command_line=False,
        ),
    ] = True
    opaque: Annotated[
        bool | None,
        Option(
            "",
            "Parse nothing of this link: relay only, whatever the protocol.",
            on_command_line=False,
        ),
    ] = None
    announce: Annotated[
        Announce | None,
        Option(
            "", "The address at which masters see a replica of this link.", needs_parsing="keep", on_command_line=False
        ),
    ] = None
    mask: Annotated[
        Given[str | Iterable[str] | None, tuple[str, ...] | None],
        Option(
            "capa:NAME",
            "Capabilities of replicas to hide from the master of this link.",
            needs_parsing=True,
            on_command_line=False,
        ),
    ] = Given(None, FromWords(capability))
    alerts: Annotated[
        Given[str | Iterable[str] | None, tuple[str, ...] | None],
        Option(
            "RULE",
            "Alerts of this link, in place of those of all links.",
            needs_parsing=True,
            on_command_line=False,
        ),
    ] = Given(None, FromWords(threshold_text))
    inspect: Annotated[
        Given[Url | str | None, Url | None],
        Option(
            "URL",
            "Ask this link's master about itself, once a second: its offset, backlog, output buffers and limits.",
            page="ask the link's master [about itself](../operate.md#ask-the-master), once a second: its offset, "
            "backlog, output buffers and limits; a [URL](#urls) with a user for that",
            topic="links",
            needs_parsing=True,
        ),
    ] = Given(None, FromText(Url.parse))
    tls: Annotated[
        bool,
        Option(
            "",
            "Use TLS towards the master, and verify its certificate.",
            page="use [TLS](../network.md#tls) towards the master, and verify its certificate",
            topic="tls",
        ),
    ] = False
    cacert: Annotated[
        File,
        Option(
            "FILE.pem", "The CA of the master's certificate; those of the system if not given.", topic="tls", needs="tls"
        ),
    ] = Given(None, FromText(Path))
    cert: Annotated[
        File,
        Option("FILE.pem", "The tap's certificate, for a master that requires one.", topic="tls", needs="tls"),
    ] = Given(None, FromText(Path))
    key: Annotated[
        File,
        Option(
            "FILE.pem",
            "The key of the certificate for the master; in the same file if not given.",
            page="the key of `--cert`; in the same file if not given",
            topic="tls",
            needs="cert",
        ),
    ] = Given(None, FromText(Path))
    sni: Annotated[
        str | None,
        Option(
            "NAME",
            "The master's name, to ask for and to verify; the host that is dialled if not given.",
            topic="tls",
            needs="tls",
        ),
    ] = None
    insecure: Annotated[bool, Option("", "Do not verify the master's certificate.", topic="tls", needs="tls")] = False
    listen_cert: Annotated[
        File,
        Option("FILE.pem", "Replicas connect over TLS; the tap's certificate for them.", topic="tls"),
    ] = Given(None, FromText(Path))
    listen_key: Annotated[
        File,
        Option(
            "FILE.pem",
            "The key of the certificate for replicas; in the same file if not given.",
            page="the key of `--listen-cert`; in the same file if not given",
            topic="tls",
            needs="listen_cert",
        ),
    ] = Given(None, FromText(Path))
    listen_cacert: Annotated[
        File,
        Option("FILE.pem", "Require certificates of this CA from replicas.", topic="tls", needs="listen_cert"),
    ] = Given(None, FromText(Path))

    def __post_init__(self) -> None:
        self._read("master", _master, MASTER_TLS, "")
        self._read("listen", listening, LISTEN_TLS, "listen_")
        check_words(self)
        if (self.master is None) != self.transparent:
            raise ConfigError(f"link {self.name}: {ONE_MASTER}")
        if self.inspect is not None:
            if self.transparent:
                raise ConfigError(f"link {self.name}: --inspect asks one master, and a transparent link has many")
            if self.inspect.db is not None:
                raise ConfigError(f"link {self.name}: --inspect is written without a db")
        if self.tls and self.master is not None and self.master.path:
            raise ConfigError(f"link {self.name}: {self.master} is a Unix socket, and servers speak no TLS there")
        flags = {one.name: one.flags[0] for one in declared(LinkConfig)}
        for name, needed in ((one.name, one.option.needs) for one in declared(LinkConfig) if one.option.needs):
            if getattr(self, name) and not getattr(self, needed):
                raise ConfigError(f"link {self.name}: {flags[name]} has no effect without {flags[needed]}")
        if self.sni is not None and not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,252}", self.sni):
            raise ConfigError(f"link {self.name}: {self.sni!r} is not the name of a server (--sni)")

    def _read(self, name: str, parse: Callable[[str | Url], Url], options: tuple[str, ...], prefix: str) -> None:
        """Split text, or a URL, into an address and options of TLS. Options given as fields take precedence."""
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
        return cls(name=link_name(name), listen=listen, master=master, **options)


def one_link(given: LinkConfig | Address | Url | str | int | None, options: Mapping[str, Any]) -> LinkConfig:
    """The link that a caller describes: a LinkConfig, NAME=LISTEN->MASTER, or a master's address; and fields of it.

    Raises ConfigError, and TypeError for an unknown field.
    """
    if isinstance(given, LinkConfig):
        return replace(given, **options)
    if isinstance(given, str) and "->" in given:
        return LinkConfig.parse(given, **options)
    master = {} if given is None else {"master": given}
    return LinkConfig(**{**master, **options})


Links = LinkConfig | str | Iterable[LinkConfig | str] | Mapping[str, LinkConfig | Address | Url | str | Mapping[str, Any]]


def links_of(given: Links) -> tuple[LinkConfig, ...]:
    """Convert links from all the forms that Python accepts. Raises ConfigError."""
    if isinstance(given, Mapping):
        return tuple(_named_link(link_name(name), one) for name, one in given.items())
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
