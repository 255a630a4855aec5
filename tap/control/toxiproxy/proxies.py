"""All proxies of a tap: its links, but for transparent ones, which have no upstream of their own.

Creating, deleting, and each single entry of a populate exclude one another, so a name is taken by one request. Changes of
one proxy exclude one another, and wait for no other proxy. Toxics change in one step of the event loop.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from tap.config import LinkConfig
from tap.control.controlled import Controlled
from tap.control.server import share_of_files
from tap.control.toxiproxy.listen_address import LISTEN, UnusableAddress, resolved, upstream_address, why_not
from tap.control.toxiproxy.proxy import Proxy, WantedProxy
from tap.control.toxiproxy.request_body import ToxiproxyError, missing
from tap.errors import ConfigError, EnvironmentFailure, TapError
from tap.relay.listener import Listener
from tap.url import Address

UNUSED = Address("127.0.0.1", 0)  # of a link that does not listen, and whose address has not been read yet

MOST_LINKS = 1000  # each has a socket that listens, and series of metrics


class PartlyPopulated(ToxiproxyError):
    """done: the proxies of the entries before the one that failed."""

    def __init__(self, error: ToxiproxyError, done: Sequence[Proxy]) -> None:
        super().__init__(error.status, error.text)
        self.done = done


class Proxies:
    def __init__(self, tap: Controlled) -> None:
        self._tap = tap
        self._claiming = asyncio.Lock()
        self._known: WeakKeyDictionary[Listener, Proxy] = WeakKeyDictionary()

    def all(self) -> list[Proxy]:
        """In the order of their names."""
        found = [self._of(one) for one in self._tap.listeners if not one.config.transparent]
        return sorted(found, key=lambda one: one.name)

    def named(self, name: str) -> Proxy:
        """Raises ToxiproxyError if there is none."""
        for one in self._tap.listeners:
            if one.config.name == name and not one.config.transparent:
                return self._of(one)
        raise ToxiproxyError(404, "proxy not found")

    def _of(self, listener: Listener) -> Proxy:
        proxy = self._known.get(listener)
        if proxy is None:
            proxy = self._known[listener] = Proxy(listener, self._tap.faults)
        return proxy

    # ---- create, populate, delete ----

    async def create(self, wanted: WantedProxy) -> Proxy:
        if wanted.lacks:
            raise missing(wanted.lacks)
        async with self._claiming:
            if any(one.config.name == wanted.name for one in self._tap.listeners):
                raise ToxiproxyError(409, "proxy already exists")
            return await self._add(wanted)

    async def _add(self, wanted: WantedProxy) -> Proxy:
        most = share_of_files(MOST_LINKS)
        if sum(one.is_proxy for one in self._tap.listeners) >= most:
            raise ToxiproxyError(400, f"{most} proxies are there, which is the most: delete one first")
        listen = UNUSED
        if wanted.enabled:
            try:
                listen = await resolved(wanted.listen)
            except UnusableAddress as error:
                raise ToxiproxyError(500, f"{LISTEN}: {error}") from None
        link = LinkConfig(
            name=wanted.name,
            listen=listen,
            master=upstream_address(wanted.upstream),
            enabled=wanted.enabled,
            announce="tap",  # any traffic passes unchanged, also such as looks like that of a replica
        )
        if wanted.enabled:
            self._check_free(listen)
        try:
            listener = await self._tap.add_link(link)
        except TapError as error:
            raise ToxiproxyError(500, why_not(listen, error)) from None
        listener.is_proxy = True
        asked = None if wanted.enabled else wanted.listen
        proxy = Proxy(listener, self._tap.faults, asked_listen=asked, upstream=wanted.upstream)
        self._known[listener] = proxy
        return proxy

    async def populate(self, entries: Sequence[WantedProxy]) -> list[Proxy]:
        """Raises PartlyPopulated."""
        for number, wanted in enumerate(entries, 1):
            if wanted.lacks:
                raise PartlyPopulated(missing(f"{wanted.lacks} at proxy {number}"), [])
        done: list[Proxy] = []
        for wanted in entries:
            try:
                async with self._claiming:
                    done.append(await self._add_or_replace(wanted))
            except ToxiproxyError as error:
                raise PartlyPopulated(error, done) from None
        return done

    async def _add_or_replace(self, wanted: WantedProxy) -> Proxy:
        if all(one.config.name != wanted.name for one in self._tap.listeners):
            return await self._add(wanted)
        proxy = self.named(wanted.name)
        async with proxy.changing:
            try:
                listen = await resolved(wanted.listen)
            except UnusableAddress as error:
                raise ToxiproxyError(500, str(error)) from None
            if not await self._differs(proxy, wanted, listen):
                return proxy
            await self._change(proxy, enabled=False)
            before = proxy.addresses
            try:
                await self._set(proxy, wanted, listen)
                if wanted.enabled:
                    await self._start(proxy)
            except ToxiproxyError:
                await self._change(proxy, listen=before.listen, master=before.master)
                proxy.restore(before)
                raise
            proxy.remove_all()
            return proxy

    async def delete(self, name: str) -> None:
        async with self._claiming:
            proxy = self.named(name)
            try:
                await self._tap.remove_link(proxy.name)
            except ConfigError:  # removed by other means meanwhile
                raise ToxiproxyError(404, "proxy not found") from None

    # ---- update, reset ----

    async def update(self, proxy: Proxy, body: object) -> None:
        async with proxy.changing:
            wanted = WantedProxy.read(body, proxy)
            if not wanted.upstream:
                raise missing("upstream")
            try:
                listen = await resolved(wanted.listen)
            except UnusableAddress as error:
                raise ToxiproxyError(500, str(error)) from None
            if await self._differs(proxy, wanted, listen):
                await self._change(proxy, enabled=False)
                await self._set(proxy, wanted, listen)
                if wanted.enabled:
                    await self._start(proxy)
            elif wanted.enabled and not proxy.is_enabled:
                if proxy.asked_listen is not None:
                    await self._change(proxy, listen=listen)
                await self._start(proxy)
            elif not wanted.enabled and proxy.is_enabled:
                await self._change(proxy, enabled=False)

    async def reset(self) -> None:
        """Enable every proxy, and remove all toxics."""
        for proxy in self.all():
            await self.update(proxy, {"enabled": True})
            proxy.remove_all()

    async def _differs(self, proxy: Proxy, wanted: WantedProxy, listen: Address) -> bool:
        """Whether the proxy has to be started again. listen: what is wanted, resolved."""
        if wanted.upstream != proxy.upstream:
            return True
        if proxy.asked_listen is not None:
            return wanted.listen != proxy.asked_listen
        try:
            now = await resolved(proxy.listen)  # a link of the command line may listen on a name
        except UnusableAddress:
            return True
        return listen != now

    async def _set(self, proxy: Proxy, wanted: WantedProxy, listen: Address) -> None:
        """Give a proxy that does not listen other addresses."""
        if listen == proxy.listener.config.listen and not listen.port:  # else it would keep the port it was given
            await self._change(proxy, listen=Address(listen.host, 1))
        await self._change(proxy, listen=listen, master=upstream_address(wanted.upstream))
        proxy.set_upstream(wanted.upstream)
        if proxy.asked_listen is not None or wanted.listen != proxy.listen:
            proxy.asked_listen = wanted.listen

    def _check_free(self, listen: Address) -> None:
        """Raise ToxiproxyError if another link listens there: what the system would say, and the configuration first."""
        for one in self._tap.listeners:
            if listen.port and one.config.enabled and listen in (one.address, one.config.listen):
                raise ToxiproxyError(500, why_not(listen, OSError(errno.EADDRINUSE, "")))

    async def _start(self, proxy: Proxy) -> None:
        self._check_free(proxy.listener.address)
        await self._change(proxy, enabled=True)
        proxy.asked_listen = None

    async def _change(self, proxy: Proxy, **fields: object) -> None:
        try:
            await self._tap.change_link(proxy.name, **fields)
        except EnvironmentFailure as error:
            raise ToxiproxyError(500, why_not(proxy.listener.address, error)) from None
        except ConfigError as error:
            if proxy.listener not in self._tap.listeners:
                raise ToxiproxyError(404, "proxy not found") from None
            raise ToxiproxyError(500, why_not(proxy.listener.address, error)) from None
