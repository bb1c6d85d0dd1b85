"""Text search, functional lists and filters that follow references, over HTTP."""

import uuid

import pytest


@pytest.fixture(scope="module")
def tag(fhir):
    tag = uuid.uuid4().hex[:12]
    meta = {"tag": [{"system": "urn:words", "code": tag}]}
    terms = "http://terminology.hl7.org/CodeSystem"
    resources = [
        {"resourceType": "Patient", "id": f"{tag}-p", "name": [{"family": "Petersen"}], "birthDate": "1990-01-01", "active": True},
        {"resourceType": "Patient", "id": f"{tag}-q", "name": [{"family": "Quinn"}], "birthDate": "1980-01-01", "active": False},
        *(
            {
                "resourceType": "Condition", "id": f"{tag}-{id_}", "subject": {"reference": f"Patient/{tag}-{patient}"},
                "clinicalStatus": {"coding": [{"system": f"{terms}/condition-clinical", "code": status}]},
                "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'},
            }
            for id_, patient, status, text in [
                ("a", "p", "active", "Fracture of the bone, the left bone"),
                ("b", "q", "resolved", "Fracture of a bone"),
                ("c", "q", "active", "Sprain"),
            ]
        ),
    ]  # fmt: skip
    for resource in resources:
        resource["meta"] = meta
        answer = fhir.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text
    return tag


def _found(fhir, tag, path, **query):
    answer = fhir.get(path, params={"_tag": f"urn:words|{tag}", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _ids(bundle):
    matches = (e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match")
    return [resource["id"].rpartition("-")[2] for resource in matches]


def test_words_give_scores(fhir, tag):
    bundle = _found(fhir, tag, "Condition", _text="bone")
    scores = [entry["search"]["score"] for entry in bundle["entry"]]

    assert _ids(bundle) == ["a", "b"]
    assert 1 > scores[0] > scores[1] > 0


def test_no_scores_in_another_order(fhir, tag):
    bundle = _found(fhir, tag, "Condition", _text="bone", _sort="_lastUpdated")

    assert _ids(bundle) == ["a", "b"]
    assert all("score" not in entry["search"] for entry in bundle["entry"])


@pytest.mark.parametrize(
    "query",
    [{"_text": "sprain"}, {"_content": "sprain"}, {"_content": "sprain", "_type": "Condition,Patient"}],
)
def test_words_in_the_whole_system(fhir, tag, query):
    assert _ids(_found(fhir, tag, "", **query)) == ["c"]


def test_a_functional_list_of_a_patient(fhir, tag):
    assert _ids(_found(fhir, tag, "Condition", _list="$current-problems", patient=f"{tag}-q")) == ["c"]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("Condition", 'subject.name co "eter"', "a"),
        ("Condition", 'patient.family eq "quinn"', "bc"),
        ("Condition", "subject.birthdate lt 1985", "bc"),
        ("Condition", "subject[active eq true].family sw pet", "a"),
        ("Condition", "subject[active eq false].family sw pet", ""),
        ("Condition", "subject[active eq true or birthdate lt 1985].birthdate gt 1970", "abc"),
        ("Condition", "not(subject[active eq true].family pr true)", "bc"),
        ("Condition", "subject:Patient[name co inn].active eq false and clinical-status eq active", "c"),
    ],
)
def test_a_filter_follows_references(fhir, tag, path, text, expected):
    assert sorted(_ids(_found(fhir, tag, path, _filter=text))) == list(expected)
