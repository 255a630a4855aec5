"""Certificates made for the tests, and peers that speak TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support import WITHIN

LOCALHOST = "127.0.0.1"


class Certificates:
    """A CA and what it issues, as PEM files in a directory. Leaves hold key and chain in one file."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self._ca = trustme.CA()
        self.ca = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.ca))
        self.leaf = self.issue("leaf", LOCALHOST, "localhost")

    def issue(self, file: str, *names: str, **options: Any) -> Path:
        """names: those in the certificate."""
        path = self.directory / f"{file}.pem"
        self._ca.issue_cert(*names, **options).private_key_and_cert_chain_pem.write_to_path(str(path))
        return path

    def expired(self) -> Path:
        return self.issue("expired", LOCALHOST, not_after=datetime(2020, 1, 1, tzinfo=UTC))

    def self_signed(self) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, LOCALHOST)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path = self.directory / "self-signed.pem"
        signed = builder.sign(key, hashes.SHA256())
        path.write_bytes(key.private_bytes(*pem) + signed.public_bytes(serialization.Encoding.PEM))
        return path

    def with_encrypted_key(self, password: bytes) -> tuple[Path, Path]:
        """The certificate and its key, which takes the password."""
        leaf = self._ca.issue_cert(LOCALHOST)
        key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        encryption = serialization.BestAvailableEncryption(password)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        cert, key_file = self.directory / "cert-only.pem", self.directory / "encrypted-key.pem"
        cert.write_bytes(leaf.cert_chain_pems[0].bytes())
        key_file.write_bytes(pem)
        return cert, key_file

    def serving(self, cert: Path | None = None, *, require: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert or self.leaf)
        if require:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context

    def asking(self, cert: Path | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if cert is not None:
            context.load_cert_chain(cert)
        return context


class Peer:
    """A socket, with TLS in it if there is a context. Its FIN and RST are the socket's own, as those of servers."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None, *, serves: bool) -> None:
        self.socket = sock
        self.socket.settimeout(WITHIN)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session: ssl.SSLObject | None = None
        self.has_notified = False  # the peer sent close_notify
        if context is not None:
            name = None if serves else "localhost"
            self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=serves, server_hostname=name)

    def shake_hands(self) -> None:
        while self._session is not None:
            try:
                self._session.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
                self._more()

    def sendall(self, data: bytes) -> None:
        if self._session is None:
            self.socket.sendall(data)
            return
        view = memoryview(data)
        while view:
            view = view[self._session.write(view[: 2**20]) :]
            self._flush()

    def recv(self, count: int) -> bytes:
        if self._session is None:
            return self.socket.recv(count)
        while True:
            try:
                data = self._session.read(count)
                self.has_notified = not data
                return data
            except ssl.SSLZeroReturnError:
                self.has_notified = True
                return b""
            except ssl.SSLWantReadError:
                if not self._more():
                    return b""

    def notify(self) -> None:
        """close_notify, and nothing else."""
        assert self._session is not None
        with contextlib.suppress(ssl.SSLWantReadError):
            self._session.unwrap()
        self._flush()

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def _flush(self) -> None:
        self.socket.sendall(self._outgoing.read())

    def _more(self) -> int:
        data = self.socket.recv(65536)
        if data:
            self._incoming.write(data)
        elif self._session is not None and not self._session.version():
            raise ConnectionError("closed during the handshake")
        return len(data)
