"""What is not understood is refused, and the self link shows what was executed."""

from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import decode_pairs, parse
from fhir_server.search.combining import And, Never
from fhir_server.search.result_parameters import ResultParameters, SortKey


def _parse(registry, text, type_="Patient", *, lenient=False):
    return parse(decode_pairs(text), type_, registry, base="http://localhost/fhir", now=0, lenient=lenient)


REFUSED = [
    (
        "brithdate=1970",
        r"Patient has no search parameter 'brithdate'. Did you mean 'birthdate'\? Known: _content, ",
    ),
    ("zzzz=1", r"has no search parameter 'zzzz'\. Known: _content, "),
    ("family:fuzzy=x", "modifier ':fuzzy' is not supported; supported: ':contains', ':exact', ':missing'"),
    ("_id:missing=maybe", "takes 'true' or 'false'"),
    ("_id:exact=a", "modifier ':exact' is not supported; supported: ':missing', ':not'"),
    ("_lastUpdated:not=2020", "modifier ':not' is not supported; supported: ':missing'"),
    ("_filter=name is x", "is no operator"),
    ("_content:exact=x", "modifier ':exact' is not supported; supported: none"),
    ("_content=(x", "a '\\)' is missing"),
    ("_text=x and", "ends where a word should be"),
    ("_text=x)", "'\\)' is left over"),
    ("_text=!", "'!' holds no word"),
    ("_sort=_score", "there is neither"),
    ("_sort=_content", "can't be sorted by '_content'"),
    ("_query=mine", "has no named queries"),
    ("name=%20", "holds no text"),
    ("_list=$current-problems", "holds resources of type Condition"),
    ("_query=x", "'_query' is not supported"),
    ("_type=Patient", "'_type' is not supported"),
    ("_contained=yes", "'_contained' takes one of both, false, true"),
    ("_containedType=parent", "'_containedType' takes one of contained, container"),
    ("phonetic=smith", "'phonetic' of Patient .string. is not supported"),
    ("nonsense.name=x", "has no search parameter 'nonsense'"),
    ("_include=Patient:organization&_summary=text", "can't be used together with '_summary=text'"),
    ("_sort=nonsense", "can't be sorted by 'nonsense'"),
    ("_sort=-brithdate", "Did you mean 'birthdate'"),
    ("_count=-1", "whole number of at least 0"),
    ("_count=x", "whole number of at least 0"),
    ("_count=1&_count=2", "given more than once"),
    ("_total=all", "takes one of accurate, estimate, none"),
    ("_summary=all", "takes one of count, data, false, text, true"),
    ("_elements=name.family", "not the name of a top-level element"),
    ("_elements=name&_summary=true", "can't be used together"),
    ("family=,", "holds no value"),
    ("family=" + ",".join("abc" for _ in range(201)), "has 201 values; at most 200"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(registry, text, message):
    with pytest.raises(FhirError, match=message) as caught:
        _parse(registry, text)
    assert caught.value.status == 400


def test_all_problems_are_named_at_once(registry):
    with pytest.raises(FhirError) as caught:
        _parse(registry, "brithdate=1970&gender:x=1&birthdate=never&_count=x")
    assert len(caught.value.issues) == 4


def test_lenient_ignores_what_is_unknown_with_a_warning(registry):
    query = _parse(registry, "brithdate=1970&gender=male", lenient=True)

    assert [issue.severity for issue in query.warnings] == ["warning"]
    assert "'brithdate'" in query.warnings[0].diagnostics
    assert query.self_parameters == (("gender", "male"), ("_count", "50"))


@pytest.mark.parametrize(
    "text", ["gender:x=1", "_include=a:b", "birthdate=x", "organization.nonsense=x", "phonetic=a"]
)
def test_lenient_ignores_nothing_that_is_known(registry, text):
    with pytest.raises(FhirError):
        _parse(registry, text, lenient=True)


def test_empty_values_are_ignored(registry):
    query = _parse(registry, "gender=&family=,a&nonsense=")

    assert query.self_parameters == (("family", ",a"), ("_count", "50"))


def test_no_criterion_matches_everything(registry):
    assert _parse(registry, "").expression == And(())
    assert _parse(registry, "").results == ResultParameters()


def test_a_criterion_that_can_not_match_makes_the_whole_never_match(registry):
    assert _parse(registry, "gender=male&organization:Organization=Patient/1").expression == Never()


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("_count=10", ResultParameters(count=10)),
        ("_count=99999", ResultParameters(count=10_000)),
        ("_count=0", ResultParameters(count=0)),
        ("_total=accurate", ResultParameters(total="accurate")),
        ("_summary=false", ResultParameters()),
        ("_summary=text", ResultParameters(summary="text")),
        ("_elements=name,%20id,name", ResultParameters(elements=("name", "id"))),
        (
            "_sort=family,-birthdate,family,_id",
            ResultParameters(
                sort=(SortKey("family", False), SortKey("birthdate", True), SortKey("_id", False))
            ),
        ),
        ("_format=json&_pretty=true&_contained=false", ResultParameters()),
    ],
)
def test_results(registry, text, results):
    assert _parse(registry, text).results == results


@pytest.mark.parametrize(
    ("text", "expected"), [("_count=0", True), ("_summary=count", True), ("_count=1", False)]
)
def test_count_only(registry, text, expected):
    assert _parse(registry, text).results.count_only == expected


def test_the_self_link_is_canonical(registry):
    first = _parse(
        registry,
        "_sort=-birthdate&gender=male&family:exact=A&_summary=true&birthdate=ge1970&birthdate=lt1980",
    )
    second = _parse(
        registry,
        "birthdate=lt1980&birthdate=ge1970&family:exact=A&gender=male&_summary=true&_sort=-birthdate&_count=50",
    )

    assert first.self_parameters == second.self_parameters
    assert first.self_parameters == (
        ("birthdate", "ge1970"),
        ("birthdate", "lt1980"),
        ("family:exact", "A"),
        ("gender", "male"),
        ("_sort", "-birthdate"),
        ("_count", "50"),
        ("_summary", "true"),
    )


def test_an_unknown_type_is_the_callers_mistake(registry):
    with pytest.raises(KeyError):
        _parse(registry, "", "Nonsense")
