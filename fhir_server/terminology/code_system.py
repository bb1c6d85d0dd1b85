"""Code systems: what the engine asks of any, and those whose concepts a CodeSystem resource lists.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from fhir_server.terminology.concept import Concept, value_of
from fhir_server.terminology.filters import Filter, test
from fhir_server.terminology.questions import Selection

_CONCEPT_PROPERTIES = "http://hl7.org/fhir/concept-properties#"
#: Values of ``status`` that mean that a concept is no longer used.
_INACTIVE = frozenset({"retired", "inactive"})
#: How much of a code system must be here for its silence to mean something.
COMPLETE = "complete"


class CodeSystem(ABC):
    """One version of a code system. Sub-classes say where its concepts are.

    ``header`` is the CodeSystem resource without its concepts; ``supplements`` are those that add to it.
    """

    #: Whether its concepts are few enough to be listed without asking.
    is_listed = True

    def __init__(self, header: dict[str, Any], supplements: Sequence[dict[str, Any]] = ()) -> None:
        self.header = header
        self.supplements = tuple(supplements)
        self.url: str = header.get("url", "")
        self.version: str = str(header.get("version", ""))
        self.content: str = header.get("content", "")
        self.is_case_sensitive = header.get("caseSensitive") is True
        self.language: str = header.get("language", "")

    @property
    def canonical(self) -> str:
        """``url|version``, or the url alone."""
        return f"{self.url}|{self.version}" if self.version else self.url

    @property
    def is_complete(self) -> bool:
        """Whether a code that is not here is no code of the system."""
        return self.content == COMPLETE

    @abstractmethod
    def find(self, code: str) -> Concept | None:
        """Return the concept of a code, as the system compares codes."""

    @abstractmethod
    def parents(self, code: str) -> Iterable[str]:
        """Return the codes right above a code."""

    @abstractmethod
    def children(self, code: str) -> Iterable[str]:
        """Return the codes right below a code."""

    def ancestors(self, code: str) -> set[str]:
        """Return the code itself and all above it."""
        return _reached(code, self.parents)

    def descendants(self, code: str) -> set[str]:
        """Return the code itself and all below it."""
        return _reached(code, self.children)

    @abstractmethod
    def select(self, wanted: Selection) -> tuple[int | None, list[Concept]]:
        """Return how many concepts match (None: not known) and the wanted stretch of them, in order."""

    @cached_property
    def _codes_of_properties(self) -> dict[str, str]:
        """The local codes of the properties that FHIR defines, by their names."""
        found = {}
        for row in self.header.get("property", ()):
            uri = row.get("uri", "")
            if uri.startswith(_CONCEPT_PROPERTIES):
                found[uri.removeprefix(_CONCEPT_PROPERTIES)] = row["code"]
        return found

    def property_code(self, name: str) -> str:
        """Return what this system calls a property of FHIR (``notSelectable``, ``inactive``, ``status``)."""
        return self._codes_of_properties.get(name, name)

    def is_abstract(self, concept: Concept) -> bool:
        """Tell whether a concept only groups others and can't be chosen."""
        return "true" in concept.values(self.property_code("notSelectable"))

    def status(self, concept: Concept) -> str:
        """Return the status of a concept: its property, else what is said by ``inactive`` and ``deprecated``."""
        for value in concept.values(self.property_code("status")):
            return value
        for row in concept.extensions:
            if row.get("url", "").endswith("/structuredefinition-standards-status"):
                return str(value_of(row)[1])
        return "deprecated" if any(concept.values(self.property_code("deprecated"))) else ""

    def is_inactive(self, concept: Concept) -> bool:
        """Tell whether a concept is no longer used."""
        return "true" in concept.values(self.property_code("inactive")) or self.status(concept) in _INACTIVE


class UnknownSystem(CodeSystem):
    """A code system none of whose concepts are here: a value set lists codes of it, or an import brings them."""

    def find(self, code: str) -> Concept | None:  # noqa: ARG002 - nothing is known
        """Return nothing."""
        return None

    def parents(self, code: str) -> Iterable[str]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def children(self, code: str) -> Iterable[str]:  # noqa: ARG002
        """Return nothing."""
        return ()

    def select(self, wanted: Selection) -> tuple[int | None, list[Concept]]:  # noqa: ARG002
        """Return nothing, and that it isn't known how many there are."""
        return None, []


class ListedSystem(CodeSystem):
    """A code system whose concepts are in the resource; read once."""

    def __init__(self, resource: dict[str, Any], supplements: Sequence[dict[str, Any]] = ()) -> None:
        header = {name: value for name, value in resource.items() if name != "concept"}
        super().__init__(header, supplements)
        self._concepts: dict[str, Concept] = {}
        self._parents: dict[str, list[str]] = {}
        self._children: dict[str, list[str]] = {}
        self._add(resource.get("concept", ()), None)
        for supplement in supplements:
            self._supplement(supplement.get("concept", ()))
        self._folded = (
            {} if self.is_case_sensitive else {code.casefold(): code for code in reversed(self._concepts)}
        )

    def _add(self, concepts: Iterable[dict[str, Any]], above: str | None) -> None:
        for row in concepts:
            concept = Concept.of(row)
            self._concepts.setdefault(concept.code, concept)
            if above is not None:
                self._link(above, concept.code)
            for part in concept.properties:
                value = value_of(part)[1]
                if part["code"] in {"parent", "subsumedBy"} and isinstance(value, str):
                    self._link(value, concept.code)
                elif part["code"] == "child" and isinstance(value, str):
                    self._link(concept.code, value)
            self._add(row.get("concept", ()), concept.code)

    def _link(self, parent: str, child: str) -> None:
        parents = self._parents.setdefault(child, [])
        if parent not in parents:
            parents.append(parent)
            self._children.setdefault(parent, []).append(child)

    def _supplement(self, concepts: Iterable[dict[str, Any]]) -> None:
        for row in concepts:
            known = self._concepts.get(row["code"])
            if known is not None:
                more = Concept.of(row)
                self._concepts[known.code] = replace(
                    known,
                    designations=known.designations + more.designations,
                    properties=known.properties + more.properties,
                    extensions=known.extensions + more.extensions,
                )
            self._supplement(row.get("concept", ()))

    def find(self, code: str) -> Concept | None:
        """Return the concept of a code, as the system compares codes."""
        found = self._concepts.get(code)
        if found is None and self._folded:
            found = self._concepts.get(self._folded.get(code.casefold(), ""))
        return found

    def __iter__(self) -> Iterator[Concept]:
        """Return all concepts in the order of the resource, parents before their children."""
        return iter(self._concepts.values())

    def __len__(self) -> int:
        """Return how many concepts there are."""
        return len(self._concepts)

    def parents(self, code: str) -> Iterable[str]:
        """Return the codes right above a code."""
        return self._parents.get(code, ())

    def children(self, code: str) -> Iterable[str]:
        """Return the codes right below a code."""
        return self._children.get(code, ())

    def select(self, wanted: Selection) -> tuple[int | None, list[Concept]]:
        """Return how many concepts match and the wanted stretch of them, in order."""
        tests = [test(one, self) for one in wanted.filters]
        found = [
            concept
            for concept in self
            if all(is_met(concept) for is_met in tests)
            and not (wanted.active_only and self.is_inactive(concept))
            and wanted.has_words_of(concept)
        ]
        return len(found), found[wanted.offset : wanted.end]


def _reached(code: str, step: Any) -> set[str]:
    found: set[str] = set()
    waiting = [code]
    while waiting:
        next_ = waiting.pop()
        if next_ not in found:
            found.add(next_)
            waiting += step(next_)
    return found


__all__ = ["COMPLETE", "CodeSystem", "Filter", "ListedSystem", "UnknownSystem"]
