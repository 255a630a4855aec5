"""One grammar for addresses and URLs: the meaning of each form, and no message with a possible password."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap.errors import ConfigError
from tap.url import Address, Url, is_ip, is_loopback, without_logins


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("h:1", Url(Address("h", 1))),
        ("h", Url(Address("h", 6379))),
        (":1", Url(Address("127.0.0.1", 1))),
        ("1", Url(Address("127.0.0.1", 1))),
        ("[::1]:1", Url(Address("::1", 1))),
        ("[fe80::1%eth0]", Url(Address("fe80::1%eth0", 6379))),
        ("redis://[fe80::1%25eth0]:1", Url(Address("fe80::1%eth0", 1))),
        ("/run/a?b@c.sock", Url(Address(path="/run/a?b@c.sock"))),
        ("unix:/run/redis.sock", Url(Address(path="/run/redis.sock"))),
        ("unix:///run/with%20space", Url(Address(path="/run/with space"))),
        ("unix://:pw@/run/redis.sock?db=2", Url(Address(path="/run/redis.sock"), password="pw", db=2)),
        ("redis://h", Url(Address("h", 6379))),
        ("REDIS://h:1/", Url(Address("h", 1))),
        ("tcp://h:1", Url(Address("h", 1))),
        ("valkey://h:1/3", Url(Address("h", 1), db=3)),
        ("redis://h:1?db=3", Url(Address("h", 1), db=3)),
        ("h:1/3", Url(Address("h", 1), db=3)),
        ("redis://user:pw@h:1", Url(Address("h", 1), username="user", password="pw")),
        ("user:pw@h:1", Url(Address("h", 1), username="user", password="pw")),
        ("redis://:pw@h:1", Url(Address("h", 1), password="pw")),
        ("redis://pw@h:1", Url(Address("h", 1), password="pw")),
        ("redis://u%40x:p%2Fw%3A%25@h:1/0", Url(Address("h", 1), username="u@x", password="p/w:%", db=0)),
        ("redis://u:p@w#:x@h:1", Url(Address("h", 1), username="u", password="p@w#:x")),
        ("redis://h:1?username=u&password=p%26w", Url(Address("h", 1), username="u", password="p&w")),
        ("rediss://h:1", Url(Address("h", 1), tls=True)),
        ("valkeys://h", Url(Address("h", 6379), tls=True)),
        (
            "rediss://h?cacert=/etc/ca.pem&sni=redis.example",
            Url(Address("h", 6379), tls=True, tls_options={"cacert": Path("/etc/ca.pem"), "sni": "redis.example"}),
        ),
        (
            "rediss://h?ssl_ca_certs=a%20b&ssl_certfile=c&ssl_keyfile=k&ssl_cert_reqs=required",
            Url(Address("h", 6379), True, tls_options={"cacert": Path("a b"), "cert": Path("c"), "key": Path("k")}),
        ),
        ("rediss://h?ssl_cert_reqs=none", Url(Address("h", 6379), tls=True, tls_options={"insecure": True})),
        ("rediss://h?insecure=yes", Url(Address("h", 6379), tls=True, tls_options={"insecure": True})),
        ("rediss://h?insecure=no", Url(Address("h", 6379), tls=True)),
        ("redis://h?socket_timeout=3", Url(Address("h", 6379), options={"socket_timeout": "3"})),
    ],
)
def test_a_url_is_parsed(text: str, url: Url) -> None:
    assert Url.parse(text) == url
    assert Url.parse(f" {text}\n") == url


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is not an address: write HOST:PORT, as 127.0.0.1:6379"),
        ("h:", "'h:' is not an address: write HOST:PORT"),
        ("h:port", "'h:port' is not an address: 'port' is not a port (0 to 65535)"),
        ("h:70000", "'70000' is not a port"),
        ("1:2:3", "an IPv6 address is written in brackets, as [::1]:6379"),
        ("h;1", "'h;1' is not an address"),
        ("*:1", "'*:1' is not an address"),
        ("h/x", "the db after the last / is a number"),
        ("http://user:secret@h", "http:// is not the URL of a server: write redis://[USER:PASSWORD@]HOST:PORT[/DB]"),
        ("secret x://h", "this is not the URL of a server"),
        (
            "redis://:secret@h:secret",
            "this is not an address: its port is not a number from 0 to 65535; in a password, / is written %2F",
        ),
        ("redis://user:sec/ret@h", "in a password, / is written %2F"),
        ("redis://user:sec?ret@h", "in a password, / is written %2F, ? is %3F"),
        ("redis://user:secret@h:1:2", "an IPv6 address is written in brackets"),
        ("redis://user:secret@h:1/x", "the db after the last / is a number"),
        ("user:secret@h:x", "this is not an address: its port is not a number from 0 to 65535"),
        ("unix:relative", "'unix:relative' is not an address: a Unix socket is written unix:/path/to/socket"),
        ("unix://host/path", "a Unix socket is written unix:/path/to/socket"),
        ("redis://h/3?db=3", "the db is given twice"),
        ("redis://h?db=x", "the URL's db is a number"),
        ("redis://h?cacert=ca.pem", "cacert: for TLS only, and this is a URL without: write rediss://"),
        ("rediss://h?cacert=a&ssl_ca_certs=b", "the URL gives ssl_ca_certs twice"),
        ("rediss://h?cert=", "the URL gives cert without a value"),
        ("rediss://h?insecure=perhaps", "the URL's option insecure is yes or no"),
    ],
)
def test_other_text_is_refused_without_a_possible_password(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Url.parse(text)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("redis://user:secret@h:1", "an address is written without a user or a password"),
        ("h:1/3", "an address is written without a db"),
        ("rediss://h:1", "an address is written without rediss://: it speaks no TLS"),
        ("redis://h:1?socket_timeout=3", "an address has no option 'socket_timeout'; known: none"),
    ],
)
def test_in_place_of_an_address_a_url_may_say_no_more(text: str, says: str) -> None:
    assert Address.parse("redis://h:1/") == Address("h", 1)
    with pytest.raises(ConfigError) as caught:
        Address.parse(text)
    assert str(caught.value) == says


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("h:1", "h:1"),
        ("redis://h:1/", "h:1"),
        ("redis://ann:sesame@h:1/2", "redis://ann:***@h:1/2"),
        ("sesame@h:1", "redis://:***@h:1"),
        ("rediss://[::1]:1?ssl_ca_certs=a%20b&insecure=1", "rediss://[::1]:1?cacert=a%20b&insecure=yes"),
        ("rediss://h:1?ssl_password=sesame&password=sesame", "rediss://:***@h:1?ssl_password=***"),
        ("unix://:sesame@/run/a%20b?db=2", "unix://:***@/run/a%20b?db=2"),
        ("/run/redis.sock", "unix:/run/redis.sock"),
        ("unix://:sesame@/run/\udcfe", "unix://:***@/run/%FE"),  # as arguments of any bytes come
    ],
)
def test_a_url_is_shown_without_its_password_and_can_be_typed_again(text: str, shown: str) -> None:
    url = Url.parse(text)
    assert str(url) == shown
    assert "sesame" not in repr(url)
    again = Url.parse(shown)
    assert (again.address, again.tls, again.username, again.db) == (url.address, url.tls, url.username, url.db)
    assert again.tls_options == url.tls_options


@pytest.mark.parametrize(
    ("word", "text", "shown"),
    [
        ("redis://user:sesame@h:1", "redis://user:sesame@h:1: no such file", "redis://***@h:1: no such file"),
        ("redis://:se@same@h", "redis:/:se@same@h is no directory", "redis:/***@h is no directory"),
        ("redis://u:se'sa\"\nme@h", repr("redis://u:se'sa\"\nme@h"), "'redis://***@h'"),
        ("rediss://u://sesame@h", "rediss:/u:/sesame@h: no such file", "rediss:/***@h: no such file"),
        ("redis://u:se/sa?me#x@h", "what is redis://u:se/sa?me#x@h?", "what is redis://***@h?"),
        ("unix://:sesame@/run/x", "unix://:sesame@/run/x", "unix://***@/run/x"),
        ("user:sesame@h", "unexpected extra argument (user:sesame@h)", "unexpected extra argument (***@h)"),
        ("--mastr=user:se=same@h", "no such option: --mastr=user:se=same@h", "no such option: --mastr=***@h"),
        ("a=:1->redis://u:sesame@h", "a=:1->redis://u:sesame@h is no link", "a=:1->redis://***@h is no link"),
        ("redis://h?password=sesame", "redis:/h?password=sesame: no such file", "redis:/h?password=***: no such file"),
        ("redis://h/0?db=1&ssl_password=sesame&b=c", "b=c&ssl_password=sesame", "b=c&ssl_password=***"),
        ("dump@today.rdb", "dump@today.rdb: no such file", "dump@today.rdb: no such file"),
        ("day.pcapng@2026-01-31T25:00:04", "day.pcapng@2026-01-31T25:00:04", "day.pcapng@2026-01-31T25:00:04"),
        ("days/@12:00", "no such time: days/@12:00", "no such time: days/@12:00"),
        ("u:sesame@12:00", "u:sesame@12:00: no such file", "***@12:00: no such file"),
        ("sesame@h:6379", "sesame@h:6379: no such file", "***@h:6379: no such file"),
        ("redis://@h:1", "a@b redis://@h:1", "a@b redis://@h:1"),
        ("", "redis://u:sesame@h:1", "redis://u:sesame@h:1"),
    ],
)
def test_typed_logins_are_shown_nowhere(word: str, text: str, shown: str) -> None:
    assert without_logins(text, ["show", word, "--stats"]) == shown


@pytest.mark.parametrize("text", ["redis://u@:se?same@h", "redis://u@:p?a=sesame@h", "redis://u:sesame/@h", "u:same@h:x"])
def test_no_mistake_repeats_a_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Url.parse(text)
    assert "same" not in str(caught.value)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT, TEXT, st.sampled_from(["redis", "rediss", "unix"]), st.none() | st.integers(0, 99))
def test_whatever_is_encoded_comes_back(username: str, password: str, scheme: str, db: int | None) -> None:
    place = "/run/socket" if scheme == "unix" else "h:1"
    login = f"{quote(username, safe='')}:{quote(password, safe='')}"
    found = Url.parse(f"{scheme}://{login}@{place}{'' if db is None else f'?db={db}'}")
    assert (found.username, found.password, found.db) == (username, password, db)


@given(st.sampled_from(["", "redis://", "rediss://a:b@h", "unix:"]), st.text())
def test_no_text_fails_in_another_way(prefix: str, text: str) -> None:
    with contextlib.suppress(ConfigError):
        str(Url.parse(prefix + text))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::1%lo", "localhost"])
def test_only_the_same_machine_reaches_a_loopback_host(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.5", "fe80::1%eth0", "*", "", "db.example", "127.0.0.1.example"])
def test_other_machines_may_reach_any_other_host(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_is_not_a_name() -> None:
    assert all(map(is_ip, ("10.0.0.5", "::1", "fe80::1%eth0")))
    assert not any(map(is_ip, ("localhost", "10.0.0", "db.example", "")))
