"""Which replication ID continues which: one history under several IDs.

A replication ID names a history, in which an offset identifies one byte. A promoted replica gives its history a new ID,
and remembers the former one up to its own offset at that time. That offset is never on the wire, but the wire bounds it
from below: if a replica asks for the former ID at offset n and is granted the new one, both IDs name the same bytes up
to n. The highest such n that any connection has shown is the branch:

    A  ────────────────┬───────────  may continue by itself, on a master that was cut off
                       │ branch
    B  ════════════════╧═══════════  the same up to the branch, another history after it

Up to the branch, connections with either ID carry the same bytes; after it, one says nothing about the other. An ID
continues only one other ID: a partial resync that contradicts this, or closes a circle, is damage and ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

from tap.replication.events import PartialResync

MAX_IDS = 2**16  # IDs with a known parent; beyond this, the oldest is forgotten


class Succession:
    """All IDs that partial resyncs have named."""

    def __init__(self, most: int = MAX_IDS) -> None:
        self._most = most
        self._parents: dict[str, tuple[str, int]] = {}  # by ID, the ID that it continues, and the branch
        self._near: dict[str, list[tuple[str, int]]] | None = None  # cache of same_until(); None: to be rebuilt

    def heard(self, event: PartialResync) -> int | None:
        """As continues(), with the facts of a partial resync."""
        if event.replid is None or event.previous_replid is None or event.offset is None:
            return None
        return self.continues(event.replid, event.previous_replid, event.offset)

    def continues(self, replid: str, previous: str, offset: int) -> int | None:
        """Note that up to this offset *replid* names the history of *previous*.

        Returns the branch known before, -1 if there was none; None if this adds nothing.
        """
        parent, before = self._parents.get(replid, (previous, -1))
        if parent != previous or offset <= before or any(known == replid for known, _ in self.lineage(previous)):
            return None
        self._parents[replid] = parent, offset
        self._near = None
        while len(self._parents) > self._most:
            del self._parents[next(iter(self._parents))]
        return before

    def parent(self, replid: str) -> str | None:
        """The ID that this one continues, None if it is not known to continue any."""
        known = self._parents.get(replid)
        return None if known is None else known[0]

    def branch(self, replid: str) -> int | None:
        """The offset up to which the ID is known to name the history of its parent; None if it has none."""
        known = self._parents.get(replid)
        return None if known is None else known[1]

    def lineage(self, replid: str) -> Iterator[tuple[str, int | None]]:
        """The ID, the one that it continues, and so on; each with the offset up to which the history is the same."""
        limit: int | None = None
        yield replid, limit
        while replid in self._parents:
            replid, branch = self._parents[replid]
            limit = branch if limit is None else min(limit, branch)
            yield replid, limit

    def branches(self, replid: str) -> list[int]:
        """The branch of the ID from its parent, of the parent from its own parent, and so on."""
        branches = []
        while replid in self._parents:
            replid, branch = self._parents[replid]
            branches.append(branch)
        return branches

    def home(self, replid: str, end: int) -> str:
        """The oldest ID of the lineage whose history has the byte with offset *end*."""
        while replid in self._parents:
            parent, branch = self._parents[replid]
            if end > branch:
                break
            replid = parent
        return replid

    def same_until(self, replid: str, offset: int) -> frozenset[str]:
        """The IDs that name the same bytes up to an offset, this one included."""
        if self._near is None:
            self._near = {}
            for child, (parent, branch) in self._parents.items():
                self._near.setdefault(child, []).append((parent, branch))
                self._near.setdefault(parent, []).append((child, branch))
        same, waiting = {replid}, [replid]
        while waiting:
            for other, branch in self._near.get(waiting.pop(), ()):
                if offset <= branch and other not in same:
                    same.add(other)
                    waiting.append(other)
        return frozenset(same)
