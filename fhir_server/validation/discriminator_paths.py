"""The paths of discriminators: what the definition of a slice says at their end, and what an item has there.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fhir_server.fhirpath import FhirPathError
from fhir_server.fhirpath.tree import Call, Literal, Member, Special, Tree, type_specifier
from fhir_server.validation.element_tree import Element
from fhir_server.validation.report import Run
from fhir_server.validation.schema import type_profiles

#: Finds what an item has at the end of a path.
Selector = Callable[[Any, Run], list[Any]]


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
class Step:
    """One step: ``member`` (of a choice: only values of ``type_name``), ``extension``, ``resolve`` or ``type``."""

    kind: str
    name: str = ""
    type_name: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What the definition says at the end of a path: an element, a part of a pattern, or types after resolve()."""

    element: Element | None = None
    values: tuple[Any, ...] = ()
    profiles: tuple[str, ...] = ()


def steps_of(path: Tree) -> list[Step]:
    """Return the steps of a discriminator's path; raises FhirPathError for what may not be in one."""
    if isinstance(path, Special) and path.name == "this":
        return []
    if isinstance(path, Member):
        return [*(steps_of(path.source) if path.source is not None else ()), Step("member", path.name)]
    if isinstance(path, Call):
        before = steps_of(path.source) if path.source is not None else []
        argument = path.arguments[0] if len(path.arguments) == 1 else None
        if path.name == "resolve" and argument is None:
            return [*before, Step("resolve")]
        if path.name == "extension" and isinstance(argument, Literal):
            return [*before, Step("extension", str(argument.value))]
        if path.name == "ofType" and argument is not None and (name := type_specifier(argument)):
            type_ = name.rpartition(".")[2]
            if before and before[-1].kind == "member":
                return [*before[:-1], Step("member", before[-1].name, type_)]
            return [*before, Step("type", type_)]
    raise FhirPathError("semantic", "a discriminator's path can't have this step")


def targets(element: Element, steps: list[Step], around: Surroundings) -> list[Target]:
    """Return what a slice's definition says at the end of the path."""
    found = [Target(element)]
    for step in steps:
        found = [after for target in found for after in _step(target, step, around)]
    return found


def _step(target: Target, step: Step, around: Surroundings) -> Iterator[Target]:
    if target.element is None:
        if target.profiles:
            for url in target.profiles:
                root = around.profile_tree(url)
                if root is not None:
                    yield from _step(Target(root), step, around)
        else:
            yield Target(values=tuple(members(list(target.values), step.name)))
        return
    element = target.element
    if step.kind == "type":
        yield target
    elif step.kind == "resolve":
        types = element.definition.get("type", [])
        yield Target(profiles=tuple(p for t in types for p in t.get("targetProfile", [])))
    elif step.kind == "extension":
        yield from _extension(element, step.name, around)
    elif step.name in element.children:
        child = element.children[step.name]
        if step.type_name:
            typed = [s for s in child.slices if [t["code"] for t in s.definition["type"]] == [step.type_name]]
            yield from (Target(s) for s in typed or [child])
            return
        needed = [s for s in child.slices if s.definition.get("min", 0) > 0 and not says(child)]
        yield from (Target(s) for s in needed or [child])
        for url in profiles_of(element):
            # The children may be plain copies: what tells them is the element that the type's profile names.
            root = around.profile_tree(url) if "#" in url else None
            if root is not None:
                yield from _step(Target(root), step, around)
    elif (value := element.value("fixed") or element.value("pattern")) is not None:
        yield Target(values=tuple(members(list(value), step.name)))
    else:
        for url in profiles_of(element):
            root = around.profile_tree(url)
            if root is not None:
                yield from _step(Target(root), step, around)


def _extension(element: Element, url: str, around: Surroundings) -> Iterator[Target]:
    holder = element.children.get("extension")
    for other in holder.slices if holder is not None else ():
        named = other.children["url"].value("fixed") if "url" in other.children else None
        profiles = profiles_of(other)
        if named == (url,) or any(p.partition("|")[0] == url for p in profiles):
            if other.children:
                yield Target(other)
            for profile in profiles if not other.children else ():
                root = around.profile_tree(profile)
                if root is not None:
                    yield Target(root)
            if not other.children and not any(around.profile_tree(p) for p in profiles):
                yield Target(other)
            return
    root = around.profile_tree(url)
    if root is not None:
        yield Target(root)


def profiles_of(element: Element) -> list[str]:
    """Return the profiles of all types of an element."""
    return [p for t in element.definition.get("type", []) for p in type_profiles(t)]


def says(element: Element) -> bool:
    """Tell whether an element has a fixed value or a pattern of its own."""
    return (element.value("fixed") or element.value("pattern")) is not None


def selector(steps: list[Step], around: Surroundings) -> Selector:
    """Return what finds the values at a path in an item."""

    def select(item: Any, run: Run) -> list[Any]:
        values = [item]
        for step in steps:
            if step.kind == "member":
                values = _typed_members(values, step) if step.type_name else members(values, step.name)
            elif step.kind == "extension":
                values = [
                    e for e in members(values, "extension") if type(e) is dict and e.get("url") == step.name
                ]
            elif step.kind == "resolve":
                values = [t for v in values if (t := around.resolved(v, run)) is not None]
            elif step.kind == "type":
                values = [v for v in values if type(v) is not dict or _is_of(v, step.name)]
        return values

    return select


def typed_selector(steps: list[Step], around: Surroundings) -> Selector:
    """Return what finds the values at a path, each with the type in the name of its property, "" if there is none."""
    if not steps or steps[-1].kind != "member":
        plain = selector(steps, around)
        return lambda item, run: [(value, "") for value in plain(item, run)]
    name = steps[-1].name
    holders = selector(steps[:-1], around)

    def select(item: Any, run: Run) -> list[Any]:
        found = []
        for holder in holders(item, run):
            key = _choice_key(holder, name) if type(holder) is dict and name not in holder else name
            found += [(value, key[len(name) :]) for value in members([holder], key)]
        return found

    return select


def _typed_members(values: list[Any], step: Step) -> list[Any]:
    key = step.name + step.type_name[:1].upper() + step.type_name[1:]
    return members(values, key) + [
        v for v in members(values, step.name) if type(v) is dict and _is_resource(v, step)
    ]


def _is_resource(value: dict[str, Any], step: Step) -> bool:
    return value.get("resourceType") == step.type_name


def _choice_key(holder: dict[str, Any], name: str) -> str:
    """Return the property of a choice that is there, the name itself if none is."""
    length = len(name)
    return next((k for k in holder if k[:length] == name and k[length : length + 1].isupper()), name)


def _is_of(value: dict[str, Any], name: str) -> bool:
    return bool(value.get("resourceType", name) == name)


def members(values: list[Any], name: str) -> list[Any]:
    """Return the children of this name; of a choice, whatever type it has."""
    found: list[Any] = []
    for value in values:
        if type(value) is not dict:
            continue
        child = value.get(name)
        if child is None:
            child = value.get(_choice_key(value, name))
        if type(child) is list:
            found += child
        elif child is not None:
            found.append(child)
    return found
