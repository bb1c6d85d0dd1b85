"""Codes that a search asks for: members of value sets, and codes above and below others.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.terminology import with_answers
from fhir_server.outcome import FhirError, error
from fhir_server.search.lookups import RelatedCodes, ValueSetCodes
from fhir_server.terminology import Library
from fhir_server.terminology.code_sets import members

#: Most codes that one search may look for.
_MOST_CODES = 10_000


async def codes_of_value_set(
    server: Server, request: FhirRequest, question: ValueSetCodes
) -> tuple[tuple[str, str], ...]:
    """Return the (system, code) pairs of a value set, by URL or as ValueSet/id; FhirError 400 when unknown."""
    name = question.url.removeprefix(request.base + "/")
    own = await _read(server, request, name) if name.startswith("ValueSet/") else None

    def work(library: Library) -> set[tuple[str, str]] | None:
        value_set = own or library.value_set(name)
        if value_set is None:
            raise _unknown(question.parameter, f"the value set '{question.url}' is not known here")
        return members(library, value_set)

    found = await with_answers(server, work, lenient=True)
    if found is None:
        raise _unknown(question.parameter, f"not all codes of the value set '{question.url}' are known here")
    return tuple(_bounded(found, question.parameter))


async def _read(server: Server, request: FhirRequest, reference: str) -> dict[str, Any] | None:
    row = await server.store.read("ValueSet", reference.removeprefix("ValueSet/"), request.access)
    return None if row is None or row.is_deleted else decode(row.body)


async def related_codes(server: Server, request: FhirRequest, question: RelatedCodes) -> tuple[str, ...]:  # noqa: ARG001
    """Return the codes above or below a code, itself included; FhirError 400 for an unknown code system."""

    def work(library: Library) -> set[str] | None:
        system = library.system(question.system)
        if system is None or not system.is_complete:
            return None
        concept = system.find(question.code)
        code = question.code if concept is None else concept.code
        return system.descendants(code) if question.direction == "below" else system.ancestors(code)

    found = await with_answers(server, work, lenient=True)
    if found is None:
        raise _unknown(
            question.parameter,
            f"the hierarchy of the code system '{question.system}' is not known here as a whole",
        )
    return tuple(_bounded(found, question.parameter))


def _bounded(codes: Iterable[Any], parameter: str) -> list[Any]:
    found = sorted(codes)
    if len(found) > _MOST_CODES:
        raise error(
            "too-costly",
            f"Parameter '{parameter}' means {len(found)} codes; at most {_MOST_CODES} can be searched at once.",
            status=400,
        )
    return found


def _unknown(parameter: str, reason: str) -> FhirError:
    return error(
        "not-supported",
        f"Parameter '{parameter}': {reason}; store it on this server, or name the codes themselves.",
        status=400,
    )
