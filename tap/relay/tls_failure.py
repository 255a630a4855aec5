"""Why TLS did not come about, in words: which side ended it, and what its administrator can change."""

from __future__ import annotations

import ssl

from tap.replication.events import Side

# Per leg: the option for the tap's certificate, and that for the CA of its peer's certificate.
_OPTIONS = {Side.MASTER: ("--cert", "--cacert"), Side.REPLICA: ("--listen-cert", "--listen-cacert")}
NO_TLS = {
    Side.MASTER: "the master answers without TLS: leave --tls out, or give its tls-port",
    Side.REPLICA: "the replica speaks no TLS, and this link expects it: tls-replication yes on the replica, or leave "
    "--listen-cert out",
}

# X509_V_ERR_... of OpenSSL's x509_vfy.h
_EXPIRED, _NOT_YET_VALID, _SELF_SIGNED = 10, 9, 18
_UNKNOWN_CA = (2, 19, 20, 21)
_PURPOSE = 26
_OTHER_NAME = (62, 64)


class TlsFailure(Exception):
    """TLS did not come about, or broke. Its text is for a person. by: who ended it."""

    def __init__(self, by: Side, text: str) -> None:
        super().__init__(text)
        self.by = by


def failure_of(error: ssl.SSLError, side: Side, name: str | None) -> TlsFailure:
    """OpenSSL's error as a sentence that says what to change. name: by which the peer was asked for."""
    peer = f"the {side.value}"
    certificate, _ = _OPTIONS[side]
    reason = error.reason or ""
    by = side if "ALERT" in reason or "UNRECOGNIZED_NAME" in reason else Side.TAP
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{peer}'s certificate {_refused(error, side, name)}"
    elif "PEER_DID_NOT_RETURN_A_CERTIFICATE" in reason:
        text = f"{peer} gave no certificate, and --listen-cacert requires one: tls-cert-file on the replica"
    elif "CERTIFICATE_REQUIRED" in reason:
        text = f"{peer} requires a client certificate: --cert and --key"
    elif by is side and "UNKNOWN_CA" in reason:
        text = f"{peer} does not know the CA of our certificate ({certificate}): its tls-ca-cert-file has to"
    elif by is side and "CERTIFICATE_EXPIRED" in reason:
        text = f"{peer} says that our certificate ({certificate}) has expired: renew it"
    elif by is side and "CERTIFICATE" in reason:
        text = f"{peer} refuses our certificate ({certificate}): {_plain(reason)}"
    elif "PROTOCOL" in reason or "VERSION_TOO" in reason:
        text = f"no version of TLS in common: here these are 1.2 and 1.3, there those of tls-protocols ({_plain(reason)})"
    elif "CIPHER" in reason or "HANDSHAKE_FAILURE" in reason:
        text = f"no cipher in common (there: tls-ciphers, tls-ciphersuites), or no certificate ({_plain(reason)})"
    elif "UNRECOGNIZED_NAME" in reason:
        text = f"{peer} does not go by the name {name!r}: --sni NAME"
    else:
        text = f"TLS with {peer} failed: {_plain(reason) or error.strerror or error}"
    return TlsFailure(by, text)


def _refused(error: ssl.SSLCertVerificationError, side: Side, name: str | None) -> str:
    _, ca = _OPTIONS[side]
    code = error.verify_code
    if code == _EXPIRED:
        return "has expired: renew it"
    if code == _NOT_YET_VALID:
        return "is not valid yet: compare the clocks"
    if code == _SELF_SIGNED:
        return f"is self-signed: with the certificate itself as {ca} it is trusted"
    if code in _UNKNOWN_CA:
        return f"is of a CA that is not known here: give that CA's certificate with {ca}"
    if code in _OTHER_NAME:
        return f"is not for {name!r}: give a name that it is for with --sni"
    if code == _PURPOSE:
        return f"is not made for {'servers' if side is Side.MASTER else 'clients'} (its extended key usage)"
    return f"is refused: {error.verify_message}"


def _plain(reason: str) -> str:
    return reason.lower().replace("_", " ")
