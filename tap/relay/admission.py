"""Which connections are admitted: limits on how many at once, in all and from one address, and places kept for replicas.

The limits protect the tap and its master from clients that connect and stay. They must not keep out a replica that lost
its link: one that cannot come back falls behind, and needs a full resync. At accept a peer has said nothing yet, so a
replica is known by its source address: one to which a master has granted a resync through this tap. Beyond either limit
such an address gets one of the kept places. When all are taken, it gets that of the connection which has held one the
longest without being granted a resync: idle clients on a replica's own host cannot keep it out either.

The limit of one address holds for a /64 network of IPv6 as a whole: one host has all of its addresses to choose from
(RFC 4291, 2.5.1; RFC 8981). A replica is known by its address alone.

Each connection takes two files, so the limit is never more than the open files of this process allow: an error that the
client can read is better than a listener that cannot accept.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address

FILES_EACH = 2  # its own socket, and the one to the master
FILES_BESIDE = 32  # for a recording, observers, a pipe, listeners
KEPT_PLACES = 32  # for replicas that are known
MAX_KNOWN = 1024  # addresses; the one granted a resync the longest ago is forgotten first


@dataclass(frozen=True, slots=True)
class Refused:
    """A connection that is not admitted. limit: the option that says so, or "open_files". most: its value now."""

    limit: str
    most: int


class Admitted:
    """The place of one connection.

    is_known: its address is that of a replica. counts_for: the address or network that it counts for. is_kept: it has one
    of the places kept for replicas. end: called to cut it off when a replica needs its place.
    """

    __slots__ = ("_admission", "_is_left", "counts_for", "end", "host", "is_granted", "is_kept", "is_known")

    def __init__(self, admission: Admission, host: str, *, is_known: bool, is_kept: bool) -> None:
        self._admission = admission
        self._is_left = False
        self.host = host
        self.counts_for = neighbourhood(host)
        self.is_known = is_known
        self.is_kept = is_kept
        self.is_granted = False
        self.end: Callable[[], None] = lambda: None

    def granted(self) -> None:
        """The master has granted it a resync."""
        self.is_granted = True
        self._admission.know(self.host)

    def leave(self) -> None:
        if not self._is_left:
            self._is_left = True
            self._admission.left(self)


class Admission:
    """The admissions of one tap, over all of its links."""

    def __init__(self, most: int, most_of_address: int | None = None, *, most_by_files: int | None = None) -> None:
        """most_by_files: connections that the limit of open files allows; None if there is no such limit."""
        self._limit = Refused("max_connections", most)
        if most_by_files is not None and most_by_files < most:
            self._limit = Refused("open_files", most_by_files)
        self._most_of_address = most_of_address
        self._count = 0
        self._counts: Counter[str] = Counter()  # by Admitted.counts_for
        self._known: dict[str, None] = {}  # addresses, ordered by their last granted resync
        self._kept: dict[Admitted, None] = {}  # holders of kept places, oldest first

    @property
    def most(self) -> int:
        """Connections admitted at most, not counting kept places."""
        return self._limit.most

    def enter(self, host: str) -> Admitted | Refused:
        """Admit or refuse a new connection from this address."""
        refused = self._exceeded(host)
        is_known = host in self._known
        if refused is not None and not (is_known and self._has_kept_place()):
            return refused
        place = Admitted(self, host, is_known=is_known, is_kept=refused is not None)
        self._count += 1
        self._counts[place.counts_for] += 1
        if place.is_kept:
            self._kept[place] = None
        return place

    def know(self, host: str) -> None:
        """Remember the address as that of a replica."""
        self._known.pop(host, None)
        self._known[host] = None
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def left(self, place: Admitted) -> None:
        self._count -= 1
        self._counts[place.counts_for] -= 1
        if not self._counts[place.counts_for]:
            del self._counts[place.counts_for]
        self._kept.pop(place, None)
        for one in [one for one in self._kept if one.is_granted]:
            if len(self._kept) <= self._count - self._limit.most:
                break
            if self._most_of_address is None or self._counts[one.counts_for] <= self._most_of_address:
                del self._kept[one]  # from now on it has an ordinary place, and another replica can have the kept one

    def _exceeded(self, host: str) -> Refused | None:
        if self._count >= self._limit.most:
            return self._limit
        if self._most_of_address is not None and self._counts[neighbourhood(host)] >= self._most_of_address:
            return Refused("max_connections_per_address", self._most_of_address)
        return None

    def _has_kept_place(self) -> bool:
        if len(self._kept) < KEPT_PLACES:
            return True
        idle = next((place for place in self._kept if not place.is_granted), None)
        if idle is not None:
            del self._kept[idle]
            idle.end()
        return idle is not None


def neighbourhood(host: str) -> str:
    """What the limit of one address applies to: an IPv4 address, or the /64 network of an IPv6 address.

    A link-local address counts by itself: all hosts of a LAN share that network.
    """
    if ":" not in host:
        return host
    address = IPv6Address(host)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return host if address.is_link_local else f"{IPv6Address(int(address) >> 64 << 64)}/64"


def most_by_files() -> int | None:
    """Connections for which this process may still open files; None if that is not limited."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return None
    opened = 0
    with contextlib.suppress(OSError):
        opened = len(os.listdir("/dev/fd"))
    return max(1, (limit - opened - FILES_BESIDE - FILES_EACH * KEPT_PLACES) // FILES_EACH)
