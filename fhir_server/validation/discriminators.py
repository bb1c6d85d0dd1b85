"""Discriminators: how a slice's definition becomes a test that tells whether an item belongs to the slice.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.validation.discriminator_paths import (
    Selector,
    Surroundings,
    Target,
    members,
    profiles_of,
    says,
    selector,
    steps_of,
    targets,
    typed_selector,
)
from fhir_server.validation.element_tree import Element
from fhir_server.validation.report import Run
from fhir_server.validation.rules.value import equals, fits
from fhir_server.validation.schema import bound

#: Tells whether an item belongs to a slice.
Predicate = Callable[[Any, Run], bool]
#: Tells whether the values at a discriminator's path are those of the slice.
Criterion = Callable[[list[Any], Run], bool]


def predicate(
    slice_: Element, discriminators: tuple[tuple[str, str], ...], around: Surroundings
) -> Predicate | None:
    """Return the test of a slice; None if its definition doesn't tell how to know its items."""
    tests: list[tuple[Selector, Criterion]] = []
    for kind, path in discriminators:
        try:
            steps = steps_of(parse(path))
        except FhirPathError:
            return None
        ends = targets(slice_, steps, around)
        criteria = [c for c in (_criterion(kind, t, around) for t in ends) if c is not None]
        if not criteria:
            if kind == "profile":
                continue  # the slice says nothing of this one
            return None
        select = typed_selector(steps, around) if kind == "type" else selector(steps, around)
        tests += [(select, c) for c in criteria]
    if not tests:
        return None

    def test(item: Any, run: Run) -> bool:
        return all(criterion(select(item, run), run) for select, criterion in tests)

    return test


def _criterion(kind: str, target: Target, around: Surroundings) -> Criterion | None:
    if kind == "type":
        return _of_type(target, around)
    if kind == "profile":
        return _of_profile(target, around)
    element = target.element
    if element is None:
        expected = target.values
        if not expected:
            return None
        return lambda values, _: all(any(fits(v, e) for v in values) for e in expected)
    if kind == "exists":
        if element.definition.get("max") == "0":
            return lambda values, _: not values
        return (lambda values, _: bool(values)) if element.definition.get("min", 0) > 0 else None
    return _of_value(element, around)


def _of_value(element: Element, around: Surroundings) -> Criterion | None:
    fixed, pattern = element.value("fixed"), element.value("pattern")
    if fixed is not None:
        expected = fixed[0]
        return lambda values, _: any(equals(v, expected) for v in values)
    if pattern is not None:
        wanted = pattern[0]
        return lambda values, _: any(fits(v, wanted) for v in values)
    inner = _children(element, around)
    if inner is not None:
        return inner
    for profile in profiles_of(element):
        root = around.profile_tree(profile)
        found = _of_value(root, around) if root is not None else None
        if found is not None:
            return found
    value_set, strength, largest = bound(element.definition)
    value_set = value_set if strength == "required" else largest
    if value_set:
        return lambda values, _: any(around.has_member(v, value_set) for v in values)
    if element.definition.get("max") == "0":
        return lambda values, _: not values
    if element.definition.get("min", 0) > 0 and element.path.count("."):
        return lambda values, _: bool(values)
    return None


def _children(element: Element, around: Surroundings) -> Criterion | None:
    """Return the test by the fixed values and patterns of an element's children."""
    tests: list[tuple[str, Criterion]] = []
    for child in element.children.values():
        if child.name in {"id", "extension", "modifierExtension"}:
            continue
        for part in [s for s in child.slices if s.definition.get("min", 0) > 0] or [child]:
            criterion = (
                _of_value(part, around) if says(part) else _children(part, around) if part.children else None
            )
            if criterion is not None:
                tests.append((child.name, criterion))
    if not tests:
        return None
    return lambda values, run: any(
        all(criterion(members([v], name), run) for name, criterion in tests) for v in values
    )


def _of_type(target: Target, around: Surroundings) -> Criterion | None:
    if target.element is not None:
        names = {t["code"] for t in target.element.definition.get("type", [])}
    else:
        names = {around.base_of(p) for p in target.profiles}
    names.discard("")
    if not names:
        return None

    suffixes = {name[:1].upper() + name[1:] for name in names}

    def is_of(values: list[Any], _: Run) -> bool:
        for value, suffix in values:
            actual = value.get("resourceType", "") if type(value) is dict else ""
            if actual:
                if any(around.is_subtype(actual, name) for name in names):
                    return True
            elif suffix in suffixes if suffix else any(_looks_like(value, name) for name in names):
                return True
        return False

    return is_of


def _looks_like(value: Any, name: str) -> bool:
    """Tell whether a value that isn't a resource may be of a type, by its JSON type."""
    if type(value) is dict:
        return name[:1].isupper() and name not in {"Resource", "DomainResource"}
    if type(value) is bool:
        return name == "boolean"
    return name[:1].islower() and (
        name in {"integer", "decimal", "positiveInt", "unsignedInt"}
    ) != isinstance(value, str)


def _of_profile(target: Target, around: Surroundings) -> Criterion | None:
    profiles = tuple(profiles_of(target.element)) if target.element is not None else target.profiles
    if not profiles:
        return None
    return lambda values, run: any(around.conforms(v, p, run) for v in values for p in profiles)
