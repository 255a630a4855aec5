"""What a user compares: how the two arguments of a comparison are written.

redis://HOST:PORT, rediss://..., unix://..., HOST:PORT, PORT   a server
dump.rdb                          an RDB, also compressed with gzip or zstd
appendonlydir/, appendonly.aof    an append-only file: multi-part, or one file
day.pcapng, day/                  a recording, at its end
day/@2026-01-31T12:00:04          a recording at a moment: a time or a replication offset
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tap.capture.content import Damaged, content
from tap.errors import ConfigError, words
from tap.recording import moments
from tap.recording.moments import Moment
from tap.url import SCHEMES, Url

MAGIC = (b"REDIS", b"VALKEY")
APPEND_ONLY = "appendonlydir"  # as a server names the directory if it is not configured otherwise
FORMS = (
    "write a server, as redis://HOST:PORT or HOST:PORT, or the path of an RDB, of an append-only file or its directory, "
    "or of a recording, as day.pcapng or day/@2026-01-31T12:00:04"
)


@dataclass(frozen=True, slots=True)
class Live:
    """A server."""

    url: Url


@dataclass(frozen=True, slots=True)
class RdbFile:
    path: Path


@dataclass(frozen=True, slots=True)
class AppendOnly:
    """files: the base, if there is one, and the increments, in order."""

    path: Path
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """moment: None for the end."""

    path: Path
    moment: Moment | None


DataSet = Live | RdbFile | AppendOnly | Recorded


def parse(text: str) -> DataSet:
    """Read an argument. Raises ConfigError for a file that is not there, RecordingError for one that cannot be read."""
    scheme, mark, _ = text.partition("://")
    if (mark and scheme.lower() in SCHEMES) or text.lower().startswith("unix:"):
        return Live(Url.parse(text))
    path = Path(text)
    if path.exists():
        return _of_path(path)
    before, at, moment = text.rpartition("@")
    if at and Path(before).exists():
        return _recorded(Path(before), moment)
    if mark and "/" not in scheme:
        return Live(Url.parse(text))  # which refuses the scheme
    if "/" in text or path.suffix in (".rdb", ".aof", ".pcapng", ".pcap", ".gz", ".zst"):
        raise ConfigError(f"{text}: No such file or directory" if "@" not in text else f"no such file; {FORMS}")
    try:
        return Live(Url.parse(text))
    except ConfigError:
        raise ConfigError(f"{text!r} is neither a file nor a server: {FORMS}" if "@" not in text else FORMS) from None


def _of_path(path: Path) -> DataSet:
    if path.is_socket():
        return Live(Url.parse(str(path.absolute())))
    if path.is_dir():
        return _of_directory(path)
    head = head_of(path)
    if path.suffix == ".aof" or head[:1] in (b"*", b"#"):
        return AppendOnly(path, (path,))
    if head.startswith(MAGIC):
        return RdbFile(path)
    return Recorded(path, None)


def _of_directory(path: Path) -> DataSet:
    for directory in (path, path / APPEND_ONLY):
        manifests = sorted(directory.glob("*.manifest")) if directory.is_dir() else []
        if len(manifests) > 1:
            raise ConfigError(f"{directory}: several append-only files: {', '.join(one.name for one in manifests)}")
        if manifests:
            return AppendOnly(directory, _in_manifest(manifests[0]))
    return Recorded(path, None)


def _in_manifest(manifest: Path) -> tuple[Path, ...]:
    """The files that a server would load: the base and the increments. Source: Redis 7.0 aof.c, aofManifest."""
    found = []
    try:
        lines = manifest.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        raise ConfigError(f"{manifest}: {words(error)}") from None
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            said = shlex.split(line)
        except ValueError:
            said = []
        facts = dict(zip(said[::2], said[1::2], strict=False))
        if "file" not in facts or facts.get("type") not in ("b", "i", "h"):
            raise ConfigError(f"{manifest}: line {number} is not one of an append-only file's manifest")
        if facts["type"] != "h":
            found.append((facts["type"], manifest.parent / Path(facts["file"]).name))
    files = tuple(path for kind in ("b", "i") for one, path in found if one == kind)
    for path in files:
        if not path.exists():
            raise ConfigError(f"{path}: no such file, although {manifest.name} names it")
    return files


def _recorded(path: Path, text: str) -> Recorded:
    if not isinstance(_of_path(path), Recorded):
        raise ConfigError(f"{path}: only a recording has several moments; leave out @{text}")
    try:
        meant = moments.parse(text, lambda: moments.length([path]))
    except ConfigError as error:
        raise ConfigError(f"{path}@{text}: {error}") from None
    if meant is None:
        raise ConfigError(f"{path}: there is nothing in it")
    return Recorded(path, meant.moment)


def head_of(path: Path) -> bytes:
    """The first bytes of a file, decompressed. Raises RecordingError if it cannot be opened."""
    try:
        return next(chunks_of(path), b"")[:16]
    except Damaged:
        return b""


def chunks_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, decompressed."""
    return content(path, str(path), None, False, lambda _: None)
