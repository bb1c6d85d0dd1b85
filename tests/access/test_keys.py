"""What is stored with each version: its keys, what it mentions, when it is of; insurers; the matrix of professions."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from fhir_server.access.clinical_time import clinical_interval, period
from fhir_server.access.insurers import is_insurer
from fhir_server.access.keys import (
    CONFIDENTIALITY,
    PROFESSIONS,
    RULES_VERSION,
    VISIBILITY,
    actor_names,
    keys,
    label_of,
)
from fhir_server.access.matrix import DEFAULT, MatrixError, read_matrix, schema
from fhir_server.access.mentions import mentioned, number_of, references, relative
from fhir_server.access.policy import EVERYTHING
from fhir_server.datatypes.dates import MAXIMUM, MINIMUM

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PLAIN = {"conf": 3, "ver": RULES_VERSION}


def label(code: str, system: str = CONFIDENTIALITY) -> dict[str, str]:
    return {"system": system, "code": code}


def secured(*labels: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Basic", **({"meta": {"security": list(labels)}} if labels else {}), **more}


def made(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {name: value for name, value in keys(resource, **more).items() if name != "has"}


#: A resource and its keys, without what it mentions.
CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (secured(), {"cls": ["Basic"]}),
    (secured(label("R")), {"cls": ["Basic"], "conf": 4}),
    (secured(label("U")), {"cls": ["Basic"], "conf": 0}),
    (secured(label("L"), label("V"), label("M")), {"cls": ["Basic"], "conf": 5}),
    (secured(label("Q")), {"cls": ["Basic"]}),
    (secured(label("R", "urn:x")), {"cls": ["Basic"], "lab": ["urn:x|R"]}),
    (secured(label("PSY", ACT), label("HIV", ACT)), {"cls": ["Basic"], "lab": [f"{ACT}|HIV", f"{ACT}|PSY"]}),
    (secured({"system": ACT}), {"cls": ["Basic"]}),
    (secured({"code": "x"}), {"cls": ["Basic"], "lab": ["|x"]}),
    (secured(label("MASQUE_PS", VISIBILITY), label("MASQUE_PT", VISIBILITY)), {"cls": ["Basic"], "mask": ["professional", "third-party"]}),
    (secured(label("MASQUE_PSOCIAL", VISIBILITY)), {"cls": ["Basic"], "mask": ["social"]}),
    (secured(label("INVISIBLE_PATIENT", VISIBILITY)), {"cls": ["Basic"], "hid": ["citizen"]}),
    (secured(label("INVISIBLE_REPRESENTANTS_LEGAUX", VISIBILITY)), {"cls": ["Basic"], "hid": ["representative"]}),
    (secured(label("MASQUE_PS", ACT)), {"cls": ["Basic"], "lab": [f"{ACT}|MASQUE_PS"]}),
    (secured(contained=[{"resourceType": "Basic", "meta": {"security": [label("R")]}}]), {"cls": ["Basic"], "conf": 4}),
    ({"resourceType": "DocumentReference", "type": {"coding": [{"system": "s", "code": "1"}, {"display": "x"}, {"system": "s", "code": "1"}]},
      "securityLabel": [{"coding": [label("V")]}, {"coding": [label("MASQUE_PS", VISIBILITY)]}]},
     {"cls": ["DocumentReference", "s|1"], "conf": 5, "mask": ["professional"]}),
    ({"resourceType": "DocumentReference"}, {"cls": ["DocumentReference"]}),
    ({"resourceType": "Composition", "type": {"coding": [{"system": "s", "code": "1"}]}}, {"cls": ["Composition", "s|1"]}),
    ({"resourceType": "DocumentManifest", "type": {"coding": [{"system": "s", "code": "1"}]}}, {"cls": ["DocumentManifest", "s|1"]}),
    ({"resourceType": "Encounter", "type": {"coding": [{"system": "s", "code": "1"}]}}, {"cls": ["Encounter"]}),
    ({"resourceType": "Basic", "securityLabel": [{"coding": [label("V")]}]}, {"cls": ["Basic"]}),
    ({"resourceType": "Basic", "created": "1970-01-01"}, {"cls": ["Basic"], "from": 0, "to": 86_399_999}),
    ({"resourceType": "Consent", "provision": {"actor": [{"reference": {"reference": "Group/b"}}], "provision": [
        {"actor": [{"reference": {"reference": "Device/a"}}, {"role": {"coding": [label("10", PROFESSIONS), label("x", ACT)]}}]}]}},
     {"cls": ["Consent"], "who": ["Device/a", "Group/b", f"{PROFESSIONS}|10"]}),
    ({"resourceType": "Consent"}, {"cls": ["Consent"]}),
    ({"resourceType": "Basic", "provision": {"actor": [{"reference": {"reference": "Group/b"}}]}}, {"cls": ["Basic"]}),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "expected"), CASES)
def test_the_keys_of_a_resource(resource, expected):
    assert made(resource) == PLAIN | expected


def test_depositors_and_others_come_from_elsewhere():
    found = made(
        secured(), authors=["Practitioner/b", "Organization/a", "Practitioner/b"], others=("Patient/x",)
    )
    assert found == PLAIN | {
        "cls": ["Basic"],
        "auth": ["Organization/a", "Practitioner/b"],
        "also": ["Patient/x"],
    }
    assert label_of({}) == "|"
    assert actor_names({}) == []


BODY = {
    "resourceType": "Observation",
    "code": {"coding": [{"system": "s", "code": "1"}, {"code": "no system"}, {"system": "no code"}]},
    "valueQuantity": {"value": 1, "system": "unit", "code": "u"},
    "subject": {"reference": "Patient/a"},
    "hasMember": [
        {"reference": "Observation/b/_history/2"},
        {"reference": "#c"},
        {"reference": "urn:uuid:x"},
    ],
    "performer": [
        {"reference": "https://here/fhir/Practitioner/p"},
        {"reference": "https://elsewhere/Practitioner/q"},
    ],
    "contained": [{"resourceType": "Basic", "code": {"coding": [{"system": "s", "code": "2"}]}}],
    "extension": [{"valueCoding": {"system": "s", "code": "3"}, "texts": ["a", "b"]}],
    "reference": 5,
}


def test_what_a_resource_mentions():
    texts = ["s|1", "s|2", "s|3", "Patient/a", "Observation/b", "Practitioner/p"]
    assert mentioned(BODY, "https://here/fhir") == sorted(map(number_of, texts))
    assert references(BODY, "https://here/fhir") == {"Patient/a", "Observation/b", "Practitioner/p"}
    assert references(BODY) == {"Patient/a", "Observation/b"}
    assert keys(BODY)["has"] == mentioned(BODY)
    assert keys(BODY, base="https://here/fhir")["has"] == mentioned(BODY, "https://here/fhir")
    assert "has" not in keys({"resourceType": "Basic"})
    assert mentioned({"code": {"coding": [{"system": 1, "code": "x"}]}}) == []


def test_numbers_are_those_of_the_text():
    assert -(2**63) <= number_of("Patient/a") < 2**63
    assert number_of("Patient/a") != number_of("Patient/b")
    assert min(map(number_of, "abcdefgh")) < 0 < max(map(number_of, "abcdefgh"))


@pytest.mark.parametrize(
    ("reference", "base", "found"),
    [
        ("Patient/a", "", "Patient/a"), ("Patient/a/_history/1", "", "Patient/a"), ("https://b/Patient/a", "https://b", "Patient/a"),
        ("https://b/Patient/a", "", None), ("patient/a", "", None), ("Patient/a/b", "", None), ("Patient/", "", None),
        (f"Patient/{'a' * 64}", "", f"Patient/{'a' * 64}"), (f"Patient/{'a' * 65}", "", None), ("#a", "", None),
    ],
)  # fmt: skip
def test_references_to_this_server(reference, base, found):
    assert relative(reference, base) == found


@pytest.mark.parametrize(
    ("resource", "found"),
    [
        ({}, None), ({"status": "x"}, None), ({"effectiveDateTime": "1970-01-01"}, (0, 86_399_999)),
        ({"effectivePeriod": {"start": "1970-01-02"}}, (86_400_000, MAXIMUM)),
        ({"effectivePeriod": {"end": "1970-01-01"}}, (MINIMUM, 86_399_999)), ({"effectivePeriod": {}}, None),
        ({"issued": "1970-01-01T00:00:01.000Z", "effectiveDateTime": "1970-01-01T00:00:00.000Z"}, (0, 0)),
        ({"onsetDateTime": "1970-01-01", "abatementDateTime": "1970-01-02"}, (0, 2 * 86_400_000 - 1)),
        ({"onsetDateTime": "1970-01-02", "abatementDateTime": "1970-01-01"}, (86_400_000, 2 * 86_400_000 - 1)),
        ({"date": "1970-01-01", "abatementDateTime": "1970-01-02"}, (0, 86_399_999)),
        ({"date": "1970-01-02", "context": {"period": {"start": "1970-01-01", "end": "1970-01-01"}}}, (0, 86_399_999)),
        ({"date": "1970-01-01", "context": {"event": []}}, (0, 86_399_999)),
        ({"date": "1970-01-01", "context": [1]}, (0, 86_399_999)),
        ({"collection": {"collectedDateTime": "1970-01-01"}}, (0, 86_399_999)), ({"date": "nonsense"}, None), ({"date": 5}, None),
    ],
)  # fmt: skip
def test_c09_when_data_are_of(resource, found):
    assert clinical_interval(resource) == found


def test_a_period_without_ends_is_always():
    assert period({}) == (MINIMUM, MAXIMUM)


@pytest.mark.parametrize(
    ("system", "code", "is_one"),
    [
        ("http://terminology.hl7.org/CodeSystem/organization-type", "ins", True),
        ("http://terminology.hl7.org/CodeSystem/organization-type", "pay", True),
        ("http://terminology.hl7.org/CodeSystem/organization-type", "bus", True),
        ("http://terminology.hl7.org/CodeSystem/organization-type", "prov", False), ("urn:x", "ins", False),
        ("https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite", "SA23", True),
        ("https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite", "SA48", True),
        ("https://mos.esante.gouv.fr/NOS/TRE_R02-SecteurActivite/FHIR/TRE-R02-SecteurActivite", "SA01", False),
    ],
)  # fmt: skip
def test_c14_insurers_and_employers_by_their_type(system, code, is_one):
    assert (
        is_insurer({"type": [{"text": "x"}, {"coding": [{"code": "x"}, {"system": system, "code": code}]}]})
        is is_one
    )
    assert not is_insurer({})


LOINC = "http://loinc.org"


def document(*classes: str) -> dict[str, Any]:
    return {"_sec": {"cls": list(classes)}}


@pytest.mark.parametrize(
    ("profession", "class_", "is_seen"),
    [("80", f"{LOINC}|15508-5", False), ("80", f"{LOINC}|11488-4", True), ("10", f"{LOINC}|15508-5", True), ("40", f"{LOINC}|83901-9", False),
     ("40", f"{LOINC}|68599-0", False), ("99", f"{LOINC}|15508-5", False), (None, f"{LOINC}|15508-5", False), (None, f"{LOINC}|11488-4", True)],
)  # fmt: skip
def test_c07_the_default_matrix(profession, class_, is_seen):
    assert DEFAULT.seen_by(profession).admits(document("DocumentReference", class_)) is is_seen
    assert DEFAULT.seen_by(profession).admits(document("Observation"))


def matrix(**row: Any) -> bytes:
    return json.dumps(
        {"system": PROFESSIONS, "rows": [{"profession": "1", **row}], "otherwise": {"profession": ""}}
    ).encode()


TYPE = [{"system": "s", "code": "1"}]


@pytest.mark.parametrize(
    ("row", "seen"),
    [
        ({}, "Observation Condition s|1 s|2"), ({"documents": "except", "document_types": TYPE}, "Observation Condition s|2"),
        ({"documents": "only", "document_types": TYPE}, "Observation Condition s|1"),
        ({"documents": "only"}, "Observation Condition"), ({"types": "only", "resource_types": ["Observation"]}, "Observation"),
        ({"types": "except", "resource_types": ["Observation"]}, "Condition s|1 s|2"), ({"types": "only"}, ""),
    ],
)  # fmt: skip
def test_c07_a_space_has_a_matrix_of_its_own(row, seen):
    clause = read_matrix(matrix(**row)).seen_by("1")
    found = {name for name in ("Observation", "Condition") if clause.admits(document(name))}
    found |= {name for name in ("s|1", "s|2") if clause.admits(document("DocumentReference", name))}
    assert found == set(seen.split())
    assert read_matrix(matrix(**row)).seen_by("2") == EVERYTHING


@pytest.mark.parametrize(
    "text",
    [b"{}", b"nonsense", matrix(documents="some"), matrix(unheard=1), matrix(document_types=[{"code": "x"}]), matrix(profession=5)],
)  # fmt: skip
def test_c07_a_matrix_that_breaks_the_schema_is_refused(text):
    with pytest.raises(MatrixError):
        read_matrix(text)
    if text != b"nonsense":
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(text), schema())


def test_c07_what_is_read_keeps_the_schema():
    jsonschema.validate(json.loads(matrix(documents="only", document_types=TYPE)), schema())
    twice = json.loads(matrix())
    twice["rows"] *= 2
    with pytest.raises(MatrixError, match=r"Two rows are of one profession - at `\$.rows`"):
        read_matrix(json.dumps(twice).encode())
