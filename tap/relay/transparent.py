"""Where a redirected connection was going, as Linux remembers it.

REDIRECT and DNAT of iptables and nftables overwrite the destination with the tap's address. The kernel's connection
tracking keeps the original one. Other systems have interfaces of their own, which are not implemented.
"""

from __future__ import annotations

import socket
import struct
from asyncio.trsock import TransportSocket

from tap.url import Address

# linux/netfilter_ipv4.h; IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h has the same number
_SO_ORIGINAL_DST = 80
_SOCKADDR_IN, _SOCKADDR_IN6 = struct.Struct("!2xH4s8x"), struct.Struct("!2xH4x16s4x")


def original_destination(sock: TransportSocket) -> Address | None:
    """The address that the peer connected to; None if it was this one, as far as this machine knows."""
    is_v6 = sock.family == socket.AF_INET6
    layout, level = (_SOCKADDR_IN6, socket.IPPROTO_IPV6) if is_v6 else (_SOCKADDR_IN, socket.IPPROTO_IP)
    try:
        found = sock.getsockopt(level, _SO_ORIGINAL_DST, layout.size)
    except OSError:  # this machine tracks no connections, or not this one
        return None
    port, host = layout.unpack(found)
    wanted = socket.inet_ntop(sock.family, host), port
    return None if wanted == sock.getsockname()[:2] else Address(*wanted)


def rule(port: int) -> str:
    """The command that redirects to this port what passes this machine on its way to port 6379."""
    return f"iptables -t nat -A PREROUTING -p tcp --syn --dport 6379 -j REDIRECT --to-ports {port}"
