"""What profiles add to the rules of an element, and which profile of a chain of derivations brings each rule.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.outcome import error
from fhir_server.validation.element_tree import Element, tree
from fhir_server.validation.schema import type_profiles
from fhir_server.validation.snapshot import Snapshots

#: One step: a name, the type of a choice, and the name of a slice.
_STEP = re.compile(
    r"([A-Za-z_]\w*)(?:\[x\])?(?:\[\d+\])?(?:\.ofType\((\w+)\))?(?:\[\d+\])?(?::([\w\-/]+))?(?:\.|$)"
)
#: Derivations that are followed at most.
_MOST = 32
#: What is said of an element besides cardinality, types, bindings and slices.
_VALUES = {
    "fixed": ("fixed", "the value must be exactly {}"),
    "pattern": ("pattern", "the value must be, or have at least, {}"),
    "minValue": ("min-value", "the value must not be less than {}"),
    "maxValue": ("max-value", "the value must not be greater than {}"),
}

#: Id, text and source of a rule.
ProfileRule = tuple[str, str, str]


def profile_rules(definitions: Definitions, url: str, path: str) -> tuple[ProfileRule, ...]:
    """Return what a profile demands of an element beyond the base definition; () if it says nothing of it.

    ``path`` may name slices (``Patient.identifier:INS.system``). Raises FhirError 404 for a profile that isn't
    known, 422 for one that can't be used.
    """
    chain = _chain(definitions, url)
    places = [(source, _find(definitions, root, path)) for source, root in chain]
    source, element = places[0]
    if element is None:
        return ()
    levels = [(name, dict(_said(found)) if found is not None else {}) for name, found in places]
    rules = []
    for facet, text in levels[0][1].items():
        origin = source
        for name, said in levels[1:]:
            if said.get(facet) != text:
                break
            origin = name
        if origin != levels[-1][0]:
            is_constraint = facet.startswith("constraint ")
            id_ = facet.partition(" ")[2] if is_constraint else _id(facet, source, element)
            rules.append((id_, text, origin))
    return tuple(rules)


def _id(facet: str, profile: str, element: Element) -> str:
    """Return the rule as issues name it."""
    if facet in {"must-support", "binding-weak"}:
        return ""
    name = f"slice-{element.slice_name}" if facet == "cardinality" and element.slice_name else facet
    return f"{name}@{profile}#{element.path}"


def _chain(definitions: Definitions, url: str) -> list[tuple[str, Element]]:
    """Return a profile and all that it derives from, the base type last, each with its URL."""
    found: list[tuple[str, Element]] = []
    snapshots = Snapshots(definitions)
    next_: str = url
    while next_ and len(found) < _MOST:
        structure = definitions.structure(next_, exact=not found)
        if structure is None:
            if not found:
                raise error("not-found", f"The profile {url[:200]} isn't known: load its package first.")
            break
        try:
            root = tree(snapshots.complete(structure), definitions.types)
        except LookupError as reason:
            raise error("not-supported", f"The profile {url[:200]} can't be used: {reason}.") from None
        found.append((structure["url"], root))
        if structure.get("derivation") != "constraint":
            break
        next_ = structure.get("baseDefinition", "")
    return found


def _find(definitions: Definitions, root: Element, path: str) -> Element | None:
    """Return the element of a snapshot at a path, through the profiles of types; None if it says nothing of it."""
    steps = list(_STEP.finditer(path))
    if not steps or steps[0][1] != root.name:
        return None
    element = root
    for step in steps[1:]:
        child = _child(definitions, element, step[1])
        if child is None:
            return None
        element = child
        if step[2]:
            element = next((s for s in element.slices if s.type_name == step[2]), element)
        if step[3]:
            named = _slice(element, step[3])
            if named is None:
                return None
            element = named
    return element


def _child(definitions: Definitions, element: Element, name: str) -> Element | None:
    if name in element.children:
        return element.children[name]
    typed = next(
        (c for c in element.children.values() if c.is_choice and name.startswith(c.name) and name != c.name),
        None,
    )
    if typed is not None:
        wanted = name[len(typed.name) :].lower()
        return next((s for s in typed.slices if s.type_name.lower() == wanted), typed)
    for url in (p for t in element.definition.get("type", []) for p in type_profiles(t)):
        structure = definitions.structure(url.partition("#")[0])
        if structure is not None and structure.get("derivation") == "constraint":
            inner = tree(Snapshots(definitions).complete(structure), definitions.types)
            if name in inner.children:
                return inner.children[name]
    return None


def _slice(element: Element, name: str) -> Element | None:
    for other in element.slices:
        if other.slice_name == name:
            return other
        found = _slice(other, name)
        if found is not None:
            return found
    return None


def _said(element: Element) -> Iterator[tuple[str, str]]:
    """Yield facet and text of all that a snapshot says of an element."""
    definition = element.definition
    least, most = definition.get("min", 0), definition.get("max", "*")
    yield "cardinality", "must not be there" if most == "0" else f"{least}..{most}"
    types = definition.get("type", [])
    if types:
        yield "type", "type " + " or ".join(_typed(t) for t in types)
    for prefix, (facet, text) in _VALUES.items():
        value = element.value(prefix)
        if value is not None:
            yield facet, text.format(json.dumps(value[0], ensure_ascii=False, default=str))
    if "maxLength" in definition:
        yield "max-length", f"at most {definition['maxLength']} characters"
    binding = definition.get("binding")
    if binding:
        strength = binding.get("strength", "")
        facet = {"required": "binding", "extensible": "binding-extensible"}.get(strength, "binding-weak")
        yield facet, f"{strength} binding to {binding.get('valueSet', 'a value set without address')}"
    if definition.get("mustSupport"):
        yield "must-support", "must be supported by who keeps to the profile"
    if element.slices:
        yield "slice", _sliced(element)
    for constraint in definition.get("constraint", []):
        expression = (
            f": {constraint['expression']}"
            if constraint.get("expression")
            else " (no expression: not checked)"
        )
        yield (
            f"constraint {constraint['key']}",
            f"{constraint['severity']}, {constraint['human']}{expression}",
        )


def _typed(type_: dict[str, Any]) -> str:
    profiles = f" ({' or '.join(type_profiles(type_))})" if type_.get("profile") else ""
    targets = f" to {', '.join(type_['targetProfile'])}" if type_.get("targetProfile") else ""
    return f"{type_['code']}{profiles}{targets}"


def _sliced(element: Element) -> str:
    slicing = element.definition.get("slicing", {})
    by = (
        " and ".join(f"{d['type']} of {d['path']}" for d in slicing.get("discriminator", ()))
        or "their definitions"
    )
    names = ", ".join(
        f"{s.slice_name} ({s.definition.get('min', 0)}..{s.definition.get('max', '*')})"
        for s in element.slices
    )
    order = ", in this order" if slicing.get("ordered") else ""
    return f"slices by {by} ({slicing.get('rules', 'open')}{order}): {names}"
