# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Values that a server packs into one string (listpack, ziplist, intset, zipmap), walked from front to back.

A walk takes the blob in pieces of any size and remembers only its position: a blob of gigabytes needs no more memory
than a small one, and a complete blob takes one call. Everything is checked that can be without remembering elements:
bounds, sizes, counts, back lengths, the order of integers, the structure of a stream's entries.

Source: Redis 7.0 listpack.c, ziplist.c, intset.c, zipmap.c and t_stream.c (streamAppendItem).
"""

from __future__ import annotations

import cython

from tap.rdb.tokens import SIZES

if not cython.compiled:
    from tap.rdb.integers import as_signed, back_length, i64, is_score, u16, u32
    from tap.rdb.states import *
    from tap.rdb.tape import Tape
    from tap.rdb.tokens import *

UNKNOWN = cython.declare(cython.longlong, 65535)  # as a header's count of entries: too many for its 16 bits
MAX_TTL = cython.declare(cython.longlong, 2**48 - 1)  # ms; Redis 8.0 ebuckets.h, EB_EXPIRE_TIME_MAX

MAX_NAMES = cython.declare(cython.longlong, 32 * 1024 * 1024)  # bytes of field names in one stream node

STUCK = cython.declare(cython.int, -2)  # returned instead of a position: problem says what is wrong


class Packed:
    """Walks one blob at a time, and writes its content on the tape if values are wanted.

    elements: entries walked, whatever their role. living: entries of a stream's node that are not deleted. problem:
    what is wrong; "" if nothing is.
    """

    def __init__(self, tape: Tape, values: bool) -> None:
        self.tape = tape
        self.values = values
        self.problem = ""
        self.ms = 0
        self.seq = 0
        self.field = 0
        self.fields = 0
        self.flags = 0
        self.name = bytearray()
        self.names: list[bytes] = []
        # Those that the file has defined, {number: field names}; None if names already holds the blob's own.
        self.templates: dict[int, list[bytes]] | None = None

    def begin(self, form: cython.int, role: cython.int, size: cython.longlong) -> cython.int:
        """Start the next blob, of *size* bytes. For a stream's node set ms and seq first, for a template its names."""
        self.form = form
        self.role = role
        self.size = size
        self.position = 0
        self.elements = 0
        self.announced = 0
        self.left = 0
        self.entry = 0
        self.previous = 0
        self.tail = 0
        self.width = 0
        self.part = 0
        self.done = False
        self.dispatches = self.values or role == OF_TRIPLES or role == OF_NODE or role == OF_TEMPLATE
        if role == OF_NODE:
            self.step = NODE_COUNT
            self.living = 0
            self.kept = 0
            self.name = bytearray()
            self.names = []
        return 0

    @cython.locals(k=cython.Py_ssize_t)
    def walk(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, made: cython.bint
    ) -> cython.Py_ssize_t:
        """Continue with p[i:n] as far as entries are complete. Returns where that ends; STUCK if something is wrong.

        made: p is the arena, not the source.
        """
        self.made = made
        if self.form == IN_LISTPACK:
            k = self.listpack(p, i, n)
            if self.role == OF_NODE and self.values and k > i:
                self.tape.say4(NODE, as_signed(self.ms), as_signed(self.seq), ~i if made else i, k - i)
            return k
        if self.form == IN_ZIPLIST:
            return self.ziplist(p, i, n)
        if self.form == IN_INTSET:
            return self.intset(p, i, n)
        return self.zipmap(p, i, n)

    @cython.locals(
        c=cython.int,
        head=cython.Py_ssize_t,
        body=cython.Py_ssize_t,
        back=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        entry=cython.longlong,
        value=cython.longlong,
        start=cython.Py_ssize_t,
    )
    def listpack(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        start = i
        if self.position == 0:
            if n - i < 6:
                return i
            if u32(p, i) != self.size:
                return self.broken(f"a listpack of {self.size} bytes that says {u32(p, i)}")
            self.announced = u16(p, i + 4)
            self.announce(UNKNOWN)
            i += 6
        while i < n:
            if self.left:
                i = self.pass_string(p, i, n)
                if i < 0:
                    return i
                continue
            if self.entry == 0:
                c = p[i]
                body = -1
                value = 0
                if c < 0x80:
                    head = 1
                    value = c
                elif c < 0xC0:
                    head = 1
                    body = c & 0x3F
                elif c == 0xFF:
                    self.position += i + 1 - start
                    return self.finish(i + 1, UNKNOWN)
                elif c < 0xE0 or c < 0xF0:
                    head = 2
                elif c == 0xF0:
                    head = 5
                elif c == 0xF1:
                    head = 3
                elif c == 0xF2:
                    head = 4
                elif c == 0xF3:
                    head = 5
                elif c == 0xF4:
                    head = 9
                else:
                    return self.broken(f"a listpack entry that begins with 0x{c:02x}")
                if i + head > n:
                    break
                if head > 1:
                    if c < 0xE0:
                        value = (c & 0x1F) << 8 | p[i + 1]
                        if value >= 4096:
                            value -= 8192
                    elif c < 0xF0:
                        body = (c & 0x0F) << 8 | p[i + 1]
                    elif c == 0xF0:
                        body = u32(p, i + 1)
                    elif c == 0xF1:
                        value = u16(p, i + 1)
                        if value >= 2**15:
                            value -= 2**16
                    elif c == 0xF2:
                        value = u16(p, i + 1) | p[i + 3] << 16
                        if value >= 2**23:
                            value -= 2**24
                    elif c == 0xF3:
                        value = u32(p, i + 1)
                        if value >= 2**31:
                            value -= 2**32
                    else:
                        value = i64(p, i + 1)
                if body < 0:
                    entry = head
                    if i + head + 1 > n:
                        break
                    if self.dispatches and not self.number(value):
                        return STUCK
                    i += head
                else:
                    entry = head + body
                    if i + entry + 5 > n and body > LARGE:
                        if self.position + (i - start) + entry > self.size:
                            return self.broken(f"a listpack entry of {body} bytes, beyond the end")
                        self.entry = entry
                        self.left = body
                        i += head
                        continue
                    if i + entry + back_length(entry) > n:  # safe for a shorter form, too: the end mark follows
                        break
                    if (self.dispatches or self.role == OF_SCORES) and not self.string(p, i + head, body):
                        return STUCK
                    i += entry
                self.entry = entry
            # The back length of the entry just read.
            entry = self.entry
            back = 1
            if entry > 127:
                back = back_length(entry)
                # Servers disagree about the sizes from which one more byte is needed; the first byte shows which it is.
                if i + back > n:
                    break
                if (entry == 16383 or entry == 2097151 or entry == 268435455) and p[i] == 0x7F:
                    back -= 1
                value = p[i]
                for j in range(1, back):
                    if p[i + j] < 128:
                        return self.broken("a listpack entry with a malformed back length")
                    value = value << 7 | (p[i + j] & 0x7F)
            else:
                value = p[i]
            if value != entry:
                return self.broken(f"a listpack entry of {entry} bytes whose back length says {value}")
            i += back
            self.entry = 0
            self.elements += 1
        self.position += i - start
        return i

    @cython.locals(
        c=cython.int,
        j=cython.Py_ssize_t,
        k=cython.Py_ssize_t,
        before=cython.longlong,
        body=cython.longlong,
        value=cython.longlong,
        start=cython.Py_ssize_t,
    )
    def ziplist(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        start = i
        if self.position == 0:
            if n - i < 10:
                return i
            if u32(p, i) != self.size:
                return self.broken(f"a ziplist of {self.size} bytes that says {u32(p, i)}")
            self.tail = u32(p, i + 4)
            self.announced = u16(p, i + 8)
            self.announce(UNKNOWN)
            self.last = 10
            i += 10
        while i < n:
            if self.left:
                i = self.pass_string(p, i, n)
                if i < 0:
                    return i
                if self.left == 0:
                    self.previous = self.entry
                    self.entry = 0
                    self.elements += 1
                continue
            if p[i] == 0xFF:
                if self.last != self.tail:
                    return self.broken(f"a ziplist whose last entry is at byte {self.last} and said to be at {self.tail}")
                self.position += i + 1 - start
                return self.finish(i + 1, UNKNOWN)
            j = i + 1
            before = p[i]
            if before == 254:
                j = i + 5
                if j >= n:
                    break
                before = u32(p, i + 1)
            if j >= n:
                break
            if before != self.previous:
                return self.broken(f"a ziplist entry after one of {self.previous} bytes that says {before}")
            c = p[j]
            body = -1
            value = 0
            if c < 0x40:
                k = 1
                body = c
            elif c < 0x80:
                k = 2
            elif c == 0x80 or c == 0xD0:
                k = 5
            elif c == 0xC0:
                k = 3
            elif c == 0xE0:
                k = 9
            elif c == 0xF0:
                k = 4
            elif c == 0xFE:
                k = 2
            elif 0xF1 <= c <= 0xFD:
                k = 1
                value = (c & 0x0F) - 1
            else:
                return self.broken(f"a ziplist entry of kind 0x{c:02x}")
            if j + k > n:
                break
            if k > 1:
                if c < 0x80:
                    body = (c & 0x3F) << 8 | p[j + 1]
                elif c == 0x80:
                    body = p[j + 1] << 24 | p[j + 2] << 16 | p[j + 3] << 8 | p[j + 4]
                    body &= 0xFFFFFFFF
                elif c == 0xC0:
                    value = u16(p, j + 1)
                    if value >= 2**15:
                        value -= 2**16
                elif c == 0xD0:
                    value = u32(p, j + 1)
                    if value >= 2**31:
                        value -= 2**32
                elif c == 0xE0:
                    value = i64(p, j + 1)
                elif c == 0xF0:
                    value = u16(p, j + 1) | p[j + 3] << 16
                    if value >= 2**23:
                        value -= 2**24
                else:
                    value = p[j + 1]
                    if value >= 128:
                        value -= 256
            if body < 0:
                self.last = self.position + (i - start)
                if self.dispatches and not self.number(value):
                    return STUCK
                self.previous = j + k - i
                i = j + k
            else:
                if j + k + body > n:
                    if body <= LARGE:
                        break
                    if self.position + (j + k - start) + body >= self.size:
                        return self.broken(f"a ziplist entry of {body} bytes, beyond the end")
                    self.last = self.position + (i - start)
                    self.entry = j + k - i + body
                    self.left = body
                    i = j + k
                    continue
                self.last = self.position + (i - start)
                if (self.dispatches or self.role == OF_SCORES) and not self.string(p, j + k, body):
                    return STUCK
                self.previous = j + k + body - i
                i = j + k + body
            self.elements += 1
        self.position += i - start
        return i

    @cython.locals(value=cython.longlong, start=cython.Py_ssize_t)
    def intset(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        start = i
        if self.position == 0:
            if n - i < 8:
                return i
            self.width = u32(p, i)
            self.announced = u32(p, i + 4)
            if self.width != 2 and self.width != 4 and self.width != 8:
                return self.broken(f"an intset of integers of {u32(p, i)} bytes")
            if self.announced == 0 or self.size != 8 + self.width * self.announced:
                return self.broken(f"an intset of {self.size} bytes that says {self.announced} times {self.width}")
            self.announce(2**32)
            i += 8
        while i + self.width <= n:
            if self.width == 2:
                value = u16(p, i)
                if value >= 2**15:
                    value -= 2**16
            elif self.width == 4:
                value = u32(p, i)
                if value >= 2**31:
                    value -= 2**32
            else:
                value = i64(p, i)
            if self.elements and value <= self.last:
                return self.broken(f"an intset in which {value} comes after {self.last}")
            self.last = value
            self.elements += 1
            i += self.width
            if self.values:
                self.tape.say1(INTEGER, value)
        self.position += i - start
        self.done = self.elements == self.announced
        return i

    @cython.locals(
        j=cython.Py_ssize_t, body=cython.longlong, free=cython.longlong, start=cython.Py_ssize_t, k=cython.Py_ssize_t
    )
    def zipmap(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Uses entry for the number of unused bytes after the current value."""
        start = i
        if self.position == 0:
            if i == n:
                return i
            self.announced = p[i]
            self.announce(254)
            i += 1
        while i < n:
            if self.left:
                i = self.pass_string(p, i, n)
                if i < 0:
                    return i
                if self.left == 0:
                    self.elements += 1
                continue
            if self.entry:
                k = min(self.entry, n - i)
                self.entry -= k
                i += k
                continue
            if p[i] == 0xFF:
                if self.elements == 0:
                    return self.broken("a zipmap with nothing in it")
                self.position += i + 1 - start
                if self.announced < 254 and self.announced * 2 != self.elements:
                    return self.broken(f"a zipmap of {self.elements} strings that says {self.announced} pairs")
                return self.finish(i + 1, self.elements)
            j = i + 1
            body = p[i]
            if body == 254:
                j = i + 5
                if j > n:
                    break
                body = u32(p, i + 1)
            free = 0
            if self.elements & 1:
                if j >= n:
                    break
                free = p[j]
                j += 1
            if self.position + (j - start) + body + free >= self.size:
                return self.broken(f"a zipmap string of {body} bytes, beyond the end")
            if j + body > n:
                if body <= LARGE:
                    break
                self.left = body
                self.entry = free
                i = j
                continue
            if self.dispatches and not self.string(p, j, body):
                return STUCK
            self.elements += 1
            self.entry = free
            i = j + body
        self.position += i - start
        return i

    def announce(self, unknown: cython.longlong) -> cython.int:
        """Write LENGTH once the header has been read. unknown: the smallest count that means "this many or more"."""
        if self.values:
            self.tape.say2(LENGTH, self.announced if self.announced < unknown else NONE, self.size)
        return 0

    def finish(self, i: cython.Py_ssize_t, counted: cython.longlong) -> cython.Py_ssize_t:
        """Check the blob after its end mark. counted: the one count that a header may give for any number of entries."""
        if self.position != self.size:
            return self.broken(f"it ends at byte {self.position} of {self.size}")
        if self.form != IN_ZIPMAP and self.announced != counted and self.announced != self.elements:
            return self.broken(f"{self.elements} entries where the header says {self.announced}")
        if self.role == OF_NODE:
            if self.step != NODE_FLAGS or self.live or self.dead:
                return self.broken("a stream's node that ends too soon")
        elif self.role == OF_TRIPLES:
            if self.elements % 3:
                return self.broken(f"{self.elements} entries, which is not a multiple of three")
        elif self.role == OF_TEMPLATE:
            if self.elements == 0 or self.elements - 1 != len(self.names):
                return self.broken("another number of values than its template has fields")
        elif (self.role == OF_PAIRS or self.role == OF_SCORES) and self.elements & 1:
            return self.broken(f"{self.elements} entries, which is not an even number")
        self.done = True
        return i

    def broken(self, why: str) -> cython.Py_ssize_t:
        self.problem = why
        return STUCK

    # ---- one entry ----

    @cython.locals(k=cython.Py_ssize_t)
    def pass_string(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Take a piece of a string too large to be held. Returns where the piece ends; STUCK if no string may be here."""
        if self.role == OF_SCORES and self.elements & 1:
            return self.broken(f"a score of {self.left} bytes")
        if self.role == OF_TRIPLES and self.elements % 3 == 2:
            return self.broken("a field's expiry that is not a number")
        if (
            self.role == OF_NODE
            and self.step != NODE_NAME
            and self.step != NODE_ENTRY_NAME
            and self.step != NODE_ENTRY_VALUE
        ):
            return self.broken("a stream's node with a string where a number was expected")
        if self.role == OF_TEMPLATE and self.elements == 0:
            return self.broken("a template's number that is a string")
        if self.role == OF_TEMPLATE and self.part == 0 and not self.template_entry(0):
            return STUCK
        k = min(self.left, n - i)
        self.left -= k
        if self.role == OF_NODE:
            if self.step == NODE_NAME:
                if not self.keep(bytes(p[i : i + k]), self.left == 0):
                    return STUCK
                self.part = 1
            elif self.values and not self.flags & 1:
                if self.part == 0 and self.step == NODE_ENTRY_VALUE and self.flags & 2:
                    self.say_name()
                self.part = 1
                self.tape.say2(PIECE if self.left else ITEM, ~i if self.made else i, k)
            if self.left == 0:
                self.part = 0
                if self.step == NODE_NAME:
                    self.field += 1
                    if self.field == self.fields:
                        self.step = NODE_MASTER_END
                elif self.step == NODE_ENTRY_NAME:
                    self.step = NODE_ENTRY_VALUE
                else:
                    self.node_value_passed()
        else:
            self.part = 1 if self.left else 0
            if self.values:
                self.tape.say2(PIECE if self.left else ITEM, ~i if self.made else i, k)
        return i + k

    def item(self, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        return self.tape.say2(ITEM, ~start if self.made else start, size)

    def string(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Take an entry that is a string. Returns False if no string may be here."""
        if self.role == OF_NODE:
            return self.node_string(p, start, size)
        if self.role == OF_SCORES and self.elements & 1 and size > LARGE:
            self.broken(f"a score of {size} bytes")
            return False
        if self.role == OF_SCORES and self.elements & 1 and not is_score(bytes(p[start : start + size])):
            self.broken(f"a score that is not a number: {bytes(p[start : start + size])[:40]!r}")
            return False
        if self.role == OF_TRIPLES and self.elements % 3 == 2:
            self.broken("a field's expiry that is not a number")
            return False
        if self.role == OF_TEMPLATE:
            if self.elements == 0:
                self.broken("a template's number that is a string")
                return False
            if not self.template_entry(0):
                return False
        if self.values:
            self.item(start, size)
        return True

    def number(self, value: cython.longlong) -> cython.bint:
        """Take an entry that is an integer. Returns False if no integer may be here."""
        if self.role == OF_NODE:
            return self.node_number(value)
        if self.role == OF_TRIPLES and self.elements % 3 == 2:
            if value < 0 or value > MAX_TTL:
                self.broken(f"a field that expires at {value} ms")
                return False
            if self.values:
                self.tape.say1(EXPIRES, value or NONE)
            return True
        if self.role == OF_TEMPLATE:
            if not self.template_entry(value):
                return False
            if self.elements == 0:
                return True
        if self.values:
            self.tape.say1(INTEGER, value)
        return True

    # ---- a stream's node ----

    def node_number(self, value: cython.longlong) -> cython.bint:
        if self.step == NODE_ENTRY_VALUE or self.step == NODE_ENTRY_NAME or self.step == NODE_NAME:
            if self.step == NODE_NAME:
                if not self.keep(b"%d" % value, True):
                    return False
                self.field += 1
                if self.field == self.fields:
                    self.step = NODE_MASTER_END
                return True
            if self.values and not self.flags & 1:
                if self.step == NODE_ENTRY_VALUE and self.flags & 2:
                    self.say_name()
                self.tape.say1(INTEGER, value)
            if self.step == NODE_ENTRY_NAME:
                self.step = NODE_ENTRY_VALUE
                return True
            return self.node_value_passed()
        if self.step == NODE_COUNT:
            self.live = value
            self.step = NODE_DELETED
        elif self.step == NODE_DELETED:
            self.dead = value
            self.step = NODE_FIELDS
        elif self.step == NODE_FIELDS:
            self.fields = value
            self.field = 0
            self.step = NODE_NAME if value else NODE_MASTER_END
        elif self.step == NODE_MASTER_END:
            self.step = NODE_FLAGS
            if value:
                value = -1
        elif self.step == NODE_FLAGS:
            self.flags = value
            self.entry_start = self.elements
            self.step = NODE_MS_DELTA
            if value & 1:
                self.dead -= 1
            else:
                self.live -= 1
                self.living += 1
            if value > 3 or self.dead < 0 or self.live < 0:
                value = -1
        elif self.step == NODE_MS_DELTA:
            self.ms_delta = value
            self.step = NODE_SEQ_DELTA
            return True
        elif self.step == NODE_SEQ_DELTA:
            self.field = 0
            self.seq_delta = value
            if not self.flags & 2:
                self.step = NODE_ENTRY_FIELDS
            else:
                self.step = NODE_ENTRY_VALUE if self.fields else NODE_ENTRY_END
                self.say_entry(self.fields)
            return True
        elif self.step == NODE_ENTRY_FIELDS:
            self.own_fields = value
            self.step = NODE_ENTRY_NAME if value else NODE_ENTRY_END
            if value >= 0:
                self.say_entry(value)
        else:
            if value != self.elements - self.entry_start:
                value = -1
            self.step = NODE_FLAGS
        if value < 0:
            self.broken("a stream's node whose counts do not agree")
            return False
        return True

    def node_string(self, p: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        if self.step == NODE_NAME:
            if not self.keep(bytes(p[start : start + size]), True):
                return False
            self.field += 1
            if self.field == self.fields:
                self.step = NODE_MASTER_END
            return True
        if self.step != NODE_ENTRY_NAME and self.step != NODE_ENTRY_VALUE:
            self.broken("a stream's node with a string where a number was expected")
            return False
        if self.values and not self.flags & 1:
            if self.step == NODE_ENTRY_VALUE and self.flags & 2:
                self.say_name()
            self.item(start, size)
        if self.step == NODE_ENTRY_NAME:
            self.step = NODE_ENTRY_VALUE
            return True
        return self.node_value_passed()

    def keep(self, name: bytes, whole: cython.bint) -> cython.bint:
        """Remember a field's name or a piece of it (whole: the last piece), to repeat it with every entry."""
        self.kept += len(name) + (50 if whole else 0)
        if self.kept > MAX_NAMES:
            self.broken(f"a stream's node with field names of more than {MAX_NAMES} bytes")
            return False
        if self.values:
            self.name += name
            if whole:
                self.names.append(bytes(self.name))
                self.name = bytearray()
        return True

    def node_value_passed(self) -> cython.bint:
        self.field += 1
        if self.flags & 2:
            if self.field == self.fields:
                self.step = NODE_ENTRY_END
        else:
            self.step = NODE_ENTRY_END if self.field == self.own_fields else NODE_ENTRY_NAME
        return True

    def say_entry(self, fields: cython.longlong) -> cython.int:
        if self.values and not self.flags & 1:
            # IDs are unsigned and wrap around.
            self.tape.say2(ENTRY, as_signed(self.ms + self.ms_delta), as_signed(self.seq + self.seq_delta))
            self.tape.add(fields)
        return 0

    def say_name(self) -> cython.int:
        """Write the name of the field whose value comes next, from the node or the template."""
        return self.tape.copy(self.names[self.field])

    # ---- a hash of a template ----

    def template_entry(self, value: cython.longlong) -> cython.bint:
        """Take an entry: the first is the template's number, the others are the values of its fields."""
        if self.elements == 0:
            if self.templates is not None:
                if value not in self.templates:
                    self.broken(f"template {value}, which nothing has defined")
                    return False
                self.names = self.templates[value]
            return True
        self.field = self.elements - 1
        if self.field >= len(self.names):
            self.broken(f"more values than its template has fields, {len(self.names)}")
            return False
        if self.values:
            self.say_name()
        return True


def listpack_strings(blob: bytes) -> list[bytes] | None:
    """All entries of a small listpack; None if it is damaged."""
    found: list[bytes] = []

    def take(tape: Tape) -> None:
        numbers = iter(tape.numbers[: tape.count])
        for token in numbers:
            if token == INTEGER:
                found.append(b"%d" % next(numbers))
            elif token == ITEM:
                found.append(tape.text(next(numbers), next(numbers)))
            else:
                for _ in range(SIZES[token]):
                    next(numbers)

    tape = Tape(take)
    packed = Packed(tape, True)
    tape.open(blob, blob)
    packed.begin(IN_LISTPACK, OF_ELEMENTS, len(blob))
    end: cython.Py_ssize_t = packed.walk(blob, 0, len(blob), False)
    tape.flush()
    return found if end == len(blob) and packed.done else None
