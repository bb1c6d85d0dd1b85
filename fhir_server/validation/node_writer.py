"""Writes the Python of one node and makes a function of it.

Nothing of a definition's text enters the source but numbers and ``repr`` of names.
"""

from __future__ import annotations

from functools import lru_cache
from types import CodeType
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.invariants import Invariants
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Finding, Findings, Run, has_errors, placed
from fhir_server.validation.rules import RULES
from fhir_server.validation.rules.choice import choices
from fhir_server.validation.rules.unknown_element import unknown
from fhir_server.validation.schema import NodeSchema

#: Handlers by JSON property, each with the bit of its element.
Rows = dict[str, tuple[int, Handler]]
#: Path segment and definition path of each JSON property.
Segments = dict[str, tuple[str, str]]


class NodeWriter:
    """Writes the function of one node."""

    def __init__(self, schema: NodeSchema, invariants: Invariants, resource_types: frozenset[str]) -> None:
        self._schema = schema
        self._resource_types = resource_types
        self.bits = {element.name: 1 << index for index, element in enumerate(schema.elements)}
        self._checks = invariants.of_node(schema, self.bits)
        self.resource_bit = 1 << len(schema.elements)
        self._lines: list[str] = []
        self._names: dict[str, Any] = {}

    def write(self) -> str:
        """Return the source."""
        schema = self._schema
        self._lines = _HEAD.splitlines()
        required = sum(self.bits[e.name] for e in schema.elements if e.minimum > 0)
        if required:
            self._lines += [
                f"    if mask & {required:#x} != {required:#x}:",
                "        found = MISSING(found, mask, run)",
            ]
        if any(element.is_choice for element in schema.elements):
            self._lines += [
                "    if mask.bit_count() != len(node):",
                "        found = CHOICES(found, node, run)",
            ]
        self._lines += ["    if found is not None and HAS_ERRORS(found):", "        return found"]
        # An Element stands beside the value of a primitive; rules/cardinality.py asks whether there is one.
        if schema.kind != "resource" and schema.type_name != "Element":
            self._lines += [f"    if mask == {self.bits['id']:#x}:", "        found = ONLY_ID(found, run)"]
        self._native()
        for number, check in enumerate(self._checks):
            self._lines += [
                f"    if {check.condition(number)}:",
                f"        found = BROKEN(found, {number}, run)",
            ]
            if check.needs_evaluation:
                self._names[f"CHECK_{number}"] = check.evaluate
        self._lines.append("    return found")
        return "\n".join(self._lines) + "\n"

    def _native(self) -> None:
        for number, rule in enumerate(RULES):
            is_meant = rule.type_name == self._schema.type_name or (
                rule.type_name == "*" and self._schema.kind == "resource"
            )
            if is_meant and all(name in self.bits for name in rule.elements):
                bits = sum(self.bits[name] for name in rule.elements)
                self._lines += [
                    f"    if mask & {bits:#x} == {bits:#x}:",
                    f"        found = JOIN(found, RULE_{number}(node, run))",
                ]
                self._names[f"RULE_{number}"] = rule.make(self._resource_types)

    def compiled(self, rows: Rows, segments: Segments) -> Handler:
        """Return the function; ``segments`` are path segment and definition path of each property."""
        schema = self._schema
        source = self.write()
        checks = self._checks

        prefix = f"{schema.profile}#" if schema.profile else ""

        def misfit(node: Any, run: Run) -> Findings:
            if type(node) is dict:
                return run.error(
                    "structure", "The object must not be empty: leave the element out instead.", "type@"
                )
            return run.error(
                "structure", say("The value must be an object ({type}).", type=schema.type_name), "type@"
            )

        def add(found: Findings | None, problem: Findings, key: str) -> Findings:
            segment, definition = segments[key]
            plain = f"{schema.type_name}.{definition.rpartition('.')[2]}"
            moved = placed(problem, segment, definition, schema.profile, plain)
            return moved if found is None else found + moved

        def unfamiliar(found: Findings | None, key: Any, run: Run) -> Findings:
            return join(found, unknown(key, segments, schema.path, run)) or []

        def missing(found: Findings | None, mask: int, run: Run) -> Findings:
            for element in schema.elements:
                if element.minimum > 0 and not mask & self.bits[element.name]:
                    name = element.name + ("[x]" if element.is_choice else "")
                    text = say("{path} must have {name}: add it.", path=schema.path, name=name)
                    rule = f"cardinality@{prefix}{element.path}"
                    found = [*(found or ()), *run.error("required", text, rule)]
            return found or []

        choice_elements = tuple(e for e in schema.elements if e.is_choice)

        def several(found: Findings | None, node: dict[str, Any], run: Run) -> Findings | None:
            return join(found, choices(node, choice_elements, run))

        def broken(found: Findings | None, number: int, run: Run) -> Findings:
            constraint = checks[number].constraint
            return join(found, run.broken(constraint.severity, constraint.human, constraint.key)) or []

        def only_id(found: Findings | None, run: Run) -> Findings:
            text = "An element must have a value or children other than an id: give it one or leave it out."
            return join(found, run.error("invariant", text, "ele-1")) or []

        namespace: dict[str, Any] = {
            "ROWS": rows,
            "MISFIT": misfit,
            "ADD": add,
            "UNKNOWN": unfamiliar,
            "MISSING": missing,
            "CHOICES": several,
            "BROKEN": broken,
            "ONLY_ID": only_id,
            "HAS_ERRORS": has_errors,
            "JOIN": join,
            **self._names,
        }
        exec(_code(source, schema.path), namespace)  # noqa: S102 - own source
        function: Handler = namespace["validate"]
        return function


@lru_cache(maxsize=1024)
def _code(source: str, path: str) -> CodeType:
    """Return the code of a source; many nodes, most of all those of extensions, have the same."""
    return compile(source, f"<validation of {path}>", "exec")


def join(found: list[Finding] | None, more: list[Finding] | None) -> list[Finding] | None:
    """Return both lists of findings as one; None if there are none."""
    if more is None:
        return found
    return more if found is None else found + more


_HEAD = """\
def validate(node, parent, run):
    if type(node) is not dict or not node:
        return MISFIT(node, run)
    mask = 0
    found = None
    for key, value in node.items():
        try:
            bit, handler = ROWS[key]
        except KeyError:
            found = UNKNOWN(found, key, run)
            if run.left < 0:
                return found
            continue
        mask |= bit
        problem = handler(value, node, run)
        if problem is not None:
            found = ADD(found, problem, key)
            if run.left < 0:
                return found
"""
