"""A search that reads everything is stopped in time, and the refusal says which criteria have an index."""

import time

import pytest

DOCUMENTS = 120_000


@pytest.fixture(scope="module")
def large(site_with, mongo_client, module_database_name):
    """A site whose searches may take 100 ms, with so many documents that reading all of them takes longer."""
    with site_with({"search.time_limit_ms": 100}) as site:
        made = {"resourceType": "Observation", "id": "one", "status": "final", "code": {"text": "x"},
                "subject": {"reference": "Patient/p"}}  # fmt: skip
        assert site.put("fhir/Observation/one", json=made).status_code == 201
        observations = mongo_client[module_database_name]["Observation"]
        like = observations.find_one({"_id": "one"}, {"p": 0})
        for start in range(0, DOCUMENTS, 10_000):
            observations.insert_many(
                {**like, "_id": f"n{n}", "lu": like["lu"] - n - 1} for n in range(start, start + 10_000)
            )
        yield lambda query: site.get(f"fhir/Observation?{query}")


@pytest.mark.parametrize(
    "query",
    [
        "status=amended",
        "code:not=y&status=amended",
        "value-string=none&_summary=count",
        "status=final&_sort=status",
    ],
)
def test_what_would_read_everything_is_refused_with_advice(large, query):
    began = time.perf_counter()
    answer = large(query)
    assert time.perf_counter() - began < 60  # not hung: the limit of a search is far below
    assert answer.status_code == 422, answer.text[:300]
    [issue] = answer.json()["issue"]
    assert issue["code"] == "too-costly"
    assert issue["diagnostics"].startswith(
        "The search took too long and was stopped. No index serves its criteria, so every Observation would have to be "
        "read. Add a criterion with an index: _id, _lastUpdated, patient, code, identifier, "
    )


def test_a_page_that_fills_early_is_answered_and_so_is_what_has_an_index(large):
    assert len(large("status=final&_count=5").json()["entry"]) == 5
    assert [entry["resource"]["id"] for entry in large("patient=p&status=final").json()["entry"]] == ["one"]


def test_what_has_an_index_and_finds_too_much_is_told_to_be_narrowed(large):
    issue = large("_lastUpdated=ge2000&status=amended").json()["issue"][0]
    assert (
        "Its criteria find too much. Narrow it by further ones; these have an index: _id"
        in issue["diagnostics"]
    )
