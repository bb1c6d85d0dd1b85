"""Every operation on a record shows what its caller may see, and nothing else."""

from __future__ import annotations

import json

import pytest

from fhir_server.access import OPEN, AccessContext
from fhir_server.access.policy import any_of, both, none_of
from fhir_server.app import create_app
from fhir_server.interactions.exchange import FhirRequest
from fhir_server.interactions.router import dispatch
from fhir_server.settings import load

#: Sees Ada's record, and of it nothing that is hidden.
ADA = AccessContext(
    "ada", lambda _type, _letter: both(any_of("p", ["ada"]), none_of("_id", ["hidden", "secret"]))
)
LOINC = "http://loinc.org"
CODE = {"coding": [{"system": LOINC, "code": "8867-4"}]}
VITAL = [
    {
        "coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}
        ]
    }
]


def measure(id_, patient, day, value):
    return {
        "resourceType": "Observation", "id": id_, "status": "final", "category": VITAL, "code": CODE,
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": f"2026-01-0{day}",
        "performer": [{"reference": "Practitioner/doctor"}],
        "valueQuantity": {"value": value, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }  # fmt: skip


def letter(id_, patient):
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "type": {"text": "letter"},
        "subject": {"reference": f"Patient/{patient}"}, "date": "2026-01-01T00:00:00Z",
        "content": [{"attachment": {"title": id_}}],
    }  # fmt: skip


RECORDS = [
    {"resourceType": "Patient", "id": "ada"},
    {"resourceType": "Patient", "id": "bob"},
    {"resourceType": "Practitioner", "id": "doctor"},
    measure("seen", "ada", 1, 60),
    measure("hidden", "ada", 2, 90),
    measure("bobs", "bob", 3, 120),
    letter("mine", "ada"),
    letter("secret", "ada"),
    letter("his", "bob"),
    {"resourceType": "Composition", "id": "page", "status": "final", "type": {"text": "t"}, "date": "2026", "title": "T",
     "subject": {"reference": "Patient/ada"}, "author": [{"display": "x"}],
     "section": [{"title": "s", "entry": [{"reference": "Observation/hidden"}]}]},
]  # fmt: skip


@pytest.fixture
async def ask(mongod_uri, database_name, tmp_path):
    """Return a function that asks as Ada, of the application in this process with the records in its store."""
    flags = {"mongodb.uri": mongod_uri, "mongodb.database": database_name, "data.dir": tmp_path}
    app = create_app(load({"log.level": "warning", "content.load": False, **flags}))
    async with app.router.lifespan_context(app):
        server = app.serving()
        for record in RECORDS:
            path = (record["resourceType"], record["id"])
            body = json.dumps(record).encode()
            stored = await dispatch(server, FhirRequest("PUT", path, body=body, base="http://x", access=OPEN))
            assert stored.status == 201, stored.body

        async def run(path, query="", access=ADA):
            request = FhirRequest("GET", tuple(path.split("/")), query, base="http://x", access=access)
            answer = await dispatch(server, request)
            return answer.status, json.loads(b"".join(answer.body))

        yield run


def ids(bundle):
    found = {entry["resource"].get("id") for entry in bundle.get("entry", ())}
    return found & {record["id"] for record in RECORDS}


async def test_all_operations(ask):
    record = {"ada", "seen", "mine", "page"}
    assert ids((await ask("Patient/ada/$everything"))[1]) == record
    assert ids((await ask("Patient/ada/$everything", access=OPEN))[1]) == record | {
        "hidden",
        "secret",
        "doctor",
    }
    asked = "patient=Patient/ada,Patient/bob&code=8867-4"
    assert ids((await ask("Observation/$lastn", asked))[1]) == {"seen"}
    assert ids((await ask("Observation/$lastn", asked, OPEN))[1]) == {"hidden", "bobs"}
    asked = f"subject=Patient/ada&code=8867-4&system={LOINC}&statistic=sum&statistic=total-count&include=true"
    _, figures = await ask("Observation/$stats", asked)
    values = [row["valueQuantity"]["value"] for row in figures["parameter"][0]["resource"]["component"]]
    assert values == [60, 1]
    assert [row["resource"]["id"] for row in figures["parameter"][1:]] == ["seen"]
    assert ids((await ask("DocumentReference/$docref", "patient=ada&start=2020"))[1]) == {"mine"}
    assert ids((await ask("DocumentReference/$docref", "patient=bob"))[1]) == set()
    assert ids((await ask("Patient/ada/$summary"))[1]) == {"ada", "seen"}
    assert ids((await ask("Patient/ada/$passport"))[1]) == {"ada", "seen", "mine"}
    assert (await ask("Composition/page/$document"))[0] == 422
    assert ids((await ask("Composition/page/$document", access=OPEN))[1]) == {
        "page",
        "ada",
        "hidden",
        "doctor",
    }
    for path in ("Patient/bob/$everything", "Patient/bob/$summary", "Patient/bob/$passport"):
        assert (await ask(path))[0] == 404
