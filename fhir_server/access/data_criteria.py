"""A provision's criteria on data as a clause: AND between criteria, OR within one.

Where a criterion can't be told of a document (it has no date, what it is held against is gone) a deny counts it in
and a permit leaves it out. https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access.clinical_time import period
from fhir_server.access.keys import CONFIDENTIALITY, LEVELS, label_of
from fhir_server.access.mentions import number_of
from fhir_server.access.policy import (
    EVERYTHING,
    AtLeast,
    AtMost,
    Clause,
    Missing,
    any_of,
    both,
    either,
    none_of,
    unless,
)

RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
#: How data may be named (consent-data-meaning).
MEANINGS = ("instance", "related", "dependents", "authoredby")
#: Where a version of the past has the id of its resource; its ``_id`` is another one.
_ID_OF_COPY = "id"
#: What no time is of.
_TIMELESS = ("Patient",)


def data_clause(
    provision: Mapping[str, Any], related: Mapping[str, frozenset[str] | None], *, is_deny: bool
) -> Clause:
    """Return which documents a provision is about; ``related`` says what the resources refer to that it names."""
    parts: list[Clause] = [EVERYTHING]
    if labels := provision.get("securityLabel"):
        parts.append(either(*(_label(label, is_deny=is_deny) for label in labels)))
    if classes := provision.get("class"):
        parts.append(any_of("_sec.cls", map(class_of, classes)))
    if concepts := provision.get("code"):
        codes = (label_of(coding) for concept in concepts for coding in concept.get("coding", ()))
        parts.append(any_of("_sec.has", map(number_of, codes)))
    if "dataPeriod" in provision:
        parts.append(_time(*period(provision["dataPeriod"]), is_deny=is_deny))
    if data := provision.get("data"):
        parts.append(either(*(_datum(datum, related, is_deny=is_deny) for datum in data)))
    return both(*parts)


def class_of(coding: Mapping[str, Any]) -> str:
    """Return a Coding of a class as ``_sec.cls`` has it: a resource type, or the type of a document."""
    return str(coding.get("code", "")) if coding.get("system") == RESOURCE_TYPES else label_of(coding)


def _label(label: Mapping[str, Any], *, is_deny: bool) -> Clause:
    """Return the condition of a label; confidentiality is ordered: permit up to it, deny from it on."""
    if label.get("system") == CONFIDENTIALITY and label.get("code") in LEVELS:
        level = LEVELS[label["code"]]
        return unless(AtMost("_sec.conf", level - 1)) if is_deny else AtMost("_sec.conf", level)
    return any_of("_sec.lab", [label_of(label)])


def _time(start: int, end: int, *, is_deny: bool) -> Clause:
    """Return what is of a period: denied as soon as it touches it, permitted when it lies in it."""
    if not is_deny:
        return both(AtLeast("_sec.from", start), AtMost("_sec.to", end))
    touching = both(AtMost("_sec.from", end), AtLeast("_sec.to", start))
    return either(touching, both(Missing("_sec.from"), none_of("_sec.cls", _TIMELESS)))


def _datum(
    datum: Mapping[str, Any], related: Mapping[str, frozenset[str] | None], *, is_deny: bool
) -> Clause:
    reference = str(datum.get("reference", {}).get("reference", ""))
    match datum.get("meaning"):
        case "authoredby":
            return any_of("_sec.auth", [reference])
        case "related":
            others = related.get(reference)
            if others is None and is_deny:
                return EVERYTHING
            return instances([reference, *sorted(others or ())])
        case "dependents":
            return either(instances([reference]), any_of("_sec.has", [number_of(reference)]))
        case _:
            return instances([reference])


def instances(references: Iterable[str]) -> Clause:
    """Return the clause of single resources, versions of the past included."""
    by_type: dict[str, list[str]] = {}
    for reference in references:
        type_, _, id_ = reference.partition("/")
        by_type.setdefault(type_, []).append(id_)
    return either(
        *(
            both(any_of("_sec.cls", [type_]), either(any_of("_id", ids), any_of(_ID_OF_COPY, ids)))
            for type_, ids in by_type.items()
        )
    )
