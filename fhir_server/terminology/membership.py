"""Whether one code belongs to a value set, answered from what is at hand: yes, no, or not known here.

Unlike an expansion it gives certain answers where a part of a value set, or of a code system, isn't at hand.
https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/terminologies.html#unbound
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.terminology.expansion import Sources, System, filter_test
from fhir_server.terminology.rule_sets import RULE_SETS, SYSTEM_RULES

Verdict = bool | None

#: Answers that are remembered; the senders choose the codes.
_REMEMBERED = 50_000


class Members:
    """Answers for the value sets of these definitions; keeps code systems that it met."""

    def __init__(self, definitions: Sources) -> None:
        self._definitions = definitions
        self._systems: dict[str, tuple[System, str] | None] = {}
        self._answers: dict[tuple[str, str, str], Verdict] = {}
        self._displays: dict[tuple[str, str], tuple[str, ...] | None] = {}

    def forget(self) -> None:
        """Drop what is known, because definitions changed."""
        self._systems.clear()
        self._answers.clear()
        self._displays.clear()

    def has(self, url: str, system: str, code: str) -> Verdict:
        """Tell whether a code of a system ("": of any) is in a value set."""
        key = (url, system, code)
        if key not in self._answers:
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = self._value_set(url, system, code, ())
        return self._answers[key]

    def displays(self, system: str, code: str) -> tuple[str, ...] | None:
        """Return the texts that a code may be shown with, none if the system doesn't have the code.

        None when the system isn't known, or not whole.
        """
        key = (system, code)
        if key not in self._displays:
            if len(self._displays) >= _REMEMBERED:
                self._displays.clear()
            self._displays[key] = self._texts(system, code)
        return self._displays[key]

    def _texts(self, url: str, code: str) -> tuple[str, ...] | None:
        known = self._system(url)
        if known is None:
            return None
        system, content = known
        concept = system.codes.get(code)
        if concept is None:
            return () if content == "complete" else None
        texts = [concept.get("display", ""), *(d.get("value", "") for d in concept.get("designation", ()))]
        return tuple(t for t in texts if t) or None

    def _value_set(self, canonical: str, system: str, code: str, above: tuple[str, ...]) -> Verdict:
        url = canonical.partition("|")[0]
        rule_set = RULE_SETS.get(url)
        if rule_set is not None:
            return system in {"", rule_set.system} and rule_set.accepts(code)
        value_set = self._definitions.value_set(canonical)
        if value_set is None or url in above:
            return None
        verdict: Verdict = None
        if "compose" in value_set:
            verdict = self._compose(value_set["compose"], system, code, (*above, url))
        if verdict is None and "expansion" in value_set:
            verdict = _in_expansion(value_set["expansion"], system, code)
        return verdict

    def _compose(self, compose: dict[str, Any], system: str, code: str, above: tuple[str, ...]) -> Verdict:
        verdict = _any(self._clause(c, system, code, above) for c in compose.get("include", ()))
        if verdict is False:
            return False
        excluded = _any(self._clause(c, system, code, above) for c in compose.get("exclude", ()))
        if excluded is True:
            return False
        return None if excluded is None else verdict

    def _clause(self, clause: dict[str, Any], system: str, code: str, above: tuple[str, ...]) -> Verdict:
        parts: list[Verdict] = []
        if "system" in clause:
            parts.append(self._part(clause, system, code))
        parts += [
            self._value_set(url, system, code, above)
            for url in clause.get("valueSet", ())
            if False not in parts
        ]
        if not parts:
            return None
        return False if False in parts else (None if None in parts else True)

    def _part(self, clause: dict[str, Any], system: str, code: str) -> Verdict:
        url = clause["system"]
        if system and system != url:
            return False
        if "concept" in clause:
            return any(c["code"] == code for c in clause["concept"])
        filters = clause.get("filter", ())
        rule = SYSTEM_RULES.get(url)
        known = self._system(url)
        if known is None:
            if rule is None:
                return None
            return (None if filters else True) if rule(code) else False
        holder, content = known
        is_there = code in holder.codes
        if not is_there:
            return False if content == "complete" else None
        tests = [filter_test(f["property"], f["op"], f["value"]) for f in filters]
        if any(t is None for t in tests):
            return None
        if content != "complete" and tests:
            return None
        return all(t(holder, code) for t in tests if t is not None)

    def _system(self, url: str) -> tuple[System, str] | None:
        """Return a code system with concepts, and how much of it is at hand: complete, fragment, example."""
        if url not in self._systems:
            resource = self._definitions.code_system(url)
            self._systems[url] = None
            if resource is not None and resource.get("content") in {"complete", "fragment", "example"}:
                system = System(url, resource.get("caseSensitive") is True)
                system.add(resource.get("concept", []), None)
                if system.codes:
                    self._systems[url] = (system, resource["content"])
        return self._systems[url]


def _any(verdicts: Iterable[Verdict]) -> Verdict:
    answer: Verdict = False
    for verdict in verdicts:
        if verdict is True:
            return True
        if verdict is None:
            answer = None
    return answer


def _in_expansion(expansion: dict[str, Any], system: str, code: str) -> Verdict:
    waiting = list(expansion.get("contains", ()))
    count = 0
    while waiting:
        row = waiting.pop()
        count += 1
        waiting += row.get("contains", ())
        if (
            row.get("code") == code
            and not row.get("abstract", False)
            and system in {"", row.get("system", "")}
        ):
            return True
    return None if expansion.get("total", 0) > count or not count else False
