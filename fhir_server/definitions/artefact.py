"""The compact file that holds the R4 definitions in our wheel: how it is written and how it is read.

Layout: ``MAGIC``, the header's length as 8 bytes big-endian, the header (JSON, zlib), then blobs (JSON, zlib each).
The header names the package, its sha256 and for each blob its place: ``[offset, length]``. There is one blob for each
StructureDefinition, ValueSet and CodeSystem, one for all SearchParameters, CompartmentDefinitions and
OperationDefinitions, and one, ``types``, with the element table of every type (see ``typemodel``).

What no engine reads is dropped: narratives, mappings, prose, XPath, examples. This file imports nothing but the
standard library: the build hook loads it by itself.
"""

from __future__ import annotations

import io
import json
import mmap
import re
import tarfile
import zlib
from pathlib import Path
from typing import Any

MAGIC = b"FHIRDEF3"

#: One blob each, by canonical URL.
SINGLE = ("StructureDefinition", "ValueSet", "CodeSystem")
#: One blob for all of a type.
GROUPED = ("SearchParameter", "CompartmentDefinition", "OperationDefinition")

_DROPPED = {
    "text", "meta", "date", "publisher", "contact", "description", "purpose", "copyright", "jurisdiction",
    "useContext", "mapping", "experimental", "differential", "xpath", "keyword",
}  # fmt: skip
_DROPPED_IN_ELEMENT = {
    "definition", "comment", "requirements", "alias", "mapping", "isModifierReason", "example", "meaningWhenMissing",
    "orderMeaning", "code",
}  # fmt: skip
_DROPPED_IN_CONSTRAINT = {"xpath", "requirements"}
_DROPPED_IN_CONCEPT = {"definition", "extension"}
_KEPT_EXTENSIONS = {
    "http://hl7.org/fhir/StructureDefinition/regex",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type",
    "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet",
    "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status",
    "http://hl7.org/fhir/5.0/StructureDefinition/extension-ElementDefinition.mustHaveValue",
}


def is_current(path: Path, sha256: str) -> bool:
    """Tell whether ``path`` is an artefact of this format made from the package with this sha256."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return False
            header = json.loads(zlib.decompress(file.read(int.from_bytes(file.read(8), "big"))))
    except (OSError, ValueError, zlib.error):
        return False
    return bool(header["sha256"] == sha256)


def compile_package(package: bytes, target: Path, sha256: str) -> None:
    """Write the artefact of a FHIR package (.tgz bytes) to ``target``, whole or not at all."""
    resources: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        for member in archive:
            kind = member.name.rpartition("/")[2].split("-", 1)[0]
            if kind in SINGLE + GROUPED and member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                resources.setdefault(kind, []).append(json.loads(file.read()))
    blobs: list[bytes] = []
    places: dict[str, dict[str, list[int]]] = {kind: {} for kind in SINGLE}
    offset = 0

    def add(value: Any) -> list[int]:
        nonlocal offset
        blob = zlib.compress(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), 9)
        blobs.append(blob)
        place = [offset, len(blob)]
        offset += len(blob)
        return place

    structures = sorted(resources["StructureDefinition"], key=lambda r: str(r["url"]))
    for kind in SINGLE:
        for resource in sorted(resources[kind], key=lambda r: str(r["url"])):
            places[kind][resource["url"]] = add(trim(resource))
    groups = {
        kind: add([trim(r) for r in sorted(resources[kind], key=lambda r: str(r["url"]))]) for kind in GROUPED
    }
    groups["types"] = add(type_table(structures))
    header = zlib.compress(
        json.dumps({"package": "hl7.fhir.r4.core", "version": "4.0.1", "sha256": sha256,
                    "single": places, "groups": groups}).encode(), 9)  # fmt: skip
    scratch = target.with_suffix(".tmp")
    scratch.write_bytes(b"".join([MAGIC, len(header).to_bytes(8, "big"), header, *blobs]))
    scratch.replace(target)


def trim(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a definition without what no engine reads."""
    kept = {k: v for k, v in resource.items() if k not in _DROPPED and k != "extension"}
    if resource["resourceType"] == "StructureDefinition" and "snapshot" in resource:
        kept["snapshot"] = {"element": [_trim_element(e) for e in resource["snapshot"]["element"]]}
    elif resource["resourceType"] == "CodeSystem":
        kept["concept"] = _trim_concepts(resource.get("concept", []))
    elif resource["resourceType"] == "OperationDefinition" or resource["resourceType"] == "SearchParameter":
        kept["description"] = resource.get("description", "")
    return kept


def _trim_element(element: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in element.items() if k not in _DROPPED_IN_ELEMENT}
    if "constraint" in kept:
        kept["constraint"] = [
            {k: v for k, v in c.items() if k not in _DROPPED_IN_CONSTRAINT} for c in kept["constraint"]
        ]
    if "binding" in kept:
        kept["binding"] = _only_known_extensions(
            {k: v for k, v in kept["binding"].items() if k != "description"}
        )
    return _only_known_extensions(kept)


def _only_known_extensions(holder: dict[str, Any]) -> dict[str, Any]:
    kept = [e for e in holder.get("extension", []) if e["url"] in _KEPT_EXTENSIONS]
    rest = {k: v for k, v in holder.items() if k != "extension"}
    return {**rest, "extension": kept} if kept else rest


def _trim_concepts(concepts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    trimmed = []
    for concept in concepts:
        kept = {k: v for k, v in concept.items() if k not in _DROPPED_IN_CONCEPT}
        if "concept" in kept:
            kept["concept"] = _trim_concepts(kept["concept"])
        trimmed.append(kept)
    return trimmed


def type_table(structures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the element table of every base type and backbone element.

    ``{type: {"kind", "base", "abstract", "elements": [[name, [types], min, max, [target types], summary]]}}``
    where ``max`` is 0 for no limit, a choice element's name ends with ``[x]``, backbone elements have the type of
    their path (``Patient.contact``), and a contentReference has the type that it refers to. Inherited elements are
    part of each type's own list, in snapshot order.
    """
    table: dict[str, Any] = {}
    for structure in structures:
        if structure.get("derivation") == "constraint" or structure["kind"] == "logical":
            continue
        elements = structure["snapshot"]["element"]
        parents = {e["path"].rpartition(".")[0] for e in elements}
        for element in elements:
            path = element["path"]
            if path not in parents and "." in path:
                continue
            root = "." not in path
            table[path] = {
                "kind": structure["kind"] if root else "backbone",
                "base": structure.get("baseDefinition", "").rpartition("/")[2]
                if root
                else element["type"][0]["code"],
                "abstract": bool(structure["abstract"]) and root,
                "elements": [],
            }
        for element in elements[1:]:
            parent, _, name = element["path"].rpartition(".")
            types, targets = _types_of(element, element["path"] in parents)
            maximum = element["max"]
            table[parent]["elements"].append(
                [
                    name,
                    types,
                    element["min"],
                    0 if maximum == "*" else int(maximum),
                    targets,
                    bool(element.get("isSummary")),
                ]
            )
    return table


def _types_of(element: dict[str, Any], has_children: bool) -> tuple[list[str], list[str]]:
    if "contentReference" in element:
        return [element["contentReference"].rpartition("#")[2]], []
    if has_children:
        return [element["path"]], []
    types: list[str] = []
    targets: list[str] = []
    for type_ in element.get("type", []):
        code = type_["code"]
        if code.startswith("http://hl7.org/fhirpath/System."):
            # Element.id, Extension.url, Resource.id and the value of a primitive: the extension names the FHIR type.
            [code] = [
                e["valueUrl"]
                for e in type_.get("extension", [])
                if re.fullmatch(r".*/structuredefinition-fhir-type", e["url"])
            ] or [code]
        types.append(code)
        targets += [t.rpartition("/")[2] for t in type_.get("targetProfile", [])]
    return types, targets


class Artefact:
    """A read-only view of an artefact file; blobs are decoded when asked for and not kept."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._map[: len(MAGIC)] != MAGIC:
            raise ValueError(f"{path} is not an artefact of this version: install the package again")
        start = len(MAGIC) + 8
        length = int.from_bytes(self._map[len(MAGIC) : start], "big")
        header = json.loads(zlib.decompress(self._map[start : start + length]))
        self._start = start + length
        self._single: dict[str, dict[str, list[int]]] = header["single"]
        self._groups: dict[str, list[int]] = header["groups"]
        self.package: str = f"{header['package']}#{header['version']}"

    def urls(self, kind: str) -> list[str]:
        """Return the canonical URLs of all resources of a kind (StructureDefinition, ValueSet, CodeSystem)."""
        return list(self._single[kind])

    def resource(self, kind: str, url: str) -> dict[str, Any] | None:
        """Return one trimmed definition by kind and canonical URL without version, or None."""
        place = self._single[kind].get(url)
        return None if place is None else self._decode(place)

    def group(self, name: str) -> Any:
        """Return all SearchParameters, CompartmentDefinitions or OperationDefinitions, or the table ``types``."""
        return self._decode(self._groups[name])

    def _decode(self, place: list[int]) -> Any:
        start = self._start + place[0]
        return json.loads(zlib.decompress(self._map[start : start + place[1]]))
