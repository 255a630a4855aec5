"""The secrets that a connection's requests have carried so far, so that no error of the master repeats one in an event.

An error repeats words of the request that it answers. Replies do not name their requests, and one that is missing, by a
fault or by a gap, shifts all that follow: the error is then matched with another request. It is therefore searched for
the secrets of all requests, whichever of them it seems to answer.
"""

from __future__ import annotations

from tap.replication.passwords import before_quotes, secrets_of, without_secrets
from tap.replication.requests import Request

MAX_KEPT = 8 * 1024  # bytes of secrets; a replica sends a name and a password, which may be a token
MAX_ERROR = 1024  # bytes reported of an error that may repeat a secret; servers repeat 128 bytes of a request


class HeardSecrets:
    """are_unknown: some secrets of the connection may not have been kept. Errors then end before their first quote."""

    __slots__ = ("_kept", "_size", "are_unknown")

    def __init__(self) -> None:
        self.are_unknown = False
        self._kept: tuple[bytes, ...] = ()
        self._size = 0

    def heard(self, request: Request) -> None:
        """Keep the secrets of a whole request."""
        for words in (request.args, request.sent or ()):
            for secret in secrets_of(words, inline=request.inline):
                if secret in self._kept:
                    continue
                self._size += len(secret)
                if self._size > MAX_KEPT:
                    self.are_unknown = True
                    return
                self._kept = (*self._kept, secret)

    def hide(self, line: bytes) -> bytes:
        """The first line of a reply, without secrets."""
        line = without_secrets(line, self._kept, most=MAX_ERROR)
        return before_quotes(line) if self.are_unknown else line
