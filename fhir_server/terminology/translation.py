"""$translate: what a concept map says about a code, in either direction.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.terminology.library import Library

#: Equivalences that don't make a translation.
_NONE = frozenset({"unmatched", "disjoint"})
#: The equivalence as it is seen from the target.
_INVERSE = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
#: How often a map may refer to another one.
_MOST_MAPS = 5


@dataclass(frozen=True, slots=True)
class Translated:
    """What is to be translated; "" where the request says nothing. ``dependencies`` by element."""

    codings: tuple[tuple[str, str], ...]
    target_system: str = ""
    source: str = ""
    target: str = ""
    reverse: bool = False
    dependencies: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def maps_for(library: Library, wanted: Translated) -> Iterator[dict[str, Any]]:
    """Yield the maps of the library that are between the value sets and systems of a request."""
    source, target = (wanted.target, wanted.source) if wanted.reverse else (wanted.source, wanted.target)
    for found in library.concept_maps():
        if found.get("status") == "retired":
            continue
        if source and source != _uri(found, "source"):
            continue
        if target and target != _uri(found, "target"):
            continue
        yield found


def _uri(map_: dict[str, Any], name: str) -> str:
    return str(map_.get(f"{name}Uri") or map_.get(f"{name}Canonical") or "").partition("|")[0]


def translate(library: Library, maps: Iterable[dict[str, Any]], wanted: Translated) -> list[dict[str, Any]]:
    """Return the ``match`` parameters, each once."""
    found: list[dict[str, Any]] = []
    for map_ in maps:
        for system, code in wanted.codings:
            for match in _of_map(library, map_, system, code, wanted):
                if match not in found:
                    found.append(match)
    return found


def is_translation(match: dict[str, Any]) -> bool:
    """Tell whether a match translates: its equivalence isn't unmatched or disjoint."""
    return not any(part.get("valueCode") in _NONE for part in match["part"] if part["name"] == "equivalence")


def _of_map(
    library: Library, map_: dict[str, Any], system: str, code: str, wanted: Translated, *, depth: int = 0
) -> Iterator[dict[str, Any]]:
    for group in map_.get("group", ()):
        source, target = group.get("source", ""), group.get("target", "")
        if wanted.reverse:
            source, target = target, source
        if (system and source and system != source) or (
            wanted.target_system and target and wanted.target_system != target
        ):
            continue
        rows = _reversed(group, code) if wanted.reverse else _forward(group, code)
        matched = False
        for other, row in rows:
            matched = True
            if _depends(row, wanted):
                yield _match(map_, target, other, row)
        if not matched and not wanted.reverse:
            yield from _unmapped(library, map_, group, code, wanted, depth=depth)


def _forward(group: dict[str, Any], code: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for element in group.get("element", ()):
        if element.get("code") == code:
            for row in element.get("target", ()):
                yield row.get("code", ""), row


def _reversed(group: dict[str, Any], code: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for element in group.get("element", ()):
        for row in element.get("target", ()):
            if row.get("code") == code:
                equivalence = row.get("equivalence", "equivalent")
                shown = {"display": element.get("display", "")} if element.get("display") else {}
                yield (
                    element.get("code", ""),
                    {**shown, "equivalence": _INVERSE.get(equivalence, equivalence)},
                )


def _depends(row: dict[str, Any], wanted: Translated) -> bool:
    """Tell whether what a mapping depends on is given."""
    for condition in row.get("dependsOn", ()):
        given = wanted.dependencies.get(condition.get("property", ""))
        if given is None or given[1] != condition.get("value"):
            return False
        if condition.get("system") and given[0] and given[0] != condition["system"]:
            return False
    return True


def _unmapped(
    library: Library,
    map_: dict[str, Any],
    group: dict[str, Any],
    code: str,
    wanted: Translated,
    *,
    depth: int = 0,
) -> Iterator[dict[str, Any]]:
    rule = group.get("unmapped", {})
    mode = rule.get("mode")
    target = group.get("target", "")
    if mode == "provided":
        yield _match(map_, target, code, {"equivalence": "equivalent"})
    elif mode == "fixed":
        yield _match(map_, target, rule.get("code", ""), {**rule, "equivalence": "inexact"})
    elif mode == "other-map" and depth < _MOST_MAPS:
        other = library.concept_map(rule.get("url", ""))
        if other is not None:
            yield from _of_map(library, other, group.get("source", ""), code, wanted, depth=depth + 1)


def _match(map_: dict[str, Any], system: str, code: str, row: dict[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": row.get("equivalence", "equivalent")}]
    if code:
        coding = {"system": system, "code": code, "display": row.get("display", "")}
        parts.append({"name": "concept", "valueCoding": {k: v for k, v in coding.items() if v}})
    for product in row.get("product", ()):
        coding = {"system": product.get("system", ""), "code": product.get("value", "")}
        inside = [
            {"name": "element", "valueUri": product.get("property", "")},
            {"name": "concept", "valueCoding": {k: v for k, v in coding.items() if v}},
        ]
        parts.append({"name": "product", "part": inside})
    if map_.get("url"):
        version = f"|{map_['version']}" if map_.get("version") else ""
        parts.append({"name": "source", "valueUri": map_["url"] + version})
    return {"name": "match", "part": parts}
