# cython: language_level=3
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Traffic by groups of keys: `session:*` has 60 % of the bytes, where each of its keys has 0.1 %.

Groups are found by themselves. A key is cut into parts after each of : . - { } and a tree counts the bytes and the writes
of every part at its place:

    user:1234:cart     user: | 1234: | cart
    {tenant7}.queue.3  { | tenant7}. | queue. | 3
    cache-2026-11-30   cache- | 2026-11-30

A date, an address or a version is one part, as is a UUID: - and . do not separate two digits.

A node keeps MOST parts. When one more comes, the level has exploded into IDs: the lighter half of its parts are merged
into one that stands for any (`*`), with what is below them, so that `user:1234:cart` and `user:99:cart` are counted as
`user:*:cart`. From then on a new part is counted there, too. But some part may yet become a large one, such as one tenant
of ten thousand: so whenever a 1024th of the node's bytes has been counted there, the next part gets a node of its own.
Whatever was counted for it before is not in that node. Hence its figures are lower bounds, and it is marked as such.

What always holds: a node counts its own keys, and all that is below it, exactly, unless it is marked. With more than
MAX_NODES nodes, levels keep fewer parts, and in the end the tree becomes less deep; this loses detail, never bytes. What
is counted depends on the order of the commands alone, not on how they came.

The cost: one step in a dictionary for each part of a key, 0.1 to 0.2 us for usual keys, and at most some 10 MB.

The table shows what has a hundredth of the bytes. IDs are merged there, even where the level has not exploded: a part
with a digit is taken for one if there are several, unless it stands out. A group whose bytes are practically those of one
group within it is left out, because the longer prefix says more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import cython

from tap.errors import ConfigError
from tap.glob import matcher

MOST = cython.declare(cython.Py_ssize_t, 64)
FEWEST = cython.declare(cython.Py_ssize_t, 8)  # MOST does not get lower
MAX_DEPTH = cython.declare(cython.Py_ssize_t, 8)  # parts of a key
MAX_NODES = 20_000
MAX_ENDS = cython.declare(cython.Py_ssize_t, 8)  # kinds of separators after the parts that are merged in one node
MAX_SEPARATORS = cython.declare(cython.Py_ssize_t, 3)  # in a row, as in {tenant7}.queue; a part begins after them
NEXT_PART = cython.declare(cython.longlong, 1024)  # parts of a node's bytes, after which a part gets a node of its own
KEY_SIZE = cython.declare(cython.Py_ssize_t, 256)  # leading bytes of a key that are looked at

MAX_PATTERNS = 100  # each key is compared with each
FEW_IDS = 4  # parts with a digit, which are not merged in the table
FEW_NAMES = 8  # other parts with something below them, for which no common row is shown
LEAST = 100  # parts of all bytes, of which a row has at least one
OUTSTANDING = 4  # times the average of its level, for which an ID has its own row
EXPLODED = 80  # parts that a level is taken to have at least once it has exploded
SAME = 98  # per cent of a group's bytes; a group within it that has them replaces it

_SPECIAL = re.compile(rb"[\\*?\[]")


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """A row of the table.

    pattern: a glob, in which each * stands for one part, and the last one for all the rest; None: all keys in no group.
    depth: number of rows above it that contain it. size: bytes of commands; one with several keys counts in equal parts.
    writes: keys written. at_least: both may be too low.
    """

    pattern: bytes | None
    depth: int
    size: int
    writes: int
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class _Place:
    """Where rows of the table stand: below the node with these parts.

    name: its parts, as a pattern. pattern: that of the row above. depth: of the rows. is_star: the node is of merged
    parts. is_shared: leave out what only one of the merged nodes had. is_partial: the figures are lower bounds.
    """

    name: bytes = b""
    pattern: bytes = b"*"
    depth: int = 0
    is_star: bool = False
    is_shared: bool = False
    is_partial: bool = False


@cython.cclass
class _Node:
    """What one part of a key, at its place, has been counted for.

    parts: those that may follow; others: those of them that are merged, by the separators at their ends; None if there
    are none. common: what merged parts begin with. uncounted: bytes since a merged part last got a node. is_partial:
    some of it was counted elsewhere. is_cut: keys go on, but the tree does not. sources: how many nodes were merged to
    make this one.
    """

    size: cython.longlong
    writes: cython.longlong
    uncounted: cython.longlong
    sources: cython.longlong
    is_partial: cython.bint
    is_cut: cython.bint
    parts: dict[bytes, _Node] | None
    others: dict[bytes, _Node] | None
    common: bytes | None

    def __init__(self) -> None:
        self.size = 0
        self.writes = 0
        self.uncounted = 0
        self.sources = 0
        self.is_partial = False
        self.is_cut = False
        self.parts = None
        self.others = None
        self.common = None


@cython.cfunc
def _is_separator(byte: cython.uchar) -> cython.bint:
    return byte == 58 or byte == 46 or byte == 45 or byte == 123 or byte == 125


@cython.cfunc
def _is_digit(byte: cython.uchar) -> cython.bint:
    return 48 <= byte <= 57


@cython.cfunc
@cython.locals(i=cython.Py_ssize_t, byte=cython.uchar)
def _is_uuid(key: cython.p_const_uchar, at: cython.Py_ssize_t) -> cython.bint:
    """Whether a UUID begins there; there are 36 bytes at least."""
    for i in range(36):
        byte = key[at + i]
        if i == 8 or i == 13 or i == 18 or i == 23:
            if byte != 45:
                return False
        elif not (48 <= byte <= 57 or 97 <= byte <= 102 or 65 <= byte <= 70):
            return False
    return True


@cython.cfunc
@cython.locals(i=cython.Py_ssize_t, run=cython.Py_ssize_t, byte=cython.uchar)
def _part_end(key: cython.p_const_uchar, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """The end of the part that begins at *at*, after its separators."""
    i = at
    if size - at >= 36 and key[at + 8] == 45 and _is_uuid(key, at):
        i = at + 36
    while i < size:
        byte = key[i]
        if _is_separator(byte) and not (
            (byte == 45 or byte == 46) and i > at and i + 1 < size and _is_digit(key[i - 1]) and _is_digit(key[i + 1])
        ):
            run = i + MAX_SEPARATORS
            while i < size and i < run and _is_separator(key[i]):
                i += 1
            return i
        i += 1
    return size


@cython.cfunc
@cython.locals(end=cython.Py_ssize_t, least=cython.Py_ssize_t)
def _ending(part: bytes) -> bytes:
    """The separators at a part's end; empty for the last part of a key."""
    end = len(part)
    least = end - MAX_SEPARATORS if end > MAX_SEPARATORS else 0
    while end > least and _is_separator(part[end - 1]):
        end -= 1
    return part[end:]


@cython.cfunc
@cython.locals(same=cython.Py_ssize_t, most=cython.Py_ssize_t)
def _shared(one: bytes | None, other: bytes) -> bytes:
    """What both begin with; the other, if there is only that."""
    if one is None:
        return other
    most = min(len(other), len(one))
    same = 0
    while same < most and one[same] == other[same]:
        same += 1
    return one if same == len(one) else one[:same]


@cython.cclass
class _Tree:
    """Counts; see the module's docstring."""

    root: _Node
    most: cython.Py_ssize_t
    depth: cython.Py_ssize_t
    max_nodes: cython.Py_ssize_t
    nodes = cython.declare(cython.Py_ssize_t, visibility="readonly")

    def __init__(self, max_nodes: int) -> None:
        self.root = _Node()
        self.max_nodes = max_nodes
        self.most = MOST
        self.depth = MAX_DEPTH
        self.nodes = 1

    def add(self, weighed: list[tuple[tuple[int | None, bytes], int]]) -> None:
        for place, size in weighed:
            self._add(place[1], size)

    @cython.cfunc
    @cython.locals(at=cython.Py_ssize_t, end=cython.Py_ssize_t, n=cython.Py_ssize_t, node=_Node, _level=cython.Py_ssize_t)
    def _add(self, key: bytes, size: cython.longlong) -> cython.int:
        if self.nodes > self.max_nodes:
            self._coarsen()
        pointer: cython.p_const_uchar = key
        n = len(key)
        if n > KEY_SIZE:
            n = KEY_SIZE
        node = self.root
        node.size += size
        node.writes += 1
        at = 0
        for _level in range(self.depth):
            if at >= n:
                break
            end = _part_end(pointer, at, n)
            node = self._below(node, key[at:end], size)
            node.size += size
            node.writes += 1
            at = end
        if at < n:
            node.is_cut = True
        return 0

    @cython.cfunc
    @cython.locals(child=_Node)
    def _below(self, node: _Node, part: bytes, size: cython.longlong) -> _Node:
        """The node that counts this part."""
        if node.parts is None:
            node.parts = {}
        found = node.parts.get(part)
        if found is not None:
            return found
        if node.others is not None:
            node.uncounted += size
            if node.uncounted * NEXT_PART < node.size:
                return self._other(node, part)
            node.uncounted = 0
        if len(node.parts) >= self.most:
            self._fold(node, self.most // 2)
        child = _Node()
        child.is_partial = node.others is not None
        node.parts[part] = child
        self.nodes += 1
        return child

    @cython.cfunc
    @cython.locals(other=_Node)
    def _other(self, node: _Node, part: bytes) -> _Node:
        """The node that counts this part together with others."""
        ending = _ending(part)
        other = self._merged(node, ending)
        if other.common is None or len(other.common):
            other.common = _shared(other.common, part[: len(part) - len(ending)])
        return other

    @cython.cfunc
    @cython.locals(other=_Node)
    def _merged(self, node: _Node, ending: bytes) -> _Node:
        if node.others is None:
            node.others = {}
        found = node.others.get(ending)
        if found is None and len(node.others) >= MAX_ENDS:
            ending = b""
            found = node.others.get(ending)
        if found is not None:
            return found
        other = _Node()
        node.others[ending] = other
        self.nodes += 1
        return other

    @cython.cfunc
    @cython.locals(child=_Node)
    def _fold(self, node: _Node, kept: cython.Py_ssize_t) -> cython.int:
        """Merge a node's parts, except for the heaviest ones, or the first ones of equal weight."""
        assert node.parts is not None
        weighed = []
        for number, part in enumerate(node.parts):
            child = node.parts[part]
            weighed.append((-child.size, number, part))
        for _, _, part in sorted(weighed)[kept:]:
            child = node.parts.pop(part)
            self._merge(self._other(node, part), child, True)
        return 0

    @cython.cfunc
    @cython.locals(mine=_Node, child=_Node, had_others=cython.bint)
    def _merge(self, into: _Node, node: _Node, is_bounded: cython.bint) -> cython.int:
        """Add the counts of a node, and of all below it."""
        into.size += node.size
        into.writes += node.writes
        into.sources += node.sources or 1
        into.is_cut = into.is_cut or node.is_cut
        had_others = into.others is not None
        if node.parts is not None:
            if into.parts is None:
                into.parts = {}
            if node.others is not None:
                for part in into.parts:
                    if part not in node.parts:
                        mine = into.parts[part]
                        mine.is_partial = True
            for part in node.parts:
                child = node.parts[part]
                found = into.parts.get(part)
                if found is None:
                    mine = _Node()
                    mine.is_partial = had_others
                    into.parts[part] = mine
                    self.nodes += 1
                else:
                    mine = found
                mine.is_partial = mine.is_partial or child.is_partial
                self._merge(mine, child, is_bounded)
        if node.others is not None:
            for ending in node.others:
                child = node.others[ending]
                mine = self._merged(into, ending)
                if child.common is not None:
                    mine.common = _shared(mine.common, child.common)
                self._merge(mine, child, is_bounded)
        if is_bounded and into.parts is not None and len(into.parts) > self.most:
            self._fold(into, self.most // 2)
        return 0

    @cython.cfunc
    def _coarsen(self) -> cython.int:
        """Get the number of nodes down to half of what is allowed, if it is near that."""
        self.nodes = self._count(self.root)
        if self.nodes * 4 <= self.max_nodes * 3:
            return 0
        while self.nodes * 2 > self.max_nodes and self.depth > 1:
            if self.most > FEWEST:
                self.most = self.most // 2
            else:
                self.depth -= 1
            self._trim(self.root, self.depth)
            self.nodes = self._count(self.root)
        return 0

    @cython.cfunc
    @cython.locals(child=_Node)
    def _count(self, node: _Node) -> cython.Py_ssize_t:
        total: cython.Py_ssize_t = 1
        for below in (node.parts, node.others):
            if below is not None:
                for child in below.values():
                    total += self._count(child)
        return total

    @cython.cfunc
    @cython.locals(child=_Node)
    def _trim(self, node: _Node, depth: cython.Py_ssize_t) -> cython.int:
        if depth == 0:
            node.is_cut = node.is_cut or node.parts is not None or node.others is not None
            node.parts = node.others = None
            return 0
        if node.parts is not None and len(node.parts) > self.most:
            self._fold(node, self.most // 2)
        for below in (node.parts, node.others):
            if below is not None:
                for child in below.values():
                    self._trim(child, depth - 1)
        return 0

    # ---- the table ----

    def table(self, most: int) -> list[KeyGroup]:
        """The groups, each below the one that contains it; the *most* heaviest ones."""
        root: _Node = self.root
        rows = self._rows(root, _Place(), max(1, root.size // LEAST))
        heaviest = sorted(range(len(rows)), key=lambda number: (-rows[number].size, number))[:most]
        return [rows[number] for number in sorted(heaviest)]

    @cython.locals(child=_Node, star=_Node)
    def _rows(self, node: _Node, place: _Place, least: int) -> list[KeyGroup]:
        """The rows below a node. least: bytes of a row."""
        found: list[tuple[int, bytes, list[KeyGroup]]] = []
        kinds = self._kinds(node)
        stars = sum(kind[2] is not None for kind in kinds)
        for ending, members, star, is_closed in kinds:
            least_id = least_name = least
            if star is not None:
                common = _escaped(star.common or b"")
                begin = place.name + common + b"*"
                pattern = begin if not ending or stars == 1 else begin + ending + b"*"
                if not common and place.is_star:
                    pattern = place.pattern  # any part after any part
                at = replace(place, name=begin + ending, is_star=True, is_shared=not is_closed)
                rows = self._group(star, at, pattern, least)
                found.append((-star.size, pattern, rows))
                least_id = max(least, OUTSTANDING * star.size // (EXPLODED if is_closed else len(members)))
                below = place.depth + (pattern != place.pattern)
                if sum(row.size for row in rows if row.depth == below) * 2 >= star.size:
                    least_name = least_id  # the parts look alike, so they are IDs
            for part, child in members:
                is_left_out = place.is_shared and child.sources < 2
                if is_left_out or child.size < (least_id if _has_digit(part) else least_name):
                    continue
                name = place.name + _escaped(part)
                goes_on = child.is_cut or child.parts is not None or child.others is not None
                at = replace(place, name=name, is_star=False, is_partial=place.is_partial or child.is_partial)
                found.append((-child.size, name, self._group(child, at, name + b"*" if goes_on else name, least)))
        return [row for _, _, rows in sorted(found, key=lambda one: one[:2]) for row in rows]

    def _group(self, node: _Node, place: _Place, pattern: bytes, least: int) -> list[KeyGroup]:
        """The row of a node, if it says more than the row above, and those below it. place: of the rows below it, except
        for pattern and depth.
        """
        if node.size < least:
            return []
        if pattern == place.pattern:
            return self._rows(node, place, least)
        rows = self._rows(node, replace(place, pattern=pattern, depth=place.depth + 1), least)
        only = [row for row in rows if row.depth == place.depth + 1]
        if len(only) == 1 and only[0].size * 100 >= node.size * SAME:
            return [replace(row, depth=row.depth - 1) for row in rows]
        return [KeyGroup(pattern, place.depth, node.size, node.writes, place.is_partial), *rows]

    @cython.locals(child=_Node, star=_Node)
    def _kinds(self, node: _Node) -> list[tuple[bytes, list[tuple[bytes, _Node]], _Node | None, bool]]:
        """A node's parts by their separators, as (separators, parts, all of them merged or None, whether it exploded)."""
        kinds: dict[bytes, list[tuple[bytes, _Node]]] = {}
        for part, child in (node.parts or {}).items():
            kinds.setdefault(_ending(part), []).append((part, child))
        others: dict[bytes, _Node] = node.others or {}
        for ending in others:
            kinds.setdefault(ending, [])
        result = []
        for ending, members in kinds.items():
            is_closed = ending in others
            ids = sum(_has_digit(part) for part, _ in members)
            star = None
            if is_closed or ids > FEW_IDS or (ending and len(members) > FEW_NAMES):
                star = self._star(ending, members, others.get(ending))
            result.append((ending, members, star, is_closed))
        return result

    @cython.locals(child=_Node, star=_Node)
    def _star(self, ending: bytes, members: list[tuple[bytes, _Node]], other: _Node | None) -> _Node:
        star = _Node()
        nodes: cython.Py_ssize_t = self.nodes
        for part, child in members:
            star.common = _shared(star.common, part[: len(part) - len(ending)])
            self._merge(star, child, False)
        if other is not None:
            if other.common is not None:
                star.common = _shared(star.common, other.common)
            self._merge(star, other, False)
        self.nodes = nodes  # the merged nodes are dropped after the table
        return star


def _has_digit(part: bytes) -> bool:
    return any(48 <= byte <= 57 for byte in part)


def _escaped(part: bytes) -> bytes:
    r"""Bytes as a pattern that matches nothing else."""
    return _SPECIAL.sub(rb"\\\g<0>", part)


def patterns(globs: Iterable[str]) -> tuple[bytes, ...]:
    """The patterns of groups. Raises ConfigError for an empty one, or too many."""
    found = tuple(dict.fromkeys(map(os.fsencode, globs)))
    if b"" in found:
        raise ConfigError("a group of keys has an empty pattern: write a glob, as 'session:*'")
    if len(found) > MAX_PATTERNS:
        raise ConfigError(f"{len(found)} groups of keys: {MAX_PATTERNS} can be counted")
    return found


def containers(rows: Sequence[KeyGroup]) -> list[bytes | None]:
    """For each row of a table the pattern of the row that contains it."""
    found: list[bytes | None] = []
    path: list[bytes | None] = []
    for row in rows:
        del path[row.depth :]
        found.append(path[-1] if path else None)
        path.append(row.pattern)
    return found


class KeyGroups:
    """Counts keys by groups: those that are found, or those that the patterns, globs as for KEYS, give."""

    def __init__(self, patterns: Sequence[bytes] = (), max_nodes: int = MAX_NODES) -> None:
        """max_nodes: of the tree; what one table takes, and one batch of keys at worst, grows with it."""
        self._tree = _Tree(max_nodes)
        self._given = [_Given(pattern) for pattern in patterns]
        self._rest = [0, 0]

    def add(self, weighed: list[tuple[tuple[int | None, bytes], int]]) -> None:
        """Count keys with the bytes that were written for them, as ((db, key), bytes)."""
        if not self._given:
            self._tree.add(weighed)
            return
        for (_, key), size in weighed:
            is_in_none = True
            for one in self._given:
                if one.matches(key):
                    one.size += size
                    one.writes += 1
                    is_in_none = False
            if is_in_none:
                self._rest[0] += size
                self._rest[1] += 1

    def __len__(self) -> int:
        """The number of counters, which is bounded."""
        return len(self._given) or self._tree.nodes

    def table(self, most: int) -> list[KeyGroup]:
        """At most that number of rows: each found group below the one that contains it; given ones by their bytes."""
        if not self._given:
            return self._tree.table(most)
        rows = [KeyGroup(one.pattern, 0, one.size, one.writes) for one in self._given]
        rows.sort(key=lambda row: -row.size)
        if self._rest[1]:
            rows.append(KeyGroup(None, 0, self._rest[0], self._rest[1]))
        return rows


class _Given:
    """A group given by its pattern."""

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self.size = 0
        self.writes = 0
        start = pattern[:-1]
        is_prefix = pattern.endswith(b"*") and not any(byte in start for byte in b"*?[\\")
        self.matches: Callable[[bytes], bool] = (lambda key: key.startswith(start)) if is_prefix else matcher(pattern)
