"""What a search asks before it is planned, answered by the running server.

Terminology modifiers: https://hl7.org/fhir/R4/search.html#token. Hierarchies: https://hl7.org/fhir/R4/search.html#reference.
"""

import uuid

import pytest

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


@pytest.fixture(scope="module")
def world(fhir):
    """Encounters of several classes, animals of a stored code system, places in a hierarchy, a list."""
    n = uuid.uuid4().hex
    tag = {"meta": {"tag": [{"system": "urn:t", "code": n}]}}
    system, value_set = f"http://example.org/animals-{n}", f"http://example.org/pets-{n}"
    resources = [
        {
            "resourceType": "CodeSystem", "id": n, "url": system, "status": "active", "content": "complete",
            "concept": [{"code": "animal", "concept": [{"code": "cat"}, {"code": "bird", "concept": [{"code": "owl"}]}]}],
        },
        {
            "resourceType": "ValueSet", "id": n, "url": value_set, "version": "2", "status": "active",
            "compose": {"include": [{"system": system, "filter": [{"property": "concept", "op": "is-a", "value": "bird"}]}]},
        },
        {
            "resourceType": "ValueSet", "id": f"{n}-all", "url": f"{value_set}-all", "status": "active",
            "compose": {"include": [{"valueSet": [f"{value_set}|2"]}, {"system": system, "concept": [{"code": "cat"}]}]},
        },
    ]  # fmt: skip
    resources += [
        {
            "resourceType": "Encounter",
            "id": f"{n}-{code}",
            "status": "planned",
            "class": {"system": ACT, "code": code},
        }
        for code in ("AMB", "IMP", "ACUTE")
    ]
    observation = {"resourceType": "Observation", "status": "final"}
    resources += [
        {**observation, "id": f"{n}-{code}", "code": {"coding": [{"system": system, "code": code}]}}
        for code in ("animal", "cat", "bird", "owl")
    ]
    resources.append({**observation, "id": f"{n}-none", "code": {"text": "x"}})
    for name, parent in (
        ("house", None),
        ("ward", "house"),
        ("room", "ward"),
        ("bed", "room"),
        ("garden", None),
    ):
        place = {"resourceType": "Location", "id": f"{n}-{name}", "name": name}
        if parent:
            place["partOf"] = {"reference": f"Location/{n}-{parent}"}
        resources.append(place)
    resources += [
        {
            "resourceType": "Encounter", "id": f"{n}-in-{name}", "status": "planned", "class": {"code": "VR"},
            "location": [{"location": {"reference": f"Location/{n}-{name}"}}],
        }
        for name in ("house", "room", "garden")
    ]  # fmt: skip
    resources.append(
        {
            "resourceType": "List", "id": n, "status": "current", "mode": "changes",
            "entry": [
                {"item": {"reference": f"Observation/{n}-cat"}},
                {"item": {"reference": f"Observation/{n}-owl/_history/1"}},
                {"item": {"reference": f"Observation/{n}-bird"}, "deleted": True},
                {"item": {"reference": f"Encounter/{n}-AMB"}},
            ],
        }
    )  # fmt: skip
    resources += [
        {
            "resourceType": "DocumentReference",
            "id": f"{n}-{i}",
            "status": "current",
            "content": [{"attachment": {"contentType": t}}],
        }
        for i, t in enumerate(
            ("text/xml", "text/xml; charset=utf-8", "text/plain", "application/xml", "text/xmlx")
        )
    ]
    for resource in resources:
        answer = fhir.put(f"{resource['resourceType']}/{resource['id']}", json={**tag, **resource})
        assert answer.status_code == 201, answer.text
    return {"n": n, "s": system, "v": value_set}


CASES = [
    ("Encounter", "class:below=" + ACT + "|_ActEncounterCode", {"AMB", "IMP", "ACUTE"}),
    ("Encounter", "class:below=" + ACT + "|IMP", {"IMP", "ACUTE"}),
    ("Encounter", "class:below=" + ACT + "|ACUTE,{a}|AMB", {"AMB", "ACUTE"}),
    ("Encounter", "class:above=" + ACT + "|ACUTE", {"IMP", "ACUTE"}),
    ("Encounter", "class:in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", {"AMB", "IMP", "ACUTE"}),
    ("Encounter", "class:not-in=http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", {"in-house", "in-room", "in-garden"}),
    ("Encounter", "status:in=http://hl7.org/fhir/ValueSet/encounter-status", {"AMB", "IMP", "ACUTE", "in-house", "in-room", "in-garden"}),
    ("Encounter", "status:not-in=http://hl7.org/fhir/ValueSet/encounter-status", set()),
    ("Observation", "code:below={s}|bird", {"bird", "owl"}),
    ("Observation", "code:above={s}|owl", {"animal", "bird", "owl"}),
    ("Observation", "code:below={s}|unknown", set()),
    ("Observation", "code:in={v}", {"bird", "owl"}),
    ("Observation", "code:in={v}|2", {"bird", "owl"}),
    ("Observation", "code:in=ValueSet/{n}", {"bird", "owl"}),
    ("Observation", "code:in={v}-all", {"bird", "owl", "cat"}),
    ("Observation", "code:not-in={v}", {"animal", "cat", "none"}),
    ("Observation", "combo-code:in={v}", {"bird", "owl"}),
    ("Location", "partof:below=Location/{n}-ward", {"room", "bed"}),
    ("Location", "partof:below={n}-house", {"ward", "room", "bed"}),
    ("Location", "partof:above=Location/{n}-ward", {"ward", "room"}),
    ("Encounter", "location:below=Location/{n}-house", {"in-house", "in-room"}),
    ("Encounter", "location:below={n}-garden", {"in-garden"}),
    ("Encounter", "location:above={n}-bed", {"in-house", "in-room"}),
    ("Encounter", "location:below=Location/nowhere", set()),
    ("Observation", "_list={n}", {"cat", "owl"}),
    ("Observation", "_list=List/{n}", {"cat", "owl"}),
    ("Encounter", "_list={n},unknown", {"AMB"}),
    ("Observation", "_list=unknown", set()),
    ("", "_list={n}", {"cat", "owl", "AMB"}),
    ("Observation", "_filter=code in {v} or code eq {s}|cat", {"bird", "owl", "cat"}),
    ("Observation", "_filter=code sb {s}|bird and not(code eq {s}|owl)", {"bird"}),
    ("", "_filter=_id eq {n}-cat or _id eq {n}-AMB", {"cat", "AMB"}),
    ("DocumentReference", "contenttype:below=text/xml", {"0", "1"}),
    ("DocumentReference", "contenttype:below=text", {"0", "1", "2", "4"}),
    ("DocumentReference", "contenttype:above=text/xml; charset=utf-8", {"0", "1"}),
    ("DocumentReference", "contenttype=text/xml", {"0"}),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "query", "expected"), CASES)
def test_matches(fhir, world, type_, query, expected):
    name, _, value = query.partition("=")
    value = value.format(**world, a=ACT)
    answer = fhir.get(type_, params={name: value, "_tag": f"urn:t|{world['n']}"})
    assert answer.status_code == 200, answer.text
    found = {e["resource"]["id"].removeprefix(world["n"] + "-") for e in answer.json().get("entry", ())}
    assert found == expected


@pytest.mark.parametrize(
    ("query", "diagnostics"),
    [
        ({"code:in": "http://example.org/unknown"}, "not known"),
        ({"code:in": "ValueSet/unknown"}, "not known"),
        ({"code:in": "http://hl7.org/fhir/ValueSet/clinical-findings"}, "not all codes"),
        ({"code:below": "http://snomed.info/sct|1"}, "hierarchy"),
        ({"code:below": "x"}, "system|code"),
        ({"subject:below": "Location/x", "code:in": "http://example.org/unknown"}, "not known"),
        ({"encounter:above": "Patient/x", "performer:in": "x"}, "':in' is not supported"),
        ({"_list": "$current-allergies"}, "holds resources of type AllergyIntolerance"),
        ({"_list": "$current-diagnoses"}, "not defined here"),
        ({"_list": "a/b"}, "id of a List"),
        ({"_text": "(x"}, "a ')' is missing"),
        ({"_text": "!"}, "holds no word"),
        ({"_content": "x"}, "setting search.without_content"),
        ({"_query": "x"}, "no named queries"),
        ({"_at": "then"}, "is not a date"),
        ({"_type": "Patient"}, "the address names the type"),
        ({"specimen:below": "x"}, "':below' is not supported"),
    ],
)
def test_what_can_not_be_answered_is_refused(fhir, query, diagnostics):
    answer = fhir.get("Observation", params=query)
    assert answer.status_code == 400, answer.text
    assert any(diagnostics in issue["diagnostics"] for issue in answer.json()["issue"]), answer.text


def test_an_id_of_several_types_needs_the_type(fhir):
    n = uuid.uuid4().hex
    for type_ in ("Patient", "Device"):
        fhir.put(f"{type_}/{n}", json={"resourceType": type_, "id": n})
    made = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    for reference in (f"Patient/{n}", f"Device/{n}", f"Group/{n}-dangling"):
        fhir.post("Observation", json={**made, "subject": {"reference": reference}})
    answer = fhir.get("Observation", params={"subject": n})
    assert answer.status_code == 400
    assert "exists as Device and as Patient" in answer.json()["issue"][0]["diagnostics"]
    for query in (
        {"subject": f"Device/{n}"},
        {"subject:Device": n},
        {"patient": n},
        {"subject": f"{n}-dangling"},
    ):
        assert len(fhir.get("Observation", params=query).json()["entry"]) == 1
    fhir.delete(f"Device/{n}")
    assert len(fhir.get("Observation", params={"subject": n}).json()["entry"]) == 1


def test_sets_too_large_to_list_and_sets_of_a_rule(fhir):
    """The codes in use are asked for, whatever the size of the set."""
    n = uuid.uuid4().hex
    system, value_set = f"http://example.org/large-{n}", f"http://example.org/large-set-{n}"
    leaves = [{"code": f"leaf-{number}"} for number in range(12_000)]
    definition = {"resourceType": "CodeSystem", "url": system, "status": "active", "content": "complete"}
    halves = [{"code": "a", "concept": leaves[:6000]}, {"code": "b", "concept": leaves[6000:]}]
    concepts = [{"code": "root", "concept": halves}, {"code": "other"}]
    made = [
        {**definition, "caseSensitive": True, "concept": concepts},
        {
            "resourceType": "ValueSet", "url": value_set, "status": "active",
            "compose": {
                "include": [{"system": system, "filter": [{"property": "concept", "op": "is-a", "value": "root"}]}],
                "exclude": [{"system": system, "concept": [{"code": "leaf-8"}]}],
            },
        },
    ]  # fmt: skip
    for resource in made:
        answer = fhir.post(resource["resourceType"], json=resource)
        assert answer.status_code == 201, answer.text
    codes = [
        (system, "leaf-7"),
        (system, "leaf-8"),
        (system, "other"),
        ("http://unitsofmeasure.org", "mg/dL"),
        ("urn:x", "leaf-7"),
    ]
    for at, (url, code) in enumerate(codes):
        observation = {"resourceType": "Observation", "id": f"{n}-{at}", "status": "final"}
        observation["meta"] = {"tag": [{"system": "urn:t", "code": n}]}
        fhir.put(
            f"Observation/{n}-{at}", json={**observation, "code": {"coding": [{"system": url, "code": code}]}}
        )
    for query, expected in (
        ({"code:in": value_set}, "0"),
        ({"code:not-in": value_set}, "1234"),
        ({"code:below": f"{system}|root"}, "01"),
        ({"code:above": f"{system}|leaf-7"}, "0"),
        ({"code:in": "http://hl7.org/fhir/ValueSet/ucum-units"}, "3"),
        ({"code:not-in": "http://hl7.org/fhir/ValueSet/ucum-units"}, "0124"),
    ):
        answer = fhir.get("Observation", params={**query, "_tag": f"urn:t|{n}"})
        assert answer.status_code == 200, (query, answer.text)
        found = sorted(
            entry["resource"]["id"].removeprefix(f"{n}-") for entry in answer.json().get("entry", ())
        )
        assert "".join(found) == expected, query


def test_languages_are_a_rule(fhir):
    n = uuid.uuid4().hex
    speaks = {"coding": [{"system": "urn:ietf:bcp:47", "code": "fr-FR"}]}
    answer = fhir.put(
        f"Patient/{n}", json={"resourceType": "Patient", "id": n, "communication": [{"language": speaks}]}
    )
    assert answer.status_code == 201, answer.text
    query = {"language:in": "http://hl7.org/fhir/ValueSet/all-languages", "_id": n}
    answer = fhir.get("Patient", params=query)
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [n], answer.text
