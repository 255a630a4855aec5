"""Shell commands that do by hand what redis-tap would do to a server: for a user whose run was killed.

They hold no password: redis-cli takes it from the environment variable REDISCLI_AUTH.
"""

from __future__ import annotations

import shlex

from tap.replication.passwords import is_secret_setting
from tap.url import Address, Url


def redis_cli(url: Url, *words: str) -> str:
    """A redis-cli command for that server."""
    address = url.address
    where = ["-s", address.path] if address.path else ["-h", address.host, "-p", str(address.port)]
    where += _how(url)
    if url.db:
        where += ["-n", str(url.db)]
    return shlex.join(["redis-cli", *where, *words])


def cluster_check(url: Url) -> str:
    """Examine the Cluster of this node."""
    return shlex.join(["redis-cli", *_how(url), "--cluster", "check", str(url.address)])


def _how(url: Url) -> list[str]:
    """TLS, its files, and the user."""
    words = ["--tls"] if url.tls else []
    for name, value in url.tls_options.items():
        words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return [*words, "--user", url.username] if url.username else words


def config_set(url: Url, option: str, value: str) -> str:
    """CONFIG SET. For a secret a comment, so that running it does not set the secret to three asterisks."""
    if is_secret_setting(option.encode()):
        return f"# {redis_cli(url, 'CONFIG', 'SET', option)} '***'"
    return redis_cli(url, "CONFIG", "SET", option, value)


def replicaof(url: Url, master: Address | None) -> str:
    """REPLICAOF, with None REPLICAOF NO ONE."""
    words = ("NO", "ONE") if master is None else (master.host, str(master.port))
    return redis_cli(url, "REPLICAOF", *words)
