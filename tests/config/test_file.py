"""What a tap is asked to do, in a file: its keys, and what a broken one is answered with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tap.config import Config, LinkConfig
from tap.config.file import load
from tap.config.option import declared
from tap.errors import ConfigError
from tap.url import Address


def test_a_file_accepts_urls(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text("""
[links.a]
master = "rediss://h:1?cacert=ca.pem&sni=redis.example"
listen = "rediss://*:2?cert=tap.pem"
[links.b]
master = "unix:///run/redis.sock"
""")
    a, b = load(path).links
    assert (a.master, a.tls, a.cacert, a.sni) == (Address("h", 1), True, Path("ca.pem"), "redis.example")
    assert (a.listen, a.listen_cert) == (Address("*", 2), Path("tap.pem"))
    assert (b.master, b.tls) == (Address(path="/run/redis.sock"), False)
    path.write_text("[links.a]\nmaster = 'redis://ann:secret@h:1'\n")
    with pytest.raises(ConfigError, match=r"line 2: links\.a\.master: a link's master is written") as caught:
        load(path)
    assert "secret" not in str(caught.value)


def test_a_file_configures_tls_for_each_link(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(
        'keylog = "keys"\n[links.one]\nmaster = "a:1"\ntls = true\ncacert = "ca.pem"\nsni = "redis"\n'
        '[links.two]\nmaster = "b:2"\nlisten_cert = "cert.pem"\nlisten_key = "key.pem"\n'
    )
    loaded = load(path)
    one, two = loaded.links
    assert (one.tls, one.cacert, one.sni, one.listen_cert) == (True, Path("ca.pem"), "redis", None)
    assert (two.tls, two.listen_cert, two.listen_key) == (False, Path("cert.pem"), Path("key.pem"))
    assert loaded.keylog == Path("keys")
    path.write_text('[links.one]\nmaster = "a:1"\ncacert = "ca.pem"\n')
    with pytest.raises(ConfigError, match="--cacert has no effect without --tls"):
        load(path)


def test_a_file_can_set_opaque(tmp_path: Path) -> None:
    file = tmp_path / "tap.toml"
    file.write_text('opaque = true\n[links.orders]\nmaster = "10.0.0.5:6379"\n')
    assert load(file).opaque


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[links.a]\nmaster = 'h:1'\nlistne = ':1'\n", "line 3: unknown key 'links.a.listne'; known: master, "),
        ("[links.a]\nmaster = 'h:1'\nlistne = ':1'\n", " Did you mean 'listen'?"),
        ("[links.a]\nlisten = ':1'\n", "line 1: links.a: give either a master, or transparent"),
        ("[links.a]\nmaster = 'h:1'\ntransparent = true\n", "line 1: links.a: give either a master, or transparent"),
        ("[links.a]\ntransparent = 'yes'\n", "line 2: links.a.transparent: true or false is expected"),
        ("[links.a]\nmaster = 'h:x'\n", "line 2: links.a.master: 'h:x' is not an address"),
        ("ui = 'tv'\n[links.a]\nmaster = 'h:1'\n", "line 1: ui: input should be 'auto', 'live'"),
        ("duration = 'soon'\n[links.a]\nmaster = 'h:1'\n", "line 1: duration: 'soon' is not a time"),
        ("[links.a]\nmaster = \n", "Invalid value (at line 2, column 10)"),
        ("mask = ['psync2']\n[links.a]\nmaster = 'h:1'\n", "line 1: mask 1: 'psync2' cannot be masked: write capa: and"),
        ("[links.a]\nmaster = 'h:1'\nmask = ['capa:']\n", "line 3: links.a.mask 1: 'capa:' cannot be masked"),
        ("[links.a]\nmaster = 'h:1'\nannounce = 'x'\n", "line 3: links.a.announce: input should be 'keep' or 'tap'"),
        ("[links]\n", "no link: give"),
        ("[links]\na = 'h:1'\n", "line 2: links.a: a table is expected"),
        ("max_connections = 'ten'\n[links.a]\nmaster = 'h:1'\n", "line 1: max_connections: a whole number is expected"),
        ("commands = 'yes'\n[links.a]\nmaster = 'h:1'\n", "line 1: commands: true or false is expected"),
        ("connect_timeout = '0s'\n[links.a]\nmaster = 'h:1'\n", "connect_timeout and drain_timeout must be greater"),
        ("master = 'h:1'\n", "unknown key 'master'"),
        ("", "no link: give"),
    ],
)  # fmt: skip
def test_a_broken_configuration_file_is_located(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert words in said
    assert "\n" not in said


EVERY_KEY = """
ui = "json"
duration = "10m"
commands = true
rdb_keys = true
faults = ["delay 20ms"]
alerts = ["lag > 10s", "silence > 5s for 1m"]
groups = ["session:*", "user:*"]
seed = 7
max_connections = 5
max_connections_per_address = 2
announce = "keep"
mask = ["capa:eof"]
destructive = true
read_only = true
record_to = "x.pcapng"
record_rotate = ["1gb"]
record_keep = ["7d"]
record_on_rotate = 'gzip "$1"'
record_sync = "always"
record_without_rdb = true
record_redact = ["keys"]
keylog = "keys"
statsd = "h"
statsd_tags = "datadog"
api = "unix:/run/tap.sock"
script = "s.py"
connect_timeout = "3s"
drain_timeout = "500ms"
[links.a]
master = "h:1"
listen = ":2"
announce = "tap"
mask = ["capa:psync2"]
alerts = ["lag > 1mb"]
inspect = "redis://u:p@h:1"
"""


def test_every_option_of_a_file_is_read_as_in_python(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text(EVERY_KEY)
    link: dict[str, Any] = {
        "master": "h:1",
        "listen": ":2",
        "announce": "tap",
        "mask": "capa:psync2",
        "alerts": "lag > 1mb",
        "inspect": "redis://u:p@h:1",
    }
    assert load(path) == Config(
        links={"a": link},
        ui="json",
        duration=600,
        every_command=True,
        every_key=True,
        faults="delay 20ms",
        alerts=("lag > 10s", "silence > 5s for 1m"),
        groups=("session:*", "user:*"),
        seed=7,
        max_connections=5,
        max_connections_per_address=2,
        announce="keep",
        mask="capa:eof",
        destructive=True,
        read_only=True,
        record_to="x.pcapng",
        record_rotate="1gb",
        record_keep="7d",
        record_on_rotate='gzip "$1"',
        record_sync="always",
        record_without_rdb=True,
        record_redact="keys",
        keylog="keys",
        statsd="h",
        statsd_tags="datadog",
        api="unix:/run/tap.sock",
        script="s.py",
        connect_timeout=3,
        drain_timeout=0.5,
    )


def test_every_option_of_a_file_is_among_these() -> None:
    keys = {one.key for cls in (LinkConfig, Config) for one in declared(cls) if one.option.in_file}
    of_tls = {one.key for cls in (LinkConfig, Config) for one in declared(cls) if one.option.topic == "tls"}
    assert keys - (of_tls - {"keylog"}) - {"enabled", "opaque", "transparent"} == set(
        re.findall(r"^(\w+) =", EVERY_KEY, re.MULTILINE)
    )
