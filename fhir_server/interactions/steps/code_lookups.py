"""Codes that a search asks for: members of value sets, and codes above and below others.

Small sets are listed. Of those too large to list, and those that a rule tells, it is asked which codes in use are in
them: resources hold few distinct codes. https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.outcome import FhirError, error
from fhir_server.search.lookups import RelatedCodes, ValueSetCodes
from fhir_server.search.parameters.token import hash_of
from fhir_server.store.documents import TimeLimit
from fhir_server.terminology import Library
from fhir_server.terminology.code_sets import members
from fhir_server.terminology.codes_in_use import members_among, subsumed_among, systems_of

#: Most codes that are listed in a search, and most distinct codes in use that are looked at.
_MOST_CODES = 10_000
_MOST_IN_USE = 100_000

Pair = tuple[str, str]


async def codes_of_value_set(
    server: Server, request: FhirRequest, question: ValueSetCodes
) -> tuple[Pair, ...]:
    """Return the (system, code) pairs of a value set, by URL or as ValueSet/id; FhirError 400 when unknown."""
    name = question.url.removeprefix(request.base + "/")
    own = await _read(server, request, name) if name.startswith("ValueSet/") else None

    def known(library: Library) -> dict[str, Any]:
        value_set = own or library.value_set(name)
        if value_set is None:
            raise _unknown(question.parameter, f"the value set '{question.url}' is not known here")
        return value_set

    listed = await _listed(server, lambda library: members(library, known(library)))
    if listed is not None:
        return tuple(sorted(listed))
    systems = await with_answers(server, lambda library: systems_of(library, known(library)), lenient=True)
    found = None
    if systems is not None:
        used = await _in_use(server, question, systems)
        found = await with_answers(
            server, lambda library: members_among(library, known(library), used), lenient=True
        )
    if found is None:
        raise _unknown(question.parameter, f"not all codes of the value set '{question.url}' are known here")
    return tuple(sorted(found))


async def _read(server: Server, request: FhirRequest, reference: str) -> dict[str, Any] | None:
    row = await server.store.read("ValueSet", reference.removeprefix("ValueSet/"), request.access)
    return None if row is None or row.is_deleted else decode(row.body)


async def _listed(server: Server, work: Callable[[Library], set[Pair] | None]) -> set[Pair] | None:
    """Return the members of a set that is small enough to be listed, else None."""
    try:
        found = await with_answers(server, work, lenient=True)
    except FhirError as problem:
        if problem.issues[0].code == "too-costly":
            return None
        raise
    return None if found is None or len(found) > _MOST_CODES else found


async def _in_use(
    server: Server, question: ValueSetCodes | RelatedCodes, systems: Iterable[str]
) -> set[Pair]:
    """Return the codes of these systems that resources hold where the search looks, and those without system."""
    try:
        entries = await server.store.values_in_use(question.type, question.field)
    except TimeLimit:
        entries = None
    if entries is None or len(entries) > _MOST_IN_USE:
        raise error(
            "too-costly",
            f"Parameter '{question.parameter}': too many codes to list, and {question.type} resources hold too many "
            "different ones to ask for each; name a smaller value set, or the codes themselves.",
            status=400,
        )
    by_hash = {hash_of(system): (system,) for system in systems}
    pairs: set[Pair] = set()
    for entry in entries:
        code, _, system_hash = entry.rpartition("|")
        # An element that is bound to no one system has entries without: the code of any of them.
        pairs.update((system, code) for system in by_hash.get(system_hash, () if system_hash else systems))
    return pairs


async def related_codes(server: Server, request: FhirRequest, question: RelatedCodes) -> tuple[str, ...]:  # noqa: ARG001
    """Return the codes above or below a code, itself included; FhirError 400 for an unknown code system."""

    def listed(library: Library) -> set[str] | None:
        system = library.system(question.system)
        if system is None or not system.is_complete:
            raise _unknown(
                question.parameter,
                f"the hierarchy of the code system '{question.system}' is not known here as a whole",
            )
        concept = system.find(question.code)
        code = question.code if concept is None else concept.code
        if question.direction == "above":
            return system.ancestors(code)
        return system.descendants(code) if system.is_listed else None

    found = await with_answers(server, listed, lenient=True)
    if found is None or len(found) > _MOST_CODES:
        used = await _in_use(server, question, (question.system,))
        found = await with_answers(
            server,
            lambda library: subsumed_among(library, question.system, question.code, used),
            lenient=True,
        )
    return tuple(sorted(found))


def _unknown(parameter: str, reason: str) -> FhirError:
    return error(
        "not-supported",
        f"Parameter '{parameter}': {reason}; store it on this server, or name the codes themselves.",
        status=400,
    )
