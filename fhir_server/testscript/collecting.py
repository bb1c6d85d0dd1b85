"""The scripts that a run is told by name: our suites, files and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import content_folder
from fhir_server.outcome import FhirError
from fhir_server.testscript.script import Script, read_script
from fhir_server.testscript.suites import scripts, suites

#: Suites that run when they are named, because they take minutes.
BY_NAME = frozenset({"every-type"})


def collect(names: Sequence[str]) -> list[Script]:
    """Return the scripts of suites, ``suite/table``, files and folders; without names all but those of BY_NAME.

    Raises ValueError for a name that leads nowhere and a file that can't be read.
    """
    known = suites(content_folder("conformance"))
    xml = XmlFormat(Definitions().types)
    return [script for name in names or sorted(known.keys() - BY_NAME) for script in _named(name, known, xml)]


def _named(name: str, known: dict[str, list[Path]], xml: XmlFormat) -> Iterator[Script]:
    path = Path(name)
    tables = [f for s, files in known.items() for f in files if name in {s, f"{s}/{f.stem}"}]
    if tables:
        for table in tables:
            yield from scripts(table)
    elif path.is_dir():
        for file in sorted(f for f in path.rglob("*") if f.suffix in {".json", ".xml", ".yaml"}):
            if (
                file.suffix == ".yaml" or b"TestScript" in file.read_bytes()
            ):  # fixtures may be malformed on purpose
                yield from _of_file(file, xml)
    elif path.is_file():
        found = list(_of_file(path, xml))
        if not found:
            raise ValueError(f"{name} holds no TestScript.")
        yield from found
    else:
        raise ValueError(f"{name} is neither a suite ({', '.join(known)}) nor a file or folder.")


def _of_file(file: Path, xml: XmlFormat) -> Iterator[Script]:
    if file.suffix == ".yaml":
        yield from scripts(file)
        return
    try:
        script = read_script(file, xml)
    except FhirError as refused:
        raise ValueError(f"{file}: {refused.issues[0].diagnostics}") from None
    except OSError as reason:
        raise ValueError(f"{file} can't be read: {reason.strerror}.") from None
    if script is not None:
        yield script
