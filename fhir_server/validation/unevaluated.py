"""Constraints of profiles that can't be checked: they have no expression, or one that can't be read.

They never make a resource invalid. Who asks for a verdict is told once for each profile, and the log once a start.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from fhir_server.definitions import TypeModel
from fhir_server.fhirpath import FhirPathError, compile_invariant
from fhir_server.messages import say
from fhir_server.outcome import Issue
from fhir_server.validation.element_tree import Element
from fhir_server.validation.rules.invariant import NATIVE
from fhir_server.validation.schema import constraints, type_profiles


class Profiles(Protocol):
    """What is asked of the compiler."""

    @property
    def types(self) -> TypeModel:
        """The type model of R4."""

    def profile_tree(self, url: str) -> Element | None:
        """Return the snapshot of a profile as a tree, or None."""


class Unevaluated:
    """Finds what isn't checked of profiles, and keeps it."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._known: dict[str, tuple[tuple[str, str, str], ...]] = {}
        self._expressions: dict[tuple[str, str], str] = {}

    def forget(self) -> None:
        """Drop what is known, because definitions changed."""
        self._known.clear()

    def issues(self, profiles: Iterable[str], resource_type: str) -> list[Issue]:
        """Return a warning for each constraint that isn't checked, of these profiles and those on their elements."""
        waiting, met, found = list(profiles), set[str](), []
        while waiting:
            url = waiting.pop(0)
            root = None if url in met else self._profiles.profile_tree(url)
            met.add(url)
            if root is None:
                continue
            if url not in self._known:
                self._known[url] = tuple(self._of(root))
            for key, path, reason in self._known[url]:
                text = say("Rule {key} on {path} isn't checked: {reason}.", key=key, path=path, reason=reason)
                text = say("{text} (profile {profile})", text=text, profile=url)
                found.append(Issue("warning", "incomplete", text, resource_type, key))
            waiting += {p for e in root.walk() for t in e.definition.get("type", ()) for p in _named(t)} - met
        return list({(i.rule, str(i.diagnostics)): i for i in found}.values())

    def _of(self, root: Element) -> Iterator[tuple[str, str, str]]:
        for element in root.walk():
            for constraint in constraints(element.definition):
                if constraint.key in NATIVE or constraint.is_best_practice:
                    continue
                reason = self._reason(constraint.expression, element.type_name)
                if reason:
                    yield constraint.key, element.id or element.path, reason

    def _reason(self, expression: str, type_name: str) -> str:
        if not expression:
            return say("it has no expression")
        key = (expression, type_name)
        if key not in self._expressions:
            try:
                compile_invariant(expression, type_name or "Element", self._profiles.types)
                self._expressions[key] = ""
            except FhirPathError as problem:
                reason = problem.issues[0].diagnostics
                self._expressions[key] = say("its expression can't be read ({problem})", problem=reason)
        return self._expressions[key]


def _named(type_: dict[str, Any]) -> list[str]:
    return [p.partition("#")[0] for p in type_profiles(type_)]


def claimed(resource: Any) -> Iterator[str]:
    """Yield the profiles that a resource and those inside it claim."""
    waiting = [resource]
    while waiting:
        node = waiting.pop()
        if type(node) is list:
            waiting += node
        elif type(node) is dict:
            meta = node.get("meta")
            named = meta.get("profile") if type(meta) is dict and "resourceType" in node else None
            yield from (p for p in named if type(p) is str) if type(named) is list else ()
            waiting += (
                v for k, v in node.items() if k in {"contained", "entry", "resource", "parameter", "part"}
            )
