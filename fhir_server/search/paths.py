"""The paths that search parameters are written in, as branches of typed JSON steps.

SearchParameter.expression is FHIRPath, but nearly all of R4's are unions of plain paths with a cast or one
simple ``where``. Those are read here, because the index needs what evaluation can't tell: which types a
parameter yields and whether its path repeats. Anything else gives None and is left to
``fhirpath.compile_extraction``.
https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.definitions import TypeModel

_PARENTHESISED_CAST = re.compile(r"^\(([^()]+) (?:as|is) (\w+)\)(.*)$")
_CAST = re.compile(r"^(?:as|ofType)\((\w+)\)$")
_RESOLVES = re.compile(r"^where\(resolve\(\) is (\w+)\)$")
_EQUALS = re.compile(r"^where\((\w+)\s*=\s*'([^']*)'\)$")
_NAME = re.compile(r"^\w+$")


@dataclass(frozen=True, slots=True)
class Step:
    """One JSON property on the way; ``equals`` keeps only objects whose property has that text."""

    key: str
    is_list: bool
    equals: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """One path of an expression: where it leads in the JSON and the FHIR type found there.

    ``targets`` are the types that a reference may have; ``resolves`` keeps only references to that type;
    ``element`` is the path of the last element (``Observation.status``), for its binding.
    """

    steps: tuple[Step, ...]
    type: str
    element: str
    targets: tuple[str, ...] = ()
    resolves: str = ""

    @property
    def repeats(self) -> bool:
        """Tell whether one resource can hold several values on this path."""
        return any(step.is_list for step in self.steps)

    @property
    def keys(self) -> tuple[str, ...]:
        """The JSON properties of the path."""
        return tuple(step.key for step in self.steps)


def branches(expression: str, type_name: str, types: TypeModel) -> tuple[Branch, ...] | None:
    """Return the branches of an expression that apply to a resource type.

    None when any of them is more than a path with a cast or a simple where; an empty tuple when all branches
    belong to other types.
    """
    found: list[Branch] = []
    for text in _split(expression, "|"):
        read = _branch(text.strip(), type_name, types)
        if read is None:
            return None
        found += [b for b in read if b not in found]
    return tuple(found)


def values_at(branch: Branch, holder: dict[str, Any]) -> Iterator[Any]:
    """Yield the JSON values that a branch leads to from an object; ``resolves`` is not looked at."""
    found: list[Any] = [holder]
    for step in branch.steps:
        reached: list[Any] = []
        for one in found:
            value = one.get(step.key)
            reached += value if isinstance(value, list) else [value]
        found = [
            one
            for one in reached
            if one is not None and (step.equals is None or one.get(step.equals[0]) == step.equals[1])
        ]
    yield from found


def _split(text: str, separator: str) -> list[str]:
    """Split on a separator outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if character == separator and not depth:
                parts.append(text[start:position])
                start = position + 1
    parts.append(text[start:])
    return parts


def _branch(text: str, type_name: str, types: TypeModel) -> list[Branch] | None:
    cast = _PARENTHESISED_CAST.match(text)
    if cast:
        text = f"{cast[1]}.as({cast[2]}){cast[3]}"
    parts = [part.strip() for part in _split(text, ".")]
    if parts[0] in {type_name, "Resource", "DomainResource"}:
        parts = parts[1:]
    elif parts[0][:1].isupper() and types.type(parts[0]) is not None:
        return []  # a branch for another of the parameter's base types
    current = [Branch((), type_name, type_name)]
    for part in parts:
        advanced = [_advance(branch, part, types) for branch in current]
        if any(step is None for step in advanced):
            return None
        current = [branch for step in advanced if step for branch in step]
    return current if parts else None


def _advance(branch: Branch, part: str, types: TypeModel) -> list[Branch] | None:
    cast = _CAST.match(part)
    if cast:
        return [branch] if types.is_subtype(branch.type, cast[1]) else []
    resolves = _RESOLVES.match(part)
    if resolves:
        return [replace(branch, resolves=resolves[1], targets=(resolves[1],))]
    equals = _EQUALS.match(part)
    if equals and branch.steps:
        last = replace(branch.steps[-1], equals=(equals[1], equals[2]))
        return [replace(branch, steps=(*branch.steps[:-1], last))]
    info = types.type(branch.type)
    if not _NAME.match(part) or info is None:
        return None
    element = info.elements.get(part)
    if element is None:
        # A member that this branch's type lacks: no value (a choice such as ``value.code`` has it in one
        # type only).
        return []
    return [
        Branch(
            (*branch.steps, Step(key, element.is_list)),
            type_,
            f"{branch.type}.{part}",
            element.targets,
        )
        for key, type_ in element.json_keys().items()
    ]
