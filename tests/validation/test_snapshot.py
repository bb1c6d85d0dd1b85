from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator
from fhir_server.validation.snapshot import Snapshots

SUITE = Path(os.environ.get("FHIR_SUITES", Path(__file__).parents[3] / "shared" / "suites")) / "fr-core"
#: Profiles whose published snapshots aren't what their differentials say: slices of name and identifier in them
#: lost the profile of the type, or an element that the slice before made.
DIFFERENT = {"fr-core-patient", "fr-core-patient-ins"}
COMPARED = (
    "min", "max", "sliceName", "mustSupport", "fixedUri", "fixedCode", "fixedCodeableConcept", "patternCode",
    "patternCodeableConcept", "patternCanonical", "patternUri",
)  # fmt: skip


def facets(element: dict[str, Any]) -> dict[str, Any]:
    """Return what of an element must be the same, without versions of canonicals."""
    return {
        **{name: element.get(name) for name in COMPARED},
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


@pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")
def test_the_snapshots_of_fr_core_are_made_as_they_were_published() -> None:
    definitions = Definitions()
    package = read_package(SUITE / "hl7.fhir.fr.core-2.2.0.tgz")
    add(package, definitions)
    snapshots = Snapshots(definitions)
    count, different = 0, set()
    for structure in package.resources:
        if structure["resourceType"] != "StructureDefinition":
            continue
        count += 1
        bare = {k: v for k, v in structure.items() if k != "snapshot"}
        made = {e["id"]: facets(e) for e in snapshots.complete(bare)["snapshot"]["element"]}
        published = {e["id"]: facets(e) for e in structure["snapshot"]["element"]}
        if made != published:
            different.add(structure["url"].rpartition("/")[2])
    assert count > 60
    assert different == DIFFERENT


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
    validator = Validator(definitions, CodeSets(definitions))
    for url in ("http://a/circle", "http://a/lost"):
        [issue] = validator.validate({"resourceType": "Patient", "active": True}, (url,))
        assert (issue.severity, issue.code, issue.rule) == ("error", "not-supported", "profile")
