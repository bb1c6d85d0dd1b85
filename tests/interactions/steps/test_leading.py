"""Which index leads, by counts, by systems of bare codes, by the order alone."""

from fhir_server.interactions.steps import leading
from fhir_server.search import choosing


def test_several_criteria_find_the_same_whichever_leads(fhir):
    code = {"coding": [{"system": "urn:lead", "code": "common"}]}
    for number in range(5):
        made = {
            "resourceType": "Observation", "id": f"lead-{number}", "status": "final", "code": code,
            "performer": [{"reference": f"Organization/{'a' if number == 3 else 'b'}"}],
        }  # fmt: skip
        fhir.put(f"Observation/lead-{number}", json=made)
    answer = fhir.get("Observation?code=urn:lead%7Ccommon&performer=Organization/a")
    assert [e["resource"]["id"] for e in answer.json()["entry"]] == ["lead-3"]


def test_a_bare_code_finds_every_system_also_one_that_came_later(fhir):
    def put(id_, *codings):
        body = {"resourceType": "Observation", "id": id_, "status": "final", "code": {"coding": codings}}
        assert fhir.put(f"Observation/{id_}", json=body).status_code == 201

    def found(query="code=bare-1"):
        bundle = fhir.get(f"Observation?{query}&_total=accurate").json()
        ids = [entry["resource"]["id"] for entry in bundle.get("entry", ())]
        assert bundle["total"] == len(ids)
        return set(ids)

    assert found() == set()
    put("bare-a", {"system": "urn:a", "code": "bare-1"}, {"system": "urn:b", "code": "BARE-1"})
    put("bare-b", {"system": "urn:b", "code": "bare-1"})
    put("bare-c", {"code": "bare-1"})
    put("bare-d", {"system": "urn:a", "code": "bare-12"})
    assert found() == {"bare-a", "bare-b", "bare-c"}
    put("bare-e", {"system": "urn:e", "code": "bare-1"})
    assert found() == {"bare-a", "bare-b", "bare-c", "bare-e"}
    assert found("code=urn:a%7Cbare-12,bare-1") == {"bare-a", "bare-b", "bare-c", "bare-d", "bare-e"}


def test_many_matches_of_many_patients_are_met_by_their_last_update(fhir, monkeypatch):
    monkeypatch.setattr(choosing, "MOST_SCANS", 3)
    for number in range(12):
        made = {
            "resourceType": "Observation", "id": f"wide-{number}", "status": "final", "code": {"text": "x"},
            "subject": {"reference": f"Patient/wide-{number % 4}"}, "effectiveDateTime": f"2024-01-{12 - number:02d}",
        }  # fmt: skip
        fhir.put(f"Observation/wide-{number}", json=made)
    query = "Observation?patient=wide-0,wide-1,wide-2,wide-3&_count=5"

    def walk(path):
        found = []
        while path:
            bundle = fhir.get(path).json()
            found += [entry["resource"]["id"] for entry in bundle["entry"]]
            path = {link["relation"]: link["url"] for link in bundle["link"]}.get("next")
        return found

    assert walk(query) == [f"wide-{number}" for number in range(12)]  # by date
    monkeypatch.setattr(leading, "MOST_SORTED", 6)
    assert walk(query) == [f"wide-{number}" for number in reversed(range(12))]
    assert "_sort=-_lastUpdated" in fhir.get(query).json()["link"][0]["url"]
    assert walk(f"{query}&_sort=-date") == [f"wide-{number}" for number in range(12)]
