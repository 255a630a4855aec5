"""A scenario as its author writes it: one TOML file, read aloud from top to bottom.

    title = "The link is cut in the middle of a command"
    why = "The replica drops the half it has, and asks for that command again: a partial resync."

    both = { repl-timeout = 10 }                  # options of the servers; also master, replica
    workload = { rate = 500, preload = "1mb" }    # what is written while the steps run

    steps = [
      { fault = "cut at=offset:+100kb edge=byte mode=reset" },
      { wait = "fault_fired" },
      { wait = "partial_resync", within = "10s" },
    ]

    [expect]
    resync = "partial"

    [expect.on."Valkey < 8"]                      # different expectations there
    resync = "full"

Unless a step attaches the replica, it follows the master through the tap, level with it, before the first step. This
module only reads scenarios; experiment.py carries them out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, StrictBool, model_validator

from tap import faults, toml
from tap.conditions import check as check_where
from tap.errors import ConfigError, did_you_mean
from tap.replication.events import EVENTS
from tap.replication.reasons import CODES
from tap.scenario.actions import Action
from tap.scenario.versions import Servers
from tap.toml import Table, parsed
from tap.units import parse_duration, parse_size

LIBRARY = Path(__file__).parent / "library"
TABLE = 'workload = { rate = 500 } or [expect] with resync = "partial"'  # an example, for mistakes

# What a step can wait for besides events.
CONDITIONS = {
    "level": "the replica has applied all that the master had written when the waiting began, and the link is up",
    "link_up": "the replica says that its link is up",
    "link_down": "the replica says that its link is down",
    "replica_exits": "the replica's process has ended",
    "no_replica": "the master counts no replica",
    "writes_refused": "the master refuses a write (min-replicas-to-write)",
    "writes_taken": "the master takes a write",
}

Seconds = Annotated[float, parsed(parse_duration)]
Pattern = Annotated[Servers, parsed(Servers.parse)]


def _option(value: Any) -> str:
    """The value as redis.conf spells it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, str | int):
        raise ValueError("text, a number, true or false is expected, as in redis.conf")
    return str(value)


def _list(value: Any) -> Any:
    """Accept a single value for a list of one."""
    return value if isinstance(value, list) else [value]


def _reason(text: str) -> str:
    if text not in CODES:
        raise ConfigError(f"unknown reason {text!r}; known: {', '.join(CODES)}.{did_you_mean(text, CODES)}")
    return text


def _fault(spec: str) -> str:
    faults.parse(spec)
    return spec


def _waited_for(text: str) -> str:
    known = (*CONDITIONS, *EVENTS)
    if text not in known:
        raise ConfigError(
            f"nothing called {text!r} can be waited for; conditions: {', '.join(CONDITIONS)}; events: "
            f"{', '.join(EVENTS)}.{did_you_mean(text, known)}"
        )
    return text


def _offset(text: str) -> int | str:
    if text in ("fault", "acked"):
        return text
    if re.fullmatch(r"[0-9]{1,19}", text):
        return int(text)
    raise ConfigError(
        f"{text!r} is not an offset: write a number, 'fault' (where the first fault fired) or 'acked' (what the replica "
        "had acknowledged then)"
    )


Options = dict[str, Annotated[str, BeforeValidator(_option)]]


class WorkloadTable(Table):
    """What is written. rate: commands per second. preload: bytes of values written before the replica follows."""

    kind: Literal["mixed", "none"] = "mixed"
    rate: Annotated[int, Field(ge=1, le=100_000)] = 300
    preload: Annotated[int, parsed(parse_size)] = 256 * 1024


class Step(Table):
    """One of fault, remove, do and wait.

    fault: a spec, armed from here on. remove: the name of a fault that ends here. wait: an event, counted from the one
    that the last wait found, or one of CONDITIONS. within: seconds. where: fields of the event, dotted if nested. times:
    the number of such events. only: the servers on which to take the step; it is skipped on others.
    """

    fault: Annotated[str, parsed(_fault)] | None = None
    remove: str | None = None
    do: Annotated[Action, parsed(Action.parse)] | None = None
    wait: Annotated[str, parsed(_waited_for)] | None = None
    within: Seconds = 20.0
    where: dict[str, str | int | float | bool] = Field(default_factory=dict)
    times: Annotated[int, Field(ge=1)] = 1
    only: Pattern | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        things = [name for name in ("fault", "remove", "do", "wait") if getattr(self, name) is not None]
        if len(things) != 1:
            found = " and ".join(things) or "none"
            raise ValueError(f"one of fault, remove, do, wait is expected; {found} found")
        for name in ("within", "where", "times"):
            if name in self.model_fields_set and (self.wait is None or (name != "within" and self.wait in CONDITIONS)):
                raise ValueError(f"{name} belongs to a wait{'' if name == 'within' else ' for an event'}")
        if self.where:
            assert self.wait is not None
            try:
                check_where(EVENTS[self.wait], self.where)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return self

    def __str__(self) -> str:
        if self.fault is not None:
            return f"fault {self.fault}"
        if self.remove is not None:
            return f"remove {self.remove}"
        if self.do is not None:
            return self.do.text
        times = f" {self.times} times" if self.times > 1 else ""
        where = "".join(f" {name}={value}" for name, value in self.where.items())
        return f"wait for {self.wait}{where}{times}"


class _Expectations(Table):
    """What must be true in the end.

    resync: the resyncs since the first step. "partial": only partial ones, at least one; "full": the last one was full;
    "none": none at all. reason: of the last full resync. max_full: maximum number of full resyncs.
    within: maximum time without a stream, in seconds.
    converged: both data sets are equal or, if false, differ for good.
    acked_offset: the replica's offset compared with the master's, once their difference no longer changes.
    link_up: whether the replica says that its link is up, and the tap agrees.
    no_data_loss_before_offset: every write up to this offset is on both servers.
    replica_exits: the replica's process ends by itself; expectations that need a living replica are then not judged.
    zombie: the link is up and accepts bytes, but none of them is applied or acknowledged.
    refused_writes: whether the master refused any write for lack of replicas.
    settle: seconds to wait for all this to become true.
    """

    resync: Literal["partial", "full", "none"] | None = None
    reason: Annotated[tuple[Annotated[str, parsed(_reason)], ...], BeforeValidator(_list)] = ()
    max_full: Annotated[int, Field(ge=0)] | None = None
    within: Seconds | None = None
    converged: StrictBool = True
    acked_offset: Literal["level", "behind", "ahead"] | None = None
    link_up: StrictBool = True
    no_data_loss_before_offset: Annotated[int | str, parsed(_offset)] | None = None
    replica_exits: StrictBool = False
    zombie: StrictBool = False
    refused_writes: StrictBool | None = None
    settle: Seconds = 20.0


class Expect(_Expectations):
    """on: different expectations for some servers; of several that match, the later ones win."""

    on: dict[Pattern, _Expectations] = Field(default_factory=dict)

    def at(self, server: str) -> Expect:
        """The expectations for that server. server: as "Redis 7.0.15"."""
        merged = self
        for servers, other in self.on.items():
            if servers.match(server):
                merged = merged.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})
        return merged


class Scenario(Table):
    """One experiment. why: what healthy servers do, and why. servers: where it makes sense; everywhere if empty."""

    name: str = ""
    title: str
    why: str = ""
    servers: Annotated[tuple[Pattern, ...], BeforeValidator(_list)] = ()
    master: Options = Field(default_factory=dict)
    replica: Options = Field(default_factory=dict)
    both: Options = Field(default_factory=dict)
    workload: WorkloadTable = WorkloadTable()
    steps: tuple[Step, ...]
    expect: Expect = Expect()
    _source: str = PrivateAttr("")

    @model_validator(mode="after")
    def _does_something(self) -> Scenario:
        if not self.steps and not self.expect.model_fields_set:
            raise ValueError("no step and no expectation: there is nothing to do, and nothing to judge")
        return self

    @property
    def source(self) -> str:
        """How the command line names the scenario: by its name in the library, or by its file."""
        return self._source

    def fits(self, server: str) -> bool:
        return not self.servers or any(pattern.match(server) for pattern in self.servers)

    @property
    def attaches(self) -> bool:
        """Whether a step attaches the replica, so that it does not follow from the start."""
        return self.does("attach")

    def does(self, verb: str) -> bool:
        """Whether a step does that."""
        return any(step.do is not None and step.do.verb == verb for step in self.steps)


def load(path: Path) -> Scenario:
    """Read a scenario. Raises ConfigError naming file, line and key."""
    scenario = toml.load(path, Scenario, table=TABLE)
    armed = {faults.parse(step.fault).scope.name for step in scenario.steps if step.fault} - {""}
    for number, step in enumerate(scenario.steps):
        if step.remove is not None and step.remove not in armed:
            line = toml.line_of(["steps", number, "remove"], path.read_text(encoding="utf-8-sig"))
            raise ConfigError(
                f"{path}, line {line}: step {number + 1}, remove: no fault is named {step.remove!r}; "
                f"named: {', '.join(sorted(armed)) or 'none'}.{did_you_mean(step.remove, armed)}"
            )
    in_library = path.parent == LIBRARY
    named = scenario.model_copy(update={"name": scenario.name or path.stem})
    named._source = path.stem if in_library else str(path)
    return named


def library() -> list[Scenario]:
    """The scenarios that come with redis-tap, by name."""
    return [load(path) for path in sorted(LIBRARY.glob("*.toml"))]


def find(text: str) -> Scenario:
    """The scenario of a file, or of the library by its name. Raises ConfigError."""
    if text.endswith(".toml") or "/" in text:
        return load(Path(text))
    path = LIBRARY / f"{text}.toml"
    if path.is_file():
        return load(path)
    known = sorted(path.stem for path in LIBRARY.glob("*.toml"))
    raise ConfigError(
        f"no scenario is called {text!r}; give a file that ends in .toml, or a name from redis-tap chaos --list."
        f"{did_you_mean(text, known)}"
    )
