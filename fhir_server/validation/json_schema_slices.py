"""Slices as JSON Schema: which items belong to one, what these must be, how many there may be.

Discriminators by value, pattern, existence and type of a resource are said; those through ``resolve()``, into
extensions by address, and by profile can't be: what depends on them is left out, so that no valid resource is refused.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import FhirPathError, parse
from fhir_server.validation.compiler import Compiler
from fhir_server.validation.discriminator_paths import steps_of, targets
from fhir_server.validation.element_tree import Element
from fhir_server.validation.json_schema_values import Schema, both, constant, member, pattern
from fhir_server.validation.schema import ElementSchema, Slicing, bound, type_profiles

Item = Callable[[ElementSchema], Schema]


def sliced(slicing: Slicing, item: Item, compiler: Compiler) -> Schema:
    """Return what the slices of a list demand; ``item`` returns the schema of one value of a slice."""
    parts: list[Schema] = []
    earlier: list[Schema] = []
    is_whole = True
    for slice_ in slicing.slices:
        matches = _matches(slice_, slicing, compiler)
        if matches is None:
            is_whole = False
            break
        belongs = both(matches, {"not": {"anyOf": list(earlier)}} if earlier else None)
        earlier.append(matches)
        if slice_.is_prohibited:
            parts.append({"not": {"contains": belongs}})
            continue
        parts.append({"items": {"if": belongs, "then": item(slice_)}})
        count: Schema = {"minContains": slice_.minimum}
        if slice_.maximum:
            count["maxContains"] = slice_.maximum
        if slice_.minimum or slice_.maximum:
            parts.append({"contains": belongs, **count})
    if is_whole and slicing.rules == "closed" and earlier:
        parts.append({"items": {"anyOf": earlier}})
    return both(*parts)


def _matches(slice_: ElementSchema, slicing: Slicing, compiler: Compiler) -> Schema | None:
    """Return the schema of the items of a slice, None if it can't be said."""
    element = slice_.element
    if element is None or not slicing.discriminators:
        return None
    parts: list[Schema] = []
    for kind, path in slicing.discriminators:
        found = _by_url(element) if path == "url" and kind == "value" else None
        if found is None:
            found = _criterion(kind, path, element, compiler)
        if found is None:
            return None
        parts.append(found)
    return both(*parts)


def _by_url(element: Element) -> Schema | None:
    """Return the items of a slice of extensions: those with the address of its definition."""
    child = element.children.get("url")
    fixed = child.value("fixed") if child is not None else None
    profiles = [p for t in element.definition.get("type", []) for p in type_profiles(t)]
    url = fixed[0] if fixed is not None else profiles[0].partition("|")[0] if len(profiles) == 1 else ""
    return {"required": ["url"], "properties": {"url": {"const": url}}} if url else None


def _criterion(kind: str, path: str, element: Element, compiler: Compiler) -> Schema | None:
    names, targets = _described(element, path, compiler)
    if not targets or (not names and path != "$this"):
        return None
    parts: list[Schema] = []
    for target in targets:
        if isinstance(target, tuple):
            found = both(*map(pattern, target)) if target else None
        elif kind == "exists":
            return _exists(names, target)
        elif kind == "type":
            found = _of_type(target, compiler)
        else:
            found = _of_value(target, compiler)
        if found is None:
            return None
        parts.append(found)
    return _at(names, both(*parts))


def _described(
    slice_: Element, path: str, compiler: Compiler
) -> tuple[list[str], list[Element | tuple[Any, ...]]]:
    """Return the names on the path of a discriminator, and what the slice's definition has there: elements or values.

    Both are empty for a path that leads elsewhere than to children.
    """
    try:
        steps = list(steps_of(parse(path)))
    except FhirPathError:
        return [], []
    if any(step.kind != "member" for step in steps):
        return [], []
    return [step.name for step in steps], [t.element or t.values for t in targets(slice_, steps, compiler)]


def _exists(names: list[str], target: Element) -> Schema | None:
    if len(names) != 1 or target.is_choice:
        return None
    is_there: Schema = {"anyOf": [{"required": names}, {"required": [f"_{names[0]}"]}]}
    if target.definition.get("max") == "0":
        return {"not": is_there}
    return is_there if target.definition.get("min", 0) > 0 else None


def _of_type(target: Element, compiler: Compiler) -> Schema | None:
    codes = [t["code"] for t in target.definition.get("type", [])]
    names = [n for n in compiler.resource_types if any(compiler.is_subtype(n, code) for code in codes)]
    if not names:
        return None
    return {"required": ["resourceType"], "properties": {"resourceType": {"enum": sorted(names)}}}


def _of_value(element: Element, compiler: Compiler) -> Schema | None:
    fixed, wanted = element.value("fixed"), element.value("pattern")
    if fixed is not None:
        return constant(fixed[0])
    if wanted is not None:
        return pattern(wanted[0])
    parts = []
    for child in element.children.values():
        if child.name in {"id", "extension", "modifierExtension"} or child.is_choice:
            continue
        for part in [s for s in child.slices if s.definition.get("min", 0) > 0] or [child]:
            says = part.children or part.value("fixed") is not None or part.value("pattern") is not None
            found = _of_value(part, compiler) if says else None
            if found is not None:
                parts.append(_at([child.name], found))
    if parts:
        return both(*parts)
    value_set, strength, _ = bound(element.definition)
    if strength == "required" and value_set:
        return member(compiler.code_sets, value_set, element.type_name) or None
    return None


def _at(names: list[str], schema: Schema) -> Schema:
    """Return that a value at the end of a path, through arrays or not, is as the schema says."""
    for name in reversed(names):
        inner: Schema = {"anyOf": [schema, {"type": "array", "contains": schema}]}
        schema = {"type": "object", "required": [name], "properties": {name: inner}}
    return schema
