"""Whether one code belongs to a value set, answered from what is at hand: yes, no, or not known here.

Unlike an expansion it gives certain answers where a part of a value set, or of a code system, isn't at hand.
https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/terminologies.html#unbound
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept
from fhir_server.terminology.filters import Filter, test
from fhir_server.terminology.library import Library
from fhir_server.terminology.versions import is_match

Verdict = bool | None

#: Value sets on the way to the one at hand, to notice circles.
Trail = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A code of a system ("": of any) in a version ("": of any)."""

    system: str
    code: str
    version: str = ""


def filters_of(clause: dict[str, Any]) -> tuple[Filter, ...]:
    """Return the filters of an include or exclude."""
    return tuple(Filter(f["property"], f["op"], f.get("value", "")) for f in clause.get("filter", ()))


def imported(library: Library, holder: dict[str, Any], url: str) -> dict[str, Any] | None:
    """Return a value set that another one imports: a contained one (``#id``), or one by URL."""
    if url.startswith("#"):
        inside = (r for r in holder.get("contained", ()) if r.get("id") == url[1:])
        return next(inside, None)
    return library.value_set(url)


def name_of(value_set: dict[str, Any]) -> str:
    """Return what tells a value set from others on a trail."""
    return f"{value_set.get('url') or '#' + value_set.get('id', '')}|{value_set.get('version', '')}"


class Membership:
    """Answers for the value sets of a library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def in_value_set(self, value_set: dict[str, Any], asked: Asked, trail: Trail = ()) -> Verdict:
        """Tell whether a code is in a value set; None when it can't be known. Raises Needed."""
        name = name_of(value_set)
        if name in trail:
            return None
        verdict: Verdict = None
        if "compose" in value_set:
            verdict = self._compose(value_set, asked, (*trail, name))
        if verdict is None and "expansion" in value_set:
            verdict = _in_expansion(value_set["expansion"], asked)
        return verdict

    def _compose(self, value_set: dict[str, Any], asked: Asked, trail: Trail) -> Verdict:
        compose = value_set["compose"]
        is_active = compose.get("inactive") is False
        verdict = _any(
            self.in_clause(value_set, clause, asked, trail, active_only=is_active)
            for clause in compose.get("include", ())
        )
        if verdict is False:
            return False
        excluded = self.is_excluded(value_set, asked, trail)
        if excluded is True:
            return False
        return None if excluded is None else verdict

    def is_excluded(self, value_set: dict[str, Any], asked: Asked, trail: Trail) -> Verdict:
        """Tell whether an exclude of the value set names a code, in whatever version."""
        clauses = value_set.get("compose", {}).get("exclude", ())
        asked = Asked(asked.system, asked.code)
        return _any(self.in_clause(value_set, clause, asked, trail) for clause in clauses)

    def in_clause(
        self,
        value_set: dict[str, Any],
        clause: dict[str, Any],
        asked: Asked,
        trail: Trail,
        *,
        active_only: bool = False,
    ) -> Verdict:
        """Tell whether an include or exclude selects a code."""
        parts: list[Verdict] = []
        if "system" in clause:
            parts.append(self._part(clause, asked, active_only=active_only))
        for url in clause.get("valueSet", ()):
            if False in parts:
                break
            other = imported(self._library, value_set, url)
            parts.append(None if other is None else self.in_value_set(other, asked, trail))
        if not parts:
            return None
        return False if False in parts else (None if None in parts else True)

    def _part(self, clause: dict[str, Any], asked: Asked, *, active_only: bool) -> Verdict:
        url = clause["system"]
        if asked.system and asked.system != url:
            return False
        version = self._library.rules.of_include(url, clause.get("version", ""))
        if asked.version and (not version or is_match(asked.version, version)):
            version = asked.version
        system = self._library.system(url, version)
        if "concept" in clause and not active_only and (system is None or system.is_case_sensitive):
            if not any(row["code"] == asked.code for row in clause["concept"]):
                return False
            if system is None or not asked.version:
                return True
        if system is None:
            return None
        if asked.version and system.version != asked.version:
            return False
        concept = system.find(asked.code)
        if "concept" in clause:
            codes = {row["code"] for row in clause["concept"]}
            if concept is None:
                return asked.code in codes and not system.is_complete
            return concept.code in codes and not (active_only and system.is_inactive(concept))
        return self._meets(clause, system, concept, active_only=active_only)

    @staticmethod
    def _meets(
        clause: dict[str, Any], system: CodeSystem, concept: Concept | None, *, active_only: bool
    ) -> Verdict:
        if concept is None:
            return False if system.is_complete else None
        if active_only and system.is_inactive(concept):
            return False
        tests = [test(one, system) for one in filters_of(clause)]
        if tests and not system.is_complete:
            return None
        return all(is_met(concept) for is_met in tests)


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    answer: Verdict = False
    for verdict in verdicts:
        if verdict is True:
            return True
        if verdict is None:
            answer = None
    return answer


def _in_expansion(expansion: dict[str, Any], asked: Asked) -> Verdict:
    waiting = list(expansion.get("contains", ()))
    count = 0
    while waiting:
        row = waiting.pop()
        count += 1
        waiting += row.get("contains", ())
        if (
            row.get("code") == asked.code
            and not row.get("abstract", False)
            and asked.system in {"", row.get("system", "")}
        ):
            return True
    return None if expansion.get("total", 0) > count or not count else False
