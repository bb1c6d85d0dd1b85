"""search of a type over HTTP: https://hl7.org/fhir/R4/search.html. The engine has its own tests in tests/search."""

import uuid
from urllib.parse import parse_qs, urlsplit

import pytest


def observation(tag, number, patient="camille", **more):
    return {
        "resourceType": "Observation",
        "meta": {"tag": [{"system": "urn:test", "code": tag}]},
        "identifier": [{"system": "urn:test:obs", "value": f"{tag}-{number}"}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2024-01-{number + 1:02d}T08:00:00Z",
        "valueQuantity": {
            "value": 60 + number,
            "unit": "beats/minute",
            "system": "http://unitsofmeasure.org",
            "code": "/min",
        },
        **more,
    }


@pytest.fixture(scope="module")
def tag(fhir):
    tag = uuid.uuid4().hex
    for number in range(25):
        patient = "camille" if number % 5 else "noah"
        assert fhir.post("Observation", json=observation(tag, number, patient)).status_code == 201
    return tag


def found(answer):
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    return [e["resource"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match"]


def link(bundle, relation):
    return next((row["url"] for row in bundle["link"] if row["relation"] == relation), None)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"patient": "Patient/noah"}, 5),
        ({"patient": "noah"}, 5),
        ({"subject": "Patient/noah"}, 5),
        ({"subject:Patient": "noah"}, 5),
        ({"patient": "noah,camille"}, 25),
        ({"code": "http://loinc.org|8867-4"}, 25),
        ({"code": "8867-4"}, 25),
        ({"code": "http://loinc.org|8310-5"}, 0),
        ({"status": "final"}, 25),
        ({"status:not": "final"}, 0),
        ({"date": "2024-01-03"}, 1),
        ({"date": "ge2024-01-20"}, 6),
        ({"date": ["ge2024-01-05", "lt2024-01-10"]}, 5),
        ({"value-quantity": "gt80"}, 4),
        ({"value-quantity": "le61|http://unitsofmeasure.org|/min"}, 2),
        ({"value-quantity": "60|http://unitsofmeasure.org|kg"}, 0),
        ({"patient": "noah", "code": "http://loinc.org|8867-4", "date": "ge2024-01-10"}, 3),
    ],
)
def test_parameters(fhir, tag, query, count):
    bundle = fhir.get("Observation", params={**query, "_tag": f"urn:test|{tag}", "_count": "100"})
    assert len(found(bundle)) == count
    form = fhir.post("Observation/_search", data={**query, "_tag": f"urn:test|{tag}", "_count": "100"})
    assert found(form) == found(bundle)


@pytest.mark.parametrize(
    "sort", ["date", "-date", "-_lastUpdated", "_id", "-value-quantity", "patient,-date"]
)
def test_pages_hold_every_match_once_in_order(fhir, tag, sort):
    whole = found(fhir.get("Observation", params={"_tag": tag, "_sort": sort, "_count": "100"}))
    assert len(whole) == 25
    gathered = []
    url = f"Observation?_tag={tag}&_sort={sort}&_count=7"
    while url:
        answer = fhir.get(url)
        rows = found(answer)
        assert 0 < len(rows) <= 7
        gathered += rows
        url = link(answer.json(), "next")
        assert url is None or url.startswith(str(fhir.base_url))
    assert [r["id"] for r in gathered] == [r["id"] for r in whole]


def test_sorted_by_date(fhir, tag):
    rows = found(fhir.get("Observation", params={"_tag": tag, "_sort": "-date", "_count": "100"}))
    dates = [r["effectiveDateTime"] for r in rows]
    assert dates == sorted(dates, reverse=True)


def test_the_self_link_says_what_was_done(fhir, tag):
    bundle = fhir.get("Observation", params={"_tag": tag, "patient": "noah"}).json()
    parts = urlsplit(link(bundle, "self"))
    assert parts.path.endswith("/Observation")
    query = parse_qs(parts.query)
    assert query["_tag"] == [tag]
    assert query["patient"] == ["noah"]
    assert query["_count"] == ["50"]
    assert found(fhir.get(link(bundle, "self"))) == [e["resource"] for e in bundle["entry"]]


def test_entries_have_full_urls_and_stored_content(fhir, tag):
    bundle = fhir.get("Observation", params={"_tag": tag, "_count": "1"}).json()
    [entry] = bundle["entry"]
    assert entry["fullUrl"] == f"{fhir.base_url}Observation/{entry['resource']['id']}"
    assert entry["resource"] == fhir.get(f"Observation/{entry['resource']['id']}").json()


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", None),
        ("&_total=none", None),
        ("&_total=accurate", 25),
        ("&_total=estimate", 25),
        ("&_summary=count", 25),
    ],
)
def test_totals(fhir, tag, query, total):
    bundle = fhir.get(f"Observation?_tag={tag}&_count=3{query}").json()
    assert bundle.get("total") == total


@pytest.mark.parametrize("query", ["_count=0", "_summary=count"])
def test_counting_only_returns_no_entries(fhir, tag, query):
    bundle = fhir.get(f"Observation?_tag={tag}&{query}").json()
    assert bundle["total"] == 25
    assert "entry" not in bundle


@pytest.mark.parametrize(
    "query",
    [
        "date=yesterday",
        "date=2024-13-01",
        "date=xx2024",
        "value-quantity=abc",
        "_count=x",
        "_count=-1",
        "_sort=colour",
        "_total=some",
        "code:above=x",
        "subject.colour=x",
        "_has:Observation:patient:colour=x",
        "_include=Observation:code",
        "_lastUpdated=x",
        "code=a%5C",
        "_filter=code is x",
        "_text=(x",
        "_content=!",
        "_query=x",
        "code-value-quantity=a$b",
        "_at=then",
    ],
)
def test_what_is_malformed_or_not_supported_is_400(fhir, query):
    answer = fhir.get(f"Observation?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["diagnostics"]


def test_a_forged_page_link_is_404(fhir):
    assert fhir.get("Observation?_cursor=forged").status_code == 404


def test_get_and_post_parameters_are_merged(fhir, tag):
    answer = fhir.post(f"Observation/_search?_tag={tag}", data={"patient": "noah"})
    assert len(found(answer)) == 5


def test_search_on_a_post_needs_a_form(fhir):
    answer = fhir.post("Observation/_search", json={"code": "x"})
    assert answer.status_code == 415


def test_an_updated_resource_is_found_by_its_new_values_only(fhir):
    tag = uuid.uuid4().hex
    made = fhir.post("Observation", json=observation(tag, 1, status="preliminary")).json()
    fhir.put(f"Observation/{made['id']}", json={**made, "status": "amended"})
    assert found(fhir.get("Observation", params={"_tag": tag, "status": "preliminary"})) == []
    assert len(found(fhir.get("Observation", params={"_tag": tag, "status": "amended"}))) == 1


def test_a_type_without_resources_is_an_empty_bundle(fhir):
    bundle = fhir.get("SubstancePolymer").json()
    assert bundle["type"] == "searchset"
    assert "entry" not in bundle
