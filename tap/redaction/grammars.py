"""What each argument of a command is: a key, data, or what only makes the command work.

A grammar is written as a name and words behind it. The first, in small letters, are the arguments in their order; words
in capitals are options, with the arguments that follow each behind a colon; the last, with a * in it, are the arguments
behind the options: those before the * once, those behind it over and over. Arguments that none of these tell are data.

    k  a key                                       =  kept: an option, a time, a count, a stream ID
    v  data; a number stays one                    m  kept, and the next one, too, behind an = or a ~
    r  a score, or the bound of a range            n  kept: so many keys follow
    b  a bit                                       p  kept: so many keys, each with its data, follow
    c  source code                                 s  a subcommand: the grammar is that of NAME|SUBCOMMAND

These are the commands that masters propagate (Redis 8.0, Valkey 9.1), those of later versions that are documented, and
those that may carry passwords, of which all is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Redact = Literal["values", "keys"]

# What becomes of an argument in the end: besides =, m, n, p and s, replaced as a key (k), as data (v), as a bound (r), as
# a bit (b), or passed on whatever it is ( ).
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
    """first: the arguments before the options. rest: those behind them, from loop on over and over.

    options: upper-case words, and the arguments that follow each.
    """

    first: bytes
    options: dict[bytes, bytes]
    rest: bytes
    loop: int


def grammars(redact: frozenset[Redact]) -> dict[bytes, Grammar]:
    """By upper-case name, for what is to be redacted. That of b"" is for every other command: all of it is replaced."""
    table = _BY_MODE[tuple(sorted(redact))]
    # Of an active KeyDB's RREPLAY the commands in it are replaced as one word; its db has to stay in force behind it.
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
