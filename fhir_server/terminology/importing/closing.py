"""The hierarchy of a source, closed: all codes above each code."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.outcome import error
from fhir_server.terminology.importing.source import Source, SourceConcept


class Closing:
    """Knows the ancestors of every code, once the parents of all are known."""

    def __init__(self, parents: Mapping[str, tuple[str, ...]]) -> None:
        self._parents = parents
        self._known: dict[str, frozenset[str]] = {}

    def parents(self, code: str) -> tuple[str, ...]:
        """Return the codes right above a code."""
        return self._parents.get(code, ())

    def ancestors(self, code: str) -> frozenset[str]:
        """Return all codes above a code; FhirError 400 for one that is above itself."""
        waiting: list[tuple[str, bool]] = [(code, False)]
        path: set[str] = set()
        while waiting:
            one, is_done = waiting.pop()
            if is_done:
                path.discard(one)
                parents = self._parents.get(one, ())
                self._known[one] = frozenset(parents).union(*(self._known[p] for p in parents))
            elif one not in self._known:
                if one in path:
                    raise error("invalid", f"The code {one} is above itself.")
                path.add(one)
                waiting.append((one, True))
                waiting += [(p, False) for p in self._parents.get(one, ()) if p not in self._known]
                if any(p in path for p in self._parents.get(one, ())):
                    raise error("invalid", f"The code {one} is above itself.")
        return self._known[code]


def concepts_of(source: Source) -> tuple[list[SourceConcept], Closing]:
    """Return the concepts of a source and what closes its hierarchy; FhirError 400 when a code stands twice."""
    concepts = list(source.concepts)
    codes = {concept.code for concept in concepts}
    if len(codes) < len(concepts):
        raise error("invalid", "A code stands twice in the files.")
    parents = dict(source.parents)
    for concept in concepts:
        if concept.parents:
            parents[concept.code] = tuple(dict.fromkeys((*parents.get(concept.code, ()), *concept.parents)))
    known = {
        code: tuple(one for one in above if one in codes) for code, above in parents.items() if code in codes
    }
    return concepts, Closing(known)
