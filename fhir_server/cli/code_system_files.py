"""The files of a published code system: one file, a folder, or a .zip that is read without unpacking it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fhir_server.outcome import error
from fhir_server.terminology.importing import Files

#: Bytes that one file may unpack to.
_MOST_BYTES = 4_000_000_000


@contextmanager
def opened(path: Path) -> Iterator[Files]:
    """Give the files at a path; FhirError 404 when there is nothing, 400 when it isn't readable."""
    if path.is_dir():
        found = {str(file.relative_to(path)): file for file in sorted(path.rglob("*")) if file.is_file()}
        yield Files(tuple(found), lambda name: found[name].open(encoding="utf-8-sig", newline=""))
    elif path.suffix.lower() == ".zip" and path.is_file():
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as reason:
            raise error("invalid", f"{path} can't be read: {reason}.") from None
        with archive:
            sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
            yield Files(tuple(sizes), lambda name: _member(archive, name, sizes[name]))
    elif path.is_file():
        yield Files((path.name,), lambda _: path.open(encoding="utf-8-sig", newline=""))
    else:
        raise error("not-found", f"There is nothing at {path}.")


def _member(archive: zipfile.ZipFile, name: str, size: int) -> io.TextIOWrapper:
    if size > _MOST_BYTES:
        raise error("too-costly", f"{name} in the archive is too large.")
    return io.TextIOWrapper(archive.open(name), encoding="utf-8-sig", newline="")


def digest_of(path: Path, *options: str) -> str:
    """Return what tells these files and options from others: names, sizes and times of change."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    told = [(str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    return hashlib.sha256(repr((told, options)).encode()).hexdigest()
