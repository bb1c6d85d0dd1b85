"""What of a load is done, in a small JSON file that is replaced whole: a repeated load goes on there.

For each source: its size and modification time (a changed file starts again), ``until`` (all resources before
this number are done) and ``also`` (those done beyond it). Rejected resources are not done: a repeated load
tries them again.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_server.cli.sources import STDIN

#: Seconds between two writings of the file; a killed load sends at most this much again.
INTERVAL_S = 1.0


@dataclass(slots=True)
class _Progress:
    stamp: list[int]
    until: int = 0
    also: set[int] = field(default_factory=set)


class Checkpoint:
    """Done resources by source; ``path`` None keeps them in memory only.

    Raises ValueError when the file is none of ours or belongs to another server.
    """

    def __init__(self, path: Path | None, base: str) -> None:
        self._path = path
        self._base = base
        self._sources: dict[str, _Progress] = {}
        self._checked: set[str] = set()
        self._written = time.monotonic()
        if path is not None and path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            sources = {
                source: _Progress(row["stamp"], row["until"], set(row["also"]))
                for source, row in content["sources"].items()
            }
            base = content["base"]
        except (ValueError, KeyError, TypeError, AttributeError) as reason:
            raise ValueError(f"{path} is no checkpoint of this command; choose another name.") from reason
        if base != self._base:
            raise ValueError(f"{path} belongs to a load into {base}; choose another name for this server.")
        self._sources = sources

    def is_done(self, source: str, number: int) -> bool:
        """Tell whether this resource was stored by an earlier load of the same unchanged source."""
        progress = self._progress(source)
        return number < progress.until or number in progress.also

    def done(self, source: str, number: int) -> None:
        """Note that a resource is stored."""
        progress = self._progress(source)
        progress.also.add(number)
        while progress.until in progress.also:
            progress.also.remove(progress.until)
            progress.until += 1
        if self._path is not None and time.monotonic() - self._written >= INTERVAL_S:
            self.write()

    def write(self) -> None:
        """Write the file, whole or not at all."""
        self._written = time.monotonic()
        if self._path is None:
            return
        rows = {
            source: {"stamp": row.stamp, "until": row.until, "also": sorted(row.also)}
            for source, row in self._sources.items()
            if source != STDIN
        }
        scratch = self._path.with_name(self._path.name + ".new")
        scratch.write_text(json.dumps({"base": self._base, "sources": rows}))
        scratch.replace(self._path)

    def _progress(self, source: str) -> _Progress:
        if source not in self._checked:
            self._checked.add(source)
            stamp = _stamp(source)
            if source not in self._sources or self._sources[source].stamp != stamp:
                self._sources[source] = _Progress(stamp)
        return self._sources[source]


def _stamp(source: str) -> list[int]:
    if source == STDIN:
        return []
    status = Path(source).stat()
    return [status.st_size, status.st_mtime_ns]
