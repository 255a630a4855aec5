"""Which side is silent, against what it has shown; and what is no silence."""

from __future__ import annotations

import pytest

from tap.replication import events
from tap.replication.events import Event, Side
from tap.replication.silence import (
    ACK_LIMIT,
    AWAITED_LIMIT,
    LATE,
    LOADING_LIMIT,
    UNKNOWN_PERIOD_LIMIT,
    Pulse,
    Silence,
)
from tests.replication.talk import ACK_0, ID, MARK, PING, PSYNC, RDB, Talk, ack

GRANT = f"+CONTINUE {ID}\r\n".encode()


class Watch:
    """A talk on a clock of seconds, and what is told of its silences."""

    def __init__(self, pulse: Pulse | None = None) -> None:
        self.now = 0.0
        self.talk = Talk()
        self.told: list[Event] = []
        self.pulse = pulse or Pulse()
        self.silence = Silence(self.talk.conversation, self.told.append, self.pulse, 0.0)

    def pass_time(
        self,
        seconds: float,
        *,
        acks: int | None = None,
        pings_every: int = 0,
        reads_master: bool = True,
        reads_replica: bool = True,
        is_held: bool = False,
    ) -> Watch:
        """acks: the offset that is acknowledged each second. pings_every: seconds."""
        for second in range(1, round(seconds) + 1):
            self.now += 1.0
            if acks is not None:
                self.talk.conversation.receive_from_replica(ack(acks), self.now)
            if pings_every and second % pings_every == 0:
                self.talk.conversation.receive_from_master(PING, self.now)
            self.talk.conversation.tick(self.now, held_back=not reads_master)
            self.silence.tick(self.now, reads_master=reads_master, reads_replica=reads_replica, is_held=is_held)
        return self

    def silent(self) -> list[tuple[Side, float]]:
        return [(one.side, one.seconds) for one in self.told if isinstance(one, events.Silent)]

    def over(self) -> list[tuple[Side, float]]:
        return [(one.side, one.seconds) for one in self.told if isinstance(one, events.SilentOver)]


def following(pulse: Pulse | None = None) -> Watch:
    watch = Watch(pulse)
    watch.talk.R(f"PSYNC {ID} 101\r\n".encode()).M(GRANT)
    return watch.pass_time(1, acks=100)


def test_a_master_is_silent_against_the_period_of_its_pings() -> None:
    watch = following().pass_time(40, acks=100, pings_every=10)
    assert watch.pulse.ping_period == 10.0
    watch.pass_time(LATE * 10 + 1, acks=100)
    assert watch.silent() == []
    assert watch.silence.seconds(Side.MASTER, watch.now) == LATE * 10 + 1
    watch.pass_time(1, acks=100)
    [silent] = watch.told
    assert silent == events.Silent(
        side=Side.MASTER,
        seconds=LATE * 10 + 2,
        period=10.0,
        phase="stream",
        offset=100 + 4 * 14,
        lag_bytes=4 * 14,
        lag_at_least=True,  # it may have written what does not come
        timeout_in=None,
    )
    assert watch.silence.silent is Side.MASTER
    watch.pass_time(4, acks=100)
    assert len(watch.told) == 1, "told once"
    watch.pass_time(1, acks=100, pings_every=1)
    assert watch.over() == [(Side.MASTER, LATE * 10 + 7)]
    assert watch.silence.silent is None


@pytest.mark.parametrize("period", [1, 3, 10, 20, 60])
def test_no_master_that_keeps_its_period_is_silent_once_it_has_shown_it(period: int) -> None:
    watch = following().pass_time(4 * period, acks=100, pings_every=period)
    before = len(watch.told)
    watch.pass_time(20 * period, acks=100, pings_every=period)
    assert len(watch.told) == before
    assert watch.pulse.ping_period == pytest.approx(period, abs=1.0)


def test_until_a_master_has_shown_its_period_the_limit_is_generous() -> None:
    watch = following().pass_time(UNKNOWN_PERIOD_LIMIT, acks=100)
    assert watch.silent() == []
    watch.pass_time(1, acks=100)
    assert watch.silent() == [(Side.MASTER, UNKNOWN_PERIOD_LIMIT + 1)]


def test_the_period_is_known_to_the_next_connection() -> None:
    pulse = Pulse()
    following(pulse).pass_time(40, acks=100, pings_every=10)
    watch = following(pulse).pass_time(LATE * 10 + 2, acks=100)
    assert watch.silent() == [(Side.MASTER, LATE * 10 + 2)]


def test_a_period_that_has_become_longer_is_learned_anew() -> None:
    watch = following().pass_time(40, acks=100, pings_every=10)
    watch.pass_time(600, acks=100, pings_every=60)
    assert watch.pulse.ping_period == 60.0
    before = len(watch.told)
    watch.pass_time(600, acks=100, pings_every=60)
    assert len(watch.told) == before


def test_pings_of_a_backlog_show_no_period() -> None:
    watch = following()
    watch.talk.M(PING * 50)
    watch.pass_time(3, acks=100)
    watch.talk.M(PING * 50)
    watch.pass_time(3, acks=100)
    assert watch.pulse.ping_period is None


def test_a_replica_that_acknowledges_nothing_is_silent() -> None:
    watch = following().pass_time(ACK_LIMIT, pings_every=1)
    assert watch.silent() == []
    watch.pass_time(1, pings_every=1)
    assert watch.silent() == [(Side.REPLICA, ACK_LIMIT + 1)]
    [silent] = watch.told
    assert isinstance(silent, events.Silent)
    assert (silent.period, silent.lag_bytes) == (None, 6 * 14)
    watch.pass_time(1, acks=184, pings_every=1)
    assert watch.over() == [(Side.REPLICA, ACK_LIMIT + 2)]


def test_a_replica_that_acknowledges_seldom_is_not_silent_in_between() -> None:
    watch = following()
    for _ in range(4):
        watch.pass_time(1, acks=100, pings_every=1).pass_time(9, pings_every=1)
    before = len(watch.told)
    for _ in range(9):
        watch.pass_time(1, acks=100, pings_every=1).pass_time(9, pings_every=1)
    assert len(watch.told) == before


def test_a_timeout_that_is_known_says_when_the_master_ends_a_silent_replica() -> None:
    watch = following()
    watch.pulse.timeout = 60.0
    watch.pass_time(ACK_LIMIT + 1, pings_every=1)
    [silent] = watch.told
    assert isinstance(silent, events.Silent)
    assert silent.timeout_in == 60.0 - (ACK_LIMIT + 1)
    assert watch.silence.timeout_in(watch.now + 2) == 60.0 - (ACK_LIMIT + 3)
    assert watch.silence.timeout_in(watch.now + 200) == 0.0


# ---- what is no silence ----


def test_a_master_that_the_tap_does_not_read_is_not_silent_and_its_replica_is() -> None:
    watch = following().pass_time(100, reads_master=False)
    assert watch.silent() == [(Side.REPLICA, ACK_LIMIT + 1)]
    watch.pass_time(UNKNOWN_PERIOD_LIMIT)
    assert len(watch.told) == 1, "from then on it is awaited again"


def test_what_a_fault_holds_up_is_no_silence() -> None:
    watch = following().pass_time(100, is_held=True)
    assert watch.silent() == []
    watch.pass_time(ACK_LIMIT + 1)
    assert watch.silent() == [(Side.REPLICA, ACK_LIMIT + 1)]


def test_newlines_before_the_grant_and_before_the_rdb_are_signs_of_life() -> None:
    watch = Watch()
    watch.talk.R(PSYNC)
    for _ in range(100):
        watch.talk.M(b"\n")
        watch.pass_time(1)
    watch.talk.M(f"+FULLRESYNC {ID} 0\r\n".encode())
    for _ in range(100):
        watch.talk.M(b"\n")
        watch.pass_time(1)
    assert watch.silent() == []
    watch.pass_time(AWAITED_LIMIT + 1)
    assert watch.silent() == [(Side.MASTER, AWAITED_LIMIT + 1)]


def test_a_payload_that_stops_is_a_silence_of_the_master() -> None:
    watch = Watch()
    watch.talk.R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$1000\r\n".encode() + RDB)
    watch.pass_time(1)
    watch.pass_time(AWAITED_LIMIT + 1)
    [silent] = watch.told
    assert isinstance(silent, events.Silent)
    assert (silent.side, silent.phase) == (Side.MASTER, "rdb")


def test_while_a_replica_loads_the_master_is_not_awaited_and_the_replica_may_take_its_time() -> None:
    watch = Watch()
    watch.talk.R(PSYNC).M(f"+FULLRESYNC {ID} 0\r\n$EOF:{MARK}\r\n".encode() + RDB + MARK.encode())
    watch.pass_time(1)
    for _ in range(10):
        watch.pass_time(LOADING_LIMIT)
        watch.talk.R(b"\n")
        watch.pass_time(1)
    assert watch.told == []
    assert watch.silence.seconds(Side.MASTER, watch.now) is None
    watch.pass_time(LOADING_LIMIT + 1)
    assert watch.silent() == [(Side.REPLICA, LOADING_LIMIT + 1)]
    watch.talk.R(ACK_0)
    watch.pass_time(1)
    assert watch.over() == [(Side.REPLICA, LOADING_LIMIT + 2)]


def test_a_client_that_never_acknowledges_is_not_awaited() -> None:
    watch = Watch()
    watch.talk.R(b"SYNC\r\n").M(b"$18\r\n" + RDB + PING)
    watch.pass_time(100, pings_every=1)
    assert watch.told == []


def test_more_ticks_than_one_a_second_change_nothing() -> None:
    watch = following()
    for tenth in range(70):
        watch.silence.tick(watch.now + tenth / 10, reads_master=True, reads_replica=True, is_held=False)
    assert watch.silent() == [(Side.REPLICA, 6.0)]
