"""A _has that most resources meet: the same pages as by reading all its matches, by far fewer keys."""

import json

import pytest

from fhir_server.interactions.steps import linking

PATIENTS = 40


@pytest.fixture(scope="module")
def fhir(site_with):
    def put(type_, id_, **content):
        resource = {"resourceType": type_, "id": id_, **content}
        return {"resource": resource, "request": {"method": "PUT", "url": f"{type_}/{id_}"}}

    with site_with({"search.explain": True}) as site:
        for n in range(PATIENTS):
            entries = [put("Patient", f"p{n}", gender="female" if n % 3 else "male")]
            entries += [
                put("Observation", f"p{n}-{k}", status="final", subject={"reference": f"Patient/p{n}"},
                    code={"coding": [{"system": "urn:c", "code": "most" if n % 5 else "few"}]})
                for k in range(6)
            ]  # fmt: skip
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            assert site.post("fhir", json=bundle).status_code == 200
        yield lambda path: site.get(f"fhir/{path}").json()


def ids(bundle):
    return [e["resource"]["id"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]


def links(bundle):
    return {link["relation"]: link["url"].partition("/fhir/")[2] for link in bundle["link"]}


@pytest.mark.parametrize(
    "query",
    [
        "_has:Observation:patient:code=urn:c%7Cmost",
        "_has:Observation:patient:code=urn:c%7Cfew",
        "_has:Observation:patient:code=urn:c%7Cmost&gender:not=male",
        "_has:Observation:patient:code=urn:c%7Cmost&_has:Observation:patient:status=final",
        "_has:Observation:patient:code=urn:c%7Cmost&_sort=_lastUpdated",
        "_has:Observation:patient:code=urn:c%7Cmost&_sort=_id",
    ],
)
@pytest.mark.parametrize("count", [1, 3, 8, 13, 31, 32, 33, 100])
def test_pages_are_those_of_the_two_steps(fhir, query, count, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(linking, "FEW_MATCHES", 100_000)
        expected = ids(fhir(f"Patient?{query}&_count=1000"))
    assert expected

    pages = [fhir(f"Patient?{query}&_count={count}")]
    while "next" in links(pages[-1]):
        pages.append(fhir(links(pages[-1])["next"]))
    assert [id_ for page in pages for id_ in ids(page)] == expected
    assert all(len(ids(page)) == count for page in pages[:-1])
    back = [pages[-1]]
    while "previous" in links(back[-1]):
        back.append(fhir(links(back[-1])["previous"]))
    assert [id_ for page in reversed(back) for id_ in ids(page)] == expected


def test_it_reads_three_keys_for_each_patient_that_it_shows(fhir):
    bundle = fhir("Patient?_has:Observation:patient:code=urn:c%7Cmost&_count=20&_explain=true")
    [outcome] = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
    plans = [json.loads(issue["diagnostics"]) for issue in outcome["issue"]]
    assert len(ids(bundle)) == 20
    assert sum(plan["keys"] for plan in plans) <= 3 * 20 + 50
    assert sum(plan["documents"] for plan in plans if plan["type"] == "Observation") <= 20
