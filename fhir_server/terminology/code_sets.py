"""CodeSets: what validation and search ask of terminology, answered from what is at hand.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.outcome import FhirError
from fhir_server.terminology.expansion import Expander, Wanted
from fhir_server.terminology.imported_system import ImportedSystem
from fhir_server.terminology.library import Library, Shelf, Sources
from fhir_server.terminology.membership import Asked, Membership
from fhir_server.terminology.questions import Codes, Needed
from fhir_server.terminology.rule_sets import RULE_SETS
from fhir_server.terminology.subsumption import subsumes

#: Answers that are remembered; the senders choose the codes.
_REMEMBERED = 50_000


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
    """Code sets by the canonical URL of the value set; each is expanded when first asked for, and kept.

    Nothing here waits: what a large code system, which is in the database, would have to be asked for is taken as not
    known, unless ``missing`` was answered before.
    """

    def __init__(self, definitions: Sources) -> None:
        #: What is at hand; operations make libraries of their own of it.
        self.shelf = Shelf(definitions)
        self._library = Library(self.shelf, lenient=True)
        #: Grows when there may be other answers now, and with each that could not be given.
        self.revision = 0
        self._known: dict[str, CodeSet | None] = {}
        self._answers: dict[tuple[str, str, str], bool | None] = {}
        self._displays: dict[tuple[str, str], tuple[str, ...] | None] = {}

    def forget(self) -> None:
        """Drop what was made of definitions, because they changed."""
        self.revision += 1
        self.shelf.forget()
        self._known.clear()
        self._answers.clear()
        self._displays.clear()

    def imported(self, systems: dict[str, dict[str, tuple[str, dict[str, Any]]]]) -> None:
        """Take these as the imported code systems: key and header by URL and version."""
        self.shelf.imported.systems = systems
        self.shelf.imported.concepts.rows.clear()
        self.forget()

    def missing(self, codings: Iterable[tuple[str, str]]) -> list[Codes]:
        """Return what has to be asked for these (system, code) pairs before validation can judge them."""
        wanted: dict[str, set[str]] = {}
        for url, code in codings:
            if url in self.shelf.imported.systems:
                system = self._library.system(url)
                if isinstance(system, ImportedSystem) and not system.knows(code):
                    wanted.setdefault(system.key, set()).update(system.folded((code,)))
        return [Codes(key, frozenset(codes)) for key, codes in wanted.items()]

    @property
    def has_imported(self) -> bool:
        """Whether any code system is in the database."""
        return bool(self.shelf.imported.systems)

    def membership(self, value_set_url: str, system: str, code: str) -> bool | None:
        """Tell whether a code of a system ("": of any) is in a value set; None when that can't be known."""
        key = (value_set_url, system, code)
        if key not in self._answers:
            try:
                verdict = self._membership(value_set_url, system, code)
            except Needed:
                self.revision += 1
                return None
            except FhirError:  # a filter that isn't understood
                verdict = None
            if len(self._answers) >= _REMEMBERED:
                self._answers.clear()
            self._answers[key] = verdict
        return self._answers[key]

    def _membership(self, url: str, system: str, code: str) -> bool | None:
        rule_set = RULE_SETS.get(url.partition("|")[0])
        if rule_set is not None:
            return system in {"", rule_set.system} and rule_set.accepts(code)
        value_set = self._library.value_set(url)
        if value_set is None:
            return None
        return Membership(self._library).in_value_set(value_set, Asked(system, code))

    def subsumes(self, system: str, parent: str, child: str) -> bool | None:
        """Tell whether a code is, or is above, another; None when that can't be known."""
        if parent == child:
            return True
        found = self._library.system(system)
        if found is None:
            return None
        try:
            outcome = subsumes(found, parent, child)
        except (Needed, FhirError):  # in the database, or no code of the system
            self.revision += 1
            return None
        if outcome == "not-subsumed" and not found.is_complete:
            return None
        return outcome in {"equivalent", "subsumes"}

    def displays(self, system: str, code: str) -> tuple[str, ...] | None:
        """Return the texts that a code may be shown with, () if the system doesn't have it, None if unknown."""
        key = (system, code)
        if key not in self._displays:
            try:
                found = self._texts(system, code)
            except Needed:
                self.revision += 1
                return None
            if len(self._displays) >= _REMEMBERED:
                self._displays.clear()
            self._displays[key] = found
        return self._displays[key]

    def _texts(self, url: str, code: str) -> tuple[str, ...] | None:
        system = self._library.system(url)
        if system is None or (not system.header.get("property") and url.startswith("urn:ietf:")):
            return None
        concept = system.find(code)
        if concept is None:
            return () if system.is_complete else None
        return tuple(concept.texts()) or None

    def codes(self, value_set_url: str) -> CodeSet | None:
        """Return the members of a value set; None if some aren't known, or there are too many to keep."""
        url = value_set_url
        if url not in self._known:
            self._known[url] = self._expanded(url)
        return self._known[url]

    def _expanded(self, url: str) -> CodeSet | None:
        rule_set = RULE_SETS.get(url.partition("|")[0])
        if rule_set is not None:
            return CodeSet(url, frozenset(), frozenset(), frozenset({rule_set.system}), rule_set.accepts)
        value_set = self._library.value_set(url)
        if value_set is None:
            return None
        try:
            found = members(self._library, value_set)
        except Needed:  # in the database: too large for a set
            return None
        if found is None:
            return None
        return CodeSet(
            url,
            frozenset(code for _, code in found),
            frozenset(found),
            frozenset(system for system, _ in found),
        )


def members(library: Library, value_set: dict[str, Any]) -> set[tuple[str, str]] | None:
    """Return all (system, code) pairs of a value set; None if some aren't known here.

    A code that is listed one by one counts even if its code system isn't here. Raises Needed.
    """
    try:
        return Expander(library, keep_unknown=True).pairs(value_set, Wanted())
    except FhirError:
        return None
