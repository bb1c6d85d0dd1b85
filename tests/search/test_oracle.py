"""Random resources and random queries: MongoDB, the in-memory form and the oracle must agree."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.search import oracle

UCUM = "http://unitsofmeasure.org"

DATES = st.sampled_from([
    "2019", "2020", "2020-02", "2020-03", "2020-02-28", "2020-02-29", "2020-03-01", "2020-02-29T23:59:59Z",
    "2020-02-29T23:59:59.500Z", "2020-03-01T00:00:00+01:00", "2020-03-01T00:00:00Z", "2020-03-01T12:30:00-05:00",
])  # fmt: skip
SEARCHED_DATES = st.one_of(DATES, st.sampled_from(["2020-02-29T23:59Z", "2020-03-01T00:00Z", "2021"]))
PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
PERIODS = st.fixed_dictionaries({}, optional={"start": st.just("2020-02"), "end": DATES.filter(lambda d: d >= "2020-02")})
NUMBERS = st.sampled_from(["1", "1.0", "1.04", "1.05", "0.95", "100", "99.5", "1000", "0.001", "2"])
SEARCHED_NUMBERS = st.one_of(NUMBERS, st.sampled_from(["1e0", "1.0e2", "1e2", "0", "1.00"]))
SYSTEMS = ["http://a", "http://b", ""]
CODES = ["c1", "C1", "c2", "c|2"]
CODINGS = st.builds(
    lambda system, code: {k: v for k, v in (("system", system), ("code", code)) if v},
    st.sampled_from(SYSTEMS), st.sampled_from(CODES[:3]),
)  # fmt: skip
SUBJECTS = ["Patient/1", "Patient/2", "Group/1", "Device/2", None]


@st.composite
def observations(draw):
    made = {"resourceType": "Observation", "status": draw(st.sampled_from(["final", "amended"]))}
    made["code"] = {"coding": draw(st.lists(CODINGS, max_size=2))}
    kind = draw(st.integers(0, 3))
    if kind < 2:
        made["effectiveDateTime"] = draw(DATES)
    elif kind == 2:
        period = draw(PERIODS)
        if period:
            made["effectivePeriod"] = period
    if draw(st.booleans()):
        unit = draw(st.sampled_from(["mg", "g", "kg", "[arb'U]", "tablet"]))
        system = UCUM if unit != "tablet" else "http://a"
        made["valueQuantity"] = {"value": oracle.Fraction(draw(NUMBERS)), "system": system, "code": unit, "unit": unit}
        comparator = draw(st.sampled_from([None, None, "<", ">="]))
        if comparator:
            made["valueQuantity"]["comparator"] = comparator
    subject = draw(st.sampled_from(SUBJECTS))
    if subject:
        made["subject"] = {"reference": subject}
    return made


def _escaped(text):
    return text.replace("|", "\\|")


@st.composite
def clauses(draw):
    """A pair, and the oracle's answer for a resource."""
    kind = draw(st.sampled_from(["date", "quantity", "token", "status", "reference", "missing"]))
    if kind == "date":
        values = draw(st.lists(st.builds(str.__add__, PREFIXES, SEARCHED_DATES), min_size=1, max_size=2))
        return ("date", ",".join(values)), lambda r: any(oracle.date_matches(r, v) for v in values)
    if kind == "quantity":
        number = draw(st.builds(str.__add__, st.one_of(PREFIXES, st.just("ap")), SEARCHED_NUMBERS))
        unit = draw(st.sampled_from(["", f"|{UCUM}|mg", f"|{UCUM}|kg", f"|{UCUM}|[arb'U]", "||mg", "||tablet"]))
        return ("value-quantity", number + unit), lambda r: oracle.quantity_matches(r, number + unit)
    if kind == "token":
        code = draw(st.sampled_from(CODES))
        form = draw(st.sampled_from(["", "|", "http://a|", "http://b|"]))
        modifier = draw(st.sampled_from(["", ":not"]))
        return (f"code{modifier}", form + _escaped(code)), lambda r: (
            oracle.token_matches(oracle.tokens(r["code"]), form + code.replace("|", "\x00")) != (modifier == ":not")
        )
    if kind == "status":
        status = draw(st.sampled_from(["final", "amended", "http://hl7.org/fhir/observation-status|final", "nonsense"]))
        return ("status", status), lambda r: r["status"] == status.rpartition("|")[2]
    if kind == "reference":
        value = draw(st.sampled_from(["Patient/1", "Group/1", "1", "2", "Patient/3"]))
        return ("subject", value), lambda r: oracle.reference_matches(r, value, ["Patient", "Group", "Device", "Location"])
    name, key = draw(st.sampled_from([("date", "effective"), ("value-quantity", "valueQuantity"), ("subject", "subject")]))
    wanted = draw(st.booleans())
    return (f"{name}:missing", str(wanted).lower()), lambda r: any(k.startswith(key) for k in r) != wanted


@pytest.fixture(scope="module")
def engine(registry, indexer, mongo_client, module_database_name):
    from tests.search.conftest import Engine

    return Engine(registry, indexer, mongo_client[module_database_name])


def _replace(engine, type_, resources):
    engine.put(*({**resource, "id": f"r{number}"} for number, resource in enumerate(resources)))
    stale = [id_ for id_ in engine.documents[type_] if int(id_[1:]) >= len(resources)]
    for id_ in stale:
        engine.delete(type_, id_)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    resources=st.lists(observations(), min_size=3, max_size=9),
    queries=st.lists(st.lists(clauses(), min_size=1, max_size=2), min_size=6, max_size=6),
)
def test_observations(engine, resources, queries):
    _replace(engine, "Observation", resources)
    for query in queries:
        pairs = [pair for pair, _ in query]
        expected = {f"r{n}" for n, resource in enumerate(resources) if all(answer(resource) for _, answer in query)}
        found = engine.ids("Observation", *pairs)
        assert len(found) == len(set(found))
        assert set(found) == expected, pairs
        parsed = engine.parse("Observation", pairs)
        documents = engine.documents["Observation"]
        assert {id_ for id_, made in documents.items() if parsed.expression.matches(made)} == expected, pairs


FAMILIES = ["O'Brien", "Müller", "Muller-Schmidt", "van der Berg", "Berg", "Łukasz", "D. Smith", "smith", "SMITH"]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    families=st.lists(st.lists(st.sampled_from(FAMILIES), max_size=2), min_size=2, max_size=6),
    value=st.sampled_from(["o'b", "obrien", "mul", "MÜLLER", "berg", "der", "schmidt", "smith", "Smith", "SMITH", "ith", "Berg"]),
    modifier=st.sampled_from(["", "exact", "contains"]),
)
def test_family_names(engine, families, value, modifier):
    resources = [{"resourceType": "Patient", "name": [{"family": f} for f in names]} for names in families]
    _replace(engine, "Patient", resources)
    expected = {f"r{n}" for n, r in enumerate(resources) if oracle.string_matches(r, value, modifier)}

    assert set(engine.ids("Patient", ("family" + (modifier and ":" + modifier), value))) == expected
