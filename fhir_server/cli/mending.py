"""What ``validate --fix`` does with mended documents: a unified diff, or files that are written anew."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path


class Mending:
    """Collects the mended documents of files; ``line`` is where each starts, from 1."""

    def __init__(self) -> None:
        self._documents: dict[str, dict[int, bytes]] = {}

    def add(self, file: str, line: int, text: bytes) -> None:
        """Note the text of a document that was mended."""
        self._documents.setdefault(file, {})[line] = text

    def diffs(self) -> Iterator[str]:
        """Yield the lines of a unified diff of all files, as ``patch -p0`` takes it."""
        for file, before, after in self._changes():
            yield from difflib.unified_diff(_lines(before), _lines(after), file, file)

    def write(self) -> list[str]:
        """Write the files anew, each whole or not at all; return their names."""
        written = []
        for file, _, after in self._changes():
            draft = Path(f"{file}.mended")
            draft.write_bytes(after)
            draft.replace(file)
            written.append(file)
        return written

    def _changes(self) -> Iterator[tuple[str, bytes, bytes]]:
        for file, documents in self._documents.items():
            before = Path(file).read_bytes()
            if len(documents) == 1 and b"\n" in next(iter(documents.values())).strip():
                [after] = documents.values()
            else:
                after = _with_lines(before, documents)
            yield file, before, after


def _with_lines(text: bytes, documents: dict[int, bytes]) -> bytes:
    """Return a text of which some lines, a document each, are replaced."""
    lines = text.splitlines(keepends=True)
    for number, line in documents.items():
        ending = lines[number - 1][len(lines[number - 1].rstrip(b"\r\n")) :]
        lines[number - 1] = line.strip() + ending
    return b"".join(lines)


def _lines(text: bytes) -> list[str]:
    """Return the lines with line feeds, also behind the last one."""
    return [line + "\n" for line in text.decode("utf-8", "replace").splitlines()]
