"""Passwords in what a master sends: in its replies before the data, and in the commands of its stream.

Replies are looked at if the replica's requests ask for passwords (CONFIG GET), commands if the conversation reports that
one of them may hold some. Anything else passes without a look.
"""

from __future__ import annotations

from collections import deque

from tap.redaction.masks import Masker, Replies
from tap.replication.conversation import Conversation


class MasterSecrets:
    """Replaces the passwords in the master's bytes of one connection; bytes that are left out are reported by lost()."""

    __slots__ = ("_command", "_commands", "_conversation", "_replies")

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._replies = Replies()
        self._commands: deque[tuple[int, bytes, int]] = deque()  # those that may hold passwords, see note()
        self._command: Masker | None = None  # for the current one

    @property
    def may_follow(self) -> bool:
        """Whether the next bytes may hold a password."""
        is_in_replies = self._replies.is_looking and self._replies_end is None
        return self._command is not None or bool(self._commands) or is_in_replies

    def look_for(self, asked: set[str | int]) -> None:
        """See Replies.look_for()."""
        self._replies.look_for(asked)

    def note(self, name: bytes, position: int, words: int) -> None:
        """Note a command of the stream that may hold passwords. To be called before the byte at *position* is received.

        position: of the byte after its name. words: how many follow the name.
        """
        self._commands.append((position, name, words))

    def lost(self) -> None:
        """The next bytes will be missing."""
        self._replies.lost()

    def forget_commands(self, until: int) -> None:
        """The bytes before this position are missing, and noted commands with them."""
        self._command = None
        while self._commands and self._commands[0][0] < until:
            self._commands.popleft()

    def mask(self, data: memoryview, position: int) -> bytes | memoryview:
        """The bytes with passwords replaced. position: of the first byte."""
        looks = self._replies.is_looking and ((end := self._replies_end) is None or end > position)
        if not looks and self._command is None and not self._commands:
            return data
        left, at = bytearray(data), 0
        if looks:
            size = len(data) if end is None else min(len(data), end - position)
            left[:size] = self._replies.mask(bytes(data[:size]))
        while self._command is not None or self._commands:
            if self._command is None:
                begin, name, words = self._commands[0]
                if begin >= position + len(left):
                    break
                self._commands.popleft()
                at = max(begin - position, 0)
                self._command = Masker()
                self._command.resume(name, words)
            masked = self._command.mask_one(bytes(left[at:]))
            left[at : at + len(masked)] = masked
            if not self._command.is_between_requests:
                break
            self._command = None
        return bytes(left)

    @property
    def _replies_end(self) -> int | None:
        """Position after the master's last reply; None until the RDB or the stream begins."""
        conversation = self._conversation
        if conversation.rdb_start is not None:
            return conversation.rdb_start
        return None if conversation.stream is None else conversation.stream.begins_at
