"""The FHIR content that comes with the server: in the wheel, or beside the package in a checkout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

#: The top-level folders of content.
FOLDERS = ("profiles", "terminology", "conformance", "examples")
#: Types that others refer to: rules that look at who somebody is need them first.
PERSONS = ("Organization", "Practitioner", "Patient", "RelatedPerson")


def content_folder(name: str) -> Path:
    """Return the folder of this name, one of FOLDERS; raises FileNotFoundError when it is missing."""
    package = Path(__file__).parents[1]
    packaged, checkout = package / "content" / name, package.parent / name
    if packaged.is_dir():
        return packaged
    if checkout.is_dir() and (package.parent / "pyproject.toml").is_file():
        return checkout
    raise FileNotFoundError(f"The content folder {name} is missing: install the package again.")


def own_definitions() -> Iterator[tuple[str, str, bytes]]:
    """Yield (type, id, JSON bytes) of each definition in ``profiles`` and ``terminology``, by file name."""
    for folder in ("terminology", "profiles"):
        yield from _resources(sorted(content_folder(folder).glob("*.json")))


def examples_that_pass() -> Iterator[tuple[str, str, bytes]]:
    """Return (type, id, JSON bytes) of each example that the server must accept, in the order of ``turn``."""
    rows = _resources(sorted((content_folder("examples") / "pass").rglob("*.json")))
    return iter(sorted(rows, key=lambda row: turn(row[0], row[2])))


def turn(type_: str, body: bytes) -> int:
    """Return when an example is stored: persons by type, then all else, then what replaces a document that is there."""
    if type_ in PERSONS:
        return PERSONS.index(type_)
    return len(PERSONS) + (type_ == "DocumentReference" and b'"replaces"' in body)


def _resources(files: Iterable[Path]) -> Iterator[tuple[str, str, bytes]]:
    for file in files:
        body = file.read_bytes()
        resource = json.loads(body)
        yield resource["resourceType"], resource["id"], body
