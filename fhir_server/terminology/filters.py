"""Filters of a value set: every operator of R4, as a test of one concept.

https://hl7.org/fhir/R4/valueset-filter-operator.html, https://hl7.org/fhir/R4/codesystem.html#properties
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import re2

from fhir_server.messages import say
from fhir_server.outcome import error
from fhir_server.terminology.concept import Concept

if TYPE_CHECKING:
    from fhir_server.terminology.code_system import CodeSystem

Test = Callable[[Concept], bool]

#: The operators of R4, and child-of, which later versions have and people use.
OPERATORS = frozenset(
    {"=", "is-a", "descendent-of", "is-not-a", "regex", "in", "not-in", "generalizes", "exists", "child-of"}
)


@dataclass(frozen=True, slots=True)
class Filter:
    """One ``compose.include.filter``."""

    property: str
    op: str
    value: str

    @builtins.property
    def words(self) -> tuple[str, ...]:
        """The codes of ``in`` and ``not-in``."""
        return tuple(word.strip() for word in self.value.split(","))


def pattern(value: str) -> re2._Regexp:
    """Return a compiled regular expression that runs in linear time; FhirError 422 for one that can't be."""
    try:
        return re2.compile(value)
    except re2.error:
        raise error(
            "invalid", "A regex filter of the value set is no regular expression that can be run safely.",
            status=422,
        ) from None  # fmt: skip


def values(system: CodeSystem, concept: Concept, name: str) -> Iterator[str]:
    """Return the values of a property as text; code, display, definition and the hierarchy count as properties."""
    if name in {"concept", "code"}:
        yield concept.code
    elif name == "display":
        yield concept.display
    elif name == "definition":
        yield concept.definition
    elif name == "parent":
        yield from system.parents(concept.code)
    elif name == "child":
        yield from system.children(concept.code)
    elif name == "inactive":
        yield "true" if system.is_inactive(concept) else "false"
    else:
        yield from concept.values(name)


def test(wanted: Filter, system: CodeSystem) -> Test:
    """Return the test of a filter; FhirError 422 for an operator that R4 doesn't have."""
    name, op, value = wanted.property, wanted.op, wanted.value
    if op == "regex":
        expression = pattern(value)
        return lambda c: any(expression.fullmatch(v) for v in values(system, c, name))
    if op == "exists":
        is_wanted = value == "true"
        return lambda c: any(True for _ in values(system, c, name)) == is_wanted
    words = frozenset(wanted.words)
    tests: dict[str, Test] = {
        "=": lambda c: value in values(system, c, name),
        "in": lambda c: not words.isdisjoint(values(system, c, name)),
        "not-in": lambda c: words.isdisjoint(values(system, c, name)),
        "is-a": lambda c: value in system.ancestors(c.code),
        "descendent-of": lambda c: c.code != value and value in system.ancestors(c.code),
        "is-not-a": lambda c: value not in system.ancestors(c.code),
        "generalizes": lambda c: c.code in system.ancestors(value),
        "child-of": lambda c: value in system.parents(c.code),
    }
    if op not in tests:
        raise error("not-supported", say("The filter operator '{op}' is none of R4.", op=op), status=422)
    return tests[op]
