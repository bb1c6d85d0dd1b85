"""What profiles add to the rules of an element, and which profile of the chain brings it."""

from __future__ import annotations

import pytest

from fhir_server.definitions import Definitions
from fhir_server.outcome import FhirError
from fhir_server.validation.explanation import explain

URL = "https://example.org/StructureDefinition/"
CORE = "http://hl7.org/fhir/StructureDefinition/"


def profile(name, base, *elements):
    return {
        "resourceType": "StructureDefinition", "url": URL + name, "version": "1", "name": name, "kind": "resource",
        "abstract": False, "type": "Patient", "derivation": "constraint", "baseDefinition": base,
        "differential": {"element": [{"path": e["id"].split(":")[0], **e} for e in elements]},
    }  # fmt: skip


INVARIANT = {"key": "p-1", "severity": "error", "human": "No x.", "expression": "use != 'old'"}


@pytest.fixture(scope="module")
def definitions():
    found = Definitions()
    found.add(
        profile(
            "parent", CORE + "Patient",
            {"id": "Patient.gender", "min": 1, "mustSupport": True},
            {"id": "Patient.identifier", "slicing": {"discriminator": [{"type": "value", "path": "system"}], "rules": "open"}},
            {"id": "Patient.identifier:INS", "path": "Patient.identifier", "sliceName": "INS", "min": 1, "max": "1"},
            {"id": "Patient.identifier:INS.system", "path": "Patient.identifier.system", "min": 1, "fixedUri": "urn:x"},
            {"id": "Patient.name", "constraint": [INVARIANT]},
        )
    )  # fmt: skip
    found.add(
        profile(
            "child", URL + "parent",
            {"id": "Patient.gender", "max": "1", "patternCode": "female"},
            {"id": "Patient.photo", "max": "0"},
            {"id": "Patient.birthDate", "min": 1},
        )
    )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("Patient.birthDate", {("cardinality", "1..1", "child")}),
        (
            "Patient.gender",
            {
                ("cardinality", "1..1", "parent"),
                ("pattern", 'the value must be, or have at least, "female"', "child"),
                ("", "must be supported by who keeps to the profile", "parent"),
            },
        ),
        ("Patient.photo", {("cardinality", "must not be there", "child")}),
        (
            "Patient.identifier",
            {("slice", "slices by value of system (open): INS (1..1)", "parent")},
        ),
        ("Patient.identifier:INS", {("slice-INS", "1..1", "parent")}),
        (
            "Patient.identifier:INS.system",
            {("cardinality", "1..1", "parent"), ("fixed", 'the value must be exactly "urn:x"', "parent")},
        ),
        ("Patient.name[0]", {("p-1", "error, No x.: use != 'old'", "parent")}),
        ("Patient.deceased", set()),
        ("Patient.contact.gender", set()),
    ],
)
def test_what_a_profile_adds(definitions, path, rules):
    base = explain(definitions, path)
    found = explain(definitions, path, [URL + "child"])
    added = [rule for rule in found.rules if rule not in base.rules]
    assert {(r.id.partition("@")[0], r.text, r.source.removeprefix(URL)) for r in added} >= rules
    assert {r.source for r in added} <= {URL + "parent", URL + "child"}
    if not rules:
        assert added == []
    assert all(f"@{URL}child#" in rule.id for rule in added if "@" in rule.id)


@pytest.mark.parametrize("url", [URL + "nobody", URL + "child|9"])
def test_a_profile_that_isn_t_known(definitions, url):
    with pytest.raises(FhirError) as refused:
        explain(definitions, "Patient.gender", [url])
    assert refused.value.status == 404
