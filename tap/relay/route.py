"""Where the connections of one link go, and the settings under which they go there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from tap.config import Config
from tap.config.link_config import CAPA, LinkConfig
from tap.relay.facts import MasterFacts
from tap.replication.memory import Memory
from tap.url import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The settings of one link, towards one master. A transparent link has a route for each master.

    name: of the link; of a transparent link's route, the master's address. master: None where it is unknown.
    is_transparent: each connection has its own destination. tls, has_cert: towards the master, and with a client
        certificate.
    masked: capabilities to hide from the master. keeps_address: announce the replica's own address to the master.
    connect_timeout: seconds for a dial, and for a TLS handshake with either side. drain_timeout: seconds.
    every_command, every_key, opaque: see Conversation.
    facts: what is learnt of the master meanwhile; the only part that changes.
    """

    name: str
    master: Address | None
    is_transparent: bool
    tls: bool
    has_cert: bool
    masked: tuple[str, ...]
    keeps_address: bool
    connect_timeout: float
    drain_timeout: float
    every_command: bool
    every_key: bool
    opaque: bool
    facts: MasterFacts = field(compare=False)

    @classmethod
    def of(cls, link: LinkConfig, tap: Config, beside: Memory | None = None) -> Route:
        """The route of a configured link. beside: what another link remembers."""
        opaque = tap.is_opaque(link)
        mask = () if opaque else tap.mask if link.mask is None else link.mask
        announce = link.announce or ("tap" if opaque else tap.announce)
        return cls(
            name=link.name,
            master=link.master,
            is_transparent=link.transparent,
            tls=link.tls,
            has_cert=link.cert is not None,
            masked=tuple(one.removeprefix(CAPA) for one in mask),
            keeps_address=announce == "keep",
            connect_timeout=tap.connect_timeout,
            drain_timeout=tap.drain_timeout,
            every_command=tap.every_command,
            every_key=tap.every_key,
            opaque=opaque,
            facts=MasterFacts(link.name, beside, master=str(link.master or "")),
        )

    def to(self, master: Address) -> Route:
        """The same settings towards another master."""
        facts = MasterFacts(str(master), self.facts.memory, master=str(master))
        facts.memory.ack_times, facts.memory.load_times = self.facts.memory.ack_times, self.facts.memory.load_times
        return dataclasses.replace(self, name=str(master), master=master, facts=facts)
