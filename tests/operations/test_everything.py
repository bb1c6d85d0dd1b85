"""Patient/[id]/$everything and Encounter/[id]/$everything over HTTP."""

from __future__ import annotations

import itertools

import httpx
import pytest

_numbers = itertools.count(1)


@pytest.fixture
def record(fhir: httpx.Client) -> dict[str, str]:
    """A patient with an encounter, observations of two years, what they refer to, and another patient's."""
    made = {}
    mark = f"ev{next(_numbers)}"

    def put(name: str, resource: dict) -> None:
        body = {**resource, "id": f"{mark}-{name}"}
        assert fhir.put(f"{body['resourceType']}/{body['id']}", json=body).status_code == 201
        made[name] = f"{body['resourceType']}/{body['id']}"

    put("org", {"resourceType": "Organization", "name": "Group"})
    put("clinic", {"resourceType": "Organization", "name": "Clinic", "partOf": {"reference": made["org"]}})
    put("doctor", {"resourceType": "Practitioner", "name": [{"family": "Sel"}]})
    put("patient", {"resourceType": "Patient", "managingOrganization": {"reference": made["clinic"]}})
    put("other", {"resourceType": "Patient"})
    subject = {"subject": {"reference": made["patient"]}}
    coded = {"code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "status": "final"}
    put("visit", {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}, **subject,
                  "period": {"start": "2021-03-01", "end": "2021-03-02"}})  # fmt: skip
    put("file", {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="})
    put("letter", {"resourceType": "DocumentReference", "status": "current", **subject, "date": "2021-03-02T10:00:00Z",
                   "content": [{"attachment": {"url": made["file"]}}]})  # fmt: skip
    for year in (2020, 2021):
        put(f"rate{year}", {"resourceType": "Observation", **coded, **subject, "effectiveDateTime": f"{year}-03-01",
                            "performer": [{"reference": made["doctor"]}],
                            "encounter": {"reference": made["visit"]}})  # fmt: skip
    put("foreign", {"resourceType": "Observation", **coded, "subject": {"reference": made["other"]}})
    put("undated", {"resourceType": "AllergyIntolerance", "patient": {"reference": made["patient"]},
                    "clinicalStatus": {"coding": [{"code": "active",
                     "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"}]}})  # fmt: skip
    return made


def names(bundle: dict, mode: str = "") -> set[str]:
    """Return Type/id of the entries of a mode, all without one."""
    return {
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in bundle.get("entry", ())
        if mode in ("", entry["search"]["mode"])
    }


def chosen(record: dict[str, str], text: str) -> set[str]:
    return {record[name] for name in text.split()}


def test_the_whole_record(fhir, record):
    answer = fhir.get(f"{record['patient']}/$everything")
    bundle = answer.json()
    assert answer.status_code == 200
    assert (bundle["type"], bundle["total"]) == ("searchset", 6)
    assert names(bundle, "match") == chosen(record, "patient visit letter rate2020 rate2021 undated")
    assert names(bundle, "include") == chosen(record, "clinic org doctor file")
    assert bundle["link"] == [{"relation": "self", "url": str(answer.url).replace("%24", "$")}]
    assert all(entry["fullUrl"].endswith(entry["resource"]["id"]) for entry in bundle["entry"])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("_type=Observation", "rate2020 rate2021"),
        ("_type=Patient,AllergyIntolerance&_type=Encounter", "patient undated visit"),
        ("_type=Practitioner,Observation", "doctor rate2020 rate2021"),
        ("_type=Organization", "clinic org"),
        ("start=2021&_type=Observation,AllergyIntolerance,DocumentReference", "rate2021 undated letter"),
        ("end=2020-12-31&_type=Observation,Encounter", "rate2020"),
        ("start=2020-03-01&end=2020-03&_type=Observation", "rate2020"),
        ("_since=2999-01-01T00:00:00Z", "patient clinic org"),
        ("_since=2020-01-01T00:00:00Z&_type=Observation", "rate2020 rate2021"),
    ],
)
def test_parameters(fhir, record, query, found):
    assert names(fhir.get(f"{record['patient']}/$everything?{query}").json()) == chosen(record, found)


def test_since_the_last_time(fhir, record):
    last = fhir.get(record["letter"]).json()["meta"]["lastUpdated"]
    found = names(fhir.get(f"{record['patient']}/$everything", params={"_since": last}).json())
    assert chosen(record, "rate2020 rate2021 undated") <= found
    assert record["file"] in found  # the letter is of this very moment
    assert record["visit"] in found  # what changed refers to it


def test_post(fhir, record):
    parameters = [{"name": "_type", "valueCode": "Observation"}, {"name": "start", "valueDate": "2021"}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    found = fhir.post(f"{record['patient']}/$everything", json=body)
    assert names(found.json()) == chosen(record, "rate2021")
    xml = fhir.post(
        f"{record['patient']}/$everything",
        content='<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="_type"/>'
        '<valueCode value="Encounter"/></parameter></Parameters>',
        headers={"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"},
    )
    assert xml.text.count("<Encounter>") == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7])
def test_pages(fhir, record, count):
    """Each member is on one page, none of them has more than asked for, and no page is empty."""
    url, matches, includes = f"{record['patient']}/$everything?_count={count}", [], set()
    while url:
        bundle = fhir.get(url).json()
        assert 1 <= len(names(bundle, "match")) <= count
        matches += names(bundle, "match")
        includes |= names(bundle, "include")
        url = next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
    assert sorted(matches) == sorted(chosen(record, "patient visit letter rate2020 rate2021 undated"))
    assert includes == chosen(record, "clinic org doctor file") | (includes & set(matches))


def test_a_page_link_is_for_one_record(fhir, record):
    links = fhir.get(f"{record['patient']}/$everything?_count=1").json()["link"]
    url = next(link["url"] for link in links if link["relation"] == "next")
    assert fhir.get(url.replace(record["patient"], record["other"])).status_code == 404


def test_an_encounter(fhir, record):
    bundle = fhir.get(f"{record['visit']}/$everything").json()
    assert names(bundle, "match") == chosen(record, "visit rate2020 rate2021")
    assert names(bundle, "include") == chosen(record, "patient doctor clinic org")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient/nobody/$everything", 404, "not-found"),
        ("Patient/$everything", 404, "not-supported"),
        ("Observation/x/$everything", 404, "not-supported"),
        ("{patient}/$everything?_count=0", 400, "value"),
        ("{patient}/$everything?_count=-1", 400, "value"),
        ("{patient}/$everything?_count=many", 400, "value"),
        ("{patient}/$everything?_type=Nothing", 400, "value"),
        ("{patient}/$everything?start=yesterday", 400, "value"),
        ("{patient}/$everything?_since=now", 400, "value"),
        ("{patient}/$everything?code=1", 400, "not-supported"),
        ("{visit}/$everything?start=2020", 400, "not-supported"),
        ("{patient}/$everything?_cursor=abc", 404, "not-found"),
    ],
)
def test_what_is_refused(fhir, record, path, status, code):
    answer = fhir.get(path.format(**record))
    assert answer.status_code == status
    assert answer.json()["issue"][0]["code"] == code


def test_a_deleted_patient(fhir, record):
    assert fhir.delete(record["other"]).status_code in (200, 204)
    assert fhir.get(f"{record['other']}/$everything").status_code == 410
