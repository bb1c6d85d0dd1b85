"""Discriminators: how a slice's definition becomes a test that tells whether an item belongs to the slice.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.fhirpath.tree import Call, Literal, Member, Special, Tree, type_specifier
from fhir_server.validation.element_tree import Element
from fhir_server.validation.report import Run
from fhir_server.validation.rules.value import equals, fits
from fhir_server.validation.schema import bound, type_profiles

#: Tells whether an item belongs to a slice.
Predicate = Callable[[Any, Run], bool]
#: Tells whether the values at a discriminator's path are those of the slice.
Criterion = Callable[[list[Any], Run], bool]

_BASE = "http://hl7.org/fhir/StructureDefinition/"


class Surroundings(Protocol):
    """What discriminators ask of the compiler."""

    def profile_tree(self, url: str) -> Element | None:
        """Return the snapshot of a profile as a tree, or None."""

    def base_of(self, url: str) -> str:
        """Return the type that a profile constrains, or the name itself when it is a type's; "" if unknown."""

    def conforms(self, value: Any, profile: str, run: Run) -> bool:
        """Tell whether a value conforms to a profile or type."""

    def resolved(self, reference: Any, run: Run) -> dict[str, Any] | None:
        """Return the target of a Reference if it is at hand."""

    def has_member(self, value: Any, value_set: str) -> bool:
        """Tell whether a code, Coding or CodeableConcept is in a value set."""

    def is_subtype(self, name: str, ancestor: str) -> bool:
        """Tell whether a type is or derives from another."""


@dataclass(frozen=True, slots=True)
class _Step:
    kind: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Target:
    """What the definition says at the end of a path: an element, a part of a pattern, or types after resolve()."""

    element: Element | None = None
    values: tuple[Any, ...] = ()
    profiles: tuple[str, ...] = ()


def predicate(
    slice_: Element, discriminators: tuple[tuple[str, str], ...], around: Surroundings
) -> Predicate | None:
    """Return the test of a slice; None if its definition doesn't tell how to know its items."""
    tests: list[tuple[Callable[[Any, Run], list[Any]], Criterion]] = []
    for kind, path in discriminators:
        try:
            steps = list(_steps(parse(path)))
        except FhirPathError:
            return None
        targets = _targets(slice_, steps, around)
        criteria = [c for c in (_criterion(kind, t, around) for t in targets) if c is not None]
        if not criteria:
            if kind == "profile":
                continue  # the slice says nothing of this one
            return None
        tests += [(_selector(steps, around), c) for c in criteria]
    if not tests:
        return None

    def test(item: Any, run: Run) -> bool:
        return all(criterion(select(item, run), run) for select, criterion in tests)

    return test


def _steps(path: Tree) -> Iterator[_Step]:
    """Yield the steps of a discriminator's path; raises FhirPathError for what may not be in one."""
    if isinstance(path, Special) and path.name == "this":
        return
    if isinstance(path, Member):
        if path.source is not None:
            yield from _steps(path.source)
        yield _Step("member", path.name)
        return
    if isinstance(path, Call):
        if path.source is not None:
            yield from _steps(path.source)
        argument = path.arguments[0] if len(path.arguments) == 1 else None
        if path.name == "resolve" and argument is None:
            yield _Step("resolve")
            return
        if path.name == "extension" and isinstance(argument, Literal):
            yield _Step("extension", str(argument.value))
            return
        if path.name == "ofType" and argument is not None and (name := type_specifier(argument)):
            yield _Step("type", name.rpartition(".")[2])
            return
    raise FhirPathError("semantic", "a discriminator's path can't have this step")


def _targets(element: Element, steps: list[_Step], around: Surroundings) -> list[_Target]:
    """Return what a slice's definition says at the end of the path."""
    found = [_Target(element)]
    for step in steps:
        found = [after for target in found for after in _step(target, step, around)]
    return found


def _step(target: _Target, step: _Step, around: Surroundings) -> Iterator[_Target]:
    if target.element is None:
        if target.profiles:
            for url in target.profiles:
                root = around.profile_tree(url)
                if root is not None:
                    yield from _step(_Target(root), step, around)
        else:
            yield _Target(values=tuple(_members(list(target.values), step.name)))
        return
    element = target.element
    if step.kind == "type":
        yield target
    elif step.kind == "resolve":
        types = element.definition.get("type", [])
        yield _Target(profiles=tuple(p for t in types for p in t.get("targetProfile", [])))
    elif step.kind == "extension":
        yield from _extension(element, step.name, around)
    elif step.name in element.children:
        child = element.children[step.name]
        needed = [s for s in child.slices if s.definition.get("min", 0) > 0 and not _says(child)]
        yield from (_Target(s) for s in needed or [child])
        for url in _profiles(element):
            # The children may be plain copies: what tells them is the element that the type's profile names.
            root = around.profile_tree(url) if "#" in url else None
            if root is not None:
                yield from _step(_Target(root), step, around)
    elif (value := element.value("fixed") or element.value("pattern")) is not None:
        yield _Target(values=tuple(_members(list(value), step.name)))
    else:
        for url in _profiles(element):
            root = around.profile_tree(url)
            if root is not None:
                yield from _step(_Target(root), step, around)


def _extension(element: Element, url: str, around: Surroundings) -> Iterator[_Target]:
    holder = element.children.get("extension")
    for other in holder.slices if holder is not None else ():
        named = other.children["url"].value("fixed") if "url" in other.children else None
        profiles = _profiles(other)
        if named == (url,) or any(p.partition("|")[0] == url for p in profiles):
            if other.children:
                yield _Target(other)
            for profile in profiles if not other.children else ():
                root = around.profile_tree(profile)
                if root is not None:
                    yield _Target(root)
            if not other.children and not any(around.profile_tree(p) for p in profiles):
                yield _Target(other)
            return
    root = around.profile_tree(url)
    if root is not None:
        yield _Target(root)


def _profiles(element: Element) -> list[str]:
    return [p for t in element.definition.get("type", []) for p in type_profiles(t)]


def _says(element: Element) -> bool:
    return (element.value("fixed") or element.value("pattern")) is not None


def _selector(steps: list[_Step], around: Surroundings) -> Callable[[Any, Run], list[Any]]:
    """Return what finds the values at a path in an item."""

    def select(item: Any, run: Run) -> list[Any]:
        values = [item]
        for step in steps:
            if step.kind == "member":
                values = _members(values, step.name)
            elif step.kind == "extension":
                values = [
                    e for e in _members(values, "extension") if type(e) is dict and e.get("url") == step.name
                ]
            elif step.kind == "resolve":
                values = [t for v in values if (t := around.resolved(v, run)) is not None]
            elif step.kind == "type":
                values = [v for v in values if type(v) is not dict or _is_of(v, step.name)]
        return values

    return select


def _is_of(value: dict[str, Any], name: str) -> bool:
    return bool(value.get("resourceType", name) == name)


def _members(values: list[Any], name: str) -> list[Any]:
    """Return the children of this name; of a choice, whatever type it has."""
    found: list[Any] = []
    for value in values:
        if type(value) is not dict:
            continue
        child = value.get(name)
        if child is None:
            length = len(name)
            child = next(
                (v for k, v in value.items() if k[:length] == name and k[length : length + 1].isupper()), None
            )
        if type(child) is list:
            found += child
        elif child is not None:
            found.append(child)
    return found


def _criterion(kind: str, target: _Target, around: Surroundings) -> Criterion | None:
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
    for profile in _profiles(element):
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
                _of_value(part, around) if _says(part) else _children(part, around) if part.children else None
            )
            if criterion is not None:
                tests.append((child.name, criterion))
    if not tests:
        return None
    return lambda values, run: any(
        all(criterion(_members([v], name), run) for name, criterion in tests) for v in values
    )


def _of_type(target: _Target, around: Surroundings) -> Criterion | None:
    if target.element is not None:
        names = {t["code"] for t in target.element.definition.get("type", [])}
    else:
        names = {around.base_of(p) for p in target.profiles}
    names.discard("")
    if not names:
        return None

    def is_of(values: list[Any], _: Run) -> bool:
        for value in values:
            actual = value.get("resourceType", "") if type(value) is dict else ""
            if any(around.is_subtype(actual, name) if actual else _looks_like(value, name) for name in names):
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


def _of_profile(target: _Target, around: Surroundings) -> Criterion | None:
    profiles = tuple(_profiles(target.element)) if target.element is not None else target.profiles
    if not profiles:
        return None
    return lambda values, run: any(around.conforms(v, p, run) for v in values for p in profiles)


def described(
    slice_: Element, path: str, around: Surroundings
) -> tuple[list[str], list[Element | tuple[Any, ...]]]:
    """Return the names on the path of a discriminator, and what a slice's definition has there: elements or values.

    Both are empty for a path that leads elsewhere than to children (``resolve()``, ``extension(url)``, ``ofType()``).
    """
    try:
        steps = list(_steps(parse(path)))
    except FhirPathError:
        return [], []
    if any(step.kind != "member" for step in steps):
        return [], []
    return [step.name for step in steps], [t.element or t.values for t in _targets(slice_, steps, around)]
