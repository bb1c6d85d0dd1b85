"""Which index leads, by counts, and _explain where the settings allow it."""

from fhir_server.interactions.steps.asking import Asked, Place
from fhir_server.interactions.steps.leading import to_explain


def test_explain_is_an_unknown_parameter_by_default(fhir):
    answer = fhir.get("Patient?_explain=true")
    assert answer.status_code == 400
    assert "_explain" in answer.json()["issue"][0]["diagnostics"]


def test_explain_is_taken_out_where_it_is_allowed():
    class Allowed:
        class policy:  # noqa: N801 (stands for an attribute)
            explain = True

    wanted = Asked(Place("Patient"), (("_explain", "true"), ("name", "x")))
    assert to_explain(Allowed, wanted) == (Asked(Place("Patient"), (("name", "x"),)), [])


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
