"""A change of a running server that the end of a context takes back, also after an error or a cancellation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from tap.servers.cancellation import to_the_end


class Undo(ABC):
    """unrestored: what could not be restored, a sentence each; empty until the end of the context."""

    unrestored: tuple[str, ...] = ()

    @abstractmethod
    async def restore(self) -> tuple[str, ...]:
        """Take the change back. Returns a sentence for each part of it that could not be."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(self._end())

    async def _end(self) -> None:
        self.unrestored = await self.restore()
