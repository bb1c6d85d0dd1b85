"""The measure in one story again, with everybody signed in: who puts what into whose space, and who gets none of it.

Nobody asks for the space: the notice was sent, six weeks passed, the job opened it. The other citizen objected.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from typer.testing import CliRunner

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.scopes import parse
from fhir_server.cli.program import program
from fhir_server.datatypes.json_format import encode
from fhir_server.definitions import Definitions
from fhir_server.demo import care, documents, measures, persons, wishes
from fhir_server.demo.identities import rpps, with_key
from fhir_server.outcome import error

TYPES = Definitions().types.resource_types
CHILD, OPPOSED = "child", "opposed"
INS = {CHILD: with_key("2220399000001"), OPPOSED: with_key("2220399000002")}
RECORDS = (
    "DocumentReference",
    "Observation",
    "MedicationRequest",
    "ExplanationOfBenefit",
    "Consent",
    "RelatedPerson",
)


def who(kind: Kind, subject: str, scope: str, **more: object) -> Caller:
    return Caller(kind, subject, scopes=parse(scope, TYPES), client=kind.value, **more)  # type: ignore[arg-type]


def professional(name: str, organization: str) -> Caller:
    return who(
        Kind.PROFESSIONAL, f"Practitioner/{name}", "user/*.cruds", organization=f"Organization/{organization}"
    )


PERSONAS = {
    "operator": who(Kind.OPERATOR, "Device/operator", "system/*.cruds"),
    "hospital": professional("doctor", "hospital"),
    "laboratory": who(Kind.SYSTEM, "Device/lab", "system/*.cruds", organization="Organization/laboratory"),
    "pharmacy": professional("pharmacist", "pharmacy"),
    "stranger": professional("stranger", "other"),
    "payer": who(Kind.PAYER_FEED, "Device/payer", "system/ExplanationOfBenefit.c"),
    "insurer": who(Kind.INSURER, "Device/insurer", "system/*.cruds user/*.cruds"),
    **{
        f"{person} of {patient}": caller
        for patient in (CHILD, OPPOSED)
        for person, caller in {
            "citizen": who(Kind.CITIZEN, f"Patient/{patient}", "patient/*.cruds", patient=patient),
            "mother": who(Kind.REPRESENTATIVE, f"RelatedPerson/mother-{patient}", "user/*.cruds"),
            "app": who(Kind.APP, f"Device/watch-{patient}", "patient/Observation.cruds patient/Patient.rs patient/Device.rs", patient=patient),
        }.items()
    },
}  # fmt: skip


class Tokens:
    """Knows the personas by their tokens."""

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        name = headers.get("authorization", "").removeprefix("Bearer ").replace("_", " ")
        if name not in PERSONAS:
            raise error("login", "Sign in.", status=401)
        return PERSONAS[name]


class World:
    """A server whose callers sign in; each method asks as somebody."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.client = httpx.Client(base_url=base + "/", timeout=60)

    def send(self, name: str, method: str, path: str, resource: object = None) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {name.replace(' ', '_')}",
            "Content-Type": "application/fhir+json",
        }
        content = resource if isinstance(resource, bytes) else encode(resource) if resource else None
        return self.client.request(method, path, content=content, headers=headers)

    def put(self, name: str, *resources: dict) -> None:
        for one in resources:
            answer = self.send(name, "PUT", f"{one['resourceType']}/{one['id']}", one)
            assert answer.status_code in (200, 201), answer.text

    def ids(self, name: str, query: str) -> list[str] | int:
        answer = self.send(name, "GET", query)
        if answer.status_code != 200:
            return answer.status_code
        return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


@pytest.fixture(scope="module")
def world(mongod_uri, mongo_client, module_database_name, tmp_path_factory):
    from tests.conftest import serving

    flags = {
        "mongodb.uri": mongod_uri,
        "mongodb.database": module_database_name,
        "data.dir": tmp_path_factory.mktemp("data"),
        "content.load": True,
        "space.enforce": True,
    }
    with serving(flags, Tokens()) as site:
        world = World(str(site.base_url.join("fhir")))
        prepare(world)
        yield world
        world.client.close()


def prepare(world: World) -> None:
    sectors = {"hospital": ("SA01", "Etablissement public de santé"), "laboratory": ("SA25", "Laboratoire de biologie médicale"),
               "pharmacy": ("SA33", "Pharmacie d'officine"), "other": ("SA07", "Cabinet individuel"),
               "fund": ("SA24", "Organisme de sécurité sociale")}  # fmt: skip
    finess = "https://finess.esante.gouv.fr"
    world.put("operator", *(
        persons.organization(name, (finess, f"99000090{number}"), name=name, sector=sector)
        for number, (name, sector) in enumerate(sectors.items())
    ), *(
        persons.practitioner(name, rpps(77 + number), family="MODELE", given=name, profession=("10", "Médecin"))
        for number, name in enumerate(("doctor", "pharmacist", "stranger"))
    ))  # fmt: skip
    notice = (datetime.now(UTC) - timedelta(days=43)).isoformat(timespec="milliseconds")
    for number, patient in enumerate((CHILD, OPPOSED)):
        world.put("operator", persons.patient(
            patient, INS[patient], family="EXEMPLE", given=["Lou"], gender="female", born=date(2022, 3, 4),
            identity=persons.INS_TEST, active=False,
        ), persons.contact(
            f"mother-{patient}", f"Patient/{patient}", family="EXEMPLE", given="Camille", relation="MTH",
            phone=f"+33 6 39 98 10 0{number}", priority=1, roles=("ECON", "GUARD"),
        ))  # fmt: skip
        told = {"resourceType": "Parameters", "parameter": [{"name": "notice", "valueDateTime": notice}]}
        assert world.send("operator", "POST", f"Patient/{patient}/$open-space", told).status_code == 200
    objection = wishes.opposition("objection", f"Patient/{OPPOSED}", stated="2022-04-01T09:00:00+02:00")
    del objection["id"]
    objection["performer"] = [{"reference": f"RelatedPerson/mother-{OPPOSED}"}]
    answer = world.send(f"mother of {OPPOSED}", "POST", "Consent", objection)
    assert answer.status_code == 201, answer.text
    opened = world.send("operator", "POST", "Patient/$open-due-spaces").json()["parameter"]
    assert [row["valueReference"]["reference"] for row in opened if row["name"] == "opened"] == [
        f"Patient/{CHILD}"
    ]


def without_id(resource: dict) -> dict:
    return {name: value for name, value in resource.items() if name != "id"}


def document(patient: str, kind: str, origin: str, by: str, author: str) -> tuple[dict, dict]:
    return documents.document(
        f"{kind}-{patient}", kind, f"Patient/{patient}", deposited="2026-05-04T17:00:00+02:00", origin=origin,
        authors=[f"Practitioner/{author}", f"Organization/{by}"], custodian=f"Organization/{by}", title=kind, lines=[kind],
    )  # fmt: skip


def deposit(patient: str, kind: str, origin: str, by: str, author: str) -> dict:
    """Return a document as it is submitted: with its content inside."""
    entry, binary = document(patient, kind, origin, by, author)
    sent = without_id(entry) | {
        "meta": {"profile": ["https://health-space.example/fhir/StructureDefinition/hs-document-deposit"]}
    }
    attachment = {
        name: value
        for name, value in entry["content"][0]["attachment"].items()
        if name not in ("url", "size", "hash")
    }
    return sent | {"content": [entry["content"][0] | {"attachment": attachment | {"data": binary["data"]}}]}


def write_all(world: World, patient: str, tmp_path) -> dict[str, int]:
    """Have everybody put what they have into a space; return the status of each."""
    holder = f"Patient/{patient}"
    statuses = {}

    def post(name: str, what: str, type_: str, resource: object) -> None:
        statuses[what] = world.send(name, "POST", type_, resource).status_code

    post(
        "hospital", "report", "DocumentReference", deposit(patient, "stay", "hospital", "hospital", "doctor")
    )
    result = care.result("r", "haemoglobin", holder, taken="2026-05-05T08:05:00+02:00", issued="2026-05-05T16:00:00+02:00",
                         by=["Organization/laboratory"], value=Decimal("11.2"))  # fmt: skip
    post("laboratory", "result", "Observation", without_id(result))
    post("pharmacy", "prescription", "DocumentReference",
         deposit(patient, "dispensation", "pharmacy", "pharmacy", "pharmacist"))  # fmt: skip
    mother = f"mother of {patient}"
    device = persons.device(f"watch-{patient}", name="Montre", kind="wearable", holder=holder)
    statuses["watch"] = world.send("operator", "PUT", f"Device/watch-{patient}", device).status_code
    wish = wishes.wish(
        "w", holder, "OPTOUT", stated="2026-01-10T20:00:00+01:00", by=f"RelatedPerson/mother-{patient}"
    )
    statuses["wish"] = world.send(mother, "POST", "Consent", without_id(wish)).status_code
    contact = persons.contact(
        "f", holder, family="EXEMPLE", given="Adrien", relation="FTH", phone="+33 6 39 98 10 09", priority=2
    )
    post(mother, "contact", "RelatedPerson", without_id(contact))
    rates = b"".join(
        encode(without_id(measures.measure("m", "heart-rate", 90 + hour, when=f"2026-05-06T{hour:02}:00:00+02:00",
                                           holder=holder, device=f"Device/watch-{patient}"))) + b"\n"
        for hour in range(8, 18)
    )  # fmt: skip
    headers = {"Authorization": f"Bearer app_of_{patient}", "Content-Type": "application/fhir+ndjson"}
    answer = world.client.post("Observation/$ingest", content=rates, headers=headers)
    lines = [json.loads(line) for line in answer.text.splitlines() if answer.status_code == 200]
    found = {line["status"] for line in lines if "line" in line} or {answer.status_code}
    statuses["heart rates"] = int(max(found))
    token = tmp_path / "token"
    token.write_text("payer")
    feed = tmp_path / f"{patient}.ndjson"
    feed.write_text(json.dumps({
        "statement": f"2026-{patient}", "created": "2026-05-09", "patient": INS[patient],
        "patient_system": "urn:oid:1.2.250.1.213.1.4.10", "insurer": "990000904", "provider": rpps(77), "day": "2026-05-04",
        "code": "G", "price": "30.00", "base": "30.00", "rate": "70", "fund": "21.00",
    }) + "\n")  # fmt: skip
    run = CliRunner().invoke(program, ["import", "reimbursements", str(feed), "--base", world.base, "--token-file",
                                       str(token), "--quiet"])  # fmt: skip
    report = tmp_path / f"{patient}.ndjson.rejected.ndjson"
    rejected = json.loads(report.read_text().splitlines()[0]) if report.exists() else {}
    statuses["statement"] = 201 if run.exit_code == 0 else rejected.get("status", -run.exit_code)
    return statuses


def test_the_story(world, tmp_path):
    assert set(write_all(world, CHILD, tmp_path).values()) == {201}
    held = {type_: world.ids(f"citizen of {CHILD}", f"{type_}?patient={CHILD}") for type_ in RECORDS}
    assert {type_: len(ids) for type_, ids in held.items()} == {
        "DocumentReference": 2, "Observation": 11, "MedicationRequest": 0, "ExplanationOfBenefit": 1, "Consent": 1,
        "RelatedPerson": 2,
    }  # fmt: skip
    report = world.send(
        f"citizen of {CHILD}", "GET", f"DocumentReference?patient={CHILD}&type=34112-3"
    ).json()["entry"][0]["resource"]
    url = report["content"][0]["attachment"]["url"]
    assert base64.b64encode(
        world.client.get(url, headers={"Authorization": f"Bearer citizen_of_{CHILD}", "Accept": "application/pdf"}).content[:4]
    ) == base64.b64encode(b"%PDF")  # fmt: skip
    assert report["custodian"] == {"reference": "Organization/hospital"}
    # Who deposited reads it back, and sees nothing else; who has nothing to do with it, an insurer and the payer's
    # feed see nothing at all.
    assert world.ids("hospital", f"DocumentReference?patient={CHILD}") == [report["id"]]
    assert world.ids("hospital", f"ExplanationOfBenefit?patient={CHILD}") == []
    assert world.ids("stranger", f"DocumentReference?patient={CHILD}") == []
    assert world.send("stranger", "GET", f"DocumentReference/{report['id']}").status_code == 404
    assert {world.ids(name, f"DocumentReference?patient={CHILD}") for name in ("insurer", "payer")} == {403}
    assert world.ids("payer", f"ExplanationOfBenefit?patient={CHILD}") == 403


def test_an_opposed_citizen_gets_none_of_it(world, tmp_path):
    statuses = write_all(world, OPPOSED, tmp_path)
    assert statuses.pop("wish") in (201, 403)  # a wish is the citizen's own word, about no data
    assert set(statuses.values()) == {403}, statuses
    for type_ in RECORDS:
        ids = world.ids("operator", f"{type_}?patient={OPPOSED}")
        assert isinstance(ids, list)
        expected = {"Consent": 2, "RelatedPerson": 1}.get(type_, 0)
        assert len(ids) <= expected, (type_, ids)
    assert world.send(f"app of {OPPOSED}", "GET", f"Patient/{OPPOSED}").status_code == 404
    assert world.send(f"citizen of {OPPOSED}", "GET", f"Patient/{OPPOSED}").json()["active"] is False


def test_what_others_read_ends_when_the_space_is_closed(world, tmp_path):
    name = f"app of {CHILD}"
    assert world.send(name, "GET", f"Patient/{CHILD}").status_code == 200
    assert world.send(f"citizen of {CHILD}", "POST", f"Patient/{CHILD}/$close-space").status_code == 200
    assert world.send(name, "GET", f"Patient/{CHILD}").status_code == 404
    assert world.ids(name, f"Observation?patient={CHILD}") == []
    refused = world.send(
        "hospital", "POST", "DocumentReference", deposit(CHILD, "discharge", "hospital", "hospital", "doctor")
    )
    assert (refused.status_code, "space-not-open" in refused.text) == (403, True)
    assert world.send(f"citizen of {CHILD}", "GET", f"Patient/{CHILD}").status_code == 200
    assert world.send(f"citizen of {CHILD}", "POST", f"Patient/{CHILD}/$open-space").status_code == 200
    assert world.send(name, "GET", f"Patient/{CHILD}").status_code == 200


def test_only_an_exact_identifier_leads_to_a_citizen_whom_one_does_not_treat(world):
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "x"}}
    for criteria, status in ((f"identifier=urn:oid:1.2.250.1.213.1.4.10|{INS[CHILD]}", 200),
                             (f"identifier={INS[CHILD]}", 412), ("family=EXEMPLE&birthdate=2022-03-04", 412)):  # fmt: skip
        entry = {
            "resource": flag | {"subject": {"reference": f"Patient?{criteria}"}},
            "request": {"method": "POST", "url": "Flag"},
        }
        answer = world.send(
            "stranger", "POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        )
        assert answer.status_code == status, answer.text
