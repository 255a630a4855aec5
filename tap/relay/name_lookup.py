"""Host names: addresses in digits are taken as they are, names are looked up once for all callers.

The resolver blocks, for half a minute if its servers do not answer, so it runs in threads; and a crowd of connections
that all want one name must not become a crowd of threads and of queries. So one look-up of a name answers all callers
that wait for it, and those that come within FRESH_SECONDS, with an error as well. Resolvers get stuck: when one has not
answered for AGAIN_SECONDS, the next caller starts another look-up, but never more than MAX_THREADS run for one name. Each
caller limits its own wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ipaddress
import math
import socket
import threading
import weakref

from tap.url import Address

FRESH_SECONDS = 1.0  # replicas retry once a second, and should find a name that exists by then
AGAIN_SECONDS = 5.0  # resolv.conf(5): timeout
MAX_THREADS = 4

UNRESOLVABLE = "the name cannot be resolved (no resolver takes it)"

Candidate = tuple[int, tuple[str, int]]  # to try: the address family, and host and port in it


async def resolved(address: Address) -> list[Candidate]:
    """The addresses to try, at least one. An address in digits needs no resolver, and no thread.

    Raises OSError, also where no thread can be had, and ValueError for a name that no resolver takes.
    """
    try:
        version = ipaddress.ip_address(address.host).version
    except ValueError:
        names = _of_loops.setdefault(asyncio.get_running_loop(), {})
        name = names.setdefault(address, _Name(address))
        try:
            return await name.places()
        finally:
            for one in [one for one, known in names.items() if known.is_stale]:
                del names[one]
    return [(socket.AF_INET6 if version == 6 else socket.AF_INET, (address.host, address.port))]


class _Name:
    """One host and port, in one event loop."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._threads = 0
        self._begun = -math.inf  # loop time at which the newest thread was started
        self._answered = -math.inf
        self._waiting = 0
        self._has_come = asyncio.Event()
        self._places: list[Candidate] = []
        self._failure: Exception | None = None

    @property
    def is_stale(self) -> bool:
        return not self._threads and not self._waiting and not self._is_fresh

    @property
    def _is_fresh(self) -> bool:
        return asyncio.get_running_loop().time() < self._answered + FRESH_SECONDS

    async def places(self) -> list[Candidate]:
        if not self._is_fresh:
            loop = asyncio.get_running_loop()
            now = loop.time()
            is_wanted = self._begun <= self._answered or now >= self._begun + AGAIN_SECONDS
            if is_wanted and self._threads < MAX_THREADS:
                # Not a thread of the loop's pool: these are few, and asyncio.run() joins them before it ends.
                name = f"resolve {self._address.host}"
                try:
                    threading.Thread(target=self._look_up, args=(loop,), name=name, daemon=True).start()
                except RuntimeError as error:
                    raise OSError(f"the name cannot be resolved ({error})") from None
                self._threads += 1
                self._begun = now
            self._waiting += 1
            try:
                await self._has_come.wait()
            finally:
                self._waiting -= 1
        if self._failure is not None:
            raise copy.copy(self._failure)  # each with a traceback of its own
        return self._places

    def _look_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread."""
        places: list[Candidate] = []
        failure = None
        try:
            found = socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
            places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))  # type: ignore[misc]
        except Exception as error:
            failure = error.with_traceback(None)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._take, places, failure)

    def _take(self, places: list[Candidate], failure: Exception | None) -> None:
        self._threads -= 1
        self._places, self._failure = places, failure
        self._answered = asyncio.get_running_loop().time()
        self._has_come.set()  # for the callers that wait now; later ones wait for the next answer
        self._has_come = asyncio.Event()


_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, _Name]] = weakref.WeakKeyDictionary()
