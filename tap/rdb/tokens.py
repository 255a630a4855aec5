"""The tape's vocabulary, as plain numbers; tokens.pxd repeats it as C constants. tape.py explains each token."""

# The tokens.
KEY = 1
END = 2
ITEM = 3
PIECE = 4
INTEGER = 5
BITS = 6
EXPIRES = 7
ENTRY = 8
STREAM = 9
GROUP = 10
PENDING = 11
CONSUMER = 12
OWNED = 13
MODULE = 14
UNSIGNED = 15
SIGNED = 16
FLOAT = 17
DOUBLE = 18
SLOT_OF = 19
DB = 20
AUX = 21
FUNCTION = 22
MODULE_AUX = 23
HINT = 24
RESIZE = 25
LENGTH = 26
NODE = 27
MODULE_END = 28
INSERTED = 29

# How many numbers follow each token.
SIZES = (0, 9, 3, 2, 2, 1, 1, 1, 3, 8, 3, 4, 2, 2, 1, 1, 1, 1, 1, 1, 1, 0, 0, 2, 1, 2, 2, 4, 1, 1)

# The type of a value: the words of the TYPE command, and their names here.
TYPES = ("string", "list", "set", "zset", "hash", "stream", "module", "array", "gcra")
STRING = 0
LIST = 1
SET = 2
ZSET = 3
HASH = 4
STREAM_VALUE = 5
MODULE_VALUE = 6
ARRAY = 7
GCRA = 8

# The encoding of a value: the words of OBJECT ENCODING, and their names here.
ENCODINGS = (
    "int", "embstr", "raw", "linkedlist", "ziplist", "quicklist", "listpack", "intset", "hashtable", "skiplist",
    "zipmap", "listpackex", "stream", "sliced_array", "template", "gcra",
)  # fmt: skip
E_INT = 0
E_EMBSTR = 1
E_RAW = 2
E_LINKEDLIST = 3
E_ZIPLIST = 4
E_QUICKLIST = 5
E_LISTPACK = 6
E_INTSET = 7
E_HASHTABLE = 8
E_SKIPLIST = 9
E_ZIPMAP = 10
E_LISTPACKEX = 11
E_STREAM = 12
E_SLICED_ARRAY = 13
E_TEMPLATE = 14
E_GCRA = 15

NONE = -(2**31)  # ms, a moment in 1969: not an expiry that occurs in practice

TAPE_SIZE = 16 * 1024  # numbers
ROOM = 16  # numbers; more than the longest token has
LARGE = 64 * 1024  # bytes; longer strings pass in pieces
