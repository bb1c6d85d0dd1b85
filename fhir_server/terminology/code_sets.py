"""The codes of value sets, as far as our code systems hold them.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.terminology.expansion import Expander, Sources
from fhir_server.terminology.membership import Members
from fhir_server.terminology.rule_sets import RULE_SETS


@dataclass(frozen=True, slots=True)
class CodeSet:
    """The members of one value set.

    ``codes`` are the bare codes and ``concepts`` the pairs (system, code). Where ``rule`` is not None both
    are empty: the set is too large to list and the rule tells whether a code belongs to it; ``systems``
    then names its one system.
    """

    url: str
    codes: frozenset[str]
    concepts: frozenset[tuple[str, str]]
    systems: frozenset[str]
    rule: Callable[[str], bool] | None = None

    def has_code(self, code: str) -> bool:
        """Tell whether a bare code is a member, its system implied by the element."""
        return code in self.codes if self.rule is None else self.rule(code)

    def has_concept(self, system: str, code: str) -> bool:
        """Tell whether the code of a system is a member."""
        if self.rule is None:
            return (system, code) in self.concepts
        return system in self.systems and self.rule(code)


class CodeSets:
    """Code sets by the canonical URL of the value set; each is expanded when first asked for, and kept."""

    def __init__(self, definitions: Sources) -> None:
        self._expander = Expander(definitions)
        self._members = Members(definitions)
        self._known: dict[str, CodeSet | None] = {}

    def forget(self) -> None:
        """Drop what was made of definitions, because they changed."""
        self._known.clear()
        self._members.forget()

    def membership(self, value_set_url: str, system: str, code: str) -> bool | None:
        """Tell whether a code of a system ("": of any) is in a value set; None when that can't be known."""
        return self._members.has(value_set_url, system, code)

    def displays(self, system: str, code: str) -> tuple[str, ...] | None:
        """Return the texts that a code may be shown with, () if the system doesn't have it, None if unknown."""
        return self._members.displays(system, code)

    def codes(self, value_set_url: str) -> CodeSet | None:
        """Return the members of a value set; None if some aren't known."""
        url = value_set_url
        if url not in self._known:
            self._known[url] = self._expanded(url)
        return self._known[url]

    def related(self, system: str, code: str, *, below: bool) -> frozenset[str] | None:
        """Return the codes that a code subsumes (or, not ``below``, that subsume it), itself included.

        None when the code system isn't known here as a whole. https://hl7.org/fhir/R4/codesystem.html#hierarchy
        """
        known = self._expander.system(system)
        if known is None:
            return None
        if not known.is_case_sensitive:
            code = next((c for c in known.codes if c.casefold() == code.casefold()), code)
        return frozenset(known.descendants(code) if below else known.ancestors(code))

    def _expanded(self, url: str) -> CodeSet | None:
        rule_set = RULE_SETS.get(url.partition("|")[0])
        if rule_set is not None:
            return CodeSet(url, frozenset(), frozenset(), frozenset({rule_set.system}), rule_set.accepts)
        concepts = self._expander.value_set(url)
        if concepts is None:
            return None
        return CodeSet(
            url,
            frozenset(code for _, code in concepts),
            frozenset(concepts),
            frozenset(system for system, _ in concepts),
        )
