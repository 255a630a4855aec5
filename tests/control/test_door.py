"""The socket of the API: where it may listen, and the file of a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import stat
from pathlib import Path

import pytest

from tap import Tap
from tap.control.door import TOKEN
from tap.errors import ConfigError, EnvironmentFailure
from tests.control.asking import NOWHERE, Client, asked
from tests.relay.certificates import Certificates

SECRET = "a-token-of-the-tests"


async def started(api: str) -> None:
    async with Tap(NOWHERE, api=api):
        pass


def starts(api: str) -> None:
    asyncio.run(started(api))


@pytest.mark.parametrize("api", ["*:0", "0.0.0.0:0", "[::]:0", "10.1.2.3:0"])
def test_beyond_this_machine_a_token_is_needed(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigError, match=r"can be reached from other machines: set REDIS_TAP_API_TOKEN"):
        starts(api)


def test_a_name_that_leads_beyond_this_machine_needs_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.setattr(socket.socket, "getsockname", lambda _: ("192.0.2.1", 1))
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        starts("localhost:0")


def test_with_a_token_it_listens_everywhere() -> None:
    with asked("0.0.0.0:0", token=SECRET) as tap:
        assert tap.client.get("/v1/links").status == 200


@pytest.mark.parametrize("weak", ["", "short", "x" * 15, " " + "x" * 20, "x" * 20 + "é", "x" * 20 + "\n"])
def test_a_weak_token_is_refused(weak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, weak)
    with pytest.raises(ConfigError, match="has to be 16 printable ASCII characters or more") as refused:
        starts("127.0.0.1:0")
    assert not weak or weak not in str(refused.value)


def test_a_unix_socket_is_for_its_user_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "tap.sock"
    with asked(f"unix:{path}") as tap:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert tap.client.get("/v1/links", Host="any name").status == 200
    assert not path.exists()


def test_a_socket_that_a_dead_process_has_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "tap.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with asked(f"unix:{path}") as tap:
        assert tap.client.get("/healthz").status == 200


def test_nothing_else_at_its_path_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "tap.sock"
    path.write_text("precious")
    with pytest.raises(EnvironmentFailure, match="a file that is not a socket is there"):
        starts(f"unix:{path}")
    assert path.read_text() == "precious"
    path.unlink()
    with asked(f"unix:{path}") as tap:
        with pytest.raises(EnvironmentFailure, match="another process listens there"):
            starts(f"unix:{path}")
        assert tap.client.get("/healthz").status == 200
    with socket.socket(socket.AF_UNIX) as other, asked(f"unix:{path}"):
        path.unlink()
        other.bind(str(path))
    assert path.exists()
    with pytest.raises(ConfigError, match="has at most 107 bytes"):
        starts(f"unix:{tmp_path / ('x' * 200)}")
    with pytest.raises(EnvironmentFailure, match=r"cannot listen on unix:.*No such file"):
        starts(f"unix:{tmp_path}/nowhere/tap.sock")


def test_a_port_that_is_taken_ends_the_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EnvironmentFailure, match=r"cannot listen on 127.0.0.1:[0-9]+: Address already in use"):
            starts(f"127.0.0.1:{taken.getsockname()[1]}")


def test_tls_and_certificates_of_clients(tmp_path: Path) -> None:
    made = Certificates(tmp_path / "made")
    with asked(api_cert=made.leaf, tls=made.asking()) as tap:
        assert tap.client.get("/healthz").status == 200
        assert tap.thread.tap.api is not None
        assert tap.thread.tap.api.url.startswith("https://127.0.0.1:")
        plain = Client(tap.address)
        with contextlib.closing(plain), pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
            plain.get("/healthz")
    with asked(api_cert=made.leaf, api_cacert=made.ca, tls=made.asking(made.leaf)) as tap:
        assert tap.client.get("/healthz").status == 200
        nameless = Client(tap.address, tls=made.asking())
        with contextlib.closing(nameless), pytest.raises((ConnectionError, ssl.SSLError, http.client.HTTPException)):
            nameless.get("/healthz")
    with pytest.raises(ConfigError, match="no certificate, or no key"):
        Tap(NOWHERE, api="127.0.0.1:0", api_cert=made.ca)
