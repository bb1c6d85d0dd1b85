"""What was answered: the only memory that the run trusts when it looks at what is stored."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Ledger:
    """The answers to all writes; each write carries a ``number`` of its own into what it stores.

    A write is acknowledged (then its versions are in ``versions``), refused (4xx: its number must not be stored), or
    open (the connection was lost, 5xx: stored or not, but whole). ``wrong`` are contradictions seen on the way.
    """

    #: "Type/id" -> version -> the number that it was acknowledged with.
    versions: defaultdict[str, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    deleted: dict[str, int] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)
    #: Numbers of transactions and how many resources each writes; all of them acknowledged, or not.
    sizes: dict[int, int] = field(default_factory=dict)
    whole: set[int] = field(default_factory=set)
    #: Criteria of conditional creates, keys of idempotent ones -> the resources that answers named.
    claims: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    keys: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def stored(self, name: str, version: int, number: int) -> None:
        """Note that a version was acknowledged."""
        self.times.append(time.perf_counter())
        before = self.versions[name].setdefault(version, number)
        if before != number:
            self.wrong.append(f"{name} version {version} was acknowledged for {before} and for {number}")

    @property
    def acknowledged(self) -> int:
        """How many versions were acknowledged, deletions among them."""
        return sum(map(len, self.versions.values())) + len(self.deleted)

    def longest_silence(self, since: float) -> float:
        """Return the longest time without an acknowledgement, in seconds, from a moment on until now."""
        moments = [since, *(moment for moment in self.times if moment > since), time.perf_counter()]
        return max(after - before for before, after in pairwise(moments))
