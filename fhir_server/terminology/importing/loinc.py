"""LOINC: ``Loinc.csv`` of a release, with the hierarchy, answer lists and linguistic variants where they are.

Files, by the ends of their names: ``LoincTable/Loinc.csv`` (needed); ``MultiAxialHierarchy.csv`` or
``ComponentHierarchyBySystem.csv``; ``AnswerList.csv``; ``*LinguisticVariant.csv`` (``frFR12LinguisticVariant.csv``).
https://loinc.org/kb/users-guide/loinc-database-structure/, https://hl7.org/fhir/R4/loinc.html
"""

from __future__ import annotations

import re
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

URL = "http://loinc.org"
#: Columns that become properties, as FHIR names them.
_PROPERTIES = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS", "STATUS",
               "CONSUMER_NAME", "CLASSTYPE", "ORDER_OBS", "EXAMPLE_UCUM_UNITS")  # fmt: skip
_VARIANT = re.compile(r"([a-z]{2})([A-Z]{2})\d*LinguisticVariant\.csv$")


def is_loinc(files: Files) -> bool:
    """Tell whether these are the files of LOINC."""
    return any(name.rpartition("/")[2].lower() == "loinc.csv" for name in files.names)


def read(files: Files, version: str) -> Source:
    """Return LOINC; ``version`` is that of the release (``2.77``)."""
    names = [name for name in files.names if name.rpartition("/")[2].lower() == "loinc.csv"]
    need(bool(names), "A LOINC release has a file Loinc.csv; it isn't there.")
    properties = {name: ("string", f"Column {name} of Loinc.csv") for name in _PROPERTIES}
    properties["LIST"] = ("code", "Answer list of an answer")
    made = header(URL, version, "LOINC", properties, caseSensitive=False, language="en")
    return Source(made, _concepts(files, names[0]), _hierarchy(files))


def _hierarchy(files: Files) -> dict[str, tuple[str, ...]]:
    parents: dict[str, tuple[str, ...]] = {}
    for name in files.ending("MultiAxialHierarchy.csv", "ComponentHierarchyBySystem.csv")[:1]:
        with files.open(name) as text:
            for row in rows(text):
                code, parent = row.get("CODE", ""), row.get("IMMEDIATE_PARENT", "")
                if code and parent and parent not in parents.get(code, ()):
                    parents[code] = (*parents.get(code, ()), parent)
    return parents


def _concepts(files: Files, table: str) -> Iterator[SourceConcept]:
    variants = _variants(files)
    with files.open(table) as text:
        for row in rows(text):
            code = row.get("LOINC_NUM", "")
            need(bool(code), "Each row of Loinc.csv has a LOINC_NUM.")
            others = [
                designation(row[name], "en", {"system": URL, "code": name})
                for name in ("SHORTNAME", "CONSUMER_NAME", "DisplayName")
                if row.get(name)
            ]
            yield SourceConcept(
                code,
                row.get("LONG_COMMON_NAME") or row.get("SHORTNAME", ""),
                row.get("DefinitionDescription", ""),
                (*others, *variants.get(code, ())),
                tuple(_property(name, row) for name in _PROPERTIES if row.get(name)),
            )
    yield from _parts(files)
    yield from _answers(files)


def _property(name: str, row: dict[str, str]) -> dict[str, Any]:
    if name == "STATUS":
        # R4's status: what is discouraged is still used.
        status = {"DEPRECATED": "retired", "DISCOURAGED": "deprecated"}.get(row[name], row[name].lower())
        return {"code": "status", "valueCode": status}
    return {"code": name, "valueString": row[name]}


def _variants(files: Files) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for name in files.ending("LinguisticVariant.csv"):
        match = _VARIANT.search(name)
        if match is None:
            continue
        language = f"{match[1]}-{match[2]}"
        with files.open(name) as text:
            for row in rows(text):
                for column in ("LONG_COMMON_NAME", "LinguisticVariantDisplayName", "SHORTNAME"):
                    if row.get(column):
                        found.setdefault(row["LOINC_NUM"], []).append(designation(row[column], language))
    return found


def _parts(files: Files) -> Iterator[SourceConcept]:
    """Yield the parts that the hierarchy is made of (codes LP...)."""
    seen: set[str] = set()
    for name in files.ending("MultiAxialHierarchy.csv", "ComponentHierarchyBySystem.csv")[:1]:
        with files.open(name) as text:
            for row in rows(text):
                code = row.get("CODE", "")
                if code.startswith("LP") and code not in seen:
                    seen.add(code)
                    yield SourceConcept(code, row.get("CODE_TEXT", ""))


def _answers(files: Files) -> Iterator[SourceConcept]:
    """Yield the answers (codes LA...) with the lists that they are in."""
    lists: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for name in files.ending("AnswerList.csv")[:1]:
        with files.open(name) as text:
            for row in rows(text):
                code = row.get("AnswerStringId", "")
                if code:
                    lists.setdefault(code, []).append(row.get("AnswerListId", ""))
                    texts[code] = row.get("DisplayText", "")
    for code, ids in lists.items():
        found = tuple({"code": "LIST", "valueCode": id_} for id_ in dict.fromkeys(ids))
        yield SourceConcept(code, texts[code], properties=found)
