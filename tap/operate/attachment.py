"""Step in between a replica and its master while they run, and out again.

    noted      the state file says how to give the replica back
    moving     REPLICAOF to the tap; the replica drops its master, connects here, and asks for a partial resync
    attached   its link is up, through the tap
    leaving    REPLICAOF to the master
    restored   the state file goes

Whatever ends the process, in whichever step, the file and the replica together say what is left to do: a replica that
follows the tap of the file goes back to the master of the file, and one that follows anything else stays where it is,
because a failover or an operator has moved it since. So giving back is idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tap.bus import COUNTLESS, Told
from tap.errors import ConfigError, EnvironmentFailure, TapError, words
from tap.operate.attach_state import AttachState, StateFile, forget, is_there
from tap.operate.live_pair import LivePair
from tap.paths import is_locked
from tap.replication.events import FullResync, LinkOpened, MasterUnreachable, PartialResync, ResyncRefused
from tap.servers.cancellation import to_the_end
from tap.servers.client import Client
from tap.servers.failures import ANSWER_SECONDS, FAILURES, said_by
from tap.servers.following import follow
from tap.servers.info import ReplicationSection
from tap.servers.shell import replicaof
from tap.tap import Tap
from tap.url import EVERY_HOST, Address, Url, is_loopback

REACH_SECONDS = 5.0  # a replica tries once a second to connect to its master
UP_SECONDS = 20.0  # from the connection to "up"; a replica under load answers late
BACK_SECONDS = 0.8  # for the link to the master to be up again; the replica tries on by itself
LOOK_SECONDS = 0.02

Step = Callable[[str], None]


def reachable_at(pair: LivePair, listens: Address, given: Address | None) -> Address:
    """The tap's address for the replica's REPLICAOF; given: by the user, with port 0 for the port where the tap listens.

    Raises ConfigError for an address at which this replica cannot find this machine.
    """
    if given is not None:
        return Address(given.host, given.port or listens.port)
    host = pair.here if listens.host in (EVERY_HOST, "0.0.0.0", "::") else listens.host  # noqa: S104
    is_local = bool(pair.replica.address.path) or is_loopback(pair.replica.address.host)
    if is_loopback(host) and not is_local:
        raise ConfigError(f"the replica {pair.replica.address} cannot reach a tap at {host}: give --listen {pair.here}:0")
    return Address(host, listens.port)


def check(pair: LivePair, *, speaks_tls: bool, full_ok: bool) -> None:
    """Raise ConfigError, or TapError, for a pair in which this tap must not step."""
    name = pair.replica.address
    if pair.tls_replication and not speaks_tls:
        raise ConfigError(
            f"{name} connects to its master over TLS (tls-replication yes): give --listen-cert, a certificate it trusts"
        )
    if pair.tls_replication is False and speaks_tls:
        raise ConfigError(f"{name} connects to its master without TLS (tls-replication no): leave --listen-cert out")
    if full_ok:
        return
    if pair.is_syncing:
        raise TapError(
            f"{name} is in a full resync, which a change of its master would begin anew: wait until it is done "
            "(--full-ok attaches all the same)"
        )
    if not pair.forecast.is_partial:
        raise TapError(f"{name} would resync in full: {pair.forecast.text} (--full-ok attaches all the same)")


class Attachment:
    """A replica that follows its master through the tap, from enter() to leave().

    say: called with a sentence for each thing that happens.
    """

    def __init__(
        self,
        pair: LivePair,
        at: Address,
        state: Path,
        *,
        say: Callable[[str], None],
        full_ok: bool = False,
        at_step: Step = lambda name: None,
    ) -> None:
        """at: the tap's address for the replica. state: the state file. at_step: called when a step has been done."""
        self._pair = pair
        self._at = at
        self._path = state
        self._say = say
        self._full_ok = full_ok
        self._at_step = at_step
        self._client = Client(pair.replica)
        self._file: StateFile | None = None

    async def enter(self, tap: Tap) -> None:
        """Note, move, and see the resync. An error, or a cancellation, gives the replica back first.

        Raises ConfigError if the state file exists, and EnvironmentFailure if the replica does not come.
        """
        pair = self._pair
        state = AttachState(
            replace(pair.replica.endpoint, username=pair.replica.username),
            bool(pair.replica.password),
            pair.followed,
            self._at,
        )
        self._file = StateFile.begin(self._path, state)
        self._at_step("noted")
        arrived = _Arrival()
        end_hearing = tap.bus.subscribe(arrived, without=COUNTLESS)
        try:
            await self._move(tap, arrived)
        except BaseException:
            await to_the_end(self.leave())
            raise
        finally:
            end_hearing()
        self._file.step("attached")
        self._at_step("attached")

    async def hold(self, tap: Tap, stop: asyncio.Event) -> None:
        """Enter, wait until *stop* is set, and leave; also after an error, a cancellation, or *stop* while it enters."""
        entering = asyncio.create_task(self.enter(tap), name="attach")
        stopped = asyncio.create_task(stop.wait(), name="wait for the end")
        try:
            await asyncio.wait({entering, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if entering.done():
                entering.result()
                await stopped
        finally:
            for task in (entering, stopped):
                task.cancel()
            await to_the_end(self._end(entering))

    async def _end(self, entering: asyncio.Task[None]) -> None:
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await entering  # enter() gives the replica back itself if it is interrupted, and raises if it could not
        finally:
            await self.leave()

    async def _move(self, tap: Tap, arrived: _Arrival) -> None:
        assert self._file is not None
        name, at = self._client.name, self._at
        self._file.step("moving")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await follow(self._client, at)
        except FAILURES as error:
            raise EnvironmentFailure(f"{name}: REPLICAOF {at.host} {at.port}: {said_by(error)}") from None
        self._at_step("moving")
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            if arrived.full is not None:
                # The replica has dropped its history by now. Going back would cost one more full resync.
                expected = "" if self._full_ok else " against what both servers' INFO let expect"
                self._say(f"WARNING: {name} resyncs in full{expected}: {arrived.full.reason.text}")
                return
            if await self._is_up() and (arrived.partial is not None or tap.config.opaque):
                break
            waited = loop.time() - begun
            if not arrived.has_connected and waited > REACH_SECONDS:
                seen = self._pair.seen_as
                nat = "" if seen in (None, self._pair.here) else f"; it sees this machine as {seen}: --tap-address"
                raise EnvironmentFailure(
                    f"{name} has not connected to the tap at {at} within {REACH_SECONDS:g} s: it cannot reach that "
                    f"address{nat}"
                )
            if waited > UP_SECONDS:
                raise EnvironmentFailure(
                    f"{name} has not resynced through the tap within {UP_SECONDS:g} s"
                    + (f": {arrived.trouble}" if arrived.trouble else "")
                )
            await asyncio.sleep(LOOK_SECONDS)
        how = "; --opaque does not read how it resynced" if tap.config.opaque else ", by a partial resync"
        self._say(f"{name} follows the tap at {at}{how}")

    async def _is_up(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await self._client.replication()
        except FAILURES:
            return False
        return found.master == self._at and found.master_link_status == "up"

    async def leave(self) -> None:
        """Give the replica back. Raises EnvironmentFailure if it does not answer; the state file then stays."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.step("leaving")
            said = await give_back(self._client, file.state, within=BACK_SECONDS, at_step=self._at_step)
            file.remove()
        except FAILURES as error:
            raise EnvironmentFailure(
                (
                    f"{self._client.name} could not be given back to {file.state.master}: {said_by(error)}; "
                    "once it answers, either command gives it back:",
                    f"redis-tap detach {self._path}",
                    replicaof(self._pair.replica, file.state.master),
                )
            ) from None
        finally:
            file.close()
            await self._client.close()
        self._say(said)


class _Arrival:
    """What the tap has seen of the replica since REPLICAOF. trouble: why it has not resynced yet, "" if unknown."""

    def __init__(self) -> None:
        self.has_connected = False
        self.partial: PartialResync | None = None
        self.full: FullResync | None = None
        self.trouble = ""

    def __call__(self, told: Told) -> None:
        event = told.event
        if isinstance(event, LinkOpened):
            self.has_connected = True
        elif isinstance(event, PartialResync):
            self.partial = event
        elif isinstance(event, FullResync):
            self.full = event
        elif isinstance(event, ResyncRefused):
            self.trouble = f"the master answers {event.reply}"
        elif isinstance(event, MasterUnreachable):
            self.trouble = f"{event.master} cannot be reached: {event.text}"


async def give_back(client: Client, state: AttachState, *, within: float, at_step: Step = lambda name: None) -> str:
    """Point the replica at its master, if it still follows the tap. Returns what was done. Raises FAILURES.

    within: seconds to wait for its link to be up.
    """
    async with asyncio.timeout(ANSWER_SECONDS):
        found = await client.replication()
        if found.master != state.tap:
            return f"{client.name} {_whom(found)} and is left as it is: {_unmoved(found, state)}"
        await follow(client, state.master)
    at_step("leaving")
    give_up = asyncio.get_running_loop().time() + within
    while (found := await client.replication()).master_link_status != "up":
        if asyncio.get_running_loop().time() > give_up:
            return f"{client.name} follows {state.master} again; their link is not up yet"
        await asyncio.sleep(LOOK_SECONDS)
    return f"{client.name} follows {state.master} again"


def _whom(found: ReplicationSection) -> str:
    return "is a master" if found.master is None else f"follows {found.master}"


def _unmoved(found: ReplicationSection, state: AttachState) -> str:
    if found.master == state.master:
        return "that was its master before the attach"
    return f"something other than redis-tap has moved it since, and not to {state.master}"


async def detach(path: Path, login: Url | None, environment: Mapping[str, str] = os.environ) -> str:
    """Do what the state file says is left to do; returns what was done. A process that is attached is asked to do it.

    login: the replica's URL, if the user gave one; else a password is taken from REDISCLI_AUTH.

    Raises what AttachState.read() does, and EnvironmentFailure if the replica does not answer.
    """
    state = AttachState.read(path)
    if is_locked(path):
        return await _ended(path, state)
    password = environment.get("REDISCLI_AUTH", "") if state.has_login else ""
    async with Client(login or replace(state.replica, password=password)) as client:
        try:
            said = await give_back(client, state, within=UP_SECONDS / 2)
        except FAILURES as error:
            raise EnvironmentFailure(
                f"{client.name} could not be given back to {state.master}: {said_by(error)}"
                + ("; its password is taken from REDISCLI_AUTH, or from its URL" if state.has_login and not login else "")
            ) from None
    forget(path)
    return said


async def _ended(path: Path, state: AttachState) -> str:
    """End the process that is attached, as Ctrl-C would, and wait for that."""
    try:
        os.kill(state.pid, signal.SIGTERM)
    except OSError as error:
        raise EnvironmentFailure(f"process {state.pid}, which is attached, cannot be ended: {words(error)}") from None
    give_up = asyncio.get_running_loop().time() + UP_SECONDS
    while is_there(path):
        if not is_locked(path) and is_there(path):
            raise EnvironmentFailure(f"process {state.pid} has ended, but not given {state.replica.address} back")
        if asyncio.get_running_loop().time() > give_up:
            raise EnvironmentFailure(f"process {state.pid}, which is attached, has not ended within {UP_SECONDS:g} s")
        await asyncio.sleep(LOOK_SECONDS)
    return f"{state.replica.address} was given back to {state.master} by the process that was attached, {state.pid}"
