"""Statements of the public payer whose sums are right to the cent.

https://hl7.org/fhir/R4/explanationofbenefit.html; the rules hs-eob-* of our profile hs-reimbursement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from fhir_server.demo.codes import HS, THO, Json, coding, concept, reference, resource

_CENT = Decimal("0.01")
_NOTHING = Decimal("0.00")
_TRIPLED = date(2024, 5, 15)
_DOUBLED = date(2024, 3, 31)
_HL7 = {"submitted": "Submitted Amount", "eligible": "Eligible Amount", "eligpercent": "Eligible %",
        "benefit": "Benefit Amount"}  # fmt: skip
_TYPES = {"professional": "Professional", "pharmacy": "Pharmacy", "institutional": "Institutional"}


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: price, the base and rate (%) of its reimbursement, and the flat deduction with its kind."""

    code: str
    text: str
    price: Decimal
    base: Decimal
    rate: int
    flat: Decimal = _NOTHING
    flat_kind: str = "participation-forfaitaire"


@dataclass(frozen=True, slots=True)
class Shares:
    """Who pays what, in euro; ``ticket`` is the part of the base that the fund leaves."""

    fund: Decimal
    ticket: Decimal
    excess: Decimal
    complementary: Decimal
    left: Decimal


def shares(act: Act, *, has_complementary: bool) -> Shares:
    """Return who pays what: base x rate - flat, never negative; the complementary contract pays the ticket only.

    Amounts are rounded half up to the cent.
    """
    fund = max(_cents(act.base * act.rate / 100) - act.flat, _NOTHING)
    ticket = _cents(act.base * (100 - act.rate) / 100)
    complementary = min(ticket, act.price - fund) if has_complementary else _NOTHING  # two halves rounded up
    return Shares(fund, ticket, act.price - act.base, complementary, act.price - fund - complementary)


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
    paid = [shares(act, has_complementary=has_complementary) for act in acts]
    insurance: list[Json] = [_insurance(True, "urn:oid:1.2.250.1.213.1.4.13", holder_number)]
    if has_complementary:
        insurance.append(_insurance(False, "https://mutuelle.example/contrat", number))
    totals = {
        "submitted": sum((act.price for act in acts), _NOTHING),
        "benefit": (fund := sum((one.fund for one in paid), _NOTHING)),
        "reste-a-charge": sum((one.left for one in paid), _NOTHING),
    }
    return resource("ExplanationOfBenefit", id_, "hs-reimbursement") | {
        "identifier": [{"system": f"{HS}/sid/statement", "value": number}],
        "status": "active",
        "type": concept(f"{THO}/claim-type", type_, _TYPES[type_]),
        "use": "claim",
        "patient": reference(holder),
        "billablePeriod": {"start": on.isoformat(), "end": on.isoformat()},
        "created": created.isoformat(),
        "insurer": reference(insurer),
        "provider": reference(provider),
        "outcome": "complete",
        "supportingInfo": [_info(1, "care-pathway", pathway), _info(2, "insurance-nature", nature)],
        "insurance": insurance,
        "item": [
            _item(place, act, one, on) for place, (act, one) in enumerate(zip(acts, paid, strict=True), 1)
        ],
        "total": [{"category": _category(code), "amount": _euro(amount)} for code, amount in totals.items()],
        "payment": {"date": created.isoformat(), "amount": _euro(fund)},
    }


def _item(sequence: int, act: Act, one: Shares, on: date) -> Json:
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
    always = {"submitted", "eligible", "benefit", "reste-a-charge"}
    return {
        "sequence": sequence,
        "productOrService": concept(
            "https://assurance-maladie.example/CodeSystem/prestation", act.code, text=act.text
        ),
        "servicedDate": on.isoformat(),
        "net": _euro(act.price),
        "adjudication": [
            {"category": _category(code), "value": act.rate}
            if amount is None
            else {"category": _category(code), "amount": _euro(amount)}
            for code, amount in amounts.items()
            if amount is None or amount or code in always
        ],
    }


def _category(code: str) -> Json:
    if code in _HL7:
        return concept(f"{THO}/adjudication", code, _HL7[code])
    return concept(f"{HS}/CodeSystem/hs-adjudication", code)


def _info(sequence: int, category: str, code: str) -> Json:
    return {
        "sequence": sequence,
        "category": {"coding": [coding(f"{HS}/CodeSystem/hs-supporting-info", category)]},
        "code": {"coding": [coding(f"{HS}/CodeSystem/hs-{category}", code)]},
    }


def _insurance(is_focal: bool, system: str, value: str) -> Json:
    name = "Assurance maladie obligatoire" if is_focal else "Complémentaire santé"
    identifier = {"system": system, "value": value}
    return {"focal": is_focal, "coverage": {"type": "Coverage", "identifier": identifier, "display": name}}


def _euro(amount: Decimal) -> Json:
    return {"value": amount, "currency": "EUR"}


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)
