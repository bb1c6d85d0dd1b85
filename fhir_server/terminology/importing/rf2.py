"""SNOMED CT: the Snapshot files of an RF2 release, for those who have a licence.

Files, by the beginnings of their names: ``sct2_Concept_Snapshot``, ``sct2_Description_Snapshot`` (of each language),
``sct2_Relationship_Snapshot``, ``der2_cRefset_Language...Snapshot`` (which synonym is preferred),
``der2_Refset_Simple...Snapshot`` (members of reference sets).
https://docs.snomed.org/snomed-ct-specifications/snomed-ct-release-file-specification, https://hl7.org/fhir/R4/snomedct.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.importing.source import (
    Files,
    Source,
    SourceConcept,
    designation,
    header,
    need,
    rows,
)

URL = "http://snomed.info/sct"
_IS_A = "116680003"
_FSN, _SYNONYM, _DEFINITION = "900000000000003001", "900000000000013009", "900000000000550004"
_PREFERRED = "900000000000548007"
_PRIMITIVE = "900000000000074008"
_USES = {
    _FSN: {"system": URL, "code": _FSN, "display": "Fully specified name"},
    _SYNONYM: {"system": URL, "code": _SYNONYM, "display": "Synonym"},
}


def is_rf2(files: Files) -> bool:
    """Tell whether these are files of RF2."""
    return any("sct2_concept_snapshot" in name.lower() for name in files.names)


def read(files: Files, version: str) -> Source:
    """Return SNOMED CT; ``version`` is the URI of the edition and date, as FHIR wants it."""
    need(
        version.startswith(f"{URL}/"),
        f"The version of SNOMED CT is a URI: {URL}/[edition]/version/[date], "
        f"such as {URL}/900000000000207008/version/20260101.",
    )
    for part in ("Concept", "Description", "Relationship"):
        need(bool(_named(files, part)), f"An RF2 release has a file sct2_{part}_Snapshot...; it isn't there.")
    properties = {
        "inactive": ("boolean", "Whether the concept is inactive"),
        "sufficientlyDefined": ("boolean", "Whether its definition is sufficient"),
        "moduleId": ("code", "The module that holds it"),
        "refset": ("code", "A reference set that it is a member of"),
    }
    made = header(URL, version, "SNOMED_CT", properties, language="en")
    return Source(made, _concepts(files), _parents(files))


def _named(files: Files, part: str) -> list[str]:
    start = f"sct2_{part}_snapshot".lower()
    return [name for name in files.names if name.rpartition("/")[2].lower().startswith(start)]


def _active(files: Files, names: list[str]) -> Iterator[dict[str, str]]:
    for name in names:
        with files.open(name) as text:
            for row in rows(text, "\t", is_quoted=False):
                if row["active"] == "1":
                    yield row


def _parents(files: Files) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for row in _active(files, _named(files, "Relationship")):
        if row["typeId"] == _IS_A:
            found[row["sourceId"]] = (*found.get(row["sourceId"], ()), row["destinationId"])
    return found


def _members(files: Files, part: str) -> Iterator[dict[str, str]]:
    wanted = [
        name for name in files.names if part in name.rpartition("/")[2].lower() and "snapshot" in name.lower()
    ]
    return _active(files, wanted)


def _concepts(files: Files) -> Iterator[SourceConcept]:
    preferred = {
        row["referencedComponentId"]
        for row in _members(files, "der2_crefset_language")
        if row["acceptabilityId"] == _PREFERRED
    }
    refsets: dict[str, list[str]] = {}
    for row in _members(files, "der2_refset_simple"):
        refsets.setdefault(row["referencedComponentId"], []).append(row["refsetId"])
    texts = _texts(files, preferred)
    for name in _named(files, "Concept"):
        with files.open(name) as text:
            for row in rows(text, "\t", is_quoted=False):
                display, designations = texts.get(row["id"], ("", ()))
                properties: list[dict[str, Any]] = [
                    {"code": "inactive", "valueBoolean": row["active"] != "1"},
                    {"code": "sufficientlyDefined", "valueBoolean": row["definitionStatusId"] != _PRIMITIVE},
                    {"code": "moduleId", "valueCode": row["moduleId"]},
                ]
                properties += [{"code": "refset", "valueCode": id_} for id_ in refsets.get(row["id"], ())]
                yield SourceConcept(row["id"], display, "", designations, tuple(properties))


def _texts(files: Files, preferred: set[str]) -> dict[str, tuple[str, tuple[dict[str, Any], ...]]]:
    """Return of each concept the display (the preferred English synonym, else the full name) and all texts."""
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for row in _active(files, _named(files, "Description")):
        if row["typeId"] == _DEFINITION:
            continue
        made = designation(row["term"], row["languageCode"], _USES.get(row["typeId"]))
        is_first = row["typeId"] == _SYNONYM and row["id"] in preferred
        rank = (0 if is_first else 1 if row["typeId"] == _FSN else 2) + (
            0 if row["languageCode"] == "en" else 3
        )
        found.setdefault(row["conceptId"], []).append((rank, made))
    sorted_ = {
        code: [made for _, made in sorted(all_, key=lambda one: one[0])] for code, all_ in found.items()
    }
    return {code: (all_[0]["value"], tuple(all_)) for code, all_ in sorted_.items()}
