"""CLUSTER NODES, as servers reply."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tap.operate.doctor.cluster_nodes import shard
from tap.url import Address

SAID = """\
aa 10.0.0.5:6379@16379 myself,master - 0 0 1 connected 0-8191
bb 172.17.0.2:6380@16380,host.example slave aa 0 1796085072763 1 disconnected
cc 10.0.0.7:6379@16379 master - 0 1796085072763 2 connected 8192-16383
dd 10.0.0.8:6379@16379 slave cc 0 1796085072763 2 connected
ee fd00::5:6379@16379 slave,fail aa 0 1796085072763 1 connected
ff :0@0 slave,noaddr aa 0 0 1 disconnected
gg 10.0.0.9:99999@1 slave aa 0 0 1 disconnected
"""


def test_a_node_and_its_replicas_have_addresses() -> None:
    assert shard(SAID, "aa") == [Address("10.0.0.5", 6379), Address("172.17.0.2", 6380), Address("fd00::5", 6379)]
    assert shard(SAID, "cc") == [Address("10.0.0.7", 6379), Address("10.0.0.8", 6379)]
    assert shard("", "aa") == []


@given(st.text())
def test_whatever_is_said_is_read(text: str) -> None:
    assert all(0 < one.port < 65536 for one in shard(f"{SAID}{text}", "aa"))
