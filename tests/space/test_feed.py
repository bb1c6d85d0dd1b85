"""The payer's feed: rows, mapping, and sums to the cent by the eleven worked cases."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.space.feed import (
    FeedMapping,
    mapping_of,
    row_faults,
    schema,
    statement_faults,
    statement_of,
    values_of,
)

HEAD = {"statement": "S1", "created": "2026-05-09", "patient": "222019912345670", "insurer": "750000000",
        "provider": "99700218896", "day": "2026-05-04", "code": "G"}  # fmt: skip
#: Price, base, rate, flat, fund, ticket, excess, complementary, left: table A-K of the statements that must be right.
CASES = {
    "A": ("45.00", "30.00", "70", "1", "20.00", "9.00", "15.00", "", "25.00"),
    "B": ("30.00", "30.00", "70", "2", "19.00", "9.00", "", "9.00", "2.00"),
    "C": ("26.50", "26.50", "70", "2", "16.55", "7.95", "", "", "9.95"),
    "D": ("26.50", "26.50", "30", "2", "5.95", "18.55", "", "", "20.55"),
    "E": ("30.00", "30.00", "100", "2", "28.00", "0", "", "", "2.00"),
    "F": ("30.00", "30.00", "70", "0", "21.00", "9.00", "", "", "9.00"),
    "G": ("12.00", "12.00", "65", "1", "6.80", "4.20", "", "4.20", "1.00"),
    "H": ("27.00", "27.00", "60", "2", "14.20", "10.80", "", "10.80", "2.00"),
    "I": ("200.00", "200.00", "100", "24", "176.00", "0", "", "", "24.00"),
    "J": ("3.33", "3.33", "65", "1", "1.16", "1.17", "", "", "2.17"),
    "K": ("0.90", "0.90", "65", "1", "0", "0.32", "", "", "0.90"),
}
AMOUNTS = ("price", "base", "rate", "flat", "fund", "ticket", "excess", "complementary", "left")


def row(case="B", **other):
    return values_of(FeedMapping(), {**HEAD, **dict(zip(AMOUNTS, CASES[case], strict=True)), **other})


@pytest.mark.parametrize("case", CASES)
def test_each_worked_case_is_right_and_valid(case, space_validator):
    assert list(row_faults(row(case))) == []
    made = statement_of([row(case)])
    made = decode(encode(made | {"patient": {"reference": "Patient/a"}, "insurer": {"reference": "Organization/b"},
                                 "provider": {"reference": "Practitioner/c"}}))  # fmt: skip
    issues = [i for i in space_validator.validate(made) if i.severity in ("error", "fatal")]
    assert not issues
    left = next(t for t in made["total"] if t["category"]["coding"][0]["code"] == "reste-a-charge")
    assert left["amount"]["value"] == Decimal(CASES[case][-1])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["fund", "ticket", "left"])
def test_a_cent_too_much_is_found(case, name):
    right = CASES[case][AMOUNTS.index(name)]
    found = list(row_faults(row(case, **{name: str(Decimal(right) + Decimal("0.01"))})))
    assert any(text.startswith(f"{name} is") for text in found), found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"patient": ""}, "patient is missing."),
        ({"day": "2026-02-30"}, 'day is "2026-02-30", which is no date.'),
        ({"price": "30,00"}, 'price is "30,00", which is no number.'),
        ({"price": "NaN"}, 'price is "NaN", which is no number.'),
        ({"base": "31.00"}, "The base 31.00 is above the price 30.00."),
        ({"rate": "101"}, "The rate is 101; it lies between 0 and 100 percent."),
        ({"price": "30.001"}, "price is 30.001; an amount is not negative and has whole cents."),
        ({"type": "dental"}, 'type is "dental"; it is one of professional, pharmacy, institutional, oral, vision.'),
        ({"complementary": "12.00", "left": ""}, "Fund and complementary part together pay more than the price 30.00."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_said(change, expected):
    assert expected in list(row_faults(row(**change)))


def test_rows_of_a_statement_agree_and_come_to_what_was_paid():
    rows = [row("B", paid="38.00"), row("B", paid="38.00")]
    assert list(statement_faults(rows)) == []
    assert statement_of(rows)["payment" if "payment" in statement_of(rows) else "total"]
    assert list(statement_faults([row("B", paid="38.01"), row("B", paid="38.01")])) == [
        "paid is 38.01, but what the fund pays comes to 38.00."
    ]
    assert list(statement_faults([row("B"), row("B", created="2026-05-10")])) == [
        "created is not the same in all rows of the statement."
    ]


def test_a_mapping_says_where_and_how_values_stand():
    told = mapping_of(
        json.dumps(
            {
                "decimal": ",",
                "date": "DD/MM/YYYY",
                "columns": {
                    "price": "Montant",
                    "day": "acte.date",
                    "type": {"column": "Nature", "codes": {"PHA": "pharmacy"}},
                    "insurer": {"value": "12"},
                },
            }
        ).encode()
    )
    found = values_of(told, {"Montant": "45,00", "acte": {"date": "04/05/2026"}, "Nature": "PHA"})
    assert (found["price"], found["day"], found["type"], found["insurer"]) == (
        "45.00",
        "2026-05-04",
        "pharmacy",
        "12",
    )


@pytest.mark.parametrize(
    "wrong",
    [{"colums": {}}, {"columns": {"prize": "x"}}, {"decimal": "'"}, {"columns": {"price": {"col": "x"}}}, []],
)
def test_a_wrong_mapping_is_refused_by_code_and_schema_alike(wrong):
    with pytest.raises(ValueError, match=r".+"):
        mapping_of(json.dumps(wrong).encode())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


def test_the_published_schema_is_that_of_the_code():
    published = Path(__file__).parents[2] / "docs" / "schemas" / "reimbursements-mapping.schema.json"
    assert json.loads(published.read_text()) == schema()
