"""The state file of an attach: how to give a replica back to its master, whatever has become of the process.

It is written before the first change to the replica and removed after the last one. Each version is written aside, forced
to the disk and moved into place, so that a reader finds a whole file at any moment. The process keeps the file locked
(flock) as long as it lives: a file that is not locked was left by a process that was killed. It holds no password.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from tap.errors import ConfigError, EnvironmentFailure, words
from tap.paths import is_locked, state_directory, sync_directory
from tap.url import Address, Url

FORMAT = 1
_PATHS = ("cacert", "cert", "key")


@dataclass(frozen=True, slots=True)
class AttachState:
    """replica: without its password. has_login: whether it had one. master: which the replica followed, as it names it.
    tap: what it follows now. pid: of the process. step: the last one that the process began, for people.
    """

    replica: Url
    has_login: bool
    master: Address
    tap: Address
    pid: int = field(default_factory=os.getpid)
    step: str = "noted"

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises FileNotFoundError if there is no file, ConfigError if the file cannot be read or is not such a state."""
        try:
            found = json.loads(path.read_bytes())
            if found["redis_tap_attach"] != FORMAT:
                raise ConfigError(f"{path}: written by another version of redis-tap, which can read it")
            return cls(
                _url(found["replica"]),
                bool(found["replica"]["has_login"]),
                _address(found["master"]),
                _address(found["tap"]),
                int(found["pid"]),
                str(found["step"]),
            )
        except FileNotFoundError:
            raise
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            said = words(error) if isinstance(error, OSError) else "not the state of an attach"
            raise ConfigError(f"{path}: {said}") from None

    def as_json(self) -> bytes:
        replica = _of_address(self.replica.address) | {
            "tls": self.replica.tls,
            "tls_options": {
                name: str(value) if name in _PATHS else value for name, value in self.replica.tls_options.items()
            },
            "username": self.replica.username,
            "has_login": self.has_login,
        }
        said = {
            "redis_tap_attach": FORMAT,
            "replica": replica,
            "master": _of_address(self.master),
            "tap": _of_address(self.tap),
            "pid": self.pid,
            "step": self.step,
        }
        return json.dumps(said, indent=2).encode() + b"\n"


class StateFile:
    """The state file of this process, from begin() to remove(). state: what it holds."""

    def __init__(self, path: Path, state: AttachState) -> None:
        self.path = path
        self.state = state
        self._locked = -1

    @classmethod
    def begin(cls, path: Path, state: AttachState) -> Self:
        """Write a new file. Raises ConfigError if there is one, and EnvironmentFailure if it cannot be written."""
        one = cls(path, state)
        one._write(os.link)  # which fails if the file exists
        return one

    def step(self, name: str) -> None:
        """Note what begins now. Raises EnvironmentFailure."""
        self.state = replace(self.state, step=name)
        self._write(os.replace)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Leave the file, unlocked."""
        if self._locked >= 0:
            os.close(self._locked)
            self._locked = -1

    def _write(self, into_place: Any) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        except OSError as error:
            raise EnvironmentFailure(f"{self.path}: {words(error)}") from None
        try:
            fcntl.flock(number, fcntl.LOCK_EX)  # before the file gets its name, so that it is never seen unlocked
            os.write(number, self.state.as_json())
            os.fsync(number)
            into_place(name, self.path)
            sync_directory(self.path.parent)
        except FileExistsError:
            os.close(number)
            refuse_second(self.path)
            raise EnvironmentFailure(f"{self.path}: another attach has just ended; try again") from None
        except OSError as error:
            os.close(number)
            raise EnvironmentFailure(f"{self.path}: {words(error)}") from None
        finally:
            Path(name).unlink(missing_ok=True)
        self.close()
        self._locked = number


def state_path(replica: Url, environment: Mapping[str, str] = os.environ) -> Path:
    """Where the state of an attach to this replica is kept if the user names no file."""
    name = re.sub(r"[^A-Za-z0-9.-]", "_", str(replica.address).removeprefix("unix:/"))
    return state_directory(environment) / f"attach-{name}.json"


def is_there(path: Path) -> bool:
    return path.exists()


def forget(path: Path) -> None:
    """Remove a file that a killed process left."""
    path.unlink(missing_ok=True)


def refuse_second(path: Path) -> None:
    """Raise ConfigError if there is a state already."""
    if is_locked(path):
        raise ConfigError(f"{path}: redis-tap is already attached to this replica; redis-tap detach {path} ends that")
    if path.exists():
        raise ConfigError(
            f"{path}: an attach to this replica was killed and left this file; redis-tap detach {path} gives the replica "
            "back"
        )


def _of_address(address: Address) -> dict[str, Any]:
    return {"path": address.path} if address.path else {"host": address.host, "port": address.port}


def _address(found: Mapping[str, Any]) -> Address:
    return Address(path=str(found["path"])) if "path" in found else Address(str(found["host"]), int(found["port"]))


def _url(found: Mapping[str, Any]) -> Url:
    options = {name: Path(value) if name in _PATHS else value for name, value in found["tls_options"].items()}
    return Url(_address(found), bool(found["tls"]), username=str(found["username"]), tls_options=options)
