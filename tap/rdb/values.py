# cython: boundscheck=False, wraparound=False
# mypy: disallow-untyped-decorators=False, warn-return-any=False
"""Values of every type, read one element at a time.

Source: Redis 8.0 and Valkey 9.1 rdb.c, rdbLoadObject. What RDB 13 to 15 added is taken from other readers of such files.
"""

from __future__ import annotations

import cython

from tap.rdb.packed import listpack_strings

if not cython.compiled:
    from tap.rdb.integers import big64, i64, is_integer, is_score, u32
    from tap.rdb.states import *
    from tap.rdb.strings import Strings
    from tap.rdb.tokens import *

LIST_NODE_BYTES = cython.declare(cython.longlong, 65536)  # the largest setting of list-max-listpack-size
MAX_TTL = cython.declare(cython.longlong, 2**48 - 1)  # ms; Redis 8.0 ebuckets.h, EB_EXPIRE_TIME_MAX
# Bytes of memory for field names: those of all templates, which are needed to the end, or those of one key of its own.
MAX_TEMPLATES = cython.declare(cython.longlong, 64 * 2**20)


class Values(Strings):
    """Reads the value of one key: begin_value() sets the first state for its type, and each state has its method."""

    def begin(self) -> None:
        """Set the state for the beginning of an RDB."""
        self.expires = NONE
        self.type = 0
        self.logical = 0
        self.encoding = 0
        self.elements = 0
        self.left = 0
        self.shape = 0
        self.part = 0
        self.pending_ttl = NONE
        self.minimum = 0
        self.nodes = 0
        self.container = 0
        self.stream_version = 0
        self.groups = 0
        self.consumers = 0
        self.producers = 0
        self.module = 0
        self.module_after = RECORD
        self.module_says = False
        self.module_position = 0
        self.classes = 0
        self.attributes = 0  # bytes of the records before the next key that belong to it
        self.attributes_at = 0
        self.metadata_at = NONE
        self.templates: dict[int, list[bytes]] = {}
        self.templates_size = 0
        self.names_size = 0  # templates_size, and the names of the template being read
        self.fields: list[bytes] = []
        self.version = 0
        self.valkey = False
        self.valkey_version = 0  # of the writer: 801 for Valkey 8.1

    def begin_value(self) -> cython.bint:
        """Set the state for the value of the key just read. Returns False if its type is unknown."""
        t: cython.int = self.type
        logical: cython.int = HASH
        self.state = BLOB
        if t == 0:
            logical = STRING
            self.state = STRING_VALUE
        elif t == 1:
            logical = LIST
            self.shape = STRINGS
            self.encoding = E_LINKEDLIST
            self.state = COUNT
        elif t == 2:
            logical = SET
            self.shape = STRINGS
            self.encoding = E_HASHTABLE
            self.state = COUNT
        elif t == 3 or t == 5:
            logical = ZSET
            self.shape = TEXT_SCORES if t == 3 else BINARY_SCORES
            self.encoding = E_SKIPLIST
            self.state = COUNT
        elif t == 4:
            self.shape = STRING_PAIRS
            self.encoding = E_HASHTABLE
            self.state = COUNT
        elif t == 7:
            logical = MODULE_VALUE
            self.encoding = E_RAW
            self.state = MODULE_ID
        elif t == 9:
            self.encoding = E_ZIPMAP
        elif t == 10:
            logical = LIST
            self.encoding = E_ZIPLIST
        elif t == 11:
            logical = SET
            self.encoding = E_INTSET
        elif t == 12:
            logical = ZSET
            self.encoding = E_ZIPLIST
        elif t == 13:
            self.encoding = E_ZIPLIST
        elif t == 14 or t == 18:
            logical = LIST
            self.encoding = E_QUICKLIST
            self.state = COUNT
        elif t == 16:
            self.encoding = E_LISTPACK
        elif t == 17:
            logical = ZSET
            self.encoding = E_LISTPACK
        elif t == 20:
            logical = SET
            self.encoding = E_LISTPACK
        elif t == 15 or t == 19 or t == 21 or ((t == 26 or t == 27) and not self.valkey):
            logical = STREAM_VALUE
            self.encoding = E_STREAM
            self.stream_version = 1 if t == 15 else 2 if t == 19 else 3 if t == 21 else 4 if t == 26 else 5
            self.state = STREAM_NODES
        elif t == 22:
            self.shape = PAIRS_EXPIRY if self.valkey else EXPIRY_PAIRS
            self.encoding = E_HASHTABLE
            self.state = COUNT
        elif self.valkey:
            return False
        elif t == 23:
            self.encoding = E_LISTPACKEX
        elif t == 24:
            self.shape = TTL_PAIRS
            self.encoding = E_HASHTABLE
            self.state = MINIMUM
        elif t == 25:
            self.encoding = E_LISTPACKEX
            self.state = MINIMUM
        elif t == 28:
            logical = ARRAY
            self.encoding = E_SLICED_ARRAY
            self.state = ARRAY_HEAD
        elif 29 <= t <= 32:
            self.encoding = E_TEMPLATE
            self.state = TEMPLATE_FORM if t == 29 or t == 31 else TEMPLATE_OF if t == 32 else BLOB
        elif t == 33:
            logical = GCRA
            self.encoding = E_GCRA
            self.state = COUNT
        else:
            return False
        self.logical = logical
        return True

    @cython.locals(j=cython.Py_ssize_t)
    def string_value(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        j = self.string(p, i, n, self.values, END_OF_VALUE)
        if j < 0:
            return j
        self.elements = 1
        if self.kind == DECIMAL or (self.kind == PLAIN_BYTES and self.size <= 20 and is_integer(p, j - self.size, j)):
            self.encoding = E_INT
        else:
            self.encoding = (
                E_EMBSTR if self.is_embedded(self.size if self.kind == PLAIN_BYTES else self.expanded) else E_RAW
            )
        return j

    @cython.locals(key=cython.longlong)
    def is_embedded(self, size: cython.longlong) -> cython.bint:
        """Whether the server allocates such a string together with its object, from Valkey 8.1 on with its key, too.

        Source: Redis 7.0 object.c, OBJ_ENCODING_EMBSTR_SIZE_LIMIT; Valkey 8.1 and 9.1 object.c, shouldEmbedStringObject.
        """
        if self.valkey_version < 801:
            return size <= 44
        # Valkey 8.1 counts the header of every key as that of a short one.
        key = self.key_size + (3 if self.key_size < 32 or self.valkey_version < 900 else 5)
        whole: cython.longlong = key + (8 if self.expires != NONE else 0) + size
        return whole + 20 <= 64 if self.valkey_version < 900 else whole + 12 <= 128

    @cython.locals(j=cython.Py_ssize_t)
    def count(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read the number of elements, or of a list's nodes."""
        if self.type == 33:
            j = self.length(p, i, n)
            if j >= 0:
                self.elements = 1
                if self.values:
                    self.tape.say1(UNSIGNED, self.number)
                self.state = END_OF_VALUE
            return j
        j = self.counted(p, i, n)
        if j < 0:
            return j
        self.left = self.number
        if self.values:
            self.tape.say2(LENGTH, self.left, NONE)
        if self.type == 14 or self.type == 18:
            self.nodes = self.left
            self.state = LIST_NODE
        else:
            self.elements = self.left
            self.state = ITEMS
        if self.left == 0:
            self.state = END_OF_VALUE
        return j

    @cython.locals(
        begin=cython.Py_ssize_t,
        j=cython.Py_ssize_t,
        size=cython.Py_ssize_t,
        c=cython.int,
        part=cython.int,
        op=cython.int,
        shape=cython.int,
        values=cython.bint,
    )
    def items(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read the strings and other parts of elements, as many as are complete."""
        begin = i
        shape = self.shape
        part = self.part
        values = self.values
        while i < n:
            op = shape >> (4 * part) & 15
            c = p[i]
            if op == A_STRING and c < 128:
                if c < 64:
                    size = c
                    j = i + 1
                else:
                    if i + 2 > n:
                        self.part = part
                        return self.need(i, 2) if i == begin else i
                    size = (c & 63) << 8 | p[i + 1]
                    j = i + 2
                if j + size > n:
                    self.part = part
                    return self.need(i, j - i + size) if i == begin else i
                if values:
                    self.tape.say2(ITEM, j, size)
                i = j + size
            elif op == A_STRING:
                self.part = part
                j = self.string(p, i, n, values, ITEMS)
                if j < 0:
                    return j if j == BAD or i == begin else i
                i = j
            else:
                self.part = part
                j = self.other_part(p, i, n, op)
                if j < 0:
                    return j if j == BAD or i == begin else i
                i = j
            part += 1
            if shape >> (4 * part) == 0:
                part = 0
                self.left -= 1
                if shape == TTL_PAIRS or shape == EXPIRY_PAIRS:
                    if self.state == ITEMS:
                        if values:
                            self.tape.say1(EXPIRES, self.pending_ttl)
                    else:
                        self.after = END_OF_TTL_VALUE
                        break
                if self.left == 0:
                    if self.state == ITEMS:
                        self.state = END_OF_VALUE
                    else:
                        self.after = END_OF_VALUE
                    break
            if self.state != ITEMS:  # a long string has begun
                break
        self.part = part
        return i

    @cython.locals(j=cython.Py_ssize_t, size=cython.int)
    def other_part(
        self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t, part: cython.int
    ) -> cython.Py_ssize_t:
        """Read a part of an element other than a string."""
        if part == A_BINARY64:
            if i + 8 > n:
                return self.need(i, 8)
            self.number = i64(p, i)
            if (self.number & 0x7FFFFFFFFFFFFFFF) > 0x7FF0000000000000:
                return self.bad(i, "a score that is not a number (NaN)")
            if self.values:
                self.tape.say1(BITS, self.number)
            return i + 8
        if part == A_TEXT_SCORE:
            size = p[i]
            if size >= 253:
                if size == 253:
                    return self.bad(i, "a score that is not a number (NaN)")
                if self.values:
                    self.tape.copy(b"inf" if size == 254 else b"-inf")
                return i + 1
            if i + 1 + size > n:
                return self.need(i, 1 + size)
            text: bytes = bytes(p[i + 1 : i + 1 + size])
            if not is_score(text):
                return self.bad(i, f"a score that is not a number: {text!r}")
            if self.values:
                self.tape.say2(ITEM, i + 1, size)
            return i + 1 + size
        if part == AN_EXPIRY_BEHIND:
            if i + 8 > n:
                return self.need(i, 8)
            self.number = i64(p, i)
            if self.values:
                self.tape.say1(EXPIRES, NONE if self.number == -1 else self.number)
            return i + 8
        j = self.length(p, i, n)
        if j < 0:
            return j
        if part == A_TTL_BEFORE and self.number:
            if self.number < 0 or self.minimum < 0 or self.minimum > MAX_TTL or self.number - 1 > MAX_TTL - self.minimum:
                return self.bad(i, "a field that expires after the end of time")
            self.pending_ttl = self.number + self.minimum - 1
        elif self.number < 0 or self.number > MAX_TTL:
            return self.bad(i, "a field that expires after the end of time")
        else:
            self.pending_ttl = self.number or NONE
        return j

    @cython.locals(j=cython.Py_ssize_t)
    def list_node(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if self.type == 14:
            return self.blob_string(p, i, n, IN_ZIPLIST, OF_ELEMENTS)
        j = i
        if self.part == 0:
            j = self.length(p, i, n)
            if j < 0:
                return j
            self.container = self.number
            if self.number != 1 and self.number != 2:
                return self.bad(i, f"a list node of kind {self.number}")
            self.part = 1
            return j
        if self.container == 2:
            return self.blob_string(p, i, n, IN_LISTPACK, OF_ELEMENTS)
        j = self.string(p, i, n, self.values, LIST_NODE)
        if j < 0:
            return j
        self.part = 0
        self.elements += 1
        self.left -= 1
        if self.left == 0:
            if self.state == LIST_NODE:
                self.state = END_OF_VALUE
            else:
                self.after = END_OF_VALUE
        return j

    def blob_done(self) -> cython.bint:
        """Go on after a packed value that has been walked to its end. Returns False if its numbers do not agree."""
        t: cython.int = self.type
        if t == 14 or t == 18:
            self.elements += self.packed.elements
            self.part = 0
            self.left -= 1
            self.state = LIST_NODE if self.left else END_OF_VALUE
            # From Redis 7.2 on, a list of one packed node within list-max-listpack-size is a plain listpack in memory.
            if t == 18 and self.nodes == 1 and self.version >= 11 and self.packed.size <= LIST_NODE_BYTES:
                self.encoding = E_LISTPACK
            return True
        if self.encoding == E_STREAM:
            self.elements += self.packed.living
            self.left -= 1
            self.part = 0
            self.state = NODE_ID if self.left else STREAM_END
            return True
        self.state = END_OF_VALUE
        if self.packed.role == OF_ELEMENTS:
            self.elements = self.packed.elements
        elif self.packed.role == OF_TRIPLES:
            self.elements = self.packed.elements // 3
        elif self.packed.role == OF_TEMPLATE:
            self.elements = self.packed.elements - 1
        else:
            self.elements = self.packed.elements // 2
        return True

    @cython.locals(j=cython.Py_ssize_t, t=cython.int, k=cython.int, numbers=cython.int)
    def stream(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        t = self.type
        if self.state == BLOB:
            if self.encoding == E_STREAM:
                return self.blob_string(p, i, n, IN_LISTPACK, OF_NODE)
            if t == 16:
                return self.blob_string(p, i, n, IN_LISTPACK, OF_PAIRS)
            if t == 17:
                return self.blob_string(p, i, n, IN_LISTPACK, OF_SCORES)
            if t == 20:
                return self.blob_string(p, i, n, IN_LISTPACK, OF_ELEMENTS)
            if t == 11:
                return self.blob_string(p, i, n, IN_INTSET, OF_ELEMENTS)
            if t == 10:
                return self.blob_string(p, i, n, IN_ZIPLIST, OF_ELEMENTS)
            if t == 12:
                return self.blob_string(p, i, n, IN_ZIPLIST, OF_SCORES)
            if t == 13:
                return self.blob_string(p, i, n, IN_ZIPLIST, OF_PAIRS)
            if t == 9:
                return self.blob_string(p, i, n, IN_ZIPMAP, OF_PAIRS)
            if t == 29 or t == 30:
                self.packed.templates = self.templates if t == 30 else None
                self.packed.names = self.fields
                return self.blob_string(p, i, n, IN_LISTPACK, OF_TEMPLATE)
            return self.blob_string(p, i, n, IN_LISTPACK, OF_TRIPLES)
        if self.state == STREAM_NODES:
            j = self.counted(p, i, n)
            if j >= 0:
                self.left = self.number
                if self.values:
                    self.tape.say2(LENGTH, self.left, NONE)
                self.state = NODE_ID if self.left else STREAM_END
            return j
        if self.state == NODE_ID:
            j = self.header(p, i, n)
            if j < 0:
                return j
            j = self.whole(p, j, n, 1024)
            if j < 0:
                return j
            if self.size != 16:
                return self.bad(i, f"a stream's node with an ID of {self.size} bytes")
            node: bytes = self.tape.text(self.number, 16)
            self.packed.ms = int.from_bytes(node[:8], "big")
            self.packed.seq = int.from_bytes(node[8:], "big")
            self.state = BLOB
            return j
        # STREAM_END: length and last ID; from the second version on also first ID, highest deleted ID and entries added;
        # then the number of groups.
        numbers = 3 if self.stream_version == 1 else 8
        j = i
        for k in range(numbers + 1):
            j = self.counted(p, j, n) if k == numbers else self.length(p, j, n)
            if j < 0:
                return j
        self.groups = self.number
        if self.values:
            self.tape.say(STREAM)
            j = i
            for k in range(8):
                if k < numbers:
                    j = self.length(p, j, n)
                self.tape.add(self.number if k < numbers else NONE)
            j = self.length(p, j, n)
        self.state = GROUP_NAME
        if self.groups == 0:
            self.state = IDEMPOTENCE if self.stream_version >= 4 else END_OF_VALUE
        return j

    @cython.locals(j=cython.Py_ssize_t, k=cython.int, ms=cython.longlong, seq=cython.longlong, more=cython.int)
    def group(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a part of a consumer group: name, last ID, entries read, pending entries, consumers with their own."""
        s: cython.int = self.state
        if s == GROUP_NAME:
            return self.string(p, i, n, self.values, GROUP_HEAD)
        if s == GROUP_HEAD:
            more = 2 if self.stream_version == 1 else 3
            j = i
            for _ in range(more):
                j = self.length(p, j, n)
                if j < 0:
                    return j
            j = self.counted(p, j, n)
            if j < 0:
                return j
            self.left = self.number
            if self.values:
                self.tape.say(GROUP)
                j = i
                for k in range(3):
                    if k < more:
                        j = self.length(p, j, n)
                    self.tape.add(self.number if k < more else NONE)
                j = self.length(p, j, n)
            self.state = GROUP_PENDING if self.left else CONSUMERS
            return j
        if s == GROUP_PENDING:
            if i + 24 > n:
                return self.need(i, 25)
            j = self.length(p, i + 24, n)
            if j < 0:
                return j
            if self.values:
                self.tape.say4(PENDING, big64(p, i), big64(p, i + 8), i64(p, i + 16), self.number)
            self.left -= 1
            if self.left == 0:
                self.state = CONSUMERS
            return j
        if s == CONSUMERS:
            j = self.counted(p, i, n)
            if j >= 0:
                self.consumers = self.number
                self.state = CONSUMER_NAME
                if self.consumers == 0:
                    self.state = NACKED_COUNT if self.stream_version >= 5 else END_OF_GROUP
            return j
        if s == CONSUMER_NAME:
            return self.string(p, i, n, self.values, CONSUMER_HEAD)
        if s == CONSUMER_HEAD:
            more = 16 if self.stream_version >= 3 else 8
            if i + more > n:
                return self.need(i, more + 1)
            j = self.counted(p, i + more, n)
            if j < 0:
                return j
            if self.values:
                self.tape.say2(CONSUMER, i64(p, i), i64(p, i + 8) if more == 16 else NONE)
            self.left = self.number
            self.state = CONSUMER_OWNED if self.left else END_OF_CONSUMER
            return j
        if s == NACKED_COUNT:
            j = self.counted(p, i, n)
            if j >= 0:
                self.left = self.number
                self.state = NACKED if self.left else END_OF_GROUP
            return j
        # CONSUMER_OWNED, NACKED: IDs that the group's pending list contains, too.
        if i + 16 > n:
            return self.need(i, 16)
        if self.values and s == CONSUMER_OWNED:
            self.tape.say2(OWNED, big64(p, i), big64(p, i + 8))
        self.left -= 1
        if self.left == 0:
            self.state = END_OF_CONSUMER if s == CONSUMER_OWNED else END_OF_GROUP
        return i + 16

    def pass_on(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Pass the states that consume no bytes: after a consumer, a group, a field's long value."""
        if self.state == END_OF_CONSUMER:
            self.consumers -= 1
            self.state = CONSUMER_NAME
            if self.consumers == 0:
                self.state = NACKED_COUNT if self.stream_version >= 5 else END_OF_GROUP
        elif self.state == END_OF_GROUP:
            self.groups -= 1
            self.state = GROUP_NAME
            if self.groups == 0:
                self.state = IDEMPOTENCE if self.stream_version >= 4 else END_OF_VALUE
        else:  # END_OF_TTL_VALUE
            if self.values:
                self.tape.say1(EXPIRES, self.pending_ttl)
            self.state = ITEMS if self.left else END_OF_VALUE
        return i

    @cython.locals(j=cython.Py_ssize_t)
    def idempotence(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read what Redis 8.6 remembers of producers to recognize repeated entries; none of it is put on the tape."""
        s: cython.int = self.state
        if s == PRODUCER:
            return self.string(p, i, n, False, PRODUCER_IDS)
        if s == PRODUCER_ID:
            return self.string(p, i, n, False, PRODUCED)
        j = self.length(p, i, n)
        if j < 0:
            return j
        if s == PRODUCER_IDS:
            j = self.counted(p, i, n)
            if j < 0:
                return j
            self.left = self.number
            self.producers -= 1
            self.state = PRODUCER_ID if self.left else PRODUCER if self.producers else IDEMPOTENCE_END
            return j
        j = self.length(p, j, n)
        if j < 0:
            return j
        if s == IDEMPOTENCE:
            j = self.counted(p, j, n)
            if j >= 0:
                self.producers = self.number
                self.state = PRODUCER if self.producers else IDEMPOTENCE_END
        elif s == PRODUCED:
            self.left -= 1
            self.state = PRODUCER_ID if self.left else PRODUCER if self.producers else IDEMPOTENCE_END
        else:
            self.state = END_OF_VALUE
        return j

    @cython.locals(j=cython.Py_ssize_t, width=cython.int)
    def module_part(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a module's data: numbers and strings, each preceded by its kind, until kind 0."""
        if self.state == METADATA_CLASS:
            if i + 4 > n:
                return self.need(i, 4)
            self.classes -= 1
            self.module_after = METADATA_CLASS if self.classes else RECORD
            self.module_says = False
            self.state = MODULE_PART
            return i + 4
        j = self.length(p, i, n)
        if j < 0:
            return j
        if self.state == MODULE_ID:
            self.tape.say1(MODULE, self.number)
            self.module_after = END_OF_VALUE
            self.module_says = self.values
            self.module_position = self.base + i
            self.elements = 1
            self.state = MODULE_PART
            return j
        if self.number == 0:
            if self.module_says:
                self.tape.say1(MODULE_END, self.base + j - self.module_position)
            self.state = self.module_after
            if self.metadata_at != NONE and self.state == RECORD:
                self.attributes += self.base + j - self.metadata_at
                self.metadata_at = NONE
        elif self.number == 1 or self.number == 2:
            width = self.number
            j = self.length(p, j, n)
            if j >= 0 and self.module_says:
                self.tape.say1(SIGNED if width == 1 else UNSIGNED, self.number)
        elif self.number == 3 or self.number == 4:
            width = 4 if self.number == 3 else 8
            if j + width > n:
                return self.need(j, width)
            if self.module_says:
                self.tape.say1(FLOAT if width == 4 else DOUBLE, u32(p, j) if width == 4 else i64(p, j))
            j += width
        elif self.number == 5:
            j = self.string(p, j, n, self.module_says, MODULE_PART)
        else:
            return self.bad(i, f"module data of kind {self.number}")
        return j

    @cython.locals(j=cython.Py_ssize_t, index=cython.longlong)
    def array(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        if self.state == ARRAY_HEAD:
            j = self.counted(p, i, n)
            if j < 0:
                return j
            self.left = self.elements = self.number
            j = self.length(p, j, n)
            if j < 0:
                return j
            if self.number != 0 and self.number != 1:
                return self.bad(i, f"an array with a place of its last insert of kind {self.number}")
            inserted: cython.bint = self.number == 1
            if inserted:
                j = self.length(p, j, n)
                if j < 0:
                    return j
            if self.values:
                self.tape.say2(LENGTH, self.left, NONE)
                if inserted:
                    self.tape.say1(INSERTED, self.number)
            self.state = ARRAY_ELEMENT if self.left else END_OF_VALUE
            return j
        if self.part == 0:
            j = self.length(p, i, n)
            if j < 0:
                return j
            index = self.number
            j = self.length(p, j, n)
            if j < 0:
                return j
            if self.number < 0 or self.number > 3:
                return self.bad(i, f"an array's element of kind {self.number}")
            if self.values:
                self.tape.say1(SLOT_OF, index)
            self.container = self.number
            self.part = 1
            return j
        if self.container == 1 or self.container == 2:
            if i + 8 > n:
                return self.need(i, 8)
            if self.values:
                self.tape.say1(INTEGER if self.container == 1 else BITS, i64(p, i))
            j = i + 8
        else:
            j = self.string(p, i, n, self.values, ARRAY_ELEMENT)
            if j < 0:
                return j
        self.part = 0
        self.left -= 1
        if self.left == 0:
            if self.state == ARRAY_ELEMENT:
                self.state = END_OF_VALUE
            else:
                self.after = END_OF_VALUE
        return j

    @cython.locals(j=cython.Py_ssize_t)
    def template(self, p: cython.p_const_uchar, i: cython.Py_ssize_t, n: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Read a part of a hash that shares its field names with others, or of the template with those names."""
        s: cython.int = self.state
        if s == TEMPLATE_FIELD or s == TEMPLATE_NAME:
            j = self.header(p, i, n)
            if j < 0:
                return j
            j = self.whole(p, j, n, LARGE)
            if j < 0:
                return j
            name: bytes = self.tape.text(self.number, self.size)
            self.names_size += len(name) + 50
            if self.names_size > MAX_TEMPLATES:
                return self.bad(i, f"templates of more than {MAX_TEMPLATES} bytes", "unknown")
            if s == TEMPLATE_NAME and self.container == 0:
                names = listpack_strings(name)
                if not names:
                    return self.bad(i, "a template whose names cannot be read, or that has none")
                self.fields = names
                self.left = 1
            else:
                self.fields.append(name)
            self.left -= 1
            if self.left == 0:
                if s == TEMPLATE_FIELD:
                    self.templates[self.module] = self.fields
                    self.templates_size = self.names_size
                    self.state = RECORD
                else:
                    self.state = BLOB if self.type == 29 else TEMPLATE_VALUE
                    self.left = self.elements = len(self.fields)
                    if self.values and self.type == 31:
                        self.tape.say2(LENGTH, self.left, NONE)
            return j
        if s == TEMPLATE_VALUE:
            j = self.header(p, i, n)
            if j < 0:
                return j
            if self.kind != DECIMAL and self.size <= LARGE and j + self.size > n:
                return self.need(j, self.size)
            if self.values:
                self.tape.copy(self.fields[self.elements - self.left])
            j = self.string(p, i, n, self.values, TEMPLATE_VALUE)
            if j < 0:
                return j
            self.left -= 1
            if self.left == 0:
                if self.state == TEMPLATE_VALUE:
                    self.state = END_OF_VALUE
                else:
                    self.after = END_OF_VALUE
            return j
        j = self.length(p, i, n)
        if j < 0:
            return j
        if s == TEMPLATE_HEAD:
            self.module = self.number
            if self.number in self.templates:
                return self.bad(i, f"template {self.number} for the second time")
            j = self.counted(p, j, n)
            if j < 0:
                return j
            self.left = self.number
            self.fields = []
            self.names_size = self.templates_size + 200
            self.state = TEMPLATE_FIELD
            if self.left == 0:
                return self.bad(i, "a template of no fields")
        elif s == TEMPLATE_OF:
            fields = self.templates.get(self.number)
            if fields is None:
                return self.bad(i, f"template {self.number}, which nothing has defined")
            self.fields = fields
            self.left = self.elements = len(self.fields)
            if self.values:
                self.tape.say2(LENGTH, self.left, NONE)
            self.state = TEMPLATE_VALUE
        elif s == TEMPLATE_FORM:
            if self.number != 0 and self.number != 1:
                return self.bad(i, f"a template of form {self.number}")
            self.container = self.number
            self.fields = []
            self.names_size = 0  # these names belong to this key alone, and are not kept
            self.left = 1
            self.state = TEMPLATE_COUNT if self.number else TEMPLATE_NAME
        else:  # TEMPLATE_COUNT
            if self.number <= 0 or self.number > MAX_TEMPLATES:
                return self.bad(i, f"a template of {self.number} fields")
            self.left = self.number
            self.state = TEMPLATE_NAME
        return j
