"""Chains and _has over HTTP, against a brute-force answer over the resources themselves."""

from __future__ import annotations

import random
import uuid

import pytest

CITIES = ["Lyon", "Nantes", "Lille"]
FAMILIES = ["Martin", "Bernard", "Thomas"]
CODES = ["c1", "c2", "c3"]


def _matches(fhir, query, type_):
    answer = fhir.get(f"{type_}?{query}&_count=1000")
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return [e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"]


@pytest.fixture(scope="module")
def world(fhir):
    """A small random world of organizations, patients, encounters and observations, all with one tag."""
    tag, dice = uuid.uuid4().hex[:8], random.Random(7)
    meta = {"tag": [{"system": "urn:test", "code": tag}]}
    world: dict[str, dict] = {"tag": tag}

    def put(type_, number, **content):
        id_ = f"{tag}-{type_[:3].lower()}{number}"
        resource = {"resourceType": type_, "id": id_, "meta": meta, **content}
        answer = fhir.put(f"{type_}/{id_}", json=resource)
        assert answer.status_code == 201, answer.text
        world.setdefault(type_, {})[id_] = resource
        return id_

    def concept(code):
        return {"coding": [{"system": "urn:c", "code": code}]}

    organizations = []
    for n in range(4):
        parent = {"partOf": {"reference": f"Organization/{organizations[0]}"}} if n > 1 else {}
        organizations.append(
            put("Organization", n, name=f"Clinic {n}", address=[{"city": CITIES[n % 3]}], **parent)
        )
    patients = [
        put("Patient", n, name=[{"family": dice.choice(FAMILIES)}], gender=dice.choice(["male", "female"]),
            managingOrganization={"reference": f"Organization/{dice.choice(organizations)}"})
        for n in range(8)
    ]  # fmt: skip
    groups = [
        put(
            "Group",
            0,
            type="person",
            actual=True,
            member=[{"entity": {"reference": f"Patient/{p}"}} for p in patients[:3]],
        )
    ]
    encounters = [
        put("Encounter", n, status="finished", **{"class": {"code": dice.choice(["AMB", "EMER"])}},
            subject={"reference": f"Patient/{dice.choice(patients)}"},
            serviceProvider={"reference": f"Organization/{dice.choice(organizations)}"},
            period={"start": f"202{n % 3}-05-01", "end": f"202{n % 3}-05-02"})
        for n in range(10)
    ]  # fmt: skip
    for n in range(30):
        subject = f"Patient/{dice.choice(patients)}" if n % 7 else f"Group/{groups[0]}"
        more = {"encounter": {"reference": f"Encounter/{dice.choice(encounters)}"}} if n % 2 else {}
        put("Observation", n, status=dice.choice(["final", "amended"]), code=concept(dice.choice(CODES)),
            subject={"reference": subject}, valueQuantity={"value": n}, **more)  # fmt: skip
    return world


class Oracle:
    """R4's rules over the resources: no index, no plan."""

    def __init__(self, world):
        self.world = world

    def follow(self, resource, *path):
        """The resource that a reference names, or None."""
        for name in path:
            resource = (resource or {}).get(name)
        reference = (resource or {}).get("reference", "")
        type_, _, id_ = reference.partition("/")
        return self.world.get(type_, {}).get(id_)

    def pointing(self, type_, name, target):
        """The resources of a type whose reference ``name`` names the target."""
        wanted = f"{target['resourceType']}/{target['id']}"
        return [r for r in self.world[type_].values() if r.get(name, {}).get("reference") == wanted]

    def expected(self, type_, test):
        return sorted(id_ for id_, resource in self.world[type_].items() if test(resource))


def family(patient):
    return (
        patient["name"][0]["family"]
        if patient and "name" in patient and isinstance(patient["name"], list)
        else None
    )


def city(organization):
    return organization["address"][0]["city"] if organization else None


def code(observation):
    return observation["code"]["coding"][0]["code"]


CASES = [
    ("Observation", "subject:Patient.family=martin", lambda o, r: family(o.follow(r, "subject")) == "Martin"),
    ("Observation", "patient.family=martin,thomas", lambda o, r: family(o.follow(r, "subject")) in {"Martin", "Thomas"}),
    ("Observation", "subject.family=bernard", lambda o, r: family(o.follow(r, "subject")) == "Bernard"),
    ("Observation", "patient.gender:not=male", lambda o, r: (o.follow(r, "subject") or {}).get("gender") == "female"),
    ("Observation", "patient.organization.address-city=lyon", lambda o, r: city(o.follow(o.follow(r, "subject"), "managingOrganization")) == "Lyon"),
    ("Observation", "patient.organization.partof.name=Clinic 0",
     lambda o, r: (o.follow(o.follow(o.follow(r, "subject"), "managingOrganization"), "partOf") or {}).get("name") == "Clinic 0"),
    ("Observation", "encounter.date=ge2021&encounter.date=lt2022", lambda o, r: (o.follow(r, "encounter") or {}).get("period", {}).get("start", "").startswith("2021")),
    ("Observation", "encounter.class=AMB&patient.family=martin&code=urn:c|c1",
     lambda o, r: (o.follow(r, "encounter") or {}).get("class", {}).get("code") == "AMB" and family(o.follow(r, "subject")) == "Martin" and code(r) == "c1"),
    ("Observation", "encounter.service-provider.name=Clinic", lambda o, r: o.follow(r, "encounter") is not None),
    ("Observation", "subject:Group.type=person", lambda o, r: r["subject"]["reference"].startswith("Group/")),
    ("Observation", "subject:Group._id={tag}-gro0", lambda o, r: r["subject"]["reference"].startswith("Group/")),
    ("Observation", "patient._id={tag}-pat1", lambda o, r: r["subject"]["reference"].endswith("-pat1")),
    ("Observation", "patient._has:Encounter:patient:class=EMER",
     lambda o, r: any(e["class"]["code"] == "EMER" for e in (o.pointing("Encounter", "subject", o.follow(r, "subject")) if o.follow(r, "subject") else []))),
    ("Patient", "_has:Observation:patient:code=urn:c|c1", lambda o, r: any(code(x) == "c1" for x in o.pointing("Observation", "subject", r))),
    ("Patient", "_has:Observation:subject:code=c1,c2", lambda o, r: any(code(x) in {"c1", "c2"} for x in o.pointing("Observation", "subject", r))),
    ("Patient", "_has:Observation:patient:code=c1&_has:Observation:patient:code=c2",
     lambda o, r: {"c1", "c2"} <= {code(x) for x in o.pointing("Observation", "subject", r)}),
    ("Patient", "_has:Observation:patient:code-value-quantity=c1$ge15",
     lambda o, r: any(code(x) == "c1" and x["valueQuantity"]["value"] >= 15 for x in o.pointing("Observation", "subject", r))),
    ("Patient", "_has:Observation:patient:encounter.class=AMB",
     lambda o, r: any((o.follow(x, "encounter") or {}).get("class", {}).get("code") == "AMB" for x in o.pointing("Observation", "subject", r))),
    ("Patient", "_has:Encounter:patient:_has:Observation:encounter:code=c3",
     lambda o, r: any(code(x) == "c3" for e in o.pointing("Encounter", "subject", r) for x in o.pointing("Observation", "encounter", e))),
    ("Patient", "_has:Observation:patient:status:not=final", lambda o, r: any(x["status"] != "final" for x in o.pointing("Observation", "subject", r))),
    ("Patient", "_has:Group:member:actual=true", lambda o, r: r["id"][-4:] in {"pat0", "pat1", "pat2"}),
    ("Patient", "_id={tag}-pat0,{tag}-pat1&_has:Group:member:actual=true", lambda o, r: r["id"][-4:] in {"pat0", "pat1"}),
    ("Organization", "_has:Patient:organization:_has:Observation:patient:code=c2",
     lambda o, r: any(code(x) == "c2" for p in o.pointing("Patient", "managingOrganization", r) for x in o.pointing("Observation", "subject", p))),
    ("Organization", "_has:Organization:partof:name=Clinic", lambda o, r: bool(o.pointing("Organization", "partOf", r))),
    ("Observation", "patient.family=nobody", lambda o, r: False),
    ("Patient", "_has:Observation:patient:code=nothing", lambda o, r: False),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "query", "test"), CASES, ids=[case[1] for case in CASES])
def test_agrees_with_the_oracle(fhir, world, type_, query, test):
    oracle = Oracle(world)
    text = query.replace("{tag}", world["tag"])

    found = _matches(fhir, f"{text}&_tag=urn:test|{world['tag']}", type_)

    assert len(found) == len(set(found))
    assert sorted(found) == oracle.expected(type_, lambda resource: test(oracle, resource))


def test_totals_and_pages_of_a_chain(fhir, world):
    query = f"patient.gender=male,female&_tag=urn:test|{world['tag']}"
    whole = _matches(fhir, query, "Observation")
    assert fhir.get(f"Observation?{query}&_summary=count").json()["total"] == len(whole)

    url, seen = f"Observation?{query}&_count=4", []
    while url:
        bundle = fhir.get(url).json()
        seen += [entry["resource"]["id"] for entry in bundle["entry"]]
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)
    assert len(seen) == len(whole)
    assert set(seen) == set(whole)


REFUSED = [
    ("Patient", "_has:Observation:patient", "write _has:Type:reference:parameter"),
    ("Patient", "_has:Thing:patient:code", "'Thing' is not an R4 resource type"),
    ("Patient", "_has:Observation:code:code", "Observation has no reference parameter 'code'"),
    ("Patient", "_has:Observation:pacient:code", "Did you mean 'patient'"),
    ("Patient", "_has:Observation:patient:color", "Observation has no search parameter 'color'"),
    ("Patient", "_has:Observation:encounter:code", "never refers to Patient"),
    ("Observation", "code.name", "'code' is no reference"),
    ("Observation", "subject.colour", "has no search parameter|have no search parameter"),
    ("Observation", "subject:Organization.name", "can't refer to Organization"),
    ("Observation", "subject:identifier.value", "'identifier' is not a resource type"),
    ("Observation", "patient.birthdate", "is not a date"),
    ("Observation", "patient.family:below", "modifier ':below' is not supported"),
    ("Observation", "focus._id", "name one, as in 'focus:"),
    ("Observation", "patient.organization.partof.partof.partof.name", "at most 4"),
]


@pytest.mark.parametrize(("type_", "name", "message"), REFUSED, ids=[row[1] for row in REFUSED])
def test_refused(fhir, type_, name, message):
    answer = fhir.get(type_, params={name: "x"})
    assert answer.status_code == 400
    diagnostics = answer.json()["issue"][0]["diagnostics"]
    assert any(part in diagnostics for part in message.split("|")), diagnostics


def test_contained_resources_take_part_in_chains(fhir):
    tag = uuid.uuid4().hex

    def request(number, ingredient, **more):
        contained = {
            "resourceType": "Medication",
            "id": "m",
            "code": {"coding": [{"code": ingredient}]},
            "status": "active",
        }
        body = {
            "resourceType": "MedicationRequest", "meta": {"tag": [{"code": tag}]}, "status": "active", "intent": "order",
            "subject": {"display": f"{number}"}, "contained": [contained], "medicationReference": {"reference": "#m"}, **more,
        }  # fmt: skip
        answer = fhir.post("MedicationRequest", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    first, second = request(1, "abc"), request(2, "def")

    assert _matches(fhir, f"medication.code=abc&_tag={tag}", "MedicationRequest") == [first]
    assert set(_matches(fhir, f"medication.status=active&_tag={tag}", "MedicationRequest")) == {first, second}
    assert _matches(fhir, f"medication.code:not=abc&_tag={tag}", "MedicationRequest") == [second]
    assert _matches(fhir, f"medication:missing=true&_tag={tag}", "MedicationRequest") == []
    assert _matches(fhir, f"code=abc&_tag={tag}", "Medication") == []


def test_canonical_references_take_part_in_chains(fhir):
    tag = uuid.uuid4().hex
    meta = {"tag": [{"code": tag}]}

    def questionnaire(name, version):
        body = {
            "resourceType": "Questionnaire",
            "meta": meta,
            "status": "active",
            "name": name,
            "url": f"http://q/{tag}",
            "version": version,
        }
        return fhir.post("Questionnaire", json=body).json()["id"]

    def answers(canonical):
        body = {
            "resourceType": "QuestionnaireResponse",
            "meta": meta,
            "status": "completed",
            "questionnaire": canonical,
        }
        answer = fhir.post("QuestionnaireResponse", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    old, new = questionnaire("Old", "1.0"), questionnaire("New", "2.0")
    first, second = answers(f"http://q/{tag}|1.0"), answers(f"http://q/{tag}|2.0")
    third = answers(f"http://q/{tag}")

    assert set(_matches(fhir, f"questionnaire.name=old&_tag={tag}", "QuestionnaireResponse")) == {
        first,
        third,
    }
    assert set(_matches(fhir, f"questionnaire.name=new&_tag={tag}", "QuestionnaireResponse")) == {
        second,
        third,
    }
    has = f"_has:QuestionnaireResponse:questionnaire:_id={{}}&_tag={tag}"
    assert _matches(fhir, has.format(first), "Questionnaire") == [old]
    assert set(_matches(fhir, has.format(third), "Questionnaire")) == {old, new}
