"""The payer's feed: rows of a file become statements by a mapping that says where each value stands.

docs/reimbursements.md describes the mapping; its JSON Schema is docs/schemas/reimbursements-mapping.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

import msgspec

from fhir_server.space.names import HS
from fhir_server.space.statements import (
    CODES,
    SHARES,
    TYPES,
    Act,
    Statement,
    faults,
    resource,
    shares,
)

SCHEMA_URL = f"{HS}/schemas/reimbursements-mapping.schema.json"
_FLATS = ("participation-forfaitaire", "franchise", "forfait-acte", "forfait-hospitalier")
_RPPS, _FINESS = "https://rpps.esante.gouv.fr", "https://finess.esante.gouv.fr"
#: Identifier systems of professionals; those of all other providers are an organisation's.
_OF_PERSONS = frozenset({_RPPS, "urn:oid:1.2.250.1.71.4.2.1"})


class Column(msgspec.Struct, forbid_unknown_fields=True):
    """Where a value stands: a column (of NDJSON a path a.b), or a fixed value; codes translate what stands there."""

    column: str = ""
    value: str = ""
    codes: dict[str, str] = {}


Place = str | Column


class Columns(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Each value of a statement (the same in all its rows) and of an act (one row) with its place.

    What is not named stands in the column of its own name. Amounts are in euro; fund, ticket, excess, complementary and
    left are checked where they are given, and computed where they aren't (fund is needed).
    """

    statement: Place = "statement"
    created: Place = "created"
    type: Place = "type"
    patient: Place = "patient"
    patient_system: Place = msgspec.field(
        default_factory=lambda: Column("patient_system", "urn:oid:1.2.250.1.213.1.4.8")
    )
    holder_number: Place = "holder_number"
    insurer: Place = "insurer"
    insurer_system: Place = msgspec.field(default_factory=lambda: Column("insurer_system", _FINESS))
    provider: Place = "provider"
    provider_system: Place = msgspec.field(default_factory=lambda: Column("provider_system", _RPPS))
    pathway: Place = "pathway"
    nature: Place = "nature"
    paid_on: Place = "paid_on"
    paid: Place = "paid"
    replaces: Place = "replaces"
    day: Place = "day"
    code: Place = "code"
    code_system: Place = msgspec.field(default_factory=lambda: Column("code_system", CODES))
    text: Place = "text"
    price: Place = "price"
    base: Place = "base"
    rate: Place = "rate"
    flat: Place = "flat"
    flat_kind: Place = msgspec.field(default_factory=lambda: Column("flat_kind", _FLATS[0]))
    fund: Place = "fund"
    ticket: Place = "ticket"
    excess: Place = "excess"
    complementary: Place = "complementary"
    left: Place = "left"


class FeedMapping(msgspec.Struct, forbid_unknown_fields=True):
    """How a payer's file is to be read."""

    columns: Columns = msgspec.field(default_factory=Columns)
    format: Literal["csv", "ndjson", ""] = ""
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ";"
    encoding: str = "utf-8-sig"
    decimal: Literal[".", ","] = "."
    date: Literal["YYYY-MM-DD", "DD/MM/YYYY", "YYYYMMDD"] = "YYYY-MM-DD"
    schema: str = msgspec.field(default="", name="$schema")


def mapping_of(data: bytes) -> FeedMapping:
    """Return the mapping of a JSON file; raises ValueError with what is wrong where."""
    try:
        return msgspec.json.decode(data, type=FeedMapping)
    except msgspec.DecodeError as reason:
        raise ValueError(str(reason)) from None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of mapping files."""
    made = msgspec.json.schema(FeedMapping)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_URL, **made}


_PLACES = tuple(Columns.__struct_fields__)
#: What must be there in each row.
NEEDED = (
    "statement",
    "created",
    "patient",
    "insurer",
    "provider",
    "day",
    "code",
    "price",
    "base",
    "rate",
    "fund",
)
#: What is the same in all rows of one statement.
_OF_STATEMENT = _PLACES[: _PLACES.index("day")]
_AMOUNTS = ("price", "base", "rate", "flat", "paid", *SHARES)
_DATES = ("created", "paid_on", "day")
_CODES = {
    "type": tuple(TYPES),
    "flat_kind": _FLATS,
    "pathway": ("attending", "referred", "direct", "emergency", "out"),
    "nature": ("illness", "long-term", "maternity", "work", "css", "ame"),
}

Values = dict[str, str]
"""The values of a row by their names in ``Columns``, without those that are empty."""


def values_of(mapping: FeedMapping, raw: Mapping[str, Any]) -> Values:
    """Return the values of a row of the file: its cells by column, or the members of a line's object."""
    found: Values = {}
    for name in _PLACES:
        place: Place = getattr(mapping.columns, name)
        column = place if isinstance(place, str) else place.column
        text = _at(raw, column) if column else ""
        if isinstance(place, Column):
            text = place.codes.get(text, text) or place.value
        if text and name in _DATES:
            text = _iso(text, mapping.date)
        elif text and name in _AMOUNTS and mapping.decimal == ",":
            text = text.replace(",", ".")
        if text:
            found[name] = text
    return found


def _at(raw: Mapping[str, Any], path: str) -> str:
    value: Any = raw.get(path)
    if value is None and "." in path:
        value = raw
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()


def _iso(text: str, form: str) -> str:
    if form == "DD/MM/YYYY" and len(text) == 10:
        return f"{text[6:]}-{text[3:5]}-{text[:2]}"
    if form == "YYYYMMDD" and len(text) == 8:
        return f"{text[:4]}-{text[4:6]}-{text[6:]}"
    return text


def row_faults(values: Values) -> Iterator[str]:
    """Yield what is wrong with one row by itself: values that are missing or can't be read, and sums."""
    yield from (f"{name} is missing." for name in NEEDED if name not in values)
    for name in _DATES:
        if name in values and not _is_date(values[name]):
            yield f'{name} is "{values[name]}", which is no date.'
    for name, codes in _CODES.items():
        if name in values and values[name] not in codes:
            yield f'{name} is "{values[name]}"; it is one of {", ".join(codes)}.'
    unread = [name for name in _AMOUNTS if name in values and _number(values[name]) is None]
    yield from (f'{name} is "{values[name]}", which is no number.' for name in unread)
    if not unread and all(name in values for name in NEEDED):
        yield from faults(_act(values), _told(values))


def statement_faults(rows: Sequence[Values]) -> Iterator[str]:
    """Yield what is wrong with the rows of one statement together; each alone is right."""
    for name in _OF_STATEMENT:
        if len({row.get(name, "") for row in rows}) > 1:
            yield f"{name} is not the same in all rows of the statement."
    total = sum((_told(row)["fund"] for row in rows), Decimal(0))
    if "paid" in rows[0] and Decimal(rows[0]["paid"]) != total:
        yield f"paid is {rows[0]['paid']}, but what the fund pays comes to {total}."


def statement_of(rows: Sequence[Values]) -> dict[str, Any]:
    """Return the ExplanationOfBenefit of rows without faults; persons are references by search."""
    first = rows[0]
    provider_type = "Practitioner" if first["provider_system"] in _OF_PERSONS else "Organization"
    told = Statement(
        number=first["statement"],
        type=first.get("type", "professional"),
        holder=f"Patient?identifier={first['patient_system']}|{first['patient']}",
        insurer=f"Organization?identifier={first['insurer_system']}|{first['insurer']}",
        provider=f"{provider_type}?identifier={first['provider_system']}|{first['provider']}",
        created=first["created"],
        **{
            name: first.get(name, "")
            for name in ("holder_number", "pathway", "nature", "paid_on", "replaces")
        },
    )
    acts = [_act(row) for row in rows]
    paid = [
        shares(act, complementary=_told(row).get("complementary", Decimal("0.00")))
        for act, row in zip(acts, rows, strict=True)
    ]
    return resource(told, acts, paid)


def _act(values: Values) -> Act:
    return Act(
        values["code"],
        values.get("text", ""),
        Decimal(values["price"]),
        Decimal(values["base"]),
        Decimal(values["rate"]),
        Decimal(values.get("flat", "0.00")),
        values["flat_kind"],
        values["day"],
        values["code_system"],
    )


def _told(values: Values) -> dict[str, Decimal]:
    return {name: Decimal(values[name]) for name in SHARES if name in values}


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < 10**9 else None


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
