"""_include and _revinclude over HTTP: https://hl7.org/fhir/R4/search.html#include."""

from __future__ import annotations

import uuid

import pytest

from fhir_server.interactions.steps import including


class Page:
    """The entries of a searchset by mode."""

    def __init__(self, fhir, url):
        answer = fhir.get(url)
        assert answer.status_code == 200, answer.text
        self.bundle = answer.json()
        entries = self.bundle.get("entry", [])
        self.matches = [e["resource"] for e in entries if e["search"]["mode"] == "match"]
        self.included = [e["resource"] for e in entries if e["search"]["mode"] == "include"]
        outcomes = [e["resource"] for e in entries if e["search"]["mode"] == "outcome"]
        self.issues = [issue for outcome in outcomes for issue in outcome["issue"]]
        self.names = sorted(r["id"].partition("-")[2] for r in self.included)

    def link(self, relation):
        return next((link["url"] for link in self.bundle["link"] if link["relation"] == relation), None)


@pytest.fixture(scope="module")
def tag(fhir):
    """Organization o1 <- o2 <- o3; patients p1 (o3), p2 (o2); encounters e1, e2; observations x1 .. x4."""
    tag = uuid.uuid4().hex[:8]

    def put(type_, suffix, **content):
        body = {"resourceType": type_, "id": f"{tag}-{suffix}", "meta": {"tag": [{"code": tag}]}, **content}
        answer = fhir.put(f"{type_}/{tag}-{suffix}", json=body)
        assert answer.status_code in {200, 201}, answer.text

    def ref(type_, name):
        return {"reference": f"{type_}/{tag}-{name}"}

    put("Organization", "o1", name="One")
    put("Organization", "o2", name="Two", partOf=ref("Organization", "o1"))
    put("Organization", "o3", name="Three", partOf=ref("Organization", "o2"))
    put("Patient", "p1", name=[{"family": "A"}], managingOrganization=ref("Organization", "o3"))
    put("Patient", "p2", name=[{"family": "B"}], managingOrganization=ref("Organization", "o2"))
    for number in (1, 2):
        put("Encounter", f"e{number}", status="finished", **{"class": {"code": "AMB"}}, subject=ref("Patient", f"p{number}"))  # fmt: skip
    for number in range(1, 5):
        patient = 1 if number < 4 else 2
        put("Observation", f"x{number}", status="final", code={"text": "x"}, subject=ref("Patient", f"p{patient}"), encounter=ref("Encounter", f"e{patient}"),
            performer=[{"reference": "Practitioner/nobody"}, {"reference": "http://elsewhere/fhir/Practitioner/1"}])  # fmt: skip
    return tag


CASES = [
    ("Observation", "_include=Observation:subject", ["p1", "p2"]),
    ("Observation", "_include=Observation:patient", ["p1", "p2"]),
    ("Observation", "_include=Observation:subject:Patient", ["p1", "p2"]),
    ("Observation", "_include=Observation:subject:Group", []),
    ("Observation", "_include=Observation:subject&_include=Observation:encounter", ["e1", "e2", "p1", "p2"]),
    ("Observation", "_include=Observation:*", ["e1", "e2", "p1", "p2"]),
    ("Observation", "_include=*", ["e1", "e2", "p1", "p2"]),
    ("Observation", "_include=Observation:performer", []),
    ("Observation", "_include=Observation:patient&_include:iterate=Patient:organization", ["o2", "o3", "p1", "p2"]),
    ("Observation", "_include=Observation:patient&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
     ["o1", "o2", "o3", "p1", "p2"]),
    ("Patient", "_revinclude=Observation:patient", ["x1", "x2", "x3", "x4"]),
    ("Patient", "_revinclude=Observation:subject:Patient", ["x1", "x2", "x3", "x4"]),
    ("Patient", "_revinclude=Observation:subject:Group", []),
    ("Patient", "_revinclude=Encounter:patient&_revinclude:iterate=Observation:encounter", ["e1", "e2", "x1", "x2", "x3", "x4"]),
    ("Patient", "_revinclude=*", ["e1", "e2", "x1", "x2", "x3", "x4"]),
    ("Patient", "_revinclude=Observation:*", ["x1", "x2", "x3", "x4"]),
    ("Patient", "_revinclude=Encounter:patient&_include=Patient:organization", ["e1", "e2", "o2", "o3"]),
    ("Organization", "_include=Organization:partof", []),  # all are matches already
    ("Organization", "_revinclude:iterate=Patient:organization&_revinclude:iterate=Encounter:patient", ["e1", "e2", "p1", "p2"]),
]  # fmt: skip


@pytest.mark.parametrize(("type_", "query", "names"), CASES, ids=[case[1] for case in CASES])
def test_what_goes_with_the_matches(fhir, tag, type_, query, names):
    page = Page(fhir, f"{type_}?_tag={tag}&{query}&_total=accurate")

    assert page.names == names
    assert page.bundle["total"] == len(page.matches)


def test_iterate_follows_a_chain_of_one_type(fhir, tag):
    one = Page(fhir, f"Organization?_id={tag}-o3&_include=Organization:partof")
    all_ = Page(fhir, f"Organization?_id={tag}-o3&_include:iterate=Organization:partof")

    assert (one.names, all_.names) == (["o2"], ["o1", "o2"])


def test_every_page_carries_its_own_includes(fhir, tag):
    url, pages = f"Observation?_tag={tag}&_sort=_id&_count=2&_include=Observation:patient", []
    while url:
        pages.append(Page(fhir, url))
        url = pages[-1].link("next")

    assert [[m["id"][-2:] for m in page.matches] for page in pages] == [["x1", "x2"], ["x3", "x4"]]
    assert [page.names for page in pages] == [["p1"], ["p1", "p2"]]
    assert "_include=Observation%3Apatient" in pages[0].link("self")


def test_an_include_from_nowhere_is_told(fhir, tag):
    page = Page(fhir, f"Observation?_tag={tag}&_include=Patient:organization")

    assert page.included == []
    assert "':iterate'" in page.issues[0]["diagnostics"]


def test_a_versioned_reference_includes_that_version(fhir, tag):
    id_ = f"{tag}-v"
    for name in ("First", "Second"):
        fhir.put(f"Organization/{id_}", json={"resourceType": "Organization", "id": id_, "name": name})
    body = {
        "resourceType": "Patient",
        "id": f"{tag}-vp",
        "managingOrganization": {"reference": f"Organization/{id_}/_history/1"},
    }
    assert fhir.put(f"Patient/{tag}-vp", json=body).status_code == 201

    [old] = Page(fhir, f"Patient?_id={tag}-vp&_include=Patient:organization").included

    assert (old["name"], old["meta"]["versionId"]) == ("First", "1")


def test_deleted_resources_are_not_included(fhir, tag):
    fhir.put(f"Organization/{tag}-d", json={"resourceType": "Organization", "id": f"{tag}-d", "name": "Gone"})
    body = {
        "resourceType": "Patient",
        "id": f"{tag}-dp",
        "managingOrganization": {"reference": f"Organization/{tag}-d"},
    }
    fhir.put(f"Patient/{tag}-dp", json=body)
    fhir.delete(f"Organization/{tag}-d")

    assert Page(fhir, f"Patient?_id={tag}-dp&_include=Patient:organization").included == []


def test_canonicals_are_followed_to_their_version_or_the_latest(fhir, tag):
    def put(type_, name, **content):
        fhir.put(
            f"{type_}/{tag}-{name}",
            json={"resourceType": type_, "id": f"{tag}-{name}", "status": "active", **content},
        )

    put("Questionnaire", "q1", url=f"http://q/{tag}", version="1")
    put("Questionnaire", "q2", url=f"http://q/{tag}", version="2")
    for name, canonical in (("r1", "|1"), ("r2", "|2"), ("r3", "")):
        put("QuestionnaireResponse", name, status="completed", questionnaire=f"http://q/{tag}{canonical}")
    include = "_include=QuestionnaireResponse:questionnaire"

    found = {
        n: Page(fhir, f"QuestionnaireResponse?_id={tag}-{n}&{include}").names for n in ("r1", "r2", "r3")
    }
    back = Page(fhir, f"Questionnaire?_id={tag}-q1&_revinclude=QuestionnaireResponse:questionnaire").names

    assert found == {"r1": ["q1"], "r2": ["q2"], "r3": ["q2"]}
    assert back == ["r1", "r3"]


def test_a_summary_covers_includes_and_elements_does_not(fhir, tag):
    summary = Page(fhir, f"Observation?_id={tag}-x1&_include=Observation:patient&_summary=true")
    elements = Page(fhir, f"Observation?_id={tag}-x1&_include=Observation:patient&_elements=status")

    assert summary.included[0]["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert elements.matches[0]["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert elements.included[0]["meta"]["tag"] == [{"code": tag}]


def test_limits_are_reported(fhir, tag, monkeypatch):
    monkeypatch.setattr(including, "MOST_INCLUDED", 2)
    page = Page(fhir, f"Patient?_tag={tag}&_revinclude=Observation:patient")

    assert len(page.included) == 2
    assert "at most 2 of them" in page.issues[0]["diagnostics"]

    monkeypatch.setattr(including, "MOST_ROUNDS", 1)
    page = Page(fhir, f"Organization?_id={tag}-o3&_include:iterate=Organization:partof")
    assert page.names == ["o2"]
    assert "followed for 1 levels" in page.issues[0]["diagnostics"]


def test_includes_of_a_search_over_several_types(fhir, tag):
    page = Page(
        fhir,
        f"?_type=Observation,Encounter&_tag={tag}&_include=Observation:patient&_include=Encounter:patient",
    )

    assert (len(page.matches), page.names, page.issues) == (6, ["p1", "p2"], [])


REFUSED = [
    ("_include=Observation", "is incomplete"),
    ("_include=Observation:subject:Patient:x", "is incomplete"),
    ("_include=Thing:subject", "'Thing' is not an R4 resource type"),
    ("_include=Observation:subject:Thing", "'Thing' is not an R4 resource type"),
    ("_include=Observation:code", "is no reference"),
    ("_include=Observation:subjekt", "Did you mean 'subject'"),
    ("_include=Observation:subject:Organization", "never refers to Organization"),
    ("_include:recurse=Observation:subject", "R4 has ':iterate'"),
    ("_include=Observation:subject&_summary=text", "can't be used together"),
]


@pytest.mark.parametrize(("query", "message"), REFUSED)
def test_refused(fhir, query, message):
    answer = fhir.get(f"Observation?{query}")
    assert answer.status_code == 400
    assert message in answer.json()["issue"][0]["diagnostics"]
