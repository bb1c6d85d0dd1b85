"""Snapshots made of differentials: as they were published, but for differences that are explained, and case by case."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import CACHE, Package, add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from fhir_server.validation.snapshot import Snapshots

SUITES = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
#: Packages whose snapshots are compared, each if it is there.
PACKAGES = [SUITES / "fr-core" / "hl7.fhir.fr.core-2.2.0.tgz", CACHE / "hl7.fhir.r4.core#4.0.1"]
DIFFERENCES = json.loads(Path(__file__).with_name("snapshot_differences.json").read_text())
COMPARED = ("min", "max", "sliceName", "mustSupport", "isModifier", "maxLength")


def slicing(element: dict[str, Any]) -> Any:
    """Return how an element is sliced; extensions always are, whether it is said or not."""
    found = element.get("slicing")
    if found is None or element["path"].endswith("xtension"):
        return None
    discriminators = [(d["type"], d["path"]) for d in found.get("discriminator", ())]
    return discriminators, found.get("rules"), found.get("ordered", False)


def facets(element: dict[str, Any]) -> dict[str, Any]:
    """Return what of an element must be the same, without versions of canonicals."""
    return {
        **{name: element.get(name) for name in COMPARED},
        **{k: v for k, v in element.items() if k.startswith(("fixed", "pattern", "minValue", "maxValue"))},
        "maxLength": element.get("maxLength"),
        "slicing": slicing(element),
        "strength": element.get("binding", {}).get("strength"),
        "contentReference": element.get("contentReference", "").rpartition("#")[2],
        "binding": element.get("binding", {}).get("valueSet", "").partition("|")[0],
        "constraints": {c["key"] for c in element.get("constraint", ())},
        "types": [
            (
                t["code"],
                [p.partition("|")[0] for p in t.get("profile", ())],
                [p.partition("|")[0] for p in t.get("targetProfile", ())],
            )
            for t in element.get("type", ())
        ],
    }


def differences(structure: dict[str, Any], snapshots: Snapshots) -> list[tuple[str, set[str]]]:
    """Return the elements that differ from the published ones, with the facets that do."""
    bare = {k: v for k, v in structure.items() if k != "snapshot"}
    made = {e["id"]: facets(e) for e in snapshots.complete(bare)["snapshot"]["element"]}
    published = {e["id"]: facets(e) for e in structure["snapshot"]["element"]}
    found = [(id_, {"missing"}) for id_ in published if id_ not in made]
    found += [(id_, {"absent"}) for id_ in made if id_ not in published]
    for id_ in made.keys() & published.keys():
        ours, theirs = made[id_], published[id_]
        differ = {k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k)}
        if differ:
            found.append((id_, differ))
    return found


def is_explained(name: str, element: str, differ: set[str]) -> bool:
    return any(
        re.fullmatch(d["profile"], name)
        and re.fullmatch(d["element"], element)
        and differ <= set(d["facets"])
        for d in DIFFERENCES
    )


@pytest.mark.parametrize("path", PACKAGES, ids=["FR Core", "R4 core"])
def test_snapshots_are_made_as_they_were_published(path: Path) -> None:
    if not path.exists():
        pytest.skip(f"{path.name} isn't there: set FHIR_SUITES, or put it into the FHIR package cache")
    definitions = Definitions()
    package = read_package(path)
    add(package, definitions)
    snapshots = Snapshots(definitions)
    count, unexplained = 0, []
    for structure in profiles_of(package):
        count += 1
        name = structure["url"].rpartition("/")[2]
        unexplained += [
            (name, element, differ)
            for element, differ in differences(structure, snapshots)
            if not is_explained(name, element, differ)
        ]
    assert unexplained == []
    assert count > 60


def profiles_of(package: Package) -> list[dict[str, Any]]:
    return [
        r for r in package.resources
        if r["resourceType"] == "StructureDefinition" and r.get("derivation") == "constraint" and "snapshot" in r
    ]  # fmt: skip


BASE = "http://hl7.org/fhir/StructureDefinition/"
SLICED = {
    "path": "Patient.telecom",
    "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"},
}
#: What a differential on Patient or Observation makes: elements by id, each with some of its facets; None: no such element.
CASES: dict[str, tuple[str, list[dict[str, Any]], dict[str, Any]]] = {
    "a type is unfolded on the way": ("Patient", [{"path": "Patient.name.period.start", "min": 1}],
        {"Patient.name.period.start": {"min": 1}, "Patient.name.period.end": {"min": 0}, "Patient.contact.name.period": None}),
    "a slice by id alone": ("Patient", [SLICED, {"path": "Patient.telecom", "sliceName": "phone"},
        {"id": "Patient.telecom:mail", "path": "Patient.telecom", "sliceName": "mail"},
        {"id": "Patient.telecom:phone.value", "path": "Patient.telecom.value", "min": 1}],
        {"Patient.telecom:phone.value": {"min": 1}, "Patient.telecom:mail.value": None, "Patient.telecom.value": None}),
    "a slice that isn't listed itself": ("Patient", [SLICED,
        {"id": "Patient.telecom:phone.value", "path": "Patient.telecom.value", "min": 1}],
        {"Patient.telecom:phone": {"min": 0, "max": "*"}, "Patient.telecom:phone.value": {"min": 1}}),
    "a path without id belongs to the slice before it": ("Patient", [SLICED, {"path": "Patient.telecom", "sliceName": "phone"},
        {"path": "Patient.telecom.value", "min": 1}], {"Patient.telecom:phone.value": {"min": 1}, "Patient.telecom.value": None}),
    "slices take over what was said of the element": ("Patient", [{"path": "Patient.telecom.value", "min": 1}, SLICED,
        {"path": "Patient.telecom", "sliceName": "phone"}], {"Patient.telecom:phone.value": {"min": 1}}),
    "a slice of a slice": ("Patient", [SLICED, {"path": "Patient.telecom", "sliceName": "phone", "max": "3",
        "slicing": {"discriminator": [{"type": "value", "path": "use"}], "rules": "open"}},
        {"path": "Patient.telecom", "sliceName": "mail"}, {"path": "Patient.telecom", "sliceName": "phone/home", "max": "1"}],
        {"Patient.telecom:phone": {"max": "3"}, "Patient.telecom:phone/home": {"max": "1", "slicing": None}, "Patient.telecom:mail": {"max": "*"}}),
    "a shorthand narrows a choice": ("Observation", [{"path": "Observation.valueQuantity.code", "min": 1}],
        {"Observation.value[x]": {"types": ["Quantity"]}, "Observation.value[x]:valueQuantity": {"types": ["Quantity"]},
         "Observation.value[x]:valueQuantity.code": {"min": 1}}),
    "two shorthands leave two types": ("Observation", [{"path": "Observation.valueQuantity", "min": 0}, {"path": "Observation.valueString", "maxLength": 9}],
        {"Observation.value[x]": {"types": ["Quantity", "string"]}, "Observation.value[x]:valueString": {"maxLength": 9}}),
    "a named slice leaves a choice open": ("Observation", [{"path": "Observation.value[x]", "sliceName": "valueQuantity", "type": [{"code": "Quantity"}]}],
        {"Observation.value[x]": {"types": 11}, "Observation.value[x]:valueQuantity": {"types": ["Quantity"]}}),
    "a choice of one type is unfolded": ("Observation", [{"path": "Observation.value[x]", "type": [{"code": "Quantity"}]}, {"path": "Observation.value[x].code", "min": 1}],
        {"Observation.value[x].code": {"min": 1}}),
    "a content reference is unfolded": ("Observation", [{"path": "Observation.component.referenceRange.low", "min": 1}],
        {"Observation.component.referenceRange.low": {"min": 1}, "Observation.component.referenceRange": {"contentReference": ""},
         "Observation.referenceRange.low": {"min": 0}}),
    "an extension needs no slicing": ("Patient", [{"path": "Patient.extension", "sliceName": "a", "min": 1, "type": [{"code": "Extension", "profile": ["http://a/b"]}]}],
        {"Patient.extension:a": {"min": 1, "max": "*"}, "Patient.extension": {"min": 0}}),
    "a name where nothing is sliced is the element's": ("Patient", [{"path": "Patient.birthDate", "sliceName": "Born", "min": 1}],
        {"Patient.birthDate:Born": {"min": 1}, "Patient.birthDate": None}),
    "constraints are added": ("Patient", [{"path": "Patient.contact", "constraint": [{"key": "c-1", "severity": "error", "human": "h", "expression": "true"}]}],
        {"Patient.contact": {"constraints": {"ele-1", "pat-1", "c-1"}}}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_differential(name: str) -> None:
    type_, elements, expected = CASES[name]
    structure = {**profile("http://a/case", BASE + type_, *elements), "type": type_}
    structure["differential"]["element"][0] = {"path": type_}
    made = {e["id"]: facets(e) for e in Snapshots(Definitions()).complete(structure)["snapshot"]["element"]}
    for id_, wanted in expected.items():
        assert (id_ in made) == (wanted is not None), id_
        for facet, value in (wanted or {}).items():
            found = made[id_][facet]
            if facet == "types":
                found = [t[0] for t in found] if isinstance(value, list) else len(found)
            assert found == value, (id_, facet)


def test_a_differential_cannot_open_what_its_base_closed() -> None:
    definitions = Definitions()
    closed = {**SLICED, "slicing": {**SLICED["slicing"], "rules": "closed", "ordered": True}}
    definitions.add(profile("http://a/closed", PATIENT, closed))
    made = Snapshots(definitions).complete(profile("http://a/open", "http://a/closed", SLICED))
    telecom = next(e for e in made["snapshot"]["element"] if e["id"] == "Patient.telecom")
    assert (telecom["slicing"]["rules"], telecom["slicing"]["ordered"]) == ("closed", True)


def profile(url: str, base: str, *elements: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "type": "Patient",
        "baseDefinition": base,
        "derivation": "constraint",
        "kind": "resource",
        "differential": {"element": [{"path": "Patient"}, *elements]},
    }


PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"


def test_profiles_on_profiles_unfold_types_on_the_way() -> None:
    definitions = Definitions()
    definitions.add(profile("http://a/one", PATIENT, {"path": "Patient.name", "min": 1}))
    definitions.add(profile("http://a/two", "http://a/one", {"path": "Patient.name.family", "min": 1}))
    validator = Validator(definitions, CodeSets(definitions))
    patient: dict[str, Any] = {"resourceType": "Patient", "name": [{"text": "A"}]}
    [issue] = validator.validate(patient, ("http://a/two",))
    assert (issue.expression, issue.rule) == (
        "Patient.name[0]",
        "cardinality@http://a/two#Patient.name.family",
    )
    assert validator.validate(patient, ("http://a/one",)) == ()
    [issue] = validator.validate({"resourceType": "Patient", "active": True}, ("http://a/two",))
    assert issue.rule == "cardinality@http://a/two#Patient.name"


def test_a_profile_that_builds_on_itself_or_on_nothing_is_reported() -> None:
    definitions = Definitions()
    definitions.add(profile("http://a/circle", "http://a/circle"))
    definitions.add(profile("http://a/lost", "http://a/nowhere"))
    definitions.add(profile("http://a/odd", PATIENT, {"path": "Patient.names", "min": 1}))
    validator = Validator(definitions, CodeSets(definitions))
    for url in ("http://a/circle", "http://a/lost", "http://a/odd"):
        [issue] = validator.validate({"resourceType": "Patient", "active": True}, (url,))
        assert (issue.severity, issue.code, issue.rule) == ("error", "not-supported", "profile")
