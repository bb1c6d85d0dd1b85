"""Which rules apply to an element, in words: what the validator checks there, and where each rule comes from.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from fhir_server.datatypes.primitives import PRIMITIVES
from fhir_server.definitions import Definitions
from fhir_server.outcome import error
from fhir_server.validation.profile_explanation import profile_rules
from fhir_server.validation.schema import BEST_PRACTICE, ElementSchema, ElementType, NodeSchema, read

_STEP = re.compile(r"^([A-Za-z_]\w*)(\[x\])?(?:\[\d+\])?(?:\.ofType\((\w+)\))?(?:\[\d+\])?$")
_SPLIT = re.compile(r"\.(?!ofType\()")
_SLICE = re.compile(r":[\w\-/]+")
_STRENGTHS = {
    "required": "the code must be in the value set (error)",
    "extensible": "a code outside is allowed only if none inside fits (warning)",
    "preferred": "a recommendation (not checked)",
    "example": "an example (not checked)",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: ``id`` is what issues carry in their details, or empty; ``source`` the definition that has it."""

    id: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The rules of one element; ``path`` is that of its definition, ``children`` the names of what it may hold."""

    path: str
    short: str
    rules: tuple[Rule, ...]
    children: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "path": self.path,
            "short": self.short,
            "rules": [{"id": r.id, "text": r.text, "source": r.source} for r in self.rules],
            "children": list(self.children),
        }

    def as_text(self) -> str:
        """Return it as lines for people."""
        lines = [f"{self.path}: {self.short}" if self.short else self.path]
        source = ""
        for rule in self.rules:
            if rule.source != source:
                source = rule.source
                lines.append(f"\nfrom {source}")
            lines.append(f"  {rule.text}" + (f" [{rule.id}]" if rule.id else ""))
        if self.children:
            lines.append("\nelements: " + ", ".join(self.children))
        return "\n".join(lines)


def explain(definitions: Definitions, path: str, profiles: Sequence[str] = ()) -> Explanation:
    """Return the rules for an element, named as issues name it (``Observation.component[0].value.ofType(Quantity)``).

    ``[x]``, indices and the type behind ``ofType`` may be left out; a slice is named behind a colon
    (``Patient.identifier:INS``). What the ``profiles`` add comes after the rules of the base definition, each with the
    profile that brings it. Raises FhirError 400 for a path that doesn't exist, 404 for a profile that isn't known.
    """
    first, *rest = _SPLIT.split(path.strip())
    place = _Place(definitions, first)
    for step in rest:
        place.enter(_SLICE.sub("", step))
    found = place.explanation()
    told = {told for rule in found.rules for told in (rule.id, rule.text) if told}
    added = (Rule(*rule) for url in profiles for rule in profile_rules(definitions, url, path.strip()))
    new = [rule for rule in dict.fromkeys(added) if told.isdisjoint((rule.id, rule.text))]
    return replace(found, rules=(*found.rules, *new))


class _Place:
    """Where the walk along the path is: a structure, a node of it, and perhaps an element below the node."""

    def __init__(self, definitions: Definitions, name: str) -> None:
        self._definitions = definitions
        self._element: ElementSchema | None = None
        self._type: ElementType | None = None
        self._open(name)

    def _open(self, name: str) -> None:
        structure = self._definitions.structure(name)
        if structure is None or "snapshot" not in structure:
            names = self._definitions.types.names()
            raise _nowhere(f"There is no type {name[:64]}", name, [n for n in names if "." not in n])
        self._structure = structure
        self._nodes = read(structure)
        self._node: NodeSchema | None = self._nodes.get(structure["type"])
        self._definition: dict[str, Any] = structure["snapshot"]["element"][0]

    def enter(self, step: str) -> None:
        """Go to a child element."""
        parts = _STEP.match(step)
        if parts is None:
            raise error("value", f'"{step[:64]}" is no step of a path such as Patient.contact.gender.')
        if self._element is not None:
            self._enter_type(step)
        node = self._node
        if node is None:
            raise error("value", f"{self._definition['path']} has no elements, so none {parts[1]}.")
        self._element, self._type = _find(node, parts[1], parts[3])
        if self._element is None:
            raise _nowhere(
                f"{node.path} has no element {parts[1]}", parts[1], [e.name for e in node.elements]
            )
        wanted = self._element.path
        self._definition = next(e for e in self._structure["snapshot"]["element"] if e["path"] == wanted)

    def _enter_type(self, step: str) -> None:
        """Go on from an element to the node that describes its children."""
        element = self._element
        assert element is not None, "the caller has looked"
        if element.node:
            self._node = self._nodes[element.node]
            return
        type_ = self._type
        if type_ is None:
            if len(element.types) > 1:
                # Without a type: the first that has such an element (Observation.value.unit means Quantity).
                fitting = [t for t in element.types if self._has(t.code, step)]
                type_ = fitting[0] if fitting else element.types[0]
            else:
                type_ = element.types[0]
        self._open(
            type_.profile
            or ("Element" if type_.code in PRIMITIVES or type_.code == "element-id" else type_.code)
        )

    def _has(self, type_: str, step: str) -> bool:
        info = self._definitions.types.type(type_)
        parts = _STEP.match(step)
        return (
            info is not None
            and parts is not None
            and info.kind != "primitive-type"
            and parts[1] in info.elements
        )

    def explanation(self) -> Explanation:
        """Return what applies here."""
        return Explanation(
            self._definition["path"],
            self._definition.get("short", ""),
            tuple(self._rules()),
            tuple(self._children()),
        )

    def _rules(self) -> Iterator[Rule]:
        source = self._structure["url"]
        element, definition = self._element, self._definition
        if element is not None:
            path = element.path
            most = "any number" if not element.maximum else f"at most {element.maximum}"
            yield Rule(
                f"cardinality@{path}",
                f"at least {element.minimum}, {most} ({definition['min']}..{definition['max']})",
                source,
            )
            types = [self._type] if self._type else list(element.types)
            if types:
                yield Rule(f"type@{path}", "type " + " or ".join(map(_typed, types)), source)
            elif element.node != path:
                yield Rule(f"type@{path}", f"the same elements as {element.node}", source)
            for type_ in types:
                if type_.code in PRIMITIVES:
                    form = PRIMITIVES[type_.code].form
                    yield Rule(
                        f"primitive@{path}",
                        f"{type_.code}: {form}",
                        f"http://hl7.org/fhir/StructureDefinition/{type_.code}",
                    )
            if definition.get("isModifier"):
                yield Rule("", "it can change the meaning of what holds it (modifier)", source)
            yield from self._binding(definition, path, source)
        yield from _constraints(definition, source)
        if element is None or element.node or self._type is not None or len(element.types) == 1:
            yield from self._of_type()

    def _binding(self, definition: dict[str, Any], path: str, source: str) -> Iterator[Rule]:
        binding = definition.get("binding")
        if binding:
            text = (
                f"{binding['strength']} binding to {binding.get('valueSet', 'a value set without address')}"
            )
            yield Rule(
                f"binding@{path}" if binding["strength"] == "required" else "",
                f"{text}: {_STRENGTHS[binding['strength']]}",
                source,
            )

    def _of_type(self) -> Iterator[Rule]:
        """Yield the constraints that come with the type of the element."""
        element = self._element
        if element is None or element.node:
            return
        type_ = self._type or element.types[0]
        structure = self._definitions.structure(type_.profile or type_.code)
        if structure is not None and "snapshot" in structure:
            own = {c["key"] for c in self._definition.get("constraint", [])}
            for rule in _constraints(structure["snapshot"]["element"][0], structure["url"]):
                if rule.id not in own:
                    yield rule

    def _children(self) -> Iterator[str]:
        element = self._element
        if element is None:
            node = self._node
        elif element.node:
            node = self._nodes[element.node]
        elif self._type is None and len(element.types) != 1:
            return
        else:
            type_ = self._type or element.types[0]
            structure = self._definitions.structure(type_.code)
            if structure is None or type_.code in PRIMITIVES or "snapshot" not in structure:
                return
            node = read(structure).get(structure["type"])
        for child in node.elements if node is not None else ():
            yield child.name + ("[x]" if child.is_choice else "")


def _find(node: NodeSchema, name: str, type_: str | None) -> tuple[ElementSchema | None, ElementType | None]:
    """Return the element that a step names, and the type if the step has one: ``value.ofType(X)``, ``valueX``."""
    for element in node.elements:
        if element.name == name:
            return element, next((t for t in element.types if t.code == type_), None)
        if element.is_choice and (found := element.json_keys().get(name)) is not None:
            return element, found
    return None, None


def _typed(type_: ElementType) -> str:
    targets = f" to {', '.join(type_.targets)}" if type_.targets else ""
    return type_.code + (f" ({type_.profile})" if type_.profile else "") + targets


def _constraints(definition: dict[str, Any], source: str) -> Iterator[Rule]:
    for constraint in sorted(
        definition.get("constraint", []), key=lambda c: c.get("source", source) != source
    ):
        where = constraint.get("source", source)
        expression = f": {constraint['expression']}" if constraint.get("expression") else ""
        practice = " (best practice, not checked)" if _is_best_practice(constraint) else ""
        text = f"{constraint['severity']}{practice}, {constraint['human']}{expression}"
        yield Rule(constraint["key"], text, where)


def _is_best_practice(constraint: dict[str, Any]) -> bool:
    return any(e["url"] == BEST_PRACTICE and e.get("valueBoolean") for e in constraint.get("extension", []))


def _nowhere(text: str, name: str, known: list[str]) -> Exception:
    near = get_close_matches(name, known, 1)
    return error("value", f"{text}: did you mean {near[0]}?" if near else f"{text}.")
