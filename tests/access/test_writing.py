"""What nobody may write, whatever they see. Checklist C10, C16, L36, L37."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.writing import check_change, check_consent, check_home, forbidden
from fhir_server.outcome import FhirError

CITIZEN, PARENT = Caller(Kind.CITIZEN, "Patient/a"), Caller(Kind.REPRESENTATIVE, "RelatedPerson/r")
DOCTOR, APP = Caller(Kind.PROFESSIONAL, "Practitioner/x"), Caller(Kind.APP, "Device/app")
OPERATOR = Caller(Kind.OPERATOR, "Device/o")


def status_of(call: Any, *given: Any, **more: Any) -> int:
    try:
        call(*given, **more)
    except FhirError as problem:
        return problem.status
    return 0


@pytest.mark.parametrize(
    ("caller", "type_", "after", "status"),
    [
        (DOCTOR, "Observation", {"p": "a"}, 0), (DOCTOR, "Observation", {}, 422), (OPERATOR, "Observation", {}, 0),
        (DOCTOR, "Observation", {"p": "a", "cp": ["Patient/b"]}, 422), (DOCTOR, "Observation", {"p": "a", "cp": []}, 0),
        (DOCTOR, "Coverage", {"p": "a", "cp": ["Patient/b"]}, 0), (DOCTOR, "Coverage", {}, 422), (DOCTOR, "Task", {}, 0),
        (DOCTOR, "Binary", {}, 0), (DOCTOR, "Appointment", {}, 422), (DOCTOR, "Organization", {}, 0),
        (DOCTOR, "Task", {"cp": ["Patient/b"]}, 422), (OPERATOR, "Observation", {"cp": ["Patient/b"]}, 0),
    ],
)  # fmt: skip
def test_l36_one_patient_and_no_second_one(caller, type_, after, status):
    assert status_of(check_home, caller, type_, after) == status


def document(home: str = "a", **keys: Any) -> dict[str, Any]:
    return {"p": home, "_sec": {"conf": 3, **keys}}


OWN = document(auth=["Patient/a", "RelatedPerson/r", "Device/app"])
#: Caller, before, after, whether only labels change, the status.
CHANGES = [
    (DOCTOR, document(), document(), False, 0), (DOCTOR, document(), None, False, 0),
    (CITIZEN, OWN, document(), False, 0), (CITIZEN, document(), document(), False, 403), (CITIZEN, document(), None, False, 403),
    (CITIZEN, OWN, None, False, 0), (CITIZEN, document(), document(), True, 0), (PARENT, document(), document(), False, 403),
    (APP, document(), document(), False, 403), (APP, OWN, document(), False, 0), (CITIZEN, {"p": "a"}, document(), False, 403),
    (DOCTOR, document(), document("b"), False, 403), (DOCTOR, {"_sec": {"own": "a"}}, document("b"), False, 403),
    (DOCTOR, {"_sec": {}}, document("b"), False, 0), (OPERATOR, document(), document("b", conf=0), False, 0),
    (DOCTOR, document(conf=4), document(conf=3), False, 403), (DOCTOR, document(conf=3), document(conf=4), False, 0),
    (CITIZEN, document(conf=4), document(conf=3), True, 0), (PARENT, document(conf=4), document(conf=3), True, 0),
    (APP, {**OWN, "_sec": {**OWN["_sec"], "conf": 4}}, document(conf=3), False, 403), (DOCTOR, {"p": "a", "_sec": {}}, document(conf=0), False, 0),
    (DOCTOR, document(lab=["x", "y"]), document(lab=["x"]), False, 403), (DOCTOR, document(lab=["x"]), document(lab=["x", "y"]), False, 0),
    (CITIZEN, document(lab=["x"]), document(), True, 0),
    (DOCTOR, document(), document(mask=["professional"]), True, 403), (DOCTOR, document(mask=["professional"]), document(), True, 403),
    (CITIZEN, document(), document(mask=["professional"]), True, 0), (PARENT, document(mask=["professional"]), document(), True, 0),
    (APP, OWN, document(mask=["professional"]), False, 403),
    (CITIZEN, document(), document(hid=["citizen"]), True, 403), (CITIZEN, document(hid=["representative"]), document(), True, 403),
    (PARENT, document(hid=["representative"]), document(), True, 403), (DOCTOR, document(), document(hid=["citizen"]), True, 0),
    (DOCTOR, document(hid=["citizen"]), document(), True, 0), (CITIZEN, document(hid=["a"]), document(hid=["a"]), True, 0),
    (DOCTOR, document(mask=["a"]), document(mask=["a"]), True, 0),
]  # fmt: skip


@pytest.mark.parametrize(("caller", "before", "after", "labels_only", "status"), CHANGES)
def test_c10_l37_who_may_change_what(caller, before, after, labels_only, status):
    assert status_of(check_change, caller, before, after, labels_only=labels_only) == status


def test_c16_a_representative_gives_nothing_to_themselves():
    assert status_of(check_consent, PARENT, {"who": ["RelatedPerson/r"]}) == 403
    assert status_of(check_consent, PARENT, {"who": ["RelatedPerson/other"]}) == 0
    assert status_of(check_consent, PARENT, {}) == 0
    assert status_of(check_consent, CITIZEN, {"who": ["Patient/a"]}) == 0


def test_a_refusal_is_a_403_in_these_words():
    problem = forbidden("No.")
    assert (problem.status, problem.issues[0].code, problem.issues[0].diagnostics) == (
        403,
        "forbidden",
        "No.",
    )
