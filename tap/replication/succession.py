"""Which replication ID goes on from which: one history under several names.

A replication ID names a history, in which an offset stands for one byte. A promoted replica gives its history a new ID,
and remembers the former one up to where it was then. The wire never says that offset, but bounds it from below: a replica
that asked for the former ID at offset n, and is granted the new one, has the same bytes up to n under either. The highest
such n that any connection showed is the branch:

    A  ────────────────┬───────────  may go on by itself, on a master that was cut off
                       │ branch
    B  ════════════════╧═══════════  the same up to the branch, another history after it

So up to the branch, connections that name either ID bring the same bytes; after it, one says nothing about the other. An
ID goes on from one other ID only: what contradicts that, or closes a circle, is damage and ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

from tap.replication.events import PartialResync

MAX_IDS = 2**16  # IDs whose parent is known; of more, the one that was named first is forgotten


class Succession:
    """All IDs that partial resyncs have named."""

    def __init__(self, most: int = MAX_IDS) -> None:
        self._most = most
        self._parents: dict[str, tuple[str, int]] = {}  # the ID that each goes on from, and the branch
        self._near: dict[str, list[tuple[str, int]]] | None = None  # see same_until(); None when it has to be made anew

    def heard(self, event: PartialResync) -> int | None:
        """As continues(), of what a partial resync shows."""
        if event.replid is None or event.previous_replid is None or event.offset is None:
            return None
        return self.continues(event.replid, event.previous_replid, event.offset)

    def continues(self, replid: str, previous: str, offset: int) -> int | None:
        """Up to this offset, *replid* is the history of *previous*.

        Returns the branch as it was known before, -1 if none was; None if this says nothing new.
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
        """The ID that this one goes on from, None if it is not known to go on from any."""
        known = self._parents.get(replid)
        return None if known is None else known[0]

    def lineage(self, replid: str) -> Iterator[tuple[str, int | None]]:
        """The ID, the one that it goes on from, and so on; with the offset up to which that is the same history."""
        limit: int | None = None
        yield replid, limit
        while replid in self._parents:
            replid, branch = self._parents[replid]
            limit = branch if limit is None else min(limit, branch)
            yield replid, limit

    def branches(self, replid: str) -> list[int]:
        """The offsets up to which it is its parent's history, that one its own parent's, and so on."""
        branches = []
        while replid in self._parents:
            replid, branch = self._parents[replid]
            branches.append(branch)
        return branches

    def home(self, replid: str, end: int) -> str:
        """The oldest ID whose history has the byte with offset *end*."""
        while replid in self._parents:
            parent, branch = self._parents[replid]
            if end > branch:
                break
            replid = parent
        return replid

    def same_until(self, replid: str, offset: int) -> frozenset[str]:
        """The IDs under which the same bytes are known up to an offset."""
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
