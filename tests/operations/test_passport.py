"""Patient/[id]/$passport over HTTP, with the examples of the health space."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from fhir_server.definitions.content import examples_that_pass

_numbers = itertools.count(1)
CAMILLE = "Patient/camille-exemple"
LOINC = "http://loinc.org"


@pytest.fixture(scope="session")
def space(fhir):
    """The examples, stored."""
    for type_, id_, body in examples_that_pass():
        headers = {"Content-Type": "application/fhir+json"}
        answer = fhir.put(f"{type_}/{id_}", content=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
    return fhir


def sections(bundle):
    assert bundle["type"] == "document"
    composition = bundle["entry"][0]["resource"]
    assert composition["resourceType"] == "Composition"
    return {section["title"]: section for section in composition["section"]}


def types(bundle):
    return {entry["resource"]["resourceType"] for entry in bundle["entry"]}


def test_the_document(space):
    answer = space.get(f"{CAMILLE}/$passport", headers={"Accept-Language": "en"})
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    found = sections(bundle)
    assert list(found) == [
        "Identity", "Persons to warn", "Allergies and intolerances", "Problems", "Medications", "Latest measures",
        "Organ donation", "Documents",
    ]  # fmt: skip
    assert bundle["entry"][0]["resource"]["type"]["coding"][0]["code"] == "60591-5"
    assert "emptyReason" in found["Problems"]
    assert len(found["Persons to warn"]["entry"]) >= 1
    assert "EXEMPLE" in found["Identity"]["text"]["div"]
    assert "national register" in found["Organ donation"]["text"]["div"]
    assert not {"Binary", "ExplanationOfBenefit"} & types(bundle)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    named = [row["reference"] for section in found.values() for row in section.get("entry", ())]
    assert set(named) <= set(urls)


def test_it_is_valid(space):
    bundle = space.get(f"{CAMILLE}/$passport?language=fr").json()
    issues = space.post("Bundle/$validate", json=bundle).json()["issue"]
    assert [issue for issue in issues if issue["severity"] in ("error", "fatal")] == []


def test_language_and_sections(space):
    bundle = space.get(f"{CAMILLE}/$passport?language=fr&sections=wish,measures").json()
    assert list(sections(bundle)) == ["Dernières mesures", "Don d'organes"]
    assert bundle["entry"][0]["resource"]["language"] == "fr"
    paid = space.get(f"{CAMILLE}/$passport?sections=reimbursements").json()
    assert "ExplanationOfBenefit" in types(paid)
    files = space.get(f"{CAMILLE}/$passport?sections=documents,binaries").json()
    assert "Binary" in types(files)
    parameters = [{"name": "sections", "valueString": "identity"}, {"name": "language", "valueCode": "fr"}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    assert list(sections(space.post(f"{CAMILLE}/$passport", json=body).json())) == ["Identité"]
    xml = space.get(f"{CAMILLE}/$passport", headers={"Accept": "application/fhir+xml"})
    assert '<type value="document"/>' in xml.text


def test_measures_are_the_latest(space):
    bundle = space.get(f"{CAMILLE}/$passport?sections=measures").json()
    measures = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Observation"]
    codes = [measure["code"]["coding"][0]["code"] for measure in measures]
    assert codes
    assert len(codes) == len(set(codes))


class _Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize(("language", "first", "other"), [("fr", "Allergies et intolérances", "Allergies and intolerances"),
                                                          ("en", "Persons to warn", "Personnes à prévenir")])  # fmt: skip
def test_the_page(space, language, first, other):
    accept = "text/html,application/xhtml+xml,*/*;q=0.8"
    answer = space.get(f"{CAMILLE}/$passport?language={language}", headers={"Accept": accept})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    page = _Page(answer.text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "form", "a"}
    assert ("html", {"lang": language}) in page.tags
    text = "".join(page.texts)
    assert text.index(first) < text.index(other)
    assert not re.search(r"\son\w+=", answer.text)


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        ("text/html", True),
        ("application/xhtml+xml;q=0.9,application/fhir+json;q=0.1", True),
        ("application/fhir+json, text/html", False),
        ("text/html;q=0.5, application/fhir+json", False),
        ("*/*", False),
    ],
)
def test_who_gets_the_page(space, accept, is_page):
    answer = space.get(f"{CAMILLE}/$passport?sections=identity", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("text/html" if is_page else "application/fhir+json")


def test_what_people_write_is_escaped(fhir):
    id_ = f"pp{next(_numbers)}"
    evil = "<script>alert('&')</script>"
    patient = {"resourceType": "Patient", "id": id_, "name": [{"family": evil}]}
    fhir.put(f"Patient/{id_}", json=patient).raise_for_status()
    page = fhir.get(f"Patient/{id_}/$passport", headers={"Accept": "text/html"}).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    bundle = fhir.get(f"Patient/{id_}/$passport").json()
    assert "&lt;script&gt;" in sections(bundle)["Identity"]["text"]["div"]
    issues = fhir.post("Bundle/$validate", json=bundle).json()["issue"]
    assert [issue for issue in issues if issue["severity"] in ("error", "fatal")] == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("Patient/nobody/$passport", 404, "not-found"),
        ("Patient/$passport", 404, "not-supported"),
        (f"{CAMILLE}/$passport?language=de", 400, "not-supported"),
        (f"{CAMILLE}/$passport?sections=insurance", 400, "value"),
        (f"{CAMILLE}/$passport?other=1", 400, "not-supported"),
    ],
)
def test_what_is_refused(space, path, status, code):
    answer = space.get(path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code)
