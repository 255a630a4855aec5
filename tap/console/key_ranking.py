"""Groups of keys in the live view: what fills the streams that pass, as far as it was looked at."""

from __future__ import annotations

from collections.abc import Sequence

from tap.console.picture import Ranking
from tap.console.sentences import argument
from tap.key_groups import KeyGroups
from tap.recording.frequent_keys import DbKey
from tap.recording.stats import written
from tap.replication.head_samples import HeadSamples
from tap.replication.heads import Head

ROWS = 10
MAX_NODES = (
    3000  # a table of keys without any pattern then takes 10 ms of the event loop's time; a file's groups may take more
)


class KeyRanking:
    """Counts the keys of samples."""

    def __init__(self, samples: HeadSamples, patterns: Sequence[bytes] = ()) -> None:
        """patterns: of groups; none: groups are found."""
        self._samples = samples
        self._groups = KeyGroups(patterns, MAX_NODES)
        self._bytes = 0
        samples.take = self._take

    def stop(self) -> None:
        self._samples.take = None

    def _take(self, heads: list[Head]) -> None:
        weighed: list[tuple[DbKey, int]] = []
        for head in heads:
            size = head[1]
            self._bytes += size
            places = written(head)
            weighed += [(place, size // len(places)) for place in places]
        if weighed:
            self._groups.add(weighed)

    def ranking(self) -> Ranking:
        """The groups with most bytes. If only a part was looked at, figures are estimates for the whole."""
        samples = self._samples
        is_part = samples.looked_at < samples.passed
        scale = samples.passed / samples.looked_at if is_part and samples.looked_at else 1.0
        rows = self._groups.table(ROWS)
        title = "keys by bytes"
        if is_part:
            share = samples.looked_at / samples.passed
            title += f", {share:.0%} looked at" if share >= 0.01 else ", <1% looked at"
        first = [
            (" " * row.depth + ("others" if row.pattern is None else argument(row.pattern)), round(row.size * scale))
            for row in rows
        ]
        return Ranking(
            title,
            round(self._bytes * scale),
            tuple(first),
            of_bytes=True,
            at_least=not is_part and any(row.at_least for row in rows),
            is_estimate=is_part,
        )
