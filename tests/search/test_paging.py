"""Pages by key: together they are the unpaged set, forwards and backwards, with ties and missing values."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.search import Pager

NOW = 1_790_000_000_000
TAG = ("_tag", "urn:t|all")


def _patient(n, family=None, given_=None, birth=None):
    made = {
        "resourceType": "Patient",
        "id": f"p{n:02}",
        "meta": {"tag": [{"system": "urn:t", "code": "all"}]},
    }
    if family:
        made["name"] = [{"family": family, "given": given_ or []}]
    if birth:
        made["birthDate"] = birth
    return made


@pytest.fixture(scope="module")
def engine(new_engine, module_database_name):
    made = new_engine(module_database_name)
    families = ["Adams", "Baker", "Baker", None, "Éclair", "van Dyk", "Zola", None, "adams"]
    for n in range(23):
        birth = [None, "1970", "1970-05", "1970-05-03", "1971-01-01"][n % 5]
        made.put(_patient(n, families[n % 9], ["Q"] * (n % 2), birth), updated=NOW + n // 4)
    for n in range(30):
        observed = {"resourceType": "Observation", "id": f"o{n:02}", "status": "final",
                    "subject": {"reference": "Patient/p01"}, "code": {"text": "x"}}  # fmt: skip
        if n % 6:
            observed["effectiveDateTime"] = f"2020-01-{1 + n % 7:02}"
        made.put(observed, updated=NOW + n)
    # Order keys that are equal although the ids differ: rare in life, therefore made by hand.
    for n in range(30):
        if n % 6:
            made.database["Observation"].update_one({"_id": f"o{n:02}"}, {"$set": {"s": n % 3}})
    return made


def _unpaged(engine, type_, pairs):
    [page] = engine.pages(engine.parse(type_, [*pairs, ("_count", "1000")]))
    return [row.id for row in page.rows]


SORTS = [
    "", "_id", "-_id", "_lastUpdated", "-_lastUpdated", "family", "-family", "birthdate", "-birthdate",
    "family,-birthdate", "-given,family,_id", "birthdate,-_lastUpdated", "active", "-active,family",
    "general-practitioner,family", "_tag,-family", "deceased,birthdate", "general-practitioner", "-organization",
]  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sort=st.sampled_from(SORTS), count=st.integers(1, 24))
def test_pages_are_the_unpaged_list_forwards_and_backwards(engine, sort, count):
    pairs = [("_sort", sort), TAG]
    query = engine.parse("Patient", [*pairs, ("_count", str(count))])
    pages = engine.pages(query)
    found = [row.id for page in pages for row in page.rows]

    assert sorted(found) == sorted(engine.documents["Patient"])
    assert all(len(page.rows) <= count for page in pages)
    if sort:
        assert found == _unpaged(engine, "Patient", pairs)
    back = [pages[-1]]
    while back[-1].previous is not None:
        back.append(engine.page(query, back[-1].previous))
    assert [row.id for page in reversed(back) for row in page.rows] == found
    assert pages[0].previous is None


@pytest.mark.parametrize("fitting", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("type_", "sort"), [*[("Patient", sort) for sort in SORTS], ("Observation", "-date")]
)
def test_pages_that_are_cut_because_they_are_large_lose_nothing(engine, monkeypatch, fitting, type_, sort):
    pairs = [("_sort", sort), ("_count", "20"), TAG if type_ == "Patient" else ("patient", "p01")]
    query = engine.parse(type_, pairs)
    whole = [row.id for page in engine.pages(query) for row in page.rows]
    monkeypatch.setattr(engine, "fitting", fitting)
    pages = engine.pages(query)
    found = [row.id for page in pages for row in page.rows]

    assert sorted(found) == sorted(whole)
    if sort and type_ == "Patient":
        assert found == whole
    assert all(len(page.rows) <= 2 * fitting for page in pages)
    back = [pages[-1]]
    while back[-1].previous is not None:
        back.append(engine.page(query, back[-1].previous))
    assert sorted(row.id for page in back for row in page.rows) == sorted(found)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 11, 24, 25, 29, 30, 31])
@pytest.mark.parametrize("sort", ["", "-date"])
def test_equal_order_keys_are_neither_split_nor_repeated(engine, count, sort):
    query = engine.parse("Observation", [("patient", "p01"), ("_sort", sort), ("_count", str(count))])
    pages = engine.pages(query)
    found = [row.id for page in pages for row in page.rows]

    assert sorted(found) == sorted(engine.documents["Observation"])
    assert all(0 < len(page.rows) <= count for page in pages)
    keys = [None if int(id_[1:]) % 6 == 0 else int(id_[1:]) % 3 for id_ in found]
    assert keys == sorted(keys, key=lambda k: (k is None, -(k or 0)))
    back = [pages[-1]]
    while back[-1].previous is not None:
        back.append(engine.page(query, back[-1].previous))
    assert sorted(row.id for page in back for row in page.rows) == sorted(found)


def test_a_page_back_leads_forward_again(engine):
    query = engine.parse("Patient", [("_sort", "family"), ("_count", "5"), TAG])
    first, second, third, *_ = engine.pages(query)
    back = engine.page(query, third.previous)

    assert back.rows == second.rows
    assert engine.page(query, back.next).rows == third.rows
    assert engine.page(query, back.previous).rows == first.rows


@pytest.mark.parametrize("count", [1, 4, 7, 29])
@pytest.mark.parametrize("sort", ["", "_id", "-_id", "_lastUpdated", "-_lastUpdated"])
@pytest.mark.parametrize("type_", ["Observation", "Patient"])
def test_the_last_page_leads_back_through_all(engine, type_, sort, count):
    given_ = [("patient", "p01")] if type_ == "Observation" and not sort else []
    query = engine.parse(type_, [("_sort", sort), *given_, ("_count", str(count))])
    pages = engine.pages(query)
    expected = [row.id for page in pages for row in page.rows]
    if len(pages) == 1:
        assert pages[0].last is None
        return
    assert all(page.last == pages[0].last for page in pages[:-1])
    assert pages[-1].last is None
    back = [engine.page(query, pages[0].last)]
    assert (back[0].next, back[0].last, back[0].total) == (None, None, None)
    while back[-1].previous is not None:
        back.append(engine.page(query, back[-1].previous))
    assert [row.id for page in reversed(back) for row in page.rows] == expected
    assert engine.page(query, back[1].next).rows == back[0].rows


@pytest.mark.parametrize("pairs", [[("_sort", "family")], [("patient", "p01"), ("_sort", "_lastUpdated")]])
def test_no_last_page_where_all_matches_would_be_sorted_for_it(engine, pairs):
    type_ = "Patient" if len(pairs) == 1 else "Observation"
    pager = engine.page(engine.parse(type_, [*pairs, ("_count", "3")]))
    assert pager.next is not None
    assert pager.last is None


def test_missing_values_come_last_in_both_directions(engine):
    without = {f"p{n:02}" for n in range(23) if n % 9 in {3, 7}}
    for sort in ("family", "-family"):
        found = _unpaged(engine, "Patient", [("_sort", sort), TAG])
        assert set(found[-len(without) :]) == without


def test_names_sort_by_their_beginning_and_without_case_or_accents(engine):
    found = _unpaged(engine, "Patient", [("_sort", "family"), ("family:missing", "false"), TAG])
    families = ["Adams", "Baker", "Baker", None, "Éclair", "van Dyk", "Zola", None, "adams"]
    order = [{"É": "e"}.get(f[0], f[0].lower()) for f in (families[int(id_[1:]) % 9] for id_ in found)]

    assert order == sorted(order)


def test_rows_that_come_and_go_meanwhile_do_not_shift_the_others(engine):
    query = engine.parse("Patient", [("_sort", "_id"), ("_count", "4"), TAG])
    pages = [engine.page(query)]
    extra = []
    while pages[-1].next is not None:
        number = len(pages)
        extra.append(f"a{number}")
        engine.put({**_patient(0), "id": f"a{number}"})  # before the place that has been reached
        pages.append(engine.page(query, pages[-1].next))
    for id_ in extra:
        engine.delete("Patient", id_)

    assert [row.id for page in pages for row in page.rows] == sorted(engine.documents["Patient"])


@pytest.fixture(scope="module")
def record(new_engine, module_database_name):
    """A patient's observations with several codings or none, dates or none, and equal order keys."""
    engine = new_engine(f"{module_database_name}_record")
    for n in range(40):
        codings = [{"system": "urn:c", "code": f"{n * 7 % 5}"}, {"system": "urn:d", "code": f"{n % 3}"}][
            : n % 4
        ]
        observed = {"resourceType": "Observation", "id": f"w{n:02}", "status": "final" if n % 5 else "amended",
                    "subject": {"reference": "Patient/p02"}, "code": {"coding": codings} if codings else {"text": "x"}}  # fmt: skip
        if n % 6:
            observed["effectiveDateTime"] = f"2020-01-{1 + n % 7:02}"
        engine.put(observed, updated=NOW + n)
        if n % 6 and n > 20:
            engine.database["Observation"].update_one({"_id": f"w{n:02}"}, {"$set": {"s": n % 2}})
    return engine


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 20, 33, 39, 40, 41])
@pytest.mark.parametrize("sort", ["code", "-code", "code,-date", "-code,-date", "category", "code,date"])
@pytest.mark.parametrize("more", [[], [("status", "final")]])
def test_an_order_along_an_index_loses_nothing_and_repeats_nothing(record, sort, count, more):
    query = record.parse("Observation", [("patient", "p02"), ("_sort", sort), ("_count", str(count)), *more])
    pages = record.pages(query)
    found = [row.id for page in pages for row in page.rows]
    numbers = [n for n in range(40) if not more or n % 5]

    assert sorted(found) == [f"w{n:02}" for n in numbers]
    assert all(len(page.rows) == count for page in pages[:-1])
    choose = max if sort.startswith("-") else min
    codes = [
        choose((f"{n * 7 % 5}", f"{n % 3}")[: n % 4]) if n % 4 else None for n in (int(i[1:]) for i in found)
    ]
    if "category" not in sort:
        present = [code for code in codes if code is not None]
        assert codes == sorted(present, reverse=sort.startswith("-")) + [None] * codes.count(None)
    back = [pages[-1]]
    while back[-1].previous is not None:
        back.append(record.page(query, back[-1].previous))
        assert len(back) <= len(pages), back[-1]._start
    assert [row.id for page in reversed(back) for row in page.rows] == found


def test_an_order_along_an_index_reads_a_page_of_it(record):
    query = record.parse("Observation", [("patient", "p02"), ("_sort", "code"), ("_count", "5")])
    pager = Pager(query, record.registry)
    plan = pager.plan()

    assert (plan.hint, plan.sort, plan.sorts_first) == ("p_code_s", (("i.code", 1), ("s", -1)), True)
    stages = [
        {"$match": plan.filter},
        {"$sort": dict(plan.sort)},
        {"$addFields": plan.computed},
        {"$limit": 6},
    ]
    reply = record.database.command(
        {
            "explain": {"aggregate": "Observation", "pipeline": stages, "cursor": {}, "hint": plan.hint},
            "verbosity": "executionStats",
        }
    )
    assert reply["stages"][0]["$cursor"]["executionStats"]["totalKeysExamined"] < 20  # of 63


def test_one_query_fills_an_ordinary_page(engine):
    before = engine.queries
    page = engine.page(engine.parse("Patient", [("_count", "10"), TAG]))

    assert engine.queries == before + 1
    assert len(page.rows) == 10


def test_the_total_is_known_when_the_first_page_is_the_last(engine):
    assert engine.page(engine.parse("Patient", [("_count", "100"), TAG])).total == 23
    assert engine.page(engine.parse("Patient", [("_count", "23"), TAG])).total == 23
    assert engine.page(engine.parse("Patient", [("_count", "22"), TAG])).total is None


def test_deletions_are_never_found(engine):
    engine.put({**_patient(50), "id": "gone"})
    engine.delete("Patient", "gone")

    for pairs in (
        [],
        [("_id", "gone")],
        [("family:missing", "true")],
        [("gender:not", "male")],
        [("_sort", "_id")],
    ):
        assert "gone" not in engine.ids("Patient", *pairs)
