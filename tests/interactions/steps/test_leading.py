"""Which index leads, by counts."""


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
