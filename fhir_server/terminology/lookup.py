"""$lookup: what a code system says about a code.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.terminology.code_system import CodeSystem
from fhir_server.terminology.concept import Concept, value_of
from fhir_server.terminology.expansion_rendering import PREFERRED
from fhir_server.terminology.languages import Languages, best

Parameter = dict[str, Any]


def lookup(
    system: CodeSystem, concept: Concept, languages: Languages, properties: tuple[str, ...] = ()
) -> list[Parameter]:
    """Return the parameters of the answer; ``properties`` may hold ``*`` for all.

    R4 names ``designation``, ``parent``, ``child``, ``definition``, ``inactive`` and ``lang.X`` besides the code
    system's own.
    """
    wanted = set(properties)
    everything = not wanted or "*" in wanted
    found: list[Parameter] = [
        {"name": "name", "valueString": system.header.get("name") or system.url},
        {"name": "system", "valueUri": system.url},
        {"name": "code", "valueCode": concept.code},
    ]
    if system.version:
        found.append({"name": "version", "valueString": system.version})
    display, _ = best(concept.display, system.language, concept.designations, languages)
    found.append({"name": "display", "valueString": display or concept.display or concept.code})
    found.append({"name": "abstract", "valueBoolean": system.is_abstract(concept)})
    if concept.definition and (everything or "definition" in wanted):
        found.append({"name": "definition", "valueString": concept.definition})
    if everything or "designation" in wanted or any(name.startswith("lang.") for name in wanted):
        found += _designations(system, concept, wanted)
    found += [
        {"name": "property", "part": parts} for parts in _properties(system, concept, wanted, everything)
    ]
    return found


def _designations(system: CodeSystem, concept: Concept, wanted: set[str]) -> Iterator[Parameter]:
    languages = {name.removeprefix("lang.") for name in wanted if name.startswith("lang.")}
    rows = list(concept.designations)
    if concept.display and system.language:
        rows.append({"language": system.language, "use": PREFERRED, "value": concept.display})
    for row in rows:
        if (
            languages
            and "*" not in wanted
            and "designation" not in wanted
            and row.get("language") not in languages
        ):
            continue
        parts: list[Parameter] = []
        if "language" in row:
            parts.append({"name": "language", "valueCode": row["language"]})
        if "use" in row:
            parts.append({"name": "use", "valueCoding": row["use"]})
        parts.append({"name": "value", "valueString": row["value"]})
        yield {"name": "designation", "part": parts}


def _properties(
    system: CodeSystem, concept: Concept, wanted: set[str], everything: bool
) -> Iterator[list[Parameter]]:
    for row in concept.properties:
        if (everything or row["code"] in wanted) and row["code"] not in {"parent", "child", "inactive"}:
            name, value = value_of(row)
            yield [{"name": "code", "valueCode": row["code"]}, {"name": "value", name: value}]
    if everything or "inactive" in wanted:
        yield [
            {"name": "code", "valueCode": "inactive"},
            {"name": "value", "valueBoolean": system.is_inactive(concept)},
        ]
    for name, codes in (("parent", system.parents), ("child", system.children)):
        if everything or name in wanted:
            for code in codes(concept.code):
                other = system.find(code)
                parts: list[Parameter] = [
                    {"name": "code", "valueCode": name},
                    {"name": "value", "valueCode": code},
                ]
                if other is not None and other.display:
                    parts.append({"name": "description", "valueString": other.display})
                yield parts
