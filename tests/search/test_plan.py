"""Which index leads, which bounds follow, and that mongod does what the plan says."""

from __future__ import annotations

import pytest

from fhir_server.search import Pager, count_plan, decode_pairs, indexes, parse, rivals
from fhir_server.search.main_dates import MAIN_DATES
from tests.search.answers import of_any_type

LOINC = "http://loinc.org"
DAY = 86_400_000

# type, query, index that leads (None: mongod combines several), first sort key
CHOICES = [
    ("Observation", "patient=1&code=http://loinc.org|8867-4", "p_code_s", ("s", -1)),
    ("Observation", "patient=1&code=8867-4", "p_code_s", ("s", -1)),
    ("Observation", "patient=1&code=8867-4&category=a|b", "p_category_s", ("s", -1)),
    ("Observation", "patient=1&category=a|b&status=final", "p_category_s", ("s", -1)),
    ("Observation", "subject=Patient/1", "p_s", ("s", -1)),
    ("Observation", "patient=1&date=ge2018&_sort=-date", "p_s", ("s", -1)),
    ("Observation", "subject=1", None, ("s", -1)),
    ("Observation", "code=http://loinc.org|8867-4", "code_s", ("s", -1)),
    ("Observation", "code=http://loinc.org|8867-4,http://loinc.org|8310-5", "code_s", ("s", -1)),
    ("Observation", "code=ABC", "code_s", ("s", -1)),
    ("Observation", "identifier=a|b&code=http://loinc.org|8867-4", "identifier", ("lu", -1)),
    ("Observation", "encounter=Encounter/1&code=http://loinc.org|8867-4", "encounter", ("lu", -1)),
    ("Observation", "performer=Practitioner/1", "performer_s", ("s", -1)),
    ("Observation", "value-quantity=gt5|http://unitsofmeasure.org|mg", None, ("s", -1)),
    ("Observation", "code-value-quantity=http://loinc.org|8867-4$gt5", "code_s", ("s", -1)),
    ("Observation", "code-value-quantity=http://loinc.org|8867-4$gt5,a|b$3", "code_s", ("s", -1)),
    ("Observation", "patient=1&component-code-value-quantity=http://loinc.org|8480-6$gt5", "p_s", ("s", -1)),
    ("Observation", "status=final", "lu", ("lu", -1)),
    ("Observation", "code:not=http://loinc.org|8867-4", "lu", ("lu", -1)),
    ("Observation", "code:missing=true", "lu", ("lu", -1)),
    ("Observation", "_lastUpdated=ge2020", "lu", ("lu", -1)),
    ("Observation", "_sort=_lastUpdated", "lu", ("lu", 1)),
    ("Observation", "_sort=_id", "_id_", ("_id", 1)),
    ("Observation", "_id=a,b&code=http://loinc.org|1", "_id_", ("lu", -1)),
    ("Patient", "family=smith", "family", ("lu", -1)),
    ("Patient", "family=smith&birthdate=1970-01-01", "family", ("lu", -1)),
    ("Patient", "birthdate=1970-01-01", "birthdate.l_family", ("lu", -1)),
    ("Patient", "identifier=a|b&family=smith", "identifier", ("lu", -1)),
    ("Patient", "phone=123", "telecom", ("lu", -1)),
    ("Patient", "gender=female", "gender_lu", ("lu", -1)),
    ("Patient", "gender=female&name=smith", "name", ("lu", -1)),
    ("Patient", "_sort=-birthdate", "lu", ("m0", 1)),
    ("Patient", "_sort=birthdate", "birthdate.l_family", ("i.birthdate.l", 1)),
    ("Observation", "patient=1&_sort=-code", "p_code_s", ("i.code", -1)),
    ("Observation", "patient=1&category=x&_sort=code", "p_category_s", ("m0", 1)),
    ("Condition", "patient=1&code=http://snomed.info/sct|1", "p_code_s", ("s", -1)),
    ("Coverage", "patient=1", "p_lu", ("lu", -1)),
    ("ValueSet", "url=http://example.org/a", "url", ("lu", -1)),
    ("Organization", "name=acme", "name", ("lu", -1)),
]


def _query(registry, type_, text):
    return of_any_type(parse(decode_pairs(text), type_, registry, base="http://localhost/fhir", now=0))


@pytest.mark.parametrize(
    ("type_", "text", "index", "sort"), CHOICES, ids=lambda v: str(v).replace("http://", "")
)
def test_the_index_that_leads(registry, type_, text, index, sort):
    plan = Pager(_query(registry, type_, text), registry).plan()

    assert plan is not None
    assert plan.hint == index
    assert plan.sort[0] == sort


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("date=2020-01-01", {"$gte": 18262 * DAY << 15, "$lte": (18263 * DAY - 1) << 15 | 0x7FFF}),
        ("date=gt2020-01-01", {"$gte": 18263 * DAY << 15}),
        ("date=ge2020-01-01", {"$gte": 18262 * DAY << 15}),
        ("date=sa2020-01-01", {"$gte": 18263 * DAY << 15}),
        ("date=eb2020-01-01", {"$lte": (18262 * DAY - 1) << 15 | 0x7FFF}),
        ("date=lt2020-01-01", None),
        ("date=le2020-01-01", None),
        ("date=ne2020-01-01", None),
        ("date=ge2020-01-01,ge2019-01-01", None),
    ],
)
def test_bounds_on_the_main_date_bound_the_index(registry, text, bounds):
    plan = Pager(_query(registry, "Observation", f"patient=1&{text}"), registry).plan()

    assert plan is not None
    assert plan.filter.get("s") == bounds


def test_an_index_of_intervals_is_read_from_both_ends(engine):
    for year in range(1900, 2000):
        engine.put({"resourceType": "Patient", "id": f"y{year}", "birthDate": f"{year}-05-05"})
    query = engine.parse("Patient", [("birthdate", "1960")])
    plan = count_plan(query, engine.registry)
    command = {"find": "Patient", "filter": plan.filter, "hint": plan.hint}
    stats = engine.database.command("explain", command, verbosity="executionStats")["executionStats"]
    assert (stats["nReturned"], stats["totalKeysExamined"]) in ((1, 1), (1, 2))


def test_deletions_are_excluded_when_no_criterion_does_it(registry):
    assert count_plan(_query(registry, "Observation", ""), registry).filter == {"lu": {"$exists": True}}
    assert count_plan(_query(registry, "Observation", "patient=1"), registry).filter == {"p": "1"}


def test_what_can_not_match_needs_no_query(registry):
    query = _query(registry, "Observation", "subject:Patient=Group/1")
    pager = Pager(query, registry)

    assert count_plan(query, registry).never
    assert pager.plan() is None
    assert pager.total == 0


def test_every_type_has_few_indexes_with_distinct_names_and_one_parameter_each(registry):
    for type_ in registry.types.resource_types:
        made = indexes(type_, registry)
        assert len(made) <= 12 + 6, type_  # beside lu, dl, ck, cp, _contained, _content
        assert len({index.name for index in made}) == len(made)
        known = registry.parameters(type_).by_name
        for index in made:
            if index.name == "_contained":
                continue
            names = {f.split(".")[1].removesuffix("-range") for f, _ in index.keys if f.startswith("i.")}
            assert names <= known.keys(), (type_, index.name)
            # Two arrays in one index would refuse the insert; strings and tokens may be arrays even if they don't repeat.
            arrays = [n for n in names if known[n].type not in {"date", "quantity"} or known[n].repeats]
            assert len(arrays) <= 1, (type_, index.name)


def test_main_dates_name_date_parameters(registry):
    for type_, names in MAIN_DATES.items():
        known = registry.parameters(type_).by_name
        assert all(known[name].type == "date" for name in names), type_


# query, most keys examined for a page of 10 of 400 documents, whether mongod must sort
EXPLAINED = [
    ("patient=p1&code=http://loinc.org|c1", 12, False),
    ("patient=p1&code=http://loinc.org|c1&date=ge2020-02", 12, False),
    ("patient=p1", 12, False),
    ("code=http://loinc.org|c1", 12, False),
    ("code=http://loinc.org|c1,http://loinc.org|c2", 16, False),
    ("code=c1", 60, True),
    ("code=C1", 70, True),
    ("code=x,c1", 70, True),
    ("patient=p1&code=c1", 54, True),
    ("_lastUpdated=ne2020", 12, False),
    ("patient=p1,p2&code=http://loinc.org|c1", 14, False),
    ("patient:missing=true", 400, False),
    ("value-quantity=5", 400, False),
    ("identifier=http://a|7", 2, True),
    ("subject=p1", 20, True),
    ("", 12, False),
    ("_lastUpdated=gt2020", 12, False),
    ("_sort=_id", 12, False),
    ("value-quantity=5|http://unitsofmeasure.org|mg", 20, True),
]


@pytest.fixture
def filled(engine):
    for n in range(400):
        engine.put(
            {
                "resourceType": "Observation", "id": f"o{n:03}", "status": "final",
                "identifier": [{"system": "http://a", "value": str(n)}],
                "code": {"coding": [{"system": LOINC, "code": f"c{n % 8}"}]},
                "subject": {"reference": f"Patient/p{n % 4}"},
                "effectiveDateTime": f"2020-{1 + n % 12:02}-{1 + n % 28:02}T10:{n % 60:02}:00Z",
                "valueQuantity": {"value": n, "system": "http://unitsofmeasure.org", "code": "mg"},
            },
            updated=1_790_000_000_000 + n,
        )  # fmt: skip
    return engine


def test_mongod_reads_what_the_page_needs(filled):
    for text, keys, sorts in EXPLAINED:
        query = filled.parse("Observation", decode_pairs(text + "&_count=10"))
        first = filled.page(query)
        for position in (None, first.next):
            _check_explanation(filled, text, Pager(query, filled.registry, position).plan(), keys, sorts)


def _check_explanation(filled, text, plan, keys, sorts):
    """Ask mongod what it reads for a plan."""
    command = {"find": "Observation", "filter": plan.filter, "sort": dict(plan.sort), "limit": plan.limit}
    if plan.hint:
        command["hint"] = plan.hint
    explained = filled.database.command("explain", command, verbosity="executionStats")
    stats = explained["executionStats"]
    assert stats["totalKeysExamined"] <= keys, (text, stats["totalKeysExamined"])
    assert stats["nReturned"] <= 11
    stages = str(explained["queryPlanner"]["winningPlan"])
    assert "COLLSCAN" not in stages, text
    if not sorts:
        assert "'SORT'" not in stages, text


@pytest.mark.parametrize(
    ("type_", "text", "leading"),
    [
        ("Observation", f"code={LOINC}|1&performer=Organization/1", ["performer_s", "code_s"]),
        ("Observation", f"patient=1&code={LOINC}|1&performer=Organization/1", []),
        ("Observation", "identifier=a|b&performer=Organization/1", []),
        ("Observation", f"code={LOINC}|1", []),
        ("Patient", "family=a&given=b&birthdate=2000-01-01", ["family", "given", "birthdate.l_family"]),
    ],
)
def test_what_is_counted(registry, type_, text, leading):
    query = of_any_type(parse(decode_pairs(text), type_, registry, base="http://localhost/fhir", now=0))
    found = rivals(query, registry)
    assert sorted(choice.index for choice, _ in found) == sorted(leading)
    assert all(plan.hint == choice.index for choice, plan in found)
    assert len({choice.order for choice, _ in found}) <= 1
