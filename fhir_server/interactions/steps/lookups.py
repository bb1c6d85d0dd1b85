"""Answers what a query asks before it can be planned: terminology, hierarchies, lists.

Each kind of question has one row in ``ANSWERS``; all questions of a round are answered at the same time.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import error
from fhir_server.search import SearchQuery
from fhir_server.search.lookups import Question, closed, questions

#: Most rounds: a link of a chain is one.
_MOST_ROUNDS = 10

Answer = Callable[[Server, FhirRequest, Any], Awaitable[Any]]


async def answered(server: Server, request: FhirRequest, query: SearchQuery) -> SearchQuery:
    """Return the query without open questions; most have none and come back as they are.

    Raises FhirError when a question has no answer here (an unknown value set), or one that is too large.
    """
    for _ in range(_MOST_ROUNDS):
        asked = questions(query.expression)
        if not asked:
            return query
        answers = await asyncio.gather(*(ANSWERS[type(one)](server, request, one) for one in asked))
        known = dict(zip(asked, answers, strict=True))
        query = replace(query, expression=closed(query.expression, known))
    raise error("too-costly", f"The search nests more than {_MOST_ROUNDS} levels of look-ups.", status=400)


ANSWERS: Mapping[type[Question], Answer] = {}
