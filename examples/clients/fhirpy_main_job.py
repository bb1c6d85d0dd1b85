"""The main job with fhirpy (async): five record types, from create to 410.

    python fhirpy_main_job.py [base URL]      (or FHIR_BASE, default http://127.0.0.1:8080/fhir)

Prints each step; stops with exit code 1 at the first answer that differs from what R4 promises.
Needs: pip install fhirpy
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

RECORDS = Path(__file__).with_name("records")

#: Record type -> the element that the update changes, with its new value.
CHANGES: dict[str, tuple[str, Any]] = {
    "DocumentReference": ("status", "superseded"),
    "Consent": ("status", "inactive"),
    "RelatedPerson": ("active", False),
    "Observation": ("status", "amended"),
    "ExplanationOfBenefit": ("status", "cancelled"),
}
HOW_MANY = 5  # records of each type, read back in pages of PAGE_SIZE
PAGE_SIZE = 2


def check(truth: bool, what: str) -> None:
    """Print the step, or stop the program if the server answered something else."""
    if not truth:
        sys.exit(f"MISMATCH: {what}")
    print(f"  ok  {what}")


def record(resource_type: str, patient_id: str = "") -> dict[str, Any]:
    """Return the example record of a type, about the given patient."""
    text = (RECORDS / f"{resource_type}.json").read_text(encoding="utf-8")
    body: dict[str, Any] = json.loads(text.replace("{{patientId}}", patient_id))
    return body


def without_server_fields(resource: Any) -> dict[str, Any]:
    """Return a resource as plain JSON without id and meta, to compare it with what was sent."""
    plain: dict[str, Any] = json.loads(json.dumps(resource))
    return {key: value for key, value in plain.items() if key not in {"id", "meta"}}


async def is_deleted(client: AsyncFHIRClient, path: str) -> bool:
    """Tell whether the server answers 410; fhirpy raises the same for 404, but the issue differs."""
    try:
        await client.execute(path, method="get")
    except ResourceNotFound as refused:
        outcome = json.loads(str(refused))
        return bool(outcome["issue"][0]["code"] == "deleted")
    return False


async def run_type(base: str, client: AsyncFHIRClient, resource_type: str, patient_id: str) -> None:
    """Create, read, update, search, look back at and delete records of one type."""
    print(resource_type)
    sent = record(resource_type, patient_id)
    created = [await client.resource(resource_type, **sent).create() for _ in range(HOW_MANY)]
    ids = [resource.id for resource in created]
    check(len(set(ids)) == HOW_MANY, f"created {HOW_MANY} records, each with an id of its own")

    first = await client.get(resource_type, ids[0])
    check(without_server_fields(first) == sent, f"read {ids[0]}: it is what was sent")
    version = first["meta"]["versionId"]

    # fhirpy sends If-Match only if told so: a client with the header, for this one update.
    element, value = CHANGES[resource_type]
    guarded = AsyncFHIRClient(base, extra_headers={"If-Match": f'W/"{version}"'})
    changed = await guarded.resource(resource_type, **{**first, element: value}).update()
    new_version = changed["meta"]["versionId"]
    check(new_version != version and changed[element] == value, f"updated {element}, version {new_version}")
    try:
        await guarded.resource(resource_type, **{**first, element: value}).update()
    except MultipleResourcesFound:  # fhirpy's name for 412
        check(truth=True, what=f"a second update of version {version} is refused")
    else:
        check(truth=False, what="an update of an old version must be refused with 412")

    old = await client.execute(f"{resource_type}/{ids[0]}/_history/{version}", method="get")
    check(old[element] == sent[element], f"version {version} still says {element} = {sent[element]}")
    history = await client.execute(f"{resource_type}/{ids[0]}/_history", method="get")
    versions = [entry["resource"]["meta"]["versionId"] for entry in history["entry"]]
    check(versions == [new_version, version], f"history, newest first: {versions}")

    search = client.resources(resource_type).search(patient=patient_id, _total="accurate").limit(PAGE_SIZE)
    page = await search.fetch_raw()
    check(page.total == HOW_MANY, f"the search counts {HOW_MANY}")
    check(len(page.entry) == PAGE_SIZE, f"its first page has {PAGE_SIZE} of them")
    found = [resource.id async for resource in search]  # follows the next links
    check(sorted(found) == sorted(ids), f"all pages together have the {HOW_MANY}, each once")

    for id_ in ids:
        await client.delete(resource_type, id_)
    check(await is_deleted(client, f"{resource_type}/{ids[0]}"), "deleted: reading it is refused (410)")
    left = await client.resources(resource_type).search(patient=patient_id).fetch_all()
    check(left == [], "and searches find none of them")


async def run_refused(client: AsyncFHIRClient, patient_id: str) -> None:
    """Send a record that is wrong: it is not stored (422), and an OperationOutcome says what to mend, and where."""
    print("A refusal")
    wrong = record("Observation", patient_id) | {"status": "done"}
    try:
        await client.resource("Observation", **wrong).create()
    except OperationOutcome as refused:
        issue = refused.resource["issue"][0]
        check(issue["expression"] == ["Observation.status"], f"refused: {issue['diagnostics']}")
    else:
        check(truth=False, what="an Observation with a status that R4 doesn't know must be refused")


async def main(base: str) -> None:
    """Run the job against the server at ``base``."""
    client = AsyncFHIRClient(base)
    patient = await client.resource("Patient", **record("Patient")).create()
    print(f"Patient {patient.id} at {base}")
    for resource_type in CHANGES:
        await run_type(base, client, resource_type, patient.id)
    await run_refused(client, patient.id)
    await patient.delete()
    check(await is_deleted(client, f"Patient/{patient.id}"), "the patient is deleted too")
    print("main job done")


if __name__ == "__main__":
    address = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("FHIR_BASE", "http://127.0.0.1:8080/fhir")
    asyncio.run(main(address))
