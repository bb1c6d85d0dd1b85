"""The rules of the space that need nothing but the resource."""

from __future__ import annotations

import pytest

from fhir_server.space import rules


@pytest.mark.parametrize(
    ("type_", "relationship", "expected"),
    [
        ("RelatedPerson", [{"coding": [{"code": "GUARD"}]}], True),
        ("RelatedPerson", [{"coding": [{"code": "FRND"}]}], False),
        ("RelatedPerson", [], False),
        # other types have one concept by this name
        ("Coverage", {"coding": [{"code": "GUARD"}]}, False),
        ("FamilyMemberHistory", {"coding": [{"code": "GUARD"}]}, False),
    ],
)
def test_who_acts_for_a_patient(type_, relationship, expected):
    assert rules.is_representative({"resourceType": type_, "relationship": relationship}) is expected
