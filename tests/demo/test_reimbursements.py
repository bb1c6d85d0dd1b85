"""The eleven worked cases of reimbursement: who pays what, to the cent."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from fhir_server.demo.reimbursements import franchise, participation
from fhir_server.space.statements import Act, shares

#: Price, base, rate, flat deduction, complementary contract; what fund, ticket, excess, contract and citizen come to.
CASES = {
    "A specialist in 2023": ("45.00", "30.00", 70, "1.00", False, "20.00", "9.00", "15.00", "0.00", "25.00"),
    "B doctor": ("30.00", "30.00", 70, "2.00", True, "19.00", "9.00", "0.00", "9.00", "2.00"),
    "C doctor at 26.50": ("26.50", "26.50", 70, "2.00", False, "16.55", "7.95", "0.00", "0.00", "9.95"),
    "D out of the pathway": ("26.50", "26.50", 30, "2.00", False, "5.95", "18.55", "0.00", "0.00", "20.55"),
    "E long disease": ("30.00", "30.00", 100, "2.00", False, "28.00", "0.00", "0.00", "0.00", "2.00"),
    "F minor": ("30.00", "30.00", 70, "0.00", False, "21.00", "9.00", "0.00", "0.00", "9.00"),
    "G medicine": ("12.00", "12.00", 65, "1.00", True, "6.80", "4.20", "0.00", "4.20", "1.00"),
    "H laboratory": ("27.00", "27.00", 60, "2.00", True, "14.20", "10.80", "0.00", "10.80", "2.00"),
    "I heavy act": ("200.00", "200.00", 100, "24.00", False, "176.00", "0.00", "0.00", "0.00", "24.00"),
    "J rounding": ("3.33", "3.33", 65, "1.00", False, "1.16", "1.17", "0.00", "0.00", "2.17"),
    "K flat above the share": ("0.90", "0.90", 65, "1.00", False, "0.00", "0.32", "0.00", "0.00", "0.90"),
    "two halves rounded up": ("9.30", "9.30", 65, "0.00", True, "6.05", "3.26", "0.00", "3.25", "0.00"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_shares(case):
    price, base, rate, flat, has_complementary, *expected = case
    act = Act("act", "", Decimal(price), Decimal(base), rate, Decimal(flat))
    paid = shares(act, has_complementary=has_complementary)
    found = (paid.fund, paid.ticket, paid.excess, paid.complementary, paid.left)
    assert [str(amount) for amount in found] == expected


@pytest.mark.parametrize(
    ("amount", "day", "expected"),
    [
        (participation, date(2024, 5, 14), "1.00"),
        (participation, date(2024, 5, 15), "2.00"),
        (franchise, date(2024, 3, 30), "0.50"),
        (franchise, date(2024, 3, 31), "1.00"),
    ],
)
def test_flat_deductions_changed_in_2024(amount, day, expected):
    assert str(amount(day)) == expected
