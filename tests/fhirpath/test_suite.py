"""The public FHIRPath tests for R4: all pass but those in known_misses.json, which have a reason each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest

from fhir_server.datatypes.temporal import Temporal
from fhir_server.fhirpath import Env, FhirPathError, compile_expression
from fhir_server.fhirpath.evaluation.items import Node, class_of, system

KNOWN = json.loads(Path(__file__).with_name("known_misses.json").read_text())
SYSTEM_NAMES = {"DateTime": "dateTime", "Quantity": "Quantity"}


class BaseProfiles:
    """Knows the profiles of the base types only: an element conforms to those of its own type."""

    def __init__(self, types):
        self.types = types

    def conforms_to(self, element, type_name, profile):
        name = profile.rpartition("/")[2]
        return self.types.is_subtype(type_name, name) if self.types.type(name) else None


@pytest.fixture(scope="module")
def cases(suites):
    return json.loads((suites / "fhirpath" / "cases.json").read_text())


def shown(item):
    """The FHIR type name and the value of a result."""
    if isinstance(item, Node):
        value = system(item)
        return item.type, item.value if value is None else value
    name = class_of(item).name
    return SYSTEM_NAMES.get(name, name[0].lower() + name[1:]), item


def text(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Temporal):
        return f"@{'T' if value.kind == 'time' else ''}{value}"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def same(found, expected):
    type_name, value = found
    if expected["type"] not in {None, type_name}:
        return False
    if text(value) == expected["value"]:
        return True
    try:
        return isinstance(value, int | Decimal) and Decimal(expected["value"]) == value
    except InvalidOperation:
        return False


def verdict(case, folder, types):
    """None when the case passes, else what went wrong."""
    resource = None
    if case["input_json"]:
        resource = json.loads((folder / case["input_json"]).read_text(), parse_float=Decimal)
    env = Env(
        resource,
        resource,
        conformance=BaseProfiles(types),
        clock=lambda: datetime(2024, 5, 6, 7, 8, 9, 123000, UTC),
    )
    try:
        name = resource and resource["resourceType"]
        items = compile_expression(case["expr"], types, name, checked=True).items(resource, env)
    except FhirPathError as error:
        return None if case["invalid"] else str(error)
    if case["invalid"]:
        return f"not refused: {items}"
    if case["predicate"]:
        items = [items[0] if items and isinstance(items[0], bool) else bool(items)]
    found, expected = [shown(i) for i in items], case["expected"]
    if not case["ordered"]:
        found.sort(key=lambda f: (f[0], text(f[1])))
        expected = sorted(expected, key=lambda e: (e["type"], e["value"]))
    fits = len(found) == len(expected) and all(map(same, found, expected))
    return None if fits else f"got {found}"


def test_all_cases_pass_but_the_known_misses(cases, suites, types):
    misses = {c["name"]: v for c in cases if (v := verdict(c, suites / "fhirpath", types)) is not None}
    assert misses.keys() == KNOWN.keys(), {k: v for k, v in misses.items() if k not in KNOWN}


def test_the_target_is_kept(cases):
    assert len(cases) == 935
    assert len(KNOWN) <= len(cases) // 100
