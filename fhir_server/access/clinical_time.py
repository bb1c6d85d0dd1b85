"""When the data of a resource are of: the interval that a Consent's ``dataPeriod`` is held against.

https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision.dataPeriod
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.datatypes.dates import MAXIMUM, MINIMUM, interval

#: The elements in the order in which they are looked for: when it was true, before when it was written down.
_ELEMENTS = (
    "effectivePeriod", "effectiveDateTime", "effectiveInstant", "onsetPeriod", "onsetDateTime", "performedPeriod",
    "performedDateTime", "occurrencePeriod", "occurrenceDateTime", "servicedPeriod", "servicedDate", "billablePeriod",
    "period", "executionPeriod", "whenHandedOver", "whenPrepared", "started", "createdDateTime", "createdPeriod",
    "identifiedPeriod", "identifiedDateTime", "date", "authoredOn", "authored", "dateWritten", "created",
    "recordedDate", "issued", "sent", "received", "occurredPeriod", "occurredDateTime", "recorded", "dateAsserted",
    "assertedDate", "startDate", "receivedTime", "dateTime",
)  # fmt: skip
#: Elements one level down: of DocumentReference, Specimen.
_INNER = (("context", "period"), ("collection", "collectedPeriod"), ("collection", "collectedDateTime"))


def clinical_interval(resource: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the first and last millisecond (UTC) that the data are of; None when the resource doesn't tell.

    A period without start or end is open there; a condition lasts until its abatement.
    """
    try:
        return _found(resource)
    except ValueError:  # stored by an earlier version, whose rules were others
        return None


def _found(resource: Mapping[str, Any]) -> tuple[int, int] | None:
    for outer, name in _INNER:
        inner = resource.get(outer)
        if isinstance(inner, Mapping) and name in inner:
            return _of(inner[name])
    for name in _ELEMENTS:
        if name in resource:
            found = _of(resource[name])
            until = resource.get("abatementDateTime") if name.startswith("onset") else None
            return found if found is None or until is None else (found[0], max(found[1], interval(until)[1]))
    return None


def _of(value: Any) -> tuple[int, int] | None:
    if isinstance(value, str):
        return interval(value)
    if isinstance(value, Mapping) and ("start" in value or "end" in value):
        return period(value)
    return None


def period(value: Mapping[str, Any]) -> tuple[int, int]:
    """Return the first and last millisecond of a Period."""
    start, end = value.get("start"), value.get("end")
    return (
        MINIMUM if start is None else interval(start)[0],
        MAXIMUM if end is None else interval(end)[1],
    )
