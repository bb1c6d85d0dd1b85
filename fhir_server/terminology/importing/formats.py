"""The formats that can be imported: one row each, tried in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.outcome import error
from fhir_server.terminology.importing import claml, loinc, resource, rf2, table
from fhir_server.terminology.importing.source import Files, Source

#: Reads files with --url, --version and --language.
Read = Callable[[Files, str, str, str], Source]


@dataclass(frozen=True, slots=True)
class Format:
    """A format: how its files are recognised, and how they are read."""

    name: str
    is_it: Callable[[Files], bool]
    read: Read


FORMATS = (
    Format("loinc", loinc.is_loinc, lambda files, _url, version, _language: loinc.read(files, version)),
    Format("rf2", rf2.is_rf2, lambda files, _url, version, _language: rf2.read(files, version)),
    Format("claml", claml.is_claml, claml.read),
    Format("json", resource.is_resource, lambda files, url, version, _: resource.read(files, url, version)),
    Format("csv", table.is_table, table.read),
)


def detected(files: Files, name: str = "auto") -> Format:
    """Return the format of this name, or with ``auto`` the one that the files have; FhirError 400 for neither."""
    for one in FORMATS:
        if one.name == name or (name == "auto" and one.is_it(files)):
            return one
    known = ", ".join(one.name for one in FORMATS)
    raise error(
        "not-supported", f"These files have none of the known formats ({known}); name it with --format."
    )
