"""From the ``compose`` of a value set to its members (system, code).

https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/codesystem.html#hierarchy
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import re2

Concepts = set[tuple[str, str]]


class Sources(Protocol):
    """Where value sets and code systems are found by canonical URL; ``Definitions`` is one."""

    def value_set(self, url: str) -> dict[str, Any] | None: ...  # noqa: D102
    def code_system(self, url: str) -> dict[str, Any] | None: ...  # noqa: D102


@dataclass(slots=True)
class System:
    """One code system, read once: codes in order, parents and properties by code."""

    url: str
    is_case_sensitive: bool = False
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    parents: dict[str, set[str]] = field(default_factory=dict)

    def add(self, concepts: Iterable[dict[str, Any]], parent: str | None) -> None:
        """Add concepts and those inside them."""
        for concept in concepts:
            code = concept["code"]
            self.codes[code] = concept
            parents = self.parents.setdefault(code, set())
            if parent is not None:
                parents.add(parent)
            for row in concept.get("property", []):
                other = row.get("valueCode", row.get("valueString"))
                if row["code"] in {"parent", "subsumedBy"} and other:
                    parents.add(other)
                elif row["code"] == "child" and other:
                    self.parents.setdefault(other, set()).add(code)
            self.add(concept.get("concept", []), code)

    def ancestors(self, code: str) -> set[str]:
        """Return the code itself and all above it."""
        found: set[str] = set()
        waiting = [code]
        while waiting:
            next_ = waiting.pop()
            if next_ not in found:
                found.add(next_)
                waiting += self.parents.get(next_, ())
        return found

    def descendants(self, code: str) -> set[str]:
        """Return the code itself and all below it."""
        below: dict[str, list[str]] = {}
        for child, parents in self.parents.items():
            for parent in parents:
                below.setdefault(parent, []).append(child)
        found: set[str] = set()
        waiting = [code]
        while waiting:
            next_ = waiting.pop()
            if next_ not in found:
                found.add(next_)
                waiting += below.get(next_, ())
        return found

    def properties(self, code: str, name: str) -> Iterator[str]:
        """Return the values of a property as text; the hierarchy counts as parent and child."""
        if name in {"concept", "code"}:
            yield code
        elif name == "parent":
            yield from self.parents.get(code, ())
        elif name == "child":
            yield from (c for c, above in self.parents.items() if code in above)
        elif name == "display":
            yield self.codes[code].get("display", "")
        else:
            for row in self.codes[code].get("property", []):
                if row["code"] == name:
                    value = next(v for k, v in row.items() if k.startswith("value"))
                    if isinstance(value, dict):
                        yield value.get("code", "")
                    else:
                        yield {True: "true", False: "false"}.get(value, str(value))


_Test = Callable[[System, str], bool]


def filter_test(property_: str, operator: str, value: str) -> _Test | None:
    """Return the test of a filter in ``compose``, or None for an operator that R4 doesn't have."""
    words = {word.strip() for word in value.split(",")}
    if operator == "regex":
        pattern = re2.compile(value)
        return lambda system, code: any(pattern.fullmatch(v) for v in system.properties(code, property_))
    if operator == "exists":
        wanted = value == "true"
        return lambda system, code: any(True for _ in system.properties(code, property_)) == wanted
    return {
        "=": lambda system, code: value in system.properties(code, property_),
        "in": lambda system, code: not words.isdisjoint(system.properties(code, property_)),
        "not-in": lambda system, code: words.isdisjoint(system.properties(code, property_)),
        "is-a": lambda system, code: value in system.ancestors(code),
        "descendent-of": lambda system, code: code != value and value in system.ancestors(code),
        "is-not-a": lambda system, code: value not in system.ancestors(code),
        "generalizes": lambda system, code: code in system.ancestors(value),
    }.get(operator)


class Expander:
    """Expands value sets of these definitions; holds no results."""

    def __init__(self, definitions: Sources) -> None:
        self._definitions = definitions

    def value_set(self, url: str, above: tuple[str, ...] = ()) -> Concepts | None:
        """Return the members of a value set, or None if some of them can't be known from these definitions.

        That is: a code system that isn't there or isn't complete, an unknown filter, or a value set that
        imports itself (``above`` holds those on the way).
        """
        value_set = self._definitions.value_set(url)
        if value_set is None or url in above:
            return None
        if "compose" not in value_set:
            return self._expansion(value_set)
        members: Concepts = set()
        for include in value_set["compose"].get("include", []):
            found = self._clause(include, (*above, url))
            if found is None:
                return None
            members |= found
        for exclude in value_set["compose"].get("exclude", []):
            found = self._clause(exclude, (*above, url))
            if found is None:
                return None
            members -= found
        return members

    def _clause(self, clause: dict[str, Any], above: tuple[str, ...]) -> Concepts | None:
        """Return what an include or exclude selects: its system part and value sets intersected."""
        parts: list[Concepts] = []
        if "system" in clause:
            part = self._system_part(clause)
            if part is None:
                return None
            parts.append(part)
        for url in clause.get("valueSet", []):
            imported = self.value_set(url.partition("|")[0], above)
            if imported is None:
                return None
            parts.append(imported)
        return set.intersection(*parts) if parts else None

    def _system_part(self, clause: dict[str, Any]) -> Concepts | None:
        url = clause["system"]
        if "concept" in clause:
            return {(url, concept["code"]) for concept in clause["concept"]}
        system = self.system(url)
        if system is None:
            return None
        tests = [filter_test(f["property"], f["op"], f["value"]) for f in clause.get("filter", [])]
        known = [test for test in tests if test is not None]
        if len(known) < len(tests):
            return None
        return {(url, code) for code in system.codes if all(test(system, code) for test in known)}

    def system(self, url: str) -> System | None:
        """Return a code system, or None when it isn't here or isn't complete."""
        resource = self._definitions.code_system(url)
        if resource is None or resource.get("content") != "complete":
            return None
        system = System(url, resource.get("caseSensitive") is True)
        system.add(resource.get("concept", []), None)
        return system

    def _expansion(self, value_set: dict[str, Any]) -> Concepts | None:
        expansion = value_set.get("expansion")
        if expansion is None or expansion.get("total", 0) > len(expansion.get("contains", [])):
            return None
        members: Concepts = set()
        waiting = list(expansion.get("contains", []))
        while waiting:
            row = waiting.pop()
            waiting += row.get("contains", [])
            if "code" in row and not row.get("abstract", False):
                members.add((row.get("system", ""), row["code"]))
        return members
