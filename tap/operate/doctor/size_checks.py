"""Whether backlog, output buffer and timeouts are large enough for what the master writes and for its RDB.

A size is too small if it does not suffice for what was measured. The one that is named instead has a margin, so that a
busier second does not find it too small again.
"""

from __future__ import annotations

from collections.abc import Iterator

from tap.operate.doctor.check import Evidence, Finding, check, from_config, from_info
from tap.operate.doctor.pair_facts import PairFacts, ServerFacts
from tap.servers import shell
from tap.verdict import sizing

# Bytes per second at which an RDB is written, sent and loaded, where the master has never measured it: a slow disk.
ASSUMED_SPEED = 50 * 2**20


@check
def backlog_too_small(facts: PairFacts) -> Iterator[Finding]:
    master, rate = facts.master, facts.peak_rate
    size = master.number("repl-backlog-size") or master.field_number("repl_backlog_size")
    if not rate or size is None:
        return
    need = sizing.backlog(rate, facts.outage)
    covers = size / rate
    if covers >= facts.outage:
        return
    yield Finding(
        "backlog_too_small",
        "warning",
        master.name,
        f"at the peak rate of {_mb(rate)}/s the backlog of {_mb(size)} covers an outage of {covers:.1f} s; a longer one "
        f"costs a full resync. For {facts.outage:.0f} s it needs {_mb(rate)}/s x {facts.outage:.0f} s x {need.margin:g} "
        f"(margin) = {need.value}",
        (
            *(from_config(master, "repl-backlog-size") or from_info(master, "repl_backlog_size")),
            *_rate(facts),
        ),
        (
            "# on each replica that may become the master, too:",
            shell.config_set(master.url, "repl-backlog-size", need.value),
        ),
    )


@check
def output_buffer_too_small(facts: PairFacts) -> Iterator[Finding]:
    """Two connections keep the stream of a full resync at the replica, so this is for pairs that use one."""
    master, limit = facts.master, facts.master.output_buffer_limit
    if not facts.peak_rate or limit is None or _two_connections(facts):
        return
    seconds, how = rdb_seconds(master)
    wait = delay(master)
    need = sizing.output_buffer(facts.peak_rate, wait, seconds, seconds, sizing.WIDE_MARGIN)
    hard, soft, soft_seconds = limit
    # Since Redis 7.0 a hard limit below the backlog counts as the backlog's size.
    hard = max(hard, master.number("repl-backlog-size") or 0) if hard else 0
    filled = need.rate * need.seconds
    ends_hard = 0 < hard < filled
    ends_soft = 0 < soft < filled and need.seconds > soft_seconds
    if not ends_hard and not ends_soft:
        return
    yield Finding(
        "output_buffer_too_small",
        "warning",
        master.name,
        f"while a full resync runs, the master would buffer {_mb(facts.peak_rate)}/s x {need.seconds:.0f} s ({wait:.0f} "
        f"s delay, {seconds:.0f} s transfer and {seconds:.0f} s load, both {how}) = {_mb(filled)} for the replica, and "
        f"disconnect it at {_mb(hard if ends_hard else soft)}: a loop of full resyncs. With a margin of "
        f"{need.margin:g}: {need.value}",
        (
            *from_config(master, "client-output-buffer-limit", "repl-diskless-sync", "repl-diskless-sync-delay"),
            *from_info(master, "rdb_last_bgsave_time_sec", "used_memory"),
            *_rate(facts),
        ),
        (shell.config_set(master.url, "client-output-buffer-limit", sizing.output_buffer_limit(need.bytes)),),
    )


@check
def timeouts_too_short(facts: PairFacts) -> Iterator[Finding]:
    """repl-timeout ends a link that is silent. PINGs keep it alive, so it has to be longer than their period."""
    ping = facts.master.number("repl-ping-replica-period")
    for server in (facts.master, *(one.server for one in facts.replicas)):
        timeout = server.number("repl-timeout")
        if timeout is None or ping is None or timeout > 2 * ping:
            continue
        broken = timeout <= ping
        yield Finding(
            "timeout_too_short",
            "broken" if broken else "warning",
            server.name,
            f"repl-timeout is {timeout} s, and an idle master sends a PING every {ping} s: "
            + ("each idle link is cut for silence" if broken else "one PING that is late cuts an idle link"),
            (*from_config(server, "repl-timeout"), *from_config(facts.master, "repl-ping-replica-period")),
            (shell.config_set(server.url, "repl-timeout", str(max(60, sizing.timeout(3 * ping, 1)))),),
        )


@check
def timeout_below_rdb(facts: PairFacts) -> Iterator[Finding]:
    master = facts.master
    seconds, how = rdb_seconds(master)
    for server in (master, *(one.server for one in facts.replicas)):
        timeout = server.number("repl-timeout")
        need = sizing.timeout(seconds, sizing.WIDE_MARGIN)
        if timeout is not None and timeout < seconds:
            yield Finding(
                "timeout_below_rdb",
                "note",
                server.name,
                f"an RDB of this master takes about {seconds:.0f} s ({how}), and repl-timeout is {timeout} s. Master and "
                "replica send newlines meanwhile, so it holds unless one of them stands still that long (one huge key, a "
                f"full disk queue): {need} s is safe",
                (*from_config(server, "repl-timeout"), *from_info(master, "rdb_last_bgsave_time_sec", "used_memory")),
                (shell.config_set(server.url, "repl-timeout", str(need)),),
            )


def rdb_seconds(master: ServerFacts) -> tuple[float, str]:
    """About how long the master takes to write its RDB, and where that is known from."""
    measured = master.field_number("rdb_last_bgsave_time_sec")
    memory = master.field_number("used_memory") or 0
    if measured is not None and measured > 0:
        return float(measured), "as its last RDB took"
    return max(1.0, memory / ASSUMED_SPEED), f"estimated from used_memory at {_mb(ASSUMED_SPEED)}/s"


def delay(master: ServerFacts) -> float:
    """Seconds that a replica waits before a diskless transfer begins."""
    return (
        float(master.number("repl-diskless-sync-delay") or 0) if master.config.get("repl-diskless-sync") == "yes" else 0.0
    )


def _two_connections(facts: PairFacts) -> bool:
    servers = [facts.master, *(one.server for one in facts.replicas if one.server.is_up)]
    return any(
        len(servers) > 1 and all(one.config.get(option) == "yes" for one in servers)
        for option in ("repl-rdb-channel", "dual-channel-replication-enabled")
    )


def _rate(facts: PairFacts) -> tuple[Evidence, ...]:
    source = f"master_repl_offset in INFO of {facts.master.name}, for {facts.watched:.0f} s"
    return (
        Evidence("peak write rate", f"{_mb(facts.peak_rate)}/s", source),
        Evidence("mean write rate", f"{_mb(facts.mean_rate)}/s", source),
    )


def _mb(size: float) -> str:
    return f"{size / 2**20:.1f} MB" if size >= 2**20 / 10 else f"{size / 2**10:.1f} KB"
