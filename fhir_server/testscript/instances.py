"""Small valid resources, made of R4's definitions: what is mandatory, and one more element where a test wants it.

https://hl7.org/fhir/R4/resourcelist.html
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fhir_server.definitions import Definitions, ElementInfo
from fhir_server.terminology import CodeSets

URL = "http://conformance.example/"
#: A value of each type that has one without looking at a definition.
_PLAIN: dict[str, Any] = {
    "boolean": False, "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": 1, "string": "a", "markdown": "a",
    "id": "a", "code": "a", "uri": f"{URL}m", "url": f"{URL}m", "canonical": f"{URL}m", "oid": "urn:oid:1.2.3",
    "uuid": "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", "date": "2000-01-01", "dateTime": "2000-01-01",
    "instant": "2000-01-01T00:00:00Z", "time": "00:00:00", "base64Binary": "YQ==", "Period": {"start": "2000-01-01"},
    "Identifier": {"value": "m"}, "HumanName": {"family": "m"}, "Address": {"city": "m"}, "Dosage": {"text": "m"},
    "Attachment": {"contentType": "text/plain", "url": f"{URL}m"}, "Annotation": {"text": "m"},
    "Timing": {"event": ["2000-01-01"]}, "Money": {"value": 1, "currency": "EUR"}, "Quantity": {"value": 1},
    "ContactPoint": {"system": "phone", "value": "1"}, "Range": {"low": {"value": 1}}, "Meta": {"tag": []},
    "Narrative": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'},
    "Expression": {"language": "text/fhirpath", "expression": "true"}, "ContactDetail": {"name": "m"},
    "Age": {"value": 1, "system": "http://unitsofmeasure.org", "code": "a"}, "Signature": None,
    "Duration": {"value": 1, "system": "http://unitsofmeasure.org", "code": "d"}, "Ratio": {"numerator": {"value": 1}, "denominator": {"value": 1}},
}  # fmt: skip


class Instances:
    """Makes resources; what invariants want besides is in ``more``, by type or element."""

    def __init__(self, more: dict[str, dict[str, Any]]) -> None:
        self.definitions = Definitions()
        self.types = self.definitions.types
        self._sets = CodeSets(self.definitions)
        self._more = more
        self._bindings: dict[str, dict[str, str]] = {}

    @cached_property
    def parameters(self) -> list[dict[str, Any]]:
        """The search parameters of the specification."""
        return list(self.definitions.search_parameters())

    def minimal(self, type_: str) -> dict[str, Any]:
        """Return a resource with what is mandatory."""
        return {"resourceType": type_, **self._mandatory(type_)}

    def concepts(self, path: str) -> list[tuple[str, str]] | None:
        """Return the concepts (system, code) of the required value set of an element; None when it has none."""
        owner = path.partition(".")[0]
        if owner not in self._bindings:
            structure = self.definitions.structure(owner) or {}
            rows = structure.get("snapshot", {}).get("element", [])
            self._bindings[owner] = {
                row["path"].removesuffix("[x]"): row["binding"]["valueSet"]
                for row in rows
                if row.get("binding", {}).get("strength") == "required" and "valueSet" in row["binding"]
            }
        url = self._bindings[owner].get(path)
        found = self._sets.codes(url.partition("|")[0]) if url else None
        return sorted(found.concepts) if found is not None else None

    def value(self, element: ElementInfo, type_: str, path: str) -> Any:
        """Return some value of an element."""
        concepts = self.concepts(path)
        if type_ == "code" and concepts:
            return concepts[0][1]
        if type_ in {"CodeableConcept", "Coding"}:
            system, code = concepts[0] if concepts else (f"{URL}cs", "m")
            coding = {"system": system, "code": code}
            return {"coding": [coding]} if type_ == "CodeableConcept" else coding
        if type_ == "Reference":
            return {"reference": f"{self.target(element)}/conformance"}
        if type_ in {"Resource", "DomainResource"}:
            return {"resourceType": "Basic", "code": {"text": "m"}}
        plain = _PLAIN.get(type_)
        return self._mandatory(type_) if plain is None else copy.deepcopy(plain)

    def target(self, element: ElementInfo) -> str:
        """Return a type that a reference may lead to."""
        return next((t for t in element.targets if t not in {"Resource", "Any"}), "Patient")

    def _mandatory(self, type_: str) -> dict[str, Any]:
        known, found = self.types.type(type_), {}
        assert known is not None, type_
        for element in known.elements.values():
            if element.minimum:
                key, kind = next(iter(element.json_keys().items()))
                made = self.value(element, kind, f"{type_}.{element.name}")
                found[key] = [made] if element.is_list else made
        return {**found, **copy.deepcopy(self._more.get(type_, {}))}

    def place(
        self, resource: dict[str, Any], path: Sequence[tuple[str, dict[str, str]]], type_: str
    ) -> tuple[dict[str, Any], ElementInfo, str]:
        """Make the objects that lead to an element; return its owner, the element, and the owner's type.

        A step of the path is a name and what the object behind it must hold besides. Raises KeyError for a path that
        doesn't exist.
        """
        owner = resource
        for name, fixed in path[:-1]:
            known = self.types.type(type_)
            assert known is not None
            element = known.elements[name]
            key, kind = next(iter(element.json_keys().items()))
            if key in owner:
                inner = owner[key][0] if element.is_list else owner[key]
            else:
                inner = self.value(element, kind, f"{type_}.{name}")
                owner[key] = [inner] if element.is_list else inner
            if not isinstance(inner, dict):
                raise KeyError(name)
            inner |= fixed
            owner, type_ = inner, kind
        known = self.types.type(type_)
        assert known is not None
        return owner, known.elements[path[-1][0]], type_
