"""The links between the entries of a transaction, and references by search: https://hl7.org/fhir/R4/http.html#trules."""

import uuid

import pytest

from tests.interactions.transactions import SYSTEM, done, entry, observation, patient, refused, statuses, urn


@pytest.fixture
def value():
    return uuid.uuid4().hex


def test_links_to_new_resources_are_rewritten_everywhere(fhir, value):
    person, paper, versioned = urn(), urn(), urn()
    base = "http://elsewhere.example/fhir"
    rows = done(
        fhir,
        entry(
            "POST",
            "Observation",
            observation(
                person,
                identifier=[{"system": "urn:ietf:rfc:3986", "value": person}],
                hasMember=[{"reference": f"{base}/Observation/9"}, {"reference": f"{versioned}/_history/7"}],
                derivedFrom=[{"reference": f"{paper}#part"}, {"reference": "http://other.example/Observation/1"}],
                extension=[
                    {"url": "http://x.example/a", "valueUri": person},
                    {"url": "http://x.example/b", "valueCanonical": person},
                    {"url": "http://x.example/c", "valueReference": {"reference": person}},
                ],
                text={
                    "status": "generated",
                    "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{person}">p</a><img alt="" src="{paper}"/>'
                    f'<a href="http://other.example/{person}">{person}</a></div>',
                },
                contained=[{"resourceType": "Device", "id": "d", "patient": {"reference": person}}],
                device={"reference": "#d"},
            ),
            f"{base}/Observation/8",
        ),
        entry("POST", "Patient", patient(value), person),
        entry("POST", "DocumentReference", {
            "resourceType": "DocumentReference", "status": "current",
            "content": [{"attachment": {"url": person}}],
        }, paper),
        entry("POST", "Observation", observation("Patient/1"), f"{base}/Observation/9"),
        entry("POST", "Patient", patient(value, id="1"), f"{base}/Patient/1"),
        entry("POST", "Observation", observation(person), versioned),
    )  # fmt: skip
    made = [row["resource"] for row in rows]
    names = [f"{resource['resourceType']}/{resource['id']}" for resource in made]
    first = made[0]
    assert first["subject"]["reference"] == names[1]
    assert first["identifier"][0]["value"] == person, "a string is no link"
    assert [r["reference"] for r in first["hasMember"]] == [names[3], f"{names[5]}/_history/1"]
    assert [r["reference"] for r in first["derivedFrom"]] == [
        f"{names[2]}#part",
        "http://other.example/Observation/1",
    ]
    assert first["extension"][0]["valueUri"] == names[1]
    assert first["extension"][1]["valueCanonical"] == person, "R4 excludes canonicals"
    assert first["extension"][2]["valueReference"]["reference"] == names[1]
    assert f'<a href="{names[1]}">p</a><img alt="" src="{names[2]}"/>' in first["text"]["div"]
    assert f'<a href="http://other.example/{person}">{person}</a>' in first["text"]["div"]
    assert first["contained"][0]["patient"]["reference"] == names[1]
    assert made[2]["content"][0]["attachment"]["url"] == names[1]
    assert made[3]["subject"]["reference"] == names[4], "relative to the root of the entry's own fullUrl"
    assert first["id"][-5:] == made[1]["id"][-5:], "the id ends with the patient's bucket"
    for name, resource in zip(names, made, strict=True):
        assert fhir.get(name).json() == resource


def test_relative_links_without_full_url_name_the_entry_with_that_id_else_this_server(fhir, value):
    kept = fhir.post("Patient", json=patient(value)).json()["id"]
    rows = done(
        fhir,
        entry("POST", "Patient", patient(value, id="my-patient")),
        entry("POST", "Observation", observation("Patient/my-patient")),
        entry("POST", "Observation", observation(f"Patient/{kept}")),
    )
    assert rows[1]["resource"]["subject"]["reference"] == f"Patient/{rows[0]['resource']['id']}"
    assert rows[2]["resource"]["subject"]["reference"] == f"Patient/{kept}"


def test_links_to_updated_and_matched_entries(fhir, value):
    match = fhir.post("Patient", json=patient(value)).json()["id"]
    by_criteria, conditional = urn(), urn()
    rows = done(
        fhir,
        entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value), by_criteria),
        entry("POST", "Patient", patient(value), conditional, ifNoneExist=f"identifier={SYSTEM}|{value}"),
        entry("PUT", f"Patient/{value}", patient("x", id=value), f"http://old.example/Patient/{value}"),
        entry("POST", "Observation", observation(by_criteria, focus=[
            {"reference": conditional}, {"reference": f"http://old.example/Patient/{value}"},
        ])),
    )  # fmt: skip
    assert statuses(rows) == ["200", "200", "201", "201"]
    assert rows[3]["resource"]["subject"]["reference"] == f"Patient/{match}"
    assert [r["reference"] for r in rows[3]["resource"]["focus"]] == [f"Patient/{match}", f"Patient/{value}"]


def test_circles_of_references(fhir):
    a, b = urn(), urn()
    rows = done(
        fhir,
        entry(
            "POST",
            "Organization",
            {"resourceType": "Organization", "name": "A", "partOf": {"reference": b}},
            a,
        ),
        entry(
            "POST",
            "Organization",
            {"resourceType": "Organization", "name": "B", "partOf": {"reference": a}},
            b,
        ),
    )
    ids = [row["resource"]["id"] for row in rows]
    assert [row["resource"]["partOf"]["reference"] for row in rows] == [
        f"Organization/{ids[1]}",
        f"Organization/{ids[0]}",
    ]


def test_references_by_search_find_stored_new_and_changed_resources_and_no_deleted_ones(fhir, value):
    stored = fhir.post("Patient", json=patient(f"{value}s")).json()["id"]
    twice = [fhir.post("Patient", json=patient(f"{value}t")).json()["id"] for _ in range(2)]
    changed = fhir.post("Patient", json=patient(f"{value}u")).json()["id"]

    def by(suffix):
        return observation(f"Patient?identifier={SYSTEM}%7C{value}{suffix}")

    rows = done(
        fhir,
        entry("POST", "Observation", by("s")),
        entry("POST", "Observation", by("n")),
        entry("POST", "Observation", by("t")),
        entry("POST", "Observation", by("v")),
        entry("POST", "Patient", patient(f"{value}n")),
        entry("DELETE", f"Patient/{twice[0]}"),
        entry("PUT", f"Patient/{changed}", patient(f"{value}v", id=changed)),
    )
    new = rows[4]["resource"]["id"]
    wanted = [f"Patient/{id_}" for id_ in (stored, new, twice[1], changed)]
    assert [row["resource"]["subject"]["reference"] for row in rows[:4]] == wanted


def test_references_by_search_to_resources_that_refer_by_search_themselves(fhir, value):
    identifier = [{"system": SYSTEM, "value": value}]
    rows = done(
        fhir,
        entry("POST", "Observation", observation("Patient?identifier=" + value, hasMember=[
            {"reference": f"Observation?identifier={value}"},
        ])),
        entry("POST", "Observation", observation("Patient?identifier=" + value, identifier=identifier)),
        entry("POST", "Patient", patient(value)),
    )  # fmt: skip
    assert rows[0]["resource"]["hasMember"][0]["reference"] == f"Observation/{rows[1]['resource']['id']}"


def test_references_by_search_need_one_match_and_all_failures_are_told(fhir, value):
    for _ in range(2):
        fhir.post("Patient", json=patient(value))
    status, issues = refused(
        fhir,
        entry("POST", "Observation", observation(f"Patient?identifier={value}")),
        entry("POST", "Observation", observation(f"Patient?identifier=no-{value}")),
        entry("POST", "Observation", observation("Patient?nonsense=1")),
    )
    assert status == 412
    assert [place for _, place in issues] == [
        f"Bundle.entry[{n}].resource.subject.reference" for n in range(3)
    ]


def test_criteria_with_a_chain_and_a_search_of_the_system(fhir, value):
    person = fhir.post("Patient", json=patient(value)).json()["id"]
    identifier = [{"value": value}]
    fhir.post("Observation", json=observation(f"Patient/{person}", identifier=identifier))
    rows = done(
        fhir,
        entry(
            "POST",
            "Observation",
            observation(f"Patient/{person}", identifier=identifier),
            ifNoneExist=f"subject:Patient.identifier={value}",
        ),
        entry("GET", f"?_type=Patient&_id={person}"),
    )
    assert statuses(rows) == ["200", "200"]
    assert rows[1]["resource"]["entry"][0]["resource"]["id"] == person
