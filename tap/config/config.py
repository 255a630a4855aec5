"""The configuration of one tap: parsed and checked here, at the edge, and immutable afterwards."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from tap.config.link_config import ELSEWHERE, Announce, LinkConfig, Links, capability, links_of
from tap.config.option import File, FromText, FromWords, Given, Option, Several, Time, check_words, declared, described
from tap.errors import ConfigError
from tap.hints import explained, refuse
from tap.key_groups import patterns
from tap.paths import in_a_directory
from tap.thresholds import threshold_text
from tap.units import Limits, parse_duration
from tap.url import Address, Url, relative_socket

STATSD_PORT = 8125
API_PORT = 8474  # of Toxiproxy, whose clients look for it there
MAX_CONNECTIONS = 10_000  # Redis's default of maxclients
SMALLEST_FILE = 4096  # minimum bytes of each file of a rotated recording
Ui = Literal["auto", "live", "log", "json", "none"]
Sync = Literal["none", "interval", "always"]
Redact = Literal["values", "keys"]
StatsdTags = Literal["none", "datadog", "influx"]


def recording_path(text: str) -> Path:
    """The path of a file, which may exist, or of an existing directory. Raises ConfigError."""
    if text.endswith("/") and not Path(text).is_dir():
        raise ConfigError(f"{text}: no such directory; make it first, or name a file")
    path = in_a_directory(Path(text))
    if path.suffix in (".gz", ".bz2", ".xz", ".lz4"):
        raise ConfigError(f"{text}: a recording is compressed with zstd only: {path.with_suffix('.zst')}")
    return path


def statsd_address(text: str) -> Address:
    """Read the address of a StatsD: HOST:PORT, or HOST alone. Raises ConfigError."""
    address = Address.parse(text, default_port=STATSD_PORT)
    if address.path or not address.port:
        raise ConfigError(
            f"{text!r} is not the address of a StatsD server: write HOST:PORT, for UDP, as 127.0.0.1:{STATSD_PORT}"
        )
    return address


def api_address(text: str) -> Address:
    """Read where the API listens: HOST:PORT, *:PORT for every address of this machine, or unix:PATH.

    Raises ConfigError.
    """
    socket = relative_socket(text)
    if socket is not None:
        return socket
    url = Url.parse(text, default_port=API_PORT, every_host=True)
    url.check("the API's address", ())
    return url.address


@described
@explained(
    {**ELSEWHERE, "master": "links='127.0.0.1:6379'", "listen": "links={'main': '127.0.0.1:6400->10.0.0.5:6379'}"},
    "Config(links={'orders': '127.0.0.1:6400->10.0.0.5:6379'})",
)
@dataclass(frozen=True, kw_only=True)
class Config:
    """The configuration of one tap. Text is read as on the command line: duration="10m", record_to="today.pcapng".

    links: LinkConfigs; also a mapping by name, {"orders": "127.0.0.1:6400->10.0.0.5:6379"}, or just the master's address.
    Times are seconds, or text with a unit.
    """

    links: Annotated[
        Given[Links, tuple[LinkConfig, ...]],
        Option(
            "NAME=LISTEN->MASTER",
            "One of many links, in quotes. May be repeated.",
            page="one of many links in one process; may be repeated; quoted, because the shell takes `>` for itself",
            flags=("--link",),
            topic="links",
            in_file=False,
        ),
    ] = Given((), links_of)
    ui: Annotated[
        Ui,
        Option(
            "",
            "live: a full screen. log: a line per event worth a journal. json: a line per event on stdout. auto: live "
            "on a terminal, log otherwise.",
            page="`live`: a full screen with phase, replication ID, offset, lag and throughput of each replica, the "
            "keys by groups, commands by count and by bytes, and what happened. `log`: one line per event worth a "
            "journal. `json`: one JSON object per event on stdout, nothing else there. `none`: no output. `auto`, the "
            "default: `live` on a terminal, `log` elsewhere",
        ),
    ] = "auto"
    every_command: Annotated[
        bool,
        Option(
            "",
            "Report every command of the stream.",
            page="every command of the stream as an event, with db, name and arguments",
            flags=("--commands",),
            key="commands",
            needs_parsing=True,
        ),
    ] = False
    every_key: Annotated[
        bool,
        Option(
            "",
            "Report every key of an RDB.",
            page="every key of an RDB as an event, with db, type, encoding, size, elements and expiry",
            flags=("--rdb-keys",),
            key="rdb_keys",
            needs_parsing=True,
        ),
    ] = False
    duration: Annotated[Given[float | str | None, float | None], Option("TIME", "End after this time: 30s, 10m, 2h.")] = (
        Given(None, FromText(parse_duration))
    )
    faults: Annotated[
        Several,
        Option(
            "SPEC",
            "What goes wrong on purpose: 'cut at=rdb:50%'; see redis-tap faults.",
            page="a [fault](faults.md) to arm; may be repeated",
            flags=("--fault",),
        ),
    ] = Given((), FromWords())
    alerts: Annotated[
        Several,
        Option(
            "RULE",
            "Report when a figure passes a limit, and when it is back: 'lag > 10s', 'silence > 5s for 30s'.",
            page="an [alert](../operate.md#alerts) of your own: `lag > 10s`, `lag > 50mb`, `silence > 5s for 30s`, "
            "`resyncs > 2 in 10m`; may be repeated",
            flags=("--alert",),
            needs_parsing=True,
        ),
    ] = Given((), FromWords(threshold_text))
    groups: Annotated[
        Several,
        Option(
            "GLOB",
            "Count these keys together in the live view: 'session:*'; groups are found if not given. May be repeated.",
            page="in the live view, count the keys that match this pattern as one group, in place of [groups that are "
            "found](../data.md#what-was-written); may be repeated",
            flags=("--group",),
            needs_parsing=True,
        ),
    ] = Given((), FromWords())
    seed: Annotated[
        int,
        Option(
            "N",
            "Decides every random choice of the faults.",
            page="decides every random choice of the faults; drawn and printed if not given",
        ),
    ] = field(default_factory=lambda: random.randrange(2**32))  # noqa: S311
    max_connections: Annotated[
        int,
        Option(
            "N",
            f"Refuse more connections at once, {MAX_CONNECTIONS} by default; known replicas still get in.",
            page=f"refuse connections beyond this number, over all links; {MAX_CONNECTIONS} if not given, as in Redis; "
            "see [Too many connections](../operate.md#too-many-connections)",
        ),
    ] = MAX_CONNECTIONS
    max_connections_per_address: Annotated[
        int | None,
        Option(
            "N",
            "Refuse more of one client address, or IPv6 /64, at once; no limit.",
            page="refuse connections beyond this number from one client address, or one IPv6 /64 network; no limit if "
            "not given",
        ),
    ] = None
    announce: Annotated[
        Announce,
        Option(
            "",
            "At which address masters see a replica: keep: its own; tap: the tap's, the default.",
            page="`keep`: the master sees a replica [at its own "
            "address](../network.md#at-which-address-the-master-sees-the-replica). `tap`, the default: at the tap's",
            needs_parsing="keep",
        ),
    ] = "tap"
    mask: Annotated[
        Several,
        Option(
            "capa:NAME",
            "Hide this capability of replicas from masters. May be repeated.",
            page="hide a [capability](../network.md#plainer-dialects) of replicas from masters; may be repeated",
            needs_parsing=True,
        ),
    ] = Given((), FromWords(capability))
    destructive: Annotated[bool, Option("", "Allow faults that end a server process.")] = False
    read_only: Annotated[bool, Option("", "Accept no fault from anywhere.")] = False
    opaque: Annotated[
        bool,
        Option(
            "",
            "Parse nothing: relay only, at the least cost.",
            page="parse nothing, [relay only](../operate.md#relay-only), at the least cost",
        ),
    ] = False
    record_to: Annotated[
        File,
        Option(
            "FILE.pcapng[.zst]",
            "Record all traffic into a new file, compressed if its name ends in .zst; or into files in a directory.",
            page="[record](../data.md#record) into a new file, compressed if its name ends in `.zst`; or into files in a "
            "directory",
            flags=("--write", "-w"),
        ),
    ] = Given(None, FromText(recording_path))
    record_rotate: Annotated[
        Several,
        Option(
            "SIZE|TIME",
            "Begin the next file at 1gb, or after 10m; may be given twice, one of each.",
            page="[begin the next file](../data.md#rotate) at `1gb` (`4kb` at least), or after `10m`; may be given "
            "twice, one of each",
            flags=("--rotate",),
        ),
    ] = Given((), FromWords())
    record_keep: Annotated[
        Several,
        Option(
            "SIZE|TIME",
            "Delete the oldest of these files: beyond 50gb in all, or 7d old.",
            page="delete the oldest of these files: beyond `50gb` in all, or when `7d` old; may be given twice, one of "
            "each",
            flags=("--keep",),
        ),
    ] = Given((), FromWords())
    record_on_rotate: Annotated[
        str | None,
        Option(
            "CMD",
            'Hand every finished file of the recording to this shell command, as "$1".',
            page="[hand every finished file](../data.md#hand-finished-files-over) of the recording to this shell "
            'command, as `"$1"`: at least once, tried again until it succeeds',
            flags=("--on-rotate",),
        ),
    ] = None
    record_sync: Annotated[
        Sync,
        Option(
            "",
            "When a recording is forced to the disk: never, once a second (default), with every write.",
            page="when a recording is forced to the disk: never, once a second (the default), with every write",
            flags=("--sync",),
        ),
    ] = "interval"
    record_without_rdb: Annotated[
        bool,
        Option(
            "", "Leave the payload of full resyncs out of the recording.", flags=("--without-rdb",), needs_parsing=True
        ),
    ] = False
    record_redact: Annotated[
        Given[str | Iterable[str], tuple[Redact, ...]],
        Option(
            "values|keys",
            "Replace values, or keys, in the recording; may be repeated for both. Implies --without-rdb.",
            page="[replace values, or keys](../data.md#without-the-data), in the recording; both may be given; the "
            "payload of full resyncs is left out, too",
            flags=("--redact",),
            needs_parsing=True,
        ),
    ] = Given((), FromWords())
    keylog: Annotated[
        File,
        Option("FILE", "Append the secrets of TLS connections, for Wireshark.", topic="tls", environment="SSLKEYLOGFILE"),
    ] = Given(None, FromText(Path))
    statsd: Annotated[
        Given[Address | str | None, Address | None],
        Option(
            "HOST:PORT",
            f"Send figures to a StatsD, once a second over UDP; port {STATSD_PORT} if not given.",
            page=f"send [metrics](metrics.md) to a StatsD, once a second over UDP; port {STATSD_PORT} if not given",
            topic="observers",
        ),
    ] = Given(None, FromText(statsd_address))
    statsd_tags: Annotated[
        StatsdTags,
        Option(
            "",
            "Tag each figure with link, replica and the like, in the form of the Datadog agent or of Telegraf.",
            page="[tag](metrics.md#statsd) each figure with link, replica and the like, in the form of the Datadog agent "
            "or of Telegraf",
            topic="observers",
            needs="statsd",
        ),
    ] = "none"
    script: Annotated[
        File,
        Option(
            "FILE.py",
            "Call this file's on_full_resync(told), or any other event's on_EVENT.",
            page="call [your own functions](../operate.md#in-a-script-of-yours) with what happens",
            topic="observers",
        ),
    ] = Given(None, FromText(Path))
    api: Annotated[
        Given[Address | str | None, Address | None],
        Option(
            "HOST:PORT|unix:PATH",
            "Answer an HTTP API here: state, events, faults. Beyond this machine it needs REDIS_TAP_API_TOKEN.",
            page=f"answer an [HTTP API](../control.md) here, port {API_PORT} if not given: state, events, faults; beyond "
            "this machine it needs a token in the environment's `REDIS_TAP_API_TOKEN`",
            topic="observers",
        ),
    ] = Given(None, FromText(api_address))
    api_cert: Annotated[
        File,
        Option(
            "FILE.pem",
            "The API speaks TLS; its certificate.",
            topic="tls",
            needs="api",
        ),
    ] = Given(None, FromText(Path))
    api_key: Annotated[
        File,
        Option(
            "FILE.pem",
            "The key of the API's certificate; in the same file if not given.",
            page="the key of `--api-cert`; in the same file if not given",
            topic="tls",
            needs="api_cert",
        ),
    ] = Given(None, FromText(Path))
    api_cacert: Annotated[
        File,
        Option("FILE.pem", "Require certificates of this CA from the API's clients.", topic="tls", needs="api_cert"),
    ] = Given(None, FromText(Path))
    connect_timeout: Annotated[
        Time,
        Option("TIME", "How long a dial, and a TLS handshake, may take: 10s by default.", on_command_line=False),
    ] = Given(10.0, FromText(parse_duration))
    drain_timeout: Annotated[
        Time,
        Option(
            "TIME",
            "How long bytes may wait for one side after the other has gone: 60s by default.",
            on_command_line=False,
        ),
    ] = Given(60.0, FromText(parse_duration))

    def __post_init__(self) -> None:
        check_words(self)
        if not isinstance(self.seed, int):
            raise ConfigError(f"seed {self.seed!r}: a whole number is expected")
        if self.connect_timeout <= 0 or self.drain_timeout <= 0:
            raise ConfigError("connect_timeout and drain_timeout must be greater than 0, as 10s")
        for name, most in (
            ("max_connections", self.max_connections),
            ("max_connections_per_address", self.max_connections_per_address),
        ):
            if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
                raise ConfigError(f"{name} {most!r}: a number of connections is expected, 1 or more")
        self._check_needs()
        patterns(self.groups)
        rotate = Limits.parse(self.record_rotate)
        if rotate.size is not None and rotate.size < SMALLEST_FILE:
            raise ConfigError(
                f"--rotate {rotate.size}b: every file begins with the state of each link, so give {SMALLEST_FILE}b or "
                "more; 1gb is usual"
            )
        rotates = bool(rotate) or (self.record_to is not None and self.record_to.is_dir())
        if rotates and self.record_to is None:
            raise ConfigError("--rotate says when a recording begins its next file, but -w FILE.pcapng is missing")
        if Limits.parse(self.record_keep) and not rotates:
            raise ConfigError(
                "--keep deletes the oldest files of a rotation, but nothing is rotated: give --rotate, as --rotate 1gb"
            )
        if self.record_on_rotate is not None and self.record_to is None:
            raise ConfigError("--on-rotate takes the files of a recording, but -w FILE.pcapng is missing")
        for one in self.record_redact:
            if one not in get_args(Redact):
                raise ConfigError(f"--redact {one}: values or keys can be redacted; give the option twice for both")
        if self.record_redact and self.record_to is None:
            raise ConfigError("--redact is for a recording: give -w FILE.pcapng, too")
        self._check_opaque()
        for link in self.links:
            rules = self.alerts_of(link)
            asks = [one for one in self.links if one.inspect is not None and (one is link or link.alerts is None)]
            if not asks and any(one.lower().startswith("buffer") for one in rules):
                raise ConfigError(f"link {link.name}: only the master knows its output buffer: give --inspect URL, too")
        for name, count in Counter(link.name for link in self.links).items():
            if count > 1:
                raise ConfigError(f"two links are named {name!r}; give each its own name")
        listening = [link for link in self.links if link.enabled and link.listen.port]
        masters = {link.listen: link.master for link in listening if link.master is not None}
        for first in masters:
            seen, at = [first], masters[first]
            while at in masters and at not in seen:
                seen.append(at)
                at = masters[at]
            if at in seen:
                raise ConfigError(f"a loop: a connection to {first} would be forwarded to {at} again and again")
        for listen, count in Counter(str(link.listen) for link in listening).items():
            if count > 1:
                raise ConfigError(f"two links listen on {listen}; give each its own port")

    def check_has_link(self) -> None:
        """Raise ConfigError for a tap that would carry nothing: no link, and no API that could add one."""
        if not self.links and self.api is None:
            raise ConfigError(
                "no link: give --master HOST:PORT, --transparent, --link NAME=LISTEN->MASTER or --config FILE.toml"
            )

    def _check_needs(self) -> None:
        """Raise ConfigError for an option without the one that it needs."""
        flags = {one.name: one.flags[0] for one in declared(Config)}
        usual = {one.name: one.default for one in fields(Config)}
        for one in declared(Config):
            is_given = getattr(self, one.name) not in (None, False, usual[one.name])
            if one.option.needs and is_given and not getattr(self, one.option.needs):
                raise ConfigError(f"{flags[one.name]} has no effect without {flags[one.option.needs]}")
        if self.api is not None and self.api.path and self.api_cert is not None:
            raise ConfigError(f"{self.api} is a Unix socket, and the API speaks no TLS there: leave --api-cert out")

    def _check_opaque(self) -> None:
        """Raise ConfigError for an option that needs parsing; tap.faults.Plan checks the faults."""
        for said in self._parsing(self) if self.opaque else ():
            raise ConfigError(f"{said} needs to parse the traffic, and --opaque parses nothing")
        for link in self.links:
            if not self.is_opaque(link):
                continue
            for said in (*self._parsing(link), *self._parsing(self, "record_")):
                by = "--opaque parses nothing" if self.opaque else f"link {link.name} is opaque"
                raise ConfigError(f"{said} needs to parse the traffic, and {by}")

    @staticmethod
    def _parsing(holder: "Config | LinkConfig", prefix: str = "") -> list[str]:
        """The options in use that need parsing, as a user writes them; only those whose names begin with the prefix."""
        cls: type = type(holder)
        options = [one for one in declared(cls) if one.name.startswith(prefix)]
        return [said for one in options if (said := one.if_needs_parsing(getattr(holder, one.name)))]

    def is_opaque(self, link: LinkConfig) -> bool:
        """Whether the tap parses nothing of this link."""
        return self.opaque if link.opaque is None else link.opaque

    def alerts_of(self, link: LinkConfig) -> tuple[str, ...]:
        """The rules that apply to this link."""
        if link.alerts is not None:
            return link.alerts
        return () if self.is_opaque(link) else self.alerts


def of_a_tap(given: "Config | Address | Url | str | int | None", options: Mapping[str, Any]) -> Config:
    """The Config from Tap()'s arguments: a Config, or the master of the only link with options of both classes.

    Raises ConfigError, and TypeError for an unknown option.
    """
    if isinstance(given, Config):
        if options:
            raise TypeError(f"a Tap takes a Config or options: put {', '.join(options)} into the Config")
        return given
    of_config = {one.name for one in fields(Config)}
    of_link = {one.name for one in fields(LinkConfig)} - of_config
    refuse("a Tap", options, ["master", *sorted((of_link | of_config) - {"master"})], ELSEWHERE)
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
