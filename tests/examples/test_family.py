"""The family of the examples: eight citizens over twenty years, each resource under our profile."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode

PASS = sorted((Path(__file__).parents[2] / "examples" / "pass").glob("*/*.json"))
OURS = "https://health-space.example/fhir/StructureDefinition/"
#: Said of good resources: codes of ours beside HL7's where a binding is extensible, and FR Core's extensions, which
#: are unknown without its package.
ALLOWED = ("binding-extensible@", "unknown-extension@")
CITIZENS = {
    "adrien-exemple", "camille-exemple", "dominique-testani", "jules-exemple", "lou-exemple", "noe-exemple",
    "odile-specimen", "rene-specimen",
}  # fmt: skip
#: The profile of each type; those of Consent and Observation depend on the content.
PROFILES = {
    "Binary": "hs-document-binary",
    "Device": "hs-device",
    "DocumentReference": "hs-document",
    "ExplanationOfBenefit": "hs-reimbursement",
    "Organization": "hs-organization",
    "Patient": "hs-patient",
    "Practitioner": "hs-practitioner",
    "Provenance": "hs-provenance",
    "RelatedPerson": "hs-emergency-contact",
}
CONSENTS = {"organ-donation": "hs-organ-donation-wish", "space-opening": "hs-space-opposition"}
#: A temporary file of the hospital: not yet an identity for which a space can be opened.
WITHOUT_IDENTITY = "nouveau-ne-modele"


def read(path: Path) -> dict[str, Any]:
    resource: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return resource


RESOURCES = {f"{path.parent.name}/{path.stem}": read(path) for path in PASS}


@pytest.mark.parametrize("path", PASS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_is_valid_without_warnings_but_the_allowed(space_validator, path):
    found = space_validator.validate(decode(path.read_bytes()))
    assert [(i.rule, i.expression, i.diagnostics) for i in found if not i.rule.startswith(ALLOWED)] == []


def expected_profile(resource: dict[str, Any]) -> str:
    if resource["id"] == WITHOUT_IDENTITY:
        return ""
    if resource["resourceType"] == "Consent":
        return CONSENTS.get(resource["category"][-1]["coding"][0]["code"], "")
    if resource["resourceType"] == "Observation":  # a measure has a device; the others are a professional's
        return "hs-measure-" if "device" in resource else ""
    return PROFILES.get(resource["resourceType"], "")


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
def test_each_claims_our_profile_of_its_kind(resource):
    claims = resource.get("meta", {}).get("profile", [])
    expected = expected_profile(resource)
    assert bool(claims) == bool(expected)
    assert not expected or claims[0].startswith(OURS + expected)


def subjects(resource: dict[str, Any]) -> set[str]:
    """Return the ids of the patients to whom a resource belongs."""
    named = [resource.get(name, {}).get("reference", "") for name in ("subject", "patient")]
    return {reference.removeprefix("Patient/") for reference in named if reference.startswith("Patient/")}


def test_the_family_are_eight_citizens_with_a_long_life_in_records():
    assert 280 <= len(RESOURCES) <= 400
    patients = {r["id"] for r in RESOURCES.values() if r["resourceType"] == "Patient"}
    assert patients == CITIZENS | {WITHOUT_IDENTITY}
    records = Counter(id_ for resource in RESOURCES.values() for id_ in subjects(resource))
    assert min(records[citizen] for citizen in CITIZENS - {"rene-specimen"}) >= 15
    years = {
        year for year in range(2006, 2027) if any(f'"{year}-' in json.dumps(r) for r in RESOURCES.values())
    }
    assert {2006, 2026} <= years
    assert len(years) >= 15


def test_who_opposed_has_nothing_but_the_opposition():
    own = {f"{r['resourceType']}/{r['id']}" for r in RESOURCES.values() if "rene-specimen" in subjects(r)}
    assert own == {"Consent/opposition-rene", "RelatedPerson/fille-de-rene"}
    assert RESOURCES["Patient/rene-specimen"]["active"] is False


def test_nothing_happened_before_the_birth():
    born = {r["id"]: r["birthDate"] for r in RESOURCES.values() if r["resourceType"] == "Patient"}
    for key, resource in RESOURCES.items():
        for citizen in subjects(resource):
            care = [resource.get("context", {}).get("period", {}).get("start", ""), *dates(resource)]
            assert [when for when in care if when and when[:10] < born[citizen]] == [], key


def dates(resource: dict[str, Any]) -> list[str]:
    names = (
        "effectiveDateTime",
        "occurrenceDateTime",
        "date",
        "dateTime",
        "authoredOn",
        "onsetDateTime",
        "created",
    )
    return [resource[name] for name in names if isinstance(resource.get(name), str)]


def test_the_wishes_are_whole_partial_refused_and_changed():
    wishes = [r for r in RESOURCES.values() if "organ-donation" in json.dumps(r.get("category", ""))]
    rules = Counter(wish["policyRule"]["coding"][0]["code"] for wish in wishes)
    assert set(rules) == {"OPTIN", "OPTINR", "OPTOUT", "OPTOUTE"}
    current = Counter(wish["patient"]["reference"] for wish in wishes if wish["status"] == "active")
    assert set(current.values()) == {1}  # one wish is in force
    assert len([wish for wish in wishes if wish["status"] == "inactive"]) >= 2
    assert "Patient/noe-exemple" not in current  # silence is no Consent


def test_every_worked_case_of_reimbursement_is_there():
    found = set()
    for resource in RESOURCES.values():
        for item in resource.get("item", []):
            amounts = {
                a["category"]["coding"][0]["code"]: a.get("amount", a)["value"] for a in item["adjudication"]
            }
            found.add(
                tuple(
                    amounts.get(c, 0)
                    for c in ("submitted", "eligible", "eligpercent", "benefit", "reste-a-charge")
                )
            )
    assert found >= WORKED


#: Cases A to K: price, base, rate, what the fund pays, what is left.
WORKED = {
    (45, 30, 70, 20, 25), (30, 30, 70, 19, 2), (26.5, 26.5, 70, 16.55, 9.95), (26.5, 26.5, 30, 5.95, 20.55),
    (30, 30, 100, 28, 2), (30, 30, 70, 21, 9), (12, 12, 65, 6.8, 1), (27, 27, 60, 14.2, 2),
    (200, 200, 100, 176, 24), (3.33, 3.33, 65, 1.16, 2.17), (0.9, 0.9, 65, 0, 0.9),
}  # fmt: skip


@pytest.mark.parametrize(
    "key", [key for key, r in RESOURCES.items() if r.get("contentType") == "application/pdf"]
)
def test_a_pdf_has_its_objects_where_its_table_says(key):
    content = base64.b64decode(RESOURCES[key]["data"])
    assert content.startswith(b"%PDF-1.")
    assert content.endswith(b"%%EOF\n")
    start = int(re.search(rb"startxref\n(\d+)\n", content)[1])
    assert content[start:].startswith(b"xref\n0 6\n")
    entries = re.findall(rb"(\d{10}) 00000 n \n", content[start:])
    for number, offset in enumerate(entries, 1):
        assert content[int(offset) :].startswith(b"%d 0 obj\n" % number)
    length, stream = re.search(rb"/Length (\d+)>>stream\n(.*?)\nendstream", content, re.DOTALL).groups()
    assert int(length) == len(stream)
