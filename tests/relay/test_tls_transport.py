"""TLS on either leg, with peers made of sockets: bytes and ends pass as without, and failures say what to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap import Address, Config, LinkConfig, Tap
from tap.console.lines import ConciseLog
from tap.console.sentences import is_alarming, sentence
from tap.errors import ConfigError
from tap.replication import events
from tap.replication.events import Side
from tests.relay.certificates import LOCALHOST, Certificates, Peer
from tests.relay.wire import BASE, GRANT, RESET, add, asks, block_up_to, receive
from tests.support import ROOT, WITHIN, TapThread, wait_until

LEGS = ["both", "master", "replica"]  # that speak TLS


def in_front_of(listener: socket.socket, legs: str, certificates: Certificates, **options: Any) -> Config:
    of_tap = {name: options.pop(name) for name in ("faults", "keylog", "connect_timeout") if name in options}
    of_link: dict[str, Any] = {}
    if legs in ("both", "master"):
        of_link |= {"tls": True, "cacert": certificates.ca}
    if legs in ("both", "replica"):
        of_link["listen_cert"] = certificates.leaf
    link = LinkConfig(master=Address(LOCALHOST, listener.getsockname()[1]), **of_link | options)
    return Config(links=(link,), **of_tap)


@contextlib.contextmanager
def connected(
    tap: TapThread, listener: socket.socket, legs: str, certificates: Certificates, version: ssl.TLSVersion | None = None
) -> Iterator[tuple[Peer, Peer]]:
    """A replica and a master with the tap in between."""
    asking = certificates.asking() if legs in ("both", "replica") else None
    serving = certificates.serving() if legs in ("both", "master") else None
    for context in filter(None, (asking, serving)):
        if version is not None:
            context.maximum_version = version
    with contextlib.ExitStack() as stack:
        replica = Peer(socket.create_connection((LOCALHOST, tap.port), WITHIN), asking, serves=False)
        stack.callback(replica.close)
        replica.shake_hands()
        master = Peer(listener.accept()[0], serving, serves=True)
        stack.callback(master.close)
        master.shake_hands()
        yield replica, master


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("legs", LEGS)
@pytest.mark.parametrize("first", [Side.REPLICA, Side.MASTER])
def test_bytes_out_are_bytes_in_with_half_close(
    listener: socket.socket, certificates: Certificates, legs: str, version: ssl.TLSVersion, first: Side
) -> None:
    data = os.urandom(3 * 2**20 + 7)
    with TapThread(in_front_of(listener, legs, certificates)) as tap:
        with connected(tap, listener, legs, certificates, version) as (replica, master):
            for source, target in ((replica, master), (master, replica)):
                sender = threading.Thread(target=source.sendall, args=(data,))
                sender.start()
                assert receive(target, len(data)) == data
                sender.join(WITHIN)
            one, other = (replica, master) if first is Side.REPLICA else (master, replica)
            one.end()
            assert other.recv(1) == b""
            assert other.has_notified == (legs == "both" or legs != first.value)
            other.sendall(data)
            assert receive(one, len(data)) == data
            other.close()
            assert one.recv(1) == b""
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how, closed.text) == (first, "fin", "")


@pytest.mark.parametrize("legs", LEGS)
def test_both_legs_report_what_they_speak(listener: socket.socket, certificates: Certificates, legs: str) -> None:
    with TapThread(in_front_of(listener, legs, certificates)) as tap:
        with connected(tap, listener, legs, certificates):
            expected = [side for side in (Side.REPLICA, Side.MASTER) if legs in ("both", side.value)]
            wait_until(lambda: len(tap.events(events.Secured)) == len(expected))
            told = tap.events(events.Secured)
            assert [(one.side, one.version) for one in told] == [(side, "TLSv1.3") for side in expected]
            names = {Side.MASTER: (LOCALHOST, True), Side.REPLICA: (None, False)}
            assert all((one.certificate, one.verified) == names[one.side] for one in told)


@pytest.mark.parametrize("by", [Side.REPLICA, Side.MASTER])
def test_close_notify_is_an_end_without_fin(listener: socket.socket, certificates: Certificates, by: Side) -> None:
    with TapThread(in_front_of(listener, "both", certificates)) as tap:
        with connected(tap, listener, "both", certificates) as (replica, master):
            source, target = (replica, master) if by is Side.REPLICA else (master, replica)
            source.sendall(b"PING\r\n")
            source.notify()
            assert receive(target, 6) == b"PING\r\n"
            assert target.recv(1) == b""
            target.sendall(b"still there")
            assert receive(source, 11) == b"still there"


@pytest.mark.parametrize("by", [Side.REPLICA, Side.MASTER])
def test_a_reset_is_passed_on_as_a_reset(listener: socket.socket, certificates: Certificates, by: Side) -> None:
    with TapThread(in_front_of(listener, "both", certificates)) as tap:
        with connected(tap, listener, "both", certificates) as (replica, master):
            for one, other in ((replica, master), (master, replica)):
                one.sendall(b"PING\r\n")
                assert receive(other, 6) == b"PING\r\n"
            source, target = (replica, master) if by is Side.REPLICA else (master, replica)
            source.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            source.close()
            with pytest.raises(ConnectionResetError):
                target.recv(1)
        closed = tap.wait_for(events.LinkClosed)
        assert (closed.by, closed.how) == (by, "reset")


def test_a_slow_replica_slows_its_master_and_loses_nothing(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "both", certificates)) as tap:
        with connected(tap, listener, "both", certificates) as (replica, master):
            data = os.urandom(2**20) * 60
            sender = threading.Thread(target=master.sendall, args=(data,))
            sender.start()
            leg = tap.tap.links[0].master
            assert leg.transport is not None
            wait_until(lambda: not leg.transport.is_reading())  # type: ignore[union-attr]
            assert sender.is_alive()
            assert leg.other.unsent < 64 * 2**20  # the kernel's buffers, and one read
            assert receive(replica, len(data) - 1) == data[:-1]
            sender.join(WITHIN)
            master.end()
            assert receive(replica, 1) == data[-1:]
            assert replica.recv(1) == b""


@pytest.mark.parametrize("mode", ["fin", "reset"])
def test_a_cut_ends_the_legs_as_specified_and_after_its_byte(
    listener: socket.socket, certificates: Certificates, mode: str
) -> None:
    far = 1_000_003
    options = in_front_of(listener, "both", certificates, faults=(f"cut at=offset:{BASE + far} mode={mode}",))
    with TapThread(options) as tap:
        with connected(tap, listener, "both", certificates) as (replica, master):
            replica.sendall(asks(BASE))
            receive(master, len(asks(BASE)))

            resets = []

            def flood() -> None:
                try:
                    master.sendall(GRANT + block_up_to(2 * far))
                except ConnectionError as error:
                    resets.append(error)

            sender = threading.Thread(target=flood)
            sender.start()
            assert receive(replica, len(GRANT) + far) == GRANT + block_up_to(far)
            if mode == "fin":
                assert replica.recv(1) == b""
                assert replica.has_notified
                replica.close()
                sender.join(WITHIN)
                assert master.recv(1) == b""
                master.close()
            else:
                with pytest.raises(ConnectionResetError):
                    replica.recv(1)
                sender.join(WITHIN)
                if not resets:  # it was notified while it sent, or is now
                    with pytest.raises(ConnectionResetError):
                        master.recv(1)
        assert tap.wait_for(events.LinkClosed).how == mode


def test_a_cut_at_connect_ends_a_leg_whose_handshake_has_not_begun(
    listener: socket.socket, certificates: Certificates
) -> None:
    with TapThread(in_front_of(listener, "both", certificates, faults=("cut at=connect",))) as tap:
        replica = Peer(socket.create_connection((LOCALHOST, tap.port)), certificates.asking(), serves=False)
        with contextlib.closing(replica), pytest.raises(ConnectionError):
            replica.shake_hands()
        assert tap.wait_for(events.LinkClosed).text == "cut by fault cut-1"


def test_a_blackhole_answers_no_handshake_until_it_is_over(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "both", certificates)) as tap:
        armed = add(tap, "refuse mode=blackhole")
        replica = Peer(socket.create_connection((LOCALHOST, tap.port)), certificates.asking(), serves=False)
        with contextlib.closing(replica):
            wait_until(lambda: tap.events(events.FaultFired))
            shaken = threading.Thread(target=replica.shake_hands)
            shaken.start()
            replica.socket.settimeout(WITHIN)
            tap.call(lambda: tap.tap.faults.remove(armed.name))
            shaken.join(WITHIN)
            with listener.accept()[0] as master:
                assert master.recv(1) == b"\x16"


# ---- failures ----


def fails(tap: TapThread) -> events.LinkClosed:
    """What is reported about the link that fails."""
    closed = tap.wait_for(events.LinkClosed)
    assert closed.bytes_from_master == 0
    return closed


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("problem", "by", "says"),
    [
        ("expired", Side.TAP, "the master's certificate has expired: renew it"),
        ("self-signed", Side.TAP, "is self-signed: with the certificate itself as --cacert it is trusted"),
        ("unknown CA", Side.TAP, "is of a CA that is not known here: give that CA's certificate with --cacert"),
        ("other name", Side.TAP, "is not for '127.0.0.1': give a name that it is for with --sni"),
        ("other sni", Side.TAP, "is not for 'redis.example': give a name that it is for with --sni"),
        ("old", Side.MASTER, "no version of TLS in common"),
        ("cipher", Side.MASTER, "no cipher in common"),
        ("certificate", Side.MASTER, "the master requires a client certificate: --cert and --key"),
        ("our CA", Side.MASTER, "the master does not know the CA of our certificate (--cert)"),
    ],
)
def test_a_failed_handshake_with_the_master_is_explained(
    listener: socket.socket, certificates: Certificates, tmp_path: Path, problem: str, by: Side, says: str
) -> None:
    others = Certificates(tmp_path / "others")
    options: dict[str, Any] = {}
    cert = certificates.leaf
    if problem == "expired":
        cert = certificates.expired()
    elif problem == "self-signed":
        cert = certificates.self_signed()
    elif problem == "unknown CA":
        cert = others.leaf
    elif problem == "other name":
        cert = certificates.issue("other", "other.example")
    elif problem == "other sni":
        options["sni"] = "redis.example"
    elif problem == "our CA":
        options["cert"] = others.leaf
    serving = certificates.serving(cert, require=problem in ("certificate", "our CA"))
    if problem == "old":
        serving.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        serving.set_ciphers("ALL:@SECLEVEL=0")
        serving.maximum_version = ssl.TLSVersion.TLSv1_1
    elif problem == "cipher":
        serving.maximum_version = ssl.TLSVersion.TLSv1_2
        serving.set_ciphers("ADH:@SECLEVEL=0")
    with TapThread(in_front_of(listener, "master", certificates, **options)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
            master = Peer(listener.accept()[0], serving, serves=True)
            with contextlib.closing(master):
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    master.shake_hands()
                with contextlib.suppress(ConnectionError):
                    master._flush()
                closed = fails(tap)
            assert replica.recv(1) == b""
        assert (closed.by, closed.how) == (by, "tls")
        assert says in closed.text


def test_a_master_that_answers_without_tls_is_reported(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "master", certificates)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN), listener.accept()[0] as master:
            master.sendall(b"-ERR unknown command\r\n")
            closed = fails(tap)
            assert (closed.by, closed.how) == (Side.TAP, "tls")
            assert closed.text == "the master answers without TLS: leave --tls out, or give its tls-port"


def test_a_master_that_does_not_answer_the_handshake_is_reported(
    listener: socket.socket, certificates: Certificates
) -> None:
    with TapThread(in_front_of(listener, "master", certificates, connect_timeout=0.3)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0]:
            closed = fails(tap)
            assert (closed.by, closed.how) == (Side.MASTER, "tls")
            assert closed.text.startswith("no answer to the TLS handshake within 0.3 s; a master without TLS")
            assert replica.recv(1) == b""


def test_a_master_that_closes_during_the_handshake_is_reported(
    listener: socket.socket, certificates: Certificates
) -> None:
    with TapThread(in_front_of(listener, "master", certificates)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN), listener.accept()[0] as master:
            assert master.recv(65536)
            master.shutdown(socket.SHUT_WR)
            closed = fails(tap)
            assert (closed.by, closed.text) == (Side.MASTER, "the master closed during the TLS handshake")


def test_a_replica_may_leave_while_the_master_shakes_hands(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "master", certificates)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
            assert master.recv(65536)
            tap.cut()
            assert replica.recv(1) == b""
            assert master.recv(1) == b""
        assert tap.wait_for(events.LinkClosed).by is Side.TAP


def end_silently(tap: TapThread, listener: socket.socket, how: str) -> None:
    """A master ends a plain connection after the first request, without a reply."""
    with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
        replica.sendall(b"PING\r\n")
        assert master.recv(6)
        if how == "reset":
            master.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        master.close()
        with contextlib.suppress(ConnectionResetError):
            assert replica.recv(1) == b""


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_plain_master_that_ends_silently_is_not_said_to_speak_tls(
    listener: socket.socket, certificates: Certificates, how: str
) -> None:
    with TapThread(in_front_of(listener, "none", certificates)) as tap:
        for count in (1, 2):
            end_silently(tap, listener, how)
            closed = tap.wait_for(events.LinkClosed, count)
            assert (closed.by, closed.how) == (Side.MASTER, how)
            assert closed.text == "it ended the connection without a word"
            assert "no answer from the master" in (sentence(closed) or "")
            if count == 1:
                listener.accept()[0].close()  # this one was asked whether it speaks TLS, once a minute
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert not tap.events(events.Identified)


def test_a_master_that_has_spoken_plainly_is_not_asked_for_tls(
    listener: socket.socket, certificates: Certificates
) -> None:
    with TapThread(in_front_of(listener, "none", certificates)) as tap:
        for count, said in ((1, b"+PONG\r\n"), (2, b"")):
            with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica, listener.accept()[0] as master:
                replica.sendall(b"PING\r\n")
                assert master.recv(6)
                master.sendall(said)
                assert receive(replica, len(said)) == said
                master.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                master.close()
                with pytest.raises(ConnectionResetError):
                    replica.recv(1)
            assert "--tls" not in tap.wait_for(events.LinkClosed, count).text
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_tls_master_that_ends_a_plain_connection_silently_is_recognized(
    listener: socket.socket, certificates: Certificates, how: str
) -> None:
    with TapThread(in_front_of(listener, "none", certificates)) as tap:
        for count in (1, 2):
            end_silently(tap, listener, how)
            if count == 1:
                with contextlib.closing(Peer(listener.accept()[0], certificates.serving(), serves=True)) as asked:
                    with contextlib.suppress(ssl.SSLError, OSError):  # it has seen enough
                        asked.shake_hands()
            closed = tap.wait_for(events.LinkClosed, count)
            assert (closed.by, closed.how) == (Side.MASTER, how)
            assert closed.text == "it ended the connection without a word, because it speaks TLS: --tls"


def test_a_replica_that_speaks_no_tls_is_reported(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "replica", certificates)) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN) as replica:
            replica.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert replica.recv(1) == b""
        closed = fails(tap)
        assert (closed.by, closed.how) == (Side.TAP, "tls")
        assert "the replica speaks no TLS, and this link expects it: tls-replication yes" in closed.text


def test_an_unexpected_tls_replica_is_reported(listener: socket.socket, certificates: Certificates) -> None:
    """Between two peers that speak it, it passes unchanged; it just cannot be read."""
    with TapThread(in_front_of(listener, "none", certificates)) as tap:
        replica = Peer(socket.create_connection((LOCALHOST, tap.port)), certificates.asking(), serves=False)
        master = Peer(listener.accept()[0], certificates.serving(), serves=True)
        with contextlib.closing(replica), contextlib.closing(master):
            server = threading.Thread(target=master.shake_hands)
            server.start()
            replica.shake_hands()
            server.join(WITHIN)
            replica.sendall(b"PING\r\n")
            assert receive(master, 6) == b"PING\r\n"
        assert "--listen-cert" in tap.wait_for(events.Opaque).reason


@pytest.mark.parametrize(
    ("problem", "by", "says"),
    [
        ("none", Side.TAP, "the replica gave no certificate, and --listen-cacert requires one: tls-cert-file"),
        ("expired", Side.TAP, "the replica's certificate has expired"),
        ("unknown CA", Side.TAP, "give that CA's certificate with --listen-cacert"),
        ("our CA", Side.REPLICA, "the replica does not know the CA of our certificate (--listen-cert)"),
    ],
)
def test_a_failed_handshake_with_a_replica_is_explained(
    listener: socket.socket, certificates: Certificates, tmp_path: Path, problem: str, by: Side, says: str
) -> None:
    others = Certificates(tmp_path / "others")
    certs = {"expired": certificates.expired(), "unknown CA": others.leaf, "our CA": certificates.leaf}
    asking = (others if problem == "our CA" else certificates).asking(certs.get(problem))
    with TapThread(in_front_of(listener, "replica", certificates, listen_cacert=certificates.ca)) as tap:
        replica = Peer(socket.create_connection((LOCALHOST, tap.port)), asking, serves=False)
        with contextlib.closing(replica):
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                replica.shake_hands()
            replica._flush()
            closed = fails(tap)
        assert (closed.by, closed.how) == (by, "tls")
        assert says in closed.text
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):  # the master is not dialled
            listener.accept()


def test_a_replica_with_a_certificate_is_admitted_and_named(listener: socket.socket, certificates: Certificates) -> None:
    with TapThread(in_front_of(listener, "replica", certificates, listen_cacert=certificates.ca)) as tap:
        asking = certificates.asking(certificates.issue("replica", "replica.example"))
        replica = Peer(socket.create_connection((LOCALHOST, tap.port)), asking, serves=False)
        with contextlib.closing(replica):
            replica.shake_hands()
            secured = tap.wait_for(events.Secured)
            assert (secured.certificate, secured.verified) == ("replica.example", True)
            listener.accept()[0].close()


def test_the_server_name_is_asked_for_and_verified(listener: socket.socket, certificates: Certificates) -> None:
    serving = certificates.serving(certificates.issue("named", "redis.example"))
    asked: list[str | None] = []

    def note(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> None:
        asked.append(name)

    serving.sni_callback = note
    with TapThread(in_front_of(listener, "master", certificates, sni="redis.example")) as tap:
        with socket.create_connection((LOCALHOST, tap.port), WITHIN):
            master = Peer(listener.accept()[0], serving, serves=True)
            with contextlib.closing(master):
                master.shake_hands()
                assert tap.wait_for(events.Secured).certificate == "redis.example"
    assert asked == ["redis.example"]


def test_insecure_accepts_any_certificate_and_says_so(
    listener: socket.socket, certificates: Certificates, tmp_path: Path
) -> None:
    others = Certificates(tmp_path / "others")
    options = in_front_of(listener, "master", certificates, cacert=None, insecure=True)
    with TapThread(options) as tap, socket.create_connection((LOCALHOST, tap.port), WITHIN):
        master = Peer(listener.accept()[0], others.serving(others.expired()), serves=True)
        with contextlib.closing(master):
            master.shake_hands()
            secured = tap.wait_for(events.Secured)
            assert (secured.certificate, secured.verified) == (None, False)
            assert is_alarming(secured)
            assert "NOT CHECKED" in (sentence(secured) or "")


def test_a_log_reports_once_a_master_that_never_comes_up(listener: socket.socket, certificates: Certificates) -> None:
    """A master that requires a client certificate: with TLS 1.3 that shows after a successful handshake."""
    serving = certificates.serving(require=True)
    with TapThread(in_front_of(listener, "master", certificates)) as tap:
        for number in range(1, 4):
            with socket.create_connection((LOCALHOST, tap.port), WITHIN):
                master = Peer(listener.accept()[0], serving, serves=True)
                with contextlib.closing(master):
                    with pytest.raises(ssl.SSLError):
                        master.shake_hands()
                    master._flush()
                    tap.wait_for(events.LinkClosed, number)
    journal = ConciseLog()
    lines = [line for told in tap.told if (line := journal(told))]
    assert len([line for line in lines if "TLS with the master" in line]) == 1
    assert len([line for line in lines if "requires a client certificate" in line]) == 1


# ---- secrets ----


def test_the_keys_of_both_legs_are_logged_for_their_owner_only(
    listener: socket.socket, certificates: Certificates, tmp_path: Path
) -> None:
    keylog = tmp_path / "keys"
    with TapThread(in_front_of(listener, "both", certificates, keylog=keylog)) as tap:
        with connected(tap, listener, "both", certificates):
            tap.wait_for(events.Secured, 2)
    assert keylog.stat().st_mode & 0o777 == 0o600
    lines = [line.split() for line in keylog.read_text().splitlines() if not line.startswith("#")]
    assert {line[0] for line in lines} >= {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}
    assert len({client_random for _, client_random, _ in lines}) == 2


@pytest.mark.parametrize("leg", ["", "listen_"])
def test_the_password_of_a_key_comes_from_the_environment(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, leg: str
) -> None:
    cert, key = certificates.with_encrypted_key(b"open sesame")
    variable = f"REDIS_TAP_{leg.upper()}KEY_PASSWORD"
    options = {f"{leg}cert": cert, f"{leg}key": key, "tls": not leg}
    link = LinkConfig(master=Address(LOCALHOST, 1), **options)  # type: ignore[arg-type]

    def starts() -> None:
        with TapThread(Config(links=(link,))):
            pass

    monkeypatch.delenv(variable, raising=False)
    assert refusal(link) == f"{key}: the key is encrypted; its password is taken from {variable}"
    monkeypatch.setenv(variable, "open says me")
    assert refusal(link) == f"{key}: the password in {variable} does not open the key"
    monkeypatch.setenv(variable, "open sesame")
    starts()


def refusal(link: LinkConfig, **options: Any) -> str:
    """The error of a tap that does not start."""

    async def start() -> None:
        async with Tap(Config(links=(link,), **options)):
            pass

    with pytest.raises(ConfigError) as refused:
        asyncio.run(start())
    return str(refused.value)


def test_unusable_files_are_named(certificates: Certificates, tmp_path: Path) -> None:
    master = Address(LOCALHOST, 1)
    absent, empty, other = tmp_path / "absent.pem", tmp_path / "empty.pem", tmp_path / "other.pem"
    empty.write_bytes(b"")
    key = certificates.leaf.read_text().split("-----BEGIN CERTIFICATE")[0]
    other.write_text(key)
    foreign = certificates.issue("foreign", "foreign.example")
    link = LinkConfig(master=master, tls=True, cacert=absent)
    assert refusal(link) == f"{absent}: No such file or directory"
    assert refusal(LinkConfig(master=master, tls=True, cacert=empty)) == (
        f"{empty}: no certificate in it (a PEM file is wanted)"
    )
    assert refusal(LinkConfig(master=master, listen_cert=certificates.ca)) == (
        f"{certificates.ca}: no certificate, or no key beside it (PEM files are wanted)"
    )
    assert refusal(LinkConfig(master=master, listen_cert=foreign, listen_key=other)) == (
        f"{other}: the key is not that of the certificate in {foreign}"
    )
    keylog = tmp_path / "no" / "keys"
    assert refusal(LinkConfig(master=master, tls=True), keylog=keylog) == (
        f"{keylog}: cannot be written (No such file or directory)"
    )


def test_a_tap_with_one_address_takes_the_options_of_its_link(certificates: Certificates) -> None:
    tap = Tap("127.0.0.1:1", tls=True, cacert=certificates.ca, seed=7)
    assert (tap.config.links[0].tls, tap.config.links[0].cacert, tap.config.seed) == (True, certificates.ca, 7)


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tap", "run", "--ui", "none", "--duration", "50ms", *words]
    variables = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=variables, check=False)


def test_the_command_warns_of_what_is_insecure(tmp_path: Path) -> None:
    keylog = tmp_path / "keys"
    done = run("--master", "127.0.0.1:1", "--tls", "--insecure", SSLKEYLOGFILE=str(keylog))
    assert done.returncode == 0, done.stderr
    assert "WARNING: link main: INSECURE: the certificate of 127.0.0.1:1 is not checked" in done.stderr
    assert f"WARNING: the secrets of all TLS connections go to {keylog}" in done.stderr


def test_the_command_warns_of_an_insecure_transparent_link() -> None:
    done = run("--transparent", "--listen", "127.0.0.1:0", "--tls", "--insecure")
    assert done.returncode == 0, done.stderr
    assert "WARNING: link transparent: INSECURE: the certificate of any master is not checked" in done.stderr


def test_options_of_the_command_line_need_a_link_of_it(tmp_path: Path) -> None:
    path = tmp_path / "tap.toml"
    path.write_text('[links.one]\nmaster = "127.0.0.1:1"\n')
    done = run("--config", str(path), "--tls")
    assert done.returncode == 2
    assert "--tls: for links of the command line; links of a file have such keys of their own" in done.stderr
