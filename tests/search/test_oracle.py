"""Random resources and random queries: MongoDB, the in-memory form and the oracle must agree."""

from __future__ import annotations

import calendar
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# The oracle: R4's rules of matching a second time, over the JSON itself: slow, plain, sharing no code with the engine.

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
GRAMS = {"kg": Fraction(1000), "g": Fraction(1), "mg": Fraction(1, 1000)}
UCUM = "http://unitsofmeasure.org"


def span(text):
    """First and last moment of a partial date, in microseconds."""
    if "T" not in text:
        parts = [int(p) for p in text.split("-")]
        year, month, day = (*parts, None, None)[:3]
        start = datetime(year, month or 1, day or 1, tzinfo=UTC)
        last_month = month or 12
        last_day = day or calendar.monthrange(year, last_month)[1]
        return start, datetime(year, last_month, last_day, 23, 59, 59, 999000, tzinfo=UTC)
    clock, zone = (text[:-1], "+00:00") if text.endswith("Z") else (text[:-6], text[-6:])
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:])) * (-1 if zone[0] == "-" else 1)
    form = (
        "%Y-%m-%dT%H:%M:%S.%f"
        if "." in clock
        else "%Y-%m-%dT%H:%M:%S"
        if clock.count(":") == 2
        else "%Y-%m-%dT%H:%M"
    )
    start = datetime.strptime(clock, form).replace(tzinfo=timezone(offset))
    length = {"%Y-%m-%dT%H:%M": 59.999, "%Y-%m-%dT%H:%M:%S": 0.999}.get(form, 0)
    return start, start + timedelta(seconds=length)


def spans(resource):
    if "effectiveDateTime" in resource:
        return [span(resource["effectiveDateTime"])]
    period = resource.get("effectivePeriod")
    if period is None:
        return []
    return [
        (
            span(period["start"])[0] if "start" in period else FIRST,
            span(period["end"])[1] if "end" in period else LAST,
        )
    ]


def date_matches(resource, value):
    prefix, text = (value[:2], value[2:]) if value[:1].isalpha() else ("eq", value)
    a, b = span(text)
    for low, high in spans(resource):
        equal = low >= a and high <= b
        answers = {
            "eq": equal, "ne": not equal, "gt": high > b, "lt": low < a, "ge": high > b or equal, "le": low < a or equal,
            "sa": low > b, "eb": high < a,
        }  # fmt: skip
        if answers[prefix]:
            return True
    return False


def half_unit(text):
    mantissa, _, exponent = text.lower().partition("e")
    digits = len(mantissa.partition(".")[2])
    power = int(exponent or 0) - digits
    if exponent and len(mantissa.strip("-").replace(".", "")) == 1:
        power -= 1  # the specification's example: 1e2 is [95, 105)
    return Fraction(10) ** power / 2


def in_range(prefix, low, high, value, half):
    """Low and high are the same for plain values; None means without end."""
    below, above = value - half, value + half
    infinite = Fraction(10) ** 30
    low = -infinite if low is None else low
    high = infinite if high is None else high
    return {
        "eq": low >= below and high < above, "ne": not (low >= below and high < above),
        "gt": high > value, "lt": low < value, "ge": high >= value, "le": low <= value,
        "sa": low > value, "eb": high < value,
        "ap": low <= value + abs(value) / 10 and high >= value - abs(value) / 10,
    }[prefix]  # fmt: skip


def quantity_matches(resource, value):
    number, *rest = value.split("|")
    prefix, number = (number[:2], number[2:]) if number[:1].isalpha() else ("eq", number)
    wanted, half = Fraction(number), half_unit(number)
    system, code = [*rest, "", ""][:2]
    quantity = resource.get("valueQuantity")
    if quantity is None:
        return False
    low = high = Fraction(quantity["value"])
    comparator = quantity.get("comparator")
    if comparator in {"<", "<="}:
        low = None
    if comparator in {">", ">="}:
        high = None
    if system and code:
        if quantity.get("system") != system:
            return False
        if code in GRAMS and quantity.get("code") in GRAMS:
            factor = GRAMS[code]
            wanted, half = wanted * factor, half * factor
            own = GRAMS[quantity["code"]]
            low, high = (None if v is None else v * own for v in (low, high))
        elif quantity.get("code") != code:
            return False
    elif code and code not in {quantity.get("code"), quantity.get("unit")}:
        return False
    return in_range(prefix, low, high, wanted, half)


def tokens(concept):
    return [(c.get("system", ""), c.get("code", "")) for c in (concept or {}).get("coding", [])]


def token_matches(found, value):
    """Unknown systems: without regard to case."""
    system, bar, code = value.rpartition("|")
    for own_system, own_code in found:
        if bar and own_system != system:
            continue
        if not code or own_code.lower() == code.lower():
            return True
    return False


def reference_matches(resource, value, targets):
    reference = resource.get("subject", {}).get("reference", "")
    if "/" in value:
        return reference == value
    return any(reference == f"{target}/{value}" for target in targets)


def plain(text):
    decomposed = unicodedata.normalize("NFKD", text)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold().replace("ł", "l")
    return " ".join(letters.replace("-", " ").replace("'", "").replace(".", "").split())


def string_matches(resource, value, modifier):
    for name in resource.get("name", []):
        family = name.get("family")
        if family is None:
            continue
        if modifier == "exact":
            found = family == value
        elif modifier == "contains":
            found = plain(value) in plain(family)
        else:
            words = plain(family).split(" ")
            found = any(" ".join(words[n:]).startswith(plain(value)) for n in range(len(words)))
        if found:
            return True
    return False


# The resources and queries.


DATES = st.sampled_from([
    "2019", "2020", "2020-02", "2020-03", "2020-02-28", "2020-02-29", "2020-03-01", "2020-02-29T23:59:59Z",
    "2020-02-29T23:59:59.500Z", "2020-03-01T00:00:00+01:00", "2020-03-01T00:00:00Z", "2020-03-01T12:30:00-05:00",
])  # fmt: skip
SEARCHED_DATES = st.one_of(DATES, st.sampled_from(["2020-02-29T23:59Z", "2020-03-01T00:00Z", "2021"]))
PREFIXES = st.sampled_from(["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"])
PERIODS = st.fixed_dictionaries(
    {}, optional={"start": st.just("2020-02"), "end": DATES.filter(lambda d: d >= "2020-02")}
)
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
        made["valueQuantity"] = {
            "value": Fraction(draw(NUMBERS)),
            "system": system,
            "code": unit,
            "unit": unit,
        }
        comparator = draw(st.sampled_from([None, None, "<", ">="]))
        if comparator:
            made["valueQuantity"]["comparator"] = comparator
    components = draw(st.lists(st.tuples(CODINGS, NUMBERS), max_size=3))
    if components:
        made["component"] = [
            {
                "code": {"coding": [coding]},
                "valueQuantity": {"value": Fraction(number), "system": UCUM, "code": "mg", "unit": "mg"},
            }
            for coding, number in components
        ]
    subject = draw(st.sampled_from(SUBJECTS))
    if subject:
        made["subject"] = {"reference": subject}
    return made


def _escaped(text):
    return text.replace("|", "\\|")


@st.composite
def clauses(draw):
    """A pair, and the oracle's answer for a resource."""
    kind = draw(st.sampled_from(["date", "quantity", "token", "status", "reference", "missing", "composite"]))
    if kind == "date":
        values = draw(st.lists(st.builds(str.__add__, PREFIXES, SEARCHED_DATES), min_size=1, max_size=2))
        return ("date", ",".join(values)), lambda r: any(date_matches(r, v) for v in values)
    if kind == "quantity":
        number = draw(st.builds(str.__add__, st.one_of(PREFIXES, st.just("ap")), SEARCHED_NUMBERS))
        unit = draw(
            st.sampled_from(["", f"|{UCUM}|mg", f"|{UCUM}|kg", f"|{UCUM}|[arb'U]", "||mg", "||tablet"])
        )
        return ("value-quantity", number + unit), lambda r: quantity_matches(r, number + unit)
    if kind == "token":
        code = draw(st.sampled_from(CODES))
        form = draw(st.sampled_from(["", "|", "http://a|", "http://b|"]))
        modifier = draw(st.sampled_from(["", ":not"]))
        return (
            (f"code{modifier}", form + _escaped(code)),
            lambda r: (
                token_matches(tokens(r["code"]), form + code.replace("|", "\x00")) != (modifier == ":not")
            ),
        )
    if kind == "composite":
        code, number = (
            draw(st.sampled_from(CODES[:3])),
            draw(st.builds(str.__add__, PREFIXES, SEARCHED_NUMBERS)),
        )
        name = draw(st.sampled_from(["code", "component-code", "combo-code"]))
        return (f"{name}-value-quantity", f"{code}${number}||mg"), lambda r: any(
            token_matches(tokens(holder.get("code")), code) and quantity_matches(holder, f"{number}||mg")
            for holder in [
                *([r] if name != "component-code" else []),
                *(r.get("component", []) if name != "code" else []),
            ]
        )
    if kind == "status":
        status = draw(
            st.sampled_from(["final", "amended", "http://hl7.org/fhir/observation-status|final", "nonsense"])
        )
        return ("status", status), lambda r: r["status"] == status.rpartition("|")[2]
    if kind == "reference":
        value = draw(st.sampled_from(["Patient/1", "Group/1", "1", "2", "Patient/3"]))
        return ("subject", value), lambda r: reference_matches(
            r, value, ["Patient", "Group", "Device", "Location"]
        )
    name, key = draw(
        st.sampled_from([("date", "effective"), ("value-quantity", "valueQuantity"), ("subject", "subject")])
    )
    wanted = draw(st.booleans())
    return (f"{name}:missing", str(wanted).lower()), lambda r: any(k.startswith(key) for k in r) != wanted


@pytest.fixture(scope="module")
def engine(new_engine, module_database_name):
    return new_engine(module_database_name)


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
        expected = {
            f"r{n}" for n, resource in enumerate(resources) if all(answer(resource) for _, answer in query)
        }
        found = engine.ids("Observation", *pairs)
        assert len(found) == len(set(found))
        assert set(found) == expected, pairs
        parsed = engine.parse("Observation", pairs)
        documents = engine.documents["Observation"]
        assert {id_ for id_, made in documents.items() if parsed.expression.matches(made)} == expected, pairs


FAMILIES = [
    "O'Brien",
    "Müller",
    "Muller-Schmidt",
    "van der Berg",
    "Berg",
    "Łukasz",
    "D. Smith",
    "smith",
    "SMITH",
]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    families=st.lists(st.lists(st.sampled_from(FAMILIES), max_size=2), min_size=2, max_size=6),
    value=st.sampled_from(
        [
            "o'br",
            "obrien",
            "mul",
            "MÜLLER",
            "berg",
            "der",
            "schmidt",
            "smith",
            "Smith",
            "SMITH",
            "ith",
            "Berg",
        ]
    ),
    modifier=st.sampled_from(["", "exact", "contains"]),
)
def test_family_names(engine, families, value, modifier):
    resources = [{"resourceType": "Patient", "name": [{"family": f} for f in names]} for names in families]
    _replace(engine, "Patient", resources)
    expected = {f"r{n}" for n, r in enumerate(resources) if string_matches(r, value, modifier)}

    assert set(engine.ids("Patient", ("family" + (modifier and ":" + modifier), value))) == expected
