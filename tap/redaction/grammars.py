"""The grammars of commands: which of their arguments are keys, which are data, and which must be kept.

A grammar is a line: the command's name, then words. A word in lower case gives the arguments in their order. Words in
capitals are options; a colon and the arguments of the option may follow. A last word with a * gives the arguments after
the options: those before the * occur once, those after it repeat. An argument that no word covers is data.

    k  a key                                       =  kept: an option, a time, a count, a stream ID
    v  data; a number stays a number               m  kept, with the next one if this is = or ~
    r  a score, or the bound of a range            n  kept: the number of keys that follow
    b  a bit                                       p  kept: the number of pairs of key and data that follow
    c  source code                                 s  a subcommand: the grammar is that of NAME|SUBCOMMAND

The table has the commands that masters propagate (Redis 8.0, Valkey 9.1), documented commands of later versions, and
commands that may carry passwords, whose arguments are all replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Redact = Literal["values", "keys"]

# What each code becomes for each set of things to redact: replaced as a key (k), data (v), a bound (r) or a bit (b), or
# passed on unchanged (a space). =, m, n, p and s stay as they are.
_BY_MODE = {
    ("keys",): bytes.maketrans(b"vrbc", b"   v"),
    ("values",): bytes.maketrans(b"kc", b" v"),
    ("keys", "values"): bytes.maketrans(b"c", b"v"),
}

_ALL = """
ACL *c
APPEND kv
AUTH *c
BITFIELD k GET:== SET:==v INCRBY:==v OVERFLOW:=
BITOP =*k
BLMOVE kk===
BLMPOP =n LEFT RIGHT COUNT:=
BRPOPLPUSH kk=
CLUSTER =*=
CONFIG *c
COPY kk DB:= REPLACE
DECR k
DECRBY kv
DEL *k
DELEX k IFEQ:v IFNE:v IFDEQ:v IFDNE:v
DELIFEQ kv
DISCARD
EVAL cn
EVALSHA vn
EXEC
EXPIRE k*=
EXPIREAT k*=
FCALL vn
FLUSHALL *=
FLUSHDB *=
FUNCTION s
FUNCTION|DELETE =v
FUNCTION|FLUSH =*=
FUNCTION|LOAD = REPLACE *c
FUNCTION|RESTORE =c*=
GEOADD k NX XX CH *v
GEOSEARCHSTORE kk FROMMEMBER:v FROMLONLAT:vv BYRADIUS:== BYBOX:=== ASC DESC COUNT:= ANY STOREDIST
GETDEL k
GETEX k*=
GETSET kv
HDEL k*v
HELLO *c
HEXPIRE k= NX XX GT LT FIELDS:=
HEXPIREAT k= NX XX GT LT FIELDS:=
HGETDEL k FIELDS:=
HGETEX k EX:= PX:= EXAT:= PXAT:= PERSIST FIELDS:=
HINCRBY kvv
HINCRBYFLOAT kvv
HMSET k*v
HPERSIST k FIELDS:=
HPEXPIRE k= NX XX GT LT FIELDS:=
HPEXPIREAT k= NX XX GT LT FIELDS:=
HSET k*v
HSETEX k FNX FXX EX:= PX:= EXAT:= PXAT:= KEEPTTL FIELDS:=
HSETNX kvv
INCR k
INCRBY kv
INCRBYFLOAT kv
LINSERT k=vv
LMOVE kk==
LMPOP n LEFT RIGHT COUNT:=
LPOP k=
LPUSH k*v
LPUSHX k*v
LREM k=v
LSET k=v
LTRIM k==
MIGRATE *c
MOVE k=
MSET *kv
MSETEX p NX XX EX:= PX:= EXAT:= PXAT:= KEEPTTL
MSETNX *kv
MULTI
PERSIST k
PEXPIRE k*=
PEXPIREAT k*=
PFADD k*v
PFMERGE *k
PING
PSETEX k=v
PUBLISH vv
RENAME kk
RENAMENX kk
REPLCONF *=
RESTORE k=v REPLACE ABSTTL IDLETIME:= FREQ:=
RPOP k=
RPOPLPUSH kk
RPUSH k*v
RPUSHX k*v
SADD k*v
SCRIPT s
SCRIPT|FLUSH =*=
SCRIPT|LOAD =c
SDIFFSTORE *k
SELECT =
SENTINEL *c
SET kv NX XX GET KEEPTTL EX:= PX:= EXAT:= PXAT:= IFEQ:v IFNE:v IFDEQ:v IFDNE:v
SETBIT k=b
SETEX k=v
SETNX kv
SETRANGE k=v
SINTERSTORE *k
SMOVE kkv
SORT k BY:k LIMIT:== GET:k ASC DESC ALPHA STORE:k
SPOP k=
SPUBLISH vv
SREM k*v
SUNIONSTORE *k
SWAPDB ==
TOUCH *k
UNLINK *k
XACK kv*=
XACKDEL kv*=
XADD k NOMKSTREAM KEEPREF DELREF ACKED MAXLEN:m MINID:m LIMIT:= IDMPAUTO:v IDMP:vv =*v
XCLAIM kvv*=
XDEL k*=
XDELEX k*=
XGROUP s
XGROUP|CREATE =kv*=
XGROUP|CREATECONSUMER =kvv
XGROUP|DELCONSUMER =kvv
XGROUP|DESTROY =kv
XGROUP|SETID =kv*=
XSETID k*=
XTRIM k*=
ZADD k NX XX GT LT CH INCR *rv
ZDIFFSTORE kn
ZINCRBY krv
ZINTERSTORE kn WEIGHTS AGGREGATE:=
ZMPOP n MIN MAX COUNT:=
ZPOPMAX k=
ZPOPMIN k=
ZRANGESTORE kkrr BYSCORE BYLEX REV LIMIT:==
ZREM k*v
ZREMRANGEBYLEX krr
ZREMRANGEBYRANK k==
ZREMRANGEBYSCORE krr
ZUNIONSTORE kn WEIGHTS AGGREGATE:=
"""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The codes of a command's arguments.

    first: before the options. options: upper-case words, and the codes of the arguments after each. rest: after the
    options; the codes from index *loop* on repeat.
    """

    first: bytes
    options: dict[bytes, bytes]
    rest: bytes
    loop: int


def grammars(redact: frozenset[Redact]) -> dict[bytes, Grammar]:
    """The grammars for this redaction, by upper-case name. All other commands have that of b"": replaced whole."""
    table = _BY_MODE[tuple(sorted(redact))]
    # RREPLAY of an active KeyDB: its commands are replaced as a single word, but its db has to stay in force after it.
    found = {b"": Grammar(b"", {}, b"kv", 1), b"RREPLAY": Grammar(b"=v==", {}, b"kv", 1)}
    for line in _ALL.split("\n")[1:-1]:
        name, *words = line.encode().split()
        first = rest = once = b""
        options = {}
        for word in words:
            option, _, following = word.partition(b":")
            if option.isupper():
                options[option] = following.translate(table)
            elif b"*" in word:
                once, _, rest = word.translate(table).partition(b"*")
            else:
                first = word.translate(table)
        found[name] = Grammar(first, options, once + rest, len(once))
    return found
