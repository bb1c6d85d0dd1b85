"""Answers what a query asks before it can be planned: terminology, hierarchies, lists, types of ids.

Each kind of question has one row in ``ANSWERS``; all questions of a round are answered at the same time.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.steps.code_lookups import codes_of_value_set, related_codes
from fhir_server.interactions.steps.id_lookups import listed, related, types_of_id
from fhir_server.interactions.steps.linking import Effort, linked
from fhir_server.interactions.steps.permit import check_links
from fhir_server.outcome import error
from fhir_server.search import SearchQuery
from fhir_server.search.linked import Linked, narrowed
from fhir_server.search.lookups import (
    ListedResources,
    Question,
    RelatedCodes,
    RelatedResources,
    TypesOfId,
    ValueSetCodes,
    closed,
    questions,
)
from fhir_server.search.result_parameters import ResultParameters

#: Most rounds: a link of a chain is one.
_MOST_ROUNDS = 10

Answer = Callable[[Server, FhirRequest, Any], Awaitable[Any]]


async def answered(
    server: Server, request: FhirRequest, query: SearchQuery, effort: Effort = Effort.ALL
) -> SearchQuery:
    """Return the query without open questions; most have none and come back as they are.

    Raises FhirError when a question has no answer here (an unknown value set), or one that is too large (Unselective
    for a chain or ``_has``; with less ``effort`` sooner).
    """
    for _ in range(_MOST_ROUNDS):
        if not questions(query.expression):
            return query
        query = replace(query, expression=narrowed(query.expression))
        asked = questions(query.expression)
        check_links(request, asked)
        answers = await asyncio.gather(*(_answer(server, request, one, effort) for one in asked))
        known = dict(zip(asked, answers, strict=True))
        query = replace(query, expression=closed(query.expression, known))
    raise error("too-costly", f"The search nests more than {_MOST_ROUNDS} levels of look-ups.", status=400)


async def _answer(server: Server, request: FhirRequest, question: Any, effort: Effort) -> Any:
    if isinstance(question, Linked):  # an inner search, which may ask questions of its own
        inner = SearchQuery(question.type, question.expression, ResultParameters(), (), ())
        found = await answered(server, request, inner, effort)
        closed_one = replace(question, expression=found.expression)
        return await linked(server, request, closed_one, effort)
    return await ANSWERS[type(question)](server, request, question)


ANSWERS: Mapping[type[Question], Answer] = {
    ListedResources: listed,
    RelatedCodes: related_codes,
    RelatedResources: related,
    TypesOfId: types_of_id,
    ValueSetCodes: codes_of_value_set,
}
