"""Validation of resources against the base definitions of R4.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.definitions import Definitions
from fhir_server.fhirpath import Env
from fhir_server.messages import say
from fhir_server.outcome import Issue
from fhir_server.validation.compiler import Compiler
from fhir_server.validation.corrections import Corrections
from fhir_server.validation.invariants import NotEvaluated, TooCostly
from fhir_server.validation.policy import Policy
from fhir_server.validation.protocols import CodeSets
from fhir_server.validation.report import ENTRY_STEPS, BundleIndex, Run, issues
from fhir_server.validation.rules.contained import holds_conditional_references, resource_type
from fhir_server.validation.unevaluated import claimed


class Validator:
    """Checks resources; what a type needs is compiled when the first resource of the type comes.

    Safe to share between threads: a type that two compile at once is compiled twice with the same result.
    """

    def __init__(
        self,
        definitions: Definitions,
        code_sets: CodeSets,
        *,
        best_practices: bool = False,
        as_warnings: frozenset[str] = frozenset(),
        policy: Policy | None = None,
    ) -> None:
        """Make a validator that has compiled nothing yet.

        Issues of the rules ``as_warnings`` don't make a resource invalid. ``best_practices`` is short for a
        ``policy`` that has it.
        """
        self._definitions = definitions
        self._code_sets = code_sets
        self._compiler = Compiler(definitions, code_sets, policy or Policy(best_practices=best_practices))
        self._corrections = Corrections(code_sets, definitions.types.resource_types)
        self._generation = definitions.generation
        self._as_warnings = as_warnings

    def validate(
        self, resource: dict[str, Any], profiles: Sequence[str] = (), *, lenient: bool = False
    ) -> tuple[Issue, ...]:
        """Return the issues of a resource as ``json_format.decode`` gave it; empty when it is valid.

        Issues of severity warning don't make it invalid. There is one issue for each defect, at most 100,
        and one more that tells if others were left out. Expressions are FHIRPaths from the resource's type
        on. ``profiles`` are canonical URLs (``url`` or ``url|version``) to check against, besides those that
        ``meta.profile`` claims. ``lenient`` is for resources that are to be stored: rules which the reference
        implementation has, but whose breach is common and does no harm here, give warnings.
        """
        compiler = self._compiler
        if self._generation != self._definitions.generation:
            self._generation = self._definitions.generation
            self._code_sets.forget()
            compiler.forget()
        compiler.repetitions.check()
        run = Run(resource)
        name = resource_type(resource, compiler.resource_types, run)
        if not isinstance(name, str):
            return issues(name, run, "", self._as_warnings, compiler.types_of)
        if name == "Bundle":
            run.is_conditional = holds_conditional_references(resource)
            run.bundle = BundleIndex(resource)
            run.steps[0] += (
                ENTRY_STEPS * len(resource["entry"]) if isinstance(resource.get("entry"), list) else 0
            )
        try:
            found = compiler.claims.handler(resource, name, profiles)(resource, {}, run)
        except RecursionError:
            return (
                Issue("error", "structure", "The resource is nested too deeply: flatten it.", name, "depth"),
            )
        except TooCostly as reason:
            text = say(
                "The rule {key} takes too many steps on this resource: make the resource smaller, or the rule simpler.",
                key=str(reason),
            )
            return (Issue("error", "too-costly", text, name, str(reason)),)
        if found is None and not run.unevaluated:
            return ()
        return issues(found or [], run, name, self._as_warnings, compiler.types_of, lenient=lenient)

    def environment(self, resource: dict[str, Any]) -> Env:
        """Return the surroundings in which FHIRPath expressions on a resource are evaluated.

        With them ``resolve()`` finds contained resources and entries of the same Bundle, and ``memberOf()``,
        ``conformsTo()`` and ``htmlChecks()`` answer from the definitions. Set ``steps`` for expressions of strangers.
        """
        run = Run(resource)
        if resource.get("resourceType") == "Bundle":
            run.bundle = BundleIndex(resource)
        return self._compiler.invariants.environment(run)

    def unchecked(self, resource: dict[str, Any], profiles: Sequence[str] = ()) -> tuple[Issue, ...]:
        """Return a warning for each constraint that can't be checked, of the profiles that ``validate`` goes by."""
        name = resource.get("resourceType")
        imposed = self._compiler.policy.imposed.get(name, ()) if isinstance(name, str) else ()
        wanted = dict.fromkeys((*claimed(resource), *profiles, *imposed))
        return tuple(self._compiler.unevaluated.issues(wanted, name if isinstance(name, str) else ""))

    def corrected(self, issues: Sequence[Issue], resource: Any, type_: str = "") -> tuple[Issue, ...]:
        """Return the issues that ``validate`` found, each with a suggested fix where there is one.

        ``type_`` is the type that the resource must be of, "" if nothing says it.
        """
        return self._corrections.corrected(issues, resource, type_)

    def preload(self, types: Iterable[str]) -> None:
        """Compile resource types (by name) and profiles (by URL) with all that they use, before a process forks."""
        for name in types:
            self._compiler.preload(name)

    @property
    def not_evaluated(self) -> tuple[NotEvaluated, ...]:
        """The constraints that aren't checked, with the reason, of the types compiled so far."""
        return self._compiler.invariants.not_evaluated

    @property
    def unbound(self) -> tuple[tuple[str, str], ...]:
        """The required bindings that aren't checked (path, value set) because their codes aren't known."""
        return tuple(self._compiler.unbound)

    def source(self, structure: str, path: str = "") -> str:
        """Return the Python that is generated for a type or one of its backbone elements."""
        return self._compiler.source(structure, path)
