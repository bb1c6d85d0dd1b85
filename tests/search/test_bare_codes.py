"""Which bare codes are worth a look at the index, and the query that comes of it."""

import pytest

from fhir_server.search import bare_codes, choose, decode_pairs, parse, with_systems
from fhir_server.search.combining import Never
from tests.search.answers import of_any_type

# query, field and codes to look at, index and filter
BARE = [
    ("code=1", "i.code", ("1",), "code_s", {}),
    ("code=1&patient=p", "i.code", ("1",), "p_code_s", {"p": "p"}),
    ("patient=p&category=Lab", "i.category", ("Lab", "lab"), "p_category_s", {"p": "p"}),
    ("code=1,http://loinc.org|2", "i.code", ("1",), "code_s", {}),
    ("code=1&status=final", "i.code", ("1",), "code_s", {}),
]
# already in order, no order to be had, several patients
OTHERS = [
    "code=http://loinc.org|1",
    "identifier=1",
    "patient=p,q&code=1",
    "patient=p",
    "status=final",
    "code:not=1",
]


def read(registry, text):
    query = of_any_type(
        parse(decode_pairs(text), "Observation", registry, base="http://localhost/fhir", now=0)
    )
    return query, choose(query, registry)[0]


@pytest.mark.parametrize(("text", "expected"), [(text, expected) for text, *expected in BARE])
def test_worth_a_look(registry, text, expected):
    found = bare_codes(*read(registry, text), registry)

    assert [found.field, found.codes, found.plan.hint, found.plan.filter] == expected


@pytest.mark.parametrize("text", OTHERS)
def test_not_worth_a_look(registry, text):
    assert bare_codes(*read(registry, text), registry) is None


def test_with_the_entries_the_index_delivers_the_order(registry):
    query, choice = read(registry, "code=1,http://loinc.org|2&status=final")
    assert not choice.is_ordered
    known = with_systems(query, bare_codes(query, choice, registry), {"1|b", "1|", "1|2|c"})

    [leader, *_] = choose(known, registry)
    assert (leader.index, leader.order, leader.is_ordered) == ("code_s", "s", True)
    exact = read(registry, "code=http://loinc.org|2")[0].expression.values
    assert known.expression.operands[0].values == (*exact, "1|", "1|b")
    assert known.expression.operands[1:] == query.expression.operands[1:]


def test_without_entries_nothing_matches(registry):
    query, choice = read(registry, "code=1&status=final")
    assert with_systems(query, bare_codes(query, choice, registry), ()).expression == Never()
