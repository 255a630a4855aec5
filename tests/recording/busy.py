"""A busy port: traffic of all kinds of ordinary clients and their server, some of it made to look like replication."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.recording.wires import Wire
from tests.relay.wire import REPLID, command

Said = Iterator[tuple[int, bytes]]  # 0: the client; 1: the server
Kind = Callable[[random.Random], Said]

ACK = command("REPLCONF", "ACK", "1234567890")
GRANT = f"+FULLRESYNC {REPLID} 1000\r\n".encode()
RDB = b"REDIS0011\xfa\x09redis-ver\x057.2.4\xfe\x00\x00\x01k\x01v\xff" + bytes(8)
SESSION = (
    command("PING")
    + command("REPLCONF", "listening-port", "6380")
    + command("PSYNC", "?", "-1")
    + GRANT
    + b"$%d\r\n" % len(RDB)
    + RDB
    + command("SELECT", "0")
    + command("SET", "in", "a value")
    + ACK * 5
)
SEGMENT = 1448


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def array(*items: bytes) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(items)


def words(*items: str) -> bytes:
    return array(*(bulk(item.encode()) for item in items))


def writes(dice: random.Random, count: int) -> list[bytes]:
    """As an application, an AOF or a master writes them."""
    kinds = [
        lambda: command("SET", f"key:{dice.randrange(1000)}", "v" * dice.randrange(300)),
        lambda: command("HSET", f"hash:{dice.randrange(100)}", "field", str(dice.random())),
        lambda: command("LPUSH", "queue", "job"),
        lambda: command("INCR", "counter"),
        lambda: command("SELECT", str(dice.randrange(3))),
        lambda: command("PUBLISH", "channel", "news"),
        lambda: command("MULTI") + command("DEL", "a") + command("SET", "b", "1") + command("EXEC"),
        lambda: command("PING"),
        lambda: command("ping"),
    ]
    return [dice.choice(kinds)() for _ in range(count)]


def in_pieces(side: int, data: bytes) -> Said:
    for at in range(0, len(data), SEGMENT):
        yield side, data[at : at + SEGMENT]


# ---- the kinds ----


def reads_and_writes(dice: random.Random) -> Said:
    for one in writes(dice, 20):
        yield 0, command("GET", "key")
        yield 1, bulk(b"x" * dice.randrange(200)) if dice.random() < 0.7 else b"$-1\r\n"
        yield 0, one
        yield 1, b"+OK\r\n" if dice.random() < 0.5 else b":1\r\n"


def pipelined(dice: random.Random) -> Said:
    for _ in range(5):
        batch = writes(dice, 40)
        yield from in_pieces(0, b"".join(batch))
        yield from in_pieces(1, b"+OK\r\n" * len(batch))


def mass_insertion(dice: random.Random) -> Said:
    """As redis-cli --pipe of an AOF: replies come late."""
    yield from in_pieces(0, b"".join(writes(dice, 300)) + command("ECHO", "a random string of 20"))
    yield from in_pieces(1, b"+OK\r\n" * 300 + bulk(b"a random string of 20"))


def without_replies(dice: random.Random) -> Said:
    yield 0, command("CLIENT", "REPLY", "OFF")
    for one in writes(dice, 40):
        yield 0, one


def subscriber(dice: random.Random) -> Said:
    yield 0, command("SUBSCRIBE", "channel")
    yield 1, array(bulk(b"subscribe"), bulk(b"channel"), b":1\r\n")
    yield 0, command("PSUBSCRIBE", "*")
    yield 1, array(bulk(b"psubscribe"), bulk(b"*"), b":2\r\n")
    for number in range(30):
        yield 1, words("message", "channel", f"news {number}") + words("pmessage", "*", "channel", "SET key value")
    yield 0, command("PING")
    yield 1, words("pong", "")


def monitor(dice: random.Random) -> Said:
    yield 0, command("MONITOR")
    yield 1, b"+OK\r\n"
    for said in ('"SET" "key" "value"', '"REPLCONF" "ACK" "1500"', '"PSYNC" "?" "-1"', '"ping"', '"SELECT" "0"') * 6:
        yield 1, b"+1700000000.%06d [0 10.0.0.9:50000] %s\r\n" % (dice.randrange(10**6), said.encode())


def blocking_pops(dice: random.Random) -> Said:
    for _ in range(20):
        yield 0, command("BLPOP", "SET", "0") if dice.random() < 0.5 else command("BZPOPMIN", "scores", "0")
        yield 1, words("SET", dice.choice(("job", "SELECT", "value"))) if dice.random() < 0.8 else b"*-1\r\n"


def reads_commands(dice: random.Random) -> Said:
    """Lists whose elements are the words of commands: the replies are, byte for byte, a stream."""
    for _ in range(20):
        yield 0, command("LRANGE", "log", "0", "-1")
        yield 1, dice.choice((words("SET", "key", "value"), words("ping"), words("SELECT", "0"), words("EXEC")))


def scripts(dice: random.Random) -> Said:
    for _ in range(15):
        yield 0, command("EVAL", "return redis.status_reply(ARGV[1])", "0", "CONTINUE")
        yield 1, dice.choice((b"+CONTINUE\r\n", b"+FULLRESYNC now 7\r\n", b"+RDBCHANNELSYNC\r\n", b"-ERR no\r\n"))
        yield 0, command("EVALSHA", "a" * 40, "1", "key")
        yield 1, array(array(bulk(b"SET"), bulk(b"a")), b":1\r\n", b"$-1\r\n", b"*0\r\n")


def resp3(dice: random.Random) -> Said:
    yield 0, command("HELLO", "3", "AUTH", "default", "secret") + command("CLIENT", "TRACKING", "ON")
    yield 1, b"%2\r\n+server\r\n+redis\r\n$5\r\nproto\r\n:3\r\n+OK\r\n"
    for _ in range(20):
        yield 0, command("HGETALL", "hash")
        yield 1, b"%1\r\n$5\r\nfield\r\n$5\r\nvalue\r\n"
        yield 0, command("SMEMBERS", "set")
        yield 1, b"~2\r\n$1\r\na\r\n$1\r\nb\r\n" + b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n"
        yield 0, command("ZSCORE", "scores", "a")
        yield 1, dice.choice((b",1.5\r\n", b"_\r\n", b"#t\r\n", b"(12345678901234567890\r\n", b"=7\r\ntxt:abc\r\n"))


def stores_replication(dice: random.Random) -> Said:
    """Values that hold bytes of replicas and masters, alone in segments, as some clients send large values.

    But no segment begins with a grant that an RDB follows: only a master sends that.
    """
    for value in (SESSION, ACK, ACK * 400, RDB, GRANT, (SESSION * 3 + b"#").ljust(2 * SEGMENT, b"#") * 4):
        yield 0, b"*3\r\n$3\r\nSET\r\n$3\r\ndoc\r\n$%d\r\n" % len(value)
        yield from in_pieces(0, value)
        yield 0, b"\r\n"
        yield 1, b"+OK\r\n"
        yield 0, command("GET", "doc")
        yield from in_pieces(1, bulk(value))
        yield 0, command("SET", "doc", value)
        yield 1, b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"


def health_checks(dice: random.Random) -> Said:
    for _ in range(20):
        yield 0, dice.choice((command("PING"), b"PING\r\n", command("ping")))
        yield 1, b"+PONG\r\n"
        yield 0, command("INFO", "replication")
        yield 1, bulk(b"# Replication\r\nrole:master\r\nslave0:ip=10.0.0.2,port=6380,state=online,offset=1500,lag=0\r\n")


def sentinel(dice: random.Random) -> Said:
    yield 0, command("CLIENT", "SETNAME", "sentinel-12345678-cmd") + command("PING") + command("INFO")
    yield 1, b"+OK\r\n+PONG\r\n" + bulk(b"role:master\r\n" * 50)
    for _ in range(20):
        yield 0, command("PUBLISH", "__sentinel__:hello", "10.0.0.5,26379," + "a" * 40) + command("PING")
        yield 1, b":3\r\n+PONG\r\n"


def streams(dice: random.Random) -> Said:
    for number in range(20):
        yield 0, command("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">")
        entry = array(bulk(b"%d-0" % number), words("SET", "value"))
        yield 1, array(array(bulk(b"s"), array(entry)))
        yield 0, command("XACK", "s", "g", f"{number}-0")
        yield 1, b":1\r\n"


def transactions(dice: random.Random) -> Said:
    for _ in range(15):
        yield 0, command("WATCH", "a") + command("MULTI") + command("SET", "a", "1") + command("INCR", "b")
        yield 1, b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n"
        yield 0, command("EXEC") + command("WAIT", "1", "100")
        yield 1, b"*2\r\n+OK\r\n:1\r\n:1\r\n"


def telnet(dice: random.Random) -> Said:
    for _ in range(20):
        yield 0, dice.choice((b"SET a 1\r\n", b"GET a\r\n", b"\r\n", b"INFO\r\n", b"ECHO SYNC\r\n"))
        yield 1, b"+OK\r\n"


def others(dice: random.Random) -> Said:
    yield 0, b"GET /metrics HTTP/1.1\r\nHost: redis\r\n\r\n"
    yield 1, b"HTTP/1.1 200 OK\r\n\r\n"
    for _ in range(20):
        yield dice.randrange(2), dice.randbytes(dice.randrange(1, SEGMENT))


KINDS: list[Kind] = [
    reads_and_writes,
    pipelined,
    mass_insertion,
    without_replies,
    subscriber,
    monitor,
    blocking_pops,
    reads_commands,
    scripts,
    resp3,
    stores_replication,
    health_checks,
    sentinel,
    streams,
    transactions,
    telnet,
    others,
]


def client(kind: Kind, dice: random.Random, port: int = 50000, begin: int = 0) -> list[tuple[int, bytes]]:
    """The packets of a connection of that kind, from a time in nanoseconds on."""
    wire = Wire(port, (f"10.0.{1 + port % 50}.{1 + port % 200}", "10.0.0.1"))
    wire.now += begin
    pace = dice.choice((100_000, 1_000_000, 300_000_000))
    wire.open()
    for side, data in kind(dice):
        wire.now += dice.randrange(pace)
        wire.send(side, data)
    return wire.packets
