"""The invariants of nodes and elements, compiled where the presence mask doesn't decide them.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.definitions import TypeModel
from fhir_server.fhirpath import Env, FhirPathError, compile_invariant, parse
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.invariant import NATIVE, Presence
from fhir_server.validation.schema import Constraint, NodeSchema


class _ContainedResolver:
    """Finds the targets of ``resolve()`` that are at hand: contained resources."""

    def resolve(self, reference: str, env: Any) -> dict[str, Any] | None:
        for inner in (env.root_resource or {}).get("contained", ()):
            if reference[:1] == "#" and inner.get("id") == reference[1:]:
                found: dict[str, Any] = inner
                return found
        return None


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """A constraint that isn't checked, where, and why."""

    key: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant of a node.

    It is broken under the mask test ``guard``, if ``evaluate``, where there is one, says no.
    """

    constraint: Constraint
    guard: str
    evaluate: Callable[[Any, Run], bool] | None

    @property
    def needs_evaluation(self) -> bool:
        """Tell whether the mask alone doesn't decide."""
        return self.evaluate is not None

    def condition(self, number: int) -> str:
        """Return the Python condition under which the invariant is broken."""
        if self.evaluate is None:
            return self.guard
        call = f"not CHECK_{number}(node, run)"
        return call if self.guard == "True" else f"({self.guard}) and {call}"


class Invariants:
    """Compiles constraints; keeps the list of those that aren't evaluated."""

    def __init__(self, types: TypeModel, *, best_practices: bool) -> None:
        self._types = types
        self._best_practices = best_practices
        self._not_evaluated: dict[tuple[str, str], NotEvaluated] = {}

    @property
    def not_evaluated(self) -> tuple[NotEvaluated, ...]:
        """The constraints that aren't checked, of all nodes compiled so far."""
        return tuple(self._not_evaluated.values())

    def of_node(self, schema: NodeSchema, bits: Mapping[str, int]) -> list[Check]:
        """Return the checks of a node's own constraints, native ones left out."""
        plain = frozenset(
            e.name
            for e in schema.elements
            if not e.is_list and not e.is_choice and self._is_primitive(e.types)
        )
        presence = Presence(schema.path, bits, plain)
        checks = []
        for constraint in schema.constraints:
            if not self._is_wanted(constraint, schema.path):
                continue
            try:
                tree = parse(constraint.expression)
                if presence.test(tree) is not None:
                    checks.append(Check(constraint, presence.guard(tree), None))
                    continue
                evaluate = self._evaluation(constraint, schema.type_name)
            except FhirPathError as reason:
                self._give_up(constraint.key, schema.path, reason.issues[0].diagnostics)
                continue
            checks.append(Check(constraint, presence.guard(tree), evaluate))
        return checks

    def on_element(self, constraints: tuple[Constraint, ...], type_name: str) -> Handler | None:
        """Return the handler of the constraints that an element adds to those of its type, or None."""
        checks = []
        for constraint in constraints:
            if self._is_wanted(constraint, type_name):
                try:
                    checks.append((constraint, self._evaluation(constraint, type_name)))
                except FhirPathError as reason:
                    self._give_up(constraint.key, type_name, reason.issues[0].diagnostics)
        if not checks:
            return None

        def handler(value: Any, _: dict[str, Any], run: Run) -> Findings | None:
            found: Findings = []
            for constraint, evaluate in checks:
                if not evaluate(value, run):
                    found += run.broken(constraint.severity, constraint.human, constraint.key)
            return found or None

        return handler

    def _is_primitive(self, types: tuple[Any, ...]) -> bool:
        info = self._types.type(types[0].code) if types else None
        return info is not None and info.kind == "primitive-type"

    def _is_wanted(self, constraint: Constraint, path: str) -> bool:
        if constraint.key in NATIVE:
            return False
        if constraint.is_best_practice and not self._best_practices:
            self._give_up(constraint.key, path, "it is a best practice, and those are switched off")
            return False
        if not constraint.expression:
            self._give_up(constraint.key, path, "it has no expression")
            return False
        return True

    def _give_up(self, key: str, path: str, reason: str) -> None:
        self._not_evaluated[key, path] = NotEvaluated(key, path, reason)

    def _evaluation(self, constraint: Constraint, type_name: str) -> Callable[[Any, Run], bool]:
        check = compile_invariant(constraint.expression, type_name, self._types)
        key = constraint.key

        def evaluate(value: Any, run: Run) -> bool:
            environment = run.environment
            if environment is None:
                environment = run.environment = Env(
                    resource=run.resource, root_resource=run.root, resolver=_ContainedResolver()
                )
            try:
                return check(value, environment)
            except FhirPathError:
                run.unevaluated.append(key)
                return True

        return evaluate
