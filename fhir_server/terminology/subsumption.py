"""$subsumes, and the pairs of a closure table.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html, https://hl7.org/fhir/R4/conceptmap-operation-closure.html
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.messages import say
from fhir_server.outcome import error
from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.library import Library


def subsumes(system: CodeSystem, code_a: str, code_b: str) -> str:
    """Return equivalent, subsumes (A is above B), subsumed-by or not-subsumed; FhirError for unknown codes."""
    a, b = (_canonical(system, code) for code in (code_a, code_b))
    if a == b:
        return "equivalent"
    if a in system.ancestors(b):
        return "subsumes"
    return "subsumed-by" if b in system.ancestors(a) else "not-subsumed"


def _canonical(system: CodeSystem, code: str) -> str:
    found = system.find(code)
    if found is None:
        text = say("The code system {url} has no code '{code}'.", url=system.url, code=code)
        raise error("not-found", text, status=404)
    return found.code


Concept = tuple[str, str]


def closure(
    library: Library, known: Iterable[Concept], added: Iterable[Concept]
) -> list[tuple[Concept, Concept]]:
    """Return the (below, above) pairs that concepts (system, code) bring to those that are known.

    Raises FhirError 422 for a system or code that isn't here, and Needed.
    """
    everything = list(dict.fromkeys((*known, *added)))
    new = set(added)
    above: dict[Concept, set[str]] = {}
    for system_url, code in everything:
        system = library.system(system_url)
        if system is None or system.find(code) is None:
            text = say("The code '{code}' of {url} isn't known here.", code=code, url=system_url)
            raise error("not-found", text, status=422)
        above[system_url, code] = system.ancestors(code)
    return [
        (below, other)
        for below in everything
        for other in everything
        if below != other
        and below[0] == other[0]
        and (below in new or other in new)
        and other[1] in above[below]
    ]
