"""What a Sentinel publishes."""

from __future__ import annotations

import pytest

from tap.operate.doctor.sentinel_hello import Hello, parse
from tap.url import Address


def test_a_hello_is_read() -> None:
    said = f"10.0.0.7,26379,{'f' * 40},3,orders,10.0.0.5,6379,2"
    assert parse(said) == Hello(Address("10.0.0.7", 26379), "f" * 40, "orders", Address("10.0.0.5", 6379), 2)


@pytest.mark.parametrize(
    "text", ["", "$18", "*3", "a,b,c,d,e,f,g,h", "h,1,r,3,n,h,1,x", "h,²,r,3,n,h,1,1", "h,1,r,3,n,h,1,1,1"]
)
def test_other_lines_are_none(text: str) -> None:
    assert parse(text) is None
