"""One link, in Python: the forms that are taken, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tap import LinkConfig
from tap.errors import ConfigError
from tap.url import Address, Url


def test_a_link_accepts_urls_and_separate_values_win() -> None:
    link = LinkConfig(
        master="rediss://h:1?cacert=a.pem&sni=redis.example", listen="rediss://*:2?cert=b.pem", cacert=Path("c.pem")
    )
    assert (link.master, link.tls, link.cacert, link.sni) == (Address("h", 1), True, Path("c.pem"), "redis.example")
    assert (link.listen, link.listen_cert, link.listen_cacert) == (Address("*", 2), Path("b.pem"), None)
    assert replace(link, name="other") == LinkConfig(
        name="other",
        master=Address("h", 1),
        listen=Address("*", 2),
        tls=True,
        cacert=Path("c.pem"),
        sni="redis.example",
        listen_cert=Path("b.pem"),
    )
    assert LinkConfig(listen="127.0.0.1:1", master=Url(Address("h", 2))).listen == Address("127.0.0.1", 1)
    with pytest.raises(ConfigError, match="without a user or a password"):
        LinkConfig(master=Url.parse("redis://:secret@h:1"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"cacert": Path("ca.pem")}, "link main: --cacert has no effect without --tls"),
        ({"insecure": True}, "link main: --insecure has no effect without --tls"),
        ({"tls": True, "key": Path("key.pem")}, "link main: --key has no effect without --cert"),
        ({"listen_cacert": Path("ca.pem")}, "link main: --listen-cacert has no effect without --listen-cert"),
        ({"tls": True, "sni": ".example"}, "link main: '.example' is not the name of a server (--sni)"),
        ({"tls": True, "master": Address(path="/run/redis.sock")}, "is a Unix socket, and servers speak no TLS there"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=r".*") as refused:
        LinkConfig(**{"master": Address("127.0.0.1", 1)} | options)
    assert says in str(refused.value)
