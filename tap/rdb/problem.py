"""What is wrong with an RDB."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Why reading ended before the RDB did, or what is wrong with it.

    kind: "truncated", "damaged", "unknown" (a version, type or opcode that this reader does not know) or "checksum";
    "missing" where a capture lacks bytes of it.
    position: of the byte, from the beginning of the RDB. db, key: the record it is in; key is None between records.
    """

    kind: str
    position: int
    text: str
    db: int
    key: bytes | None

    def __str__(self) -> str:
        where = f"byte {self.position}"
        if self.key is not None:
            key = self.key[:100].decode("utf-8", "backslashreplace")
            where += f", in key {key!r} of db {self.db}"
        return f"{where}: {self.text}"
