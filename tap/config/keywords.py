"""The keywords of Tap(): those of a LinkConfig and of a Config together, for editors and type checkers.

Written by `python -m tests.declared`. Change the declarations in config.py and link_config.py, not this file.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypedDict

from tap.config.link_config import LinkConfig
from tap.url import Address, Url


class Keywords(TypedDict, total=False):
    master: Address | Url | str | int | None
    """The real master; also unix:/PATH, or rediss://HOST:PORT for TLS."""
    listen: Address | Url | str | int
    """Where replicas connect; *:PORT: on every address; a free port on 127.0.0.1 if not given."""
    transparent: bool
    """Accept connections that iptables or nftables redirects, each for the master it was meant for; listens on *:6400
    unless --listen says otherwise. Linux only."""
    name: str
    """The name of the link, in events and faults."""
    enabled: bool
    """Whether the link listens; false keeps it for later."""
    opaque: bool
    """Parse nothing: relay only, at the least cost."""
    announce: Literal["keep", "tap"]
    """At which address masters see a replica: keep: its own; tap: the tap's, the default."""
    mask: str | Iterable[str]
    """Hide this capability of replicas from masters. May be repeated."""
    alerts: str | Iterable[str]
    """Report when a figure passes a limit, and when it is back: 'lag > 10s', 'silence > 5s for 30s'."""
    inspect: Url | str | None
    """Ask this link's master about itself, once a second: its offset, backlog, output buffers and limits."""
    tls: bool
    """Use TLS towards the master, and verify its certificate."""
    cacert: Path | str | None
    """The CA of the master's certificate; those of the system if not given."""
    cert: Path | str | None
    """The tap's certificate, for a master that requires one."""
    key: Path | str | None
    """The key of the certificate for the master; in the same file if not given."""
    sni: str | None
    """The master's name, to ask for and to verify; the host that is dialled if not given."""
    insecure: bool
    """Do not verify the master's certificate."""
    listen_cert: Path | str | None
    """Replicas connect over TLS; the tap's certificate for them."""
    listen_key: Path | str | None
    """The key of the certificate for replicas; in the same file if not given."""
    listen_cacert: Path | str | None
    """Require certificates of this CA from replicas."""
    links: (
        LinkConfig | str | Iterable[LinkConfig | str] | Mapping[str, LinkConfig | Address | Url | str | Mapping[str, Any]]
    )
    """One of many links, in quotes. May be repeated."""
    ui: Literal["auto", "live", "log", "json", "none"]
    """live: a full screen. log: a line per event worth a journal. json: a line per event on stdout. auto: live on a
    terminal, log otherwise."""
    every_command: bool
    """Report every command of the stream."""
    every_key: bool
    """Report every key of an RDB."""
    duration: float | str | None
    """End after this time: 30s, 10m, 2h."""
    faults: str | Iterable[str]
    """What goes wrong on purpose: 'cut at=rdb:50%'; see redis-tap faults."""
    groups: str | Iterable[str]
    """Count these keys together in the live view: 'session:*'; groups are found if not given. May be repeated."""
    seed: int
    """Decides every random choice of the faults."""
    max_connections: int
    """Refuse more connections at once, 10000 by default; known replicas still get in."""
    max_connections_per_address: int | None
    """Refuse more of one client address, or IPv6 /64, at once; no limit."""
    destructive: bool
    """Allow faults that end a server process."""
    read_only: bool
    """Accept no fault from anywhere."""
    record_to: Path | str | None
    """Record all traffic into a new file, compressed if its name ends in .zst; or into files in a directory."""
    record_rotate: str | Iterable[str]
    """Begin the next file at 1gb, or after 10m; may be given twice, one of each."""
    record_keep: str | Iterable[str]
    """Delete the oldest of these files: beyond 50gb in all, or 7d old."""
    record_on_rotate: str | None
    """Hand every finished file of the recording to this shell command, as "$1"."""
    record_sync: Literal["none", "interval", "always"]
    """When a recording is forced to the disk: never, once a second (default), with every write."""
    record_without_rdb: bool
    """Leave the payload of full resyncs out of the recording."""
    record_redact: str | Iterable[str]
    """Replace values, or keys, in the recording; may be repeated for both. Implies --without-rdb."""
    keylog: Path | str | None
    """Append the secrets of TLS connections, for Wireshark."""
    statsd: Address | str | None
    """Send figures to a StatsD, once a second over UDP; port 8125 if not given."""
    statsd_tags: Literal["none", "datadog", "influx"]
    """Tag each figure with link, replica and the like, in the form of the Datadog agent or of Telegraf."""
    script: Path | str | None
    """Call this file's on_full_resync(told), or any other event's on_EVENT."""
    api: Address | str | None
    """Answer an HTTP API here: state, events, faults. Beyond this machine it needs REDIS_TAP_API_TOKEN."""
    api_cert: Path | str | None
    """The API speaks TLS; its certificate."""
    api_key: Path | str | None
    """The key of the API's certificate; in the same file if not given."""
    api_cacert: Path | str | None
    """Require certificates of this CA from the API's clients."""
    connect_timeout: float | str
    """How long a dial, and a TLS handshake, may take: 10s by default."""
    drain_timeout: float | str
    """How long bytes may wait for one side after the other has gone: 60s by default."""
