"""For each type of search parameter: two values of an element, and which queries must find which of them.

https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.testscript.instances import URL

_CS = f"{URL}codes"
_UCUM = "http://unitsofmeasure.org"


@dataclass(frozen=True, slots=True)
class Find:
    """A query, and the names of what it must find."""

    modifier: str
    value: str
    matches: str


@dataclass(frozen=True, slots=True)
class Pair:
    """The value of ``a``, that of ``b``, and queries."""

    a: Any
    b: Any
    finds: list[Find]


def pair(
    parameter: str, kind: str, concepts: list[tuple[str, str]] | None, target: str, fixed: dict[str, str]
) -> Pair | None:
    """Return the values for a type of parameter and a type of element; None where there is nothing to compare."""
    if parameter == "token":
        return _token(kind, concepts, fixed)
    if parameter == "reference" and kind == "Reference":
        return _reference(target)
    makers = {
        "string": _string,
        "date": _date,
        "number": _number,
        "quantity": _quantity,
        "uri": _uri,
        "reference": _uri,
    }
    return makers[parameter](kind) if parameter in makers else None


def _token(kind: str, concepts: list[tuple[str, str]] | None, fixed: dict[str, str]) -> Pair | None:
    if kind in {"code", "Coding", "CodeableConcept"}:
        if concepts is not None and len(concepts) < 2:
            return None
        first, second = (concepts or [(_CS, "first"), (_CS, "second")])[:2]
        return _code(kind, first, second)
    if kind == "Identifier":
        a, b = ({"system": f"{URL}{x}", "value": f"v{x}"} for x in "ab")
        return Pair(a, b, [*_coded((f"{URL}a", "va")), Find("", f"{URL}b|", "b"), Find("", f"{URL}b|va", "")])
    if kind == "boolean":
        return Pair(True, False, [Find("", "true", "a"), Find("", "false", "b"), Find(":not", "true", "b")])
    if kind == "ContactPoint":
        a, b = ({"system": "phone", **fixed, "value": f"{x}@conformance.example"} for x in "ab")
        return Pair(a, b, [Find("", "a@conformance.example", "a"), Find("", "c@conformance.example", "")])
    if kind in {"string", "id"}:
        return Pair("first", "second", [Find("", "first", "a"), Find("", "third", "")])
    if kind in {"uri", "canonical"}:
        return Pair(f"{URL}a", f"{URL}b", [Find("", f"{URL}a", "a"), Find("", f"{URL}c", "")])
    return None


def _code(kind: str, first: tuple[str, str], second: tuple[str, str]) -> Pair:
    if kind == "code":
        finds = [
            Find("", first[1], "a"),
            Find("", f"{first[1]},{second[1]}", "a b"),
            Find(":not", first[1], "b"),
        ]
        return Pair(first[1], second[1], finds)
    a, b = (
        {"system": system, "code": code, "display": f"Word{n} shown"}
        for n, (system, code) in enumerate((first, second))
    )
    finds = [
        *_coded(first),
        Find(":not", f"{first[0]}|{first[1]}", "b"),
        Find("", f"{first[0]}|,{second[0]}|", "a b"),
    ]
    if first[0] != _CS:  # a display that isn't the code's own would be refused
        a, b = ({"system": s, "code": c} for s, c in (first, second))
        return (
            Pair({"coding": [a]}, {"coding": [b]}, finds) if kind == "CodeableConcept" else Pair(a, b, finds)
        )
    if kind == "Coding":
        return Pair(a, b, [*finds, Find(":text", "word0", "a")])
    return Pair(
        {"coding": [a], "text": "Alpha said"},
        {"coding": [b], "text": "Beta said"},
        [*finds, Find(":text", "alpha", "a")],
    )


def _coded(first: tuple[str, str]) -> list[Find]:
    system, code = first
    return [
        Find("", code, "a"), Find("", f"{system}|{code}", "a"), Find("", f"|{code}", ""),
        Find("", f"{URL}other|{code}", ""),
    ]  # fmt: skip


def _reference(target: str) -> Pair:
    a, b = ({"reference": f"{target}/conformance-{x}"} for x in "ab")
    return Pair(a, b, [
        Find("", f"{target}/conformance-a", "a"), Find("", "conformance-b", "b"), Find("", "conformance-c", ""),
        Find(f":{target}", "conformance-a", "a"), Find("", f"{target}/conformance-a,{target}/conformance-b", "a b"),
    ])  # fmt: skip


def _string(kind: str) -> Pair | None:
    words = {"string": ("Zebra Élan", "Yak"), "markdown": ("Zebra Élan", "Yak")}
    if kind in words:
        a, b = words[kind]
        finds = [
            Find(":exact", "Zebra Élan", "a"),
            Find(":exact", "Zebra", ""),
            Find(":contains", "ebra el", "a"),
        ]
        return Pair(a, b, [Find("", "zebra", "a"), Find("", "ebra", ""), *finds])
    key = {"HumanName": "family", "Address": "city"}.get(kind)
    if key is None:
        return None
    finds = [
        Find("", "zeb", "a"),
        Find("", "ebra", ""),
        Find(":exact", "Zebra", "a"),
        Find(":exact", "zebra", ""),
        Find(":contains", "ebr", "a"),
    ]
    return Pair({key: "Zebra"}, {key: "Yak"}, finds)


def _date(kind: str) -> Pair | None:
    shapes = {
        "date": lambda d: d, "dateTime": lambda d: d, "instant": lambda d: f"{d}T10:00:00Z",
        "Period": lambda d: {"start": d, "end": d}, "Timing": lambda d: {"event": [d]},
    }  # fmt: skip
    if kind not in shapes:
        return None
    shape = shapes[kind]
    return Pair(shape("2020-03-15"), shape("2021-06-01"), [
        Find("", "2020-03-15", "a"), Find("", "2020", "a"), Find("", "2019", ""), Find("", "ne2020", "b"), Find("", "gt2020-12-31", "b"),
        Find("", "ge2020-03-15", "a b"), Find("", "lt2021", "a"), Find("", "le2020-03-15", "a"), Find("", "sa2020-12", "b"),
        Find("", "eb2021", "a"), Find("", "2020,2021", "a b"),
    ])  # fmt: skip


def _number(kind: str) -> Pair | None:
    if kind not in {"integer", "positiveInt", "unsignedInt", "decimal"}:
        return None
    return Pair(3, 7, _numbers(""))


def _numbers(unit: str) -> list[Find]:
    rows = (("3", "a"), ("4", ""), ("gt3", "b"), ("ge3", "a b"), ("lt7", "a"), ("le7", "a b"), ("ne3", "b"))
    return [Find("", value + unit, matches) for value, matches in rows]


def _quantity(kind: str) -> Pair | None:
    units = {"Quantity": "mg", "Age": "a", "Duration": "d", "SimpleQuantity": "mg"}
    if kind in units:
        a, b = ({"value": v, "system": _UCUM, "code": units[kind]} for v in (3, 7))
        unit = units[kind]
        return Pair(
            a,
            b,
            [
                *_numbers(""),
                Find("", f"3|{_UCUM}|{unit}", "a"),
                Find("", f"3||{unit}", "a"),
                Find("", f"3|{URL}|{unit}", ""),
            ],
        )
    if kind == "Money":
        return Pair({"value": 3, "currency": "EUR"}, {"value": 7, "currency": "EUR"}, _numbers(""))
    return None


def _uri(kind: str) -> Pair | None:
    if kind not in {"uri", "url", "canonical"}:
        return None
    finds = [Find("", f"{URL}x/a", "a"), Find("", f"{URL}x", ""), Find("", f"{URL}x/a,{URL}x/b", "a b")]
    if kind != "canonical":
        finds.append(Find(":below", f"{URL}x", "a b"))
    return Pair(f"{URL}x/a", f"{URL}x/b", finds)
