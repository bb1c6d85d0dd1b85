"""Runs pure terminology work, and answers what it asks of the code systems in the database.

The work is a function of a library. When it needs concepts that are not at hand it stops with ``Needed``; the answer is
fetched and the work begins again: once per question, and never for what the worker remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from fhir_server.interactions.exchange import Server
from fhir_server.outcome import error
from fhir_server.store.documents import TimeLimit
from fhir_server.terminology import Library, Needed, VersionRules
from fhir_server.terminology.questions import Question, Selected

T = TypeVar("T")

#: Most questions that one request may need answers to.
_MOST_ROUNDS = 200


async def with_answers(
    server: Server,
    work: Callable[[Library], T],
    *,
    resources: Iterable[dict[str, Any]] = (),
    rules: VersionRules | None = None,
    supplements: Iterable[str] = (),
    lenient: bool = False,
) -> T:
    """Return what the work returns; raises what it raises, and FhirError 422 when it asks too much.

    ``resources`` are those that came with the request.
    """
    shelf = server.code_sets.shelf
    shelf.check()
    answers: dict[Question, Any] = {}
    library = Library(
        shelf, tuple(resources), answers, rules or VersionRules(), tuple(supplements), lenient=lenient
    )
    for _ in range(_MOST_ROUNDS):
        try:
            return work(library)
        except Needed as needed:
            await _answer(server, needed.question, answers)
    raise error("too-costly", "This asks for too many parts of large code systems at once.")


async def _answer(server: Server, question: Question, answers: dict[Question, Any]) -> None:
    code_systems = server.store.code_systems
    if isinstance(question, Selected):
        try:
            answers[question] = await code_systems.select(question.system, question.selection)
        except TimeLimit:
            raise error("too-costly", "The code system took too long to search: narrow the filter.") from None
    else:
        found = await code_systems.concepts(question.system, question.codes)
        server.code_sets.shelf.imported.concepts.learn(question, found)


async def prefetch(server: Server, body: bytes) -> None:
    """Fetch the concepts of a body's codings from large code systems, so that validation has them at hand.

    A body that can't be read is left to those who say why.
    """
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    await prefetch_codings(server, content)


async def prefetch_codings(server: Server, content: Any) -> None:
    """Fetch the concepts of the codings in decoded content, as ``prefetch`` does."""
    for question in server.code_sets.missing(_codings(content)):
        await _answer(server, question, {})


def _codings(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (system, code) of all Codings and Quantities inside a value."""
    waiting = [value]
    while waiting:
        next_ = waiting.pop()
        if isinstance(next_, dict):
            system, code = next_.get("system"), next_.get("code")
            if isinstance(system, str) and isinstance(code, str):
                yield system, code
            waiting += next_.values()
        elif isinstance(next_, list):
            waiting += next_
