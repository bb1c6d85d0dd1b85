"""The main job with fhirclient (SMART's Python models): five record types, from create to 410.

    python fhirclient_main_job.py [base URL]      (or FHIR_BASE, default http://127.0.0.1:8080/fhir)

Prints each step; stops with exit code 1 at the first answer that differs from what R4 promises.
Needs: pip install fhirclient

Two habits of the library to know: it holds decimals as floats (72.50 goes out as 72.5), and its models drop
the extensions of primitive elements (``_birthDate``) when they read and write a resource.
"""

from __future__ import annotations

import json
import os
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.consent import Consent
from fhirclient.models.documentreference import DocumentReference
from fhirclient.models.explanationofbenefit import ExplanationOfBenefit
from fhirclient.models.observation import Observation
from fhirclient.models.patient import Patient
from fhirclient.models.relatedperson import RelatedPerson
from fhirclient.server import FHIRNotFoundException

RECORDS = Path(__file__).with_name("records")

#: Record type -> the element that the update changes, with its new value.
CHANGES: dict[Any, tuple[str, Any]] = {
    DocumentReference: ("status", "superseded"),
    Consent: ("status", "inactive"),
    RelatedPerson: ("active", False),
    Observation: ("status", "amended"),
    ExplanationOfBenefit: ("status", "cancelled"),
}
HOW_MANY = 5  # records of each type, read back in pages of PAGE_SIZE
PAGE_SIZE = 2


def check(truth: bool, what: str) -> None:
    """Print the step, or stop the program if the server answered something else."""
    if not truth:
        sys.exit(f"MISMATCH: {what}")
    print(f"  ok  {what}")


def record(model: Any, patient_id: str = "") -> Any:
    """Return the example record of a type, about the given patient, as a model."""
    text = (RECORDS / f"{model.resource_type}.json").read_text(encoding="utf-8")
    return model(json.loads(text.replace("{{patientId}}", patient_id)))


def without_server_fields(resource: Any) -> dict[str, Any]:
    """Return a model as JSON without id and meta, to compare it with what was sent."""
    return {key: value for key, value in resource.as_json().items() if key not in {"id", "meta"}}


def status_of(call: Any, *arguments: Any) -> int:
    """Return the HTTP status with which the server refuses a call (200 if it doesn't)."""
    try:
        call(*arguments)
    except requests.HTTPError as refused:
        return int(refused.response.status_code)
    except FHIRNotFoundException:  # the library's own name for 404
        return int(HTTPStatus.NOT_FOUND)
    return int(HTTPStatus.OK)


def run_type(smart: FHIRClient, model: Any, patient_id: str) -> None:
    """Create, read, update, search, look back at and delete records of one type."""
    server, name = smart.server, model.resource_type
    print(name)
    sent = record(model, patient_id)
    ids = [record(model, patient_id).create(server)["id"] for _ in range(HOW_MANY)]
    check(len(set(ids)) == HOW_MANY, f"created {HOW_MANY} records, each with an id of its own")

    first = model.read(ids[0], server)
    check(without_server_fields(first) == sent.as_json(), f"read {ids[0]}: it is what was sent")
    version = first.meta.versionId

    # fhirclient has no argument for If-Match: set the header on its session, for this one update.
    element, value = CHANGES[model]
    before = getattr(sent, element)
    setattr(first, element, value)
    server.session.headers["If-Match"] = f'W/"{version}"'
    changed = model(first.update(server))
    new_version = changed.meta.versionId
    check(new_version != version, f"updated, version {new_version}")
    check(getattr(changed, element) == value, f"its {element} is {value}")
    refused = status_of(first.update, server)
    check(refused == HTTPStatus.PRECONDITION_FAILED, f"a second update of version {version}: {refused}")
    del server.session.headers["If-Match"]

    old = model.read_from(f"{name}/{ids[0]}/_history/{version}", server)
    check(getattr(old, element) == before, f"version {version} still says {element} = {before}")
    history = Bundle.read_from(f"{name}/{ids[0]}/_history", server)
    versions = [entry.resource.meta.versionId for entry in history.entry]
    check(versions == [new_version, version], f"history, newest first: {versions}")

    search = model.where({"patient": patient_id, "_count": str(PAGE_SIZE)})
    pages = list(search.perform_iter(server))  # follows the next links
    check([len(page.entry) for page in pages] == [2, 2, 1], f"found them on {len(pages)} pages")
    found = [entry.resource for page in pages for entry in page.entry]
    check(sorted(one.id for one in found) == sorted(ids), f"all pages have the {HOW_MANY}, each once")

    for resource in found:
        resource.delete(server)
    gone = status_of(model.read, ids[0], server)
    check(gone == HTTPStatus.GONE, f"deleted: reading it gives {gone}")
    check(list(search.perform_resources_iter(server)) == [], "and searches find none of them")


def run_refused(smart: FHIRClient, patient_id: str) -> None:
    """Send a record that is wrong: it is not stored (422), and an OperationOutcome says what to mend, and where."""
    print("A refusal")
    wrong = record(Observation, patient_id)
    wrong.status = "done"
    try:
        wrong.create(smart.server)
    except requests.HTTPError as refused:
        check(
            refused.response.status_code == HTTPStatus.UNPROCESSABLE_ENTITY,
            "an unknown status is refused (422)",
        )
        issue = refused.response.json()["issue"][0]
        check(
            issue["expression"] == ["Observation.status"],
            f"at {issue['expression'][0]}: {issue['diagnostics']}",
        )
    else:
        check(truth=False, what="an Observation with a status that R4 doesn't know must be refused")


def main(base: str) -> None:
    """Run the job against the server at ``base``."""
    smart = FHIRClient(settings={"app_id": "main-job", "api_base": base})
    check(smart.prepare(), f"{base}/metadata is a CapabilityStatement that asks for no login")
    patient_id = record(Patient).create(smart.server)["id"]
    print(f"Patient {patient_id}")
    for model in CHANGES:
        run_type(smart, model, patient_id)
    run_refused(smart, patient_id)
    Patient.read(patient_id, smart.server).delete(smart.server)
    gone = status_of(Patient.read, patient_id, smart.server)
    check(gone == HTTPStatus.GONE, f"the patient is deleted too: {gone}")
    print("main job done")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FHIR_BASE", "http://127.0.0.1:8080/fhir"))
