"""A CodeSystem resource as JSON, however large.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.outcome import error
from fhir_server.terminology.concept import Concept, value_of
from fhir_server.terminology.importing.source import Files, Source, SourceConcept, need


def is_resource(files: Files) -> bool:
    """Tell whether there is a JSON file."""
    return len(files.ending(".json")) == 1


def read(files: Files, url: str, version: str) -> Source:
    """Return the CodeSystem of the first JSON file; ``url`` and ``version`` replace its own when given."""
    names = files.ending(".json")
    need(bool(names), "There is no JSON file.")
    with files.open(names[0]) as text:
        try:
            found = json.load(text)
        except ValueError:
            raise error("invalid", f"{names[0]} isn't JSON.") from None
    need(
        isinstance(found, dict) and found.get("resourceType") == "CodeSystem",
        f"{names[0]} holds no CodeSystem.",
    )
    made = {name: value for name, value in found.items() if name not in {"concept", "text", "id", "meta"}}
    made |= {"url": url or made.get("url", ""), **({"version": version} if version else {})}
    need(bool(made["url"]), "The CodeSystem has no url: give --url.")
    need(made.get("content") == "complete", "Only a CodeSystem whose content is complete can be imported.")
    return Source(made, _concepts(found.get("concept", ()), ()))


def _concepts(found: Iterable[dict[str, Any]], above: tuple[str, ...]) -> Iterator[SourceConcept]:
    for row in found:
        concept = Concept.of(row)
        parents = [
            str(value_of(part)[1]) for part in concept.properties if part["code"] in {"parent", "subsumedBy"}
        ]
        yield SourceConcept(
            concept.code,
            concept.display,
            concept.definition,
            concept.designations,
            concept.properties,
            tuple(dict.fromkeys((*above, *parents))),
        )
        yield from _concepts(row.get("concept", ()), (concept.code,))
