"""Writes a code system that was read from files into the database: in steps, and again from where it stopped.

Nobody sees it before it is whole; then every worker does, within a second. Its older copy goes away, other versions
stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.outcome import error
from fhir_server.store.code_systems import CodeSystems, ConceptRow
from fhir_server.terminology.code_system import CodeSystem, UnknownSystem
from fhir_server.terminology.concept import Concept, searchable, text_of
from fhir_server.terminology.importing import Source, SourceConcept
from fhir_server.terminology.importing.closing import Closing, concepts_of

#: Concepts of one write.
STEP = 1_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: ``skipped`` concepts were there from an import that had stopped."""

    canonical: str
    count: int
    skipped: int


async def import_source(
    code_systems: CodeSystems, source: Source, digest: str, now: int, progress: Callable[[int, int], None]
) -> Imported:
    """Return when a code system is stored and in effect; ``digest`` tells its files, for going on.

    ``progress`` is told how many concepts of how many are written. Raises FhirError for content that can't be
    imported, Unavailable when the database doesn't answer.
    """
    concepts, closing = concepts_of(source)
    if not concepts:
        raise error("invalid", "The files hold no concepts.")
    system = UnknownSystem(source.header)
    key, there = await code_systems.begin(system.canonical, digest)
    there -= there % STEP
    for start in range(there, len(concepts), STEP):
        step = concepts[start : start + STEP]
        await code_systems.write(key, [_row(system, one, start + i, closing) for i, one in enumerate(step)])
        progress(start + len(step), len(concepts))
    count = await code_systems.finish(system.canonical, key, source.header, now)
    return Imported(system.canonical, count, there)


def _row(system: CodeSystem, one: SourceConcept, number: int, closing: Closing) -> ConceptRow:
    concept = Concept(one.code, one.display, one.definition, one.designations, one.properties)
    return ConceptRow(
        one.code if system.is_case_sensitive else one.code.casefold(),
        concept.as_json(),
        number,
        closing.parents(one.code),
        tuple(sorted(closing.ancestors(one.code))),
        tuple(sorted(searchable(concept))),
        tuple((row["code"], text_of(row)) for row in one.properties),
        system.is_inactive(concept),
    )
