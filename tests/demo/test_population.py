"""The demo's citizens: valid under our profiles, the same each time, different from each other, hanging together."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.demo import population
from fhir_server.demo.population import MOST, MOST_SEED
from tests.examples.references import references

CITIZENS = 150
#: Codes of ours beside HL7's in an extensible binding: allowed, and said by every validator.
ALLOWED = "binding-extensible@"


def made(citizens: int, seed: int = 1) -> list[dict[str, Any]]:
    return [decode(encode(resource)) for resource in population(citizens, seed)]


@pytest.fixture(scope="module")
def resources() -> list[dict[str, Any]]:
    return made(CITIZENS)


def test_every_resource_is_valid_without_warnings(space_validator, resources):
    found = [
        (i.rule, i.expression, r["id"])
        for r in resources
        for i in space_validator.validate(r)
        if not i.rule.startswith(ALLOWED)
    ]
    assert found == []


def test_records_claim_our_profiles(resources):
    claiming = Counter(r["resourceType"] for r in resources if r.get("meta", {}).get("profile"))
    everyone = Counter(r["resourceType"] for r in resources)
    ours = (
        "Patient",
        "RelatedPerson",
        "DocumentReference",
        "Binary",
        "Consent",
        "ExplanationOfBenefit",
        "Device",
    )
    assert {type_: claiming[type_] for type_ in ours} == {type_: everyone[type_] for type_ in ours}
    assert all(everyone[type_] for type_ in ours)


def test_references_lead_to_what_was_made_before(resources):
    known: set[str] = set()
    # content and entry of a document refer to each other
    late = {f"DocumentReference/{r['id']}" for r in resources if r["resourceType"] == "DocumentReference"}
    for resource in resources:
        assert set(references(resource)) <= known | late, resource["id"]
        known.add(f"{resource['resourceType']}/{resource['id']}")
    assert len(known) == len(resources)


def test_nobody_shares_a_national_identity():
    patients = [r for r in population(3000, 4) if r["resourceType"] == "Patient"]
    numbers = {patient["identifier"][0]["value"] for patient in patients}
    assert len(numbers) == len(patients) == 3000
    assert {patient["identifier"][0]["system"] for patient in patients} == {"urn:oid:1.2.250.1.213.1.4.11"}


def test_an_opposed_citizen_has_no_records(resources):
    opposed = {r["patient"]["reference"] for r in resources if "hs-space-opposition" in str(r.get("meta"))}
    assert opposed
    for resource in resources:
        whose = (resource.get("subject") or resource.get("patient") or {}).get("reference")
        assert whose not in opposed or resource["resourceType"] in {"Consent", "RelatedPerson"}


def digest(citizens: int, seed: int) -> str:
    return hashlib.sha256(b"".join(map(encode, population(citizens, seed)))).hexdigest()


def test_a_seed_gives_the_same_each_time_and_another_one_others():
    assert digest(10, 7) == digest(10, 7)
    assert digest(10, 7) != digest(10, 8)


def test_a_citizen_does_not_depend_on_how_many_there_are():
    few, many = ({r["id"]: r for r in made(n, 7)} for n in (3, 40))
    assert {id_: few[id_] for id_ in few if "-7-" in id_} == {id_: many[id_] for id_ in few if "-7-" in id_}


def test_citizens_come_one_after_the_other():
    """The first of a huge number is there at once: nothing is kept."""
    assert len(list(islice(population(1_000_000, 3), 2000))) == 2000


@pytest.mark.parametrize(("citizens", "seed"), [(0, 0), (-1, 0), (MOST + 1, 0), (1, -1), (1, MOST_SEED + 1)])
def test_numbers_that_can_not_be_served_are_refused(citizens, seed):
    with pytest.raises(ValueError, match="is"):
        population(citizens, seed)


def test_ids_fit_at_the_limits():
    last = max((r["id"] for r in population(1, MOST_SEED)), key=len)
    assert len(last) + len(str(MOST)) - 1 <= 64
