"""Files, folders and standard input become JSON documents with the place where each starts.

A source is read as a stream; only one document is in memory at a time. Decompression goes by the name (.gz,
.bz2), NDJSON by the name (.ndjson, .jsonl) or by a first line that is a complete JSON object.
"""

from __future__ import annotations

import bz2
import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import msgspec

#: The name of standard input as a source.
STDIN = "-"

_LINES = (".ndjson", ".jsonl")
_SUFFIXES = (".json", *_LINES)
_COMPRESSED: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file)),
    ".bz2": lambda file: cast("IO[bytes]", bz2.BZ2File(file)),
}


@dataclass(frozen=True, slots=True)
class Document:
    """One JSON text of a source: a file's whole content or one line of NDJSON.

    ``number`` counts the documents of the source from 0; ``line`` is where it starts, from 1; ``consumed``
    says how many bytes of the file were read up to its end (0 for standard input).
    """

    source: str
    number: int
    line: int
    body: bytes
    consumed: int = 0


def sources(paths: Sequence[str]) -> list[str]:
    """Return the files that the paths mean: folders are searched for .json, .ndjson, .jsonl (also .gz, .bz2).

    Raises FileNotFoundError for a path that doesn't exist, ValueError for a folder that holds none.
    """
    found: list[str] = []
    for path in paths:
        if path == STDIN:
            found.append(path)
        elif Path(path).is_dir():
            inside = sorted(str(file) for file in Path(path).rglob("*") if file.is_file() and _is_json(file))
            if not inside:
                raise ValueError(f"{path} holds no .json, .ndjson or .jsonl file (also .gz, .bz2).")
            found += inside
        elif Path(path).exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path} doesn't exist.")
    return found


def documents(source: str) -> Iterator[Document]:
    """Yield the documents of one source; raises OSError or EOFError when it can't be read or decompressed."""
    if source == STDIN:
        yield from _documents(source, sys.stdin.buffer, None)
        return
    with Path(source).open("rb") as file:
        decompressed = _COMPRESSED.get(Path(source).suffix)
        yield from _documents(source, decompressed(file) if decompressed else file, file)


def _documents(source: str, stream: IO[bytes], file: IO[bytes] | None) -> Iterator[Document]:
    first = stream.readline()
    if not (_plain(source).endswith(_LINES) or _is_document(first)):
        body = first + stream.read()
        if body.strip():
            yield Document(source, 0, 1 + _leading_lines(body), body, file.tell() if file else 0)
        return
    number = 0
    line = 1
    while first:
        if first.strip():
            yield Document(source, number, line, first.rstrip(b"\r\n"), file.tell() if file else 0)
            number += 1
        first = stream.readline()
        line += 1


def _plain(source: str) -> str:
    path = Path(source)
    return (path.stem if path.suffix in _COMPRESSED else path.name).lower()


def _is_json(file: Path) -> bool:
    return _plain(str(file)).endswith(_SUFFIXES)


def _is_document(line: bytes) -> bool:
    if not line.rstrip().endswith(b"}"):
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _leading_lines(body: bytes) -> int:
    return body[: len(body) - len(body.lstrip())].count(b"\n")
