"""Search criteria that pick the resource of a conditional interaction.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #3.1.0.7.1 (conditional delete), #trules (references).
Criteria are always read strictly: an unknown parameter that was ignored would pick another resource.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.datatypes.json_format import encode
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.lookups import answered
from fhir_server.outcome import FhirError, error
from fhir_server.search import SearchQuery, count_plan, decode_pairs, parse
from fhir_server.search.include import NAMES as INCLUDES
from fhir_server.search.result_parameters import NAMES
from fhir_server.store.documents import Stored
from fhir_server.store.searching import REPLACEABLE

#: Parameters of an address that shape the answer and pick nothing.
SHAPING = frozenset({"_format", "_pretty"})
#: How often a create with a claim looks again for the resource that holds it before it goes on without one: the
#: holder does not match the criteria then, or this caller may not see it.
CLAIMED_TRIES = 3
#: Matches are counted no further than this for the text of a 412.
_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a conditional interaction looks for.

    ``claim`` is a hash of type and criteria, the same for the same pairs in any order: the key on which the database
    decides races.
    """

    query: SearchQuery
    claim: str

    @property
    def type(self) -> str:
        """The resource type that is searched."""
        return self.query.type


def read_criteria(server: Server, type_: str, text: str, base: str, name: str) -> Criteria:
    """Return the criteria in a query string; ``name`` tells the sender where they stand.

    Raises FhirError 400 for unknown parameters, parameters that only shape an answer, and criteria that pick nothing
    in particular, 412 when there are none.
    """
    pairs = [pair for pair in decode_pairs(text) if pair[0] not in SHAPING and pair[1]]
    if not pairs:
        raise error(
            "required",
            f"{name} holds no search criteria with a value; without them it would mean every {type_}.",
            status=412,
        )
    for shaping, _ in pairs:
        if shaping.partition(":")[0] in NAMES or shaping.partition(":")[0] in INCLUDES:
            raise error("not-supported", f"{name} can't hold {shaping}: it picks no resource.")
    query = parse(pairs, type_, server.registry, base=base, now=server.clock())
    identity = encode([type_, sorted(pairs)])
    return Criteria(query, hashlib.sha256(identity).hexdigest()[:40])


def if_none_exist(server: Server, request: FhirRequest, type_: str) -> Criteria | None:
    """Return the criteria of ``If-None-Exist``, None when the header is not there."""
    text = request.headers.get("if-none-exist")
    if text is None:
        return None
    text = text.strip().removeprefix(f"{type_}?").removeprefix("?")
    return read_criteria(server, type_, text, request.base, "If-None-Exist")


async def settled(server: Server, request: FhirRequest, criteria: Criteria) -> Criteria:
    """Return the criteria with their open questions answered: links of chains, codes of value sets."""
    return replace(criteria, query=await answered(server, request, criteria.query))


async def matches(
    server: Server, request: FhirRequest, criteria: Criteria, most: int = 2
) -> tuple[Stored, ...]:
    """Return the resources that match and that the caller may see, at most ``most``."""
    criteria = await settled(server, request, criteria)
    plan = replace(count_plan(criteria.query, server.registry), limit=most, projection=tuple(REPLACEABLE))
    return (await server.store.search(plan, request.access)).rows


async def the_one_match(server: Server, request: FhirRequest, criteria: Criteria) -> Stored | None:
    """Return the match, None when there is none; raise FhirError 412 when there are several."""
    found = await matches(server, request, criteria)
    if len(found) > 1:
        raise await too_many(server, request, criteria, found)
    return found[0] if found else None


async def too_many(
    server: Server, request: FhirRequest, criteria: Criteria, found: Sequence[Stored]
) -> FhirError:
    """Return the 412 of criteria that are not selective enough, with the number of matches."""
    criteria = await settled(server, request, criteria)
    number = max(
        len(found),
        await server.store.count(count_plan(criteria.query, server.registry), request.access, _COUNTED),
    )
    counted = f"{number} or more" if number == _COUNTED else str(number)
    return error(
        "multiple-matches",
        f"{counted} resources of type {criteria.type} match the criteria; they must pick one. Nothing was changed.",
    )
