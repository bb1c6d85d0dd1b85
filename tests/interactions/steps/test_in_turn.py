"""A record is paged type after type: nothing lost, nothing twice, back the same way."""

import json

import pytest

COUNTS = {
    "AllergyIntolerance": 3,
    "Condition": 7,
    "Encounter": 1,
    "Observation": 12,
    "Patient": 1,
    "RelatedPerson": 2,
}


def _active(name):
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{name}", "code": "active"}]}


@pytest.fixture(scope="module")
def fhir(site_with):
    about = {"reference": "Patient/p"}
    kinds = {
        "AllergyIntolerance": {"patient": about, "clinicalStatus": _active("allergyintolerance-clinical")},
        "Condition": {"subject": about, "clinicalStatus": _active("condition-clinical")},
        "Encounter": {"status": "planned", "class": {"code": "AMB"}, "subject": about},
        "Observation": {"status": "final", "code": {"text": "x"}, "subject": about},
        "Patient": {},
        "RelatedPerson": {"patient": about},
    }
    with site_with({"search.explain": True}) as site:
        entries = []
        for type_, content in kinds.items():
            for n in range(COUNTS[type_]):
                id_ = "p" if type_ == "Patient" else f"{type_[0].lower()}{n}"
                dated = (
                    {"effectiveDateTime": f"2024-01-{1 + n % 5:02}"}
                    if type_ == "Observation" and n % 4
                    else {}
                )
                resource = {"resourceType": type_, "id": id_, **content, **dated}
                entries.append({"resource": resource, "request": {"method": "PUT", "url": f"{type_}/{id_}"}})
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        assert site.post("fhir", json=bundle).status_code == 200
        yield lambda path: site.get(f"fhir/{path}").json()


def ids(bundle):
    entries = [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
    return [f"{r['resourceType']}/{r['id']}" for r in entries]


def links(bundle):
    return {link["relation"]: link["url"].partition("/fhir/")[2] for link in bundle["link"]}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 10, 13, 25, 26, 27])
@pytest.mark.parametrize("types", ["", "&_type=Observation,Patient,AllergyIntolerance"])
def test_pages_of_a_record(fhir, count, types):
    whole = fhir(f"Patient/p/*?_count=100{types}")
    expected = ids(whole)
    asked = types.partition("=")[2].split(",") if types else list(COUNTS)
    assert [one.partition("/")[0] for one in expected] == [t for t in asked for _ in range(COUNTS[t])]
    assert whole["total"] == len(expected)
    assert "next" not in links(whole)

    pages = [fhir(f"Patient/p/*?_count={count}{types}")]
    while "next" in links(pages[-1]):
        pages.append(fhir(links(pages[-1])["next"]))
    assert [id_ for page in pages for id_ in ids(page)] == expected
    assert all(0 < len(ids(page)) <= count for page in pages)
    back = [pages[-1]]
    while "previous" in links(back[-1]):
        back.append(fhir(links(back[-1])["previous"]))
    assert [id_ for page in reversed(back) for id_ in ids(page)] == expected
    assert ids(fhir(links(back[-1])["next"])) == ids(back[-2]) if len(back) > 1 else True


def test_a_record_in_the_order_of_its_last_updates(fhir):
    bundle = fhir("Patient/p/*?_count=100&_sort=-_lastUpdated")
    assert sorted(ids(bundle)) == sorted(ids(fhir("Patient/p/*?_count=100")))
    assert fhir("Patient/p/*?_total=accurate&_count=2")["total"] == sum(COUNTS.values())
    assert fhir("Patient/p/*?_summary=count")["total"] == sum(COUNTS.values())


def test_a_page_reads_what_it_shows(fhir):
    bundle = fhir("Patient/p/*?_count=5&_explain=true")
    [outcome] = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    plans = [json.loads(issue["diagnostics"]) for issue in outcome["issue"]]
    assert {plan["type"] for plan in plans} == {"AllergyIntolerance", "Condition"}  # the page is full then
    assert sum(plan["documents"] for plan in plans) <= 12
