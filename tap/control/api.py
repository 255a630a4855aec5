"""The API of one tap, from its start to its end: what tap/tap.py holds of this room."""

from __future__ import annotations

import os

from tap.bus import COUNTLESS
from tap.control import door
from tap.control.access import Access
from tap.control.announcement import Announcement
from tap.control.app import make_app
from tap.control.controlled import Controlled, Shared
from tap.control.server import ApiServer
from tap.errors import ConfigError
from tap.relay.tls_contexts import serving_context
from tap.url import Address


class Api:
    """address: where it listens, with the port that the system chose once it is open."""

    def __init__(self, tap: Controlled) -> None:
        """Raises ConfigError for an address that needs a token, a weak token, or a certificate that cannot be used."""
        config = tap.config
        assert config.api is not None
        self.address: Address = config.api
        token = door.token()
        self.has_token = token is not None
        door.check(self.address, self.has_token)
        tls = None
        if config.api_cert is not None:
            tls = serving_context(
                config.api_cert,
                config.api_key,
                config.api_cacert,
                config.keylog,
                variable="REDIS_TAP_API_KEY_PASSWORD",
            )
        app = make_app(tap)
        self._shared: Shared = app.state.shared
        self._server = ApiServer(
            Access(
                app,
                token=token,
                names=[self.address.host],
                read_only=config.read_only,
                is_unix=bool(self.address.path),
                place=lambda: self._shared.place,
            ),
            tls,
        )
        self._scheme = "http" if tls is None else "https"
        self._links = [one.name for one in config.links]
        self._made: os.stat_result | None = None  # the Unix socket
        self._announcement: Announcement | None = None

    @property
    def url(self) -> str:
        """How a person writes where it is."""
        return str(self.address) if self.address.path else f"{self._scheme}://{self.address}"

    @property
    def sends_token_in_clear(self) -> bool:
        """Whether the token crosses a network that others may read."""
        return self.has_token and self._scheme == "http" and not self.address.path and not self._is_here

    @property
    def _is_here(self) -> bool:
        try:
            door.check(self.address, has_token=False)
        except ConfigError:
            return False
        return True

    async def open(self) -> None:
        """Listen and answer. Raises ConfigError or EnvironmentFailure, see door.opened()."""
        self._shared.tap.bus.subscribe(self._shared.ledger, without=COUNTLESS)
        sockets, self.address = await door.opened(self.address, has_token=self.has_token)
        if self.address.path:
            self._made = os.stat(self.address.path)
        self._server.serve(sockets)
        self._shared.samples.start()
        self._announcement = Announcement(self.url, self._links)

    async def close(self, within: float) -> None:
        """Let requests that wait return, and end all connections after *within* seconds. May be called twice."""
        if self._announcement is not None:
            self._announcement.withdraw()
        self._shared.end()
        self._shared.samples.stop()
        await self._server.close(within)
        door.removed(self.address, self._made)
        self._made = None
