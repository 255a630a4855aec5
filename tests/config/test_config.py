"""What a tap is asked to do, in Python: the forms that are taken, and what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tap import Config, LinkConfig, Tap
from tap.errors import ConfigError
from tap.url import Address


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: Tap(6379), "127.0.0.1:6379 127.0.0.1:0"),
        (lambda: Tap(Address("h", 1)), "h:1 127.0.0.1:0"),
        (lambda: Tap(master="h:1", listen=6400), "h:1 127.0.0.1:6400"),
        (lambda: Tap("h:1", listen="127.0.0.1:6400", name="orders", seed=7), "h:1 127.0.0.1:6400"),
        (lambda: Tap("rediss://h:1?insecure=yes"), "h:1 127.0.0.1:0"),
        (lambda: Tap(links={"a": "h:1", "b": "*:2->h:3"}, connect_timeout="3s"), "h:1 127.0.0.1:0, h:3 *:2"),
        (lambda: Tap(Config(links={"a": Address("h", 1)})), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links={"a": {"master": "h:1", "listen": ":2"}})), "h:1 127.0.0.1:2"),
        (lambda: Tap(Config(links={"a": LinkConfig(master="h:1")})), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links=LinkConfig(master="h:1"))), "h:1 127.0.0.1:0"),
        (lambda: Tap(Config(links=[LinkConfig(master="h:1"), "b=:2->h:3"])), "h:1 127.0.0.1:0, h:3 127.0.0.1:2"),
        (lambda: Tap(Config(links="h:1")), "h:1 127.0.0.1:0"),
    ],
)
def test_a_tap_can_be_configured_in_many_ways(made: Callable[[], Tap], says: str) -> None:
    assert ", ".join(f"{link.master} {link.listen}" for link in made().config.links) == says


def test_text_is_read_as_on_the_command_line(tmp_path: Path) -> None:
    config = Config(
        links={"orders": "h:1"},
        duration="10m",
        connect_timeout="500ms",
        faults="delay 20ms",
        mask="capa:eof",
        record_to=str(tmp_path / "x.pcapng"),
        record_rotate="1gb",
        statsd="h",
        keylog="secrets.log",
    )
    assert config.links[0].name == "orders"
    assert (config.duration, config.connect_timeout, config.drain_timeout) == (600, 0.5, 60)
    assert (config.faults, config.mask, config.record_rotate) == (("delay 20ms",), ("capa:eof",), ("1gb",))
    assert (config.record_to, config.statsd, config.keylog) == (
        tmp_path / "x.pcapng",
        Address("h", 8125),
        Path("secrets.log"),
    )
    assert LinkConfig(master="h:1", tls=True, cacert="ca.pem").cacert == Path("ca.pem")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"every_command": True}, "--commands"),
        ({"every_key": True}, "--rdb-keys"),
        ({"announce": "keep"}, "--announce keep"),
        ({"links": LinkConfig(master="h:1", announce="keep")}, "--announce keep"),
        ({"mask": ("capa:eof",)}, "--mask"),
        ({"links": LinkConfig(master="h:1", mask=("capa:eof",))}, "--mask"),
        ({"alerts": "lag > 10s"}, "--alert"),
        ({"record_to": Path("x.pcapng"), "record_without_rdb": True}, "--without-rdb"),
        ({"record_to": Path("x.pcapng"), "record_redact": ("values",)}, "--redact"),
    ],
)
def test_options_that_need_parsing_do_not_go_with_opaque(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"{named} needs to parse the traffic"):
        Config(**{"links": "127.0.0.1:1", "opaque": True, **options})


def test_options_without_parsing_are_accepted_with_opaque() -> None:
    link = LinkConfig(master="h:1", announce="tap")
    assert Config(links=link, announce="tap", opaque=True, record_to=Path("x.pcapng")).opaque


def test_an_address_is_kept_or_not_and_nothing_else() -> None:
    master = Address("127.0.0.1", 6379)
    with pytest.raises(ConfigError, match="announce 'kepp': it is one of keep, tap"):
        Config(links=(LinkConfig(master=master),), announce="kepp")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="announce 'kepp': it is one of keep, tap"):
        LinkConfig(master=master, announce="kepp")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="record_sync 'alway': it is one of none, interval, always"):
        Config(links=(LinkConfig(master=master),), record_sync="alway")  # type: ignore[arg-type]


A, B, C = (f"127.0.0.1:{port}" for port in (7001, 7002, 7003))


@pytest.mark.parametrize(
    ("links", "says"),
    [
        ([f"a={A}->h:1", f"a={B}->h:1"], "two links are named 'a'; give each its own name"),
        ([f"a={A}->h:1", f"b={A}->h:2"], f"two links listen on {A}; give each its own port"),
        ([f"a={A}->{A}"], f"a loop: a connection to {A} would be forwarded to {A} again and again"),
        ([f"a={A}->{B}", f"b={B}->{C}", f"c={C}->{A}"], f"a loop: a connection to {A} would be forwarded to {A}"),
        (["a=h:1"], "'a=h:1' is not a link: write 'NAME=LISTEN->MASTER'"),
        ([f"a={A}->unix:///x", "b=unix:///run/x->h:1"], "replicas connect over TCP, so a link listens on HOST:PORT"),
        ([f"a={A}->h:0"], "h:0: a master's port is never 0"),
    ],
)
def test_contradictory_links_are_refused(links: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        Config(links=[LinkConfig.parse(one) for one in links])


def test_a_tap_without_a_link_is_for_one_that_can_get_links() -> None:
    with pytest.raises(ConfigError, match="no link: give --master HOST:PORT"):
        Config(links=[]).check_has_link()
    Config(links=[], api="127.0.0.1").check_has_link()


def test_disabled_links_may_wait_for_the_same_port() -> None:
    later = LinkConfig(name="b", master="h:2", listen=A, enabled=False)
    assert len(Config(links=[f"a={A}->h:1", later]).links) == 2


def test_a_chain_of_links_is_not_a_loop_and_ports_chosen_by_the_system_are_never_taken() -> None:
    config = Config(links=[f"a={A}->{B}", f"b={B}->{C}", f"c=127.0.0.1:0->{C}", f"d=127.0.0.1:0->{C}"])
    assert [link.name for link in config.links] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"record_rotate": "1gb"}, "--rotate says when a recording begins its next file, but -w"),
        (
            {"record_to": "x.pcapng", "record_rotate": "4095b"},
            "--rotate 4095b: every file begins with the state of each link",
        ),
        ({"record_to": "x.pcapng", "record_keep": "1gb"}, "--keep deletes the oldest files of a rotation"),
        ({"record_to": "x.pcapng", "record_redact": "names"}, "--redact names: values or keys can be redacted"),
        ({"record_redact": "values"}, "--redact is for a recording: give -w"),
        ({"record_to": "x.pcapng.gz"}, "a recording is compressed with zstd only: x.pcapng.zst"),
        ({"record_to": "no/such/x.pcapng"}, "no/such/x.pcapng: there is no directory no/such; make it first"),
        ({"record_to": "nowhere/"}, "nowhere/: no such directory; make it first, or name a file"),
        ({"drain_timeout": 0}, "connect_timeout and drain_timeout must be greater than 0"),
        ({"max_connections": 0}, "max_connections 0: a number of connections is expected, 1 or more"),
        ({"max_connections_per_address": True}, "max_connections_per_address True: a number of connections"),
        ({"alerts": "buffer > 1mb"}, "link main: only the master knows its output buffer: give --inspect URL, too"),
        ({"mask": "eof"}, "'eof' cannot be masked: write capa: and the name of a capability"),
        ({"api": "127.0.0.1:1", "api_key": "key.pem"}, "--api-key has no effect without --api-cert"),
        ({"api_cert": "cert.pem"}, "--api-cert has no effect without --api"),
        ({"api": "unix:tap.sock", "api_cert": "cert.pem"}, "is a Unix socket, and the API speaks no TLS there"),
        ({"api": "http://127.0.0.1:1"}, "http:// is not the URL of a server"),
        ({"statsd": "unix:///run/statsd"}, "is not the address of a StatsD server: write HOST:PORT, for UDP"),
    ],
)
def test_nonsense_is_refused_with_what_to_write(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        Config(links="127.0.0.1:1", **options)


def test_the_smallest_rotation_and_one_into_a_directory_are_accepted(tmp_path: Path) -> None:
    config = Config(links="h:1", record_to="x.pcapng", record_rotate=["4096b", "10m"], record_keep="1h")
    assert config.record_rotate == ("4096b", "10m")
    assert Config(links="h:1", record_to=f"{tmp_path}/", record_keep="1gb").record_to == tmp_path


def test_the_api_listens_at_an_address_or_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Config(links="h:1", api="127.0.0.1:9000").api == Address("127.0.0.1", 9000)
    assert Config(links="h:1", api="*:9000").api == Address("*", 9000)
    assert Config(links="h:1", api="127.0.0.1").api == Address("127.0.0.1", 8474)
    assert Config(links="h:1", api="unix:/run/tap.sock").api == Address(path="/run/tap.sock")
    assert Config(links="h:1", api="unix:tap.sock").api == Address(path=str(tmp_path / "tap.sock"))


def test_each_tap_has_its_own_dice_unless_given_a_seed() -> None:
    assert len({Config(links="h:1").seed for _ in range(5)}) > 1
    assert Config(links="h:1", seed=5).seed == 5
