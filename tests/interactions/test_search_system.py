"""search of the whole system over HTTP: https://hl7.org/fhir/R4/http.html#search."""

import uuid
from urllib.parse import parse_qs, urlsplit

import pytest

TAG = "urn:test:system"


def tagged(type_, tag, **more):
    return {"resourceType": type_, "meta": {"tag": [{"system": TAG, "code": tag}]}, **more}


@pytest.fixture(scope="module")
def tag(fhir):
    """Two patients, three observations, a device."""
    tag = uuid.uuid4().hex
    code = {"coding": [{"system": "urn:c", "code": "x"}]}
    for resource in (
        tagged("Patient", tag, gender="male"),
        tagged("Observation", tag, status="final", code=code),
        tagged("Patient", tag, gender="female"),
        tagged("Observation", tag, status="final", code=code),
        tagged("Device", tag),
        tagged("Observation", tag, status="amended", code=code),
    ):
        assert fhir.post(resource["resourceType"], json=resource).status_code == 201
    return tag


def matches(answer):
    assert answer.status_code == 200, answer.text
    return [e["resource"] for e in answer.json().get("entry", []) if e["search"]["mode"] == "match"]


def link(bundle, relation):
    return next((row["url"] for row in bundle["link"] if row["relation"] == relation), None)


NEWEST_FIRST = ["Observation", "Device", "Observation", "Patient", "Observation", "Patient"]


@pytest.mark.parametrize(
    ("query", "types"),
    [
        ("", NEWEST_FIRST),
        ("_sort=_lastUpdated", NEWEST_FIRST[::-1]),
        ("_type=Patient,Observation,Device", NEWEST_FIRST),
        ("_type=Patient,Device", ["Device", "Patient", "Patient"]),
        ("_type=Observation", ["Observation"] * 3),
        ("_type=Observation&status=final&code=urn:c%7Cx", ["Observation"] * 2),
        ("_type=Observation&status:not=final", ["Observation"]),
        ("_type=Patient,Basic&_id=nobody", []),
        ("_type=Basic,Flag", []),
    ],
)
def test_types(fhir, tag, query, types):
    by_get = matches(fhir.get(f"?_tag={TAG}%7C{tag}&{query}"))
    assert [r["resourceType"] for r in by_get] == types
    by_post = fhir.post(
        "_search", data={"_tag": f"{TAG}|{tag}", **dict(p.split("=") for p in [])}, params=query
    )
    assert matches(by_post) == by_get


def test_pages_hold_everything_once(fhir, tag):
    url = f"?_tag={TAG}%7C{tag}&_count=2"
    pages = []
    while url:
        bundle = fhir.get(url).json()
        pages.append([e["resource"]["resourceType"] for e in bundle["entry"]])
        url = link(bundle, "next")
    assert pages == [NEWEST_FIRST[:2], NEWEST_FIRST[2:4], NEWEST_FIRST[4:]]
    before = fhir.get(link(bundle, "previous")).json()
    assert [e["resource"]["resourceType"] for e in before["entry"]] == NEWEST_FIRST[2:4]
    first = fhir.get(link(bundle, "first")).json()
    assert [e["resource"]["resourceType"] for e in first["entry"]] == NEWEST_FIRST[:2]


def test_a_page_link_of_one_type_is_followed(fhir, tag):
    bundle = fhir.get(f"?_type=Observation&_tag={TAG}%7C{tag}&_count=2").json()
    assert len(matches(fhir.get(link(bundle, "next")))) == 1


def test_totals_and_shapes(fhir, tag):
    where = f"?_tag={TAG}%7C{tag}"
    assert fhir.get(f"{where}&_summary=count").json()["total"] == 6
    assert fhir.get(f"{where}&_total=accurate&_count=1").json()["total"] == 6
    for resource in matches(fhir.get(f"{where}&_elements=status")):
        assert "code" not in resource or resource["resourceType"] == "Observation"
        assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED"


def test_the_self_link_names_the_types(fhir, tag):
    bundle = fhir.get(f"?_type=Patient,Device&_tag={TAG}%7C{tag}").json()
    query = parse_qs(urlsplit(link(bundle, "self")).query)
    assert query == {"_type": ["Patient,Device"], "_tag": [f"{TAG}|{tag}"], "_count": ["50"]}
    assert matches(fhir.get(link(bundle, "self"))) == [e["resource"] for e in bundle["entry"]]


@pytest.mark.parametrize(
    "query",
    [
        "_type=Patient,Nothing",
        "_type=Patient&_type=Device",
        "_type=,",
        "gender=male",
        "_type=Patient,Observation&gender=male",
        "_type=Patient,Observation&_sort=birthdate",
        "colour=red",
    ],
)
def test_refused(fhir, query):
    answer = fhir.get(f"?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["diagnostics"]


def test_lenience_ignores_and_says_so(fhir, tag):
    answer = fhir.get(f"?_tag={TAG}%7C{tag}&gender=male", headers={"Prefer": "handling=lenient"})
    assert len(matches(answer)) == 6
    bundle = answer.json()
    assert bundle["entry"][-1]["search"]["mode"] == "outcome"
    assert "gender" not in link(bundle, "self")


def test_other_methods(fhir):
    assert fhir.put("", json={}).status_code == 405
