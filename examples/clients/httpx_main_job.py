"""The main job with httpx alone, no FHIR library: five record types, from create to 410, and what a refusal says.

    python httpx_main_job.py [base URL]      (or FHIR_BASE, default http://127.0.0.1:8080/fhir)

Prints each step; stops with exit code 1 at the first answer that differs from what R4 promises.
Needs: pip install httpx
"""

from __future__ import annotations

import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

RECORDS = Path(__file__).with_name("records")
HEADERS = {"Accept": "application/fhir+json", "Content-Type": "application/fhir+json"}

#: Record type -> the element that the update changes, with its new value.
CHANGES: dict[str, tuple[str, Any]] = {
    "DocumentReference": ("status", "superseded"),
    "Consent": ("status", "inactive"),
    "RelatedPerson": ("active", False),
    "Observation": ("status", "amended"),
    "ExplanationOfBenefit": ("status", "cancelled"),
}


def record(type_: str, patient_id: str = "") -> dict[str, Any]:
    """Return the example record of a type, about the given patient."""
    text = (RECORDS / f"{type_}.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text.replace("{{patientId}}", patient_id))
    return body


def check(answer: httpx.Response, status: HTTPStatus, what: str) -> httpx.Response:
    """Print the step and return the answer, or stop the program if its status is another one."""
    if answer.status_code != status:
        sys.exit(f"MISMATCH: {what}: {answer.status_code} instead of {status}: {answer.text}")
    print(f"  ok  {what}: {answer.status_code}")
    return answer


def run_type(client: httpx.Client, type_: str, patient_id: str) -> None:
    """Create, read, update, search, look back at and delete records of one type."""
    print(type_)
    sent = record(type_, patient_id)
    ids = []
    for number in range(1, 4):
        made = check(client.post(type_, json=sent), HTTPStatus.CREATED, f"create {number} of 3")
        ids.append(made.json()["id"])
    one = f"{type_}/{ids[0]}"

    first = check(client.get(one), HTTPStatus.OK, f"read {one}")
    element, value = CHANGES[type_]
    changed = first.json() | {element: value}
    only_if = {"If-Match": first.headers["ETag"]}
    check(client.put(one, json=changed, headers=only_if), HTTPStatus.OK, f"update: {element} is now {value}")
    late = client.put(one, json=changed, headers=only_if)
    check(late, HTTPStatus.PRECONDITION_FAILED, "the same update again comes too late")
    check(client.get(f"{one}/_history/1"), HTTPStatus.OK, "the first version is still there")

    found: list[str] = []
    address = f"{type_}?patient={patient_id}&_count=2"
    while address:
        page = check(client.get(address), HTTPStatus.OK, "search, a page").json()
        found += [entry["resource"]["id"] for entry in page["entry"]]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    if sorted(found) != sorted(ids):
        sys.exit(f"MISMATCH: the search found {found}")

    for id_ in ids:
        check(client.delete(f"{type_}/{id_}"), HTTPStatus.NO_CONTENT, "delete")
    check(client.get(one), HTTPStatus.GONE, "a deleted record is gone")


def run_refused(client: httpx.Client, patient_id: str) -> None:
    """Send a record that is wrong: it is not stored (422), and an OperationOutcome says what to mend, and where."""
    print("A refusal")
    wrong = record("Observation", patient_id) | {"status": "done"}
    outcome = check(client.post("Observation", json=wrong), HTTPStatus.UNPROCESSABLE_ENTITY, "unknown status")
    for issue in outcome.json()["issue"]:
        print(f"      {issue['severity']} at {', '.join(issue['expression'])}: {issue['diagnostics']}")


def main(base: str) -> None:
    """Run the job against the server at ``base``."""
    with httpx.Client(base_url=base, headers=HEADERS, timeout=30) as client:
        made = check(client.post("Patient", json=record("Patient")), HTTPStatus.CREATED, "create the patient")
        patient_id = made.json()["id"]
        for type_ in CHANGES:
            run_type(client, type_, patient_id)
        run_refused(client, patient_id)
        check(client.delete(f"Patient/{patient_id}"), HTTPStatus.NO_CONTENT, "delete the patient")
    print("main job done")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FHIR_BASE", "http://127.0.0.1:8080/fhir"))
