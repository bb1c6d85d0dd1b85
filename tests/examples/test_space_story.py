"""The measure in one story, over HTTP: who puts what into the space of a child born after 2022-01-01, and who finds it.

Each test is one sentence of the story and stands alone; ``space`` is the state before them. What the life of a space
brings (opening without being asked, opposition) belongs into ``space`` and into the two tests that name it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from fhir_server.datatypes.json_format import encode
from fhir_server.demo import care, documents, measures, persons, reimbursements, wishes
from fhir_server.demo.identities import rpps, with_key
from fhir_server.space.statements import Act

Json = dict[str, Any]
CHILD, OPPOSED = "Patient/story-child", "Patient/story-opposed"
MOTHER = "RelatedPerson/story-mother"
HOSPITAL, LABORATORY, PHARMACY, FUND = (
    f"Organization/story-{n}" for n in ("hospital", "laboratory", "pharmacy", "fund")
)
DOCTOR, WATCH = "Practitioner/story-doctor", "Device/story-watch"
FINESS = "https://finess.esante.gouv.fr"
#: What breaks a profile.
REFUSED = 422
#: Wherever something of a citizen may lie, and the parameter that says whose it is.
RECORDS = {"DocumentReference": "patient", "Observation": "patient", "Consent": "patient", "RelatedPerson": "patient",
           "ExplanationOfBenefit": "patient", "MedicationRequest": "patient", "Device": "patient"}  # fmt: skip


class Space:
    """A server with a child's space, and what one does with it."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def put(self, *resources: Json) -> None:
        """Store resources; each is new or takes the place of the one before."""
        for resource in resources:
            answer = self.send(resource)
            assert answer.status_code in {200, 201}, answer.text

    def send(self, resource: Json) -> httpx.Response:
        headers = {"Content-Type": "application/fhir+json"}
        address = f"{resource['resourceType']}/{resource['id']}"
        return self.client.put(address, content=encode(resource), headers=headers)

    def together(self, *resources: Json) -> httpx.Response:
        """Send resources as one transaction."""
        entries = [
            {"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}}
            for r in resources
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return self.client.post("", content=encode(bundle), headers={"Content-Type": "application/fhir+json"})

    def wait_for(self, *queries: str) -> None:
        """Return when our search parameters are indexed, which happens in the background of the first start."""
        deadline = time.monotonic() + 60
        for query in queries:
            while self.client.get(query).status_code != httpx.codes.OK:
                assert time.monotonic() < deadline, query
                time.sleep(0.1)

    def find(self, query: str) -> list[Json]:
        """Return what a search finds, in its order."""
        return [
            entry["resource"] for entry in self.client.get(query).raise_for_status().json().get("entry", [])
        ]

    def ids(self, query: str) -> list[str]:
        return [resource["id"] for resource in self.find(query)]

    def refusal(self, resource: Json) -> set[str]:
        """Return the rules that a resource breaks: it must be refused."""
        answer = self.send(resource)
        assert answer.status_code == REFUSED, answer.text
        return {issue["details"]["coding"][0]["code"] for issue in answer.json()["issue"]}


def citizen(reference: str, order: int, *, active: bool) -> Json:
    born = date(2022, 3, 4)
    return persons.patient(
        reference.partition("/")[2], with_key(f"2220399000{order:03}"), family="EXEMPLE", given=["Lou"],
        gender="female", born=born, identity=persons.INS_TEST, active=active,
    )  # fmt: skip


@pytest.fixture(scope="module")
def space(site_with: Callable[[Json], Any]) -> Iterator[Space]:
    """The child's space is open; hospital, laboratory, pharmacy, payer and a doctor are known; another child's is opposed."""
    with (
        site_with({"content.load": True}) as site,
        httpx.Client(base_url=site.base_url.join("fhir/"), timeout=60) as client,
    ):
        space = Space(client)
        space.wait_for(
            "Consent?policy-rule=x",
            "RelatedPerson?contact-priority=1",
            "ExplanationOfBenefit?service-date=2026",
        )
        for reference, name, sector, number in (
            (HOSPITAL, "Centre hospitalier", ("SA01", "Etablissement public de santé"), "990000901"),
            (LABORATORY, "Laboratoire", ("SA25", "Laboratoire de biologie médicale"), "990000902"),
            (PHARMACY, "Pharmacie", ("SA33", "Pharmacie d'officine"), "990000903"),
            (FUND, "Caisse", ("SA24", "Organisme de sécurité sociale"), "990000904"),
        ):
            space.put(
                persons.organization(reference.partition("/")[2], (FINESS, number), name=name, sector=sector)
            )
        space.put(
            persons.practitioner("story-doctor", rpps(77), family="MODELE", given="Alice", profession=("10", "Médecin")),
            citizen(CHILD, 1, active=True),
            persons.contact(
                "story-mother", CHILD, family="EXEMPLE", given="Camille", relation="MTH", phone="+33 6 39 98 10 01",
                priority=1, roles=("ECON", "GUARD"),
            ),
            persons.device("story-watch", name="Montre", kind="wearable", holder=CHILD),
            citizen(OPPOSED, 2, active=False),
            wishes.opposition("story-opposition", OPPOSED, stated="2022-04-01T09:00:00+02:00"),
        )  # fmt: skip
        yield space


def test_a_child_born_after_2022_has_a_space(space):
    assert space.ids("Patient?birthdate=ge2022-01-01&active=true") == ["story-child"]
    assert space.ids("Patient?identifier=urn:oid:1.2.250.1.213.1.4.10|" + with_key("2220399000001")) == [
        "story-child"
    ]


def deposit(id_: str, kind: str, origin: str, by: str, lines: list[str]) -> tuple[Json, Json]:
    return documents.document(
        id_, kind, CHILD, deposited="2026-05-04T17:00:00+02:00", origin=origin, authors=[DOCTOR, by], custodian=by,
        title=lines[0], lines=lines,
    )  # fmt: skip


def test_the_hospital_deposits_a_report(space):
    report, content = deposit(
        "story-report", "stay", "hospital", HOSPITAL, ["Séjour du 2 au 4 mai 2026", "Guérie."]
    )
    assert space.together(content, report).status_code == 200
    [found] = space.find(f"DocumentReference?patient={CHILD}&type=http://loinc.org|34112-3&status=current")
    attachment = found["content"][0]["attachment"]
    answer = space.client.get(attachment["url"], headers={"Accept": "application/pdf"})
    assert answer.content == base64.b64decode(content["data"])
    assert len(answer.content) == attachment["size"]


def test_a_corrected_report_takes_the_place_of_the_first(space):
    first, content = deposit(
        "story-first", "discharge", "hospital", HOSPITAL, ["Lettre de liaison", "Provisoire."]
    )
    second, new_content = deposit(
        "story-second", "discharge", "hospital", HOSPITAL, ["Lettre de liaison", "Définitive."]
    )
    space.put(content, first)
    second["relatesTo"] = [{"code": "replaces", "target": {"reference": "DocumentReference/story-first"}}]
    assert space.together(new_content, second, first | {"status": "superseded"}).status_code == 200
    query = f"DocumentReference?patient={CHILD}&type=http://loinc.org|11490-0"
    assert space.ids(f"{query}&status=current") == ["story-second"]
    assert space.ids(f"{query}&status=superseded") == ["story-first"]


def test_a_report_that_breaks_the_rules_is_refused_whole(space):
    report, content = deposit("story-refused", "stay", "hospital", HOSPITAL, ["Sans dépositaire"])
    del report["custodian"]
    assert space.together(content, report).status_code == REFUSED
    assert space.client.get("Binary/story-refused").status_code == 404


def test_the_laboratory_deposits_a_result(space):
    taken, issued = "2026-05-05T08:05:00+02:00", "2026-05-05T16:00:00+02:00"
    result = care.result(
        "story-result",
        "haemoglobin",
        CHILD,
        taken=taken,
        issued=issued,
        by=[LABORATORY],
        value=Decimal("11.2"),
    )
    report = care.report(
        "story-lab-report", CHILD, taken=taken, issued=issued, by=[LABORATORY], results=["story-result"]
    )
    space.put(result, report)
    [found] = space.find(f"Observation?patient={CHILD}&category=laboratory&value-quantity=lt12")
    assert found["interpretation"][0]["coding"][0]["code"] == "L"
    assert space.ids("DiagnosticReport?result=Observation/story-result") == ["story-lab-report"]


def test_the_pharmacy_deposits_what_was_prescribed(space):
    medicine = ("N02BE01", "Paracétamol 100 mg")
    order = care.prescription("story-order", CHILD, medicine, on="2026-05-04", by=DOCTOR, dosage="si fièvre")
    entry, content = deposit(
        "story-dispensation", "dispensation", "pharmacy", PHARMACY, ["Dispensation", "Une boîte."]
    )
    entry["context"]["related"] = [{"reference": "MedicationRequest/story-order"}]
    assert space.together(order, content, entry).status_code == 200
    assert space.ids(f"DocumentReference?patient={CHILD}&author={PHARMACY}") == ["story-dispensation"]
    assert space.ids("DocumentReference?related=MedicationRequest/story-order") == ["story-dispensation"]


def test_the_wish_on_organ_donation_can_be_changed_at_any_time(space):
    first = wishes.wish("story-wish-1", CHILD, "OPTOUT", stated="2026-01-10T20:00:00+01:00", by=MOTHER)
    second = wishes.wish(
        "story-wish-2", CHILD, "OPTINR", stated="2026-05-10T20:00:00+02:00", by=MOTHER, organs=["cornea"]
    )
    space.put(first)
    in_force = f"Consent?patient={CHILD}&status=active&category=organ-donation"
    assert space.ids(in_force) == ["story-wish-1"]
    assert space.together(first | {"status": "inactive"}, second).status_code == 200
    assert space.ids(in_force) == ["story-wish-2"]
    assert space.ids(f"{in_force}&policy-rule=OPTINR") == ["story-wish-2"]
    assert "hs-odw-1" in space.refusal({key: value for key, value in second.items() if key != "provision"})


def test_whom_to_notify_is_found_in_order(space):
    father = persons.contact(
        "story-father",
        CHILD,
        family="EXEMPLE",
        given="Adrien",
        relation="FTH",
        phone="+33 6 39 98 10 02",
        priority=2,
    )
    space.put(father)
    assert space.ids(f"RelatedPerson?patient={CHILD}&active=true&_sort=contact-priority") == [
        "story-mother",
        "story-father",
    ]
    unreachable = father | {"telecom": [{"system": "email", "value": "a@b.example"}]}
    assert "hs-ec-1" in space.refusal(unreachable)


def test_the_watch_posts_heart_rates(space):
    for hour in range(8, 18):
        rate = measures.measure(
            f"story-hr-{hour}",
            "heart-rate",
            90 + hour,
            when=f"2026-05-06T{hour:02}:00:00+02:00",
            holder=CHILD,
            device=WATCH,
        )
        space.put(rate)
    found = space.find(f"Observation?patient={CHILD}&code=http://loinc.org|8867-4&_sort=-date&_count=3")
    assert [one["valueQuantity"]["value"] for one in found] == [107, 106, 105]
    assert len(space.ids(f"Observation?device={WATCH}&_count=50")) == 10
    beats = rate["valueQuantity"] | {"code": "bpm"}
    assert any("hs-measure-heart-rate" in rule for rule in space.refusal(rate | {"valueQuantity": beats}))


def statement(number: int, on: date) -> Json:
    act = Act("consultation-generaliste", "Consultation", Decimal("30.00"), Decimal("30.00"), 70)
    return reimbursements.statement(
        f"story-statement-{number}", f"2026-9000{number}", "professional", [act], holder=CHILD,
        holder_number=with_key("2220399000001"), insurer=FUND, provider=DOCTOR, on=on, created=on + timedelta(days=5),
    )  # fmt: skip


def test_the_reimbursements_of_the_payer_appear(space):
    space.put(statement(1, date(2026, 2, 3)), statement(2, date(2026, 5, 4)))
    found = space.find(f"ExplanationOfBenefit?patient={CHILD}&service-date=ge2026-01-01&_sort=-created")
    assert [one["id"] for one in found] == ["story-statement-2", "story-statement-1"]
    assert sum(one["payment"]["amount"]["value"] for one in found) == 42  # a minor pays no flat deduction
    assert space.ids(f"ExplanationOfBenefit?insurer={FUND}&payment-date=2026-02-08") == ["story-statement-1"]


def test_a_statement_whose_sums_are_wrong_is_refused(space):
    wrong = statement(3, date(2026, 6, 1))
    benefit = next(
        a for a in wrong["item"][0]["adjudication"] if a["category"]["coding"][0]["code"] == "benefit"
    )
    benefit["amount"]["value"] = Decimal("22.00")
    assert space.refusal(wrong) >= {"hs-eob-4", "hs-eob-5"}
    wrong = statement(3, date(2026, 6, 1))
    wrong["total"][1]["amount"]["value"] = Decimal("22.00")
    assert "hs-eob-6" in space.refusal(wrong)


def test_an_opposed_citizen_gets_none_of_it(space):
    held = {type_: space.ids(f"{type_}?{whose}={OPPOSED}") for type_, whose in RECORDS.items()}
    assert {type_: ids for type_, ids in held.items() if ids} == {"Consent": ["story-opposition"]}
    [opposed] = space.find(f"Patient?_id={OPPOSED.partition('/')[2]}")
    assert opposed["active"] is False
