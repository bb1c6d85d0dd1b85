"""``is``, ``as`` and ``ofType`` decided from static types where that is possible."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fhir_server.fhirpath.generation import paths
from fhir_server.fhirpath.generation.paths import all_of, any_of, opened_item
from fhir_server.fhirpath.generation.shapes import UNKNOWN, Alt, Bool, Coll, Unsupported

if TYPE_CHECKING:
    from fhir_server.fhirpath.generation.emitter import Emitter


def is_type(emitter: Emitter, source: Coll, type_name: str) -> Bool:
    """Return whether the only item has a type; subtypes count."""
    if source.many:
        raise Unsupported
    true, false = [], []
    for alt in source.alts:
        if alt.clauses:
            item = opened_item(emitter, alt)
            fits = _fits(emitter, item, type_name, subtypes=True)
            true.append(paths.exists_alt(emitter, item.with_clauses(f"if {fits}")))
            false.append(paths.exists_alt(emitter, item.with_clauses(f"if not {fits}")))
            continue
        here = paths.exists_alt(emitter, alt)
        fits = _fits(emitter, alt, type_name, subtypes=True)
        true.append(all_of(here, fits))
        false.append(all_of(here, f"(not {fits})" if fits not in {"True", "False"} else _NEGATED[fits]))
    return Bool(any_of(true), any_of(false))


_NEGATED = {"True": "False", "False": "True"}


def of_type(emitter: Emitter, source: Coll, type_name: str) -> Coll:
    """Return the items of a type; on several items ``as`` filters as published definitions expect."""
    found = []
    for alt in source.alts:
        fits = _fits(emitter, alt, type_name, subtypes=False)
        if fits == "True":
            found.append(alt)
        elif fits != "False":
            item = opened_item(emitter, alt)
            condition = _fits(emitter, item, type_name, subtypes=False)
            target = type_name if emitter.types.type(type_name) else item.type
            found.append(replace(item, type=target, clauses=(*item.clauses, f"if {condition}")))
    return Coll(tuple(found), source.union, source.exclusive)


def _fits(emitter: Emitter, alt: Alt, type_name: str, *, subtypes: bool) -> str:
    """Return the condition that an item has a type: True or False where that is known now."""
    name = published_type(emitter, type_name)
    if alt.type == UNKNOWN:
        if not alt.dynamic or alt.dynamic == UNKNOWN:
            raise Unsupported
        return f"({alt.dynamic} == {name!r})"
    if alt.type in {"Resource", "DomainResource"}:
        if alt.type == name:
            return "True"
        concrete = [t for t in emitter.types.resource_types if emitter.types.is_subtype(t, name)]
        value = f"{alt.owner}.get({alt.key!r}, NOTHING)" if alt.owner and not alt.is_list else alt.value
        if not value:
            return "?"
        if not concrete:
            return "False"
        test = f"== {concrete[0]!r}" if len(concrete) == 1 else f"in {emitter.constant(frozenset(concrete))}"
        return f"({value}.get('resourceType') {test})"
    info = emitter.types.type(alt.type)
    primitive = info is None or info.kind == "primitive-type"
    if primitive and not subtypes:
        return str(alt.type == name)
    return str(alt.type == name or emitter.types.is_subtype(alt.type, name))


def published_type(emitter: Emitter, name: str) -> str:
    """Return the FHIR type that a published definition means (``DateTime`` is dateTime)."""
    name = name.removeprefix("FHIR.").removeprefix("System.")
    if emitter.types.type(name) is None and emitter.types.type(name[:1].lower() + name[1:]) is not None:
        return name[:1].lower() + name[1:]
    return name
