"""One link as Toxiproxy sees it: a proxy with toxics."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tap.control.fault_routes import MOST
from tap.control.toxiproxy.listen_address import shown, upstream_address
from tap.control.toxiproxy.request_body import Fields, ToxiproxyError, bad_body, plain
from tap.control.toxiproxy.toxic_types import TOXIC_TYPES, ToxicType
from tap.errors import ConfigError
from tap.faults.armed import Armed
from tap.faults.fault import Fault
from tap.faults.plan import Plan
from tap.faults.scope import Scope
from tap.faults.when import When
from tap.relay.listener import Listener
from tap.replication.events import Side
from tap.url import Address

# By stream: the side whose bytes a toxic sees. In lists, upstream toxics come first.
STREAMS = {"upstream": Side.REPLICA, "downstream": Side.MASTER}


@dataclass
class Toxic:
    """stream: as written in the request. armed: the fault; None of a type that does nothing."""

    name: str
    type_name: str
    stream: str
    toxicity: float
    attributes: dict[str, float]
    armed: Armed | None = None

    @property
    def type(self) -> ToxicType:
        return TOXIC_TYPES[self.type_name]

    @property
    def side(self) -> Side:
        return STREAMS[self.stream.lower()]

    @property
    def is_there(self) -> bool:
        """Whether its fault has not been removed by other means."""
        return self.armed is None or not self.armed.is_over

    def as_dict(self) -> dict[str, Any]:
        return {
            "attributes": self.attributes,
            "name": self.name,
            "type": self.type_name,
            "stream": self.stream,
            "toxicity": plain(self.toxicity),
        }

    def fault(self, link: str, name: str) -> Fault | None:
        """The fault that it is, of this link and with this name; None if it does nothing."""
        if self.type.fault is None:
            return None
        what, words = self.type.fault(self.attributes)
        chance = None if self.toxicity >= 1 else max(0.0, self.toxicity)
        spec = f"{words} from={self.side.value} link={shlex.quote(link)} name={shlex.quote(name)}"
        if chance is not None:
            spec += f" probability={chance:g}"
        return Fault(what, When(probability=chance), Scope(side=self.side, link=link, name=name), spec)


@dataclass(frozen=True)
class Addresses:
    """Those of a link, and as they are written. See Proxy."""

    listen: Address
    master: Address | None
    asked_listen: str | None
    upstream: str


class Proxy:
    """A link. The link itself is changed by proxies.py; here are its toxics, and what the link does not know of itself.

    changing: held while the link is changed, by one request after the other. asked_listen: where it is to listen, as
    written; None once it has listened there, and thus has an actual address.
    """

    def __init__(self, listener: Listener, plan: Plan, *, asked_listen: str | None = None, upstream: str = "") -> None:
        """upstream: as written; "" for that of the link."""
        self.listener = listener
        self.changing = asyncio.Lock()
        self.asked_listen = asked_listen
        self._upstream = upstream
        self._plan = plan
        self._toxics: list[Toxic] = []  # as added

    @property
    def name(self) -> str:
        return self.listener.config.name

    @property
    def is_enabled(self) -> bool:
        return self.listener.config.enabled

    @property
    def listen(self) -> str:
        """The actual address; as written if it has never listened."""
        return shown(self.listener.address) if self.asked_listen is None else self.asked_listen

    @property
    def upstream(self) -> str:
        """As written, unless the link's master has been changed by other means."""
        master = self.listener.config.master
        if self._upstream and upstream_address(self._upstream) == master:
            return self._upstream
        return str(master or Address())

    def set_upstream(self, text: str) -> None:
        self._upstream = text

    @property
    def addresses(self) -> Addresses:
        """For restore()."""
        return Addresses(self.listener.address, self.listener.config.master, self.asked_listen, self._upstream)

    def restore(self, before: Addresses) -> None:
        """The link has been given these addresses again."""
        self.asked_listen, self._upstream = before.asked_listen, before.upstream

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.is_enabled,
            "toxics": [one.as_dict() for one in self.toxics],
        }

    # ---- toxics ----

    @property
    def toxics(self) -> Sequence[Toxic]:
        """Those that act on what the client sends, then the others; each in the order in which they were added."""
        self._toxics = [one for one in self._toxics if one.is_there]
        return sorted(self._toxics, key=lambda one: one.side is Side.MASTER)

    def toxic(self, name: str) -> Toxic:
        """Raises ToxiproxyError if there is none."""
        for one in self.toxics:
            if one.name == name:
                return one
        raise ToxiproxyError(404, "toxic not found")

    def add(self, body: Any) -> Toxic:
        """Add the toxic that a request asks for. Raises ToxiproxyError, and has then added none."""
        given = Fields(body, "Toxic")
        stream = given.text("stream", "downstream")
        type_name = given.text("type", "")
        name = given.text("name", "")
        toxicity = given.single("toxicity", 1.0)
        attributes = given.members("attributes")
        if stream.lower() not in STREAMS:
            raise ToxiproxyError(400, "stream was invalid, can be either upstream or downstream")
        if type_name not in TOXIC_TYPES:
            raise ToxiproxyError(400, "invalid toxic type")
        name = name or f"{type_name}_{stream}"
        if any(one.name == name for one in self.toxics):
            raise ToxiproxyError(409, "toxic already exists")
        if max(len(self._toxics), len(self._plan.armed)) >= MOST:
            raise ToxiproxyError(400, f"{MOST} toxics and faults are there, which is the most: remove one first")
        toxic = Toxic(name, type_name, stream, toxicity, TOXIC_TYPES[type_name].read(attributes, {}))
        fault = toxic.fault(self.name, self._fault_name(name))
        if fault is not None:
            try:
                toxic.armed = self._plan.add(fault)
            except ConfigError as error:
                raise ToxiproxyError(400, str(error)) from None
        self._toxics.append(toxic)
        return toxic

    def _fault_name(self, toxic: str) -> str:
        """A name that no other fault has: names of toxics are unique for each proxy only."""
        taken = {armed.name for armed in self._plan.armed}
        name, number = f"{self.name}.{toxic}", 1
        while name in taken:
            number += 1
            name = f"{self.name}.{toxic}.{number}"
        return name

    def update(self, toxic: Toxic, body: Any) -> None:
        """Give the toxic other attributes or another toxicity; what is left out stays. Raises ToxiproxyError."""
        given = Fields(body, "Toxic")
        toxicity = given.single("toxicity", toxic.toxicity)
        attributes = toxic.type.read(given.members("attributes"), toxic.attributes)
        changed = Toxic(toxic.name, toxic.type_name, toxic.stream, toxicity, attributes)
        if toxic.armed is not None:
            fault = changed.fault(self.name, toxic.armed.name)
            assert fault is not None
            try:
                toxic.armed = self._plan.change(toxic.armed.name, fault)
            except ConfigError as error:
                raise ToxiproxyError(400, str(error)) from None
        toxic.toxicity, toxic.attributes = toxicity, attributes

    def remove(self, toxic: Toxic) -> None:
        self._toxics.remove(toxic)
        if toxic.armed is not None and not toxic.armed.is_over:
            self._plan.remove(toxic.armed.name)

    def remove_all(self) -> None:
        for toxic in self.toxics:
            self.remove(toxic)


@dataclass(frozen=True)
class WantedProxy:
    """A proxy as a request describes it. listen, upstream: as written."""

    name: str
    listen: str
    upstream: str
    enabled: bool

    @classmethod
    def read(cls, body: Any, before: Proxy | None = None) -> WantedProxy:
        """before: the proxy to change, whose values stay where the request leaves them out. Raises ToxiproxyError."""
        given = Fields(body, "Proxy")
        name = given.text("name", "")
        return cls(
            name if before is None else before.name,
            given.text("listen", "" if before is None else before.listen),
            given.text("upstream", "" if before is None else before.upstream),
            given.boolean("enabled", True if before is None else before.is_enabled),
        )

    @classmethod
    def read_list(cls, body: Any) -> list[WantedProxy]:
        """Raises ToxiproxyError."""
        if body is not None and not isinstance(body, list):
            Fields(body, "[]Proxy")  # says what it is instead
            raise bad_body("json: cannot unmarshal object into value of type []Proxy")
        return [cls.read(one) for one in body or []]

    @property
    def lacks(self) -> str:
        """The required field that is missing, "" if none is."""
        return "name" if not self.name else "upstream" if not self.upstream else ""
