"""Statements of the public payer: who pays what of an act, to the cent, and the resource that says so.

https://hl7.org/fhir/R4/explanationofbenefit.html; the rules hs-eob-* of hs-reimbursement; docs/reimbursements.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from fhir_server.space.names import HS, PROFILE

#: The codes of acts where a payer names no other system.
CODES = "https://assurance-maladie.example/CodeSystem/prestation"
NOTHING = Decimal("0.00")
_CENT = Decimal("0.01")
_THO = "http://terminology.hl7.org/CodeSystem"
#: R4's own categories of amounts; all others are of hs-adjudication.
_HL7 = {"submitted": "Submitted Amount", "eligible": "Eligible Amount", "eligpercent": "Eligible %",
        "benefit": "Benefit Amount"}  # fmt: skip
_ALWAYS = frozenset({"submitted", "eligible", "benefit", "reste-a-charge"})
TYPES = {
    "professional": "Professional",
    "pharmacy": "Pharmacy",
    "institutional": "Institutional",
    "oral": "Oral",
    "vision": "Vision",
}


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: price, the base and rate (%) of its reimbursement, and the flat deduction with its kind.

    ``day`` is when, a date; ``system`` the code system of ``code``.
    """

    code: str
    text: str
    price: Decimal
    base: Decimal
    rate: Decimal | int
    flat: Decimal = NOTHING
    flat_kind: str = "participation-forfaitaire"
    day: str = ""
    system: str = CODES


@dataclass(frozen=True, slots=True)
class Shares:
    """Who pays what, in euro; ``ticket`` is the part of the base that the fund leaves."""

    fund: Decimal
    ticket: Decimal
    excess: Decimal
    complementary: Decimal
    left: Decimal


def shares(act: Act, *, has_complementary: bool = False, complementary: Decimal | None = None) -> Shares:
    """Return who pays what: base x rate - flat, never negative; the complementary contract pays the ticket only.

    ``complementary`` is what it pays where that is known. Amounts are rounded half up to the cent.
    """
    fund = max(cents(act.base * act.rate / 100) - act.flat, NOTHING)
    ticket = cents(act.base * (100 - act.rate) / 100)
    if complementary is None:
        # The two shares may both have been rounded up.
        complementary = min(ticket, act.price - fund) if has_complementary else NOTHING
    return Shares(fund, ticket, act.price - act.base, complementary, act.price - fund - complementary)


def faults(act: Act, told: Mapping[str, Decimal]) -> Iterator[str]:
    """Yield what is wrong with the sums of an act; ``told`` are those of its Shares that a payer names."""
    for name, value in (("price", act.price), ("base", act.base), ("flat", act.flat), *told.items()):
        if value < 0 or value != cents(value):
            yield f"{name} is {value}; an amount is not negative and has whole cents."
    if not 0 <= act.rate <= 100:
        yield f"The rate is {act.rate}; it lies between 0 and 100 percent."
    if act.base > act.price:
        yield f"The base {act.base} is above the price {act.price}."
        return
    right = shares(act, complementary=told.get("complementary", NOTHING))
    if right.left < 0:
        yield f"Fund and complementary part together pay more than the price {act.price}."
    ways = {
        "fund": f"{act.base} x {act.rate} % - {act.flat}",
        "ticket": f"{act.base} x (100 - {act.rate}) %",
        "excess": f"{act.price} - {act.base}",
        "left": f"{act.price} - {right.fund} - {right.complementary}",
    }
    for name, way in ways.items():
        value = getattr(right, name)
        if name in told and told[name] != value:
            yield f"{name} is {told[name]}, but {way} comes to {value}."


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement: ``holder``, ``insurer`` and ``provider`` are references; ``created`` and ``paid_on`` dates."""

    number: str
    type: str
    holder: str
    insurer: str
    provider: str
    created: str
    holder_number: str = ""
    pathway: str = ""
    nature: str = ""
    paid_on: str = ""
    replaces: str = ""
    number_system: str = f"{HS}/sid/statement"
    holder_system: str = "urn:oid:1.2.250.1.213.1.4.13"


def resource(statement: Statement, acts: Sequence[Act], paid: Sequence[Shares]) -> dict[str, Any]:
    """Return the ExplanationOfBenefit of the acts of a statement and who pays what of each."""
    totals = {
        "submitted": sum((act.price for act in acts), NOTHING),
        "benefit": (fund := sum((one.fund for one in paid), NOTHING)),
        "reste-a-charge": sum((one.left for one in paid), NOTHING),
    }
    days = sorted(act.day for act in acts)
    made: dict[str, Any] = {
        "resourceType": "ExplanationOfBenefit",
        "meta": {"profile": [f"{PROFILE}hs-reimbursement"]},
        "identifier": [{"system": statement.number_system, "value": statement.number}],
        "status": "active",
        "type": _concept(f"{_THO}/claim-type", statement.type, TYPES[statement.type]),
        "use": "claim",
        "patient": {"reference": statement.holder},
        "billablePeriod": {"start": days[0], "end": days[-1]},
        "created": statement.created,
        "insurer": {"reference": statement.insurer},
        "provider": {"reference": statement.provider},
        "outcome": "complete",
        "insurance": list(_insurances(statement, is_shared=any(one.complementary for one in paid))),
        "item": [_item(place, *row) for place, row in enumerate(zip(acts, paid, strict=True), 1)],
        "total": [{"category": _category(code), "amount": _euro(amount)} for code, amount in totals.items()],
    }
    information = [("care-pathway", statement.pathway), ("insurance-nature", statement.nature)]
    if told := [_information(n, *row) for n, row in enumerate((row for row in information if row[1]), 1)]:
        made["supportingInfo"] = told
    if statement.paid_on:
        made["payment"] = {"date": statement.paid_on, "amount": _euro(fund)}
    if statement.replaces:
        prior = _concept(f"{_THO}/ex-relatedclaimrelationship", "prior")
        reference = {"system": statement.number_system, "value": statement.replaces}
        made["related"] = [{"relationship": prior, "reference": reference}]
    return made


def _insurances(statement: Statement, *, is_shared: bool) -> Iterator[dict[str, Any]]:
    fund: dict[str, Any] = {"display": "Assurance maladie obligatoire"}
    if statement.holder_number:
        fund |= {"identifier": {"system": statement.holder_system, "value": statement.holder_number}}
    yield {"focal": True, "coverage": fund}
    if is_shared:
        yield {"focal": False, "coverage": {"display": "Complémentaire santé"}}


def _item(sequence: int, act: Act, one: Shares) -> dict[str, Any]:
    amounts = {
        "submitted": act.price,
        "eligible": act.base,
        "eligpercent": None,
        "benefit": one.fund,
        "ticket-moderateur": one.ticket,
        act.flat_kind: act.flat,
        "depassement": one.excess,
        "part-amc": one.complementary,
        "reste-a-charge": one.left,
    }
    return {
        "sequence": sequence,
        "productOrService": _concept(act.system, act.code) | ({"text": act.text} if act.text else {}),
        "servicedDate": act.day,
        "net": _euro(act.price),
        "adjudication": [
            {"category": _category(code), "value": act.rate}
            if amount is None
            else {"category": _category(code), "amount": _euro(amount)}
            for code, amount in amounts.items()
            if amount is None or amount or code in _ALWAYS
        ],
    }


def _category(code: str) -> dict[str, Any]:
    return _concept(
        f"{_THO}/adjudication" if code in _HL7 else f"{HS}/CodeSystem/hs-adjudication",
        code,
        _HL7.get(code, ""),
    )


def _information(sequence: int, category: str, code: str) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "category": _concept(f"{HS}/CodeSystem/hs-supporting-info", category),
        "code": _concept(f"{HS}/CodeSystem/hs-{category}", code),
    }


def _concept(system: str, code: str, display: str = "") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} | ({"display": display} if display else {})]}


def _euro(amount: Decimal) -> dict[str, Any]:
    return {"value": amount, "currency": "EUR"}


def cents(amount: Decimal) -> Decimal:
    """Return an amount in whole cents, rounded half up."""
    return amount.quantize(_CENT, ROUND_HALF_UP)


#: The names that a payer may give of an act's Shares.
SHARES = tuple(field.name for field in fields(Shares))
