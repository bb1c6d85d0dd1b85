"""Outcomes in the language that the client asks for, over HTTP."""

from __future__ import annotations

import pytest

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
ENGLISH = "The code must be one of: female, male, other, unknown."
FRENCH = "Le code doit être l'un de ceux-ci : female, male, other, unknown."
WRONG = {"resourceType": "Patient", "gender": "femme"}


def translation(issue):
    [extension] = issue["_diagnostics"]["extension"]
    assert extension["url"] == TRANSLATION
    return {part["url"]: part.get("valueCode", part.get("valueString")) for part in extension["extension"]}


def test_english_without_a_wish(fhir):
    answer = fhir.post("/Patient", json=WRONG)
    outcome = answer.json()
    assert "language" not in outcome
    assert outcome["issue"][0]["diagnostics"] == ENGLISH
    assert translation(outcome["issue"][0]) == {"lang": "fr", "content": FRENCH}
    assert "accept-language" in answer.headers["vary"].lower()


@pytest.mark.parametrize("path", ["/Patient", "/Patient/$validate"])
def test_french_when_it_is_asked_for(fhir, path):
    answer = fhir.post(path, json=WRONG, headers={"accept-language": "fr-FR, en;q=0.5"})
    outcome = answer.json()
    assert outcome["language"] == "fr"
    assert outcome["issue"][0]["diagnostics"] == FRENCH
    assert translation(outcome["issue"][0]) == {"lang": "en", "content": ENGLISH}


def test_the_next_request_has_its_own_language(fhir):
    fhir.post("/Patient", json=WRONG, headers={"accept-language": "fr"})
    answer = fhir.post("/Patient", json=WRONG)
    assert answer.json()["issue"][0]["diagnostics"] == ENGLISH


def test_entries_of_a_batch_and_xml_too(fhir):
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"resource": WRONG, "request": {"method": "POST", "url": "Patient"}}],
    }
    answer = fhir.post("/", json=bundle, headers={"accept-language": "fr"})
    assert answer.json()["entry"][0]["response"]["outcome"]["issue"][0]["diagnostics"] == FRENCH
    headers = {"accept-language": "fr", "accept": "application/fhir+xml"}
    answer = fhir.post("/Patient", json=WRONG, headers=headers)
    assert "<diagnostics value=\"Le code doit être l'un" in answer.text
    assert '<valueString value="The code must be one of' in answer.text
