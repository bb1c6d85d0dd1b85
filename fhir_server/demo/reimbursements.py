"""Statements of the public payer for invented citizens: their sums are those of ``space.statements``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from fhir_server.demo.codes import Json
from fhir_server.space.statements import Act, Statement, shares
from fhir_server.space.statements import resource as resource_of

_TRIPLED = date(2024, 5, 15)
_DOUBLED = date(2024, 3, 31)


def participation(on: date) -> Decimal:
    """Return the flat deduction of an act of a doctor or laboratory."""
    return Decimal("2.00") if on >= _TRIPLED else Decimal("1.00")


def franchise(on: date) -> Decimal:
    """Return the flat deduction of a box of medicine."""
    return Decimal("1.00") if on >= _DOUBLED else Decimal("0.50")


def statement(
    id_: str,
    number: str,
    type_: str,
    acts: Sequence[Act],
    *,
    holder: str,
    holder_number: str,
    insurer: str,
    provider: str,
    on: date,
    created: date,
    has_complementary: bool = False,
    pathway: str = "attending",
    nature: str = "illness",
) -> Json:
    """Return the statement of acts of one day; ``created`` is the day of statement and payment."""
    acts = [replace(act, day=on.isoformat()) for act in acts]
    paid = [shares(act, has_complementary=has_complementary) for act in acts]
    told = Statement(
        number, type_, holder, insurer, provider, created.isoformat(), holder_number, pathway, nature,
        created.isoformat(),
    )  # fmt: skip
    return {"resourceType": "ExplanationOfBenefit", "id": id_} | resource_of(told, acts, paid)
