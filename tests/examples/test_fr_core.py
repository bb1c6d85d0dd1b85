"""FR Core 2.2.0 beside our profiles: one record keeps to both, where it adds what the French profile asks for.

What must be added: birth place with its INSEE code and the list of given names (patient), one coding of type an
identifier (professional), exactly one identifier and one role a system (contact).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import own_definitions
from fhir_server.definitions.packages import add, read_package
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

ROOT = Path(__file__).parents[2]
PASS = ROOT / "examples" / "pass"
SUITE = Path(os.environ.get("FHIR_SUITES", ROOT.parent / "shared" / "suites")) / "fr-core"
pytestmark = pytest.mark.skipif(not SUITE.exists(), reason="the public suites aren't there: set FHIR_SUITES")

FR = "https://hl7.fr/ig/fhir/core/StructureDefinition/"
ROLE_CLASS = "https://mos.esante.gouv.fr/NOS/TRE_R260-HL7RoleClass/FHIR/TRE-R260-HL7RoleClass"
PROFILES = {
    "Patient": "fr-core-patient-ins",
    "Practitioner": "fr-core-practitioner",
    "Organization": "fr-core-organization",
    "RelatedPerson": "fr-core-related-person",
}
#: A hospital's temporary file: no qualified identity, so neither our profile nor the French one for it.
WITHOUT_IDENTITY = "nouveau-ne-modele"


@pytest.fixture(scope="module")
def validator() -> Validator:
    definitions = Definitions()
    for _, _, body in own_definitions():
        definitions.add(decode(body))
    assert add(read_package(SUITE / "hl7.fhir.fr.core-2.2.0.tgz"), definitions) > 100
    return Validator(definitions, CodeSets(definitions))


def roles(contact: dict[str, Any]) -> int:
    """Return how many relationships a contact has in TRE_R260, of which the French profile allows one."""
    codings = [coding for one in contact["relationship"] for coding in one["coding"]]
    return sum(coding["system"] == ROLE_CLASS for coding in codings)


def both(type_: str) -> list[Path]:
    """Return the examples of a type that should keep to both profiles."""
    files = sorted((PASS / type_).glob("*.json"))
    return [
        file
        for file in files
        if file.stem != WITHOUT_IDENTITY
        and (type_ != "RelatedPerson" or roles(decode(file.read_bytes())) == 1)
    ]


def errors(validator: Validator, resource: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the errors of a resource that claims the French profile beside ours."""
    profile = f"{FR}{PROFILES[resource['resourceType']]}|2.2.0"
    claiming = resource | {"meta": {"profile": [*resource["meta"]["profile"], profile]}}
    found = validator.validate(claiming)
    assert not any(issue.rule == "profile" for issue in found)  # the profile was found
    return [(i.rule, i.expression, i.diagnostics) for i in found if i.severity == "error"]


@pytest.mark.parametrize(
    "path", [f for t in PROFILES for f in both(t)], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_an_example_keeps_to_both_profiles(validator, path):
    assert errors(validator, decode(path.read_bytes())) == []


def test_enough_examples_keep_to_both():
    assert {type_: len(both(type_)) for type_ in PROFILES} == {
        "Patient": 8,
        "Practitioner": 8,
        "Organization": 13,
        "RelatedPerson": 8,
    }


@pytest.mark.parametrize(
    ("file", "spoil", "place"),
    [
        ("Patient/lou-exemple", lambda r: r.pop("extension"), "Patient"),
        ("Patient/lou-exemple", lambda r: r["name"][0].pop("extension"), "Patient.name"),
        ("Practitioner/dr-alice-modele", lambda r: r["identifier"][1].pop("type"), "Practitioner.identifier"),
        ("RelatedPerson/frere-d-adrien", lambda r: r.pop("identifier"), "RelatedPerson"),
    ],
)
def test_what_the_french_profile_asks_for_more_is_missed(validator, file, spoil, place):
    """Ours alone is content without it."""
    resource = decode((PASS / f"{file}.json").read_bytes())
    spoil(resource)
    assert [i for i in validator.validate(resource) if i.severity == "error"] == []
    assert any(where.startswith(place) for _, where, _ in errors(validator, resource))
