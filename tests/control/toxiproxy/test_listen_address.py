"""Addresses to listen on, and the words for those that cannot be used."""

from __future__ import annotations

import asyncio
import errno

import pytest

from tap.control.toxiproxy.listen_address import UnusableAddress, port_number, resolved, shown, upstream_address, why_not
from tap.errors import ConfigError, EnvironmentFailure
from tap.url import Address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:26379", "127.0.0.1:26379"),
        ("localhost:26379", "127.0.0.1:26379"),
        ("localhost:", "127.0.0.1:0"),
        ("localhost:http", "127.0.0.1:80"),
        ("[::1]:26379", "[::1]:26379"),
        ("", "[::]:0"),
        (":26379", "[::]:26379"),
        ("0.0.0.0:26379", "[::]:26379"),
        ("[::]:26379", "[::]:26379"),
    ],
)
def test_an_address_becomes_numeric(text: str, found: str) -> None:
    assert shown(asyncio.run(resolved(text))) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("xyz", "address xyz: missing port in address"),
        ("a:b:c", "address a:b:c: too many colons in address"),
        ("[::1", "address [::1: missing ']' in address"),
        ("[::1]", "address [::1]: missing port in address"),
        ("[::1]x:1", "address [::1]x:1: missing port in address"),
        ("[::1]:1:2", "address [::1]:1:2: too many colons in address"),
        ("a]b:1", "address a]b:1: unexpected ']' in address"),
        ("a[b:1", "address a[b:1: unexpected '[' in address"),
        ("localhost:99999", "address 99999: invalid port"),
        ("localhost:-1", "address -1: invalid port"),
        (f"localhost:{'9' * 5000}", f"address {'9' * 5000}: invalid port"),
        ("localhost:foo", "lookup tcp/foo: unknown port"),
        ("localhost:\0", "lookup tcp/\0: unknown port"),
        ("nohost.invalid:1", "lookup nohost.invalid: no such host"),
        (f"{'x' * 70}.example:1", f"lookup {'x' * 70}.example: no such host"),
    ],
)
def test_an_address_that_cannot_be_used_has_the_words_of_go(text: str, why: str) -> None:
    with pytest.raises(UnusableAddress) as caught:
        asyncio.run(resolved(text))
    assert str(caught.value) == why


def test_a_port_may_have_a_sign() -> None:
    assert port_number("+5") == 5


def test_a_port_that_cannot_be_opened_has_the_words_of_the_system() -> None:
    failure = EnvironmentFailure("link a: cannot listen on 127.0.0.1:80: Address already in use, by nginx (7)")
    failure.__context__ = EnvironmentFailure("cannot listen")
    failure.__context__.__context__ = OSError(errno.EADDRINUSE, "in use")
    said = why_not(Address("127.0.0.1", 80), failure)
    assert said == "listen tcp 127.0.0.1:80: bind: address already in use"
    failure.__context__.__context__ = OSError(errno.EADDRNOTAVAIL, "not here")
    assert why_not(Address("*", 80), failure) == "listen tcp [::]:80: bind: cannot assign requested address"
    assert why_not(Address("*", 80), ConfigError("a loop")) == "a loop"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:6379", Address("127.0.0.1", 6379)),
        ("redis.example:6379", Address("redis.example", 6379)),
        ("[::1]:6379", Address("::1", 6379)),
        (":6379", Address("localhost", 6379)),
        ("nonsense", Address("nonsense", 0)),
        ("[::1", Address("[::1", 0)),
        ("localhost:99999", Address("localhost:99999", 0)),
    ],
)
def test_an_upstream_is_taken_as_it_is(text: str, found: Address) -> None:
    assert upstream_address(text) == found
