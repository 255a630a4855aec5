"""Addresses of proxies: how the one to listen on is read and resolved, and what is said of one that cannot be used.

The texts are those of Go's package net, which Toxiproxy passes on. A host without a name means every interface.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket

from tap.url import EVERY_HOST, Address

LISTEN = "listen tcp"


class UnusableAddress(Exception):
    """Raised for an address that cannot be listened on; its text says why."""


def split(text: str) -> tuple[str, str]:
    """Host and port of HOST:PORT or [HOST]:PORT. Raises UnusableAddress."""
    if ":" not in text:
        raise UnusableAddress(f"address {text}: missing port in address")
    host, _, port = text.rpartition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise UnusableAddress(f"address {text}: missing ']' in address")
        if not rest.startswith(":"):
            raise UnusableAddress(f"address {text}: missing port in address")
        port = rest[1:]
        if ":" in port:
            raise UnusableAddress(f"address {text}: too many colons in address")
    elif ":" in host:
        raise UnusableAddress(f"address {text}: too many colons in address")
    for bracket in "[]":
        if bracket in host or bracket in port:
            raise UnusableAddress(f"address {text}: unexpected '{bracket}' in address")
    return host, port


def port_number(text: str) -> int:
    """A port by number or by the name of its service; nothing means 0. Raises UnusableAddress."""
    if not text:
        return 0
    if re.fullmatch(r"[+-]?[0-9]+", text):
        number = int(text) if len(text) < 10 else -1
        if not 0 <= number < 65536:
            raise UnusableAddress(f"address {text}: invalid port")
        return number
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise UnusableAddress(f"lookup tcp/{text}: unknown port") from None


async def resolved(text: str) -> Address:
    """The numeric address to listen on. Raises UnusableAddress."""
    host, port_text = split(text) if text else ("", "")
    port = port_number(port_text)
    if not host:
        return Address(EVERY_HOST, port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnusableAddress(f"lookup {host}: no such host") from None
    found.sort(key=lambda one: one[0] != socket.AF_INET)  # stable: IPv4 first, as Go prefers
    numeric = str(found[0][4][0])
    if ipaddress.ip_address(numeric.partition("%")[0]).is_unspecified:
        return Address(EVERY_HOST, port)
    return Address(numeric, port)


def shown(address: Address) -> str:
    """An address that is listened on, as an answer gives it."""
    return str(Address("::", address.port) if address.host == EVERY_HOST else address)


def why_not(address: Address, error: BaseException) -> str:
    """What to say of a port that could not be opened. error: as raised, after the system's own."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return str(error)
    assert isinstance(cause, OSError)
    reason = os.strerror(cause.errno or 0)
    return f"{LISTEN} {shown(address)}: bind: {reason[:1].lower()}{reason[1:]}"


def upstream_address(text: str) -> Address:
    """Where to connect to. Text that is not an address becomes one that no connection reaches."""
    try:
        host, port = split(text)
        return Address(host or "localhost", port_number(port))
    except UnusableAddress:
        return Address(text, 0)
