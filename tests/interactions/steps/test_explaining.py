"""_explain=true tells how a search was run, where the settings allow it."""

import json

import pytest


@pytest.fixture(scope="module")
def explained(site_with):
    with site_with({"search.explain": True}) as site:
        for number in range(60):
            body = {
                "resourceType": "Observation",
                "id": f"e{number}",
                "status": "final",
                "effectiveDateTime": f"2024-01-01T00:00:{number:02d}Z",
                "subject": {"reference": "Patient/anne"},
                "code": {"coding": [{"system": "urn:c", "code": f"c{number % 2}"}]},
            }
            assert site.put(f"fhir/Observation/e{number}", json=body).status_code == 201
        site.put("fhir/Patient/anne", json={"resourceType": "Patient", "id": "anne", "gender": "female"})

        def ask(path):
            answer = site.get(f"fhir/{path}")
            assert answer.status_code == 200, answer.text
            bundle = answer.json()
            [outcome] = [e["resource"] for e in bundle["entry"] if e["search"]["mode"] == "outcome"]
            return bundle, [json.loads(issue["diagnostics"]) for issue in outcome["issue"]]

        yield ask


def test_explain_is_an_unknown_parameter_by_default(fhir):
    for path in ("Patient?_explain=true", "?_explain=true"):
        answer = fhir.get(path)
        assert answer.status_code == 400
        assert "_explain" in answer.json()["issue"][0]["diagnostics"]


def test_a_search_tells_index_keys_filter_and_time(explained):
    bundle, [told] = explained("Observation?patient=anne&code=urn:c%7Cc1&_count=10&_explain=true")
    assert (told["type"], told["index"], told["keys"], told["documents"], told["rows"], told["sorted"]) == (
        "Observation", "p_code_s", 11, 11, 11, False,
    )  # fmt: skip
    assert told["filter"] == {"p": "anne", "i.code": "c1|" + told["filter"]["i.code"].partition("|")[2]}
    assert told["ms"] >= 0
    assert told["explained"].startswith(
        "Observation, matches: 11 keys of the index 'p_code_s' and 11 documents were read for 11 rows in "
    )
    assert not any("_explain" in link["url"] for link in bundle["link"])


def test_a_query_that_reads_much_for_little_says_so(explained):
    _, [told] = explained("Observation?status=amended&_explain=true")
    assert (told["index"], told["keys"], told["rows"]) == ("lu", 60, 0)
    assert "more selective criterion" in told["explained"]


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("Observation?patient=anne&_summary=count", {("Observation", "number of matches")}),
        ("Observation?patient=anne&_sort=code", {("Observation", "computed values")}),
        (
            "Observation?patient=anne&_total=accurate",
            {("Observation", "number of matches"), ("Observation", "matches")},
        ),
        ("Observation?patient.gender=female", {("Patient", "matches"), ("Observation", "matches")}),
        ("?_lastUpdated=ge2020", {("Patient", "matches"), ("Observation", "matches")}),
        ("Patient/anne/*?_type=Observation", {("Observation", "matches")}),
    ],
)
def test_every_query_of_every_kind_of_search_is_explained(explained, path, queries):
    _, told = explained(f"{path}{'&' if '?' in path else '?'}_explain=true")
    assert {(one["type"], one["query"]) for one in told} == queries
    assert all(one["keys"] >= 0 and one["explained"] for one in told)
