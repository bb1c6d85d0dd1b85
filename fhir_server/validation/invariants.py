"""The invariants of nodes and elements, compiled where the presence mask doesn't decide them.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from fhir_server.datatypes import xhtml
from fhir_server.definitions import TypeModel
from fhir_server.fhirpath import (
    Env,
    Expression,
    FhirPathError,
    Node,
    compile_bounded,
    compile_expression,
    compile_invariant,
    parse,
)
from fhir_server.validation.protocols import Handler
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.extension_context import primitive_of
from fhir_server.validation.rules.invariant import NATIVE, Presence
from fhir_server.validation.schema import Constraint, NodeSchema


class TooCostly(Exception):  # noqa: N818 - what the invariant is
    """The invariant of this key takes more steps than one validation may."""


class Surroundings(Protocol):
    """What invariants ask of the compiler."""

    def conforms(self, value: Any, profile: str, run: Run) -> bool:
        """Tell whether a value conforms to a profile or type."""

    def base_of(self, url: str) -> str:
        """Return the type that a profile constrains; "" if it isn't known."""


class _Hooks:
    """Answers what expressions ask: ``resolve()``, ``memberOf()``, ``conformsTo()``, ``htmlChecks()``."""

    def __init__(self, run: Run, around: Surroundings, terminology: Any) -> None:
        self._run = run
        self._around = around
        self._terminology = terminology

    def resolve(self, reference: str, _env: Any) -> dict[str, Any] | None:
        return self._run.target(reference)

    def conforms_to(self, element: Any, _type_name: str, profile: str) -> bool | None:
        return self._around.conforms(element, profile, self._run) if self._around.base_of(profile) else None

    def member_of(self, coded: Any, type_name: str, value_set: str) -> bool | None:
        answer: bool | None = self._terminology.member(coded, type_name, value_set)
        return answer

    def subsumes(self, system: str, parent: str, child: str) -> bool | None:
        answer: bool | None = self._terminology.subsumes(system, parent, child)
        return answer

    def html_checks(self, div: str) -> bool:
        return xhtml.problem(div) is None


def _has_zone(observation: Any) -> bool | None:
    """Tell whether effectiveDateTime has a time with a zone; None where extensions may stand for its value."""
    if "_effectiveDateTime" in observation:
        return None
    value = observation.get("effectiveDateTime")
    return value is None or _ZONED(value) is not None


_ZONED = re.compile(r"T.*(Z|[+-][0-9]{2}:[0-9]{2})$").search
#: What is asked of every vital sign and measure, and plain Python answers much faster: vs-1, hs-mea-3.
_SHORTCUTS: dict[str, Callable[[Any], bool | None]] = {
    "($this as dateTime).toString().length() >= 8": lambda value: type(value) is str and len(value) >= 8,
    "effective.ofType(dateTime).all(toString().matches('T.*(Z|[+-][0-9]{2}:[0-9]{2})$'))": _has_zone,
}


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
    evaluate: Callable[..., bool] | None

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

    def __init__(self, types: TypeModel, around: Any = None, *, best_practices: bool) -> None:
        self._types = types
        self._around = around
        self._selections: dict[str, Expression | None] = {}
        self._rules: dict[str, Expression] = {}
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
                evaluate = self._evaluation(constraint, schema.type_name, is_ours=not schema.profile)
            except FhirPathError as reason:
                self._give_up(constraint.key, schema.path, reason.issues[0].diagnostics)
                continue
            checks.append(Check(constraint, presence.guard(tree), evaluate))
        return checks

    def on_element(
        self, constraints: tuple[Constraint, ...], type_name: str, key: str = ""
    ) -> Handler | None:
        """Return the handler of the constraints that an element adds to those of its type, or None.

        ``key`` is its property if it is not repeated: then the extensions of a primitive are beside it.
        """
        checks = []
        for constraint in constraints:
            if self._is_wanted(constraint, type_name):
                try:
                    checks.append((constraint, self._evaluation(constraint, type_name, is_ours=False)))
                except FhirPathError as reason:
                    self._give_up(constraint.key, type_name, reason.issues[0].diagnostics)
        if not checks:
            return None
        sibling = f"_{key}"

        def handler(value: Any, parent: dict[str, Any], run: Run) -> Findings | None:
            found: Findings = []
            for constraint, evaluate in checks:
                if not evaluate(value, run, parent.get(sibling)):
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

    def _evaluation(self, constraint: Constraint, type_name: str, *, is_ours: bool) -> Callable[..., bool]:
        """Return what tells whether a constraint is kept; those of R4's own types (``is_ours``) need no budget."""
        bounded = None if is_ours else compile_bounded(constraint.expression, type_name, self._types)
        check = bounded or compile_invariant(constraint.expression, type_name, self._types)
        key = constraint.key

        def evaluate(value: Any, run: Run, sibling: Any = None) -> bool:
            environment = run.environment
            if environment is None:
                environment = self.environment(run)
            try:
                return check(value, environment, sibling)
            except FhirPathError as reason:
                if reason.phase == "budget":
                    raise TooCostly(key) from None
                run.unevaluated.append(key)
                return True

        def counted(value: Any, run: Run, sibling: Any = None) -> bool:
            environment = run.environment or self.environment(run)
            environment.steps = run.steps[0]
            try:
                return evaluate(value, run, sibling)
            finally:
                run.steps[0] = environment.steps
                environment.steps = None

        whole = counted if bounded is not None else evaluate
        shortcut = _SHORTCUTS.get(constraint.expression)
        if shortcut is None:
            return whole

        def short(value: Any, run: Run, sibling: Any = None) -> bool:
            answer = shortcut(value)
            return whole(value, run, sibling) if answer is None else answer

        return short

    def environment(self, run: Run) -> Env:
        """Return, and keep in the run, the surroundings of expressions on its resource."""
        hooks = _Hooks(run, self._around, self._around.elements)
        run.environment = Env(
            resource=run.resource,
            root_resource=run.root,
            resolver=hooks,
            terminology=hooks,
            conformance=hooks,
            narratives=hooks,
            clock=lambda: datetime.now(UTC),
        )
        environment: Env = run.environment
        return environment

    def selects(self, expression: str, holder: dict[str, Any], run: Run) -> bool:
        """Tell whether a FHIRPath on the resource selects this element; one that can't be read doesn't."""
        return any(
            item is True or getattr(item, "value", None) is holder or getattr(item, "sibling", None) is holder
            for item in self._items(expression, run) or ()
        )

    def allows(
        self, rule: str, holder: dict[str, Any], type_name: str, extension: dict[str, Any], run: Run
    ) -> bool:
        """Tell whether a context invariant is true; its focus holds the extension, which is ``%extension``.

        One that can't be read or evaluated is noted, and allows. Raises TooCostly.
        """
        environment = run.environment or self.environment(run)
        variables = {"extension": Node(extension, "Extension")}
        surroundings = replace(environment, variables=variables, steps=run.steps[0])
        focus = Node(holder, type_name)
        if type_name == "Element":  # what stands beside a primitive
            value, primitive = primitive_of(run.resource, holder, self._types)
            focus = Node(value, primitive or type_name, holder)
        try:
            compiled = self._contextual(rule)
            found, left = compiled.counted(focus, surroundings)
        except FhirPathError as reason:
            if reason.phase == "budget":
                raise TooCostly(rule) from None
            run.unevaluated.append(rule)
            return True
        run.steps[0] = run.steps[0] if left is None else left
        return bool(found) and all(item is True or getattr(item, "value", None) is True for item in found)

    def _contextual(self, rule: str) -> Expression:
        known = self._rules.get(rule)
        if known is None:
            known = self._rules[rule] = compile_expression(rule, self._types, published=True)
        return known

    def holds(self, expression: str, run: Run) -> bool | None:
        """Tell whether a FHIRPath on the resource is true; None if it can't be read or evaluated."""
        found = self._items(expression, run)
        return None if found is None else any(getattr(item, "value", item) is not False for item in found)

    def _items(self, expression: str, run: Run) -> list[Any] | None:
        """Return what a FHIRPath on the resource evaluates to; None if it can't be."""
        if expression not in self._selections:
            try:
                self._selections[expression] = compile_expression(expression, self._types, published=True)
            except FhirPathError:
                self._selections[expression] = None
        compiled = self._selections[expression]
        if compiled is None:
            return None
        try:
            return list(compiled.items(run.resource, run.environment or self.environment(run)))
        except FhirPathError:
            return None
