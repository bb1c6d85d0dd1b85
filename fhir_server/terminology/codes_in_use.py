"""Which of some codes are in a value set, or below a code: for sets too large to list, or told by a rule.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.terminology.imported_system import ImportedSystem
from fhir_server.terminology.library import Library
from fhir_server.terminology.membership import Asked, Membership, imported
from fhir_server.terminology.questions import Codes, Needed
from fhir_server.terminology.rule_sets import RULE_SETS

Pair = tuple[str, str]


def systems_of(library: Library, value_set: dict[str, Any]) -> frozenset[str] | None:
    """Return the code systems that a value set takes codes from, itself or by import; None if a part isn't here."""
    rule_set = RULE_SETS.get(value_set.get("url", ""))
    if rule_set is not None:
        return frozenset({rule_set.system})
    found: set[str] = set()
    seen: list[dict[str, Any]] = []
    waiting = [value_set]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.append(one)
        if "compose" not in one:
            return None  # an expansion that is whole was listed
        for clause in one["compose"].get("include", ()):
            if "system" in clause:
                found.add(clause["system"])
                continue  # what is imported beside it can only narrow it
            for url in clause.get("valueSet", ()):
                other = imported(library, one, url)
                if other is None:
                    return None
                waiting.append(other)
    systems = [library.system(url) for url in found]
    return frozenset(found) if all(one is not None and one.is_complete for one in systems) else None


def members_among(
    library: Library, value_set: dict[str, Any], candidates: Iterable[Pair]
) -> set[Pair] | None:
    """Return those of the (system, code) pairs that are in a value set; None if that can't be told of one.

    Raises Needed, once for each imported code system.
    """
    pairs = _spelled(library, candidates)
    rule_set = RULE_SETS.get(value_set.get("url", ""))
    if rule_set is not None:
        return {(url, code) for url, code in pairs if url == rule_set.system and rule_set.accepts(code)}
    membership = Membership(library)
    verdicts = {pair: membership.in_value_set(value_set, Asked(*pair)) for pair in pairs}
    return None if None in verdicts.values() else {pair for pair, verdict in verdicts.items() if verdict}


def subsumed_among(library: Library, url: str, code: str, candidates: Iterable[Pair]) -> set[str]:
    """Return those codes of a system that a code subsumes, itself included; raises Needed."""
    system = library.system(url)
    if system is None:
        return set()
    pairs = _spelled(library, {*candidates, (url, code)})
    concept = system.find(code)
    top = code if concept is None else concept.code
    known = (system.find(candidate) for _, candidate in pairs)
    return {top, *(one.code for one in known if one is not None and top in system.ancestors(one.code))}


def _spelled(library: Library, candidates: Iterable[Pair]) -> set[Pair]:
    """Return the pairs as their code systems may spell them; asks for all concepts of an imported system at once.

    The search folds the codes of imported systems, of which it can't know whether case matters: what was folded is
    looked for in capitals, as such systems write their codes, and as it stands.
    """
    found: set[Pair] = set()
    codes: dict[str, set[str]] = {}
    for url, code in candidates:
        codes.setdefault(url, set()).add(code)
    for url, written in codes.items():
        system = library.system(url)
        if isinstance(system, ImportedSystem):
            if system.is_case_sensitive:
                written |= {code.upper() for code in written}
            missing = system.folded(code for code in written if not system.knows(code))
            if missing:
                raise Needed(Codes(system.key, missing))
        found.update((url, code) for code in written)
    return found
