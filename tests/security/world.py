"""The world of the tests: citizens A and B and their people; every text of B's holds a marker."""

from __future__ import annotations

from typing import Any

import httpx

#: In every text of B's resources.
MARKER = "canary-7f3a"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
HBPC = "http://loinc.org"


def observation(
    patient: str, id_: str = "", *, mark: str = "", category: str = "laboratory", **more: Any
) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        **({"id": id_} if id_ else {}),
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
        "code": {"coding": [{"system": HBPC, "code": "718-7"}], "text": f"Hb {mark}".strip()},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": 7.5, "unit": "mmol/L"},
        **more,
    }


def patient(id_: str, mark: str = "", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "identifier": [{"system": "urn:ins", "value": f"ins-{id_}{mark}"}],
        "name": [{"family": f"Family {id_} {mark}".strip()}],
        **more,
    }


def member(reference: str) -> dict[str, Any]:
    return {"member": {"reference": reference}}


WORLD: list[dict[str, Any]] = [
    patient("A"),
    patient("B", MARKER),
    patient("M", birthDate="2020-01-01"),
    patient("grown", birthDate="2000-01-01"),
    observation("A", "a1"),
    observation("A", "a2", category="vital-signs"),
    observation("B", "b1", mark=MARKER),
    observation("B", "b2", mark=MARKER, focus=[{"reference": "Patient/A"}]),
    observation("M", "m1"),
    {"resourceType": "CareTeam", "id": "ta", "status": "active", "subject": {"reference": "Patient/A"},
     "participant": [member("Practitioner/gp"), member("Practitioner/x")]},
    {"resourceType": "CareTeam", "id": "tb", "status": "active", "name": MARKER, "subject": {"reference": "Patient/B"},
     "participant": [member("Practitioner/nurse")]},
    {"resourceType": "Coverage", "id": "c1", "status": "active", "beneficiary": {"reference": "Patient/A"},
     "subscriber": {"reference": "Patient/B"}, "payor": [{"display": "x"}]},
    {"resourceType": "DiagnosticReport", "id": "rb", "status": "final", "code": {"text": MARKER},
     "subject": {"reference": "Patient/B"}, "result": [{"reference": "Observation/a1"}]},
    {"resourceType": "Practitioner", "id": "gp", "name": [{"family": "Gepe"}]},
    {"resourceType": "Organization", "id": "lab", "name": "Lab"},
    {"resourceType": "List", "id": "lb", "status": "current", "mode": "working", "title": MARKER,
     "subject": {"reference": "Patient/B"}, "entry": [{"item": {"reference": "Observation/a1"}}]},
    {"resourceType": "Group", "id": "g1", "type": "person", "actual": True, "name": MARKER,
     "member": [{"entity": {"reference": "Patient/B"}}]},
    {"resourceType": "Device", "id": "db", "patient": {"reference": "Patient/B"}, "note": [{"text": MARKER}]},
    {"resourceType": "Task", "id": "kb", "status": "draft", "intent": "order", "description": MARKER,
     "for": {"reference": "Patient/B"}},
    {"resourceType": "RelatedPerson", "id": "rpb", "patient": {"reference": "Patient/B"}, "name": [{"text": MARKER}]},
    {"resourceType": "RelatedPerson", "id": "parent", "patient": {"reference": "Patient/M"},
     "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}]},
    {"resourceType": "RelatedPerson", "id": "nok", "patient": {"reference": "Patient/M"},
     "relationship": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "NOK"}]}]},
    {"resourceType": "Provenance", "id": "pb", "target": [{"reference": "Patient/B"}], "recorded": "2026-01-01T00:00:00Z",
     "agent": [{"who": {"display": MARKER}}]},
    {"resourceType": "Communication", "id": "mb", "status": "completed", "subject": {"reference": "Patient/B"},
     "note": [{"text": MARKER}]},
]  # fmt: skip


def same(hidden: httpx.Response, absent: httpx.Response, id_: str, unknown: str) -> None:
    """Assert 404=: both answers are the same byte for byte, but for the id, the date and the request's name."""

    def face(response: httpx.Response, name: str) -> tuple[int, str, list[tuple[str, str]]]:
        left = [(k, v) for k, v in response.headers.items() if k not in ("date", "x-request-id")]
        return response.status_code, response.text.replace(name, "ID"), left

    assert hidden.status_code == 404, hidden.text
    assert face(hidden, id_) == face(absent, unknown)
