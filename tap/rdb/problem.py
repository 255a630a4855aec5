"""A problem with an RDB: its kind, its place and a sentence."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Why reading stopped before the end of the RDB, or what is wrong with the RDB.

    kind: "truncated", "damaged", "unknown" (a version, type or opcode that this reader does not know) or "checksum";
    "missing" where a capture lacks bytes of it.
    position: the offending byte, counted from the start of the RDB. db, key: the record that contains it; key is None
    between records.
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
