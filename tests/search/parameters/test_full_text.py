"""``_text`` and ``_content``: https://hl7.org/fhir/R4/search.html#text."""

from __future__ import annotations

import pytest

from fhir_server.search.sorting import RELEVANCE


def _condition(id_, narrative="", **more):
    made = {"resourceType": "Condition", "id": id_, "subject": {"reference": "Patient/p"}, **more}
    if narrative:
        div = f'<div xmlns="http://www.w3.org/1999/xhtml">{narrative}</div>'
        made["text"] = {"status": "generated", "div": div}
    return made


CONDITIONS = [
    _condition("bone", "<p>Metastases in the <b>bone</b>s &amp; bone marrow</p>"),
    _condition("liver", "<p class='hidden'>Liver métastases</p>", recordedDate="2020-02-03"),
    _condition(
        "coded", code={"coding": [{"system": "http://c", "code": "M-80", "display": "Bone, fracture of"}]}
    ),
    _condition("noted", note=[{"text": "Œdème du foie; l'os n'est pas touché"}]),
    _condition("inside", contained=[{"resourceType": "Patient", "name": [{"family": "Łukasz"}]}]),
]

CASES = [
    ("_text", "bone", "bone"),
    ("_text", "BONE metastases", "bone"),
    ("_text", "metastases", "bone liver"),
    ("_text", "(bone OR liver) and metastases", "bone liver"),
    ("_text", "liver OR bone marrow", "bone liver"),
    ("_text", "metastases NOT liver", "bone"),
    ("_text", '"bone marrow"', "bone"),
    ("_text", '"marrow bone"', ""),
    ("_text", "meta*", "bone liver"),
    ("_text", '"in the bo*"', ""),
    ("_text", "met", ""),
    ("_text", "hidden", ""),
    ("_text", "fracture", ""),
    ("_text", "liver,marrow", "bone liver"),
    ("_content", "bone", "bone coded"),
    ("_content", "bone fracture", "coded"),
    ("_content", '"bone fracture"', "coded"),
    ("_content", "m-80", "coded"),
    ("_content", "80-m", ""),
    ("_content", "oedeme", "noted"),
    ("_content", "ŒDÈME", "noted"),
    ("_content", "l'os", "noted"),
    ("_content", "os*", "noted"),
    ("_content", "lukasz", "inside"),
    ("_content", "http", ""),
    ("_content", "2020", ""),
    ("_content", "patient", ""),
    ("_content", "xhtml", ""),
]


@pytest.fixture(scope="module")
def filled(new_engine, module_database_name):
    engine = new_engine(module_database_name)
    engine.put(*CONDITIONS)
    return engine


@pytest.mark.parametrize(("name", "value", "ids"), CASES)
def test_words(filled, name, value, ids):
    assert sorted(filled.ids("Condition", (name, value))) == ids.split()
    expression = filled.parse("Condition", [(name, value)]).expression
    documents = filled.documents["Condition"]
    assert sorted(id_ for id_, made in documents.items() if expression.matches(made)) == ids.split()


def test_the_most_relevant_come_first_and_have_scores(filled):
    rows = filled.page(filled.parse("Condition", [("_content", "bone")])).rows
    scores = [row.fields[RELEVANCE] for row in rows]

    assert [row.id for row in rows] == ["bone", "coded"]
    assert 1 > scores[0] > scores[1] > 0


@pytest.mark.parametrize(
    ("sort", "expected"),
    [("_score", ["coded", "bone"]), ("-_score,_id", ["bone", "coded"]), ("_id", ["bone", "coded"])],
)
def test_sort(filled, sort, expected):
    assert filled.ids("Condition", ("_content", "bone"), ("_sort", sort)) == expected


def test_pages_follow_the_relevance(filled):
    query = filled.parse("Condition", [("_text", "meta*"), ("_count", "1")])
    pages = filled.pages(query)

    assert [row.id for page in pages for row in page.rows] == ["liver", "bone"]
    assert filled.page(query, pages[1].previous).rows[0].id == "liver"


def test_the_index_leads(filled):
    plan = filled.page(filled.parse("Condition", [("_content", "bone")]))._choice

    assert plan.index == "_content"
