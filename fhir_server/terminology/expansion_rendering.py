"""The ValueSet that $expand returns: how members are shown.

R4 has no element for the properties of a member; they stand in the extensions that R5 defines for it.
https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.expansion
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import value_of
from fhir_server.terminology.expansion import Member
from fhir_server.terminology.languages import Languages, best, is_in

_PROPERTY = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.property"
_VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"
_CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
#: Designation of a text that was the display before another language was asked for.
PREFERRED = {
    "system": "http://terminology.hl7.org/CodeSystem/hl7TermMaintInfra",
    "code": "preferredForLanguage",
    "display": "Preferred For Language",
}
#: Extensions of concepts that are shown as properties, by the end of their URL: code, name, type of the value.
_AS_PROPERTY = {
    "itemWeight": ("weight", "itemWeight", "valueDecimal"),
    "ordinalValue": ("weight", "itemWeight", "valueDecimal"),
    "codesystem-label": ("label", "label", "valueString"),
    "valueset-label": ("label", "label", "valueString"),
    "codesystem-conceptOrder": ("order", "order", "valueDecimal"),
    "valueset-conceptOrder": ("order", "order", "valueDecimal"),
}
#: Extensions that are repeated at the member.
_STYLES = frozenset({"rendering-style", "rendering-xhtml"})
#: ... if the value set has them.
_REPEATED = frozenset({"valueset-deprecated", "structuredefinition-standards-status"})
_WARNED = {"draft", "deprecated", "withdrawn"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request asks to see of each member."""

    languages: Languages = field(default_factory=Languages)
    include_designations: bool = False
    #: Designations to include: languages, or ``system|code`` of their use; all if empty.
    designations: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    exclude_nested: bool = False


class Renderer:
    """Shows members of one expansion."""

    def __init__(self, shown: Shown, versioned: AbstractSet[str] = frozenset()) -> None:
        self._shown = shown
        #: Systems of which several versions were used.
        self._versioned = versioned
        #: Names of the properties in the expansion, with their URIs.
        self.properties: dict[str, str] = {}

    def contains(self, members: Sequence[Member], *, is_tree: bool) -> list[dict[str, Any]]:
        """Return the rows of the members: a tree if there is one and it is wanted."""
        rows = [self._row(member) for member in members]
        if self._shown.exclude_nested or not is_tree:
            return rows
        places = {member.key: row for member, row in zip(members, rows, strict=True)}
        top: list[dict[str, Any]] = []
        for member, row in zip(members, rows, strict=True):
            above = next(
                (
                    places[key]
                    for code in member.system.parents(member.concept.code)
                    if (key := (member.system.url, member.system.version, code)) in places
                ),
                None,
            )
            (top if above is None else above.setdefault("contains", [])).append(row)
        return top

    def _row(self, member: Member) -> dict[str, Any]:
        system, concept = member.system, member.concept
        row: dict[str, Any] = {}
        extensions = [*self._extensions(member), *self._properties(member)]
        if extensions:
            row["extension"] = extensions
        if system.url:
            row["system"] = system.url
        if system.is_abstract(concept):
            row["abstract"] = True
        if system.is_inactive(concept):
            row["inactive"] = True
        if system.url in self._versioned and system.version:
            row["version"] = system.version
        row["code"] = concept.code
        display, others = self._texts(member)
        if display:
            row["display"] = display
        if others:
            row["designation"] = others
        return row

    def _texts(self, member: Member) -> tuple[str, list[dict[str, Any]]]:
        """Return the display, and the other designations that are wanted."""
        own = member.row or {}
        concept, shown = member.concept, self._shown
        rows = [*own.get("designation", ()), *concept.designations]
        standard = own.get("display") or concept.display
        display, used = best(standard, member.system.language, rows, shown.languages)
        if not (shown.include_designations or shown.designations):
            return display, []
        others = [row for row in rows if row is not used]
        if concept.display and concept.display != display:
            first: dict[str, Any] = {"use": PREFERRED, "value": concept.display}
            if member.system.language:
                first = {"language": member.system.language, **first}
            others.insert(0, first)
        return display, [row for row in others if self._is_wanted(row)]

    def _is_wanted(self, designation: dict[str, Any]) -> bool:
        if not self._shown.designations:
            return True
        use = designation.get("use", {})
        token = f"{use.get('system', '')}|{use.get('code', '')}"
        language = designation.get("language", "")
        for wanted in self._shown.designations:
            system, separator, code = wanted.partition("|")
            if separator and system == "urn:ietf:bcp:47":
                system, separator = code, ""
            if wanted == token or (not separator and language and is_in(language, system)):
                return True
        return False

    @staticmethod
    def _extensions(member: Member) -> Iterator[dict[str, Any]]:
        own = member.row or {}
        for row in (*own.get("extension", ()), *member.concept.extensions):
            if row.get("url", "").rpartition("/")[2] in _STYLES:
                yield row
        for row in own.get("extension", ()):
            if row.get("url", "").rpartition("/")[2] in _REPEATED:
                yield row

    def _properties(self, member: Member) -> Iterator[dict[str, Any]]:
        system, concept, own = member.system, member.concept, member.row or {}
        for row in (*own.get("extension", ()), *concept.extensions):
            known = _AS_PROPERTY.get(row.get("url", "").rpartition("/")[2])
            if known is not None:
                yield self._property(known[0], known[1], {known[2]: value_of(row)[1]})
        wanted = set(self._shown.properties)
        if ("definition" in wanted or "*" in wanted) and concept.definition:
            yield self._property("definition", "definition", {"valueString": concept.definition})
        local = system.property_code("status")
        status = system.status(concept)
        if status and status != "active" and "status" not in wanted and local not in wanted:
            yield self._property("status", "status", {"valueCode": status})
        for row in concept.properties:
            if row["code"] in wanted or "*" in wanted:
                name, value = value_of(row)
                yield self._property(row["code"], self._uri(system, row["code"]), {name: value})
        for name, codes in (("parent", system.parents), ("child", system.children)):
            if name in wanted:
                for code in codes(concept.code):
                    yield self._property(name, name, {"valueCode": code})

    @staticmethod
    def _uri(system: CodeSystem, code: str) -> str:
        headers = (system.header, *system.supplements)
        declared: Iterator[dict[str, Any]] = (
            row for one in headers for row in one.get("property", ()) if row["code"] == code
        )
        return str(next(declared, {}).get("uri", ""))

    def _property(self, code: str, uri: str, value: dict[str, Any]) -> dict[str, Any]:
        self.properties[code] = uri if "/" in uri or not uri else _CONCEPT_PROPERTIES + uri
        [given] = value.items()
        return {
            "url": _VALUE,
            "extension": [{"url": "code", "valueCode": code}, {"url": "value", given[0]: given[1]}],
        }

    def declared(self) -> list[dict[str, Any]]:
        """Return the extensions of the expansion that name the properties of its members."""
        found = []
        for code, uri in self.properties.items():
            parts: list[dict[str, Any]] = [{"url": "code", "valueCode": code}]
            if uri:
                parts.append({"url": "uri", "valueUri": uri})
            found.append({"url": _PROPERTY, "extension": parts})
        return found


def warnings_of(used: Iterable[tuple[tuple[str, str], dict[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Return the parameters that tell the state of what was used: ``warning-draft`` and the canonical."""
    for (_, canonical), resource in used:
        state = state_of(resource)
        if state:
            yield f"warning-{state}", canonical


def state_of(resource: dict[str, Any]) -> str:
    """Return what a client should know about a resource: draft, experimental, deprecated, withdrawn, or ""."""
    for row in resource.get("extension", ()):
        if row.get("url", "").endswith("/structuredefinition-standards-status"):
            value = str(value_of(row)[1])
            if value in _WARNED:
                return value
    if resource.get("status") == "draft":
        return "draft"
    return "experimental" if resource.get("experimental") is True else ""
