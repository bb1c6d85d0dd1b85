"""search of compartments over HTTP: https://hl7.org/fhir/R4/http.html#search."""

import uuid

import pytest


@pytest.fixture(scope="module")
def person(fhir):
    """A patient with two observations, an encounter, and an observation of somebody else."""
    id_ = uuid.uuid4().hex
    code = {"coding": [{"system": "urn:c", "code": "x"}]}
    other, doctor = f"{id_}-2", f"{id_}-d"
    about = {"subject": {"reference": f"Patient/{id_}"}}
    for resource in (
        {"resourceType": "Patient", "id": id_},
        {"resourceType": "Patient", "id": other},
        {"resourceType": "Practitioner", "id": doctor},
        {"resourceType": "Encounter", "id": id_, "status": "planned", "class": {"code": "AMB"}, **about},
        {"resourceType": "Observation", "id": f"{id_}-1", "status": "final", "code": code, **about},
        {
            "resourceType": "Observation",
            "id": f"{id_}-2",
            "status": "amended",
            "code": code,
            "encounter": {"reference": f"Encounter/{id_}"},
            **about,
        },
        {
            "resourceType": "Observation",
            "id": f"{id_}-3",
            "status": "final",
            "code": code,
            "subject": {"reference": f"Patient/{other}"},
            "performer": [{"reference": f"Practitioner/{doctor}"}],
        },
    ):
        answer = fhir.put(f"{resource['resourceType']}/{resource['id']}", json=resource)
        assert answer.status_code == 201, answer.text
    return id_


def found(answer, person):
    assert answer.status_code == 200, answer.text
    rows = (e["resource"] for e in answer.json().get("entry", []))
    return {f"{r['resourceType']}/{r['id'].removeprefix(person)}" for r in rows}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient/{}/Observation", {"Observation/-1", "Observation/-2"}),
        ("Patient/{}/Observation?status=final", {"Observation/-1"}),
        ("Patient/{}/Patient", {"Patient/"}),
        ("Patient/{}/*", {"Patient/", "Encounter/", "Observation/-1", "Observation/-2"}),
        ("Patient/{}/*?_type=Encounter,Patient", {"Patient/", "Encounter/"}),
        ("Patient/{}/*?_type=Observation&status=amended", {"Observation/-2"}),
        ("Encounter/{}/*", {"Encounter/", "Observation/-2"}),
        ("Practitioner/{}-d/*", {"Practitioner/-d", "Observation/-3"}),
        ("Practitioner/{}-d/Observation", {"Observation/-3"}),
        ("Patient/nobody/Observation", set()),
        ("Patient/nobody/*", set()),
    ],
)
def test_members(fhir, person, path, expected):
    path, _, query = path.format(person).partition("?")
    assert found(fhir.get(path, params=query), person) == expected
    assert found(fhir.post(f"{path}/_search", params=query), person) == expected


def test_post_without_a_member_searches_all(fhir, person):
    assert len(found(fhir.post(f"Patient/{person}/_search"), person)) == 4


def test_page_links_stay_in_the_compartment(fhir, person):
    for path in (f"Patient/{person}/Observation", f"Patient/{person}/*"):
        bundle = fhir.get(path, params={"_count": "1"}).json()
        url = next(row["url"] for row in bundle["link"] if row["relation"] == "next")
        assert f"/{path}?" in url
        seen = [bundle["entry"][0]["resource"]["id"]]
        while url:
            bundle = fhir.get(url).json()
            seen += [e["resource"]["id"] for e in bundle["entry"]]
            url = next((row["url"] for row in bundle["link"] if row["relation"] == "next"), None)
        assert len(seen) == len(found(fhir.get(path), person))
        stolen = bundle["link"][0]["url"].replace(person, f"{person}-2")
        assert "_cursor" in stolen or fhir.get(stolen).status_code == 200


def test_a_page_link_is_bound_to_its_compartment(fhir, person):
    bundle = fhir.get(f"Patient/{person}/Observation", params={"_count": "1"}).json()
    url = next(row["url"] for row in bundle["link"] if row["relation"] == "next")
    assert fhir.get(url.replace(f"Patient/{person}/", f"Patient/{person}-2/")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "Patient/x/Organization",
        "Organization/x/Patient",
        "Patient/x/Nothing",
        "Nothing/x/*",
        "Patient/x/*?_type=Location",
    ],
)
def test_what_is_no_member_is_404(fhir, path):
    answer = fhir.get(path)
    assert answer.status_code == 404, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_statement_lists_the_compartments(fhir):
    rest = fhir.get("metadata").json()["rest"][0]
    assert {url.rpartition("/")[2] for url in rest["compartment"]} == {
        "device", "encounter", "patient", "practitioner", "relatedPerson"
    }  # fmt: skip
    assert "search-system" in [row["code"] for row in rest["interaction"]]
